"""Who said what, as it was heard, from a call's journal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from callengine.journal import Record
from callengine.records.entries import agent_entries, caller_entries, notes
from callengine.records.placement import end_of_call


def transcript(records: Iterable[Record]) -> dict[str, Any]:
    """The transcript as plain data (JSON can hold it).

    ``call_id``, ``carrier``, ``started`` (wall time, ISO 8601), ``duration`` (seconds), ``ended_by``, ``reason`` (None
    where the journal breaks off), and ``entries`` in order of time, each with ``who`` (``caller`` or ``agent``),
    ``text``, ``from`` and ``to`` (seconds since the stream started) and ``turn``.

    An agent's entry has as ``text`` what was heard; ``said`` only where that differs; ``interrupted_by`` (``caller``,
    ``application``, ``hangup`` or None) and ``certainty`` (``marks`` or ``clock``). Where they apply, it has
    ``cut_reason``, ``withdrawn`` (true: the caller went on so soon that the next turn was answered in place of this
    one), and ``prompt`` with its ``reason``: what it was said for, where that is no answer.

    A caller's entry has a ``reason``: why the turn was over, or why it is none. An entry without a turn (None) is
    something that the agent heard and took for no turn, such as a backchannel. Where they apply, it has ``keyed``
    (true: it was keyed in, and its text is masked) and ``continues`` (true: he went on with the turn before).

    ``notes`` are what happened beside the words, each with ``who``, ``at``, ``what`` and ``reason``.
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
        "notes": sorted(notes(records), key=lambda note: note["at"]),
    }


def write_transcript(records: Iterable[Record], path: str | Path) -> None:
    """Write the transcript as a JSON file, in UTF-8."""
    text = json.dumps(transcript(records), ensure_ascii=False, indent=2) + "\n"
    Path(path).write_bytes(text.encode("utf-8", "replace"))


def lines(records: Iterable[Record]) -> list[str]:
    """The transcript for people: a line an entry, with its time, and a last line that says how the call ended. What is
    in square brackets was not said."""
    whole = transcript(records)
    told = [(entry["from"], entry["who"], _words(entry)) for entry in whole["entries"]]
    told += [(note["at"], note["who"], f"[{note['what']}: {note['reason']}]") for note in whole["notes"]]
    told.sort(key=lambda line: line[0])
    if whole["ended_by"] is not None:
        told.append((whole["duration"], "", f"ended by {whole['ended_by']}: {whole['reason']}"))
    return [f"{clock(at)}  {f'{who:<6}  ' if who else ''}{printable(text)}" for at, who, text in told]


def clock(seconds: float) -> str:
    """A time in a call: minutes, seconds, tenths."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def printable(text: str) -> str:
    """Without what moves a terminal's cursor or colours it: the words come from outside."""
    return "".join(character if character.isprintable() else " " for character in text)


def _words(entry: dict[str, Any]) -> str:
    return _caller_words(entry) if entry["who"] == "caller" else _agent_words(entry)


def _caller_words(entry: dict[str, Any]) -> str:
    text: str = entry["text"]
    if entry.get("keyed"):
        return f"{text or 'nothing'} (keyed in)"
    if entry["turn"] is not None:
        return text
    return f"({text})" + (f" [{entry['reason']}]" if entry["reason"] else "")


def _agent_words(entry: dict[str, Any]) -> str:
    text, remarks = entry["text"], []
    if "prompt" in entry:
        remarks.append(entry["reason"])
    if "said" in entry:
        said, by = entry["said"], entry["interrupted_by"]
        if entry.get("withdrawn"):
            remarks.append("withdrawn: the caller went on")
        elif by in ("caller", "application"):
            reason = entry.get("cut_reason")
            remarks.append(f"cut by the {by}" + (f": {reason}" if reason else ""))
        elif by:
            remarks.append("the call ended")
        unheard = said[len(text) :].strip() if said.startswith(text) else said
        remarks.append(f"not heard: {unheard}")
    return f"{text} [{'; '.join(remarks)}]".lstrip() if remarks else text
