"""How politely turns were taken in a call: its interruptions, backchannels and dictated numbers, from the journal."""

from __future__ import annotations

from collections.abc import Sequence

from callengine.journal import Record
from callengine.records.interruptions import (
    FalseAlarm,
    Interruption,
    false_alarms_of,
    interruptions_of,
    softenings_of,
)
from callengine.testing.demo.words import digits

DICTATED = 4
"""Digits from which a turn is a number that was dictated."""


def courtesies(records: Sequence[Record]) -> list[str]:
    """A line for people for each of them, in order of time."""
    told = [(cut.detected, f"interruption: {_silenced(cut)}") for cut in interruptions_of(records)]
    told += [
        (alarm.known, f"backchannel: {_carried_on(records, alarm)}")
        for alarm in false_alarms_of(records)
        if alarm.backchannel
    ]
    for record in records:
        if record.kind == "turn.ended" and (count := len(digits(record.data["text"]))) >= DICTATED:
            pieces = len(pieces_of(records, record.data["turn"]))
            told.append((record.t, f"number: {count} digits in {pieces} piece{'s' * (pieces != 1)}, one turn"))
    return [line for _, line in sorted(told)]


def pieces_of(records: Sequence[Record], turn: int) -> list[int]:
    """The utterances that the words of this turn of the caller came in."""
    pieces: list[int] = []
    for record in records:
        data = record.data
        match record.kind:
            case "transcript" if data["final"] and data["text"]:
                pieces.append(data["utterance"])
            case "decision" if data["what"].startswith("no turn"):
                pieces = []
            case "turn.ended" if data["turn"] == turn:
                return pieces
            case "turn.ended":
                pieces = []
    return []


def _silenced(cut: Interruption) -> str:
    return "the agent had said everything" if cut.silent is None else f"silent after {_ms(cut.silent - cut.onset)}"


def _carried_on(records: Sequence[Record], alarm: FalseAlarm) -> str:
    """How long after the backchannel's last sound the agent could be heard again."""
    ends = (record.data["ended"] for record in records if record.kind == "speech.stopped")
    ended = next((end for end in ends if end > alarm.onset), None)
    for soft in softenings_of(records):
        if soft.utterance == alarm.utterance and alarm.onset <= soft.start <= alarm.known and ended is not None:
            return f"carried on after {_ms(soft.end - ended)}"
    return "the agent never paused"


def _ms(seconds: float) -> str:
    return f"{max(0.0, seconds) * 1000:.0f} ms"
