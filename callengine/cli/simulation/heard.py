"""The words that a caller has heard, and whether they were the ones that he waits for."""

from __future__ import annotations

import trio


class Heard:
    """What the agent has said, as far as it was understood. Looking for words goes on behind those found last."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._position = 0
        self._utterances = self._attended = 0
        self._news = trio.Event()

    def add(self, text: str) -> None:
        """Something was said; empty where it was not understood."""
        self._words += plain(text)
        self._utterances += 1
        self._news.set()
        self._news = trio.Event()

    async def wait(self, wanted: tuple[str, ...]) -> None:
        """Wait until `found` would say yes."""
        while not self.found(wanted):
            await self._news.wait()

    def found(self, wanted: tuple[str, ...]) -> bool:
        """Whether one of these texts was said since the last that was found; of none: whether anything was."""
        if not wanted:
            found, self._attended = self._utterances > self._attended, self._utterances
            return found
        ends = [end for text in wanted if (end := self._find(plain(text))) is not None]
        if ends:
            self._position, self._attended = min(ends), self._utterances
        return bool(ends)

    @property
    def rest(self) -> str:
        """What was said since the last that was found."""
        return " ".join(self._words[self._position :])

    def _find(self, wanted: list[str]) -> int | None:
        for start in range(self._position, len(self._words) - len(wanted) + 1):
            if self._words[start : start + len(wanted)] == wanted:
                return start + len(wanted)
        return None


def plain(text: str) -> list[str]:
    """Words without case and punctuation."""
    words = ("".join(filter(str.isalnum, word)) for word in text.lower().split())
    return [word for word in words if word]
