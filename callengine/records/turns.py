"""The turns of a call, from its journal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import attrs

from callengine.journal import Record
from callengine.outcome import Figures, Turn
from callengine.records.replies import REST, Reply, replies_of


def turns_of(records: Iterable[Record]) -> tuple[Turn, ...]:
    """What was said and heard, exchange by exchange; the greeting is turn 0.

    Latencies count from the end of the caller's speech; only the first reply of a turn has them, and prompts such as
    "Are you still there?" have none. Replies to a guess that was taken back are in no turn.
    """
    records = list(records)
    ends = {record.data["turn"]: record for record in records if record.kind == "turn.ended"}
    replies: dict[int, list[Reply]] = {number: [] for number in ends}
    for reply in replies_of(records):
        if not reply.taken_back:
            replies.setdefault(reply.turn, []).append(reply)
    return tuple(_turn(number, ends, replies[number]) for number in sorted(replies))


def _turn(number: int, ends: dict[int, Record], replies: Sequence[Reply]) -> Turn:
    end = ends.get(number)
    about: dict[str, Any] = {} if end is None else end.data
    following = ends.get(number + 1)
    told = _told(reply for reply in replies if reply.ended is not None)
    cuts = [reply.interrupted_by for reply in told if reply.interrupted_by]
    certainty: Literal["marks", "clock"] = "clock" if any(reply.certainty == "clock" for reply in told) else "marks"
    return Turn(
        number=number,
        caller=about.get("text", ""),
        said=" ".join(reply.said for reply in told if reply.said),
        heard=" ".join(reply.heard for reply in told if reply.heard),
        complete=bool(told) and all(reply.complete for reply in told),
        interrupted_by=cuts[-1] if cuts else None,
        certainty=certainty,
        keyed=about.get("keyed", False),
        continues=about.get("continues", False),
        withdrawn=following is not None and following.data.get("continues", False),
        figures=_figures(end, replies),
    )


def _told(replies: Iterable[Reply]) -> list[Reply]:
    """The replies, where one that was cut for nothing and the rest of it are one."""
    told: list[Reply] = []
    for reply in replies:
        if told and reply.prompt == REST and _plain(reply.said) == _plain(told[-1].unheard):
            first = told[-1]
            heard = f"{first.heard} {reply.heard}".strip()
            certain = first.certainty if first.certainty == "clock" else reply.certainty
            told[-1] = attrs.evolve(reply, said=first.said, heard=heard, certainty=certain)
        else:
            told.append(reply)
    return told


def _plain(text: str) -> str:
    return " ".join(text.split())


def _figures(end: Record | None, replies: Sequence[Reply]) -> Figures:
    ended = None if end is None else end.data["speech_ended"]
    if end is None or ended is None:
        return Figures()

    def since(moments: Iterable[float | None]) -> float | None:
        moment = next((moment for moment in moments if moment is not None), None)
        return None if moment is None else round(max(0.0, moment - ended) * 1000, 1)

    answers = [reply for reply in replies if reply.answers]
    return Figures(
        final_ms=since([end.t]),
        first_token_ms=since(reply.token for reply in answers),
        first_audio_ms=since(reply.audio for reply in answers),
        audible_ms=since(reply.audible for reply in answers),
    )
