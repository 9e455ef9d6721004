"""Which part of a connection's audio is of which utterance: vendors that give times say so of their words.

Words that come late, after their utterance got its final, are known by it, and never put into the next one.
"""

from __future__ import annotations

import math
from collections import deque

import attrs

REMEMBERED = 8
"""Utterances whose place is kept: a vendor is seconds behind at most."""


@attrs.define
class Span:
    """Where an utterance is, in seconds of the connection's audio."""

    index: int
    """How many began before it on this connection."""
    start: float
    end: float = math.inf


class Timeline:
    """All audio that a connection was sent, silence too."""

    def __init__(self, sample_rate: int) -> None:
        self.spans: deque[Span] = deque(maxlen=REMEMBERED)
        self._rate = sample_rate
        self._samples = 0
        self._begun = 0

    @property
    def position(self) -> float:
        """Seconds sent so far."""
        return self._samples / self._rate

    def sent(self, samples: int) -> None:
        """So much more was sent."""
        self._samples += samples

    def begin(self) -> None:
        """An utterance begins here."""
        self.spans.append(Span(self._begun, self.position))
        self._begun += 1

    def end(self) -> None:
        """The newest utterance ends here."""
        if self.spans:
            self.spans[-1].end = self.position

    def whose(self, start: float, end: float) -> Span | None:
        """The utterance that has most of this stretch, or lies nearest to it; None where none has begun."""

        def shared(span: Span) -> float:
            return min(end, span.end) - max(start, span.start)

        return max(self.spans, key=shared, default=None)
