"""A simulated AssemblyAI: its streaming recogniser, version 3, and temporary tokens."""

from __future__ import annotations

import json
import re
from typing import Any

import trio

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.testing.vendors.base import Answer, Request, Vendor, VendorClosed, WebSocket
from callengine.testing.vendors.ear import Ear
from callengine.testing.words import Word

_ENCODINGS = {"pcm_mulaw": "mulaw", "pcm_s16le": "l16"}

_COMMANDS = frozenset({"UpdateConfiguration", "KeepAlive"})
"""Beside `ForceEndpoint` and `Terminate`."""


class FakeAssemblyAI(Vendor):
    """AssemblyAI, as far as calls use it. It reads the words of the lab's vocabulary at 8 kHz.

    A turn of other audio has the next of `recorded`, told when its end is asked for.
    """

    hosts = ("streaming.assemblyai.com", "streaming.eu.assemblyai.com")
    key = "a55e3b1ya55e3b1ya55e3b1ya55e3b1y"

    begins: bool = True
    """Whether ``Begin`` is sent."""
    backlog: float = 3.0
    """Seconds of audio that may come faster than they were spoken; with more, the session is ended (3007)."""
    late_refusal: bool = False
    """Whether a bad key is told after the handshake (1008), not in its answer (401). The real one does either."""
    error_first: bool = True
    """Whether an ``Error`` message precedes a close, as newer servers do it."""

    def admit(self, request: Request) -> Answer | None:
        """See `Vendor.admit`."""
        if request.path != "/v3/ws":
            return self.error(404, f"no such path: {request.path}")
        if request.headers.get("authorization") != self.key and not self.late_refusal:
            return self.error(401, "Invalid API key")
        if request.parameter("encoding") not in _ENCODINGS or not (request.parameter("sample_rate") or "").isdigit():
            return self.error(400, "bad encoding or sample_rate")
        for name in ("keyterms_prompt", "language_codes"):
            if not _strings(request.parameter(name)):
                return self.error(400, f"{name} must be a JSON list of strings")
        return None

    async def answer(self, request: Request) -> Answer:
        """See `Vendor.answer`: a temporary token."""
        if (request.method, request.path) != ("GET", "/v3/token"):
            return self.error(404, f"no such path: {request.path}")
        if request.headers.get("authorization") != self.key:
            return self.error(401, "Invalid API key")
        seconds = request.parameter("expires_in_seconds") or ""
        if not seconds.isdigit() or not 1 <= int(seconds) <= 600:
            return self.error(400, "expires_in_seconds must be 1 to 600")
        return Answer.of({"token": "fake", "expires_in_seconds": int(seconds)})

    async def serve(self, socket: WebSocket, request: Request) -> None:
        """See `Vendor.serve`."""
        session = _Session(self, socket, request)
        if request.headers.get("authorization") != self.key:
            await session.refuse(1008, "Unauthorized Connection: Missing Authorization header")
        await session.run()

    def error(self, status: int, message: str) -> Answer:
        """See `Vendor.error`."""
        return Answer.of({"error": message}, status)


def _strings(value: str | None) -> bool:
    """Whether a parameter is left out, or a JSON list of strings."""
    try:
        data = [] if value is None else json.loads(value)
    except ValueError:
        return False
    return isinstance(data, list) and all(isinstance(each, str) for each in data)


class _Session:
    def __init__(self, vendor: FakeAssemblyAI, socket: WebSocket, request: Request) -> None:
        self._vendor = vendor
        self._socket = socket
        self._words_at_once = (request.parameter("speech_model") or "").startswith("universal-streaming")
        self._twice = self._words_at_once and request.parameter("format_turns") == "true"
        self._silence = int(request.parameter("min_turn_silence") or (400 if self._words_at_once else 100)) / 1000
        self._idle = float(request.parameter("inactivity_timeout") or "inf")
        self._format = AudioFormat(
            _ENCODINGS[request.parameter("encoding") or ""],  # type: ignore[arg-type]  # the values are encodings
            int(request.parameter("sample_rate") or 0),
        )
        self._model = request.parameter("speech_model") or ""
        self._ear = Ear(vendor.vocabulary, self._format)
        self._opened = trio.current_time()
        self._paid = 0.0
        self._order = 0
        self._words: list[tuple[Word, float]] = []
        self._turn_audio = bytearray()
        self._told = 0

    async def refuse(self, code: int, reason: str) -> None:
        """End the session with one of the vendor's codes."""
        if self._vendor.error_first and code >= 3000:
            await self._socket.send_json({"type": "Error", "error_code": code, "error": reason})
        await self._socket.close(code, reason)
        raise VendorClosed

    async def run(self) -> None:
        """Serve it until the client has said ``Terminate``."""
        if self._vendor.begins:
            begin = {"type": "Begin", "id": "fake", "expires_at": 1796000000, "configuration": {"model": self._model}}
            await self._socket.send_json(begin)
        while True:
            message: str | bytes | None = None
            with trio.move_on_after(self._idle):
                message = await self._socket.receive()
            if message is None:
                await self.refuse(3008, "Session Expired: nothing came")
            elif isinstance(message, bytes):
                await self._hear(message)
            else:
                kind = _kind(message)
                if kind == "ForceEndpoint":
                    await self._force()
                elif kind == "Terminate":
                    await self._terminate()
                    return
                elif kind not in _COMMANDS:
                    self._vendor.complain(f"not a message of version 3: {message[:100]}")
                    await self.refuse(3006, f"Invalid Message Type: {kind}")

    async def _hear(self, audio: bytes) -> None:
        seconds = self._format.seconds(len(audio))
        if not 0.05 <= seconds <= 1.0:
            self._vendor.complain(f"a message of {seconds * 1000:.0f} ms")
            reason = f"Input duration violation: {seconds * 1000:.1f} ms. Expected between 50 and 1000 ms"
            await self.refuse(3007, reason)
        now = trio.current_time()
        self._paid = max(self._paid, now) + seconds
        if self._paid - now > self._vendor.backlog + 1e-6:
            self._vendor.complain(f"{self._paid - now:.2f} s of audio ahead of the time")
            await self.refuse(3007, "Audio Transmission Rate Exceeded")
        self._turn_audio += audio
        found = self._ear.hear(audio)
        if found and not self._words:
            await self._socket.send_json({"type": "SpeechStarted", "timestamp": 0, "confidence": 0.98})
        self._words += found
        await self._judge()

    async def _judge(self) -> None:
        if not self._words:
            return
        silence = self._ear.silence
        if silence >= self._silence:
            await self._end_turn()
        elif len(self._words) > self._told and (self._words_at_once or silence > 0):
            self._told = len(self._words)
            await self._say(self._text(), over=False, formatted=False)

    async def _force(self) -> None:
        if self._text() or self._vendor.recorded:
            await self._end_turn()

    async def _end_turn(self) -> None:
        text = self._text() or self._vendor.understand(bytes(self._turn_audio), self._format)
        if text:
            self._vendor.heard.append(text)
            await self._say(text, over=True, formatted=not self._words_at_once)
            if self._twice:
                await self._say(text, over=True, formatted=True)
            self._order += 1
        self._words, self._told = [], 0
        self._turn_audio.clear()

    async def _terminate(self) -> None:
        if self._words:
            await self._end_turn()
        seconds = trio.current_time() - self._opened
        await self._socket.send_json(
            {
                "type": "Termination",
                "audio_duration_seconds": self._ear.seconds,
                "session_duration_seconds": seconds,
            }
        )

    def _text(self) -> str:
        return " ".join(word.text for word, _ in self._words)

    async def _say(self, text: str, *, over: bool, formatted: bool) -> None:
        words = [
            {
                "text": word.text,
                "start": round((end - word.size / TELEPHONE.sample_rate) * 1000),
                "end": round(end * 1000),
                "word_is_final": over or self._words_at_once,
            }
            for word, end in self._words
        ]
        if not formatted and self._words_at_once:
            text = re.sub(r"[^\w\s']", "", text).lower()
        await self._socket.send_json({
            "type": "Turn", "turn_order": self._order, "turn_is_formatted": formatted, "end_of_turn": over,
            "transcript": text, "utterance": text if over else "", "end_of_turn_confidence": 1.0 if over else 0.02,
            "words": words,
        })  # fmt: skip


def _kind(message: str) -> str:
    try:
        data: Any = json.loads(message)
    except ValueError:
        return ""
    return str(data.get("type", "")) if isinstance(data, dict) else ""
