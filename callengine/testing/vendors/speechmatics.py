"""A simulated Speechmatics: its real-time recogniser (version 2), and temporary keys."""

from __future__ import annotations

import json
import math
from typing import Any

import trio

from callengine.audio.format import AudioFormat
from callengine.testing.vendors.base import Answer, Request, Vendor, WebSocket
from callengine.testing.vendors.timed_ear import TimedEar, TimedWord
from callengine.testing.words import Vocabulary

MODELS = ("standard", "enhanced")
LANGUAGES = ("en", "de", "es", "fr", "it", "nl", "pt", "ja", "cmn", "no")

_CONFIG = frozenset({
    "language", "model", "operating_point", "output_locale", "enable_partials", "max_delay", "max_delay_mode",
    "enable_entities", "additional_vocab", "diarization", "conversation_config", "audio_filtering_config", "domain",
    "punctuation_overrides", "transcript_filtering_config", "speaker_diarization_config",
})  # fmt: skip
_ENCODINGS = {"mulaw": "mulaw", "pcm_s16le": "l16", "pcm_f32le": "f32"}
_CODES = {"protocol_error": 1003, "idle_timeout": 1008, "session_timeout": 1008, "internal_error": 1011,
          "not_authorised": 4001, "not_allowed": 4003, "invalid_model": 4004, "quota_exceeded": 4005,
          "timelimit_exceeded": 4006, "job_error": 4013}  # fmt: skip
_PUNCTUATION = ".,?!"


class _Failed(Exception):
    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class FakeSpeechmatics(Vendor):
    """Finals come in pieces, the punctuation behind a word in one of its own, and there are empty ones in between."""

    hosts = (
        "eu.rt.speechmatics.com",
        "us.rt.speechmatics.com",
        "global.rt.speechmatics.com",
        "mp.speechmatics.com",
    )

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        super().__init__(vocabulary)
        self.configurations: list[dict[str, Any]] = []
        """Every ``StartRecognition``."""
        self.forced: list[float | None] = []
        """The times of every ``ForceEndOfUtterance``."""
        self.idle = 180.0
        """Seconds without audio or a ping after which it closes."""
        self.word_delimiter = " "
        self.forced_delay = 0.0
        """Seconds that it thinks over the end of an utterance that was asked for."""
        self.sessions_ended = 0
        """Sessions that the client has ended with ``EndOfStream``."""

    async def answer(self, request: Request) -> Answer:
        """A temporary key."""
        if request.method != "POST" or request.path != "/v1/api_keys":
            return self.error(404, f"no such path: {request.path}")
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return self.error(401, "unauthorized")
        if request.parameter("type") != "rt" or not isinstance(request.json, dict) or "ttl" not in request.json:
            return self.error(400, "type and ttl are needed")
        return Answer.of({"apikey_id": "1", "key_value": "a-temporary-key"}, 201)

    def admit(self, request: Request) -> Answer | None:
        """A handshake needs the path and the key."""
        if request.path not in ("/v2/", "/v2"):
            return self.error(404, f"no such path: {request.path}")
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return self.error(401, "unauthorized")
        return None

    def error(self, status: int, message: str) -> Answer:
        """As its HTTP interface has it."""
        return Answer.of({"code": status, "error": message}, status)

    async def fail(self, socket: WebSocket, kind: str, reason: str = "failed by the test") -> None:
        """End a session with an ``Error`` message and its close code."""
        code = _CODES.get(kind, 1011)
        message: dict[str, Any] = {"message": "Error", "type": kind, "reason": reason}
        if code >= 4000:
            message["code"] = code
        await socket.send_json(message)
        await socket.close(code, kind)

    async def serve(self, socket: WebSocket, request: Request) -> None:
        """One session."""
        del request
        try:
            config = self._started(await socket.receive())
            await socket.send_json({"message": "Info", "type": "recognition_quality", "quality": "telephony"})
            language = {"language_description": "English", "word_delimiter": self.word_delimiter}
            await socket.send_json({"message": "RecognitionStarted", "id": "807670e9", "language_pack_info": language})
            await _Session(self, socket, config).run()
        except _Failed as failed:
            await self.fail(socket, failed.kind, failed.reason)

    def _started(self, first: str | bytes) -> dict[str, Any]:
        message = _json(first)
        if message.get("message") != "StartRecognition":
            self.complain("the first message is not StartRecognition")
            raise _Failed("protocol_error", "StartRecognition expected")
        self.configurations.append(message)
        audio, config = message.get("audio_format", {}), message.get("transcription_config", {})
        for name in config.keys() - _CONFIG:
            raise _Failed("invalid_config", f"Additional property {name} is not allowed")
        if audio.get("type") != "raw" or audio.get("encoding") not in _ENCODINGS or not audio.get("sample_rate"):
            raise _Failed("invalid_audio_type", "audio_format is not valid")
        if config.get("language") not in LANGUAGES:
            raise _Failed("invalid_language", f"Language {config.get('language')} is not supported")
        if config.get("model", "standard") not in MODELS:
            raise _Failed("invalid_model", f"Model {config.get('model')} is not available")
        if not 0.7 <= config.get("max_delay", 4) <= 4:
            raise _Failed("invalid_config", "max_delay must be between 0.7 and 4")
        if config.get("output_locale", "en").split("-")[0] != "en":
            raise _Failed("invalid_config", "output_locale is not supported")
        return message


class _Session:
    def __init__(self, vendor: FakeSpeechmatics, socket: WebSocket, message: dict[str, Any]) -> None:
        self._vendor = vendor
        self._socket = socket
        encoding: Any = _ENCODINGS[message["audio_format"]["encoding"]]
        self._ear = TimedEar(vendor, AudioFormat(encoding, message["audio_format"]["sample_rate"]))
        config = message["transcription_config"]
        self._partials = config.get("enable_partials", False)
        self._max_delay = config.get("max_delay", 4)
        self._silence = config.get("conversation_config", {}).get("end_of_utterance_silence_trigger") or math.inf
        self._frames = 0
        self._pending: list[TimedWord] = []
        self._said: list[TimedWord] = []
        """Final words of the utterance."""
        self._audio_at = trio.current_time()

    async def run(self) -> None:
        while True:
            message = await self._next()
            if isinstance(message, bytes):
                await self._audio(message)
            elif (data := _json(message)).get("message") == "EndOfStream":
                await self._end(data)
                return
            elif data.get("message") == "ForceEndOfUtterance":
                self._vendor.forced.append(data.get("timestamp"))
                await trio.sleep(self._vendor.forced_delay)
                self._pending += self._ear.finish()
                await self._utterance_ends(forced=True)
            else:
                self._vendor.complain(f"no such message: {message[:80]}")
                raise _Failed("invalid_message", "unknown message")

    async def _next(self) -> str | bytes:
        while True:
            due = max(self._audio_at, self._socket.pinged_at) + self._vendor.idle
            with trio.move_on_at(due):
                return await self._socket.receive()
            if trio.current_time() >= max(self._audio_at, self._socket.pinged_at) + self._vendor.idle:
                raise _Failed("idle_timeout", "no audio and no ping")

    async def _audio(self, audio: bytes) -> None:
        if not audio:
            self._vendor.complain("an empty audio message")
        self._frames += 1
        self._audio_at = trio.current_time()
        await self._socket.send_json({"message": "AudioAdded", "seq_no": self._frames})
        new = self._ear.hear(audio)
        self._pending += new
        settled = [word for word in self._pending if word.end <= self._ear.position - self._max_delay]
        self._pending = self._pending[len(settled) :]
        await self._finals(settled)
        if new and self._partials:
            await self._transcript("AddPartialTranscript", [_word(word) for word in self._pending], self._pending)
        last = max((word.end for word in (*self._said, *self._pending)), default=math.inf)
        if self._ear.position - last >= self._silence:
            await self._utterance_ends(forced=False)

    async def _finals(self, words: list[TimedWord], *, forced: bool = False) -> None:
        """Each word in a message of its own, its punctuation in another, and an empty one behind."""
        self._said += words
        for word in words:
            results = [_word(word)]
            if word.text[-1] in _PUNCTUATION and len(word.text) > 1:
                results.append(_punctuation(word))
            for result in results:
                await self._transcript("AddTranscript", [result], [word], forced=forced)
        if words:
            await self._transcript("AddTranscript", [], words[-1:], forced=forced)

    async def _transcript(
        self, kind: str, results: list[dict[str, Any]], words: list[TimedWord], *, forced: bool = False
    ) -> None:
        contents = (result["alternatives"][0]["content"] for result in results)
        text = "".join(f"{content}{self._vendor.word_delimiter}" for content in contents)
        metadata = {"start_time": _start(words), "end_time": _end(words), "transcript": text}
        message: dict[str, Any] = {"message": kind, "format": "2.9", "metadata": metadata, "results": results}
        if forced:
            message["forced"] = True
        await self._socket.send_json(message)

    async def _utterance_ends(self, *, forced: bool) -> None:
        words, self._pending = self._pending, []
        await self._finals(words, forced=forced)
        if not self._said:
            return  # it only comes after speech
        end = _end(self._said)
        message: dict[str, Any] = {"message": "EndOfUtterance", "metadata": {"start_time": end, "end_time": end}}
        if forced:
            message["forced"] = True
        self._vendor.heard.append(self._vendor.word_delimiter.join(word.text for word in self._said))
        self._said = []
        await self._socket.send_json(message)

    async def _end(self, data: dict[str, Any]) -> None:
        if data.get("last_seq_no") != self._frames:
            self._vendor.complain(f"last_seq_no is {data.get('last_seq_no')} after {self._frames} audio messages")
        await self._finals(self._pending)
        await self._socket.send_json({"message": "EndOfTranscript"})
        self._vendor.sessions_ended += 1


def _word(word: TimedWord) -> dict[str, Any]:
    text = word.text[:-1] if word.text[-1] in _PUNCTUATION and len(word.text) > 1 else word.text
    return _result("word", text, word.start, word.end)


def _punctuation(word: TimedWord) -> dict[str, Any]:
    return {**_result("punctuation", word.text[-1], word.end, word.end), "attaches_to": "previous", "is_eos": True}


def _result(kind: str, content: str, start: float, end: float) -> dict[str, Any]:
    best = {"content": content, "confidence": 0.97, "language": "en"}
    return {"type": kind, "start_time": round(start, 2), "end_time": round(end, 2), "alternatives": [best]}


def _start(words: list[TimedWord]) -> float:
    return round(words[0].start, 2) if words else 0.0


def _end(words: list[TimedWord]) -> float:
    return round(words[-1].end, 2) if words else 0.0


def _json(message: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(message)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
