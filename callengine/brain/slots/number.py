"""How many: "four people", "a table for two", "there are eight or nine of us"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from callengine.brain.slots.base import Found, SlotContext, SlotKind, Strength
from callengine.brain.slots.words import Words, cardinal, in_words

_NOT_A_COUNT = {"o'clock", "oclock", "am", "pm", "past", "to", "thirty", "fifteen", "st", "nd", "rd", "th"}
_HOMOPHONES = {"too": 2, "to": 2}


@attrs.frozen
class Number(SlotKind):
    """A count from ``minimum`` to ``maximum``, both included.

    ``one`` and ``many`` are what is counted ("person", "people"); ``also`` are further words for it; ``after`` are
    the phrases that come before a count ("party of"). A value outside of the bounds is answered with ``refusal``
    (by default a sentence that names them) and asked for again.
    """

    one: str = ""
    many: str = ""
    also: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int = 999
    refusal: str | None = None

    order = 40

    @classmethod
    def of_people(cls, *, minimum: int = 1, maximum: int = 999, refusal: str | None = None) -> Number:
        """People at a table, in a room, on a trip."""
        return cls(
            one="person",
            many="people",
            also=("persons", "guests", "adults", "diners", "covers", "pax", "friends"),
            after=("group of", "party of", "table for", "room for", "seats for", "we are", "we'll be", "there are"),
            minimum=minimum,
            maximum=maximum,
            refusal=refusal,
        )

    @property
    def hint(self) -> str:
        return self.say(min(max(4, self.minimum), self.maximum))

    @property
    def _people(self) -> bool:
        """People are counted in more ways than things: "just me", "the two of us", "for four"."""
        return self.many == "people"

    @property
    def _units(self) -> frozenset[str]:
        return frozenset(filter(None, (self.one, self.many, *self.also)))

    def find(self, words: Words, context: SlotContext) -> Sequence[Found]:
        del context
        found = [*self._alone(words)] if self._people else []
        index = 0
        while index < len(words):
            one = self._at(words, index)
            if one is None:
                index += 1
                continue
            found.append(one)
            index = one.end
        return sorted(found, key=lambda each: -each.strength)  # stable: the first of the strongest

    def _at(self, words: Words, index: int) -> Found | None:
        number = cardinal(words, index) or self._misspelt(words, index)
        if number is None:
            return None
        value, end = number
        if words.at(end) == "or" and (upper := cardinal(words, end + 1)):
            value, end = upper  # "eight or nine of us": room for nine
        if not words.free(index, end) or words.at(end) in _NOT_A_COUNT:
            return None
        if any(words.ends(index, *phrase.split()) for phrase in self.after):
            return Found(value, index, end, Strength.SURE)
        if words.at(end) in self._units or (self._people and words.starts(end, "of", "us")):
            return Found(value, index, end + 1, Strength.SURE)
        if self._people and words.at(index - 1) == "for":
            return Found(value, index, end, Strength.LIKELY)
        return Found(value, index, end, Strength.BARE)

    def _misspelt(self, words: Words, index: int) -> tuple[int, int] | None:
        """ "A table for too": recognisers write the homophone."""
        value = _HOMOPHONES.get(words.at(index))
        last = index + 1 == len(words) or index in words.breaks or words.at(index + 1) in self._units
        if value and last and words.at(index - 1) in {"for", "of"}:
            return value, index + 1
        if self._people and words.starts(index, "a", "couple") and words.at(index - 1) == "for":
            return 2, index + 2
        return None

    def _alone(self, words: Words) -> list[Found]:
        for phrase in (("just", "me"), ("only", "me"), ("just", "myself"), ("on", "my", "own"), ("by", "myself")):
            for index in range(len(words)):
                if words.starts(index, *phrase):
                    return [Found(1, index, index + len(phrase), Strength.SURE)]
        return []

    def check(self, value: Any, context: SlotContext) -> str | None:
        del context
        if self.minimum <= value <= self.maximum:
            return None
        if self.refusal is not None:
            return self.refusal
        return f"It has to be between {in_words(self.minimum)} and {in_words(self.maximum)}."

    def say(self, value: Any) -> str:
        unit = self.one if value == 1 else self.many
        return f"{in_words(value)} {unit}".rstrip()
