"""Media messages in their order. Telnyx does not promise it, and numbers them (``media.chunk``).

Source: https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket
"""

from __future__ import annotations

WINDOW = 4
"""Later messages that a missing one is waited for: 80 ms of frames of 20 ms. Whoever speaks is heard so much later only
while something is missing."""
RESTART = 50
"""Messages by which a number must be behind to be a new count rather than a late message: a second of frames."""


class Reorder:
    """One stream's audio, put in order. What comes too late, or twice, is dropped: None."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._next: int | None = None
        self._held: dict[int, bytes] = {}

    def take(self, number: int, audio: bytes) -> bytes | None:
        """The next message that came; returns what is in order by now, which may be nothing yet, or several joined."""
        if self._next is None or number == self._next:
            self._next = number + 1
            return self._with_followers(audio) if self._held else audio
        if number < self._next:
            if number > self._next - RESTART:
                return None
            self._held.clear()
            self._next = number + 1
            return audio
        if number in self._held:
            return None
        self._held[number] = audio
        if len(self._held) < self._window:
            return b""
        self._next = min(self._held)  # what is missing is lost
        return self._with_followers(b"")

    def rest(self) -> bytes:
        """Everything that is held back, in order, and from now on nothing is."""
        rest = b"".join(self._held[number] for number in sorted(self._held))
        self._held.clear()
        self._next = None
        return rest

    def _with_followers(self, audio: bytes) -> bytes:
        parts = [audio]
        assert self._next is not None
        while (following := self._held.pop(self._next, None)) is not None:
            parts.append(following)
            self._next += 1
        return b"".join(parts)
