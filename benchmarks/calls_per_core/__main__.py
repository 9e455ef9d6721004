"""``python -m benchmarks.calls_per_core``: see docs/performance.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from benchmarks.calls_per_core.measure import measure
from benchmarks.calls_per_core.results import MAX_REACTION, Run
from benchmarks.calls_per_core.scenario import Scenario
from benchmarks.machine import cores, describe
from benchmarks.report import Table, ms, percentile, publish
from callengine.cli.serve import GC_THRESHOLDS

STEPS = {"off": (50, 100, 150, 200, 250, 300), "auto": (10, 20, 30, 40, 60, 80), "on": (10, 20, 30, 40, 60, 80)}
"""Calls, one run after the other, until one fails twice; by echo cancellation, which costs several times the rest."""


def main(arguments: Sequence[str]) -> None:
    """Measure, and print the figures."""
    options = _parser().parse_args(arguments)
    machine = describe("benchmarks.calls_per_core", arguments)
    print("engine on core {}, load on core {}".format(*cores()), file=sys.stderr)
    scenario = Scenario(providers=options.providers, aec=options.aec, gc_threshold=options.gc_threshold)
    runs = find(scenario, options.seconds) if options.find else [_run(scenario, options.calls, options.seconds)]
    floor = None
    if options.floor:
        floor = _run(Scenario(), best(runs) or runs[0].calls, min(options.seconds, 10.0), floor=True)
    tables = [table(runs, scenario)]
    if floor is not None:
        tables.append(floor_table(floor, runs))
    figures = {"scenario": attrs.asdict(scenario), "runs": [run.figures() for run in runs]}
    if floor is not None:
        figures["floor"] = floor.figures()
    publish(machine, tables, figures, markdown=options.markdown, json_file=options.json)
    if options.find:
        limit = f"reaction p99 under {MAX_REACTION * 1000:g} ms and no underrun"
        print(f"\nlargest number of calls with {limit}: {best(runs)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls_per_core", description=__doc__)
    parser.add_argument("--calls", type=int, default=100, help="calls of a single run (default 100)")
    parser.add_argument("--find", action="store_true", help="find the largest number of calls, step by step")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the window that is measured (default 20)")
    parser.add_argument(
        "--providers",
        choices=("scripted", "loopback"),
        default="scripted",
        help="in the engine's process, or behind their protocols in another one (default scripted)",
    )
    parser.add_argument("--aec", choices=("off", "auto", "on"), default="off", help="echo cancellation (default off)")
    parser.add_argument(
        "--gc-threshold",
        type=int,
        default=GC_THRESHOLDS[0],
        help="the collector's, in the engine (default: as `callengine serve` sets it; 0: Python's own)",
    )
    parser.add_argument("--floor", action="store_true", help="also measure a process that only receives and sends")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--markdown", action="store_true", help="print tables for docs/performance.md")
    return parser


def _run(scenario: Scenario, calls: int, seconds: float, *, floor: bool = False) -> Run:
    run = measure(scenario, calls, seconds, floor=floor)
    print(
        f"{'floor, ' if floor else ''}{calls} calls: {ms(run.cpu)} ms a call and second"
        + ("" if floor else f", reaction p99 {ms(percentile(run.reaction, 99))} ms, {run.underruns} underruns"),
        file=sys.stderr,
    )
    return run


def find(scenario: Scenario, seconds: float) -> list[Run]:
    """One run a step, until one fails; that one has a second chance, as others may use the machine."""
    runs: list[Run] = []
    for calls in STEPS[scenario.aec]:
        runs.append(_run(scenario, calls, seconds))
        if not runs[-1].passed:
            runs.append(_run(scenario, calls, seconds))
            if not runs[-1].passed:
                break
    return runs


def best(runs: list[Run]) -> int:
    """The largest number of calls that passed; 0 of none."""
    return max((run.calls for run in runs if run.passed), default=0)


def table(runs: list[Run], scenario: Scenario) -> Table:
    """A column a run."""

    def both(values: list[float]) -> str:
        return f"{ms(percentile(values, 50))} / {ms(percentile(values, 99))}"

    rows = [
        ("CPU, ms per call and second", *(ms(run.cpu) for run in runs)),
        ("of which scripted providers (measured alone)", *(ms(run.providers) for run in runs)),
        ("engine's process, % of its core", *(f"{run.load:.0%}" for run in runs)),
        ("other programs, % of that core", *(f"{run.others:.0%}" for run in runs)),
        ("RSS per call, kB", *(f"{run.rss / 1000:.0f}" for run in runs)),
        ("reaction p50 / p99, ms", *(both(run.reaction) for run in runs)),
        ("reaction, nothing taken off, p50 / p99, ms", *(both(run.reaction_in_all) for run in runs)),
        ("of which up to the VAD's decision p50 / p99, ms", *(both(run.vad) for run in runs)),
        ("turns", *(str(len(run.reaction)) for run in runs)),
        ("barge-in to clear p50 / p99, ms", *(both(run.barge_in) for run in runs)),
        ("barge-in, nothing taken off, p50 / p99, ms", *(both(run.barge_in_in_all) for run in runs)),
        ("barge-ins", *(str(len(run.barge_in)) for run in runs)),
        ("decision to clear on the wire p50 / p99, ms", *(both(run.decision_to_clear) for run in runs)),
        ("slice lateness p50 / p99, ms", *(both(run.lateness) for run in runs)),
        ("metronome lateness p50 / p99, ms", *(both(run.metronome) for run in runs)),
        ("underruns (longest gap, ms)", *(f"{run.underruns} ({ms(run.longest_gap)})" for run in runs)),
        ("missed answers, clears, calls", *(str(run.missed) for run in runs)),
        (
            "failed providers, tasks and sockets left",
            *(f"{run.failures}, {run.tasks_left}, {run.sockets_left}" for run in runs),
        ),
        *_of_vendors(runs, both),
        ("load's own lag p50 / p99, ms", *(both(run.generator_lag) for run in runs)),
        ("load's process, % of its core", *(f"{run.generator_load:.0%}" for run in runs)),
        ("passed", *("yes" if run.passed else "no" for run in runs)),
    ]
    title = f"Calls on one core, echo cancellation {scenario.aec}, {runs[0].seconds:.0f} s each"
    if scenario.providers == "loopback":
        title += ", vendors over the loopback"
    return Table(title, ("calls", *(str(run.calls) for run in runs)), rows)


def _of_vendors(runs: list[Run], both: Callable[[list[float]], str]) -> list[tuple[str, ...]]:
    if not any(run.vendor_lag for run in runs):
        return []
    return [
        ("vendors' own lag p50 / p99, ms", *(both(run.vendor_lag) for run in runs)),
        ("vendors' process, % of the load's core", *(f"{run.vendor_load:.0%}" for run in runs)),
    ]


def floor_table(floor: Run, runs: list[Run]) -> Table:
    """The floor, and how far above it each run was."""
    rows = [(f"floor: receive and send, {floor.calls} calls", ms(floor.cpu), "1")]
    rows += [(f"engine, {run.calls} calls", ms(run.cpu), f"{run.cpu / floor.cpu:.1f}") for run in runs]
    return Table("CPU against the floor", ("", "ms per call and second", "ratio"), list(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
