"""The agent's side: the reply on the line, the one before it, and their echo."""

from __future__ import annotations

import attrs

from callengine.events import ReplyAudible, ReplyClosed, ReplyOpened, ReplyText
from callengine.turns.actions import Drop
from callengine.turns.listening import Utterance
from callengine.turns.overlap import echoes
from callengine.turns.phrases import normal

ECHO_TAIL = 0.5
"""Seconds after the agent's last word until which its echo may have sounded: a telephone line's 0.1 to 0.25, and the
time in which the carrier still plays what it has buffered. What goes on for longer is the caller."""


@attrs.define
class Reply:
    """What the agent is saying, or about to say."""

    number: int
    interruptible: bool
    may_wait: bool
    text: str = ""
    audible_at: float | None = None
    closed_at: float | None = None
    cut: bool = False
    """Cut or dropped, and on its way out."""
    cut_by: int | None = None
    """The utterance that cut it."""
    cut_into: float = 0.0
    """Seconds of it that could be heard when the caller set in to cut it."""
    answered: bool = False
    """Whether the caller's words came, so that nobody wants the rest of it."""
    early: bool = False
    """Whether it began before the caller's last turn was over, and so is no answer to that."""
    false_alarms: int = 0
    """Sounds that disturbed it and were no interruption, nor a backchannel."""
    paused_at: float | None = None
    hushed: float = 0.0
    """Seconds that it was paused, before the present pause."""

    def audible_for(self, at: float) -> float:
        """Seconds of it that could be heard by now."""
        if self.audible_at is None:
            return 0.0
        return max(0.0, (at if self.paused_at is None else self.paused_at) - self.audible_at - self.hushed)

    def asks(self) -> bool:
        """Whether it ends with a question."""
        return self.text.rstrip().endswith(("?", "？"))


class Replies:
    """Follows the replies of one call. ``echo_guard`` says whether the caller's words are compared with them."""

    def __init__(self, echo_guard: bool) -> None:
        self._echo_guard = echo_guard
        self._compared: tuple[str, str, bool] = "", "", False
        """The last words that were compared with a reply, the reply's, and whether they are its echo."""
        self.reply: Reply | None = None
        """What is on the line, or about to be."""
        self.last: Reply | None = None
        """The one before."""

    def opened(self, fact: ReplyOpened) -> None:
        self.reply = Reply(fact.reply, fact.interruptible, fact.may_wait)

    def told(self, fact: ReplyText) -> None:
        if (reply := self._this(fact.reply)) is not None:
            reply.text = f"{reply.text} {fact.text}".strip()

    def audible(self, fact: ReplyAudible) -> None:
        if (reply := self._this(fact.reply)) is not None:
            reply.audible_at = fact.at

    def closed(self, fact: ReplyClosed) -> Reply | None:
        """It is over; returns it."""
        reply = self._this(fact.reply)
        if reply is not None:
            reply.closed_at = fact.at
            self.last, self.reply = reply, None
        return reply

    def _this(self, number: int) -> Reply | None:
        return self.reply if self.reply is not None and self.reply.number == number else None

    @property
    def speaking(self) -> Reply | None:
        """The reply that is audible, and was not cut."""
        reply = self.reply
        return reply if reply is not None and reply.audible_at is not None and not reply.cut else None

    def drop(self, reason: str) -> list[Drop]:
        """Forget a reply that nobody has heard, unless it has to be said."""
        reply = self.reply
        if reply is None or reply.cut or reply.audible_at is not None:
            return []
        if not (reply.may_wait and reply.interruptible):
            return []
        reply.cut = reply.answered = True
        return [Drop(reply.number, reason)]

    def overtaken(self, reason: str) -> list[Drop]:
        """The caller said something to which the reply on the line, if there is one, is no answer."""
        if self.reply is not None:
            self.reply.early = True
        return self.drop(reason)

    def place(self, utterance: Utterance) -> None:
        """Note what sounded, or had just sounded, when this began."""
        reply, last = self.reply, self.last
        if reply is not None and reply.audible_at is not None and reply.audible_at <= utterance.onset:
            utterance.over, utterance.into = reply.number, reply.audible_for(utterance.onset)
        elif last is not None and last.closed_at is not None and utterance.onset <= last.closed_at + ECHO_TAIL / 2:
            utterance.over = last.number

    def repeats(self, utterance: Utterance) -> bool:
        """Whether these words are a piece of what the agent is saying. Where they are few they can be the caller's all
        the same, who confirms them: so they are a turn, but no proof that he interrupts."""
        reply = self.reply
        if not self._echo_guard or reply is None or reply.number != utterance.over:
            return False
        return f" {normal(utterance.text)} " in f" {normal(reply.text)} "

    def is_echo(self, utterance: Utterance) -> bool:
        """Whether these words are the agent's own, coming back while it speaks or a moment later."""
        if not self._echo_guard or utterance.over is None or not utterance.text:
            return False
        for reply in (self.reply, self.last):
            if reply is None or reply.number != utterance.over or reply.audible_at is None:
                continue
            if reply.closed_at is not None and (utterance.ended or 0.0) > reply.closed_at + ECHO_TAIL:
                return False
            if self._compared[:2] != (utterance.text, reply.text):
                self._compared = utterance.text, reply.text, echoes(utterance.text, reply.text)
            return self._compared[2]
        return False
