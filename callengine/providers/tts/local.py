"""The embedded voice: hibari "heart" in worker threads, English, no key and no network."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import attrs
import trio

from callengine.audio.format import AudioFormat, Pcm
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import SessionContext, SpeechChunk, TtsSession, Usage
from callengine.providers.local.hibari import SAMPLE_RATE, HibariVoice
from callengine.providers.local.language import check_language
from callengine.providers.local.workers import Workers


@attrs.frozen
class LocalTextToSpeech:
    """The recipe: a loaded voice, the workers it runs in, and how fast it speaks.

    ``speed`` is 1.0 for the natural pace, from 0.5 (slow) to 2.0 (fast).
    """

    voice: HibariVoice = attrs.field(repr=False)
    workers: Workers = attrs.field(repr=False)
    speed: float = 1.0

    def __attrs_post_init__(self) -> None:
        if not 0.5 <= self.speed <= 2.0:
            raise ConfigurationError(f"speed={self.speed}: the local voice speaks at 0.5 to 2.0 times its pace")

    @property
    def name(self) -> str:
        return "local"

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[TtsSession]:
        """A session for one call. It holds nothing.

        Raises `ConfigurationError` for a language other than English.
        """
        check_language(context.language)
        return self._session(context.meter)

    @asynccontextmanager
    async def _session(self, meter: Callable[[Usage], None]) -> AsyncIterator[TtsSession]:
        yield _Session(self, meter)


@attrs.frozen(eq=False)
class _Session:
    """One call's synthesiser (see `TtsSession`): a chunk a sentence, each made in one job of a worker."""

    recipe: LocalTextToSpeech
    meter: Callable[[Usage], None]

    @property
    def audio_format(self) -> AudioFormat:
        return AudioFormat("l16", SAMPLE_RATE)

    def synthesise(self, text: str) -> AbstractAsyncContextManager[AsyncIterator[SpeechChunk]]:
        """Speak ``text``, usually one sentence; of several, each is a chunk of its own. Raises `ProviderError`."""
        self.meter(Usage(provider="local", model="hibari", characters=len(text)))
        return self._chunks(text)

    @trio.as_safe_channel
    async def _chunks(self, text: str) -> AsyncGenerator[SpeechChunk, None]:
        for phonemes in await self._run_phonemes(text):
            audio = await self._run_speak(phonemes)
            if len(audio):
                yield SpeechChunk(audio.astype("<i2").tobytes())

    async def _run_phonemes(self, text: str) -> list[str]:
        try:
            return await self.recipe.workers.run(self.recipe.voice.phonemes, text)
        except Exception as error:
            raise ProviderError("local", f"reading a sentence failed: {error}") from error

    async def _run_speak(self, phonemes: str) -> Pcm:
        try:
            return await self.recipe.workers.run(self.recipe.voice.speak, phonemes, self.recipe.speed)
        except Exception as error:
            raise ProviderError("local", f"speaking a sentence failed: {error}") from error
