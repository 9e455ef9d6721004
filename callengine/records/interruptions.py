"""How the agent behaved when the caller spoke into its words, from a call's journal. Times are journal times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import attrs

from callengine.journal import Record

ROUNDING = 1e-6
"""Seconds by which a time in a record's data may be later than the same moment as a record's own time
(`Journal.time` rounds to a microsecond)."""


@attrs.frozen
class Interruption:
    """The caller cut the agent off."""

    turn: int
    """That the agent was answering."""
    utterance: int
    """Of the agent."""
    onset: float
    """When the caller set in, or pressed the key."""
    detected: float
    """When it was certain that he meant it."""
    quiet: float | None
    """When the agent was paused, ducked or cleared, whichever was first; None where nothing of it was on the line."""
    silent: float | None
    """When it was paused or cleared: from then on the caller spoke alone."""
    trigger: str
    """What it was noticed by: ``speech``, ``transcript`` or ``dtmf``."""
    reason: str


@attrs.frozen
class Softening:
    """A stretch for which the agent was paused or ducked, because somebody seemed to interrupt it."""

    utterance: int
    how: Literal["pause", "duck"]
    start: float
    end: float
    """When it went on, or was cut; where the journal breaks off, its last record's time."""
    reason: str
    """Why it began."""
    then: Literal["carry on", "cut", "end"]
    """``end``: of the call, or of the reply (all of it had been sent before it was ducked)."""
    why: str
    """It carried on, or was cut; empty for ``end``."""
    repeated_ms: float = 0.0
    """How much of its audio was played again."""


@attrs.frozen
class FalseAlarm:
    """What sounded like an interruption was none."""

    utterance: int
    """Of the agent."""
    onset: float
    known: float
    """When it was found to be none."""
    backchannel: bool
    """Whether it was "mm-hm" or the like."""
    reason: str


def interruptions_of(records: Iterable[Record]) -> list[Interruption]:
    """Every time that the caller cut the agent off, in order."""
    records = list(records)
    found = []
    for index, record in enumerate(records):
        if record.kind == "barge_in":
            data = record.data
            onset, utterance = data["onset"], data["utterance"]
            found.append(
                Interruption(
                    turn=data["turn"],
                    utterance=utterance,
                    onset=onset,
                    detected=record.t,
                    quiet=_first(records, utterance, onset, ("reply.paused", "reply.ducked", "clear.sent")),
                    silent=_first(records, utterance, onset, ("reply.paused", "clear.sent")),
                    trigger=data["trigger"],
                    reason=_reason(records[index:], "cut"),
                )
            )
    return found


def softenings_of(records: Iterable[Record]) -> list[Softening]:
    """Every stretch for which the agent was paused or ducked, in order."""
    reasons: dict[str, str] = {}
    begun: dict[int, Softening] = {}
    done: list[Softening] = []
    now = 0.0

    def end(utterance: int, then: Literal["carry on", "cut", "end"], repeated_ms: float = 0.0) -> None:
        if (soft := begun.pop(utterance, None)) is not None:
            why = "" if then == "end" else reasons.get(then, "")
            done.append(attrs.evolve(soft, end=now, then=then, why=why, repeated_ms=repeated_ms))

    for record in records:
        now, data = max(now, record.t), record.data
        match record.kind:
            case "decision":
                reasons[data["what"]] = data["reason"]
            case "reply.paused":
                end(data["utterance"], "end")
                begun[data["utterance"]] = _softening(record, "pause", reasons)
            case "reply.ducked":
                begun[data["utterance"]] = _softening(record, "duck", reasons)
            case "reply.resumed":
                end(data["utterance"], "carry on", data["repeated_ms"])
            case "reply.ended":
                end(data["utterance"], "cut" if data["interrupted_by"] in ("caller", "application") else "end")
    for utterance in list(begun):
        end(utterance, "end")
    return sorted(done, key=lambda soft: soft.start)


def false_alarms_of(records: Iterable[Record]) -> list[FalseAlarm]:
    """Every time that something sounded like an interruption and was none, in order."""
    return [
        FalseAlarm(
            utterance=record.data["utterance"],
            onset=record.data["onset"],
            known=record.t,
            backchannel=record.data["backchannel"],
            reason=record.data["reason"],
        )
        for record in records
        if record.kind == "false_interruption"
    ]


def _softening(record: Record, how: Literal["pause", "duck"], reasons: dict[str, str]) -> Softening:
    return Softening(record.data["utterance"], how, record.t, record.t, reasons.get(how, ""), "end", "")


def _first(records: Sequence[Record], utterance: int, since: float, kinds: Sequence[str]) -> float | None:
    since -= ROUNDING
    return next(
        (r.t for r in records if r.t >= since and r.kind in kinds and r.data["utterance"] == utterance),
        None,
    )


def _reason(records: Iterable[Record], what: str) -> str:
    return next((r.data["reason"] for r in records if r.kind == "decision" and r.data["what"] == what), "")
