"""The playout that Asterisk does not have: when which frame goes out, and when which mark is reached. No I/O, no clock.

Asterisk passes a frame on as it comes: one that is late is a gap, and frames ahead of their time pile up in the
caller's telephone and stay there as delay. So a frame goes out every 20 ms, on a grid that is counted from the first
one, and a mark is reached when the last sample before it has sounded. The rest of a frame is waited for as long as
what there is of it would sound; then silence fills it.
"""

from __future__ import annotations

import math
from collections import deque

FRAME = 0.02
"""Seconds of a frame: what Asterisk itself sends."""

MAX_LATE = 0.06
"""Seconds by which frames may be late and still be made up for, by sending them together: three frames, what a
telephone's jitter buffer holds. After more than that the gap has been heard, and the grid starts anew."""

MAX_QUEUED = 30.0
"""Seconds of audio that may wait."""

MAX_MARKS = 1000
"""Marks that may wait."""

_ROUNDING = 1e-9
"""Seconds by which sums of times may differ that mean the same moment."""


class Overfull(Exception):
    """More is waiting than may."""


class PacedPlayout:
    """One leg's outbound audio, of 16-bit samples at ``sample_rate`` Hz. Times are seconds, and passed in.

    At most ``max_queued`` seconds of audio wait, and `MAX_MARKS`; more raises `Overfull`.
    """

    def __init__(self, sample_rate: int, *, max_queued: float = MAX_QUEUED) -> None:
        self._frame_size = 2 * round(sample_rate * FRAME)
        self._bytes_per_second = 2 * sample_rate
        self._max_bytes = int(max_queued * self._bytes_per_second)
        self._queue: deque[memoryview | bytes] = deque()
        """Audio, and (as bytes) the names of marks between it."""
        self._waiting_bytes = 0
        self._waiting_marks = 0
        self._passed: deque[tuple[float, bytes]] = deque()
        """Marks whose audio has left, and when they are reached."""
        self._grid = -math.inf
        """When the first frame of this stretch went out."""
        self._sent = 0
        """Frames of this stretch that went out."""
        self._ends_at = -math.inf
        """When the last audio that went out has sounded."""

    def media(self, now: float, audio: bytes) -> None:
        """Play this behind what waits."""
        if self._waiting_bytes + len(audio) > self._max_bytes:
            raise Overfull(f"{(self._waiting_bytes + len(audio)) / self._bytes_per_second:.1f} s of audio wait")
        if not audio:
            return
        if not self._waiting_bytes and now > self._slot + _ROUNDING:
            self._start_grid(now)
        self._queue.append(memoryview(audio))
        self._waiting_bytes += len(audio)

    def mark(self, now: float, name: bytes) -> None:
        """Give notice when everything before this has sounded."""
        if self._waiting_marks >= MAX_MARKS:
            raise Overfull(f"{MAX_MARKS} marks wait")
        self._waiting_marks += 1
        if self._queue:
            self._queue.append(name)
        else:
            self._passed.append((max(now, self._ends_at), name))

    def clear(self, now: float) -> list[bytes]:
        """Forget what has not gone out; returns the names of all pending marks. The grid stays: the next frame goes
        out when the one that is sounding has ended."""
        names = [name for _, name in self._passed] + [item for item in self._queue if isinstance(item, bytes)]
        self._queue.clear()
        self._passed.clear()
        self._waiting_bytes = self._waiting_marks = 0
        self._ends_at = min(self._ends_at, now)
        return names

    @property
    def due(self) -> float:
        """When `take` has something next; infinity where nothing waits."""
        frame = self._frame_due
        return min(frame, self._passed[0][0]) if self._passed else frame

    def take(self, now: float) -> tuple[list[bytes], list[bytes]]:
        """The frames that go out now, and the marks that were reached by now."""
        if self._waiting_bytes and now > self._slot + MAX_LATE + _ROUNDING:
            self._start_grid(now)
        frames = []
        while self._frame_due <= now + _ROUNDING:
            frames.append(self._next_frame(self._slot))
            self._sent += 1
        names = []
        while self._passed and self._passed[0][0] <= now + _ROUNDING:
            names.append(self._passed.popleft()[1])
        self._waiting_marks -= len(names)
        return frames, names

    @property
    def _slot(self) -> float:
        """When the next frame may go out."""
        return self._grid + self._sent * FRAME

    @property
    def _frame_due(self) -> float:
        """When the next frame goes out, unless more comes."""
        if self._waiting_bytes >= self._frame_size:
            return self._slot
        return self._slot + self._waiting_bytes / self._bytes_per_second if self._waiting_bytes else math.inf

    def _start_grid(self, now: float) -> None:
        self._grid, self._sent = now, 0

    def _next_frame(self, start: float) -> bytes:
        """Take the next frame off the queue, with the marks in it and behind it."""
        frame = b""
        while self._queue:
            item = self._queue[0]
            if isinstance(item, bytes):
                self._passed.append((start + len(frame) / self._bytes_per_second, item))
            elif len(frame) == self._frame_size:
                break
            else:
                room = self._frame_size - len(frame)
                frame += item[:room]
                if len(item) > room:
                    self._queue[0] = item[room:]
                    continue
            self._queue.popleft()
        self._waiting_bytes -= len(frame)
        self._ends_at = start + len(frame) / self._bytes_per_second
        return frame.ljust(self._frame_size, b"\0")
