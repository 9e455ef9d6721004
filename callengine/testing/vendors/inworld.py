"""Inworld's voices, simulated: WebSocket contexts, and the list of voices."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
import trio

from callengine.audio.format import AudioFormat, Encoding
from callengine.ports import WordTime
from callengine.testing.vendors.base import Answer, Request, Vendor, VendorClosed, WebSocket
from callengine.testing.vendors.beside import beside
from callengine.testing.words import Vocabulary

_ENCODINGS: dict[str, Encoding] = {"MULAW": "mulaw", "ALAW": "alaw", "PCM": "l16", "LINEAR16": "l16"}
_CONTEXTS = 5
"""On one connection."""
_PIECE = 0.1
"""Seconds of audio in a chunk."""


@attrs.define
class _Context:
    format: AudioFormat
    encoding: str
    text: str = ""
    closing: bool = False
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    wanted: trio.Event = attrs.field(factory=trio.Event)


class FakeInworld(Vendor):
    """Inworld's text to speech as it is documented.

    A context says what it was sent when it is flushed, in chunks of 100 ms, ``first_byte`` seconds later and one every
    ``pace`` seconds; the times of a chunk's words come in a message behind it. ``LINEAR16`` has a WAV header at the
    start of each generation, and so has everything with ``headers``.
    """

    hosts = ("api.inworld.ai",)

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        super().__init__(vocabulary)
        self.first_byte = 0.0
        self.pace = 0.0
        self.headers = False
        self.voices = {"Ashley", "Alex"}
        """The ones that it knows."""
        self.cancelled: list[str] = []
        """Contexts that were cancelled while they spoke."""
        self.late = False
        """Whether a cancelled context sends a chunk more."""
        self.split_after: int | None = None
        """Characters after which a text is cut into generations of its own."""

    def error(self, status: int, message: str) -> Answer:
        """A gRPC status."""
        codes = {400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 500: 13, 503: 14}
        return Answer.of({"code": codes.get(status, 2), "message": message, "details": []}, status)

    async def answer(self, request: Request) -> Answer:
        """``GET /tts/v1/voices``."""
        if (refused := self._unauthorised(request)) is not None:
            return refused
        if (request.method, request.path) == ("GET", "/tts/v1/voices"):
            return Answer.of({"voices": [{"voiceId": voice} for voice in sorted(self.voices)]})
        return self.error(404, "Not Found")

    def admit(self, request: Request) -> Answer | None:
        """Only the bidirectional stream, with a key."""
        if request.path != "/tts/v1/voice:streamBidirectional":
            return self.error(404, "Not Found")
        return self._unauthorised(request)

    def _unauthorised(self, request: Request) -> Answer | None:
        if request.headers.get("authorization") == f"Basic {self.key}":
            return None
        return self.error(401, "Unauthenticated")

    async def serve(self, socket: WebSocket, request: Request) -> None:
        """One connection."""
        del request
        contexts: dict[str, _Context] = {}
        async with trio.open_nursery() as nursery:
            with suppress(VendorClosed):
                while True:
                    await self._take(socket, contexts, await socket.receive(), nursery)
            nursery.cancel_scope.cancel()
        raise VendorClosed

    async def _take(
        self, socket: WebSocket, contexts: dict[str, _Context], message: str | bytes, nursery: trio.Nursery
    ) -> None:
        event = json.loads(message)
        name = event.pop("contextId", "")
        verbs = [verb for verb in event if verb in _VERBS]
        if len(event) != 1 or len(verbs) != 1:
            self.complain(f"a message wants exactly one verb: {sorted(event)}")
            return
        (verb,) = verbs
        if verb == "create":
            await self._create(socket, contexts, name, event[verb], nursery)
            return
        context = contexts.get(name)
        if context is None:
            if not (verb == "send_text" and event[verb].get("text") == ""):  # that one only keeps the socket
                await _say(socket, name, {}, code=5, message=f"Context {name} not found")
            return
        if verb == "send_text":
            self._text(context, event[verb])
        elif verb == "cancel_context":
            self.cancelled.append(name)
            context.scope.cancel()
        elif verb == "close_context":
            context.closing = True
            context.wanted.set()
        else:
            context.wanted.set()

    def _text(self, context: _Context, said: Mapping[str, Any]) -> None:
        if len(said.get("text", "")) > 1000:
            self.complain("more than 1000 characters in one send_text")
        context.text += said.get("text", "")
        if "flush_context" in said:
            context.wanted.set()

    async def _create(
        self, socket: WebSocket, contexts: dict[str, _Context], name: str, create: Any, nursery: trio.Nursery
    ) -> None:
        audio = create.get("audioConfig", {})
        encoding = audio.get("audioEncoding", "")
        if len(contexts) >= _CONTEXTS:
            await _say(socket, name, {}, code=8, message="too many contexts")
        elif create.get("voiceId") not in self.voices:
            await _say(socket, name, {}, code=3, message=f"Unknown voice: {create.get('voiceId')}")
        elif encoding not in _ENCODINGS:
            await _say(socket, name, {}, code=3, message=f"Unknown encoding: {encoding}")
        else:
            contexts[name] = _Context(AudioFormat(_ENCODINGS[encoding], audio["sampleRateHertz"]), encoding)
            await _say(socket, name, {"contextCreated": {"voiceId": create["voiceId"]}})
            nursery.start_soon(beside, nursery, partial(self._run, socket, contexts, name))

    async def _run(self, socket: WebSocket, contexts: dict[str, _Context], name: str) -> None:
        context = contexts[name]
        with context.scope:
            while True:
                await context.wanted.wait()
                context.wanted = trio.Event()
                text, context.text = context.text, ""
                if text:
                    await self._generate(socket, name, context, text)
                if context.closing and not context.text:
                    break
        if context.scope.cancelled_caught and self.late:
            late = base64.b64encode(bytes(800)).decode()
            await _say(socket, name, {"audioChunk": {"audioContent": late}})
        del contexts[name]
        await _say(socket, name, {"contextClosed": {}})

    async def _generate(self, socket: WebSocket, name: str, context: _Context, text: str) -> None:
        self.spoken.append(text)
        words = text.split()
        parts = [text] if self.split_after is None else _parts(words, self.split_after)
        await trio.sleep(self.first_byte)
        for part in parts:
            audio, times = self.speech(part, context.format)
            if self.headers or context.encoding == "LINEAR16":
                audio = _wav_header(len(audio)) + audio
            size = int(_PIECE * context.format.sample_rate) * context.format.sample_width
            for start in range(0, len(audio), size):
                piece = audio[start : start + size]
                chunk = {"audioContent": base64.b64encode(piece).decode(), "usage": _usage(text)}
                await _say(socket, name, {"audioChunk": chunk})
                seconds = context.format.seconds(start + len(piece))
                ended = [time for time in times if time.end <= seconds + 1e-6]
                times = times[len(ended) :]
                if ended:
                    await _say(socket, name, {"audioChunk": {"timestampInfo": {"wordAlignment": _alignment(ended)}}})
                await trio.sleep(self.pace)
            if times:
                await _say(socket, name, {"audioChunk": {"timestampInfo": {"wordAlignment": _alignment(times)}}})
            await _say(socket, name, {"flushCompleted": {}})


_VERBS = ("create", "send_text", "flush_context", "close_context", "cancel_context")


async def _say(socket: WebSocket, context: str, result: Mapping[str, Any], *, code: int = 0, message: str = "") -> None:
    status = {"code": code, "message": message, "details": []}
    await socket.send_json({"result": {"contextId": context, **result, "status": status}})


def _usage(text: str) -> dict[str, int]:
    return {"processedCharactersCount": len(text)}


def _parts(words: list[str], longest: int) -> list[str]:
    parts = [""]
    for word in words:
        if parts[-1] and len(parts[-1]) + 1 + len(word) > longest:
            parts.append("")
        parts[-1] = f"{parts[-1]} {word}".strip()
    return parts


def _alignment(words: list[WordTime] | tuple[WordTime, ...]) -> dict[str, list[Any]]:
    return {
        "words": [time.word for time in words],
        "wordStartTimeSeconds": [time.start for time in words],
        "wordEndTimeSeconds": [time.end for time in words],
    }


def _wav_header(size: int) -> bytes:
    """44 bytes; the format in it does not matter here."""
    head = b"RIFF" + (size + 36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little") + bytes(16)
    return head + b"data" + size.to_bytes(4, "little")
