"""What a simulated person says: audio that waits to be carried, frame by frame."""

from __future__ import annotations

import trio

FRAME_BYTES = 160
"""20 ms of mu-law at 8 kHz."""


class Mouth:
    """One person's mouth. Whoever carries the voice takes a frame every 20 ms."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._spoken = trio.Event()
        self._opened = trio.Event()

    def speak(self, audio: bytes) -> trio.Event:
        """Say this (mu-law at 8 kHz) behind what is still being said; the event is set when it was said."""
        if self._spoken.is_set() or not self._audio:
            self._spoken = trio.Event()
        self._audio += audio
        self._opened.set()
        return self._spoken

    def frame(self) -> bytes | None:
        """The next 20 ms; None where nothing is being said."""
        frame = None
        if self._audio:
            frame = bytes(self._audio[:FRAME_BYTES]).ljust(FRAME_BYTES, b"\xff")
            del self._audio[:FRAME_BYTES]
        if not self._audio:
            self._spoken.set()
        return frame

    async def opens(self) -> None:
        """Wait until something is being said."""
        while not self._audio:
            self._opened = trio.Event()
            await self._opened.wait()
