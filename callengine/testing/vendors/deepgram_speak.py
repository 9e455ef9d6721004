"""The simulated Aura: what it is to speak is collected, and spoken when it is flushed."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

import trio

from callengine.audio.convert import SILENCE
from callengine.audio.format import AudioFormat
from callengine.testing.vendors.base import VendorClosed, WebSocket

if TYPE_CHECKING:
    from callengine.testing.vendors.deepgram import FakeDeepgram

_FLUSHES = 20
"""Within a minute; more are passed over."""
_LONGEST = 2000
"""Characters that are taken at once."""


class AuraSpeaker:
    """One connection to ``/v1/speak``. Commands are obeyed while it speaks."""

    def __init__(self, vendor: FakeDeepgram, socket: WebSocket, audio_format: AudioFormat, model: str) -> None:
        self._vendor = vendor
        self._socket = socket
        self._format = audio_format
        self._model = model
        self._text = ""
        self._sequence = 0
        self._flushes: deque[float] = deque()
        self._out: deque[dict[str, Any] | bytes] = deque()
        self._more = trio.Event()
        self._broken = False

    async def run(self) -> None:
        """Serve it until the client has said ``Close``."""
        self._queue({"type": "Metadata", "request_id": "fake", "model_name": self._model, "model_version": "fake"})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, nursery.cancel_scope)
            try:
                while await self._obey(await self._socket.receive()):
                    pass
            except VendorClosed:
                self._broken = True
            nursery.cancel_scope.cancel()
        if self._broken:
            raise VendorClosed

    async def _send(self, scope: trio.CancelScope) -> None:
        try:
            while True:
                while self._out:
                    message = self._out.popleft()
                    await self._socket.send(message if isinstance(message, bytes) else json.dumps(message))
                self._more = trio.Event()
                await self._more.wait()
        except VendorClosed:
            self._broken = True
            scope.cancel()

    def _queue(self, *messages: dict[str, Any] | bytes) -> None:
        self._out.extend(messages)
        self._more.set()

    async def _obey(self, message: str | bytes) -> bool:
        """Do what the client says; returns whether it says more."""
        if isinstance(message, bytes):
            self._vendor.complain("a binary message to /v1/speak")
            await self._socket.close(1003, "MESSAGE-0000: only text is taken")
            return False
        try:
            data = json.loads(message)
        except ValueError:
            data = None
        match data:
            case {"type": "Speak", "text": str(text)} if len(text) <= _LONGEST:
                self._text += text
            case {"type": "Speak", "text": str()}:
                await self._socket.close(1009, "BIG-0001: the text is too long")
                return False
            case {"type": "Flush"}:
                self._flush()
            case {"type": "Clear"}:
                self._clear()
            case {"type": "Close"}:
                return False
            case _:
                self._vendor.complain(f"not a message of /v1/speak: {message[:100]}")
                await self._socket.close(1008, "DATA-0000: unknown command")
                return False
        return True

    def _flush(self) -> None:
        now = trio.current_time()
        while self._flushes and self._flushes[0] <= now - 60:
            self._flushes.popleft()
        if len(self._flushes) >= _FLUSHES:
            description = "Flush was passed over: at most 20 within 60 seconds."
            self._queue({"type": "Warning", "code": "EXCESSIVE_FLUSH", "description": description})
            return
        self._flushes.append(now)
        text, self._text = self._text, ""
        if text:
            self._vendor.spoken.append(text)
        audio, _ = self._vendor.speech(text, self._format)
        width = self._format.sample_width
        size = round(self._vendor.chunk_seconds * self._format.sample_rate) * width
        self._queue(*(audio[start : start + size] for start in range(0, len(audio), size)))
        self._queue({"type": "Flushed", "sequence_id": self._sequence})
        self._sequence += 1

    def _clear(self) -> None:
        """What was not sent is dropped, but for two messages that are on their way already."""
        stray = [message for message in self._out if isinstance(message, bytes)][:2]
        stray = stray or [SILENCE[self._format.encoding] * 160] * 2
        self._text = ""
        self._out.clear()
        self._queue(*stray, {"type": "Cleared", "sequence_id": self._sequence})
        self._sequence += 1
