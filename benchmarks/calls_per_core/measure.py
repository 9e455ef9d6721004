"""One run: start the other processes, load the engine's, look at a steady window."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import attrs

from benchmarks.calls_per_core.generator import Generator, measured_lag
from benchmarks.calls_per_core.process import Beside, measured, vendors
from benchmarks.calls_per_core.results import Run, evaluate
from benchmarks.calls_per_core.scenario import Scenario
from benchmarks.calls_per_core.voices import caller_clips
from benchmarks.machine import core_ticks, cores, pin

RAMP = 6.0
"""Seconds over which the calls start."""
SETTLE = 6.0
"""Seconds between the last start and the window: by then every call has had its greeting and speaks."""

_NO_VENDORS = {"sockets": 0, "lag": [], "cpu": 0.0}


def measure(
    scenario: Scenario,
    calls: int,
    seconds: float,
    *,
    floor: bool = False,
    ramp: float = RAMP,
    settle: float = SETTLE,
) -> Run:
    """Run ``calls`` calls and look at ``seconds`` of them. The engine is on one core, this process on another, and so
    are the vendors where there are some."""
    engine_core, own_core = cores()
    pin(own_core)
    with ExitStack() as stack:
        if scenario.providers == "loopback":
            beside = stack.enter_context(vendors(scenario, own_core))
            scenario = attrs.evolve(scenario, vendors=f"127.0.0.1:{beside.answer()['port']}")
        else:
            beside = None
        engine = stack.enter_context(measured(scenario, engine_core, floor=floor))
        ready = engine.answer()
        generator = Generator(ready["port"], scenario, caller_clips(scenario.speech))
        try:
            generator.begin_calls(calls, ramp)
            generator.run_until(time.monotonic() + settle)
            begin, theirs = engine.ask("begin"), _asked(beside)
            since, own, ticks = time.monotonic(), time.process_time(), core_ticks(engine_core)
            lag = measured_lag(generator, lambda: generator.run_until(since + seconds))
            own, later = time.process_time() - own, core_ticks(engine_core)
            end, theirs_later = engine.ask("end"), _asked(beside)
        finally:
            generator.close()
        left = engine.ask("left")
        sockets = _asked(beside)["sockets"]
    busy = (later[0] - ticks[0]) / max(0.01, later[1] - ticks[1])
    return evaluate(
        generator.calls,
        scenario,
        since=since,
        ready=ready,
        begin=begin,
        end=end,
        others=max(0.0, busy - (end["cpu"] - begin["cpu"]) / (end["wall"] - begin["wall"])),
        lag=lag,
        generator_load=own / seconds,
        left=left,
        vendors={"sockets": sockets, "lag": theirs_later["lag"], "cpu": theirs_later["cpu"] - theirs["cpu"]},
    )


def _asked(vendors: Beside | None) -> dict[str, Any]:
    return _NO_VENDORS if vendors is None else vendors.ask("books")
