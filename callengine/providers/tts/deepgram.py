"""Deepgram's voice Aura, on its WebSocket ``/v1/speak``, which is kept for the call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import attrs

from callengine.audio.format import AudioFormat
from callengine.errors import ConfigurationError
from callengine.ports import Opening, SessionContext, TtsSession, Usage
from callengine.providers import deepgram_account
from callengine.providers.asking import with_query
from callengine.providers.conversing import Sent
from callengine.providers.deepgram_account import DeepgramFailures
from callengine.providers.fields import extra_field, key_field, positive, present, url_field
from callengine.providers.lenient import as_text, compact, json_object
from callengine.providers.tts.contexts import Spoken, open_contexts
from callengine.wire import Wire

PARKED = 60.0
"""Seconds that a session may wait for its call: as long as a phone rings. Nothing is billed before text is sent; where
the vendor closes an idle connection earlier (it gives no time), another one is opened."""

_RATES = (8000, 16000, 24000, 32000, 48000)
"""Hz of linear audio; mu-law and A-law have the first two (the vendor's description of its interface)."""

_ENCODINGS = {"l16": "linear16", "mulaw": "mulaw", "alaw": "alaw"}


@attrs.frozen
class Deepgram:
    """The recipe of a Deepgram voice of the Aura family. The voice's name has its language: ``aura-2-thalia-en``."""

    voice: str = attrs.field(default="aura-2-thalia-en", validator=present)
    api_key: str = key_field("DEEPGRAM_API_KEY")
    base_url: str = url_field("wss://api.deepgram.com")
    """Also ``wss://api.eu.deepgram.com``, ``wss://api.au.deepgram.com``, ``wss://api.in.deepgram.com``."""
    speed: float | None = attrs.field(default=None, validator=positive, kw_only=True)
    """1.0 is the voice's own pace; None leaves it to the vendor."""
    extra: Mapping[str, Any] = extra_field()
    """More query parameters: a list is a parameter that is repeated."""
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect."""

    def __attrs_post_init__(self) -> None:
        if self.voice.startswith("flux"):
            raise ConfigurationError(f"{self.voice} speaks another protocol: use a voice such as aura-2-thalia-en")

    @property
    def name(self) -> str:
        """Vendor and voice."""
        return f"deepgram {self.voice}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`."""
        return PARKED

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[TtsSession]:
        """One call's session, connected. Raises `ProviderError`."""
        failures = DeepgramFailures(self.name, self.api_key)
        dialect = AuraDialect(self.voice, audio_format(context.line), failures)
        url = f"{self.base_url}/v1/speak"
        opening = Opening("tts", "deepgram", url, self.settings(dialect.audio_format))
        context.opening(opening)
        async with open_contexts(
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

    def settings(self, audio_format: AudioFormat) -> dict[str, Any]:
        """The query of the handshake."""
        settings: dict[str, Any] = {
            "model": self.voice,
            "encoding": _ENCODINGS[audio_format.encoding],
            "sample_rate": audio_format.sample_rate,
        }
        if self.speed is not None:
            settings["speed"] = self.speed
        return {**settings, **self.extra}


def audio_format(line: AudioFormat) -> AudioFormat:
    """What the carrier plays where the vendor makes exactly that, else linear audio at a rate near it."""
    if line.encoding in ("mulaw", "alaw") and line.sample_rate in _RATES[:2]:
        return line
    return AudioFormat("l16", line.sample_rate if line.sample_rate in _RATES else 24000)


class AuraDialect:
    """JSON commands out, binary audio and JSON in (see `callengine.providers.tts.contexts`).

    Nothing that the vendor sends names a sentence: one is over at its ``Flushed``, and one that was cut at its
    ``Cleared``, before which ``Flushed`` and audio may still be on their way.
    """

    ready = True
    keep_alive = inf
    names_contexts = False

    def __init__(self, voice: str, audio_format: AudioFormat, failures: DeepgramFailures) -> None:
        self.audio_format = audio_format
        self._voice = voice
        self._failures = failures
        self._clearing = False

    def opening(self) -> Sent:
        """See `Dialect.opening`."""
        return ()

    def begin(self, context: str, text: str) -> Sent:
        """See `Dialect.begin`."""
        del context
        return compact({"type": "Speak", "text": text}), '{"type":"Flush"}'

    def cancel(self, context: str) -> Sent:
        """See `Dialect.cancel`."""
        del context
        self._clearing = True
        return ('{"type":"Clear"}',)

    def still_here(self) -> Sent:
        """See `Dialect.still_here`: the vendor names no message for it."""
        return ()

    def bye(self) -> Sent:
        """See `Dialect.bye`: without it, the connection counts as one in use for a while."""
        return ('{"type":"Close"}',)

    def cost(self, text: str) -> Usage | None:
        """See `Dialect.cost`: the vendor bills characters, and does not tell them on this connection."""
        return Usage(provider="deepgram", model=self._voice, characters=len(text), estimated=True)

    def feed(self, message: str | bytes) -> Sequence[Spoken]:
        """See `Dialect.feed`."""
        if isinstance(message, bytes):
            return () if self._clearing else (Spoken(audio=message),)
        data = json_object(message)
        match data.get("type"):
            case "Flushed":
                return () if self._clearing else (Spoken(done=True),)
            case "Cleared":
                cleared, self._clearing = self._clearing, False
                return (Spoken(done=True),) if cleared else ()
            case "Warning" if "flush" in _words(data).lower():
                # Of more than 20 within a minute, the vendor passes over the rest: this sentence would never be
                # spoken. A new connection has its own count.
                raise self._failures.make(_words(data), fault="reopen")
            case "Error":
                raise self._failures.make(_words(data) or "an error")
            case _:
                return ()


def _words(data: Mapping[str, Any]) -> str:
    parts = (data.get("code"), data.get("description") or data.get("message"))
    return " ".join(part for part in map(as_text, parts) if part)
