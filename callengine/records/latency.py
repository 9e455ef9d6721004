"""How long a caller waited: for each answer, and for silence after an interruption."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Literal

import attrs
import numpy as np

from callengine.journal import Record
from callengine.outcome import Figures
from callengine.records.interruptions import Interruption, interruptions_of
from callengine.records.replies import replies_of
from callengine.records.turns import turns_of

PERCENTILES = (90.0, 95.0)
"""Shown beside the median."""
MIN_FOR_PERCENTILES = 5
"""Values below which a percentile would only be one of the largest of them under another name."""


@attrs.frozen
class LatencyRow:
    """The figures of a turn, or of a barge-in, in milliseconds; None where it did not happen."""

    kind: Literal["turn", "barge-in"]
    turn: int
    at: float
    """When the caller's speech ended (turn) or began (barge-in): seconds since the stream started."""
    final_ms: float | None = None
    """End of speech to the end of the turn."""
    first_token_ms: float | None = None
    """End of speech to the first text of the reply."""
    first_audio_ms: float | None = None
    """End of speech to the first synthesised audio."""
    audible_ms: float | None = None
    """End of speech to the first audio that left for the carrier."""
    detected_ms: float | None = None
    """Onset of the interrupting speech to the moment at which it was certain that it is one."""
    silence_ms: float | None = None
    """Onset of the interrupting speech to the moment at which the agent was paused, ducked or cleared: the first of
    them."""
    overlap_ms: float | None = None
    """Onset of the interrupting speech to the moment at which the agent was paused or cleared: for so long both spoke
    at once."""
    interrupted: bool = False
    """Of a turn: its answer was cut off or withdrawn. The totals leave it out, as an answer that was not wanted says
    nothing of how long the wanted ones take."""


_COLUMNS = {
    "final": "final_ms",
    "token": "first_token_ms",
    "audio": "first_audio_ms",
    "audible": "audible_ms",
    "detected": "detected_ms",
    "silence": "silence_ms",
    "overlap": "overlap_ms",
}
"""Short, so that the table is no wider than a terminal."""


def latency_table(records: Iterable[Record]) -> list[LatencyRow]:
    """A row for each turn that the caller's speech began, and for each barge-in, in order of time."""
    records = list(records)
    rows = _turn_rows(records) + [_barge_in_row(each) for each in interruptions_of(records)]
    return sorted(rows, key=lambda row: row.at)


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile by linear interpolation between closest ranks (Hyndman and Fan's type 7, 1996: the default of R
    and NumPy). Raises `ValueError` for no values."""
    if not values:
        raise ValueError("there is no percentile of nothing")
    return float(np.percentile(values, percent, method="linear"))


def format_table(rows: Sequence[LatencyRow]) -> str:
    """The rows as aligned text, in milliseconds but for ``at``, with the medians at the bottom; the percentiles too,
    for columns with at least `MIN_FOR_PERCENTILES` values. Interrupted turns are shown, and not counted. Ends without
    a newline."""
    table = [["turn", "at", *_COLUMNS]]
    for row in rows:
        name = (
            f"{row.turn} barge-in"
            if row.kind == "barge-in"
            else f"{row.turn} cut"
            if row.interrupted
            else f"{row.turn}"
        )
        table.append([name, f"{row.at:.2f} s", *(_cell(getattr(row, field)) for field in _COLUMNS.values())])
    if rows:
        counted = [row for row in rows if not row.interrupted]
        columns = [
            [value for row in counted if (value := getattr(row, field)) is not None] for field in _COLUMNS.values()
        ]
        table.append(["median", "", *(_cell(median(values) if values else None) for values in columns)])
        for percent in PERCENTILES:
            enough = [len(values) >= MIN_FOR_PERCENTILES for values in columns]
            if any(enough):
                cells = (
                    _cell(percentile(values, percent) if many else None)
                    for values, many in zip(columns, enough, strict=True)
                )
                table.append([f"p{percent:g}", "", *cells])
    return _align(table)


def _turn_rows(records: list[Record]) -> list[LatencyRow]:
    ends = {record.data["turn"]: record.data["speech_ended"] for record in records if record.kind == "turn.ended"}
    cut = {reply.turn for reply in replies_of(records) if reply.answers and reply.interrupted and not reply.taken_back}
    rows = []
    for turn in turns_of(records):
        at = ends.get(turn.number)
        if at is not None and turn.figures != Figures():
            interrupted = turn.withdrawn or turn.number in cut
            figures = attrs.asdict(turn.figures)
            rows.append(LatencyRow("turn", turn.number, at, **figures, interrupted=interrupted))
    return rows


def _barge_in_row(cut: Interruption) -> LatencyRow:
    def since(moment: float | None) -> float | None:
        return None if moment is None else round(max(0.0, moment - cut.onset) * 1000, 1)

    return LatencyRow(
        "barge-in",
        cut.turn,
        cut.onset,
        detected_ms=since(cut.detected),
        silence_ms=since(cut.quiet),
        overlap_ms=since(cut.silent),
    )


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _align(table: list[list[str]]) -> str:
    """First column to the left, the others to the right; a rule below the head and above the first total."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines.insert(1, rule)
    totals = next((index for index, row in enumerate(table) if row[0] == "median"), None)
    if totals is not None:
        lines.insert(totals + 1, rule)
    return "\n".join(lines)
