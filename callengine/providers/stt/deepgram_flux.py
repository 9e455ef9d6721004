"""Deepgram's recogniser Flux, which judges the caller's turns, on its WebSocket ``/v2/listen``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from callengine.audio.format import AudioFormat
from callengine.errors import ConfigurationError
from callengine.ports import Opening, SessionContext, SttSession
from callengine.providers import deepgram_account
from callengine.providers.asking import with_query
from callengine.providers.deepgram_account import DeepgramFailures
from callengine.providers.fields import extra_field, key_field, positive, present, url_field
from callengine.providers.stt.deepgram_flux_wire import FluxDialect
from callengine.providers.stt.streaming import open_streaming
from callengine.wire import Wire

PARKED = 5.0
"""Seconds that a session may wait for its call: the vendor ends one without audio after 20 or 30 (users' reports; it
gives no number itself), and silence that would keep it is billed."""


@attrs.frozen
class DeepgramFlux:
    """The recipe of a Deepgram Flux recogniser: what it says of the caller's turns goes to the call as hints.

    ``flux-general-en`` knows English, ``flux-general-multi`` several languages.
    """

    model: str = attrs.field(default="flux-general-en", validator=present)
    api_key: str = key_field("DEEPGRAM_API_KEY")
    base_url: str = url_field("wss://api.deepgram.com")
    languages: tuple[str, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    """Codes such as ``de`` of what the caller may speak, for ``flux-general-multi``; empty: the call's language."""
    keyterms: tuple[str, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    """Names and terms that the caller may say."""
    eot_threshold: float | None = attrs.field(default=None, kw_only=True)
    """How sure the vendor must be that a turn is over: 0.5 to 1.0; None: its own choice, 0.7."""
    eager_eot_threshold: float | None = attrs.field(default=0.5, kw_only=True)
    """How sure it must be to say early that a turn may be over: 0.3 to 0.9; None: it does not say so."""
    eot_timeout: float | None = attrs.field(default=None, kw_only=True)
    """Seconds of silence after which a turn is over in any case: 0.5 to 60; None: the vendor's choice, 5."""
    extra: Mapping[str, Any] = extra_field()
    """More query parameters: a list is a parameter that is repeated. The vendor refuses those that it does not know."""
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect, and then to be ready."""

    def __attrs_post_init__(self) -> None:
        _within("eot_threshold", self.eot_threshold, 0.5, 1.0)
        _within("eager_eot_threshold", self.eager_eot_threshold, 0.3, 0.9)
        _within("eot_timeout", self.eot_timeout, 0.5, 60.0)
        if (self.eager_eot_threshold or 0.0) > (0.7 if self.eot_threshold is None else self.eot_threshold):
            raise ConfigurationError(
                "eager_eot_threshold must not be above eot_threshold (0.7 where that is not given)"
            )
        if self.languages and not self._many():
            raise ConfigurationError(f"{self.model} takes no languages: use flux-general-multi, or leave them out")

    @property
    def name(self) -> str:
        """Vendor and model."""
        return f"deepgram {self.model}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`."""
        return PARKED

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[SttSession]:
        """One call's session, ready. Raises `ProviderError`, also where the model does not know the call's language."""
        failures = DeepgramFailures(self.name, self.api_key)
        if not self._many() and _code(context.language) != "en":
            reason = f"knows English only, and the call is in {context.language}: use flux-general-multi"
            raise failures.make(reason, fault="fatal")
        dialect = FluxDialect(self.model, context.sample_rate, failures)
        url = f"{self.base_url}/v2/listen"
        opening = Opening("stt", "deepgram", url, self.settings(context, dialect.audio_format))
        context.opening(opening)
        async with open_streaming(
            context,
            dialect,
            with_query(url, opening.settings),
            failures,
            headers=deepgram_account.headers(self.api_key),
            connect=self.connect,
            on_close=failures.on_close,
        ) as session:
            yield session

    async def probe(self, wire: Wire) -> None:
        """See `Probed.probe`."""
        failures = DeepgramFailures(self.name, self.api_key)
        await deepgram_account.probe(wire, self.base_url, failures, self.api_key, self.connect)

    def settings(self, context: SessionContext, audio_format: AudioFormat) -> dict[str, Any]:
        """The query of the handshake: nothing that the vendor does not know, it would refuse that."""
        settings: dict[str, Any] = {
            "model": self.model,
            "encoding": "mulaw" if audio_format.encoding == "mulaw" else "linear16",
            "sample_rate": audio_format.sample_rate,
        }
        if self.eot_threshold is not None:
            settings["eot_threshold"] = self.eot_threshold
        if self.eager_eot_threshold is not None:
            settings["eager_eot_threshold"] = self.eager_eot_threshold
        if self.eot_timeout is not None:
            settings["eot_timeout_ms"] = round(self.eot_timeout * 1000)
        if self.keyterms:
            settings["keyterm"] = list(self.keyterms)
        if self._many():
            settings["language_hint"] = list(self.languages) or [_code(context.language)]
        return {**settings, **self.extra}

    def _many(self) -> bool:
        return not self.model.endswith("-en")


def _within(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise ConfigurationError(f"{name} must be {least:g} to {most:g}, not {value:g}")


def _code(language: str) -> str:
    """``en`` of ``en-GB``."""
    return language.replace("_", "-").split("-")[0].lower()
