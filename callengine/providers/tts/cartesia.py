"""Cartesia's voices, Sonic, on one WebSocket with a context for each sentence."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from callengine.audio.format import AudioFormat, Encoding
from callengine.errors import ConfigurationError
from callengine.ports import Opening, SessionContext, TtsSession, Usage, WordTime
from callengine.providers import cartesia_account
from callengine.providers.asking import with_query
from callengine.providers.cartesia_account import VERSION, CartesiaFailures
from callengine.providers.conversing import Sent
from callengine.providers.fields import extra_field, key_field, positive, present, url_field
from callengine.providers.lenient import as_base64, as_list, as_object, compact, is_amount, json_object
from callengine.providers.tts.contexts import Spoken, open_contexts
from callengine.wire import Wire

VOICE = "f786b574-daa5-4673-aa0c-cbe3e8534c02"
""""Katie", one of the voices that the vendor recommends for agents (docs.cartesia.ai, "Choosing a Voice")."""

IDLE = 270.0
"""Seconds that an unused socket is kept: the vendor closes it after 300 (docs.cartesia.ai, "TTS WebSocket")."""

RATES = (8000, 16000, 22050, 24000, 44100, 48000)
"""Hz that it makes."""

_ENCODINGS: Mapping[Encoding, str] = {"mulaw": "pcm_mulaw", "alaw": "pcm_alaw", "l16": "pcm_s16le"}


@attrs.frozen
class Cartesia:
    """The recipe of a Cartesia voice.

    Barge-in cancels the context. A generation that has begun may run on at the vendor; its audio is dropped.
    """

    voice: str = attrs.field(default=VOICE, validator=present)
    """The voice's id."""
    model: str = attrs.field(default="sonic-3", validator=present)
    api_key: str = key_field("CARTESIA_API_KEY")
    base_url: str = url_field("wss://api.cartesia.ai")
    language: str = attrs.field(default="", kw_only=True)
    """A code such as ``de``; empty: the call's."""
    speed: float | None = attrs.field(default=None, kw_only=True)
    """0.6 to 1.5 times the voice's pace. None: as it is."""
    volume: float | None = attrs.field(default=None, kw_only=True)
    """0.5 to 2.0 times its loudness. None: as it is."""
    emotion: str = attrs.field(default="", kw_only=True)
    """How it feels, such as ``neutral`` or ``content``. Empty: as the text has it."""
    pronunciations: str = attrs.field(default="", kw_only=True)
    """The id of a pronunciation dictionary of the account."""
    extra: Mapping[str, Any] = extra_field()
    """More fields of each sentence's message."""
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect."""

    def __attrs_post_init__(self) -> None:
        # Ranges: docs.cartesia.ai, "Volume, Speed, and Emotion".
        if self.speed is not None and not 0.6 <= self.speed <= 1.5:
            raise ConfigurationError(f"speed={self.speed}: Cartesia speaks at 0.6 to 1.5 times a voice's pace")
        if self.volume is not None and not 0.5 <= self.volume <= 2.0:
            raise ConfigurationError(f"volume={self.volume}: Cartesia speaks at 0.5 to 2.0 times a voice's loudness")

    @property
    def name(self) -> str:
        """Vendor and model."""
        return f"cartesia {self.model}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`: an open socket costs nothing."""
        return IDLE

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[TtsSession]:
        """One call's session, connected. Raises `ProviderError`."""
        failures = CartesiaFailures(self.name, self.api_key)
        audio_format = spoken_format(context.line)
        url = f"{self.base_url}/tts/websocket"
        opening = Opening("tts", "cartesia", url, self.settings(self.language or context.language, audio_format))
        context.opening(opening)
        async with open_contexts(
            context,
            SonicDialect(self.model, audio_format, opening.settings, failures),
            with_query(url, {"cartesia_version": VERSION}),
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
        """What every sentence's message has but for its text."""
        settings: dict[str, Any] = {
            "model_id": self.model,
            "voice": {"mode": "id", "id": self.voice},
            "language": language.replace("_", "-").split("-")[0].lower(),
            "output_format": {
                "container": "raw",
                "encoding": _ENCODINGS[audio_format.encoding],
                "sample_rate": audio_format.sample_rate,
            },
            "add_timestamps": True,
            "max_buffer_delay_ms": 0,  # the text is whole: there is nothing to wait for
        }
        manner = {"speed": self.speed, "volume": self.volume, "emotion": self.emotion or None}
        if manner := {name: value for name, value in manner.items() if value is not None}:
            settings["generation_config"] = manner
        if self.pronunciations:
            settings["pronunciation_dict_id"] = self.pronunciations
        return {**settings, **self.extra}


def spoken_format(line: AudioFormat) -> AudioFormat:
    """The format to ask for: the line's own where the vendor makes it."""
    if line.encoding in _ENCODINGS and line.sample_rate in RATES:
        return line
    return AudioFormat("l16", 24000)


class SonicDialect:
    """The protocol (see `callengine.providers.tts.contexts`): JSON both ways, audio in base64."""

    names_contexts = True
    ready = True
    keep_alive = math.inf  # there is no message for it; a socket that was closed is opened anew

    def __init__(
        self, model: str, audio_format: AudioFormat, settings: Mapping[str, Any], failures: CartesiaFailures
    ) -> None:
        self.audio_format = audio_format
        self._model = model
        self._settings = settings
        self._failures = failures

    def opening(self) -> Sent:
        """Nothing: every message has all settings."""
        return ()

    def begin(self, context: str, text: str) -> Sent:
        """The sentence, with the end of its context."""
        return (compact({"context_id": context, **self._settings, "transcript": text, "continue": False}),)

    def cancel(self, context: str) -> Sent:
        """What has not begun is not generated."""
        return (compact({"context_id": context, "cancel": True}),)

    def still_here(self) -> Sent:
        """Nothing: see `keep_alive`."""
        return ()

    def bye(self) -> Sent:
        """Nothing but the closing itself."""
        return ()

    def cost(self, text: str) -> Usage:
        """It is billed by the character, and tells no figures."""
        return Usage(provider="cartesia", model=self._model, characters=len(text), estimated=True)

    def feed(self, message: str | bytes) -> Sequence[Spoken]:
        """See `Dialect.feed`."""
        data = json_object(message)
        context = data.get("context_id")
        named = isinstance(context, str) and context != ""
        match data.get("type"):
            case "error" if not named:
                raise self._failures.from_event(data)
            case "error":
                return (Spoken(str(context), failure=self._failures.from_event(data)),)
            case "chunk" if named:
                return (Spoken(str(context), audio=as_base64(data.get("data"))),)
            case "timestamps" if named:
                return (Spoken(str(context), words=_words(data.get("word_timestamps"))),)
            case "done" if named:
                return (Spoken(str(context), done=True),)
            case _:
                return ()


def _words(times: object) -> tuple[WordTime, ...]:
    """The words of one message, whose lists may be of any length or not be there."""
    words, starts, ends = (as_list(as_object(times).get(name)) for name in ("words", "start", "end"))
    return tuple(
        WordTime(word, float(start), float(end))
        for word, start, end in zip(words, starts, ends, strict=False)
        if isinstance(word, str) and is_amount(start) and is_amount(end)
    )
