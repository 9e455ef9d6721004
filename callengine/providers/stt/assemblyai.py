"""AssemblyAI's recogniser, Universal Streaming (version 3 of its interface), on its WebSocket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from callengine.audio.format import AudioFormat
from callengine.ports import Opening, SessionContext, SttSession, Usage
from callengine.providers.asking import ask_free, over_http, with_query
from callengine.providers.fields import extra_field, key_field, positive, present, url_field
from callengine.providers.stt.assemblyai_wire import AssemblyFailures, TurnDialect
from callengine.providers.stt.streaming import open_streaming
from callengine.wire import Wire

INACTIVITY = 30
"""Seconds without audio after which the vendor ends a session that we lost: it bills sessions until they end, for three
hours otherwise."""

JUDGED = 0.4
"""Seconds of silence before the vendor may end a turn, where its judgement counts. Its newer models' own 0.1 s
(the page on turn detection) takes a pause for breath for an end, and the caller is answered twice."""


@attrs.frozen
class AssemblyAI:
    """The recipe of an AssemblyAI recogniser.

    ``universal-3-6-pro`` and its kin know several languages; ``universal-streaming-english`` and
    ``universal-streaming-multilingual`` cost a third of it and tell each word as it comes. The vendor bills the time
    for which a session is open, silent or not: it is opened when the call is there, not before.
    """

    model: str = attrs.field(default="universal-3-6-pro", validator=present)
    api_key: str = key_field("ASSEMBLYAI_API_KEY")
    base_url: str = url_field("wss://streaming.assemblyai.com")
    """Also ``wss://streaming.eu.assemblyai.com``."""
    languages: tuple[str, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    """Codes such as ``de`` of what the caller may speak, ten at most, or ``multi`` alone; empty: the call's language.
    The ``universal-streaming`` models take none."""
    keyterms: tuple[str, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    """Names and terms that the caller may say (the vendor charges for them)."""
    turns: bool = attrs.field(default=False, kw_only=True)
    """Whether the vendor's judgement that the caller's turn is over counts; without it, the call judges alone."""
    min_turn_silence: float | None = attrs.field(default=None, validator=positive, kw_only=True)
    """Seconds of silence after which the vendor asks itself whether a turn is over; None: 0.4 with ``turns``, else its
    own choice."""
    max_turn_silence: float | None = attrs.field(default=None, validator=positive, kw_only=True)
    """Seconds of silence after which a turn is over in any case; None: the vendor's choice, about 1."""
    format_turns: bool = attrs.field(default=False, kw_only=True)
    """For the ``universal-streaming`` models: wait for capitals, punctuation, digits. The others always have them."""
    ahead: float = attrs.field(default=2.0, validator=positive, kw_only=True)
    """Seconds of audio that may be sent faster than they were spoken, when a connection comes late: the vendor ends
    sessions that send too fast, and does not say how fast that is."""
    extra: Mapping[str, Any] = extra_field()
    """More query parameters: lists and objects are sent as JSON."""
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect."""

    @property
    def name(self) -> str:
        """Vendor and model."""
        return f"assemblyai {self.model}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`: an open session is billed."""
        return 0.0

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[SttSession]:
        """One call's session, connected. Raises `ProviderError`, also where the model does not know its language."""
        failures = AssemblyFailures(self.name, self.api_key)
        if self.model.endswith("-english") and _code(context.language) != "en":
            reason = f"knows English only, and the call is in {context.language}: use another model"
            raise failures.make(reason, fault="fatal")
        dialect = TurnDialect(context.sample_rate, failures, judges=self.turns, formats=self._formats())
        url = f"{self.base_url}/v3/ws"
        opening = Opening("stt", "assemblyai", url, self.settings(context, dialect.audio_format))
        context.opening(opening)
        async with open_streaming(
            context,
            dialect,
            with_query(url, {name: _written(value) for name, value in opening.settings.items()}),
            failures,
            headers={"Authorization": self.api_key},
            connect=self.connect,
            ahead=self.ahead,
            on_close=failures.on_close,
        ) as session:
            opened = trio.current_time()
            try:
                yield session
            finally:
                seconds = trio.current_time() - opened
                context.meter(Usage(provider="assemblyai", model=self.model, seconds=seconds, estimated=True))

    async def probe(self, wire: Wire) -> None:
        """See `Probed.probe`: asks for a token that nobody will use."""
        failures = AssemblyFailures(self.name, self.api_key)
        url = f"{over_http(self.base_url)}/v3/token?expires_in_seconds=60"
        await ask_free(wire, url, {"Authorization": self.api_key}, failures, self.connect)

    def settings(self, context: SessionContext, audio_format: AudioFormat) -> dict[str, Any]:
        """The query of the handshake."""
        silence = JUDGED if self.turns and self.min_turn_silence is None else self.min_turn_silence
        settings: dict[str, Any] = {
            "speech_model": self.model,
            "encoding": "pcm_mulaw" if audio_format.encoding == "mulaw" else "pcm_s16le",
            "sample_rate": audio_format.sample_rate,
            "inactivity_timeout": INACTIVITY,
        }
        if silence is not None:
            settings["min_turn_silence"] = round(silence * 1000)
        if self.max_turn_silence is not None:
            settings["max_turn_silence"] = round(self.max_turn_silence * 1000)
        if self.keyterms:
            settings["keyterms_prompt"] = list(self.keyterms)
        if self._formats():
            settings["format_turns"] = True
        if not self._universal():
            settings["language_codes"] = list(self.languages) or [_code(context.language)]
        return {**settings, **self.extra}

    def _formats(self) -> bool:
        return self.format_turns and self._universal()

    def _universal(self) -> bool:
        return self.model.startswith("universal-streaming")


def _code(language: str) -> str:
    """``en`` of ``en-GB``."""
    return language.replace("_", "-").split("-")[0].lower()


def _written(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value
