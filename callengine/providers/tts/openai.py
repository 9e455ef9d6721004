"""OpenAI's voices, and every server with the same ``/audio/speech``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import httpx

from callengine.audio.format import AudioFormat
from callengine.ports import Opening, SessionContext, SpeechChunk, TtsSession, Usage
from callengine.providers.asking import ask_free
from callengine.providers.fields import PATIENCE, extra_field, key_field, positive, present, url_field
from callengine.providers.merging import merged
from callengine.providers.tts.over_http import nothing_spoken, spoken_over_http
from callengine.wire import Failures, Wire, shared_wire


@attrs.frozen
class OpenAI:
    """The recipe of an OpenAI voice: one request a sentence, its audio streamed.

    **OpenAI ends every model of this endpoint on 2027-01-06** (its page "Deprecations"): from then on this is for other
    servers that speak the same protocol, of which there are many; give their ``base_url`` (what comes before
    ``/audio/speech``), model and voice. There are no word times. ``extra`` is merged into every request's body.
    """

    model: str = attrs.field(default="gpt-4o-mini-tts", validator=present)
    voice: str = attrs.field(default="marin", validator=present)
    api_key: str = key_field("OPENAI_API_KEY")
    base_url: str = url_field("https://api.openai.com/v1")
    instructions: str = attrs.field(default="", kw_only=True)
    """How to speak, in words; not for ``tts-1``."""
    speed: float | None = attrs.field(default=None, validator=positive, kw_only=True)
    """1 is the voice's own."""
    sample_rate: int = attrs.field(default=24000, validator=positive, kw_only=True)
    """Hz of the server's ``pcm``: 24,000 at OpenAI (guide "Text to speech"), and at most others."""
    extra: Any = extra_field()
    first_byte: float = attrs.field(default=PATIENCE, validator=positive, kw_only=True)
    """Seconds for the connection, the answer and its first audio together."""
    between: float = attrs.field(default=PATIENCE, validator=positive, kw_only=True)
    """Seconds that more audio of a sentence may take."""

    @property
    def name(self) -> str:
        """For logs and errors."""
        return f"openai {self.model}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`: a session holds nothing but the right to ask."""
        return float("inf")

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[TtsSession]:
        """One call's session. Connects with the first sentence, or `OpenAISession.prewarm`."""
        async with shared_wire(context.wire) as wire:
            yield OpenAISession(self, context, wire)

    async def probe(self, wire: Wire) -> None:
        """Ask for the list of models: free. Raises `ProviderError`."""
        await ask_free(wire, f"{self.base_url}/models", self.headers(), self.failures(), self.first_byte)

    def body(self, text: str) -> dict[str, Any]:
        """The JSON of a request."""
        body: dict[str, Any] = {"model": self.model, "voice": self.voice, "input": text, "response_format": "pcm"}
        if self.instructions:
            body["instructions"] = self.instructions
        if self.speed is not None:
            body["speed"] = self.speed
        return merged(body, self.extra)

    def headers(self) -> dict[str, str]:
        """Of every request."""
        return {"Authorization": f"Bearer {self.api_key}"}

    def failures(self) -> Failures:
        """What makes its errors."""
        return Failures(self.name, self.api_key)


class OpenAISession:
    """One call's use of an `OpenAI` voice (see `TtsSession`)."""

    def __init__(self, recipe: OpenAI, context: SessionContext, wire: Wire) -> None:
        self._recipe = recipe
        self._context = context
        self._wire = wire
        self._failures = recipe.failures()

    @property
    def audio_format(self) -> AudioFormat:
        """See `TtsSession.audio_format`."""
        return AudioFormat("l16", self._recipe.sample_rate)

    async def prewarm(self) -> None:
        """See `Prewarmed.prewarm`."""
        await self._recipe.probe(self._wire)

    @asynccontextmanager
    async def synthesise(self, text: str) -> AsyncIterator[AsyncIterator[SpeechChunk]]:
        """See `TtsSession.synthesise`. Leaving closes the answer: OpenAI then stops."""
        if not text.strip():
            yield nothing_spoken()
            return
        recipe = self._recipe
        url = f"{recipe.base_url}/audio/speech"
        opening = Opening("tts", "openai", url, recipe.body(text))
        self._context.opening(opening)
        usage = Usage(provider="openai", model=recipe.model, characters=len(text), estimated=True)
        meter = partial(self._context.meter, usage)
        request = httpx.Request("POST", url, headers=recipe.headers(), json=opening.settings)
        async with spoken_over_http(
            self._wire.http, request, self._failures, meter, first_byte=recipe.first_byte, between=recipe.between
        ) as chunks:
            yield chunks
