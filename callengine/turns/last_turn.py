"""The caller's turn before, and whether what he says now goes on with it."""

from __future__ import annotations

import attrs

from callengine.turns.endpointing import Endpointer
from callengine.turns.entities import Expectation
from callengine.turns.replies import Replies, Reply


@attrs.define
class _Turn:
    ended: float
    """When its last sound ended."""
    finished: bool
    """Whether its words looked like a whole turn."""
    expectation: Expectation | None
    """What was expected in it."""
    text: str
    """Its words, where something was expected."""
    answered: bool = False
    """Whether enough of an answer was audible, in replies that are over."""


class LastTurn:
    """Of one call. ``split`` is how many seconds of an answer must have been audible before the caller set in, for it
    to have been one."""

    def __init__(self, split: float, replies: Replies) -> None:
        self._split = split
        self._replies = replies
        self._turn: _Turn | None = None

    @property
    def goes_on(self) -> bool:
        """Whether what the caller says now goes on with it, because he has hardly heard an answer."""
        turn, reply = self._turn, self._replies.reply
        return turn is not None and not (turn.answered or (reply is not None and self._answers(reply)))

    def closed(self, reply: Reply) -> None:
        """A reply is over."""
        if self._turn is not None and self._answers(reply):
            self._turn.answered = True

    def _answers(self, reply: Reply) -> bool:
        if reply.audible_at is None or reply.early:
            return False
        return not reply.cut or reply.cut_into >= self._split

    def with_it(self, text: str, expectation: Expectation | None) -> tuple[str, Expectation | None]:
        """The words of the caller's turn with those of the last one, if it goes on with that, and what is expected in
        them."""
        if self._turn is None or not self.goes_on:
            return text, expectation
        return f"{self._turn.text} {text}".lstrip(), expectation or self._turn.expectation

    def teach(self, endpointer: Endpointer, onset: float) -> None:
        """Another turn is over, whose first sound was at ``onset``: by now it is known whether this one was."""
        if self._turn is None:
            return
        if self.goes_on:
            endpointer.went_on(onset - self._turn.ended, finished=self._turn.finished)
        else:
            endpointer.was_over()

    def becomes(self, text: str, expectation: Expectation | None, *, ended: float, finished: bool) -> None:
        """Another turn is over."""
        text, expectation = self.with_it(text, expectation)
        self._turn = _Turn(ended, finished, expectation, text if expectation is not None else "")
