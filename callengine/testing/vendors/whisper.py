"""A Whisper-compatible server, simulated: speaches, vLLM and whisper.cpp differ in little that matters here."""

from __future__ import annotations

import io
import json
import re
import wave
from typing import Literal

import attrs
import trio

from callengine.audio.format import AudioFormat
from callengine.testing.vendors.base import Answer, Request, Vendor
from callengine.testing.words import Vocabulary


@attrs.frozen
class Transcription:
    """One request: its form, and the seconds of its audio."""

    at: float
    form: dict[str, str]
    seconds: float


class FakeWhisper(Vendor):
    """Answers ``POST /v1/audio/transcriptions`` and whisper.cpp's ``/inference`` with one text for each file.

    It hears 16 kHz only, so that it says what `recorded` has, one text a request. With ``keyed`` it wants its key.
    """

    hosts = ("127.0.0.1", "localhost")

    def __init__(self, vocabulary: Vocabulary | None = None, *, keyed: bool = False) -> None:
        super().__init__(vocabulary)
        self.keyed = keyed
        self.delay = 0.0
        """Seconds that a transcription takes."""
        self.style: Literal["json", "text", "bare"] = "json"
        """With ``usage``; as plain text; or as whisper.cpp has it, with a space before and a line's end behind."""
        self.problem: str | None = None
        """What the next one says in place of a text, with status 200, as whisper.cpp does."""
        self.models: list[str] | None = None
        """The ones it has; None: any."""
        self.asked: list[Transcription] = []
        """Every transcription that was begun."""

    async def answer(self, request: Request) -> Answer:
        """Transcribe, or list the models."""
        if self.keyed and request.headers.get("authorization") != f"Bearer {self.key}":
            return self.error(401, "Invalid API key")
        if not self.keyed and "authorization" in request.headers:
            self.complain("a key for a server that was given none")
        if (request.method, request.path) == ("GET", "/v1/models"):
            return Answer.of({"object": "list", "data": [{"id": name} for name in self.models or ()]})
        if request.method == "POST" and request.path in ("/v1/audio/transcriptions", "/inference"):
            return await self._transcribed(request)
        return self.error(404, "Not Found")

    def error(self, status: int, message: str) -> Answer:
        """A FastAPI server's error."""
        return Answer.of({"detail": message}, status)

    async def _transcribed(self, request: Request) -> Answer:
        form = _form(request)
        file = form.pop("file", b"")
        texts = {name: value.decode() for name, value in form.items()}
        if self.models is not None and texts.get("model") not in self.models:
            return self.error(404, f"Model '{texts.get('model')}' is not installed locally.")
        audio = self._samples(file)
        if audio is None:
            return self.error(400, "the file is not a WAV file of 16-bit samples, mono, at 16 kHz")
        heard = AudioFormat("l16", 16000)
        self.asked.append(Transcription(request.at, texts, heard.seconds(len(audio))))
        text = self.understand(audio, heard)
        await trio.sleep(self.delay)
        if self.problem is not None:
            problem, self.problem = self.problem, None
            return Answer.of({"error": problem})
        self.heard.append(text)
        if self.style == "text":
            return Answer(200, text.encode(), {"content-type": "text/plain; charset=utf-8"})
        if self.style == "bare":
            return Answer(200, json.dumps({"text": f" {text}\n"}).encode(), {"content-type": "application/json"})
        usage = {"type": "duration", "seconds": heard.seconds(len(audio))}
        return Answer.of({"text": text, "usage": usage})

    def _samples(self, file: bytes) -> bytes | None:
        try:
            with wave.open(io.BytesIO(file)) as wav:
                shape = (wav.getnchannels(), wav.getsampwidth(), wav.getframerate())
                audio = wav.readframes(wav.getnframes())
        except (wave.Error, EOFError):
            return None
        return audio if shape == (1, 2, 16000) else None


def _form(request: Request) -> dict[str, bytes]:
    """The fields of a multipart body (RFC 7578)."""
    boundary = re.search(r'boundary="?([^";]+)', request.headers.get("content-type", ""))
    fields: dict[str, bytes] = {}
    for part in request.body.split(f"--{boundary.group(1)}".encode())[1:-1] if boundary else ():
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'[; ]name="([^"]*)"', head)
        if name is not None:
            fields[name.group(1).decode()] = content.removesuffix(b"\r\n")
    return fields
