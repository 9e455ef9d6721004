"""Requests that came before, of carriers that sign when they made each one.

Such a signature stays good for some minutes, so whoever got hold of one request could have it done again. A carrier's
own repetition has a time of its own, and is no replay. Other carriers' requests have no time in them: what repeats
them cannot be told from the carrier itself, and whoever handles them expects repetitions.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import trio

LIFETIME = 900.0
"""Seconds. It must be longer than any signature is good for; Telnyx's by default 330, its clock's error included."""
LIMIT = 10_000
"""Of more, the oldest is forgotten. Only genuine requests are remembered, so strangers cannot push any out."""


class Replays:
    """What has come within the last ``lifetime`` seconds, as digests."""

    def __init__(self, lifetime: float = LIFETIME, limit: int = LIMIT) -> None:
        self._lifetime = lifetime
        self._limit = limit
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def first(self, carrier: str, signed: bytes) -> bool:
        """Whether this carrier's request, known by what was signed of it, comes for the first time."""
        now = trio.current_time()
        while self._seen and next(iter(self._seen.values())) <= now:
            self._seen.popitem(last=False)
        mark = hashlib.sha256(carrier.encode() + b"\0" + signed).digest()
        if mark in self._seen:
            return False
        while len(self._seen) >= self._limit:
            self._seen.popitem(last=False)
        self._seen[mark] = now + self._lifetime
        return True
