"""OpenAI's recognisers, by realtime transcription sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

from callengine.errors import ConfigurationError
from callengine.ports import Opening, SessionContext, SttSession
from callengine.providers.asking import ask_free, over_http, with_query
from callengine.providers.fields import extra_field, key_field, positive, present, url_field
from callengine.providers.merging import merged
from callengine.providers.stt.openai_wire import FORMAT, OpenAIDialect
from callengine.providers.stt.streaming import open_streaming
from callengine.wire import Failures, Wire

_LISTS = ("gpt-live-transcribe", "gpt-transcribe")
"""Models that take several languages and keywords; the others take one language (API reference, "Realtime")."""

_NO_PROMPT = "gpt-realtime-whisper"

PARKED = 600.0
"""Seconds that a session may wait for its call: waiting is free, and a session lasts an hour (guide "Realtime
transcription")."""


@attrs.frozen
class OpenAI:
    """The recipe of an OpenAI recogniser: a realtime session in which the call says where an utterance ends.

    The vendor bills audio by the minute; an open session without audio costs nothing. ``base_url`` may be a gateway's
    that speaks the same protocol; it is then told the model in the address too. ``extra`` is merged into the session's
    settings, at every depth: ``{"audio": {"input": {"transcription": {"delay": "low"}}}}``.
    """

    model: str = attrs.field(default="gpt-live-transcribe", validator=present)
    """``gpt-live-transcribe`` or ``gpt-realtime-whisper``. ``whisper-1`` and the ``gpt-4o`` models end 2027-02-26."""
    api_key: str = key_field("OPENAI_API_KEY")
    base_url: str = url_field("wss://api.openai.com/v1")
    language: str | None = attrs.field(default=None, kw_only=True)
    """BCP 47; the call's where None. The vendor is told its first part."""
    keywords: tuple[str, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    """Names and terms that the caller may use; not for all models."""
    prompt: str = attrs.field(default="", kw_only=True)
    """What the call is about, in a sentence or two; not for all models."""
    noise_reduction: Literal["near_field", "far_field"] | None = attrs.field(
        default="near_field",
        validator=attrs.validators.in_(("near_field", "far_field", None)),
        kw_only=True,
    )
    """The vendor's own, before it listens: for a telephone at the ear, for one that lies on a table, or none."""
    extra: Any = extra_field()
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect, and again until the session is ready."""

    def __attrs_post_init__(self) -> None:
        if self.keywords and not self.model.startswith(_LISTS):
            raise ConfigurationError(f"{self.model} takes no keywords: leave them out, or use {_LISTS[0]}")
        if self.prompt and self.model.startswith(_NO_PROMPT):
            raise ConfigurationError(f"{self.model} takes no prompt: leave it out, or use {_LISTS[0]}")

    @property
    def name(self) -> str:
        """For logs and errors."""
        return f"openai {self.model}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`."""
        return PARKED

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[SttSession]:
        """One call's session; the vendor has taken its settings when this is entered. Raises `ProviderError`."""
        failures = Failures(self.name, self.api_key)
        url = self._url()
        opening = Opening("stt", "openai", url, self.session(context.language))
        context.opening(opening)
        dialect = OpenAIDialect(opening.settings, self.model, context.sample_rate, failures)
        headers = self._headers()
        async with open_streaming(context, dialect, url, failures, headers=headers, connect=self.connect) as session:
            yield session

    async def probe(self, wire: Wire) -> None:
        """Ask for the list of models: free. Raises `ProviderError`."""
        failures = Failures(self.name, self.api_key)
        await ask_free(wire, f"{over_http(self.base_url)}/models", self._headers(), failures, self.connect)

    def session(self, language: str) -> dict[str, Any]:
        """The settings that a session starts with."""
        code = (self.language or language).split("-")[0].lower()
        lists = self.model.startswith(_LISTS)
        transcription: dict[str, Any] = {"model": self.model}
        transcription |= {"languages": [code]} if lists else {"language": code}
        if self.keywords:
            transcription["keywords"] = list(self.keywords)
        if self.prompt:
            transcription["prompt"] = self.prompt
        heard = {
            "format": {"type": "audio/pcm", "rate": FORMAT.sample_rate},
            "noise_reduction": {"type": self.noise_reduction} if self.noise_reduction else None,
            "transcription": transcription,
            "turn_detection": None,  # the call ends utterances; the newer models refuse anything else
        }
        return merged({"type": "transcription", "audio": {"input": heard}}, self.extra)

    def _url(self) -> str:
        query = {"intent": "transcription"}
        if urlsplit(self.base_url).hostname != "api.openai.com":  # which takes a model here for a conversation's
            query["model"] = self.model
        return with_query(f"{self.base_url}/realtime", query)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}
