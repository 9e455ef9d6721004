"""Where the carrier is in the audio that it was given.

The position is a deadline clock: audio sent while the line is idle starts now, audio sent behind other audio starts
when that ends, and a second takes a second. With a steady network this is exact up to the (unknown) way there, which
all audio shares. Echoed marks correct it: a mark that comes back later than its place on the clock plus the measured
round trip says that the carrier plays late, as it does after it ran dry.

A late echo may also be nothing but a late echo. So only the smallest lateness of the last few echoes counts (a batch
of echoes that was held up contains one that was not), and the correction that pacing may use is bounded: being wrong
about it must not let the carrier run dry.

What is known to have been heard is never taken back. After a pause the utterance goes on from there, or from a little
earlier; a stretch that plays again adds nothing until it gets beyond that.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal, TypeAlias

import attrs

MarkStatus: TypeAlias = Literal["played", "cleared", "unknown"]

ECHOES_REMEMBERED = 8
"""Echoes over which the smallest lateness counts: 0.8 s of 100 ms slices, longer than a retransmission takes."""

CLEARED_REMEMBERED = 100
"""Marks thrown away by our clears that are still known when they come back: the clears of several seconds."""

_ROUNDING = 1e-3
"""Samples by which a product of seconds and a rate may miss the whole number that it stands for."""


@attrs.frozen
class _Mark:
    """A mark that was sent."""

    sent_at: float
    plays_at: float
    """When the carrier should reach it, by the clock."""
    position: int | None


@attrs.frozen
class _Echo:
    """A mark that came back."""

    at: float
    played_at: float
    """By the clock."""
    position: int


class Playout:
    """The carrier's playout, followed from this side. Times in seconds, all passed in.

    ``max_correction`` bounds how much later than the clock the pacing may believe the carrier to be.
    """

    def __init__(self, *, max_correction: float) -> None:
        self._max_correction = max_correction
        self._expected: dict[str, _Mark] = {}
        self._cleared: deque[str] = deque(maxlen=CLEARED_REMEMBERED)
        """What was expected at our clears: its echoes prove nothing."""
        self._lateness: deque[float] = deque(maxlen=ECHOES_REMEMBERED)
        self._last_echo: _Echo | None = None
        """Of the newest played mark of this utterance, since it was last paused."""
        self._kept: tuple[int, bool] = (0, False)
        """What of this utterance was heard before it was last paused, and whether marks say so."""
        self.confirmed = 0
        """The samples of this utterance that were played, as its marks say."""
        self._began_at = 0.0
        """When what is on the line now began, on a line that was idle."""
        self.ends_at = 0.0
        """When, by the clock, the carrier has played everything that was sent."""
        self.round_trip: float | None = None
        """Seconds from a mark behind nothing to its echo; None until one came back."""

    def sent(self, now: float, seconds: float) -> float:
        """Audio of this length goes out now; returns when, by the clock, it starts to play."""
        if now > self.ends_at:
            self._began_at = self.ends_at = now
        start = self.ends_at
        self.ends_at = start + seconds
        return start

    def begin(self) -> None:
        """A new utterance begins: echoes of the last one say nothing about where it is."""
        self._last_echo = None
        self._kept = (0, False)
        self.confirmed = 0

    def mark_sent(self, now: float, name: str, position: int | None) -> None:
        """A mark goes out behind everything that was sent.

        ``position`` is what of the utterance its echo confirms (samples); None where it confirms nothing.
        """
        self._expected[name] = _Mark(now, max(now, self.ends_at), position)

    def cleared(self, now: float) -> None:
        """A clear goes out: the carrier forgets what it has not played. Marks on their way come back for nothing."""
        self.ends_at = now
        self._lateness.clear()
        self._cleared.extend(self._expected)
        self._expected.clear()

    def keep(self, position: int, by_marks: bool) -> None:
        """So many samples of the utterance were heard, as `heard` said, and now it pauses: what is sent from here on
        starts at or before that."""
        self._kept = (position, by_marks)
        self._last_echo = None

    def forget(self, prefix: str) -> None:
        """Expect no more echoes of the marks whose names start so."""
        self._expected = {name: mark for name, mark in self._expected.items() if not name.startswith(prefix)}

    @property
    def expected(self) -> list[str]:
        """The marks of utterances that are still wanted back."""
        return [name for name, mark in self._expected.items() if mark.position is not None]

    def echoed(self, now: float, name: str) -> MarkStatus:
        """A mark came back; says whether that proves that the audio before it was played."""
        mark = self._expected.pop(name, None)
        if mark is None:
            if name not in self._cleared:
                return "unknown"
            self._cleared.remove(name)
            return "cleared"
        lateness = max(0.0, now - mark.plays_at)
        behind_nothing = mark.plays_at == mark.sent_at
        if behind_nothing or self.round_trip is None or lateness < self.round_trip:
            self.round_trip = lateness
        self._lateness.append(lateness)
        if mark.position is not None and (self._last_echo is None or mark.position > self._last_echo.position):
            self._last_echo = _Echo(now, mark.plays_at, mark.position)
            self.confirmed = max(self.confirmed, mark.position)
        return "played"

    @property
    def echo_delay(self) -> float:
        """How long after its place on the clock a mark comes back: as long as the newest one took. 0 if none did."""
        return self._lateness[-1] if self._lateness else self.round_trip or 0.0

    @property
    def lag(self) -> float:
        """How much later than the clock the carrier plays, as far as echoes tell (seconds)."""
        if len(self._lateness) < ECHOES_REMEMBERED or self.round_trip is None:
            return 0.0
        return max(0.0, min(self._lateness) - self.round_trip)

    @property
    def runs_dry_at(self) -> float:
        """When the carrier will have played everything, by the clock and as much correction as pacing may believe."""
        return self.ends_at + min(self.lag, self._max_correction)

    def heard(self, now: float, sent: int, rate: int) -> tuple[int, bool]:
        """How many of an utterance's first ``sent`` samples were played by now, and whether marks say so.

        The newest confirmed mark, and the time that has passed since it came back, but not beyond the next mark, which
        would have come back, nor beyond the clock. What the carrier played during the echo's way back is not counted:
        the answer is no more than was played. Before the first echo since the line was idle, or without marks, the
        clock decides alone; the round trip is taken off where it is known. It is never less than what was heard before
        a pause.
        """
        position, by_marks = self._played(now, sent, rate)
        return (position, by_marks) if position > self._kept[0] else self._kept

    def _played(self, now: float, sent: int, rate: int) -> tuple[int, bool]:
        """The same, by what was sent since the last pause."""
        by_clock = sent - math.ceil((self.ends_at - now) * rate - _ROUNDING)
        echo = self._last_echo
        confirmed = 0 if echo is None else echo.position
        if echo is None or echo.played_at <= self._began_at:
            by_clock -= math.ceil((self.round_trip or 0.0) * rate - _ROUNDING)
            by_clock = min(sent, by_clock)
            return (by_clock, False) if by_clock > confirmed else (confirmed, confirmed > 0)
        since = int((now - echo.at) * rate + _ROUNDING)
        awaited = (mark.position for mark in self._expected.values() if mark.position is not None)
        next_mark = min((p for p in awaited if p > confirmed), default=sent)
        return max(confirmed, min(sent, confirmed + since, next_mark, by_clock)), True
