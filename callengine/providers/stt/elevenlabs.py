"""ElevenLabs' recogniser, Scribe v2 realtime, with our own commits."""

from __future__ import annotations

import base64
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from callengine.audio.convert import SILENCE, from_pcm
from callengine.audio.format import AudioFormat, Pcm
from callengine.audio.resample import Resampler
from callengine.errors import ConfigurationError, ProviderFault
from callengine.ports import Opening, SessionContext, SttSession, Usage
from callengine.providers import elevenlabs_account
from callengine.providers.asking import with_query
from callengine.providers.elevenlabs_account import ElevenLabsFailures
from callengine.providers.fields import extra_field, key_field, positive, present, url_field
from callengine.providers.lenient import compact, json_object
from callengine.providers.stt.dialect import Finished, Heard, Sent, Words
from callengine.providers.stt.streaming import open_streaming
from callengine.wire import Wire

KEEP_ALIVE = 10.0
"""Seconds: WebSocket pings do not keep a session, a message does (`elevenlabs` 2.78.0, realtime speech to text)."""

LEAST = 0.3
"""Seconds of audio in a commit; the vendor ends a session over less."""

SILENT = 2.0
"""Seconds that the answer to a commit may take in which nothing was heard: it is not documented that there is one."""

RATES = (8000, 16000, 22050, 24000, 44100, 48000)
"""Hz that it takes."""

_FAULTS: Mapping[str, ProviderFault] = {
    "auth_error": "fatal",
    "quota_exceeded": "fatal",
    "unaccepted_terms": "fatal",
    "input_error": "fatal",
    "invalid_request": "fatal",
    "chunk_size_exceeded": "fatal",
    "rate_limited": "retry",
    "resource_exhausted": "retry",
    "queue_overflow": "retry",
    "transcriber_error": "reopen",
    "session_time_limit_exceeded": "reopen",
    "insufficient_audio_activity": "reopen",
    "error": "reopen",
}
"""Messages that end a session (`elevenlabs` 2.78.0, realtime speech to text, error types). ``commit_throttled`` and
``warning`` do not."""


@attrs.frozen
class ElevenLabs:
    """The recipe of an ElevenLabs recogniser. It commits when the call says that an utterance is over."""

    model: str = attrs.field(default="scribe_v2_realtime", validator=present)
    api_key: str = key_field("ELEVENLABS_API_KEY")
    base_url: str = url_field("wss://api.elevenlabs.io")
    language: str = attrs.field(default="", kw_only=True)
    """A code such as ``de``; empty: the call's."""
    keyterms: tuple[str, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    """Names and terms that the caller may say: at most 50, of at most 20 characters."""
    verbatim: bool = attrs.field(default=True, kw_only=True)
    """False leaves out filler words and false starts."""
    logging: bool = attrs.field(default=True, kw_only=True)
    """False asks the vendor to keep nothing (its zero retention mode, for accounts that have it)."""
    extra: Mapping[str, Any] = extra_field()
    """More query parameters."""
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect."""

    def __attrs_post_init__(self) -> None:
        if len(self.keyterms) > 50 or any(len(term) > 20 for term in self.keyterms):
            raise ConfigurationError("keyterms: ElevenLabs takes at most 50, of at most 20 characters each")

    @property
    def name(self) -> str:
        """Vendor and model."""
        return f"elevenlabs {self.model}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`: only audio is billed, and keeping a session sends none."""
        return math.inf

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[SttSession]:
        """One call's session, connected. Raises `ProviderError`."""
        failures = ElevenLabsFailures(self.name, self.api_key)
        dialect = ScribeDialect(self, context.sample_rate, failures)
        url = f"{self.base_url}/v1/speech-to-text/realtime"
        opening = Opening("stt", "elevenlabs", url, self.settings(context.language, dialect.audio_format))
        context.opening(opening)
        async with open_streaming(
            context,
            dialect,
            with_query(url, opening.settings),
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
        """The query of the handshake."""
        settings: dict[str, Any] = {
            "model_id": self.model,
            "audio_format": elevenlabs_account.format_name(audio_format),
            "commit_strategy": "manual",
            "language_code": elevenlabs_account.language_code(self.language or language),
        }
        if self.keyterms:
            settings["keyterms"] = list(self.keyterms)
        if not self.verbatim:
            settings["no_verbatim"] = True
        if not self.logging:
            settings["enable_logging"] = False
        return {**settings, **self.extra}


class ScribeDialect:
    """The protocol: JSON both ways, audio in base64 (see `callengine.providers.stt.streaming`).

    Each commit is answered by one transcript. Transcripts without a commit of ours are parts of what goes on, and the
    second edition of one, with the times of its words, is passed over.
    """

    hears_pauses = False
    ready = True
    keep_alive = KEEP_ALIVE

    def __init__(self, recipe: ElevenLabs, sample_rate: int, failures: ElevenLabsFailures) -> None:
        rate = sample_rate if sample_rate in RATES else 16000
        self.audio_format = AudioFormat("mulaw" if rate == 8000 else "l16", rate)
        self._model = recipe.model
        self._failures = failures
        self._resampler = Resampler(sample_rate, rate)
        self._uncommitted = 0
        """Samples since the last commit."""
        self._commits = 0
        """How many have no answer yet."""
        self._heard = False
        """There are words that were not committed yet."""

    @property
    def settle(self) -> float:
        """See `Dialect.settle`: words that it has heard are committed, or something is wrong."""
        return math.inf if self._heard else SILENT

    def opening(self) -> Sent:
        """Nothing: all is in the address."""
        return ()

    def start(self) -> Sent:
        """Nothing: it hears a stream."""
        return ()

    def audio(self, pcm: Pcm) -> Sent:
        """At a rate that it takes."""
        pcm = self._resampler.push(pcm)
        self._uncommitted += len(pcm)
        return (self._chunk(from_pcm(pcm, self.audio_format.encoding)),)

    def pause(self) -> Sent:
        """Nothing: a commit this short may be refused."""
        return ()

    def end(self) -> Sent:
        """A commit, with silence in front of it where there was hardly any audio."""
        missing = max(0, round(LEAST * self.audio_format.sample_rate) - self._uncommitted)
        self._uncommitted = 0
        self._commits += 1
        return (self._chunk(SILENCE[self.audio_format.encoding] * missing, commit=True),)

    def still_here(self) -> Sent:
        """No audio at all."""
        return (self._chunk(b""),)

    def bye(self) -> Sent:
        """Nothing but the closing itself."""
        return ()

    def cost(self, seconds: float) -> Usage:
        """What was sent: it is billed by the second of audio, and tells no figures."""
        return Usage(provider="elevenlabs", model=self._model, seconds=seconds, estimated=True)

    def feed(self, message: str | bytes) -> Sequence[Heard]:
        """See `Dialect.feed`."""
        data = json_object(message)
        kind, text = data.get("message_type"), data.get("text")
        if isinstance(kind, str) and kind in _FAULTS:
            words = data.get("error") or data.get("message") or "the server reported an error"
            raise self._failures.make(f"{words} ({kind})", fault=_FAULTS[kind])
        if not isinstance(text, str):
            return ()
        if kind == "partial_transcript":
            self._heard = self._heard or bool(text.strip())
            return (Words(text, False),)
        if kind != "committed_transcript":
            return ()
        self._heard = False
        if not self._commits:
            return (Words(text, True),)
        self._commits -= 1
        return Words(text, True), Finished()

    def _chunk(self, audio: bytes, *, commit: bool = False) -> str:
        return compact({
            "message_type": "input_audio_chunk",
            "audio_base_64": base64.b64encode(audio).decode("ascii"),
            "commit": commit,
            "sample_rate": self.audio_format.sample_rate,
        })  # fmt: skip
