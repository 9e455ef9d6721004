"""The two WebSockets of the simulated ElevenLabs."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

import attrs
import trio

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.ports import WordTime
from callengine.testing.vendors.base import Request, WebSocket
from callengine.testing.words import read_words

if TYPE_CHECKING:
    from callengine.testing.vendors.elevenlabs import FakeElevenLabs

_PIECE = 0.1
"""Seconds of audio in a message."""

_SETTINGS = {"voice_settings", "generation_config", "pronunciation_dictionary_locators"}


@attrs.define(eq=False)
class _Context:
    name: str
    waiting: str = ""
    """Text that was not flushed."""
    closing: bool = False
    cut: bool = False
    left: int = 0
    """Messages with audio that still come when it was cut."""


class MultiStream:
    """One voice's socket."""

    def __init__(
        self,
        vendor: FakeElevenLabs,
        socket: WebSocket,
        request: Request,
        audio_format: AudioFormat,
        nursery: trio.Nursery,
    ) -> None:
        self._vendor = vendor
        self._socket = socket
        self._format = audio_format
        self._nursery = nursery
        self._patience = float(request.parameter("inactivity_timeout") or 20)
        self._synchronous = request.parameter("sync_alignment") == "true"
        self._contexts: dict[str, _Context] = {}
        self._sent = 0

    async def run(self) -> None:
        while True:
            message = None
            with trio.move_on_after(self._patience):
                message = await self._socket.receive()
            if message is None:
                return await self._end("input_timeout_exceeded", "no input was received")
            try:
                data = json.loads(message)
            except ValueError:
                return await self._end("invalid_message", "not JSON")
            if not isinstance(data, dict) or data.get("close_socket"):
                return None
            name = data.get("context_id")
            if name is None:
                self._vendor.kept += 1
            elif data.get("close_context"):
                self._close(name)
            elif problem := self._text(name, data):
                return await self._end(*problem)

    def _close(self, name: str) -> None:
        context = self._contexts.get(name)
        if context is None:
            return
        if context.closing:
            self._vendor.cut.append(name)
            context.cut, context.left = True, self._vendor.late
        else:
            context.closing = True
            self._nursery.start_soon(self._speak, context)

    def _text(self, name: str, data: dict[str, Any]) -> tuple[str, str] | None:
        context, text = self._contexts.get(name), data.get("text")
        if context is None:
            if len(self._contexts) >= self._vendor.most_contexts:
                return "max_active_conversations", "Maximum simultaneous contexts exceeded"
            self._vendor.first_messages.append(data)
            self._contexts[name] = _Context(name)
            if text != " ":
                self._vendor.complain(f"the first text of context {name} is not a single space: {text!r}")
            return None
        if _SETTINGS & set(data):
            self._vendor.complain(f"settings after the first message of context {name}")
            return "invalid_message", "voice settings may only be sent in the first message"
        if context.closing:
            self._vendor.complain(f"context {name} was closed, and gets more text")
        if text and not text.endswith(" "):
            self._vendor.complain(f"a text does not end with a space: {text!r}")
        context.waiting += text or ""
        return None

    async def _end(self, error: str, message: str) -> None:
        await self._socket.send_json({"message": message, "error": error, "code": 1008})
        await self._socket.close(1008, message)

    async def _speak(self, context: _Context) -> None:
        text = context.waiting.strip()
        self._vendor.spoken.append(text)
        audio, words = self._vendor.speech(text, self._format)
        characters = _characters(words)
        size = round(_PIECE * self._format.sample_rate) * self._format.sample_width
        for start in range(0, len(audio), size):
            if context.cut:
                context.left -= 1
                if context.left < 0:
                    break
            begin, end = self._format.seconds(start), self._format.seconds(start + size)
            due = [each for each in characters if begin <= each[1] < end]
            alignment = self._alignment(due, begin)
            audio_field = base64.b64encode(audio[start : start + size]).decode()
            await self._send(context, audio=audio_field, isFinal=None, alignment=alignment, normalizedAlignment=None)
        if not self._vendor.never_final:
            await self._send(context, audio=None, isFinal=True)
            del self._contexts[context.name]

    def _alignment(self, due: list[tuple[str, float, float]], begin: float) -> dict[str, Any] | None:
        if not self._vendor.aligned or not self._synchronous:
            return None
        old = "s" if self._sent % 2 else ""  # older servers spell it so
        return {
            "chars": [character for character, _, _ in due],
            f"char{old}StartTimesMs": [round((start - begin) * 1000) for _, start, _ in due],
            f"char{old}DurationsMs": [round(duration * 1000) for _, _, duration in due],
        }

    async def _send(self, context: _Context, **fields: Any) -> None:
        self._sent += 1
        name = "contextId" if self._sent % 2 else "context_id"  # both are seen
        await self._socket.send_json({**fields, name: context.name})


def _characters(words: tuple[WordTime, ...]) -> list[tuple[str, float, float]]:
    """Character, start and duration in seconds, a space behind every word: it takes no time of its own here."""
    characters = []
    for word in words:
        duration = (word.end - word.start) / len(word.word)
        for index, character in enumerate(word.word):
            characters.append((character, word.start + index * duration, duration))
        characters.append((" ", word.end, 0.0))
    return characters


class Realtime:
    """One recogniser's session."""

    def __init__(self, vendor: FakeElevenLabs, socket: WebSocket, request: Request, audio_format: AudioFormat) -> None:
        self._vendor = vendor
        self._socket = socket
        self._format = audio_format
        self._model = request.parameter("model_id")
        self._name = request.parameter("audio_format")
        self._timestamps = request.parameter("include_timestamps") == "true"
        self._audio = bytearray()
        self._reported = 0.0

    async def run(self) -> None:
        config = {"sample_rate": self._format.sample_rate, "audio_format": self._name, "model_id": self._model}
        await self._say("session_started", session_id="s1", config={**config, "commit_strategy": "manual"})
        while True:
            message = None
            with trio.move_on_after(self._vendor.listens_idle):
                message = await self._socket.receive()
            if message is None:
                return
            audio, commit = self._chunk(message)
            if audio is None:
                await self._say("input_error", error="not an input_audio_chunk")
                return
            if not audio and not commit:
                self._vendor.kept += 1
            await self._hear(audio)
            if commit and not await self._commit():
                return

    def _chunk(self, message: str | bytes) -> tuple[bytes | None, bool]:
        if isinstance(message, bytes):
            self._vendor.complain("binary frames are not understood")
            return None, False
        try:
            data = json.loads(message)
            kind, rate, commit = data["message_type"], data["sample_rate"], data["commit"]
            audio = base64.b64decode(data["audio_base_64"], validate=True)
        except (ValueError, KeyError, TypeError, binascii.Error):
            self._vendor.complain(f"not an input_audio_chunk: {message[:80]}")
            return None, False
        if kind != "input_audio_chunk" or rate != self._format.sample_rate or len(audio) % self._format.sample_width:
            self._vendor.complain(f"a wrong input_audio_chunk: {kind} at {rate} Hz, {len(audio)} bytes")
        return audio, commit is True

    async def _hear(self, audio: bytes) -> None:
        self._audio += audio
        seconds = self._format.seconds(len(self._audio))
        if self._vendor.segments is not None and seconds >= self._vendor.segments:
            await self._transcribe()
        elif self._vendor.interim_every is not None and seconds - self._reported >= self._vendor.interim_every:
            self._reported = seconds
            if self._format == TELEPHONE and (text := read_words(self._vendor.vocabulary, bytes(self._audio))):
                await self._say("partial_transcript", text=text)

    async def _commit(self) -> bool:
        seconds = self._format.seconds(len(self._audio))
        self._vendor.commits.append(seconds)
        if seconds < 0.3:
            await self._say("insufficient_audio_activity", error="a commit needs 0.3 s of audio")
            return False
        await trio.sleep(self._vendor.commit_delay)
        await self._transcribe()
        return True

    async def _transcribe(self) -> None:
        text = self._vendor.understand(bytes(self._audio), self._format)
        self._audio.clear()
        self._reported = 0.0
        if text:
            self._vendor.heard.append(text)
        if text or self._vendor.answers_silence:
            await self._say("committed_transcript", text=text)
            if self._timestamps:
                await self._say("committed_transcript_with_timestamps", text=text, language_code="en", words=[])

    async def _say(self, kind: str, **fields: Any) -> None:
        await self._socket.send_json({"message_type": kind, **fields})
