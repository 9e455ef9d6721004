"""Briefing a human before a caller is put through to him: a call of its own, told as a story."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Literal

import trio

from callengine.brain.slots.base import SlotContext
from callengine.brain.slots.words import Words
from callengine.brain.slots.yes_no import YesNo

if TYPE_CHECKING:
    from callengine.call.call import Call

ASKED = 3
"""Times that the human is briefed and asked, before it is taken for a no: whoever picks up is not listening yet."""
ANSWER = 6.0
"""Seconds that he has to say yes."""


class Briefing:
    """One human's briefing. `tell` is the story of the call to him."""

    def __init__(self, words: str, question: str, accepted: str) -> None:
        self._words = f"{words} {question}"
        self._accepted = accepted
        self.answer: Literal["accepted", "declined"] | None = None
        self.answered = trio.Event()
        """Set when he has answered."""

    async def tell(self, call: Call) -> None:
        """Brief him, ask him, and wait with him."""
        if not await self._accepts(call):
            self._settle("declined")
            return
        await call.say(self._accepted)
        self._settle("accepted")
        while True:  # until the call has another end
            await call.listen()

    async def _accepts(self, call: Call) -> bool:
        for _ in range(ASKED):
            await call.say(self._words)
            turn = await call.listen(timeout=ANSWER)
            if turn is None:
                continue
            if turn.keyed:
                return turn.text == "1"
            found = YesNo().find(Words.of(turn.text), SlotContext(date.today()))
            if found:
                return bool(found[0].value)
        return False

    def _settle(self, answer: Literal["accepted", "declined"]) -> None:
        self.answer = answer
        self.answered.set()
