"""What a kind of slot is: it finds values in a caller's words, checks them, and says them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Protocol

import attrs

from callengine.brain.slots.words import Words


class Strength(IntEnum):
    """How plainly the words say what they are."""

    BARE = 0
    """A value that counts only as the answer to its own question: "eight", "Harrison"."""
    LIKELY = 1
    """A value with a hint: "for eight"."""
    SURE = 2
    """A value that nothing else can be: "eight people", "at half past seven", "my name is Harrison"."""


@attrs.frozen
class SlotContext:
    """What a value may depend on."""

    today: datetime.date


@attrs.frozen
class Found:
    """A value in the caller's words: tokens ``start`` up to, not including, ``end``.

    ``open_ended``: the caller may go on with it in his next turn (a spelled name, a dictated number).
    """

    value: Any
    start: int
    end: int
    strength: Strength = Strength.SURE
    open_ended: bool = False


class SlotKind(Protocol):
    """A type of slot. Subclass it, write `find` and `say`, and give it to `Slot(kind=...)`; the rest has defaults.

    Kinds are frozen values that every call shares; they hold nothing of a call. `order` says which kind reads a text
    first (dates before times before numbers): what one kind took, the later ones no longer see.
    """

    @property
    def order(self) -> int:
        """The place of this kind among the others: lower reads first."""
        return 50

    @property
    def hint(self) -> str:
        """An example for a caller who was not understood, such as "half past seven"."""
        return ""

    @property
    def accumulates(self) -> bool:
        """Whether a further value is added to the earlier one (wishes) instead of replacing it (a time)."""
        return False

    def find(self, words: Words, context: SlotContext) -> Sequence[Found]:
        """Every value in ``words``, best first. Never raises for anything a caller can say."""
        ...

    def say(self, value: Any) -> str:
        """The value as a synthesiser should speak it."""
        ...

    def check(self, value: Any, context: SlotContext) -> str | None:
        """A sentence for the caller that says why this value cannot be, or None if it can."""
        del value, context
        return None

    def complete(self, value: Any) -> bool:
        """Whether the value is whole. The caller is asked to go on with one that is not (the first digits of a
        number), and the pieces are joined."""
        del value
        return True

    def note(self, value: Any) -> str:
        """The value for the journal, masked where it is private."""
        return self.say(value)

    def join(self, earlier: Any, later: Any) -> Any:
        """One value of two pieces that came in two turns, or of the earlier and the further wishes."""
        del earlier
        return later
