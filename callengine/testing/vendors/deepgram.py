"""A simulated Deepgram: Nova (``/v1/listen``), Flux (``/v2/listen``), Aura (``/v1/speak``), and what a key is."""

from __future__ import annotations

import json

from callengine.audio.format import AudioFormat
from callengine.testing.vendors.base import Answer, Request, Vendor, WebSocket
from callengine.testing.vendors.deepgram_flux import FluxListener
from callengine.testing.vendors.deepgram_listen import NovaListener
from callengine.testing.vendors.deepgram_speak import AuraSpeaker

_ENCODINGS = {"mulaw": "mulaw", "alaw": "alaw", "linear16": "l16"}

_FLUX = frozenset({
    "model", "encoding", "sample_rate", "eot_threshold", "eager_eot_threshold", "eot_timeout_ms", "keyterm",
    "language_hint", "numerals", "profanity_filter", "redact", "mip_opt_out", "tag",
})  # fmt: skip
"""What Flux takes; anything else it refuses."""

_CODES = {400: "INVALID_QUERY_PARAMETER", 401: "INVALID_AUTH", 402: "ASR_PAYMENT_REQUIRED", 429: "TOO_MANY_REQUESTS"}


class FakeDeepgram(Vendor):
    """Deepgram, as far as calls use it. It reads the words of the lab's vocabulary at 8 kHz.

    An utterance of other audio has the next of `recorded`, told when it is finalised.
    """

    hosts = ("api.deepgram.com", "api.eu.deepgram.com", "api.au.deepgram.com", "api.in.deepgram.com")
    key = "5d1ec0de5d1ec0de5d1ec0de5d1ec0de5d1ec0de"

    idle: float | None = 10.0
    """Seconds without a message after which a listening connection is closed (1011 NET-0001); None: never."""
    settles: float | None = None
    """Nova: seconds of audio after which words are made final without being asked; None: only when asked."""
    answers_finalize: bool = True
    """Nova: whether ``Finalize`` is answered. The real one may not, when next to nothing is left."""
    eager_after: float = 0.3
    """Flux: seconds of silence after which a turn seems to be over, where the client wants to know that early."""
    turn_after: float = 0.7
    """Flux: seconds of silence after which it is."""
    chunk_seconds: float = 0.1
    """Aura: the audio in a message."""

    def admit(self, request: Request) -> Answer | None:
        """See `Vendor.admit`."""
        if request.path not in ("/v1/listen", "/v2/listen", "/v1/speak"):
            return self.error(404, f"no such path: {request.path}")
        if request.headers.get("authorization") != f"Token {self.key}":
            return self.error(401, "Invalid credentials.")
        if request.parameter("encoding") not in _ENCODINGS or not (request.parameter("sample_rate") or "").isdigit():
            return self.error(400, "Unsupported encoding or sample rate.")
        model = request.parameter("model") or ""
        if request.path == "/v2/listen":
            if unknown := sorted(set(request.query) - _FLUX):
                return self.error(400, f"Unknown query parameter: {unknown[0]}")
            if "language_hint" in request.query and model != "flux-general-multi":
                return self.error(400, f"{model} takes no language_hint")
        if model.startswith("flux") != (request.path == "/v2/listen") or not model:
            return self.error(400, f"No such model: {model}")
        return None

    async def answer(self, request: Request) -> Answer:
        """See `Vendor.answer`: what a key is."""
        if (request.method, request.path) != ("GET", "/v1/auth/token"):
            return self.error(404, f"no such path: {request.path}")
        if request.headers.get("authorization") != f"Token {self.key}":
            return self.error(401, "Invalid credentials.")
        return Answer.of({"scopes": ["usage:write"]})

    async def serve(self, socket: WebSocket, request: Request) -> None:
        """See `Vendor.serve`."""
        audio_format = AudioFormat(
            _ENCODINGS[request.parameter("encoding") or ""],  # type: ignore[arg-type]  # the values are encodings
            int(request.parameter("sample_rate") or 0),
        )
        match request.path:
            case "/v1/listen":
                await NovaListener(self, socket, audio_format).run()
            case "/v2/listen":
                eager = request.parameter("eager_eot_threshold") is not None
                await FluxListener(self, socket, audio_format, eager).run()
            case _:
                await AuraSpeaker(self, socket, audio_format, request.parameter("model") or "").run()

    def error(self, status: int, message: str) -> Answer:
        """See `Vendor.error`: the reason stands in a header, too."""
        body = {"err_code": _CODES.get(status, "Bad Request"), "err_msg": message, "request_id": "fake"}
        headers = {"content-type": "application/json", "dg-error": message, "dg-request-id": "fake"}
        return Answer(status, json.dumps(body).encode(), headers)
