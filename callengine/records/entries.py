"""The entries of a transcript, from a call's journal: what each side said, and what happened beside the words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from callengine.journal import Record
from callengine.records.interruptions import interruptions_of, softenings_of
from callengine.records.placement import agent_audio, stream_format
from callengine.records.replies import Reply, replies_of

NO_TURN = "no turn: "
"""How a decision begins that words of the caller's line are no turn; the kind follows, and is the reason's last
part."""


@attrs.define
class _Understood:
    """The words of one of the caller's utterances."""

    text: str
    t: float
    final: bool
    why: str = ""
    """What keeps it from being a turn."""


def caller_entries(records: Sequence[Record]) -> list[dict[str, Any]]:
    """What the caller said: an entry for each turn, and for each final transcript that no turn took up."""
    onsets: dict[int, float] = {}
    stops: dict[int, float] = {}
    open_words: dict[int, _Understood] = {}
    entries = []

    def entry(text: str, since: float, to: float, turn: int | None, reason: str) -> dict[str, Any]:
        return {"who": "caller", "text": text, "from": min(since, to), "to": to, "turn": turn, "reason": reason}

    for record in records:
        data = record.data
        match record.kind:
            case "speech.started":
                onsets[data["utterance"]] = data["onset"]
            case "speech.stopped":
                stops[data["utterance"]] = data["ended"]
            case "transcript" if data["text"]:
                open_words[data["utterance"]] = _Understood(data["text"], record.t, data["final"])
            case "transcript" if data["final"]:
                open_words.pop(data["utterance"], None)
            case "decision" if data["what"].startswith(NO_TURN):
                _set_aside(open_words, data["what"].removeprefix(NO_TURN), data["reason"])
            case "turn.ended" if data.get("keyed"):
                entries.append(entry(data["text"], record.t, record.t, data["turn"], data["reason"]) | {"keyed": True})
            case "turn.ended" if data["text"]:
                taken = _taken_up(open_words, data["text"], data["utterance"])
                to = record.t if data["speech_ended"] is None else data["speech_ended"]
                since = onsets.get(taken[0], to)
                entries.append(entry(data["text"], since, to, data["turn"], data["reason"]))
                if data.get("continues"):
                    entries[-1]["continues"] = True
                for number in taken:
                    open_words.pop(number, None)
    for number, words in open_words.items():
        if words.final:
            to = stops.get(number, words.t)
            entries.append(entry(words.text, onsets.get(number, to), to, None, words.why))
    return entries


def _set_aside(open_words: Mapping[int, _Understood], kind: str, reason: str) -> None:
    """These words are no turn; the decision names them, and not their utterance."""
    for words in reversed(list(open_words.values())):
        end = f": {words.text.strip()!r}"
        if words.final and not words.why and reason.endswith(end):
            words.why = f"{kind}, {reason.removesuffix(end)}"
            return


def _taken_up(open_words: Mapping[int, _Understood], text: str, last: int) -> list[int]:
    """The utterances that make up a turn which ends with this one: they are in its text, one behind the other.

    What was set aside counts only where it has to: "yes" over the end of a question is an answer after all.
    """
    known = [number for number in sorted(open_words) if number <= last]
    for candidates in ([number for number in known if not open_words[number].why], known):
        taken, rest = [], text
        for number in candidates:
            words = open_words[number].text.strip()
            if rest.startswith(words):
                taken.append(number)
                rest = rest[len(words) :].lstrip()
        if taken and not rest:
            return taken
    return [last]


def agent_entries(records: Sequence[Record]) -> list[dict[str, Any]]:
    """What the agent said: an entry for each reply, from its first sample's playout to the last one heard. Replies to a
    wrong guess are none."""
    audio_format = stream_format(records)
    rate = audio_format.sample_rate
    spans: dict[int, tuple[int, int]] = {}
    for part in agent_audio(records, audio_format):
        first, last = spans.get(part.utterance, (part.start, part.start))
        spans[part.utterance] = (first, max(last, part.start + part.heard if part.heard else last))
    cuts = {cut.utterance: cut.reason for cut in interruptions_of(records)}
    entries = []
    for reply in replies_of(records):
        if reply.ended is None or not reply.said or reply.taken_back:
            continue  # it was dropped before it had a word, or nobody knows of it
        first, last = spans.get(reply.utterance, (round(reply.ended * rate),) * 2)
        entry = _agent_entry(reply) | {"from": round(first / rate, 3), "to": round(last / rate, 3)}
        if reply.utterance in cuts:
            entry["cut_reason"] = cuts[reply.utterance]
        entries.append(entry)
    return entries


def _agent_entry(reply: Reply) -> dict[str, Any]:
    entry: dict[str, Any] = {"who": "agent", "text": reply.heard}
    if reply.said != reply.heard:
        entry["said"] = reply.said
    entry |= {"turn": reply.turn, "interrupted_by": reply.interrupted_by, "certainty": reply.certainty}
    if reply.withdrawn:
        entry["withdrawn"] = True
    if reply.prompt:
        entry |= {"prompt": reply.prompt, "reason": reply.reason}
    return entry


def notes(records: Iterable[Record]) -> list[dict[str, Any]]:
    """What happened beside the words: the agent was paused or ducked for nothing, an entry of keys was begun again."""
    records = list(records)
    found = []
    for soft in softenings_of(records):
        if soft.then == "carry on":
            what = "paused" if soft.how == "pause" else "more quiet"
            found.append(_note(soft.start, "agent", f"{what} for {soft.end - soft.start:.1f} s", soft.why))
    for record in records:
        if record.kind == "decision" and record.data["what"] == "begin the entry again":
            found.append(_note(record.t, "caller", "begins the entry again", record.data["reason"]))
    return found


def _note(at: float, who: str, what: str, reason: str) -> dict[str, Any]:
    return {"who": who, "at": at, "what": what, "reason": reason}
