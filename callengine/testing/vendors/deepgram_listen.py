"""What the simulated recognisers of Deepgram share, and Nova."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import trio

from callengine.audio.format import AudioFormat
from callengine.testing.vendors.base import VendorClosed, WebSocket
from callengine.testing.vendors.ear import Ear
from callengine.testing.words import Word

if TYPE_CHECKING:
    from callengine.testing.vendors.deepgram import FakeDeepgram

_INTERIM = 0.5
"""Seconds of audio between two interim results."""
_NOTHING = 0.05
"""Seconds of audio that are too little to be finalised."""


async def next_message(vendor: FakeDeepgram, socket: WebSocket) -> str | bytes:
    """The client's next message; one who says nothing for too long is sent away."""
    with trio.move_on_after(float("inf") if vendor.idle is None else vendor.idle):
        return await socket.receive()
    reason = "NET-0001: Deepgram did not receive audio data or a text message within the timeout window."
    await socket.close(1011, reason)
    raise VendorClosed


def kind(message: str) -> str:
    """The type that a client's command names; empty where it is no command."""
    try:
        data = json.loads(message)
    except ValueError:
        return ""
    return str(data.get("type", "")) if isinstance(data, dict) else ""


class NovaListener:
    """One connection to ``/v1/listen``."""

    def __init__(self, vendor: FakeDeepgram, socket: WebSocket, audio_format: AudioFormat) -> None:
        self._vendor = vendor
        self._socket = socket
        self._format = audio_format
        self._ear = Ear(vendor.vocabulary, audio_format)
        self._window = bytearray()
        """Audio since the last final result."""
        self._words: list[tuple[Word, float]] = []
        """Those in it, with the places where they end."""
        self._start = 0.0
        self._told = 0.0

    async def run(self) -> None:
        """Serve it until the client has said ``CloseStream``."""
        while True:
            message = await next_message(self._vendor, self._socket)
            if isinstance(message, bytes):
                await self._hear(message)
                continue
            match kind(message):
                case "Finalize":
                    await self._finalize()
                case "KeepAlive" | "Configure":
                    pass
                case "CloseStream":
                    await self._say_final(self._ear.seconds, from_finalize=False)
                    await self._socket.send_json(self._metadata())
                    return
                case _:
                    self._vendor.complain(f"not a message of /v1/listen: {message[:100]}")
                    error = {"type": "Error", "variant": "SchemaError", "description": "could not parse the message"}
                    await self._socket.send_json(error)

    async def _hear(self, audio: bytes) -> None:
        if not audio:
            self._vendor.complain("an empty binary message ends the stream")
            await self._socket.close(1000)
            raise VendorClosed
        if audio.startswith(b"{"):
            self._vendor.complain("a command in a binary message is taken for audio")
        self._window += audio
        self._words += self._ear.hear(audio)
        settles = self._vendor.settles
        if settles is not None and self._words and self._words[-1][1] - self._start >= settles:
            await self._say_final(self._words[-1][1], from_finalize=False)
        elif self._ear.seconds - self._told >= _INTERIM:
            self._told = self._ear.seconds
            await self._say(_text(self._words), self._ear.seconds, final=False)

    async def _finalize(self) -> None:
        if self._vendor.answers_finalize and self._ear.seconds - self._start > _NOTHING:
            await self._say_final(self._ear.seconds, from_finalize=True)

    async def _say_final(self, until: float, *, from_finalize: bool) -> None:
        text = _text(self._words) or self._vendor.understand(bytes(self._window), self._format)
        rest = self._ear.bytes - round(until * self._format.sample_rate) * self._format.sample_width
        if text:
            self._vendor.heard.append(text)
        await self._say(text, until, final=True, from_finalize=from_finalize)
        self._window = self._window[len(self._window) - rest :]
        self._words = []
        self._start = until

    async def _say(self, text: str, until: float, *, final: bool, from_finalize: bool = False) -> None:
        words = [
            {"word": word.text.lower(), "end": round(end, 2), "punctuated_word": word.text} for word, end in self._words
        ]
        await self._socket.send_json({
            "type": "Results", "channel_index": [0, 1], "start": round(self._start, 3),
            "duration": round(until - self._start, 3), "is_final": final, "speech_final": False,
            "from_finalize": from_finalize,
            "channel": {"alternatives": [{"transcript": text, "confidence": 0.99, "words": words}]},
            "metadata": {"request_id": "fake", "model_info": {"name": "fake", "version": "1", "arch": "nova-3"}},
        })  # fmt: skip

    def _metadata(self) -> dict[str, Any]:
        return {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": "fake",
            "duration": self._ear.seconds,
            "channels": 1,
        }


def _text(words: list[tuple[Word, float]]) -> str:
    return " ".join(word.text for word, _ in words)
