"""Writing: the text of a reply, as it comes, to the sentences that are spoken; and what is said while none comes."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import attrs
import trio

from callengine.audio.clip import Clip
from callengine.brain.sentences import SentenceChunker
from callengine.brain.speakable import speakable
from callengine.call.budget import Budget
from callengine.call.utterance import Utterance
from callengine.errors import ProviderError
from callengine.events import Fact, ReplyText
from callengine.journal import Journal


@attrs.frozen
class Interlude:
    """Between two pieces of a text: what stands before it is said now, whether or not it is a whole sentence."""


TextSource: TypeAlias = Callable[[Budget], AbstractAsyncContextManager[AsyncIterator[str | Interlude]]]
"""Opens a text that is being written, within this time; leaving it stops the writing. It times its own waits."""


@attrs.frozen
class Filler:
    """Something to say while the caller waits: a line or a sound. What is left of it is dropped when the reply
    comes."""

    what: str | Clip


Spoken: TypeAlias = str | Filler
"""A sentence, or a filler in front of one."""


MAX_SENTENCES = 64
"""Sentences that may wait to be spoken: minutes of speech. A model that is further ahead waits."""


@attrs.define
class Progress:
    """What has happened so far in one reply, for the journal and the error paths."""

    turn: int
    budget: Budget
    token: bool = False
    audio: bool = False


@attrs.frozen(kw_only=True)
class Thinking:
    """What to say while a reply is not there yet. ``audible_until`` is when the line falls silent."""

    after: float
    """Seconds of silence."""
    fillers: tuple[str | Clip, ...]
    """One after the other; the last one again."""
    audible_until: Callable[[], float]
    allowed: Callable[[], bool] = lambda: True
    """Whether the caller may hear something of this reply."""


class Scribe:
    """Writes the sentences of one reply. ``post`` takes the facts for the conductor."""

    def __init__(
        self,
        utterance: Utterance,
        progress: Progress,
        journal: Journal,
        *,
        language: str,
        budget: Budget,
        stall: float,
        thinking: Thinking | None,
        post: Callable[[Fact], None],
    ) -> None:
        self._utterance = utterance
        self._progress = progress
        self._journal = journal
        self._language = language
        self._budget = budget
        self._stall = stall
        self._thinking = thinking
        self._post = post
        self._fillers = 0
        self._has_sentence = False
        self.filling = trio.CancelScope()
        """Around the filler that is being made; it is given up when there is something to say."""
        self._sentences_in, self.sentences = trio.open_memory_channel[Spoken](MAX_SENTENCES)

    async def write(self, text: str | AsyncIterable[str] | TextSource) -> None:
        """Hand out the sentences of this text until it ends.

        Raises `ProviderError` where it fails before it had a sentence; where it fails later, it just ends.
        """
        chunker = SentenceChunker(language=self._language)
        with self._sentences_in:
            if isinstance(text, str):
                await self._plan([*chunker.push(text), *chunker.flush()])
                return
            try:
                await self._write_stream(text, chunker)
            except ProviderError as error:
                if not self._has_sentence:
                    raise
                self._journal.note("decision", what="end the reply", reason=f"the text failed: {error}")
            await self._plan(chunker.flush())

    async def _write_stream(self, text: AsyncIterable[str] | TextSource, chunker: SentenceChunker) -> None:
        if isinstance(text, AsyncIterable):
            await self._write_all(_Timed(text.__aiter__(), self._budget, self._stall), chunker)
        else:
            async with text(self._budget) as iterator:
                await self._write_all(iterator, chunker)

    async def _write_all(self, iterator: AsyncIterator[str | Interlude], chunker: SentenceChunker) -> None:
        while (delta := await anext(iterator, None)) is not None:
            if isinstance(delta, Interlude):
                await self._plan(chunker.flush())
                continue
            if not self._progress.token:
                self._progress.token = True
                self._journal.note("reply.token", turn=self._progress.turn)
            await self._plan(chunker.push(delta))

    async def fill(self) -> None:
        """Say something whenever the line has been silent for too long, until cancelled."""
        thinking = self._thinking
        if thinking is None or not thinking.fillers:
            return
        since = trio.current_time()
        while True:
            await trio.sleep_until(max(since, thinking.audible_until()) + thinking.after)
            now = trio.current_time()
            if now < thinking.audible_until() + thinking.after:
                continue
            since = now
            waiting = self._utterance.buffered or self._utterance.spoken.waits_for_audio
            if not waiting and thinking.allowed():
                self._say_filler(thinking.fillers[min(self._fillers, len(thinking.fillers) - 1)])
                self._fillers += 1

    def _say_filler(self, what: str | Clip) -> None:
        words = what.text if isinstance(what, Clip) else what
        self._journal.note("decision", what="fill", reason="the reply is not there yet")
        self._announce(words)
        self._sentences_in.send_nowait(Filler(what))

    async def _plan(self, pieces: list[str]) -> None:
        for piece in pieces:
            words = speakable(piece, language=self._language)
            if words:
                self._has_sentence = True
                self._announce(words)
                self.filling.cancel()
                await self._sentences_in.send(words)

    def _announce(self, words: str) -> None:
        number = self._utterance.number
        self._utterance.spoken.plan(words)
        self._post(ReplyText(trio.current_time(), number, words))
        self._journal.note("reply.text", turn=self._progress.turn, utterance=number, text=words)


class _Timed:
    """A program's own text, which has as much time as a model's."""

    def __init__(self, iterator: AsyncIterator[str], budget: Budget, stall: float) -> None:
        self._iterator = iterator
        self._budget = budget
        self._stall = stall
        self._begun = False

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        wait = self._stall if self._begun else self._budget.share(1)
        with self._budget.waiting("text"), trio.move_on_after(wait):
            text = await self._iterator.__anext__()
            self._begun = True
            return text
        raise ProviderError("llm", f"no text for {wait:g} s")
