"""What a call's program has to deal with, one thing after the other."""

from __future__ import annotations

from typing import TypeAlias

import attrs
import trio


@attrs.frozen(repr=False)
class CallerTurn:
    """What the caller said, or keyed in, when it was his turn."""

    number: int
    """Counts the caller's turns from 1."""
    text: str
    """His words, unmodified."""
    speech_ended: float | None = None
    """When his last sound ended (engine time); None where only a transcript told of it."""
    continues: bool = False
    """Whether this goes on with the turn before, whose answer he has not heard, or hardly: answer both as one."""
    keyed: bool = False
    """Whether ``text`` is what he keyed in, in one entry: digits, ``*``, A-D; empty for the terminator alone. They may
    be secret, and are in no log or journal."""

    def __repr__(self) -> str:
        said = f"{'•' * len(self.text)} (keyed in)" if self.keyed else repr(self.text)
        return f"CallerTurn({self.number}, {said})"


class OpenTurn:
    """A turn that is to be answered. What becomes of it is decided while the answer is being made."""

    def __init__(self, turn: CallerTurn, *, guess: bool = False) -> None:
        self.turn = turn
        self.certain = trio.Event()
        """Set once these are the caller's final words: before that nothing of the answer may be heard, or have effects
        outside."""
        self.withdrawn = trio.Event()
        """Set when nobody wants the answer any more: the guess was wrong, or the caller went on."""
        if not guess:
            self.certain.set()


@attrs.frozen
class Unfinished:
    """Nothing was said after all: the agent should go on with this."""

    text: str


@attrs.frozen
class NotUnderstood:
    """The caller spoke, and no words came of it in time."""


@attrs.frozen
class Away:
    """The caller has been silent for long: the ``number``-th time in a row, from 1."""

    number: int


@attrs.frozen
class EndsSoon:
    """The call has lasted for almost as long as it may; so many seconds are left."""

    remaining: float


Item: TypeAlias = OpenTurn | Unfinished | NotUnderstood | Away | EndsSoon
"""What a program has to deal with next."""
