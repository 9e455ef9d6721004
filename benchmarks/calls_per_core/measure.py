"""One run: start the other process, load it, look at a steady window."""

from __future__ import annotations

import time

from benchmarks.calls_per_core.generator import Generator, measured_lag
from benchmarks.calls_per_core.process import Measured
from benchmarks.calls_per_core.results import Run, evaluate
from benchmarks.calls_per_core.scenario import Scenario
from benchmarks.calls_per_core.voices import caller_clips
from benchmarks.machine import core_ticks, cores, pin

RAMP = 6.0
"""Seconds over which the calls start."""
SETTLE = 6.0
"""Seconds between the last start and the window: by then every call has had its greeting and speaks."""


def measure(scenario: Scenario, calls: int, seconds: float, *, floor: bool = False) -> Run:
    """Run ``calls`` calls and look at ``seconds`` of them. This process is on one core, the measured one on another."""
    engine_core, own_core = cores()
    pin(own_core)
    with Measured(scenario, engine_core, floor=floor) as measured:
        ready = measured.answer()
        generator = Generator(ready["port"], scenario, caller_clips(scenario.speech))
        try:
            generator.begin_calls(calls, RAMP)
            generator.run_until(time.monotonic() + SETTLE)
            begin = measured.ask("begin")
            since, own, ticks = time.monotonic(), time.process_time(), core_ticks(engine_core)
            lag = measured_lag(generator, lambda: generator.run_until(since + seconds))
            own, later = time.process_time() - own, core_ticks(engine_core)
            end = measured.ask("end")
        finally:
            generator.close()
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
    )
