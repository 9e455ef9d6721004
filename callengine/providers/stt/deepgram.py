"""Deepgram's recogniser Nova, on its WebSocket ``/v1/listen``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import attrs

from callengine.audio.format import AudioFormat
from callengine.errors import ConfigurationError
from callengine.ports import Opening, SessionContext, SttSession
from callengine.providers import deepgram_account
from callengine.providers.asking import with_query
from callengine.providers.deepgram_account import DeepgramFailures
from callengine.providers.fields import extra_field, key_field, positive, present, url_field
from callengine.providers.stt.deepgram_wire import NovaDialect
from callengine.providers.stt.streaming import open_streaming
from callengine.wire import Wire


@attrs.frozen
class Deepgram:
    """The recipe of a Deepgram recogniser of the Nova family. The call judges the caller's turns: see `DeepgramFlux`
    for the one that judges them itself.
    """

    model: str = attrs.field(default="nova-3", validator=present)
    api_key: str = key_field("DEEPGRAM_API_KEY")
    base_url: str = url_field("wss://api.deepgram.com")
    """Also ``wss://api.eu.deepgram.com``, ``wss://api.au.deepgram.com``, ``wss://api.in.deepgram.com``."""
    language: str = attrs.field(default="", kw_only=True)
    """A code such as ``de`` or ``en-GB``, or ``multi`` for callers who change languages; empty: the call's."""
    keyterms: tuple[str, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    """Names and terms that the caller may say: 500 tokens in all. For models before ``nova-3`` they are sent as the
    vendor's ``keywords``, single words that may end in a boost (``Harrison:2``)."""
    smart_format: bool = attrs.field(default=True, kw_only=True)
    """Write numbers, dates and amounts as one reads them: ``$42.50``."""
    endpointing: float | None = attrs.field(default=0.3, validator=positive, kw_only=True)
    """Seconds of silence after which the vendor settles the words by itself; None: never. It ends no turn here. The
    vendor's own default, 10 ms ("Endpointing"), cuts a number in two that is read out with pauses."""
    extra: Mapping[str, Any] = extra_field()
    """More query parameters: a list is a parameter that is repeated."""
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect."""

    def __attrs_post_init__(self) -> None:
        if "flux" in self.model:
            raise ConfigurationError(f"{self.model} speaks another protocol: use DeepgramFlux({self.model!r})")

    @property
    def name(self) -> str:
        """Vendor and model."""
        return f"deepgram {self.model}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`: only audio is billed, and a message every few seconds keeps the connection."""
        return inf

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[SttSession]:
        """One call's session, connected. Raises `ProviderError`."""
        failures = DeepgramFailures(self.name, self.api_key)
        dialect = NovaDialect(self.model, context.sample_rate, failures)
        url = f"{self.base_url}/v1/listen"
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
        """The query of the handshake. Interim results are always asked for: they cost nothing, and without them a
        vendor that has fallen silent looks like a caller who goes on speaking."""
        settings: dict[str, Any] = {
            "model": self.model,
            "language": self.language or context.language,
            "encoding": "mulaw" if audio_format.encoding == "mulaw" else "linear16",
            "sample_rate": audio_format.sample_rate,
            "channels": 1,
            "interim_results": True,
            "endpointing": False if self.endpointing is None else round(self.endpointing * 1000),
            "smart_format": self.smart_format,
        }
        if self.keyterms:
            settings["keyterm" if self.model.startswith("nova-3") else "keywords"] = list(self.keyterms)
        return {**settings, **self.extra}
