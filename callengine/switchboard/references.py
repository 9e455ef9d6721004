"""The engine's own names for what it asked of carriers, and what each of them is about."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


def new_name() -> str:
    """A name that nobody can guess: 22 characters that may stand in a URL's path."""
    return secrets.token_urlsafe(16)


class References(Generic[T]):
    """Names that stand in callback URLs: they cannot be guessed, and expire.

    Of more than ``limit`` the oldest is forgotten.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._known: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def put(self, reference: str, about: T, lifetime: float) -> None:
        """Remember what it is about, for ``lifetime`` seconds."""
        self._forget_expired()
        self._known.pop(reference, None)  # put again, it is the newest
        while len(self._known) >= self._limit:
            self._known.popitem(last=False)
        self._known[reference] = (trio.current_time() + lifetime, about)

    def __len__(self) -> int:
        self._forget_expired()
        return len(self._known)

    def get(self, reference: str) -> T | None:
        """What it is about; None where it is not known, or not any more."""
        expires, about = self._known.get(reference, (0.0, None))
        return about if expires > trio.current_time() else None

    def pop(self, reference: str) -> T | None:
        """The same, and forget it."""
        about = self.get(reference)
        self._known.pop(reference, None)
        return about

    def _forget_expired(self) -> None:
        now = trio.current_time()
        for reference in [name for name, (expires, _) in self._known.items() if expires <= now]:
            del self._known[reference]


class Seen:
    """Which names came before, of the last ``limit``: carriers repeat what they tell."""

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._names: OrderedDict[str, None] = OrderedDict()

    def first(self, name: str) -> bool:
        """Whether this is the first time."""
        if name in self._names:
            return False
        self._names[name] = None
        while len(self._names) > self._limit:
            self._names.popitem(last=False)
        return True
