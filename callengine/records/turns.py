"""The turns of a call, from its journal."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from callengine.journal import Record
from callengine.outcome import Figures, Turn


@attrs.define
class _Draft:
    number: int
    caller: str = ""
    speech_ended: float | None = None
    final: float | None = None
    token: float | None = None
    audio: float | None = None
    audible: float | None = None
    replies: list[dict[str, object]] = attrs.field(factory=list)

    def finish(self) -> Turn:
        complete = bool(self.replies) and all(reply["complete"] for reply in self.replies)
        cuts = [str(reply["interrupted_by"]) for reply in self.replies if reply["interrupted_by"]]
        clock = any(reply["certainty"] == "clock" for reply in self.replies)
        return Turn(
            number=self.number,
            caller=self.caller,
            said=" ".join(str(reply["said"]) for reply in self.replies if reply["said"]),
            heard=" ".join(str(reply["heard"]) for reply in self.replies if reply["heard"]),
            complete=complete,
            interrupted_by=cuts[-1] if cuts else None,
            certainty="clock" if clock else "marks",
            figures=Figures(
                final_ms=self._since(self.final),
                first_token_ms=self._since(self.token),
                first_audio_ms=self._since(self.audio),
                audible_ms=self._since(self.audible),
            ),
        )

    def _since(self, moment: float | None) -> float | None:
        if moment is None or self.speech_ended is None:
            return None
        return round(max(0.0, moment - self.speech_ended) * 1000, 1)


def turns_of(records: Iterable[Record]) -> tuple[Turn, ...]:
    """What was said and heard, exchange by exchange; the greeting is turn 0.

    Latencies count from the end of the caller's speech; only the first reply of a turn has them.
    """
    drafts: dict[int, _Draft] = {}
    turn_of_utterance: dict[int, int] = {}
    for record in records:
        data = record.data
        match record.kind:
            case "turn.ended":
                draft = drafts[data["turn"]] = _Draft(data["turn"], data["text"], data["speech_ended"], record.t)
            case "reply.started":
                turn_of_utterance[data["utterance"]] = data["turn"]
            case "reply.token" | "reply.audio":
                draft = drafts.setdefault(data["turn"], _Draft(data["turn"]))
                part = record.kind.removeprefix("reply.")
                if getattr(draft, part) is None:
                    setattr(draft, part, record.t)
            case "reply.audible":
                number = turn_of_utterance.get(data["utterance"], 0)
                draft = drafts.setdefault(number, _Draft(number))
                if draft.audible is None:
                    draft.audible = record.t
            case "reply.ended":
                draft = drafts.setdefault(data["turn"], _Draft(data["turn"]))
                draft.replies.append(data)
    return tuple(drafts[number].finish() for number in sorted(drafts))
