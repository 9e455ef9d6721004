"""Cartesia's recogniser, Ink, on its WebSocket with manual finalising."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from callengine.audio.convert import SILENCE, from_pcm
from callengine.audio.format import AudioFormat, Pcm
from callengine.errors import ConfigurationError
from callengine.ports import Opening, SessionContext, SttSession, Usage
from callengine.providers import cartesia_account
from callengine.providers.asking import with_query
from callengine.providers.cartesia_account import CartesiaFailures
from callengine.providers.fields import extra_field, key_field, positive, present, url_field
from callengine.providers.lenient import json_object
from callengine.providers.stt.dialect import Finished, Heard, Sent, Words
from callengine.providers.stt.streaming import open_streaming
from callengine.wire import Wire

KEEP_ALIVE = 15.0
"""Seconds: the vendor closes a socket on which it was sent nothing for 20 (docs.cartesia.ai, "Streaming STT")."""

NUDGE = 0.02
"""Seconds of silence that keep a socket: as little as is audio, because audio is billed."""

PARKED = 60.0
"""Seconds that a session may wait for its call: as long as a phone rings, for 80 ms of silence at most."""

STRAGGLERS = 0.3
"""Seconds in which the last words may come behind the acknowledgement of ``finalize``: which of them is first differs
between the vendor's examples."""


@attrs.frozen
class Cartesia:
    """The recipe of a Cartesia recogniser. It finalises when the call says that an utterance is over: its own judgement
    of that takes seconds.

    ``ink-whisper`` knows about 100 languages; ``ink-2`` is newer, knows English only, and costs three times as much
    (docs.cartesia.ai, pricing, 2026).
    """

    model: str = attrs.field(default="ink-whisper", validator=present)
    api_key: str = key_field("CARTESIA_API_KEY")
    base_url: str = url_field("wss://api.cartesia.ai")
    language: str = attrs.field(default="", kw_only=True)
    """A code such as ``de``; empty: the call's."""
    keyterms: tuple[str, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    """Names and terms that the caller may say: at most 100, with 1,200 characters in all."""
    extra: Mapping[str, Any] = extra_field()
    """More query parameters."""
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect."""

    def __attrs_post_init__(self) -> None:
        if len(self.keyterms) > 100 or sum(map(len, self.keyterms)) > 1200:
            raise ConfigurationError("keyterms: Cartesia takes at most 100, with 1,200 characters in all")
        if self.language and not self._speaks(self.language):
            raise ConfigurationError(f"{self.model} knows English only: use ink-whisper for {self.language}")

    @property
    def name(self) -> str:
        """Vendor and model."""
        return f"cartesia {self.model}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`."""
        return PARKED

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[SttSession]:
        """One call's session, connected. Raises `ProviderError`; with ``ink-2`` also for a call in another language."""
        failures = CartesiaFailures(self.name, self.api_key)
        language = self.language or context.language
        if not self._speaks(language):
            raise failures.make(f"knows English only, and the call is in {language}", fault="fatal")
        dialect = InkDialect(self, context.sample_rate, failures)
        url = f"{self.base_url}/stt/websocket"
        opening = Opening("stt", "cartesia", url, self.settings(language, dialect.audio_format))
        context.opening(opening)
        async with open_streaming(
            context,
            dialect,
            with_query(url, opening.settings),
            failures,
            headers=cartesia_account.headers(self.api_key),
            connect=self.connect,
        ) as session:
            yield session

    async def probe(self, wire: Wire) -> None:
        """See `Probed.probe`."""
        failures = CartesiaFailures(self.name, self.api_key)
        await cartesia_account.probe(wire, self.base_url, self.api_key, failures, self.connect)

    def settings(self, language: str, audio_format: AudioFormat) -> dict[str, Any]:
        """The query of the handshake."""
        settings: dict[str, Any] = {
            "cartesia_version": cartesia_account.VERSION,
            "model": self.model,
            "language": _code(language),
            "encoding": "pcm_mulaw" if audio_format.encoding == "mulaw" else "pcm_s16le",
            "sample_rate": audio_format.sample_rate,
        }
        if self.keyterms:
            settings["keyterm"] = list(self.keyterms)
        return {**settings, **self.extra}

    def _speaks(self, language: str) -> bool:
        return not self.model.startswith("ink-2") or _code(language) == "en"


def _code(language: str) -> str:
    """``en`` of ``en-GB``."""
    return language.replace("_", "-").split("-")[0].lower()


class InkDialect:
    """The protocol: binary audio and bare command words out, JSON in (see `callengine.providers.stt.streaming`).

    An utterance is finished when its ``finalize`` was acknowledged and its last words are here, in either order.
    """

    hears_pauses = False
    ready = True
    keep_alive = KEEP_ALIVE

    def __init__(self, recipe: Cartesia, sample_rate: int, failures: CartesiaFailures) -> None:
        self.audio_format = AudioFormat("mulaw" if sample_rate == 8000 else "l16", sample_rate)
        self._model = recipe.model
        self._failures = failures
        self._started = -1
        """The number of the last utterance."""
        self._unanswered: deque[int] = deque()
        """Utterances whose ``finalize`` was not acknowledged."""
        self._confirmed = False
        """Words became final since it was said or acknowledged last."""
        self._straggling: int | None = None
        """The utterance whose ``finalize`` was acknowledged, but whose words may still come."""
        self._interim = ""

    @property
    def settle(self) -> float:
        """See `Dialect.settle`: it always acknowledges, and then not much more can come."""
        return math.inf if self._straggling is None else STRAGGLERS

    def opening(self) -> Sent:
        """Nothing: all is in the address."""
        return ()

    def start(self) -> Sent:
        """Nothing: it hears a stream."""
        self._started += 1
        return ()

    def audio(self, pcm: Pcm) -> Sent:
        """As it is."""
        return (from_pcm(pcm, self.audio_format.encoding),)

    def pause(self) -> Sent:
        """Nothing: words that are made final early are worse than those that have all of their context."""
        return ()

    def end(self) -> Sent:
        """Do not wait for its own idea of an end."""
        self._unanswered.append(self._started)
        self._confirmed, self._straggling = False, None
        return ("finalize",)

    def still_here(self) -> Sent:
        """A moment of silence: the vendor knows no other sign of life."""
        samples = round(NUDGE * self.audio_format.sample_rate)
        return (SILENCE[self.audio_format.encoding] * samples,)

    def bye(self) -> Sent:
        """It ends the session, and its billing."""
        return ("close",)

    def cost(self, seconds: float) -> Usage:
        """What was sent: it is billed by the second of audio, and tells no figures."""
        return Usage(provider="cartesia", model=self._model, seconds=seconds, estimated=True)

    def feed(self, message: str | bytes) -> Sequence[Heard]:
        """See `Dialect.feed`."""
        data = json_object(message)
        kind = data.get("type")
        if kind == "error":
            raise self._failures.from_event(data)
        if kind == "transcript" and isinstance(data.get("text"), str):
            return self._transcript(data["text"], data.get("is_final") is True)
        if kind == "flush_done" and self._unanswered:
            return self._acknowledged()
        return ()

    def _transcript(self, text: str, final: bool) -> Sequence[Heard]:
        self._interim = "" if final else text
        if not final:
            return (Words(text, False),)
        utterance, self._straggling = self._straggling, None
        self._confirmed = utterance is None
        return (Words(text, True),) if utterance is None else (Words(text, True), Finished(of=utterance))

    def _acknowledged(self) -> Sequence[Heard]:
        utterance, confirmed = self._unanswered.popleft(), self._confirmed
        self._confirmed = False
        if confirmed and not self._interim:
            return (Finished(of=utterance),)
        self._straggling = utterance
        return (Words(self._interim, False),)  # nothing new, but it is now that the wait for the rest begins
