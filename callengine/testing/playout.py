"""What a carrier does with the audio it is given: a queue that plays in real time, and marks in it.

Source of the rules: https://www.twilio.com/docs/voice/media-streams/websocket-messages. A mark is echoed when
everything before it was played, at once where nothing is queued, and on a clear all pending marks are echoed at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs


@attrs.frozen
class Stretch:
    """Audio that was (or will be) played: when it starts, and its bytes."""

    start: float
    audio: bytes


class PlayoutQueue:
    """One leg's outbound audio, mu-law at 8 kHz. Time is passed in; nothing here waits."""

    def __init__(self, *, echo_on_clear: bool = True) -> None:
        self._echo_on_clear = echo_on_clear
        self._stretches: list[Stretch] = []
        self._marks: deque[tuple[float, str]] = deque()
        self.ends_at = 0.0
        """When the queue runs dry."""
        self.began_at = 0.0
        """When the present stretch without a gap began to play."""
        self.cleared: list[tuple[float, bytes]] = []
        """When a clear came, and the audio that it threw away."""
        self.gaps = 0
        """Times that the queue had run dry when more audio came."""

    def media(self, now: float, audio: bytes) -> None:
        """Audio arrives."""
        if now > self.ends_at + 1e-9 or not self._stretches:
            self.gaps += bool(self._stretches)
            self.began_at = now
        start = max(now, self.ends_at)
        self._stretches.append(Stretch(start, audio))
        self.ends_at = start + len(audio) / 8000

    def mark(self, now: float, name: str) -> None:
        """A mark arrives."""
        self._marks.append((max(now, self.ends_at), name))

    def clear(self, now: float) -> list[str]:
        """A clear arrives; returns the marks to echo."""
        kept: list[Stretch] = []
        dropped = b""
        for stretch in self._stretches:
            played = max(0, min(len(stretch.audio), int((now - stretch.start) * 8000 + 1e-6)))
            dropped += stretch.audio[played:]
            if played:
                kept.append(Stretch(stretch.start, stretch.audio[:played]))
        self._stretches = kept
        if dropped:
            self.cleared.append((now, dropped))
        self.ends_at = min(self.ends_at, now)
        names = [name for _, name in self._marks] if self._echo_on_clear else []
        self._marks.clear()
        return names

    @property
    def next_mark(self) -> float | None:
        """When the next mark is reached; None where none waits."""
        return self._marks[0][0] if self._marks else None

    def reached(self, now: float) -> list[str]:
        """The marks that were reached by now."""
        names = []
        while self._marks and self._marks[0][0] <= now + 1e-9:
            names.append(self._marks.popleft()[1])
        return names

    def playing(self, now: float) -> bool:
        """Whether something sounds."""
        return now < self.ends_at - 1e-9

    def played(self, now: float) -> list[Stretch]:
        """What was played by now, in order."""
        result = []
        for stretch in self._stretches:
            count = max(0, min(len(stretch.audio), int((now - stretch.start) * 8000 + 1e-6)))
            if count:
                result.append(Stretch(stretch.start, stretch.audio[:count]))
        return result

    def listener(self) -> Callable[[float], list[Stretch]]:
        """A function that gives, for a time, what was played since it was last asked: a look costs what is new."""
        index, offset = 0, 0

        def news(now: float) -> list[Stretch]:
            nonlocal index, offset
            result: list[Stretch] = []
            while index < len(self._stretches):
                stretch = self._stretches[index]
                played = max(0, min(len(stretch.audio), int((now - stretch.start) * 8000 + 1e-6)))
                if played > offset:
                    result.append(Stretch(stretch.start + offset / 8000, stretch.audio[offset:played]))
                    offset = played
                if played < len(stretch.audio):
                    break
                index, offset = index + 1, 0
            return result

        return news

    def played_audio(self, now: float) -> bytes:
        """The same as one row of bytes, without the gaps."""
        return b"".join(stretch.audio for stretch in self.played(now))
