"""The greeting, spoken into memory while the telephone still rings."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from callengine.audio.format import AudioFormat
from callengine.brain.sentences import SentenceChunker
from callengine.brain.speakable import speakable
from callengine.cleanup import bounded_cleanup, single
from callengine.errors import ProviderError
from callengine.ports import SpeechChunk, TtsSession

PATIENCE = 0.3
"""Seconds in which a sentence that was asked for has its first audio when the call wants it, or is spoken anew: to ask
again costs as much time, and the money twice."""
STOP = 0.2
"""Seconds that stopping a synthesis may take: less than a call's own clean-up."""

log = logging.getLogger(__name__)


def sentences_of(text: str, language: str) -> list[str]:
    """What a voice is given of a text that is said as a whole, in order."""
    chunker = SentenceChunker(language=language)
    pieces = [*chunker.push(text), *chunker.flush()]
    return [words for piece in pieces if (words := speakable(piece, language=language))]


@attrs.define(eq=False)
class _Sentence:
    """A sentence, and the audio of it that has come."""

    text: str
    begun: bool = False
    over: bool = False
    """Whether nothing more of it will come."""
    complete: bool = False
    error: ProviderError | None = None
    chunks: list[SpeechChunk] = attrs.field(factory=list)
    news: trio.Event = attrs.field(factory=trio.Event)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    idle: trio.Event = attrs.field(factory=trio.Event)
    """Whether its synthesis is gone."""

    @property
    def audible(self) -> bool:
        """Whether there is audio of it, and nothing went wrong so far."""
        return self.error is None and any(chunk.audio for chunk in self.chunks)

    def tell(self) -> None:
        self.news.set()
        self.news = trio.Event()


class Greeting:
    """The sentences of a greeting, recorded one after the other. Each is given away once.

    The audio of a sentence may be taken while it still comes. A sentence that nobody takes was spoken for nothing.
    """

    def __init__(self, text: str, language: str, voice: str) -> None:
        self._voice = voice
        self._sentences = [_Sentence(text) for text in sentences_of(text, language)]
        self._stopped = False
        self._current: _Sentence | None = None
        self._late = 0
        self.audio_format: AudioFormat | None = None
        """Of the audio; None before there is any."""

    @property
    def usable(self) -> bool:
        """Whether there is audio that nobody has taken."""
        return self.audio_format is not None and any(sentence.audible for sentence in self._sentences)

    @property
    def characters_left(self) -> int:
        """Characters that a voice was given, and whose audio nobody has taken (in time)."""
        return self._late + sum(len(sentence.text) for sentence in self._sentences if sentence.begun)

    # --- recording ----------------------------------------------------------------------------------------------------

    async def record(self, session: TtsSession) -> None:
        """Speak it, until `no_more`. Raises `ProviderError`; the sentences before it are kept."""
        self.audio_format = session.audio_format
        for sentence in list(self._sentences):
            if self._stopped:
                return
            sentence.begun = True
            self._current = sentence
            try:
                with sentence.scope:
                    await self._synthesise(session, sentence)
            finally:
                if not sentence.complete and sentence.error is None:
                    sentence.error = ProviderError(self._voice, "the greeting was cut off")
                sentence.over = True
                sentence.tell()
                sentence.idle.set()
            if sentence.error is not None and not self._stopped:
                raise sentence.error

    async def _synthesise(self, session: TtsSession, sentence: _Sentence) -> None:
        try:
            async with session.synthesise(sentence.text) as chunks:
                async for chunk in chunks:
                    sentence.chunks.append(chunk)
                    sentence.tell()
                sentence.complete = True
        except ProviderError as error:
            sentence.error = error
        except BaseExceptionGroup as group:  # a synthesiser's own nursery
            only = single(group)
            if not isinstance(only, ProviderError):
                raise
            sentence.error = only

    def no_more(self) -> None:
        """Begin no other sentence: the call is there, and speaks itself."""
        self._stopped = True

    async def stop(self) -> None:
        """Stop the synthesis that is going on, so that the session is free."""
        self.no_more()
        if self._current is not None:
            self._current.scope.cancel()
            with bounded_cleanup(STOP):
                await self._current.idle.wait()

    # --- playing ------------------------------------------------------------------------------------------------------

    async def take(self, text: str) -> _Sentence | None:
        """The recording of this sentence, where there is one, or will be in a moment."""
        sentence = next((each for each in self._sentences if each.text == text), None)
        if sentence is None:
            return None
        with trio.move_on_after(PATIENCE if sentence.begun else 0.0):
            while not (sentence.audible or sentence.over):
                await sentence.news.wait()
        self._sentences.remove(sentence)
        if sentence.audible:
            return sentence
        if sentence.begun:
            self._late += len(text)
            log.warning("the greeting is spoken anew: %d characters had no audio in time", len(text))
        return None


class GreetingFirst:
    """A voice that has the greeting on record, and speaks everything else by a session that may come later."""

    def __init__(
        self, greeting: Greeting, audio_format: AudioFormat, session: Callable[[], Awaitable[TtsSession]]
    ) -> None:
        self._greeting = greeting
        self._session = session
        self.audio_format = audio_format
        """See `TtsSession.audio_format`."""

    @asynccontextmanager
    async def synthesise(self, text: str) -> AsyncIterator[AsyncIterator[SpeechChunk]]:
        """See `TtsSession.synthesise`."""
        sentence = await self._greeting.take(text)
        if sentence is None:
            await self._greeting.stop()
            session = await self._session()
            async with session.synthesise(text) as chunks:
                yield chunks
            return
        try:
            yield _Recorded(sentence)
        finally:
            if not sentence.over:
                await self._greeting.stop()


class _Recorded:
    """The audio of a sentence, from its beginning, as far as it has come and as it comes."""

    def __init__(self, sentence: _Sentence) -> None:
        self._sentence = sentence
        self._next = 0

    def __aiter__(self) -> AsyncIterator[SpeechChunk]:
        return self

    async def __anext__(self) -> SpeechChunk:
        await trio.lowlevel.checkpoint()
        while self._next == len(self._sentence.chunks):
            if self._sentence.error is not None:
                raise self._sentence.error
            if self._sentence.over:
                raise StopAsyncIteration
            await self._sentence.news.wait()
        self._next += 1
        return self._sentence.chunks[self._next - 1]
