"""One call by itself: what the engine adds to a turn and to a barge-in, in real time over a real socket."""

from __future__ import annotations

from benchmarks.calls_per_core.measure import measure
from benchmarks.calls_per_core.scenario import SHORT_TURNS
from benchmarks.micro.timing import Row
from benchmarks.report import percentile

SECONDS = 60.0
"""Of turns, three a second."""

MAX_OVERHEAD = 0.005
"""Seconds: what the engine may add to a turn (p99)."""
MAX_CLEAR = 0.001
"""Seconds: what may lie between a decision and its clear on the wire (median)."""


def turn() -> list[Row]:
    """Milliseconds, against what they must stay under."""
    run = measure(SHORT_TURNS, 1, SECONDS)
    turns, cuts = f"({len(run.reaction)} turns)", f"({len(run.decision_to_clear)} barge-ins)"
    target, limit = MAX_OVERHEAD * 1000, MAX_CLEAR * 1000
    rows = [
        Row(f"overhead in a turn, p{p} {turns}", percentile(run.reaction, p) * 1000, "ms", "target for p99", target)
        for p in (50, 99)
    ]
    rows += [
        Row(f"decision to clear, p{p} {cuts}", percentile(run.decision_to_clear, p) * 1000, "ms", "target, p50", limit)
        for p in (50, 99)
    ]
    return [
        *rows,
        Row(f"barge-in due to clear received, p50 {cuts}", percentile(run.barge_in, 50) * 1000, "ms"),
        Row("missed answers and clears", float(run.missed), ""),
    ]
