"""A simulated ElevenLabs: speech over HTTP and over its WebSocket with many contexts, Scribe realtime, the voices."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import trio

from callengine.audio.format import AudioFormat, Encoding
from callengine.cleanup import single
from callengine.testing.vendors.base import Answer, Request, Vendor, WebSocket
from callengine.testing.vendors.elevenlabs_sockets import MultiStream, Realtime
from callengine.testing.words import Vocabulary

_STATUSES = {
    400: "voice_not_found",
    401: "invalid_api_key",
    403: "subscription_required",
    429: "too_many_concurrent_requests",
    500: "internal_server_error",
    503: "system_busy",
}
_ENCODINGS: Mapping[str, Encoding] = {"ulaw": "mulaw", "alaw": "alaw", "pcm": "l16"}
_SPEECH = re.compile(r"/v1/text-to-speech/([^/]+)/(stream|multi-stream-input)")
_BODY = {
    "text", "model_id", "language_code", "voice_settings", "previous_text", "next_text", "apply_text_normalization",
    "seed",
}  # fmt: skip
_SPEAKING = {
    "model_id", "output_format", "language_code", "inactivity_timeout", "auto_mode", "sync_alignment",
    "enable_ssml_parsing", "apply_text_normalization", "enable_logging", "seed",
}  # fmt: skip
_LISTENING = {
    "model_id", "audio_format", "commit_strategy", "language_code", "include_timestamps", "keyterms", "no_verbatim",
    "enable_logging", "vad_silence_threshold_secs", "vad_threshold", "min_speech_duration_ms",
    "min_silence_duration_ms", "secondary_languages", "include_language_detection", "entity_detection",
    "entity_redaction", "filter_background_audio",
}  # fmt: skip
_PIECE = 1024


class FakeElevenLabs(Vendor):
    """Simulates the service; the way to make things go wrong is `Vendor.faults`, and what is below."""

    hosts = ("api.elevenlabs.io",)

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        super().__init__(vocabulary)
        self.voices: set[str] | None = None
        """Ids of the voices that there are; None: every id is one."""
        self.late = 3
        """Messages with audio of a context that still come when it was cut."""
        self.aligned = True
        """Whether messages with audio have the times of their characters."""
        self.most_contexts = 5
        """Contexts that a socket may have; at one more, all of it is closed."""
        self.never_final = False
        """It never says that a context is over."""
        self.cut: list[str] = []
        """Contexts that were closed while they were being spoken, in order."""
        self.first_messages: list[dict[str, Any]] = []
        """The first message of every context, in order."""
        self.kept = 0
        """How many messages came that only keep a connection."""
        self.interim_every: float | None = 0.5
        """Seconds of audio between two partial transcripts; None for none."""
        self.commit_delay = 0.0
        """Seconds from a commit to its transcript."""
        self.answers_silence = True
        """Whether a commit without any words in it has a transcript, too."""
        self.segments: float | None = None
        """Seconds of audio after which it commits by itself."""
        self.listens_idle = 15.0
        """Seconds without a message after which a recogniser's session ends."""
        self.commits: list[float] = []
        """Seconds of audio in each commit."""

    def error(self, status: int, message: str) -> Answer:
        """See `Vendor.error`."""
        if status == 422:
            return Answer.of({"detail": [{"loc": ["body", "text"], "msg": message, "type": "value_error"}]}, status)
        return Answer.of({"detail": {"status": _STATUSES.get(status, "error"), "message": message}}, status)

    async def answer(self, request: Request) -> Answer:
        """The list of voices, and speech over HTTP."""
        if request.headers.get("xi-api-key") != self.key:
            return self.error(401, "Invalid API key")
        if (request.method, request.path) == ("GET", "/v1/voices"):
            return Answer.of({"voices": [{"voice_id": voice} for voice in sorted(self.voices or ())]})
        path = _SPEECH.fullmatch(request.path)
        if request.method != "POST" or path is None or path[2] != "stream":
            return self.error(404, f"no such path: {request.path}")
        return self._speak(request, path[1])

    def _speak(self, request: Request, voice: str) -> Answer:
        body, audio_format = request.json, audio_format_of(request.parameter("output_format"))
        if not isinstance(body, dict) or not isinstance(body.get("text"), str) or not body["text"].strip():
            return self.error(422, "field required")
        if unknown := set(body) - _BODY:
            self.complain(f"unknown fields: {sorted(unknown)}")
        if unknown := set(request.query) - {"output_format", "enable_logging"}:
            self.complain(f"unknown parameters: {sorted(unknown)}")
        if audio_format is None:
            return self.error(400, "output_format is not known")
        if self.voices is not None and voice not in self.voices:
            return self.error(400, f"A voice with voice_id {voice} was not found.")
        self.spoken.append(body["text"])
        audio, _ = self.speech(body["text"], audio_format)
        return Answer(200, _cut(audio), {"content-type": "audio/basic", "request-id": "r1"})

    def admit(self, request: Request) -> Answer | None:
        """The two WebSockets."""
        if request.headers.get("xi-api-key") != self.key:
            return self.error(401, "Invalid API key")
        path = _SPEECH.fullmatch(request.path)
        if request.path == "/v1/speech-to-text/realtime":
            known, name = _LISTENING, "audio_format"
        elif path is not None and path[2] == "multi-stream-input":
            known, name = _SPEAKING, "output_format"
            if self.voices is not None and path[1] not in self.voices:
                return self.error(400, f"A voice with voice_id {path[1]} was not found.")
            if (request.parameter("model_id") or "").startswith(("eleven_v3", "eleven_v4")):
                return self.error(403, "this model has no WebSocket of this kind")
        else:
            return self.error(404, f"no such path: {request.path}")
        if unknown := set(request.query) - known:
            self.complain(f"unknown parameters: {sorted(unknown)}")
        if audio_format_of(request.parameter(name)) is None:
            return self.error(400, f"{name} is not known")
        if not re.fullmatch("[a-z]{2,3}", request.parameter("language_code") or "en"):
            return self.error(400, "language_code is not known")
        return None

    async def serve(self, socket: WebSocket, request: Request) -> None:
        """See `Vendor.serve`."""
        listens = request.path == "/v1/speech-to-text/realtime"
        audio_format = audio_format_of(request.parameter("audio_format" if listens else "output_format"))
        assert audio_format is not None
        try:
            async with trio.open_nursery() as nursery:
                if listens:
                    await Realtime(self, socket, request, audio_format).run()
                else:
                    await MultiStream(self, socket, request, audio_format, nursery).run()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise single(group) from None


def audio_format_of(name: str | None) -> AudioFormat | None:
    """What ``ulaw_8000`` and so on mean."""
    encoding, _, rate = (name or "").partition("_")
    known = rate in ("8000", "16000", "22050", "24000", "32000", "44100", "48000")
    if encoding not in _ENCODINGS or not known or (encoding != "pcm" and rate != "8000"):
        return None
    return AudioFormat(_ENCODINGS[encoding], int(rate))


async def _cut(audio: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(audio), _PIECE):
        yield audio[start : start + _PIECE]
