"""Who said what, as it was heard, from a call's journal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from callengine.journal import Record
from callengine.records.placement import agent_audio, end_of_call, stream_format


def transcript(records: Iterable[Record]) -> dict[str, Any]:
    """The transcript as plain data (JSON can hold it).

    ``call_id``, ``carrier``, ``started`` (wall time, ISO 8601), ``duration`` (seconds), ``ended_by``, ``reason`` (None
    where the journal breaks off), and ``entries`` in order of time, each with ``who`` (``caller`` or ``agent``),
    ``text``, ``from`` and ``to`` (seconds since the stream started) and ``turn``.

    An agent's entry has as ``text`` what was heard; ``said`` only where that differs; ``interrupted_by`` (``caller``,
    ``application``, ``hangup`` or None) and ``certainty`` (``marks`` or ``clock``). A caller's entry without a turn
    (None) is something that the agent heard and took for no turn, such as a backchannel.
    """
    records = list(records)
    started = next((record for record in records if record.kind == "call.started"), None)
    ended = next((record for record in records if record.kind == "call.ended"), None)
    label: dict[str, Any] = {} if started is None else started.data
    entries = caller_entries(records) + agent_entries(records)
    return {
        "call_id": label.get("call_id", records[0].call_id if records else ""),
        "carrier": label.get("carrier"),
        "started": label.get("wall_time"),
        "duration": round(end_of_call(records), 3),
        "ended_by": None if ended is None else ended.data["ended_by"],
        "reason": None if ended is None else ended.data["reason"],
        "entries": sorted(entries, key=lambda entry: (entry["from"], entry["to"])),
    }


def write_transcript(records: Iterable[Record], path: str | Path) -> None:
    """Write the transcript as a JSON file, in UTF-8."""
    text = json.dumps(transcript(records), ensure_ascii=False, indent=2) + "\n"
    Path(path).write_bytes(text.encode("utf-8", "replace"))


def lines(records: Iterable[Record]) -> list[str]:
    """The transcript for people: a line an entry, with its time, and a last line that says how the call ended."""
    whole = transcript(records)
    told = [f"{clock(entry['from'])}  {entry['who']:<6}  {_words(entry)}" for entry in whole["entries"]]
    if whole["ended_by"] is not None:
        told.append(f"{clock(whole['duration'])}  ended by {whole['ended_by']}: {_printable(whole['reason'])}")
    return told


def clock(seconds: float) -> str:
    """A time in a call: minutes, seconds, tenths."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def caller_entries(records: Sequence[Record]) -> list[dict[str, Any]]:
    """What the caller said: an entry for each turn, and for each final transcript that no turn took up."""
    onsets: dict[int, float] = {}
    stops: dict[int, float] = {}
    finals: dict[int, dict[str, Any]] = {}
    taken: set[int] = set()
    entries = []
    for record in records:
        data = record.data
        utterance = data.get("utterance", 0)
        match record.kind:
            case "speech.started":
                onsets[utterance] = data["onset"]
            case "speech.stopped":
                stops[utterance] = data["ended"]
            case "transcript" if data["final"] and data["text"]:
                finals[utterance] = _caller_entry(data["text"], record.t, None)
            case "turn.ended" if data["text"]:
                taken.add(utterance)
                to = record.t if data["speech_ended"] is None else data["speech_ended"]
                entry = _caller_entry(data["text"], to, data["turn"])
                entry["from"] = min(onsets.get(utterance, to), to)
                entries.append(entry)
    for utterance, entry in finals.items():
        if utterance not in taken:
            entry["to"] = stops.get(utterance, entry["to"])
            entry["from"] = min(onsets.get(utterance, entry["to"]), entry["to"])
            entries.append(entry)
    return entries


def agent_entries(records: Sequence[Record]) -> list[dict[str, Any]]:
    """What the agent said: an entry for each reply, from its first sample's playout to the last one heard."""
    audio_format = stream_format(records)
    rate = audio_format.sample_rate
    spans: dict[int, tuple[int, int]] = {}
    for part in agent_audio(records, audio_format):
        first, last = spans.get(part.utterance, (part.start, part.start))
        spans[part.utterance] = (first, max(last, part.start + part.heard if part.heard else last))
    entries = []
    for record in records:
        data = record.data
        if record.kind != "reply.ended" or not data["said"]:
            continue  # a reply that was dropped before it had a word
        first, last = spans.get(data["utterance"], (round(record.t * rate),) * 2)
        entry = {"who": "agent", "text": data["heard"]}
        if data["said"] != data["heard"]:
            entry["said"] = data["said"]
        entry |= {"from": round(first / rate, 3), "to": round(last / rate, 3), "turn": data["turn"]}
        entry |= {"interrupted_by": data["interrupted_by"], "certainty": data["certainty"]}
        entries.append(entry)
    return entries


def _caller_entry(text: str, at: float, turn: int | None) -> dict[str, Any]:
    return {"who": "caller", "text": text, "from": at, "to": at, "turn": turn}


def _words(entry: dict[str, Any]) -> str:
    text = _printable(entry["text"])
    if entry["who"] == "caller":
        return text if entry["turn"] is not None else f"({text})"
    if "said" not in entry:
        return text
    said, by = _printable(entry["said"]), entry["interrupted_by"]
    unheard = said[len(text) :].strip() if said.startswith(text) else said
    why = f"cut by the {by}; " if by in ("caller", "application") else "the call ended; " if by else ""
    return f"{text} [{why}not heard: {unheard}]".lstrip()


def _printable(text: str) -> str:
    """Without what moves a terminal's cursor or colours it: the words come from outside."""
    return "".join(character if character.isprintable() else " " for character in text)
