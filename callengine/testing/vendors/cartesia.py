"""A simulated Cartesia: Ink with manual finalising, Sonic with contexts, and the list of voices."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Literal

import attrs
import trio

from callengine.audio.format import TELEPHONE, AudioFormat, Encoding
from callengine.cleanup import single
from callengine.testing.vendors.base import Answer, Request, Vendor, WebSocket
from callengine.testing.words import Vocabulary, read_words

_ENCODINGS: dict[str, Encoding] = {"pcm_mulaw": "mulaw", "pcm_alaw": "alaw", "pcm_s16le": "l16"}
_RATES = (8000, 16000, 22050, 24000, 44100, 48000)
_CODES = {401: "unauthorized", 402: "quota_exceeded", 404: "voice_not_found", 429: "concurrency_limited"}
_HEARING = {"model", "language", "encoding", "sample_rate", "keyterm", "cartesia_version"}
_SPEAKING = {
    "context_id", "model_id", "voice", "language", "transcript", "continue", "output_format", "add_timestamps",
    "use_normalized_timestamps", "max_buffer_delay_ms", "generation_config", "pronunciation_dict_id", "flush",
    "duration",
}  # fmt: skip
_MAY_CHANGE = ("transcript", "continue", "flush", "duration")
_PIECE = 0.1
"""Seconds of audio in a message."""


class FakeCartesia(Vendor):
    """Simulates the service; the way to make things go wrong is `Vendor.faults`, and what is below."""

    hosts = ("api.cartesia.ai",)

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        super().__init__(vocabulary)
        self.acknowledges: Literal["after", "before"] = "after"
        """Whether ``flush_done`` comes after the last words, or before them."""
        self.straggle = 0.0
        """Seconds from the first of both to the other one."""
        self.interim_every: float | None = 0.5
        """Seconds of audio between two interim transcripts; None for none."""
        self.segments: float | None = None
        """Seconds of audio after which it makes words final by itself, as ``ink-whisper`` does in a pause."""
        self.listens_idle = 20.0
        """Seconds without a message after which a recogniser's socket is closed."""
        self.speaks_idle = 300.0
        """The same of a voice's socket."""
        self.late = 3
        """Messages of a context that still come when it was cancelled."""
        self.done_when_cancelled = False
        """Whether a context that was cancelled has its ``done``, too."""
        self.voices: set[str] | None = None
        """Ids of the voices that there are; None: every id is one."""
        self.finalized = 0
        """How many times a client said ``finalize``."""
        self.cancelled: list[str] = []
        """Contexts that a client cancelled, in order."""
        self.settings: list[dict[str, Any]] = []
        """The first message of every context, in order."""

    def error(self, status: int, message: str) -> Answer:
        """See `Vendor.error`: the form of errors since version 2026-03-01."""
        return Answer.of(self._problem(status, message), status)

    def _problem(self, status: int, message: str) -> dict[str, Any]:
        return {
            "error_code": _CODES.get(status),
            "title": f"Error {status}",
            "message": message,
            "request_id": "550e8400-e29b-41d4-a716-446655440000",
            "doc_url": None,
        }

    async def answer(self, request: Request) -> Answer:
        """The list of voices."""
        if refusal := self._refusal(request):
            return refusal
        if (request.method, request.path) == ("GET", "/voices"):
            return Answer.of({"data": [{"id": voice} for voice in sorted(self.voices or ())], "has_more": False})
        return self.error(404, f"no such path: {request.path}")

    def admit(self, request: Request) -> Answer | None:
        """The two WebSockets."""
        if refusal := self._refusal(request):
            return refusal
        if request.path == "/tts/websocket":
            return None
        if request.path != "/stt/websocket":
            return self.error(404, f"no such path: {request.path}")
        if unknown := set(request.query) - _HEARING:
            self.complain(f"unknown parameters: {sorted(unknown)}")
        for name in ("model", "encoding", "sample_rate"):
            if not request.parameter(name):
                return self.error(400, f"{name} is required")
        if request.parameter("encoding") not in _ENCODINGS:
            return self.error(400, "encoding is not known")
        if request.parameter("model") == "ink-2" and request.parameter("language") != "en":
            return self.error(400, "ink-2 supports English only")
        return None

    def _refusal(self, request: Request) -> Answer | None:
        if self.key not in (request.headers.get("x-api-key"), request.headers.get("authorization", "")[7:]):
            return self.error(401, "Invalid API key")
        if not (request.parameter("cartesia_version") or request.headers.get("cartesia-version")):
            return self.error(400, "Cartesia-Version is required")
        return None

    async def serve(self, socket: WebSocket, request: Request) -> None:
        """See `Vendor.serve`."""
        try:
            async with trio.open_nursery() as nursery:
                if request.path == "/stt/websocket":
                    await _Ink(self, socket, request).run()
                else:
                    await _Sonic(self, socket, nursery).run()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise single(group) from None

    def problem(self, status: int, message: str, **more: Any) -> dict[str, Any]:
        """An ``error`` message of a WebSocket, for `say_all` for example."""
        return {"type": "error", "done": True, "status_code": status, **self._problem(status, message), **more}


class _Ink:
    """One recogniser's socket."""

    def __init__(self, vendor: FakeCartesia, socket: WebSocket, request: Request) -> None:
        self._vendor = vendor
        self._socket = socket
        encoding = _ENCODINGS[request.parameter("encoding") or ""]
        self._format = AudioFormat(encoding, int(request.parameter("sample_rate") or 0))
        self._language = request.parameter("language") or "en"
        self._audio = bytearray()
        self._reported = 0.0
        self._said_before = False

    async def run(self) -> None:
        while True:
            message = None
            with trio.move_on_after(self._vendor.listens_idle):
                message = await self._socket.receive()
            match message:
                case None:
                    return
                case bytes():
                    await self._hear(message)
                case "finalize":
                    self._vendor.finalized += 1
                    await self._finalize()
                case "close" | "done":
                    await self._socket.send_json({"type": "done", "request_id": "r1"})
                    return
                case _:
                    self._vendor.complain(f"not a command: {message!r}")

    async def _hear(self, audio: bytes) -> None:
        if len(audio) % self._format.sample_width:
            self._vendor.complain("audio with half a sample")
        self._audio += audio
        seconds = self._format.seconds(len(self._audio))
        if self._vendor.segments is not None and seconds >= self._vendor.segments:
            await self._say(self._understood(), final=True)
        elif self._vendor.interim_every is not None and seconds - self._reported >= self._vendor.interim_every:
            self._reported = seconds
            if self._format == TELEPHONE and (text := read_words(self._vendor.vocabulary, bytes(self._audio))):
                await self._say(text, final=False)

    def _understood(self) -> str:
        text = self._vendor.understand(bytes(self._audio), self._format)
        self._audio.clear()
        self._reported = 0.0
        if text:
            self._vendor.heard.append(text)
        return text

    async def _finalize(self) -> None:
        text = self._understood()
        acknowledgement = {"type": "flush_done", "request_id": "r1"}
        if self._vendor.acknowledges == "before":
            await self._socket.send_json(acknowledgement)
            await trio.sleep(self._vendor.straggle)
        await self._say(text, final=True)
        if self._vendor.acknowledges == "after":
            await trio.sleep(self._vendor.straggle)
            await self._socket.send_json(acknowledgement)

    async def _say(self, text: str, *, final: bool) -> None:
        if text:
            text = f" {text}" if self._said_before else text
            self._said_before = self._said_before or final
            message = {"type": "transcript", "request_id": "r1", "text": text, "is_final": final, "duration": 0.5}
            await self._socket.send_json({**message, "language": self._language})


@attrs.define(eq=False)
class _Context:
    """One context of a voice."""

    first: Mapping[str, Any]
    text: str = ""
    cancelled: bool = False
    left: int = 0
    """Messages that still come when it was cancelled."""


class _Sonic:
    """One voice's socket."""

    def __init__(self, vendor: FakeCartesia, socket: WebSocket, nursery: trio.Nursery) -> None:
        self._vendor = vendor
        self._socket = socket
        self._nursery = nursery
        self._contexts: dict[str, _Context] = {}
        self._over: set[str] = set()

    async def run(self) -> None:
        while True:
            message = None
            with trio.move_on_after(self._vendor.speaks_idle):
                message = await self._socket.receive()
            if message is None:
                return
            try:
                data = json.loads(message)
                name = data["context_id"]
            except (ValueError, TypeError, KeyError):
                self._vendor.complain(f"not a message: {message!r}")
                continue
            if data.get("cancel"):
                self._cancel(name)
            else:
                await self._speak(name, data)

    def _cancel(self, name: str) -> None:
        self._vendor.cancelled.append(name)
        context = self._contexts.get(name)
        if context is not None:
            context.cancelled, context.left = True, self._vendor.late

    async def _speak(self, name: str, data: dict[str, Any]) -> None:
        if unknown := set(data) - _SPEAKING:
            self._vendor.complain(f"unknown fields: {sorted(unknown)}")
        if refusal := self._refusal(name, data):
            await self._fail(name, *refusal)
            return
        context = self._contexts.get(name)
        if context is None:
            context = self._contexts[name] = _Context(data)
            self._vendor.settings.append(data)
        elif _settings(context.first) != _settings(data):
            self._vendor.complain(f"settings of context {name} changed")
        context.text += data.get("transcript") or ""
        if not data.get("continue"):
            self._over.add(name)
            self._nursery.start_soon(self._generate, name, context)

    def _refusal(self, name: str, data: Mapping[str, Any]) -> tuple[int, str] | None:
        if name in self._over:
            self._vendor.complain(f"context {name} was used again")
            return 400, "the context has expired"
        if "max_buffer_delay_ms" not in data:
            self._vendor.complain("max_buffer_delay_ms is not set: its default is not certain")
        output = data.get("output_format") or {}
        if output.get("container") != "raw" or output.get("sample_rate") not in _RATES:
            return 400, "output_format is not known"
        if output.get("encoding") not in _ENCODINGS:
            return 400, "output_format.encoding is not known"
        if self._vendor.voices is not None and data["voice"].get("id") not in self._vendor.voices:
            return 404, "voice not found"
        return None

    async def _generate(self, name: str, context: _Context) -> None:
        output = context.first["output_format"]
        audio_format = AudioFormat(_ENCODINGS[output["encoding"]], output["sample_rate"])
        self._vendor.spoken.append(context.text)
        audio, words = self._vendor.speech(context.text, audio_format)
        size = round(_PIECE * audio_format.sample_rate) * audio_format.sample_width
        for start in range(0, len(audio), size):
            if context.cancelled:
                context.left -= 1
                if context.left < 0:
                    break
            begin, end = audio_format.seconds(start), audio_format.seconds(start + size)
            due = [word for word in words if begin <= word.start < end]
            if due and context.first.get("add_timestamps"):
                times = {"words": [word.word for word in due], "start": [word.start for word in due]}
                await self._send(name, "timestamps", word_timestamps={**times, "end": [word.end for word in due]})
            await self._send(name, "chunk", data=base64.b64encode(audio[start : start + size]).decode(), step_time=41.2)
        if not context.cancelled or self._vendor.done_when_cancelled:
            await self._send(name, "done", done=True, status_code=200)
        del self._contexts[name]

    async def _fail(self, name: str, status: int, message: str) -> None:
        await self._socket.send_json(self._vendor.problem(status, message, context_id=name))

    async def _send(self, name: str, kind: str, **more: Any) -> None:
        message = {"type": kind, "context_id": name, "done": False, "status_code": 206, "flush_id": 1, **more}
        await self._socket.send_json(message)


def _settings(message: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in _MAY_CHANGE}
