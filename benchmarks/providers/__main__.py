"""``python -m benchmarks.providers``: see docs/performance.md."""

from __future__ import annotations

import argparse
import gc
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported

from benchmarks.calls_per_core.measure import measure
from benchmarks.calls_per_core.process import vendors
from benchmarks.calls_per_core.results import MAX_REACTION, Run
from benchmarks.calls_per_core.scenario import SHORT_TURNS, Scenario
from benchmarks.machine import cores, describe, pin
from benchmarks.micro.timing import Row
from benchmarks.providers.parts import PACE, QUICK, Size, rows
from benchmarks.report import Table, ms, percentile, publish
from callengine.cli.serve import GC_THRESHOLDS

CALLS = 100
SECONDS = 20.0


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and judge; the exit status."""
    options = _parser().parse_args(arguments)
    machine = describe("benchmarks.providers", arguments)
    tables: list[Table] = []
    figures: dict[str, Any] = {}
    broken: list[str] = []
    if options.only != "calls":
        found = of_parts(QUICK if options.quick else Size())
        tables.append(Table("Adapters", ("", "figure", "against", "", "ratio"), [_cells(row) for row in found]))
        figures["parts"] = [attrs.asdict(row) for row in found]
    if options.only != "parts":
        runs = of_calls(options.calls or (2 if options.quick else CALLS), options.seconds, quick=options.quick)
        tables.append(calls_table(*runs))
        figures["calls"] = [run.figures() for run in runs]
        broken = broken_bounds(runs[1], timed=not options.quick)
    publish(machine, tables, figures, markdown=options.markdown, json_file=options.json)
    for line in broken:
        print(f"BROKEN: {line}", file=sys.stderr)
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.providers", description=__doc__)
    parser.add_argument("--only", choices=("parts", "calls"), help="adapters by themselves, or whole calls")
    parser.add_argument("--calls", type=int, help=f"whole calls at once (default {CALLS})")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"of calls that are measured (default {SECONDS:g})"
    )
    parser.add_argument("--quick", action="store_true", help="little of everything, in seconds; no time is judged")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--markdown", action="store_true", help="print tables for docs/performance.md")
    return parser


def of_parts(size: Size) -> list[Row]:
    """The adapters by themselves, in this process, with the collector as `callengine serve` sets it."""
    engine_core, vendor_core = cores()
    pin(engine_core)
    threshold = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with vendors(PACE, vendor_core) as beside:
            return rows(f"127.0.0.1:{beside.answer()['port']}", size)
    finally:
        gc.set_threshold(*threshold)


def of_calls(calls: int, seconds: float, *, quick: bool = False) -> tuple[Run, Run]:
    """The same calls with providers in the engine's process, and with vendors over the loopback."""
    if quick:
        over_loopback = attrs.evolve(SHORT_TURNS, providers="loopback")
        scripted, loopback = (measure(s, calls, 1.0, ramp=0.1, settle=1.0) for s in (SHORT_TURNS, over_loopback))
    else:
        scripted, loopback = (measure(s, calls, seconds) for s in (Scenario(), Scenario(providers="loopback")))
    return scripted, loopback


def broken_bounds(run: Run, *, timed: bool) -> list[str]:
    """What is not as it must be with vendors, a line each. Without ``timed`` no time is judged."""
    lines = [
        f"{number} {what}"
        for number, what in (
            (run.missed, "answers, clears or calls were missed"),
            (run.failures, "times a provider failed"),
            (run.tasks_left, "tasks were left"),
            (run.sockets_left, "sockets of vendors were left"),
        )
        if number
    ]
    if not run.reaction:
        lines.append("no turn was answered")
    elif timed and (late := percentile(run.reaction, 99)) >= MAX_REACTION:
        lines.append(f"reaction p99 is {ms(late)} ms: it must be under {ms(MAX_REACTION)}")
    if timed and run.underruns:
        lines.append(f"{run.underruns} times a caller heard a gap")
    return lines


def calls_table(scripted: Run, loopback: Run) -> Table:
    """Both runs side by side."""

    def times(name: str, of: str) -> list[tuple[str, ...]]:
        return [
            _compared(
                f"{name} p{percent}, ms", *(percentile(getattr(run, of), percent) for run in (scripted, loopback))
            )
            for percent in (50, 99)
        ]

    def counts(name: str, of: str) -> tuple[str, ...]:
        return name, str(getattr(scripted, of)), str(getattr(loopback, of)), ""

    rows = [
        _compared("CPU, ms per call and second", scripted.cpu, loopback.cpu),
        *times("reaction", "reaction"),
        *times("barge-in to clear", "barge_in"),
        *times("slice lateness", "lateness"),
        counts("underruns", "underruns"),
        counts("missed answers, clears, calls", "missed"),
        counts("providers that failed", "failures"),
        counts("tasks left behind", "tasks_left"),
        counts("sockets left open", "sockets_left"),
        ("turns", str(len(scripted.reaction)), str(len(loopback.reaction)), ""),
        ("RSS per call, kB", f"{scripted.rss / 1000:.0f}", f"{loopback.rss / 1000:.0f}", ""),
        ("other programs, % of the engine's core", f"{scripted.others:.0%}", f"{loopback.others:.0%}", ""),
        ("vendors' own lag p99, ms", "", ms(percentile(loopback.vendor_lag, 99)), ""),
        ("passed", *("yes" if run.passed else "no" for run in (scripted, loopback)), ""),
    ]
    title = f"{loopback.calls} calls with a vendor of each role, {loopback.seconds:.0f} s each"
    return Table(title, ("", "in the engine's process", "over the loopback", "ratio"), rows)


def _compared(name: str, first: float, second: float) -> tuple[str, ...]:
    return name, ms(first), ms(second), f"{second / first:.2f}" if first and not math.isnan(second / first) else ""


def _cells(row: Row) -> tuple[str, ...]:
    return row.name, f"{row.value:.3g} {row.unit}", row.against, f"{row.other:.3g} us", f"{row.ratio:.2g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
