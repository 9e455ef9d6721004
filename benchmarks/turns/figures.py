"""From rows to the figures of a variant, and to tables of variants."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs

from benchmarks.report import Table, percentile
from benchmarks.turns.scoring import IntrusionRow, ReplyRow, Score, TurnRow

T = TypeVar("T")

LATE = 1.5
"""Seconds from which a response is late."""
AIM_CUT_OFF, AIM_DELAY = 0.05, 0.35
"""At most so many false cut-offs, at such a median delay (seconds)."""
AIM_SILENCED, AIM_SILENCED_WITHIN = 0.95, 0.3
"""At least so many interruptions silenced, within such a time from the onset."""
AIM_CANCELLED = 0.02
"""At most so many backchannels cancel the reply."""
AIM_RESUMED = 0.4
"""Seconds after a backchannel's end within which a paused reply goes on."""

ALONE = ("quiet", "noisy", "echo")
"""Lines on which the agent may be disturbed though the caller makes no sound."""

GROUPS = ("finished", "two sentences", "unfinished", "people")
"""All turns but the dictated ones, which the agent asked for."""


@attrs.frozen
class EndOfTurn:
    """Turns: rates are shares of ``count``, times in seconds."""

    count: int
    cut_off: float
    mended: float
    talked_over: float
    median: float
    p90: float
    late: float
    missed: float

    @classmethod
    def of(cls, rows: Sequence[TurnRow]) -> EndOfTurn:
        delays = [row.delay for row in rows if not row.missed]
        return cls(
            len(rows),
            share(rows, lambda row: row.cut_off),
            share(rows, lambda row: row.mended),
            share(rows, lambda row: row.talked_over),
            percentile(delays, 50),
            percentile(delays, 90),
            share(rows, lambda row: row.delay > LATE and not row.missed),
            share(rows, lambda row: row.missed),
        )


@attrs.frozen
class Interruptions:
    """Real ones."""

    count: int
    in_time: float
    missed: float
    """Neither cut nor softened for good: the agent went on."""
    median: float
    p90: float
    talk_over: float
    """Mean seconds for which both were heard."""

    @classmethod
    def of(cls, rows: Sequence[IntrusionRow]) -> Interruptions:
        times = [row.silenced for row in rows if row.disturbed]
        return cls(
            len(rows),
            share(rows, lambda row: row.silenced <= AIM_SILENCED_WITHIN + 1e-6),
            share(rows, lambda row: not row.cancelled),
            percentile(times, 50),
            percentile(times, 90),
            sum(row.talk_over for row in rows) / len(rows) if rows else math.nan,
        )


@attrs.frozen
class FalseOnes:
    """Backchannels, or noises: nothing that should stop the agent."""

    count: int
    cancelled: float
    disturbed: float
    answered: float
    resumed: float
    """Median seconds from its end to the agent's full voice, where it paused or ducked."""
    resumed_late: float
    """The longest."""

    @classmethod
    def of(cls, rows: Sequence[IntrusionRow]) -> FalseOnes:
        resumed = [row.resumed for row in rows if not math.isnan(row.resumed)]
        return cls(
            len(rows),
            share(rows, lambda row: row.cancelled),
            share(rows, lambda row: row.disturbed),
            share(rows, lambda row: row.answered),
            percentile(resumed, 50),
            max(resumed, default=math.nan),
        )


@attrs.frozen
class Figures:
    """Everything that a variant is judged by."""

    name: str
    turns: EndOfTurn
    groups: dict[str, EndOfTurn]
    interruptions: Interruptions
    silenced_after: tuple[float, ...]
    """Seconds, sorted, of the interruptions that silenced the agent."""
    backchannels: FalseOnes
    noises: FalseOnes
    alone: dict[str, tuple[int, float]]
    """By line: replies heard, and the share disturbed while the caller made no sound."""

    @classmethod
    def of(cls, name: str, score: Score) -> Figures:
        ordinary = [row for row in score.turns if row.group in GROUPS]
        kinds = {
            kind: [row for row in score.intrusions if row.kind == kind]
            for kind in ("interruption", "backchannel", "noise")
        }
        return cls(
            name,
            EndOfTurn.of(ordinary),
            {
                group: EndOfTurn.of([row for row in score.turns if row.group == group])
                for group in (*GROUPS, "dictated")
            },
            Interruptions.of(kinds["interruption"]),
            tuple(sorted(row.silenced for row in kinds["interruption"] if row.disturbed)),
            FalseOnes.of(kinds["backchannel"]),
            FalseOnes.of(kinds["noise"]),
            _alone(score.replies),
        )


def _alone(replies: Sequence[ReplyRow]) -> dict[str, tuple[int, float]]:
    lines: dict[str, list[ReplyRow]] = {}
    for row in replies:
        lines.setdefault(row.line, []).append(row)
    return {
        line: (len(rows), share(rows, lambda row: not math.isnan(row.disturbed_at))) for line, rows in lines.items()
    }


def share(rows: Sequence[T], counts: Callable[[T], bool]) -> float:
    """The part of the rows that counts; NaN of none."""
    return sum(map(counts, rows)) / len(rows) if rows else math.nan


def tables(variants: Sequence[Figures]) -> list[Table]:
    """What the terminal and docs/turn_taking.md show: a row for each variant."""
    first = variants[0]
    ended = Table(
        f"End of turn ({first.turns.count} turns, {first.groups['dictated'].count} dictations besides)",
        (
            *("variant", "cut off", "mended", "talked over", "median", "p90", "late", "missed"),
            *("unfinished", "two sentences", "finished", "people", "dictated"),
        ),
        [_turn_cells(each) for each in variants],
    )
    interrupted = Table(
        f"Interruptions ({first.interruptions.count})",
        ("variant", "silenced in 300 ms", "agent went on", "median", "p90", "both audible"),
        [_interruption_cells(each) for each in variants],
    )
    false = Table(
        f"Backchannels ({first.backchannels.count}), noises ({first.noises.count}), and replies that nobody disturbed",
        (
            *("variant", "cancelled", "disturbed", "answered", "resumed", "at the latest"),
            *("noise cancels", "noise disturbs", *(f"alone, {line}" for line in ALONE)),
        ),
        [_false_cells(each) for each in variants],
    )
    return [ended, interrupted, false]


def _turn_cells(each: Figures) -> tuple[str, ...]:
    turns = each.turns
    return (
        each.name,
        percent(turns.cut_off),
        percent(turns.mended),
        percent(turns.talked_over),
        ms(turns.median),
        ms(turns.p90),
        percent(turns.late),
        percent(turns.missed),
        *(percent(each.groups[g].cut_off) for g in ("unfinished", "two sentences", "finished", "people", "dictated")),
    )


def _interruption_cells(each: Figures) -> tuple[str, ...]:
    real = each.interruptions
    return (
        each.name,
        percent(real.in_time),
        percent(real.missed),
        ms(real.median),
        ms(real.p90),
        ms(real.talk_over),
    )


def _false_cells(each: Figures) -> tuple[str, ...]:
    words, noises = each.backchannels, each.noises
    return (
        each.name,
        percent(words.cancelled),
        percent(words.disturbed),
        percent(words.answered),
        ms(words.resumed),
        ms(words.resumed_late),
        percent(noises.cancelled),
        percent(noises.disturbed),
        *(percent(each.alone.get(line, (0, math.nan))[1]) for line in ALONE),
    )


def ms(seconds: float) -> str:
    """A time in whole milliseconds."""
    return "-" if math.isnan(seconds) else f"{seconds * 1000:.0f} ms"


def percent(part: float) -> str:
    """A share, to a tenth of a percent."""
    return "-" if math.isnan(part) else f"{part * 100:.1f} %"
