"""The time that a reply may take, from its beginning to its first audio: one budget, whoever spends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

LEAST = 1.0
"""Seconds that whoever is asked last has in any case: with less, no provider answers at all."""


class Budget:
    """What is left of it, and who has spent what. Only waiting for a provider spends it: a tool has a time of its own.

    Whoever is asked while others could still stand in for him gets no more than his share.
    """

    def __init__(self, seconds: float) -> None:
        self.total = seconds
        self.left = seconds
        self.spent: dict[str, float] = {}
        """Seconds, by who was waited for."""

    def share(self, tries: int) -> float:
        """Seconds for the next of so many tries that there may still be, this one included."""
        return max(self.left / tries, LEAST)

    @contextmanager
    def waiting(self, who: str) -> Iterator[None]:
        """While this one is waited for."""
        started = trio.current_time()
        try:
            yield
        finally:
            seconds = trio.current_time() - started
            self.left -= seconds
            self.note(who, seconds)

    def note(self, who: str, seconds: float) -> None:
        """Somebody took so long, in a time of his own."""
        if seconds:
            self.spent[who] = self.spent.get(who, 0.0) + seconds
