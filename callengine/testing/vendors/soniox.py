"""A simulated Soniox: its real-time recogniser, and the list of its models."""

from __future__ import annotations

import json
from typing import Any

import trio

from callengine.audio.format import AudioFormat
from callengine.testing.vendors.base import Answer, Request, Vendor, WebSocket
from callengine.testing.vendors.timed_ear import TimedEar, TimedWord
from callengine.testing.words import Vocabulary

MODELS = ("stt-rt-v5", "stt-rt-v4")

_OPTIONS = frozenset({
    "model", "audio_format", "sample_rate", "num_channels", "language_hints", "language_hints_strict",
    "enable_endpoint_detection", "max_endpoint_delay_ms", "endpoint_sensitivity", "endpoint_latency_adjustment_level",
    "enable_language_identification", "enable_speaker_diarization", "context", "client_reference_id", "translation",
})  # fmt: skip
_NEW = ("endpoint_sensitivity", "endpoint_latency_adjustment_level")
"""Options that older models refuse."""
_ENCODINGS = {"mulaw": "mulaw", "alaw": "alaw", "pcm_s16le": "l16"}


class FakeSoniox(Vendor):
    """Final tokens come once, the others in every message; words are cut in two tokens, and some become final in the
    middle of an utterance."""

    hosts = ("stt-rt.soniox.com", "stt-rt.eu.soniox.com", "stt-rt.jp.soniox.com", "api.soniox.com")

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        super().__init__(vocabulary)
        self.configurations: list[dict[str, Any]] = []
        """Every first message."""
        self.idle = 20.0
        """Seconds without audio or ``keepalive`` after which it closes; so long it also waits for the first message."""
        self.settles = 1.0
        """Seconds of audio after which a word becomes final by itself."""
        self.answers_finalize = True
        """Whether a ``finalize`` without words pending is answered."""
        self.keepalives = 0
        self.sessions_ended = 0
        """Sessions that the client has ended with an empty frame."""

    async def answer(self, request: Request) -> Answer:
        """The list of models."""
        if request.path != "/v1/models" or request.method != "GET":
            return self.error(404, f"no such path: {request.path}")
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return self.error(401, "Invalid API key.")
        return Answer.of({"models": [{"id": model} for model in MODELS]})

    def admit(self, request: Request) -> Answer | None:
        """A handshake needs the path; a key in its header must be the right one."""
        if request.path != "/transcribe-websocket":
            return self.error(404, f"no such path: {request.path}")
        if request.headers.get("authorization", f"Bearer {self.key}") != f"Bearer {self.key}":
            return self.error(401, "Invalid API key.")
        return None

    def error(self, status: int, message: str) -> Answer:
        """As its HTTP interface has it."""
        return Answer.of({"status_code": status, "error_type": "error", "message": message, "request_id": "r1"}, status)

    def failure(self, code: int, message: str) -> dict[str, Any]:
        """An error message on the WebSocket, after which it closes."""
        return {
            "tokens": [],
            "error_code": code,
            "error_type": "error",
            "error_message": message,
            "request_id": "3d37a3bd-7e31-4d24-9f5a-3a34b7e6c001",
        }

    async def serve(self, socket: WebSocket, request: Request) -> None:
        """One stream."""
        code, message = 0, ""
        with trio.move_on_after(self.idle) as waited:
            code, message = await self._configured(socket, request)
        if waited.cancelled_caught:
            code, message = 408, "Start request timeout"
        if not code:
            code, message = await _Stream(self, socket, self.configurations[-1]).run()
        if code:
            await socket.send_json(self.failure(code, message))

    async def _configured(self, socket: WebSocket, request: Request) -> tuple[int, str]:
        first = await socket.receive()
        try:
            configuration = json.loads(first)
        except ValueError:
            configuration = None
        if not isinstance(configuration, dict):
            self.complain("the first message is no JSON object")
            return 400, "Invalid configuration"
        self.configurations.append(configuration)
        if "authorization" not in request.headers:
            if "api_key" in configuration:
                self.complain("the key is in the first message")
            return 401, "API keys are taken in the Authorization header only."
        return self._refusal(configuration)

    def _refusal(self, configuration: dict[str, Any]) -> tuple[int, str]:
        for name in configuration.keys() - _OPTIONS:
            self.complain(f"no such option: {name}")
        model = configuration.get("model")
        if model not in MODELS:
            return 400, f"Invalid model specified: {model}"
        if model != "stt-rt-v5" and any(name in configuration for name in _NEW):
            return 400, f"Not supported by {model}"
        if configuration.get("audio_format") not in _ENCODINGS:
            return 400, "Invalid audio format"
        if not configuration.get("sample_rate") or not configuration.get("num_channels"):
            return 400, "Raw audio needs sample_rate and num_channels"
        if not 500 <= configuration.get("max_endpoint_delay_ms", 2000) <= 3000:
            return 400, "max_endpoint_delay_ms must be 500 to 3000"
        return 0, ""


class _Stream:
    def __init__(self, vendor: FakeSoniox, socket: WebSocket, configuration: dict[str, Any]) -> None:
        self._vendor = vendor
        self._socket = socket
        encoding: Any = _ENCODINGS[configuration["audio_format"]]
        self._ear = TimedEar(vendor, AudioFormat(encoding, configuration["sample_rate"]))
        self._endpoint: float | None = None
        if configuration.get("enable_endpoint_detection"):
            self._endpoint = configuration.get("max_endpoint_delay_ms", 2000) / 1000
        self._pending: list[TimedWord] = []
        self._said: list[str] = []
        self._final = 0.0
        """Seconds that are final."""

    async def run(self) -> tuple[int, str]:
        """Serve it to its end; returns the error that ended it, or 0."""
        while True:
            message: str | bytes | None = None
            with trio.move_on_after(self._vendor.idle):
                message = await self._socket.receive()
            if message is None:
                return 408, "Audio data decode timeout"
            if not message:
                await self._tell(self._finalise(), finished=True)
                self._vendor.sessions_ended += 1
                return 0, ""
            if isinstance(message, bytes):
                await self._audio(message)
            elif (error := await self._control(message)) is not None:
                return error

    async def _control(self, message: str) -> tuple[int, str] | None:
        try:
            kind = json.loads(message).get("type")
        except (ValueError, AttributeError):
            kind = None
        if kind == "keepalive":
            self._vendor.keepalives += 1
        elif kind == "finalize":
            final = self._finalise()
            if final or self._vendor.answers_finalize:
                await self._tell([*final, _marker("<fin>")])
        else:
            self._vendor.complain(f"no such message: {message[:80]}")
            return 400, "Invalid control message"
        return None

    async def _audio(self, audio: bytes) -> None:
        self._pending += self._ear.hear(audio)
        settled = [word for word in self._pending if word.end <= self._ear.position - self._vendor.settles]
        self._pending = self._pending[len(settled) :]
        tokens = self._made_final(settled)
        last = self._pending[-1].end if self._pending else self._final
        silent = self._ear.position - last
        if self._endpoint is not None and silent >= self._endpoint and (self._pending or self._said):
            tokens += self._finalise()
            tokens.append(_marker("<end>"))
        await self._tell(tokens)

    def _made_final(self, words: list[TimedWord]) -> list[dict[str, Any]]:
        self._said += [word.text for word in words]
        if words:
            self._final = words[-1].end
        return [token for word in words for token in _tokens(word, final=True)]

    def _finalise(self) -> list[dict[str, Any]]:
        words = [*self._pending, *self._ear.finish()]
        self._pending = []
        tokens = self._made_final(words)
        self._final = self._ear.position
        if self._said:
            self._vendor.heard.append(" ".join(self._said))
        self._said = []
        return tokens

    async def _tell(self, tokens: list[dict[str, Any]], *, finished: bool = False) -> None:
        tail = [token for word in self._pending for token in _tokens(word, final=False)]
        message: dict[str, Any] = {
            "tokens": [*tokens, *tail],
            "final_audio_proc_ms": round(self._final * 1000),
            "total_audio_proc_ms": round(self._ear.position * 1000),
        }
        if finished:
            message["finished"] = True
        await self._socket.send_json(message)


def _tokens(word: TimedWord, *, final: bool) -> list[dict[str, Any]]:
    """A word in two tokens, cut in its middle; the space before it belongs to the first."""
    middle = max(1, len(word.text) // 2)
    between = (word.start + word.end) / 2
    parts = ((f" {word.text[:middle]}", word.start, between), (word.text[middle:], between, word.end))
    return [
        {
            "text": text,
            "start_ms": round(start * 1000),
            "end_ms": round(end * 1000),
            "confidence": 0.97 if final else 0.6,
            "is_final": final,
        }
        for text, start, end in parts
        if text
    ]


def _marker(text: str) -> dict[str, Any]:
    return {"text": text, "is_final": True}
