"""Any server with ``POST /v1/audio/transcriptions``: faster-whisper (speaches), vLLM, whisper.cpp, Groq, LocalAI."""

from __future__ import annotations

import io
import math
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import trio

from callengine.audio.convert import from_pcm
from callengine.audio.format import Pcm
from callengine.audio.resample import Resampler
from callengine.cleanup import single
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Opening, SessionContext, SttSession, Usage
from callengine.providers.fields import extra_field, key_field, positive, present, url_field
from callengine.providers.lenient import as_object, as_text, is_amount, json_object
from callengine.providers.merging import merged
from callengine.providers.stt.whole import LONGEST, WholeUtterances
from callengine.wire import Failures, Patience, Wire, asked, shared_wire, streamed
from callengine.wire.failures import error_object
from callengine.wire.http import error_body

SAMPLE_RATE = 16000
"""Hz that Whisper models hear; whisper.cpp's server takes no other (its README, ``--convert``)."""

SHORTEST = 0.2
"""Seconds below which nothing is sent: Whisper models invent words for a click or a breath."""


def _long_enough(_: object, attribute: attrs.Attribute[float], seconds: float) -> None:
    if not seconds >= 2.0:
        raise ConfigurationError(f"{attribute.name}={seconds}: give at least 2 s, in which there may be a pause")


@attrs.frozen
class Whisper:
    """The recipe of a recogniser that is asked for a whole utterance at its end, as a WAV file.

    ``base_url`` is what comes before ``/audio/transcriptions``: ``https://api.groq.com/openai/v1``. For whisper.cpp's
    own server give ``http://127.0.0.1:8080`` and ``path="/inference"``. The server should have its model loaded.
    ``extra`` is merged into every request's form: ``{"temperature": 0}``.
    """

    base_url: str = url_field("http://127.0.0.1:8000/v1")
    model: str = attrs.field(default="whisper-1", validator=present)
    """As the server calls it; whisper.cpp ignores it."""
    api_key: str = key_field("WHISPER_API_KEY", optional=True)
    path: str = attrs.field(default="/audio/transcriptions", validator=present, kw_only=True)
    language: str | None = attrs.field(default=None, kw_only=True)
    """BCP 47; the call's where None. The server is told its first part."""
    prompt: str = attrs.field(default="", kw_only=True)
    """Names and terms that the caller may use, as a sentence."""
    decode_ahead: bool = attrs.field(default=True, kw_only=True)
    """Ask at each pause already, so that the final is there when the utterance turns out to be over. Costs a request
    more for every pause after which the caller goes on; that one is cancelled."""
    longest: float = attrs.field(default=LONGEST, validator=_long_enough, kw_only=True)
    """Seconds in one request; longer utterances are cut at a pause, and asked for while they go on."""
    extra: Any = extra_field()
    timeout: float = attrs.field(default=10.0, validator=positive, kw_only=True)
    """Seconds for a request, with its connection and its answer."""

    @property
    def name(self) -> str:
        """For logs and errors."""
        return f"whisper {self.model}"

    @property
    def url(self) -> str:
        """Of every request."""
        return f"{self.base_url}/{self.path.lstrip('/')}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`: a session holds nothing but the right to ask."""
        return math.inf

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[SttSession]:
        """One call's session; leaving it cancels what is being asked. Raises `AudioError` for a rate that `Resampler`
        does not take."""
        Resampler(context.sample_rate, SAMPLE_RATE)
        opening = Opening("stt", "whisper", self.url, self.form(context.language))
        context.opening(opening)
        try:
            async with shared_wire(context.wire) as wire, trio.open_nursery() as nursery:
                yield WhisperSession(self, context, wire, opening.settings, nursery)
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise single(group) from None

    async def probe(self, wire: Wire) -> None:
        """Ask for the list of models; a server without one (whisper.cpp's) is only seen to be there.

        Raises `ProviderError`.
        """
        failures = self.failures()
        request = httpx.Request("GET", f"{self.base_url}/models", headers=self.headers())

        def too_late() -> ProviderError:
            return failures.make(f"no answer within {self.timeout:g} s")

        async with asked(wire.http, request, failures, Patience(self.timeout), too_late) as body:
            answer = await error_body(body)
            if body.response.status_code not in (200, 404, 405):
                raise failures.from_response(body.response.status_code, body.response.headers, answer)

    def form(self, language: str) -> dict[str, Any]:
        """The fields of a request, but for the file."""
        code = (self.language or language).split("-")[0].lower()
        form = {"model": self.model, "response_format": "json", "language": code}
        if self.prompt:
            form["prompt"] = self.prompt
        return merged(form, self.extra)

    def headers(self) -> dict[str, str]:
        """Of every request."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def failures(self) -> Failures:
        """What makes its errors."""
        return Failures(self.name, self.api_key)


class WhisperSession(WholeUtterances):
    """One call's use of a `Whisper` recipe."""

    def __init__(
        self, recipe: Whisper, context: SessionContext, wire: Wire, form: dict[str, Any], nursery: trio.Nursery
    ) -> None:
        super().__init__(nursery, context.sample_rate, longest=recipe.longest, ahead=recipe.decode_ahead)
        self._recipe = recipe
        self._context = context
        self._wire = wire
        self._form = form
        self._failures = recipe.failures()

    async def prewarm(self) -> None:
        """See `Prewarmed.prewarm`. It does not load the server's model."""
        await self._recipe.probe(self._wire)

    async def transcribe(self, pcm: Pcm) -> str:
        """The words in this audio, by one request. Raises `ProviderError`."""
        seconds = len(pcm) / self._context.sample_rate
        if seconds < SHORTEST:
            return ""
        usage: Usage | None = self._usage(seconds, estimated=True)
        try:
            answer = await self._ask(_wav(pcm, self._context.sample_rate))
            billed = as_object(answer.get("usage")).get("seconds")
            if is_amount(billed):
                usage = self._usage(float(billed), estimated=False)
        except ProviderError:
            usage = None
            raise
        finally:  # cancelled too: the server has worked for it
            if usage is not None:
                self._context.meter(usage)
        return " ".join(as_text(answer["text"]).split())

    async def _ask(self, wav: bytes) -> dict[str, Any]:
        recipe, failures = self._recipe, self._failures
        request = self._wire.http.build_request(
            "POST",
            recipe.url,
            headers=recipe.headers(),
            data=self._form,
            files={"file": ("utterance.wav", wav, "audio/wav")},
        )

        def too_late() -> ProviderError:
            return failures.make(f"no transcript within {recipe.timeout:g} s")

        async with streamed(self._wire.http, request, failures, Patience(recipe.timeout), too_late) as body:
            data = await error_body(body)
            kind = body.response.headers.get("content-type", "").lower()
        answer = dict(json_object(data.decode("utf-8", "replace")))
        if isinstance(answer.get("text"), str):
            return answer
        if (error := error_object(answer)) is not None:
            raise failures.from_stream(error)
        if "json" in kind or "html" in kind:
            raise failures.make(f"the answer is {kind} without a text: are base_url and path right?", fault="fatal")
        return {"text": data.decode("utf-8", "replace")}

    def _usage(self, seconds: float, *, estimated: bool) -> Usage:
        return Usage(provider="whisper", model=self._recipe.model, seconds=seconds, estimated=estimated)


def _wav(pcm: Pcm, sample_rate: int) -> bytes:
    """A WAV file at the rate that models hear."""
    resampler = Resampler(sample_rate, SAMPLE_RATE)
    data = from_pcm(resampler.push(pcm), "l16") + from_pcm(resampler.flush(), "l16")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(data)
    return file.getvalue()
