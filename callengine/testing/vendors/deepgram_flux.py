"""The simulated Flux: turns, judged by the silence in the audio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from callengine.audio.format import AudioFormat
from callengine.testing.vendors.base import VendorClosed, WebSocket
from callengine.testing.vendors.deepgram_listen import kind, next_message
from callengine.testing.vendors.ear import Ear
from callengine.testing.words import Word

if TYPE_CHECKING:
    from callengine.testing.vendors.deepgram import FakeDeepgram

_UPDATE = 0.25
"""Seconds of audio between two updates, in a turn and outside."""


class FluxListener:
    """One connection to ``/v2/listen``. Its clock is the audio's: nothing happens while none comes."""

    def __init__(self, vendor: FakeDeepgram, socket: WebSocket, audio_format: AudioFormat, eager: bool) -> None:
        self._vendor = vendor
        self._socket = socket
        self._format = audio_format
        self._wants_eager = eager
        self._ear = Ear(vendor.vocabulary, audio_format)
        self._sequence = 0
        self._turn = 0
        self._began_at = 0.0
        self._heard = bytearray()
        """Audio since the last turn."""
        self._words: list[tuple[Word, float]] = []
        self._eager = False
        """It said that the turn may be over, and nothing was heard since."""
        self._told = 0.0

    async def run(self) -> None:
        """Serve it until the client has said ``CloseStream``."""
        await self._send({"type": "Connected", "request_id": "fake"})
        while True:
            message = await next_message(self._vendor, self._socket)
            if isinstance(message, bytes):
                await self._hear(message)
                continue
            match kind(message):
                case "ForceEndTurn":
                    await self._force()
                case "CloseStream":
                    if self._words:
                        await self._end("manual")
                    return
                case _:  # KeepAlive, too
                    self._vendor.complain(f"not a message of /v2/listen: {message[:100]}")
                    await self._error("UNPARSABLE_CLIENT_MESSAGE", "Could not parse the message.")

    async def _hear(self, audio: bytes) -> None:
        if not audio:
            self._vendor.complain("an empty binary message")
        self._heard += audio
        for word in self._ear.hear(audio):
            if self._eager:
                self._eager = False
                await self._tell("TurnResumed")
            self._words.append(word)
            if len(self._words) == 1:
                await self._tell("StartOfTurn")
        await self._judge()
        if self._ear.seconds - self._told >= _UPDATE:
            await self._tell("Update")

    async def _judge(self) -> None:
        if not self._words:
            return
        silence = self._ear.silence
        if self._wants_eager and not self._eager and silence >= self._vendor.eager_after:
            self._eager = True
            await self._tell("EagerEndOfTurn")
        if silence >= self._vendor.turn_after:
            await self._end("model")

    async def _force(self) -> None:
        text = self._text()
        if not text:
            text = self._vendor.understand(bytes(self._heard), self._format)
            if text:
                await self._tell("StartOfTurn", text)
        if text:
            await self._end("manual", text)
        else:
            await self._send({"type": "Warning", "code": "NO_ACTIVE_TURN", "description": "There is no turn to end."})

    async def _end(self, trigger: str, text: str = "") -> None:
        text = text or self._text()
        self._vendor.heard.append(text)
        await self._tell("EndOfTurn", text, end_of_turn_confidence=0.9, trigger=trigger)
        self._turn += 1
        self._began_at = self._ear.seconds
        self._words, self._eager = [], False
        self._heard.clear()

    def _text(self) -> str:
        return " ".join(word.text for word, _ in self._words)

    async def _tell(self, event: str, text: str | None = None, **more: Any) -> None:
        self._told = self._ear.seconds
        await self._send({
            "type": "TurnInfo", "request_id": "fake", "event": event, "turn_index": self._turn,
            "audio_window_start": round(self._began_at, 3), "audio_window_end": round(self._ear.seconds, 3),
            "transcript": self._text() if text is None else text,
            "words": [{"word": word.text, "confidence": 0.98} for word, _ in self._words],
            "end_of_turn_confidence": 0.1, **more,
        })  # fmt: skip

    async def _error(self, code: str, description: str) -> None:
        await self._send({"type": "Error", "code": code, "description": description})
        await self._socket.close(1011, code)
        raise VendorClosed

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_json({**message, "sequence_id": self._sequence})
        self._sequence += 1
