"""Where the carrier is in the audio that it was given.

The position is a deadline clock: audio sent while the line is idle starts now, audio sent behind other audio starts
when that ends, and a second takes a second. With a steady network this is exact up to the (unknown) way there, which
all audio shares. Echoed marks correct it: a mark that comes back later than its place on the clock plus the measured
round trip says that the carrier plays late, as it does after it ran dry.

A late echo may also be nothing but a late echo. So only the smallest lateness of the last few echoes counts (a batch
of echoes that was held up contains one that was not), and the correction that pacing may use is bounded: being wrong
about it must not let the carrier run dry.
"""

from __future__ import annotations

from collections import deque
from typing import Literal, TypeAlias

import attrs

MarkStatus: TypeAlias = Literal["played", "cleared", "unknown"]

ECHOES_REMEMBERED = 8
"""Echoes over which the smallest lateness counts: 0.8 s of 100 ms slices, longer than a retransmission takes."""


@attrs.frozen
class _Expected:
    """A mark that was sent and has not come back."""

    sent_at: float
    plays_at: float
    """When the carrier should reach it, by the clock."""
    position: int | None
    cleared: bool = False


class Playout:
    """The carrier's playout, followed from this side. Times in seconds, all passed in.

    ``max_correction`` bounds how much later than the clock the pacing may believe the carrier to be.
    """

    def __init__(self, *, max_correction: float) -> None:
        self._max_correction = max_correction
        self._expected: dict[str, _Expected] = {}
        self._lateness: deque[float] = deque(maxlen=ECHOES_REMEMBERED)
        self.ends_at = 0.0
        """When, by the clock, the carrier has played everything that was sent."""
        self.round_trip: float | None = None
        """Seconds from a mark behind nothing to its echo; None until one came back."""
        self.last_echo: tuple[float, int] | None = None
        """When the newest played mark came back, and its position; None since the last start from idle."""

    def sent(self, now: float, seconds: float) -> float:
        """Audio of this length goes out now; returns when, by the clock, it starts to play."""
        start = max(now, self.ends_at)
        self.ends_at = start + seconds
        return start

    def begin(self) -> None:
        """A new utterance begins: echoes of the last one say nothing about where it is."""
        self.last_echo = None

    def mark_sent(self, now: float, name: str, position: int | None) -> None:
        """A mark goes out behind everything that was sent.

        ``position`` is what of the utterance its echo confirms (samples); None where it confirms nothing.
        """
        self._expected[name] = _Expected(now, max(now, self.ends_at), position)

    def cleared(self, now: float) -> None:
        """A clear goes out: the carrier forgets what it has not played. Marks on their way come back for nothing."""
        self.ends_at = now
        self._lateness.clear()
        self._expected = {name: attrs.evolve(mark, cleared=True) for name, mark in self._expected.items()}

    def forget(self, prefix: str) -> None:
        """Expect no more echoes of the marks whose names start so."""
        self._expected = {name: mark for name, mark in self._expected.items() if not name.startswith(prefix)}

    @property
    def expected(self) -> list[str]:
        """The marks of utterances that are still wanted back."""
        return [name for name, mark in self._expected.items() if mark.position is not None and not mark.cleared]

    def echoed(self, now: float, name: str) -> MarkStatus:
        """A mark came back; says whether that proves that the audio before it was played."""
        mark = self._expected.pop(name, None)
        if mark is None:
            return "unknown"
        if mark.cleared:
            return "cleared"
        lateness = now - mark.plays_at
        if mark.plays_at == mark.sent_at:  # it waited behind nothing
            self.round_trip = lateness
        elif self.round_trip is None or lateness < self.round_trip:
            self.round_trip = max(0.0, lateness)
        self._lateness.append(lateness)
        if mark.position is not None and (self.last_echo is None or mark.position > self.last_echo[1]):
            self.last_echo = (now, mark.position)
        return "played"

    @property
    def correction(self) -> float:
        """How much later than the clock the carrier plays, as far as pacing may believe it (seconds)."""
        if len(self._lateness) < ECHOES_REMEMBERED or self.round_trip is None:
            return 0.0
        return min(max(0.0, min(self._lateness) - self.round_trip), self._max_correction)

    def lead(self, now: float) -> float:
        """Seconds of audio that the carrier still has to play, by clock and correction; not below 0."""
        return max(0.0, self.ends_at + self.correction - now)

    def heard(self, now: float, sent: int, rate: int) -> tuple[int, bool]:
        """How many of an utterance's ``sent`` samples were played by now, and whether marks say so.

        The newest confirmed mark, and the time that has passed since it came back: what the carrier played during the
        echo's way back is not counted, so the answer is never more than was played. Before the first echo, or without
        marks, the clock decides; the round trip is taken off where it is known.
        """
        if self.last_echo is not None:
            echoed_at, position = self.last_echo
            return min(sent, position + int((now - echoed_at) * rate)), True
        unplayed = int((self.ends_at - now + (self.round_trip or 0.0)) * rate)
        return max(0, min(sent, sent - unplayed)), False
