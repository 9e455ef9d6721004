"""Inworld's voices, on a WebSocket with a context for each sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import attrs

from callengine.audio.format import AudioFormat
from callengine.ports import Opening, SessionContext, TtsSession
from callengine.providers.asking import ask_free, over_http
from callengine.providers.fields import extra_field, key_field, positive, present, url_field
from callengine.providers.merging import merged
from callengine.providers.tts.contexts import open_contexts
from callengine.providers.tts.inworld_wire import InworldDialect, InworldFailures
from callengine.wire import Wire

PARKED = 300.0
"""Seconds that a session may wait for its call: an idle one is free, but no idle limit is published."""

_REGIONS = {
    "ar": "SA", "de": "DE", "en": "US", "es": "ES", "fr": "FR", "he": "IL", "hi": "IN", "it": "IT", "ja": "JP",
    "ko": "KR", "nl": "NL", "pl": "PL", "pt": "BR", "ru": "RU", "zh": "CN",
}  # fmt: skip
"""The vendor names languages with a region (docs.inworld.ai, "Synthesize speech"): the one that is taken for a language
without."""


@attrs.frozen
class Inworld:
    """The recipe of an Inworld voice: mu-law or A-law at 8 kHz where the line is that, with the times of its words.

    Characters are billed; a connection is not. ``extra`` is merged into what creates a context, at every depth.
    """

    voice: str = attrs.field(default="Ashley", validator=present)
    model: str = attrs.field(default="inworld-tts-2", validator=present)
    api_key: str = key_field("INWORLD_API_KEY")
    """As the vendor's portal shows it: it is base64 already."""
    base_url: str = url_field("wss://api.inworld.ai")
    language: str | None = attrs.field(default=None, kw_only=True)
    """BCP 47; the call's where None."""
    delivery_mode: Literal["STABLE", "BALANCED", "CREATIVE"] | None = attrs.field(
        default=None, validator=attrs.validators.in_(("STABLE", "BALANCED", "CREATIVE", None)), kw_only=True
    )
    """How much a sentence's delivery may vary; for ``inworld-tts-2``."""
    speaking_rate: float | None = attrs.field(default=None, validator=positive, kw_only=True)
    """1 is the voice's own."""
    extra: Any = extra_field()
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect."""

    @property
    def name(self) -> str:
        """For logs and errors."""
        return f"inworld {self.model}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`."""
        return PARKED

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[TtsSession]:
        """One call's session. Raises `ProviderError`."""
        failures = self._failures()
        url = f"{self.base_url}/tts/v1/voice:streamBidirectional"
        opening = Opening("tts", "inworld", url, self.settings(context))
        context.opening(opening)
        dialect = InworldDialect(opening.settings, failures)
        headers = self._headers()
        async with open_contexts(context, dialect, url, failures, headers=headers, connect=self.connect) as session:
            yield session

    async def probe(self, wire: Wire) -> None:
        """Ask for the list of voices: free. Raises `ProviderError`."""
        url = f"{over_http(self.base_url)}/tts/v1/voices"
        await ask_free(wire, url, self._headers(), self._failures(), self.connect)

    def settings(self, context: SessionContext) -> dict[str, Any]:
        """What creates a context."""
        line = context.line
        audio: dict[str, Any] = {"audioEncoding": "PCM", "sampleRateHertz": 16000}
        if line in (AudioFormat("mulaw", 8000), AudioFormat("alaw", 8000)):
            audio = {"audioEncoding": line.encoding.upper(), "sampleRateHertz": 8000}
        if self.speaking_rate is not None:
            audio["speakingRate"] = self.speaking_rate
        settings: dict[str, Any] = {"voiceId": self.voice, "modelId": self.model, "audioConfig": audio}
        if code := _with_region(self.language or context.language):
            settings["language"] = code
        if self.delivery_mode is not None:
            settings["deliveryMode"] = self.delivery_mode
        # Word times may come behind their audio: that way the audio comes sooner.
        settings |= {"timestampType": "WORD", "timestampTransportStrategy": "ASYNC", "autoMode": True}
        return merged(settings, self.extra)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Basic {self.api_key}"}

    def _failures(self) -> InworldFailures:
        return InworldFailures(self.name, self.api_key)


def _with_region(language: str) -> str:
    """Empty where no region is known: the vendor then goes by the text."""
    if "-" in language:
        return language
    region = _REGIONS.get(language.lower())
    return f"{language.lower()}-{region}" if region else ""
