"""Azure Speech's voices: one HTTP request a sentence, in SSML."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from xml.sax.saxutils import quoteattr

import attrs
import httpx

from callengine.audio.format import AudioFormat
from callengine.errors import ConfigurationError
from callengine.ports import Opening, SessionContext, SpeechChunk, TtsSession, Usage
from callengine.providers.asking import ask_free, with_query
from callengine.providers.azure_account import at_region, check_region, key_header, locale
from callengine.providers.fields import PATIENCE, extra_field, key_field, positive, present, url_field, variable_field
from callengine.providers.merging import merged
from callengine.providers.tts.over_http import nothing_spoken, spoken_over_http
from callengine.wire import Failures, Wire, shared_wire

VOICE = "en-US-AvaMultilingualNeural"
"""A voice for conversations that also speaks the other languages (learn.microsoft.com, "Language support", voices)."""

FORMATS: Mapping[AudioFormat, str] = {
    AudioFormat("mulaw", 8000): "raw-8khz-8bit-mono-mulaw",
    AudioFormat("alaw", 8000): "raw-8khz-8bit-mono-alaw",
    AudioFormat("l16", 8000): "raw-8khz-16bit-mono-pcm",
    AudioFormat("l16", 16000): "raw-16khz-16bit-mono-pcm",
    AudioFormat("l16", 24000): "raw-24khz-16bit-mono-pcm",
    AudioFormat("l16", 48000): "raw-48khz-16bit-mono-pcm",
}
"""What it makes, of what a call can use (learn.microsoft.com, "Text to speech REST API", audio outputs)."""

_FOREIGN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that cannot be in XML at all, not even escaped (XML 1.0, production 2)."""

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}


@attrs.frozen
class Azure:
    """The recipe of an Azure Speech voice. Billed by the character.

    Nothing of a text is taken for markup. There are no word times over this interface.
    """

    voice: str = attrs.field(default=VOICE, validator=present)
    api_key: str = key_field("AZURE_SPEECH_KEY")
    region: str = variable_field("AZURE_SPEECH_REGION")
    """Of the key, such as ``westeurope``."""
    base_url: str = url_field("https://{region}.tts.speech.microsoft.com")
    """``{region}`` stands for the region. Custom voices: ``https://{region}.voice.speech.microsoft.com``."""
    deployment: str = attrs.field(default="", kw_only=True)
    """The deployment id of a custom voice."""
    language: str = attrs.field(default="", kw_only=True)
    """A locale such as ``de-DE``; empty: the call's."""
    speed: float = attrs.field(default=1.0, kw_only=True)
    """0.5 to 2 times the voice's pace."""
    style: str = attrs.field(default="", kw_only=True)
    """How it speaks, such as ``cheerful``, of the styles that the voice has. Empty: as it does."""
    extra: Mapping[str, Any] = extra_field()
    """More of `settings`: ``{"prosody": {"pitch": "+2st"}}``."""
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds for `probe`, and for getting a connection ready."""
    first_byte: float = attrs.field(default=PATIENCE, validator=positive, kw_only=True)
    """Seconds from a request to its first audio."""
    between: float = attrs.field(default=PATIENCE, validator=positive, kw_only=True)
    """Seconds without more audio in the middle of a sentence."""

    def __attrs_post_init__(self) -> None:
        check_region(self.region, self.base_url)
        # The range: learn.microsoft.com, "Customize voice and sound with SSML", rate.
        if not 0.5 <= self.speed <= 2.0:
            raise ConfigurationError(f"speed={self.speed}: Azure speaks at 0.5 to 2 times a voice's pace")

    @property
    def name(self) -> str:
        """Vendor and voice."""
        return f"azure {self.voice}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`: a session holds no connection of its own."""
        return math.inf

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[TtsSession]:
        """One call's session. It connects with the first sentence, or `prewarm`."""
        async with shared_wire(context.wire) as wire:
            yield AzureSession(self, context, wire)

    async def probe(self, wire: Wire) -> None:
        """See `Probed.probe`: asks for the list of voices."""
        failures = Failures(self.name, self.api_key)
        url = f"{at_region(self.base_url, self.region)}/cognitiveservices/voices/list"
        await ask_free(wire, url, key_header(self.api_key), failures, self.connect)

    def settings(self, language: str) -> dict[str, Any]:
        """What every sentence is spoken with: the voice, and the attributes of the elements around the text."""
        settings: dict[str, Any] = {"voice": self.voice, "language": locale(language)}
        if self.deployment:
            settings["deploymentId"] = self.deployment
        if self.speed != 1.0:
            settings["prosody"] = {"rate": f"{self.speed:g}"}
        if self.style:
            settings["express-as"] = {"style": self.style}
        return merged(settings, self.extra)


class AzureSession:
    """One call's use of an `Azure` voice (see `TtsSession`)."""

    def __init__(self, recipe: Azure, context: SessionContext, wire: Wire) -> None:
        self.audio_format = context.line if context.line in FORMATS else AudioFormat("l16", 24000)
        self._recipe = recipe
        self._context = context
        self._wire = wire
        self._failures = Failures(recipe.name, recipe.api_key)
        self._url = f"{at_region(recipe.base_url, recipe.region)}/cognitiveservices/v1"

    async def prewarm(self) -> None:
        """See `Prewarmed.prewarm`."""
        await self._recipe.probe(self._wire)

    @asynccontextmanager
    async def synthesise(self, text: str) -> AsyncIterator[AsyncIterator[SpeechChunk]]:
        """Speak one sentence; leaving closes the request, and the vendor stops. Raises `ProviderError`."""
        if not _FOREIGN.sub(" ", text).strip():
            yield nothing_spoken()
            return
        recipe = self._recipe
        settings = recipe.settings(recipe.language or self._context.language)
        self._context.opening(Opening("tts", "azure", self._url, settings))
        usage = Usage(provider="azure", model=recipe.voice, characters=len(text), estimated=True)
        meter = partial(self._context.meter, usage)
        bounds = {"first_byte": recipe.first_byte, "between": recipe.between}
        request = self._request(text, settings)
        async with spoken_over_http(self._wire.http, request, self._failures, meter, **bounds) as audio:
            yield audio

    def _request(self, text: str, settings: Mapping[str, Any]) -> httpx.Request:
        return httpx.Request(
            "POST",
            with_query(self._url, {"deploymentId": settings.get("deploymentId")}),
            headers={
                **key_header(self._recipe.api_key),
                "Content-Type": "application/ssml+xml",
                "X-Microsoft-OutputFormat": FORMATS[self.audio_format],
                "User-Agent": "callengine",  # the service refuses requests without one
            },
            content=ssml(text, settings).encode(),
        )


def ssml(text: str, settings: Mapping[str, Any]) -> str:
    """The document that speaks a text. All of the text is spoken; what XML has no way to write is left out."""
    inside = "".join(_ESCAPES.get(character, character) for character in _FOREIGN.sub(" ", text))
    for element in ("prosody", "express-as"):
        if attributes := settings.get(element):
            name = f"mstts:{element}" if element == "express-as" else element
            inside = f"<{name}{_attributes(attributes)}>{inside}</{name}>"
    speak = _attributes({
        "version": "1.0",
        "xmlns": "http://www.w3.org/2001/10/synthesis",
        "xmlns:mstts": "http://www.w3.org/2001/mstts",
        "xml:lang": settings["language"],
    })  # fmt: skip
    return f"<speak{speak}><voice{_attributes({'name': settings['voice']})}>{inside}</voice></speak>"


def _attributes(values: Mapping[str, Any]) -> str:
    return "".join(f" {name}={quoteattr(_FOREIGN.sub(' ', str(value)))}" for name, value in values.items())
