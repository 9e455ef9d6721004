"""ElevenLabs' voices on one WebSocket with a context for each sentence, and the times of words."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import attrs

from callengine.audio.format import AudioFormat
from callengine.errors import ConfigurationError
from callengine.ports import Opening, SessionContext, TtsSession
from callengine.providers import elevenlabs_account
from callengine.providers.asking import with_query
from callengine.providers.elevenlabs_account import ElevenLabsFailures, format_name
from callengine.providers.fields import url_field
from callengine.providers.tts.contexts import open_contexts
from callengine.providers.tts.elevenlabs_voice import ElevenLabsVoice, spoken_format
from callengine.providers.tts.elevenlabs_wire import ContextsDialect
from callengine.wire import Wire

INACTIVITY = 180
"""Seconds without a message after which the vendor is asked to close a socket: the most that it takes."""

_FIRST = ("voice_settings", "generation_config", "pronunciation_dictionary_locators")
"""Settings that belong into a context's first message; the others are query parameters."""


@attrs.frozen
class ElevenLabs(ElevenLabsVoice):
    """The recipe of an ElevenLabs voice over its WebSocket. ``extra`` has query parameters, and what a context's first
    message may have (``generation_config``).

    The models of the third and fourth generation have no such socket: use `ElevenLabsHttp` for them.
    """

    base_url: str = url_field("wss://api.elevenlabs.io")

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.model.startswith(("eleven_v3", "eleven_v4")):
            raise ConfigurationError(
                f"{self.model} is not spoken on this WebSocket: use ElevenLabsHttp, or model='eleven_flash_v2_5'"
            )

    @property
    def name(self) -> str:
        """Vendor and model."""
        return f"elevenlabs {self.model}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`: only characters are billed, and keeping a socket sends none."""
        return math.inf

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[TtsSession]:
        """One call's session, connected. Raises `ProviderError`."""
        failures = ElevenLabsFailures(self.name, self.api_key)
        audio_format = spoken_format(context.line)
        url = f"{self.base_url}/v1/text-to-speech/{quote(self.voice, safe='')}/multi-stream-input"
        opening = Opening("tts", "elevenlabs", url, self.settings(context.language, audio_format))
        context.opening(opening)
        settings = dict(opening.settings)
        first = {name: settings.pop(name) for name in _FIRST if name in settings}
        async with open_contexts(
            context,
            ContextsDialect(self.model, audio_format, first, failures),
            with_query(url, settings),
            failures,
            headers=elevenlabs_account.headers(self.api_key),
            connect=self.connect,
            on_close=failures.on_close,
        ) as session:
            yield session

    async def probe(self, wire: Wire) -> None:
        """See `Probed.probe`."""
        failures = ElevenLabsFailures(self.name, self.api_key)
        await elevenlabs_account.probe(wire, self.base_url, self.api_key, failures, self.connect)

    def settings(self, language: str, audio_format: AudioFormat) -> dict[str, Any]:
        """The query of the handshake, and the settings of each context's first message."""
        settings: dict[str, Any] = {
            "model_id": self.model,
            "output_format": format_name(audio_format),
            "inactivity_timeout": INACTIVITY,
            "auto_mode": True,  # whole sentences: nothing is to be waited for
            "sync_alignment": True,
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
