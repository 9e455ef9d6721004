"""From a call's records to what a caller would say of it: one row for every turn, intrusion and reply."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import attrs

from benchmarks.turns.play import PATIENCE, SETTLED, Played, SaidIntrusion, SaidTurn, Span
from callengine.journal import Record

AFTER_SPEECH = 1.0
"""The same after the caller's turn: later, nothing that disturbs the agent was his doing."""
SILENCED = ("barge_in", "reply.paused", "reply.ducked")


@attrs.frozen
class TurnRow:
    """How the engine dealt with one turn of the caller. NaN: it never happened."""

    call: int
    exchange: int
    voice: str
    line: str
    group: str
    kind: str
    clips: tuple[str, ...]
    pauses: tuple[float, ...]
    at: float
    """When the caller began to speak, in seconds of the call."""
    cut_off: bool
    """The engine took the turn before the caller's last word had ended."""
    mended: bool
    """Both halves were answered as one all the same."""
    talked_over: bool
    """The agent was audible then, before the caller's last word."""
    delay: float
    """Seconds from the end of the caller's last word to the decision that his turn is over."""
    text: str
    reason: str
    """Why it was decided; of the wrong decision where there is one."""

    @property
    def missed(self) -> bool:
        """Nothing was decided in time: the caller has to speak again."""
        return math.isnan(self.delay) or self.delay > PATIENCE


@attrs.frozen
class IntrusionRow:
    """How the engine dealt with something on the line while the agent spoke. Times in seconds; NaN: never."""

    call: int
    exchange: int
    voice: str
    line: str
    kind: str
    sound: str
    length: float
    at: float
    into: float
    """Seconds after the agent became audible."""
    silenced: float
    """From its first sound to the agent's last at full voice."""
    cancelled: bool
    """The reply was ended by it."""
    resumed: float
    """From its end until the agent, which had paused or ducked, went on at full voice; less than 0: before its end."""
    talk_over: float
    """Seconds for which both were audible at full voice."""
    answered: bool
    """Words of it became a turn, then or when the agent had finished."""
    reason: str

    @property
    def disturbed(self) -> bool:
        """Whether the agent was silenced at all, for however short."""
        return not math.isnan(self.silenced)


@attrs.frozen
class ReplyRow:
    """One of the agent's replies that were heard, and whether it was disturbed while the caller made no sound."""

    call: int
    line: str
    disturbed_at: float
    """NaN: it was not."""
    reason: str


@attrs.frozen
class Score:
    """Every row of some calls, and the seconds that they lasted."""

    turns: tuple[TurnRow, ...]
    intrusions: tuple[IntrusionRow, ...]
    replies: tuple[ReplyRow, ...]
    seconds: float


def score(played: Sequence[Played]) -> Score:
    """All rows of these calls."""
    rows = [(_Call(each), each) for each in played]
    return Score(
        tuple(call.turn(said) for call, each in rows for said in each.turns),
        tuple(call.intrusion(said) for call, each in rows for said in each.intrusions if call.was_speaking(said)),
        tuple(row for call, _ in rows for row in call.replies()),
        sum(each.seconds for each in played),
    )


class _Call:
    """The records of one call, and questions to them."""

    def __init__(self, played: Played) -> None:
        self._played = played
        self._times = [record.t for record in played.records]
        self._quieter = _quieter(played.records)

    def _between(self, start: float, end: float) -> Sequence[Record]:
        return self._played.records[bisect_left(self._times, start) : bisect_left(self._times, end)]

    # --- turns --------------------------------------------------------------------------------------------------------

    def turn(self, said: SaidTurn) -> TurnRow:
        script, turn = self._played.script, said.turn
        early = [r for r in self._between(said.begins, said.ends) if r.kind == "turn.ended"]
        after = self._between(said.ends, self._until(said.exchange))
        ended = next((r for r in after if r.kind == "turn.ended"), None)
        wrong = early[0].t if early else math.inf
        last = early[-1] if early else None
        if ended is None and last is not None and last.t > said.spans[-1][0]:
            ended = last  # taken within the last word, with all that the recogniser needed of it
        shown = early[0] if early else ended
        return TurnRow(
            call=script.number,
            exchange=said.exchange,
            voice=script.voice,
            line=script.line.kind,
            group=turn.group,
            kind=turn.kind,
            clips=tuple(clip.name for clip in turn.pieces),
            pauses=turn.pauses,
            at=said.begins,
            cut_off=bool(early),
            mended=bool(early) and ended is not None and bool(ended.data.get("continues")),
            talked_over=any(start < said.ends and end > wrong for start, end in self._played.audible),
            delay=math.nan if ended is None else ended.t - said.ends,
            text="" if shown is None else str(shown.data.get("text", "")),
            reason="" if shown is None else str(shown.data.get("reason", "")),
        )

    def _until(self, exchange: int) -> float:
        """When what belongs to an exchange's turn is over: at its intrusion, or at the next turn."""
        later = [said.span[0] for said in self._played.intrusions if said.exchange == exchange]
        later += [said.begins for said in self._played.turns if said.exchange > exchange]
        return min(later, default=math.inf)

    # --- intrusions ---------------------------------------------------------------------------------------------------

    def was_speaking(self, said: SaidIntrusion) -> bool:
        """Whether the agent's reply was still going on when it came: else nothing can be said of it."""
        before = self._between(0.0, said.span[0])
        return not any(r.kind in ("barge_in", "reply.ended") and _of(r, said.reply) for r in before)

    def intrusion(self, said: SaidIntrusion) -> IntrusionRow:
        script = self._played.script
        begins, ends = said.span
        next_turn = min((t.begins for t in self._played.turns if t.exchange > said.exchange), default=math.inf)
        window = self._between(begins, min(ends + SETTLED, next_turn))
        silenced = next((r for r in window if r.kind in SILENCED and _of(r, said.reply)), None)
        spoken = self._spoken(said.reply)
        return IntrusionRow(
            call=script.number,
            exchange=said.exchange,
            voice=script.voice,
            line=script.line.kind,
            kind=said.intrusion.kind,
            sound=said.intrusion.sound.name,
            length=ends - begins,
            at=begins,
            into=begins - spoken,
            silenced=math.nan if silenced is None else self._takes_effect(silenced) - begins,
            cancelled=any(r.kind == "barge_in" and _of(r, said.reply) for r in window),
            resumed=self._resumed(said, window, silenced),
            talk_over=self._talk_over(said.span),
            answered=any(r.kind == "turn.ended" for r in self._between(begins, next_turn)),
            reason=_reason(window),
        )

    def _spoken(self, reply: int) -> float:
        return next((r.t for r in self._played.records if r.kind == "reply.audible" and _of(r, reply)), math.nan)

    def _resumed(self, said: SaidIntrusion, window: Sequence[Record], silenced: Record | None) -> float:
        if silenced is None or any(r.kind == "barge_in" and _of(r, said.reply) for r in window):
            return math.nan
        resumed = [r for r in window if r.kind == "reply.resumed" and _of(r, said.reply)]
        return self._takes_effect(resumed[-1]) - said.span[1] if resumed else math.nan

    def _takes_effect(self, record: Record) -> float:
        """When the caller hears of it: what the carrier holds already is played as it is, unless it is cleared."""
        if record.kind in ("barge_in", "reply.paused"):
            return record.t
        for sent in self._between(record.t, math.inf):
            if sent.kind == "media.sent" and sent.data["utterance"] == record.data["utterance"]:
                return max(record.t, float(sent.data["playout"]))
        return record.t

    def _talk_over(self, span: Span) -> float:
        both = [_common(span, audible) for audible in self._played.audible]
        return sum(map(_length, both)) - sum(_length(_common(each, quiet)) for each in both for quiet in self._quieter)

    # --- replies ------------------------------------------------------------------------------------------------------

    def replies(self) -> Iterator[ReplyRow]:
        """Those that were heard. What happens within a second of the caller's sounds was his doing."""
        spans = [(t.begins, t.ends + AFTER_SPEECH) for t in self._played.turns]
        spans += [(i.span[0], i.span[1] + SETTLED) for i in self._played.intrusions]
        silenced = [r for r in self._played.records if r.kind in SILENCED]
        alone = [r for r in silenced if not any(start <= r.t <= end for start, end in spans)]
        for heard in self._played.records:
            if heard.kind == "reply.audible":
                wrong = next((r for r in alone if _of(r, heard.data["utterance"])), None)
                reason = "" if wrong is None else _reason(self._between(wrong.t - 0.01, wrong.t + 0.01))
                at = math.nan if wrong is None else wrong.t
                yield ReplyRow(self._played.script.number, self._played.script.line.kind, at, reason)


def _of(record: Record, reply: int) -> bool:
    return bool(record.data.get("utterance") == reply)


def _reason(window: Sequence[Record]) -> str:
    """What was decided, in order."""
    return "; ".join(f"{r.data['what']}: {r.data['reason']}" for r in window if r.kind == "decision")


def _quieter(records: Sequence[Record]) -> list[Span]:
    """When the agent's audio was played, but ducked."""
    spans: list[Span] = []
    since = math.nan
    ducked = -1
    waiting = ""
    for r in records:
        if r.kind in ("reply.ducked", "reply.resumed"):
            waiting, ducked = r.kind, r.data["utterance"]
        elif r.kind == "media.sent" and waiting and r.data["utterance"] == ducked:
            if waiting == "reply.ducked":
                since = float(r.data["playout"])
            elif not math.isnan(since):
                spans.append((since, float(r.data["playout"])))
                since = math.nan
            waiting = ""
        elif r.kind == "reply.ended" and not math.isnan(since) and r.data["utterance"] == ducked:
            spans.append((since, r.t))
            since, waiting = math.nan, ""
    return spans


def _common(one: Span, other: Span) -> Span:
    return max(one[0], other[0]), min(one[1], other[1])


def _length(span: Span) -> float:
    return max(0.0, span[1] - span[0])
