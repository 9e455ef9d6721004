"""OpenAI's audio, simulated: realtime transcription sessions, and ``/v1/audio/speech``."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
import trio

from callengine.audio.format import AudioFormat
from callengine.testing.vendors.base import Answer, Request, Vendor, VendorClosed, WebSocket
from callengine.testing.vendors.beside import beside
from callengine.testing.words import Vocabulary

PCM = AudioFormat("l16", 24000)
_LEAST = 0.1
"""Seconds of audio below which a commit is refused."""
_PIECE = 4800
"""Bytes of a streamed body's piece: 100 ms."""


@attrs.define
class _Session:
    """One realtime session."""

    model: str = ""
    audio: bytearray = attrs.field(factory=bytearray)
    items: int = 0


class FakeOpenAIAudio(Vendor):
    """OpenAI's transcription and speech as they are documented.

    Everything committed is an item; its transcript comes ``delay`` seconds later, as a delta for each word and then
    the whole. What is not in the protocol's order, format or spelling is a complaint or an ``error`` event, as there.
    """

    hosts = ("api.openai.com",)

    def __init__(self, vocabulary: Vocabulary | None = None, *, sample_rate: int = PCM.sample_rate) -> None:
        super().__init__(vocabulary)
        self.delay = 0.0
        """Seconds from a commit to its transcript."""
        self.delays: list[float] = []
        """The same, of the next commits, one each: transcripts may come out of order."""
        self.usage: dict[str, Any] | None = {"type": "duration"}
        """What a transcript's usage says (the seconds of a ``duration`` are filled in); None: nothing."""
        self.silent_update = False
        """Whether ``session.update`` is not answered."""
        self.failing: list[dict[str, Any]] = []
        """The next transcriptions fail with these error objects."""
        self.speech_type = "audio/pcm"
        """Content type of ``/v1/audio/speech``."""
        self._speech = AudioFormat("l16", sample_rate)

    def error(self, status: int, message: str) -> Answer:
        """An error body of OpenAI's."""
        kinds = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
        kind = "server_error" if status >= 500 else "invalid_request_error"
        error = {"message": message, "type": kind, "param": None, "code": kinds.get(status)}
        if status == 429:
            error["type"] = "requests"
        return Answer.of({"error": error}, status)

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Answer:
        """``GET /v1/models`` and ``POST /v1/audio/speech``."""
        if (refused := self._unauthorised(request)) is not None:
            return refused
        if (request.method, request.path) == ("GET", "/v1/models"):
            return Answer.of({"object": "list", "data": [{"id": "gpt-live-transcribe", "shutdown_date": None}]})
        if (request.method, request.path) == ("POST", "/v1/audio/speech"):
            return self._spoken(request.json)
        return self.error(404, f"Invalid URL ({request.method} {request.path})")

    def _unauthorised(self, request: Request) -> Answer | None:
        if request.headers.get("authorization") == f"Bearer {self.key}":
            return None
        return self.error(401, "Incorrect API key provided.")

    def _spoken(self, body: Any) -> Answer:
        for name in ("model", "voice", "input"):
            if not isinstance(body, dict) or not isinstance(body.get(name), str) or not body[name]:
                return self.error(400, f"Missing required parameter: '{name}'.")
        if len(body["input"]) > 4096:
            return self.error(400, "String too long. Expected a string with maximum length 4096.")
        if body.get("response_format") != "pcm":
            self.complain(f"a telephone needs pcm, not {body.get('response_format')}")
        if body.get("instructions") and body["model"].startswith("tts-1"):
            self.complain(f"{body['model']} takes no instructions")
        self.spoken.append(body["input"])
        audio, _ = self.speech(body["input"], self._speech)
        return Answer(200, _pieces(audio), {"content-type": self.speech_type})

    # --- realtime -----------------------------------------------------------------------------------------------------

    def admit(self, request: Request) -> Answer | None:
        """Only transcription sessions, with a key, without the beta's header."""
        if "openai-beta" in request.headers:
            self.complain("the header OpenAI-Beta selects an interface that is gone")
        if request.path != "/v1/realtime":
            return self.error(404, f"Invalid URL (GET {request.path})")
        if (refused := self._unauthorised(request)) is not None:
            return refused
        if request.parameter("intent") != "transcription":
            return self.error(400, "only transcription sessions are simulated: intent=transcription")
        return None

    async def serve(self, socket: WebSocket, request: Request) -> None:
        """One session."""
        session = _Session()
        conversation = request.host == "api.openai.com" and request.parameter("model") is not None
        await socket.send_json({"type": "session.created", "session": {"id": "sess_1", "type": "transcription"}})
        async with trio.open_nursery() as nursery:
            with suppress(VendorClosed):
                while True:
                    await self._take(socket, session, _object(await socket.receive()), conversation, nursery)
            nursery.cancel_scope.cancel()
        raise VendorClosed

    async def _take(
        self, socket: WebSocket, session: _Session, event: dict[str, Any], conversation: bool, nursery: trio.Nursery
    ) -> None:
        match event.get("type"):
            case "session.update":
                await self._update(socket, session, event.get("session"), conversation)
            case "input_audio_buffer.append":
                self._append(session, event.get("audio"))
            case "input_audio_buffer.clear":
                session.audio.clear()
                await socket.send_json({"type": "input_audio_buffer.cleared"})
            case "input_audio_buffer.commit":
                await self._commit(socket, session, nursery)
            case other:
                self.complain(f"no such event: {other}")

    async def _update(self, socket: WebSocket, session: _Session, settings: Any, conversation: bool) -> None:
        problem = "invalid_model" if conversation else _problem(settings)
        if problem:
            await socket.send_json(_error("invalid_request_error", problem, f"The session was not updated: {problem}."))
            return
        session.model = settings["audio"]["input"]["transcription"]["model"]
        if not self.silent_update:
            await socket.send_json({"type": "session.updated", "session": settings})

    def _append(self, session: _Session, audio: Any) -> None:
        if not session.model:
            self.complain("audio before the session was updated")
        try:
            session.audio += base64.b64decode(audio, validate=True)
        except (TypeError, binascii.Error):
            self.complain("audio that is not base64")

    async def _commit(self, socket: WebSocket, session: _Session, nursery: trio.Nursery) -> None:
        audio = bytes(session.audio)
        session.audio.clear()
        seconds = PCM.seconds(len(audio))
        if seconds < _LEAST:
            text = f"Expected at least 100ms of audio, but buffer only has {seconds * 1000:.2f}ms of audio."
            await socket.send_json(_error("invalid_request_error", "input_audio_buffer_commit_empty", text))
            return
        previous = f"item_{session.items}" if session.items else None
        session.items += 1
        item = f"item_{session.items}"
        names = {"item_id": item, "previous_item_id": previous}
        await socket.send_json({"type": "input_audio_buffer.committed", **names})
        await socket.send_json({"type": "conversation.item.added", "item": {"id": item, "type": "message"}})
        delay = self.delays.pop(0) if self.delays else self.delay
        nursery.start_soon(beside, nursery, partial(self._transcribe, socket, item, audio, delay))

    async def _transcribe(self, socket: WebSocket, item: str, audio: bytes, delay: float) -> None:
        text = self.understand(audio, PCM)
        await trio.sleep(delay)
        seconds = PCM.seconds(len(audio))
        kind = "conversation.item.input_audio_transcription"
        names: dict[str, Any] = {"item_id": item, "content_index": 0}
        if self.failing:
            await socket.send_json({"type": f"{kind}.failed", **names, "error": self.failing.pop(0)})
            return
        for number, word in enumerate(text.split()):
            await socket.send_json({"type": f"{kind}.delta", **names, "delta": f" {word}" if number else word})
        self.heard.append(text)
        completed: dict[str, Any] = {"type": f"{kind}.completed", **names, "transcript": text}
        if self.usage is not None:
            completed["usage"] = dict(self.usage)
            if self.usage.get("type") == "duration":
                completed["usage"]["seconds"] = seconds
        await socket.send_json(completed)


def _problem(settings: Any) -> str:
    """What is wrong with a session's settings; empty where nothing is."""
    try:
        heard = settings["audio"]["input"]
        if settings["type"] != "transcription" or heard["format"] != {"type": "audio/pcm", "rate": 24000}:
            return "invalid_value"
        model = heard["transcription"]["model"]
    except (KeyError, TypeError):
        return "missing_required_parameter"
    realtime_only = model.startswith(("gpt-live-transcribe", "gpt-realtime-whisper"))
    if realtime_only and heard.get("turn_detection", "the vendor's own") is not None:
        return "turn_detection_not_supported"
    if not model.startswith(("gpt-live-transcribe", "gpt-transcribe")) and {"languages", "keywords"} & set(
        heard["transcription"]
    ):
        return "unknown_parameter"
    return ""


def _error(kind: str, code: str, message: str) -> dict[str, Any]:
    error = {"type": kind, "code": code, "message": message, "param": None, "event_id": None}
    return {"type": "error", "error": error}


def _object(message: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(message)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


async def _pieces(audio: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(audio), _PIECE):
        yield audio[start : start + _PIECE]


__all__ = ["PCM", "FakeOpenAIAudio"]
