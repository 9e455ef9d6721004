"""Free words: what a message is about. Taken only as the answer to its own question, and then whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from callengine.brain.slots.base import Found, SlotContext, SlotKind, Strength
from callengine.brain.slots.words import Words


@attrs.frozen
class Text(SlotKind):
    """Whatever the caller says, of at least ``least`` words. ``hint`` is the example for who says too little."""

    hint: str = "please call me back about Friday"
    least: int = 2

    order = 90

    def find(self, words: Words, context: SlotContext) -> Sequence[Found]:
        del context
        if len(words) < self.least:
            return []
        return [Found(words.text.strip().rstrip(".!?").strip(), 0, len(words), Strength.BARE)]

    def say(self, value: Any) -> str:
        return str(value)
