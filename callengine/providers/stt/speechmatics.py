"""Speechmatics' recogniser, on the second version of its real-time interface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx

from callengine.audio.format import AudioFormat
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Opening, SessionContext, SttSession
from callengine.providers.fields import extra_field, key_field, positive, present, url_field
from callengine.providers.merging import merged
from callengine.providers.stt.speechmatics_wire import SpeechmaticsDialect, SpeechmaticsFailures
from callengine.providers.stt.streaming import open_streaming
from callengine.wire import Patience, Wire, asked
from callengine.wire.http import error_body

PARKED = 1800.0
"""Seconds that a session may wait for its call: half of the hour without audio after which the vendor ends it
(docs.speechmatics.com, "Realtime limits")."""

_LOCALES = ("en-GB", "en-US", "en-AU")
"""Spellings that can be asked for (docs.speechmatics.com, "Languages", output locale)."""

_CODES = {"zh": "cmn", "nb": "no", "nn": "no", "iw": "he", "in": "id"}
"""Languages that the vendor calls otherwise than BCP 47 does, or by their newer code."""


@attrs.frozen
class Speechmatics:
    """The recipe of a Speechmatics recogniser. It is told when an utterance is over, or judges that itself if it has an
    ``end_of_utterance``.

    An open session counts as one of those that the account may have at once, also while it waits for its call.
    """

    model: str = attrs.field(default="enhanced", validator=present)
    """``enhanced``, or ``standard``: cheaper, and worse on the telephone."""
    api_key: str = key_field("SPEECHMATICS_API_KEY")
    base_url: str = url_field("wss://eu.rt.speechmatics.com")
    """Others: ``wss://us.rt.speechmatics.com``, ``wss://global.rt.speechmatics.com`` (the nearest)."""
    account_url: str = url_field("https://mp.speechmatics.com")
    """Of the requests that are not about audio: `probe`."""
    language: str = attrs.field(default="", kw_only=True)
    """A code such as ``de`` or ``en-GB``, where the last part is the spelling; empty: the call's."""
    max_delay: float = attrs.field(default=1.0, kw_only=True)
    """Seconds, 0.7 to 4, after which words in the middle of an utterance become final. More is more exact, and no
    slower: the end is asked for."""
    end_of_utterance: float = attrs.field(default=0.0, kw_only=True)
    """The silence in seconds, less than ``max_delay`` and 2, after which it judges that the caller's turn is over.
    0: it does not judge."""
    vocabulary: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, kw_only=True)
    """Names and terms that the caller may say, each with what it may sound like (or nothing): ``{"Acme": ("ack
    me",)}``."""
    extra: Mapping[str, Any] = extra_field()
    """More of the first message: ``{"transcription_config": {"diarization": "speaker"}}``."""
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect, and again until it is ready."""

    def __attrs_post_init__(self) -> None:
        # Ranges: docs.speechmatics.com, "Realtime API reference".
        if not 0.7 <= self.max_delay <= 4.0:
            raise ConfigurationError(f"max_delay={self.max_delay}: Speechmatics takes 0.7 to 4 seconds")
        if not 0.0 <= self.end_of_utterance < min(self.max_delay, 2.0):
            raise ConfigurationError(
                f"end_of_utterance={self.end_of_utterance} must be less than max_delay={self.max_delay}, and than 2 s"
            )

    @property
    def name(self) -> str:
        """Vendor and model."""
        return f"speechmatics {self.model}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`: audio is billed, not the session."""
        return PARKED

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[SttSession]:
        """One call's session, connected and ready. Raises `ProviderError`."""
        failures = SpeechmaticsFailures(self.name, self.api_key)
        rate = context.sample_rate
        audio_format = AudioFormat("mulaw" if rate == 8000 else "l16", rate)
        url = f"{self.base_url}/v2/"
        language = self.language or context.language
        opening = Opening("stt", "speechmatics", url, self.settings(language, audio_format, interim=context.interim))
        context.opening(opening)
        async with open_streaming(
            context,
            SpeechmaticsDialect(self.model, opening.settings, audio_format, failures),
            url,
            failures,
            headers={"Authorization": f"Bearer {self.api_key}"},
            connect=self.connect,
            on_close=failures.from_close,
        ) as session:
            yield session

    async def probe(self, wire: Wire) -> None:
        """See `Probed.probe`: asks for a temporary key for real-time sessions, which nobody uses. It is good for a
        minute."""
        failures = SpeechmaticsFailures(self.name, self.api_key)
        request = httpx.Request(
            "POST",
            f"{self.account_url}/v1/api_keys?type=rt",
            headers={"Authorization": f"Bearer {self.api_key}"},
            json={"ttl": 60},
        )

        def too_late() -> ProviderError:
            return failures.make(f"no answer within {self.connect:g} s")

        async with asked(wire.http, request, failures, Patience(self.connect), too_late) as body:
            if body.response.status_code not in (200, 201):
                headers = body.response.headers
                raise failures.from_response(body.response.status_code, headers, await error_body(body))

    def settings(self, language: str, audio_format: AudioFormat, *, interim: bool) -> dict[str, Any]:
        """The first message, but for its name."""
        code, _, region = language.replace("_", "-").partition("-")
        config: dict[str, Any] = {
            "language": _CODES.get(code.lower(), code.lower()),
            "model": self.model,
            "enable_partials": interim,
            "max_delay": self.max_delay,
        }
        if (locale := f"{code.lower()}-{region.upper()}") in _LOCALES:
            config["output_locale"] = locale
        if self.end_of_utterance:
            config["conversation_config"] = {"end_of_utterance_silence_trigger": self.end_of_utterance}
        if self.vocabulary:
            config["additional_vocab"] = [
                {"content": word, "sounds_like": list(sounds)} if sounds else {"content": word}
                for word, sounds in self.vocabulary.items()
            ]
        encoding = "mulaw" if audio_format.encoding == "mulaw" else "pcm_s16le"
        audio = {"type": "raw", "encoding": encoding, "sample_rate": audio_format.sample_rate}
        return merged({"audio_format": audio, "transcription_config": config}, self.extra)
