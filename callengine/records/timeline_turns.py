"""What a timeline draws of turn-taking: who interrupted whom, when a turn was over, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from callengine.journal import Record
from callengine.records.entries import NO_TURN
from callengine.records.interruptions import false_alarms_of, interruptions_of, softenings_of
from callengine.records.latency import latency_table
from callengine.records.turns import turns_of

_DRAWN = ("pause", "duck", "carry on", "guess", "take back the guess")
"""Decisions that have a place of their own."""


def turn_taking(records: Sequence[Record]) -> dict[str, Any]:
    """The parts of the page's data that are about turns, in seconds since the stream started; figures in
    milliseconds."""
    return {
        "barge_ins": _barge_ins(records),
        "softened": [attrs.asdict(soft) for soft in softenings_of(records)],
        "alarms": [attrs.asdict(alarm) for alarm in false_alarms_of(records)],
        "turns": _turns(records),
        "ends": _ends(records),
        "keys": [{"t": record.t, "digit": record.data["digit"]} for record in records if record.kind == "dtmf"],
        "verdicts": _verdicts(records),
        "guesses": _guesses(records),
        "flags": _flags(records),
    }


def _barge_ins(records: Sequence[Record]) -> list[dict[str, Any]]:
    rows = [row for row in latency_table(records) if row.kind == "barge-in"]
    cuts = sorted(interruptions_of(records), key=lambda cut: cut.onset)
    return [
        {
            "onset": cut.onset,
            "turn": cut.turn,
            "trigger": cut.trigger,
            "reason": cut.reason,
            "detected_ms": row.detected_ms,
            "silence_ms": row.silence_ms,
            "overlap_ms": row.overlap_ms,
        }
        for row, cut in zip(rows, cuts, strict=True)
    ]


def _turns(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Each turn's stages, one behind the other, from the end of the caller's speech."""
    ends = {record.data["turn"]: record.data for record in records if record.kind == "turn.ended"}
    cut = {row.turn for row in latency_table(records) if row.interrupted}
    turns = []
    for turn in turns_of(records):
        ended = ends.get(turn.number, {}).get("speech_ended")
        if ended is None:
            continue
        figures = turn.figures
        reached = {
            "final": figures.final_ms,
            "first token": figures.first_token_ms,
            "first audio": figures.first_audio_ms,
            "audible": figures.audible_ms,
        }
        turns.append(
            {
                "number": turn.number,
                "caller": turn.caller,
                "speech_ended": ended,
                "reason": ends[turn.number]["reason"],
                "fate": "withdrawn" if turn.withdrawn else "cut" if turn.number in cut else "",
                "stages": [{"name": name, "ms": ms} for name, ms in reached.items() if ms is not None],
            }
        )
    return turns


def _ends(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Where the caller's turns were over, and why; entries of keys among them."""
    kept = ("turn", "text", "speech_ended", "reason")
    return [
        {"t": record.t}
        | {name: record.data[name] for name in kept}
        | {name: record.data.get(name, False) for name in ("continues", "guessed", "keyed")}
        for record in records
        if record.kind == "turn.ended"
    ]


def _verdicts(records: Iterable[Record]) -> list[dict[str, Any]]:
    """What a turn detector, or a recogniser that judges turns, thought."""
    verdicts = []
    for record in records:
        if record.kind == "turn.verdict":
            verdicts.append({"t": record.t, "probability": record.data["probability"], "hint": ""})
        elif record.kind == "turn.hint":
            probability = 0.0 if record.data["hint"] == "resumed" else 1.0
            verdicts.append({"t": record.t, "probability": probability, "hint": record.data["hint"]})
    return verdicts


def _guesses(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Answers that were begun early, until they were found to be right or wrong."""
    guesses: list[dict[str, Any]] = []
    for record in records:
        data = record.data
        if record.kind == "decision" and data["what"] == "guess":
            guesses.append({"from": record.t, "to": records[-1].t, "fate": "open", "reason": data["reason"], "why": ""})
        elif guesses and guesses[-1]["fate"] == "open":
            if record.kind == "decision" and data["what"] == "take back the guess":
                guesses[-1] |= {"to": record.t, "fate": "taken back", "why": data["reason"]}
            elif record.kind == "turn.ended" and data.get("guessed"):
                guesses[-1] |= {"to": record.t, "fate": "right", "why": data["reason"]}
    return guesses


def _flags(records: Iterable[Record]) -> list[dict[str, Any]]:
    """What happened at a moment, and why, where it has no place of its own: for people."""
    flags = []
    taken_back = -1.0
    for record in records:
        data = record.data
        match record.kind:
            case "decision":
                what = data["what"]
                if what == "take back the guess":
                    taken_back = record.t
                if what in _DRAWN or what.startswith(NO_TURN) or (what == "drop" and record.t == taken_back):
                    continue
                flag = ("decision", what, data["reason"])
            case "turn.ended":
                flag = ("turn", _turn_label(data), data["reason"])
            case "mark":
                flag = ("mark", f"mark {data['name']}", data["status"])
            case "provider.failed":
                flag = ("failure", f"{data['role']} failed", f"{data['provider']}: {data['message']}")
            case "provider.ready":
                flag = ("ready", f"{data['role']} ready", data["provider"])
            case "media.bad":
                flag = ("failure", "bad media", str(data["problem"]))
            case "call.ended":
                flag = ("end", f"ended by {data['ended_by']}", data["reason"])
            case _:
                continue
        flags.append({"t": record.t, "kind": flag[0], "what": flag[1], "reason": flag[2]})
    return flags


def _turn_label(data: dict[str, Any]) -> str:
    if data.get("keyed"):
        return f"turn {data['turn']}: keys"
    if data.get("continues"):
        return f"turn {data['turn']}, with {data['turn'] - 1}"
    return f"turn {data['turn']}"
