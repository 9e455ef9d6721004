"""Yes or no, as people really say it: "yeah, that works", "no, that is fine", "not quite"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from callengine.brain.slots.base import Found, SlotContext, SlotKind, Strength
from callengine.brain.slots.words import Words, listed

_YES = frozenset(
    listed(
        """
        yes yeah yep yup yah ya aye sure correct right exactly absolutely definitely certainly perfect okay ok
        fine great good lovely indeed
        """
    )
)
_NO = frozenset(listed("no nope nah not wrong incorrect never don't didn't isn't wasn't doesn't can't won't neither"))
_SOUNDS = {("mm", "hmm"): True, ("mhm",): True, ("mmhmm",): True, ("uh", "huh"): True, ("uh", "uh"): False}
_OPENERS = frozenset(
    listed(
        """
        oh um uh er well so and but ah hmm i think guess suppose that that's is it it's all of course everything looks
        sounds
        """
    )
)
_AGREEING = (("that", "is"), ("that's",), ("it", "is"), ("it's",), ("all",), ("is",))
_LOOK = 6
"""Tokens from the start in which the answer has to stand; later ones are about something else."""


@attrs.frozen
class YesNo(SlotKind):
    """Agreement (True) or refusal (False)."""

    order = 80
    hint = "yes or no"

    def find(self, words: Words, context: SlotContext) -> Sequence[Found]:
        del context
        for sound, value in _SOUNDS.items():
            if words.starts(0, *sound):
                return [Found(value, 0, len(sound), Strength.SURE)]
        for index in range(min(_LOOK, len(words))):
            token = words.at(index)
            if token in _NO:
                return [self._refusal(words, index)]
            if token in _YES:
                plain = all(words.at(before) in _OPENERS for before in range(index))
                return [Found(True, index, index + 1, Strength.SURE if plain else Strength.BARE)]
            if token == "please" and index == 0:
                return [Found(True, 0, 1, Strength.SURE)]
            if words.starts(index, "of", "course") or words.starts(index, "go", "ahead"):
                return [Found(True, index, index + 2, Strength.SURE)]
            if words.starts(index, "that", "works") or words.starts(index, "sounds", "good"):
                return [Found(True, index, index + 2, Strength.SURE)]
        return []

    def _refusal(self, words: Words, index: int) -> Found:
        """A "no" is a no, except in "no, that's right" and "no no, that is fine"."""
        after = index + 1
        while words.at(after) in {"no", "oh", "yes"}:
            after += 1
        for phrase in _AGREEING:
            closing = after + len(phrase)
            if words.starts(after, *phrase) and words.at(closing) in _YES:
                return Found(True, index, closing + 1, Strength.SURE)
        return Found(False, index, index + 1, Strength.SURE)

    def say(self, value: Any) -> str:
        return "yes" if value else "no"
