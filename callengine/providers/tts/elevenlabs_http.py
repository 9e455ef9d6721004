"""ElevenLabs' voices, a request a sentence: for models that have no WebSocket, and networks that do not let one."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import quote

import attrs
import httpx

from callengine.audio.format import AudioFormat
from callengine.ports import Opening, SessionContext, SpeechChunk, Usage
from callengine.providers import elevenlabs_account
from callengine.providers.asking import with_query
from callengine.providers.elevenlabs_account import ElevenLabsFailures, format_name
from callengine.providers.fields import PATIENCE, positive, url_field
from callengine.providers.tts.elevenlabs_voice import ElevenLabsVoice, spoken_format
from callengine.providers.tts.over_http import nothing_spoken, spoken_over_http
from callengine.wire import Wire, shared_wire

_QUERY = ("output_format", "enable_logging", "optimize_streaming_latency")
"""Settings that belong into the query; the others are the body's."""


@attrs.frozen
class ElevenLabsHttp(ElevenLabsVoice):
    """The recipe of an ElevenLabs voice over HTTP. ``extra`` has more of the body.

    It has no times of words, and cancelling a sentence closes its connection; `ElevenLabs` is the better choice where
    the model allows it.
    """

    base_url: str = url_field("https://api.elevenlabs.io")
    first_byte: float = attrs.field(default=PATIENCE, validator=positive, kw_only=True)
    """Seconds from a request to its first audio."""
    between: float = attrs.field(default=PATIENCE, validator=positive, kw_only=True)
    """Seconds without any audio in the middle of a sentence."""

    @property
    def name(self) -> str:
        """Vendor and model."""
        return f"elevenlabs {self.model} over http"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`: nothing is held."""
        return math.inf

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[ElevenLabsHttpSession]:
        """One call's session. It connects with the first sentence, or with `ElevenLabsHttpSession.prewarm`."""
        async with shared_wire(context.wire) as wire:
            yield ElevenLabsHttpSession(self, context, wire)

    async def probe(self, wire: Wire) -> None:
        """See `Probed.probe`."""
        failures = ElevenLabsFailures(self.name, self.api_key)
        await elevenlabs_account.probe(wire, self.base_url, self.api_key, failures, self.connect)

    def settings(self, language: str, text: str, audio_format: AudioFormat) -> dict[str, Any]:
        """Query and body of a sentence's request."""
        settings: dict[str, Any] = {
            "output_format": format_name(audio_format),
            "model_id": self.model,
            "text": text,
        }
        if code := self.code(language):
            settings["language_code"] = code
        if self.normalization:
            settings["apply_text_normalization"] = self.normalization
        if not self.logging:
            settings["enable_logging"] = False
        if manner := self.manner():
            settings["voice_settings"] = manner
        return {**settings, **self.extra}


class ElevenLabsHttpSession:
    """One call's synthesiser (see `TtsSession`)."""

    def __init__(self, recipe: ElevenLabsHttp, context: SessionContext, wire: Wire) -> None:
        self.audio_format = spoken_format(context.line)
        self._recipe = recipe
        self._context = context
        self._wire = wire
        self._failures = ElevenLabsFailures(recipe.name, recipe.api_key)

    async def prewarm(self) -> None:
        """See `Prewarmed.prewarm`: a connection, by the list of voices."""
        await self._recipe.probe(self._wire)

    @asynccontextmanager
    async def synthesise(self, text: str) -> AsyncIterator[AsyncIterator[SpeechChunk]]:
        """See `TtsSession.synthesise`. Of a text without anything to say, nothing comes. Raises `ProviderError`."""
        if not text.strip():
            yield nothing_spoken()
            return
        recipe = self._recipe
        usage = Usage(provider="elevenlabs", model=recipe.model, characters=len(text), estimated=True)
        meter = partial(self._context.meter, usage)
        bounds = {"first_byte": recipe.first_byte, "between": recipe.between}
        async with spoken_over_http(self._wire.http, self._request(text), self._failures, meter, **bounds) as audio:
            yield audio

    def _request(self, text: str) -> httpx.Request:
        url = f"{self._recipe.base_url}/v1/text-to-speech/{quote(self._recipe.voice, safe='')}/stream"
        settings = self._recipe.settings(self._context.language, text, self.audio_format)
        opening = Opening("tts", "elevenlabs", url, settings)
        self._context.opening(opening)
        body = dict(opening.settings)
        query = {name: body.pop(name) for name in _QUERY if name in body}
        headers = elevenlabs_account.headers(self._recipe.api_key)
        return httpx.Request("POST", with_query(url, query), headers=headers, json=body)
