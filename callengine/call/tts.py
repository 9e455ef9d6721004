"""TTS: sentences to audio on the line, by whichever voice of the chain can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio

from callengine.audio.convert import ToCarrier
from callengine.audio.format import AudioFormat
from callengine.call.budget import Budget
from callengine.call.chain import Chain
from callengine.call.held import HeldSession, blame
from callengine.call.race import Won, first_good
from callengine.call.utterance import Utterance
from callengine.errors import ProviderError
from callengine.ports import SpeechChunk, TtsSession


@attrs.frozen(eq=False)
class _Speech:
    """A sentence that is being synthesised."""

    audio_format: AudioFormat
    chunks: AsyncIterator[SpeechChunk]

    async def __anext__(self) -> SpeechChunk:
        with blame("tts"):
            return await anext(self.chunks)


class Voice:
    """The call's voice: speaks planned sentences into an utterance.

    Where a voice fails before a sentence had any audio, the next one of the chain speaks it; where it breaks off in
    the middle, or says nothing for ``stall`` seconds, the next one goes on from the first word that is missing.
    """

    def __init__(self, chain: Chain[TtsSession], line: AudioFormat, *, stall: float) -> None:
        self._chain = chain
        self._line = line
        self._stall = stall
        self._paces: dict[object, float] = {}
        """How fast each voice speaks, as `SpokenText.pace` has it."""

    async def speak(self, sentence: str, utterance: Utterance, budget: Budget, on_audio: Callable[[], None]) -> None:
        """Synthesise the sentence whose piece has begun. ``on_audio`` is called before each piece of audio is written.

        Raises `ProviderError` when nobody could speak it, or the rest of it.
        """
        broken_off = 0
        rest: str | None = sentence
        while rest:
            try:
                await self._speak(rest, utterance, budget, on_audio)
                return
            except _BrokeOff as error:
                self._chain.failed(error.held, error.reason)
                broken_off += 1
                if broken_off > self._chain.length:
                    raise error.reason from error
                rest = utterance.break_off()

    async def _speak(self, text: str, utterance: Utterance, budget: Budget, on_audio: Callable[[], None]) -> None:
        contenders = self._chain.contenders(partial(self._ask, text))
        held = None
        try:
            async with first_good(contenders, budget, _audible) as won:
                held = self._chain.took(won.contender, won.seconds)
                utterance.spoken.pace = self._paces.get(held, utterance.spoken.pace)
                converter = ToCarrier(won.source.audio_format, self._line)
                await self._play(won, converter, utterance, on_audio)
        except ProviderError as error:
            if held is None:
                raise
            raise _BrokeOff(held, error) from error
        await utterance.write(converter.flush())
        utterance.spoken.end_piece()
        self._paces[held] = utterance.spoken.pace

    @asynccontextmanager
    async def _ask(self, text: str, held: HeldSession[TtsSession]) -> AsyncIterator[_Speech]:
        session = await held.get()
        with blame("tts"):
            async with session.synthesise(text) as chunks:
                yield _Speech(session.audio_format, chunks.__aiter__())

    async def _play(
        self, won: Won[_Speech, SpeechChunk], converter: ToCarrier, utterance: Utterance, on_audio: Callable[[], None]
    ) -> None:
        while (chunk := await self._next(won)) is not None:
            audio = converter.push(chunk.audio)
            if audio or chunk.words:
                on_audio()
                await utterance.write(audio, chunk.words)

    async def _next(self, won: Won[_Speech, SpeechChunk]) -> SpeechChunk | None:
        with trio.move_on_after(self._stall):
            try:
                return await won.__anext__()
            except StopAsyncIteration:
                return None
        raise ProviderError(won.contender.name, f"no more audio for {self._stall:g} s")


class _BrokeOff(Exception):
    """A voice that had begun to speak failed."""

    def __init__(self, held: HeldSession[TtsSession], reason: ProviderError) -> None:
        super().__init__(str(reason))
        self.held = held
        self.reason = reason


def _audible(chunk: SpeechChunk) -> bool:
    return bool(chunk.audio)
