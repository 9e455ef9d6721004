"""TTS: sentences to audio on the line."""

from __future__ import annotations

from collections.abc import Callable

import trio

from callengine.audio.convert import ToCarrier
from callengine.audio.format import AudioFormat
from callengine.call.held import HeldSession, blame
from callengine.call.utterance import Utterance
from callengine.cleanup import single
from callengine.errors import ProviderError
from callengine.ports import TtsSession


class Voice:
    """The call's voice: speaks planned sentences into an utterance.

    A sentence whose synthesis fails before it had any audio is tried once more, with a new session.
    """

    def __init__(self, held: HeldSession[TtsSession], line: AudioFormat, *, timeout: float) -> None:
        self._held = held
        self._line = line
        self._timeout = timeout

    async def speak(self, sentence: str, utterance: Utterance, on_audio: Callable[[], None]) -> None:
        """Synthesise the sentence whose piece has begun. ``on_audio`` is called before each piece of audio is written.

        Raises `ProviderError` when it failed twice, or failed with some of its audio on the line.
        """
        try:
            await self._sentence(sentence, utterance, on_audio)
        except ProviderError as error:
            self._held.broken(error)
            if not utterance.spoken.piece_is_silent:
                raise
            try:
                await self._sentence(sentence, utterance, on_audio)
            except ProviderError as again:
                self._held.broken(again)
                raise

    async def _sentence(self, sentence: str, utterance: Utterance, on_audio: Callable[[], None]) -> None:
        with blame("tts"):
            try:
                await self._synthesise(sentence, utterance, on_audio)
            except BaseExceptionGroup as group:  # a synthesiser's own nursery
                raise single(group) from None

    async def _synthesise(self, sentence: str, utterance: Utterance, on_audio: Callable[[], None]) -> None:
        session = await self._session()
        converter = ToCarrier(session.audio_format, self._line)
        got_audio = False
        async with session.synthesise(sentence) as chunks:
            iterator = chunks.__aiter__()
            while True:
                chunk = None
                with trio.move_on_after(self._timeout) as waited:
                    chunk = await anext(iterator, None)
                if waited.cancelled_caught:
                    raise ProviderError(self._held.name, f"no audio for {self._timeout:g} s")
                if chunk is None:
                    break
                got_audio = got_audio or bool(chunk.audio)
                audio = converter.push(chunk.audio)
                if audio or chunk.words:
                    on_audio()
                    await utterance.write(audio, chunk.words)
        if not got_audio:
            raise ProviderError(self._held.name, "a sentence without any audio")
        await utterance.write(converter.flush())
        utterance.spoken.end_piece()

    async def _session(self) -> TtsSession:
        with trio.move_on_after(self._timeout):
            return await self._held.get()
        raise ProviderError(self._held.name, f"no session for {self._timeout:g} s")
