"""A reply: text to sentences to audio on the line, pipelined, in one cancel scope.

The first sentence is synthesised while the rest is still being written. A cut closes the scope: the stream of the
text, the synthesis, the audio that was not played and the marks that were not echoed all end there.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable

import attrs
import trio

from callengine.audio.clip import Clip
from callengine.audio.convert import from_pcm
from callengine.audio.format import AudioFormat
from callengine.audio.resample import Resampler
from callengine.brain.sentences import SentenceChunker
from callengine.brain.speakable import speakable
from callengine.call.sender import Sender
from callengine.call.tts import Voice
from callengine.call.utterance import Utterance
from callengine.cleanup import single
from callengine.errors import ProviderError
from callengine.journal import Journal
from callengine.turns.heard import Heard

MAX_SENTENCES = 64
"""Sentences that may wait to be spoken: minutes of speech. A model that is further ahead waits."""


@attrs.define
class _Progress:
    """What has happened so far in one reply, for the journal and the error paths."""

    turn: int
    token: bool = False
    audio: bool = False


class Speaker:
    """Says things on the line of one call. ``ended`` says whether the call is over, ``turn`` the caller's last one."""

    def __init__(
        self,
        sender: Sender,
        voice: Voice,
        line: AudioFormat,
        journal: Journal,
        *,
        language: str,
        first_text: float,
        next_text: float,
        ended: Callable[[], bool],
        turn: Callable[[], int],
    ) -> None:
        self._sender = sender
        self._voice = voice
        self._line = line
        self._journal = journal
        self._language = language
        self._first_text = first_text
        self._next_text = next_text
        self._ended = ended
        self._turn = turn
        self._closing = False

    async def say_last(self, words: str) -> Heard:
        """Say this in place of everything else: what is being said is cut, and nothing more is said after it."""
        self._closing = True
        self._sender.cut("application")
        return await self._say(words, interruptible=False, may_wait=False, last=True)

    async def say(
        self, what: str | AsyncIterable[str] | Clip, *, interruptible: bool = True, may_wait: bool = True
    ) -> Heard:
        """Say text, text as it is being written, or a clip; returns when it was played or cut, with what was heard.

        Raises `ProviderError` when the text or the voice failed before anything was said; later failures end the
        utterance with what there is. Once the call says its last words, this waits for the call's end.
        """
        if self._closing:
            await trio.sleep_forever()
        return await self._say(what, interruptible=interruptible, may_wait=may_wait)

    async def _say(
        self, what: str | AsyncIterable[str] | Clip, *, interruptible: bool, may_wait: bool, last: bool = False
    ) -> Heard:
        progress = _Progress(self._turn())
        utterance = None
        try:
            async with self._sender.utterance(
                interruptible=interruptible, may_wait=may_wait, ended=self._ended
            ) as utterance:
                if self._closing and not last:  # it waited for the line, and comes too late
                    self._sender.cut("application")
                if isinstance(what, Clip):
                    await self._play(what, utterance)
                else:
                    await self._speak(what, utterance, progress)
        except BaseExceptionGroup as group:
            raise single(group) from None
        finally:
            if utterance is not None and utterance.result is not None:
                self._note_end(progress, utterance.number, utterance.result)
        assert utterance is not None
        assert utterance.result is not None
        return utterance.result

    def _note_end(self, progress: _Progress, number: int, heard: Heard) -> None:
        self._journal.note(
            "reply.ended",
            turn=progress.turn,
            utterance=number,
            said=heard.said,
            heard=heard.heard,
            complete=heard.complete,
            interrupted_by=heard.cut_by,
            certainty=heard.certainty,
        )

    async def _speak(self, text: str | AsyncIterable[str], utterance: Utterance, progress: _Progress) -> None:
        def on_audio() -> None:
            if not progress.audio:
                progress.audio = True
                self._journal.note("reply.audio", turn=progress.turn, utterance=utterance.number)

        sentences_in, sentences = trio.open_memory_channel[str](MAX_SENTENCES)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, text, utterance, sentences_in, progress)
            with sentences:  # not async: its checkpoint would put a Cancelled in the place of the error
                try:
                    await self._voice.speak(sentences, utterance, on_audio)
                except ProviderError as error:
                    nursery.cancel_scope.cancel()
                    if not utterance.sent:
                        raise
                    self._journal.note("decision", what="end the reply", reason=f"the voice failed: {error}")

    async def _write(
        self,
        text: str | AsyncIterable[str],
        utterance: Utterance,
        sentences: trio.MemorySendChannel[str],
        progress: _Progress,
    ) -> None:
        chunker = SentenceChunker(language=self._language)

        async def plan(pieces: list[str]) -> None:
            for piece in pieces:
                words = speakable(piece, language=self._language)
                if words:
                    utterance.spoken.plan(words)
                    self._journal.note("reply.text", turn=progress.turn, utterance=utterance.number, text=words)
                    await sentences.send(words)

        with sentences:
            if isinstance(text, str):
                await plan([*chunker.push(text), *chunker.flush()])
                return
            try:
                iterator = text.__aiter__()
                while (delta := await self._next_delta(iterator, progress)) is not None:
                    await plan(chunker.push(delta))
            except ProviderError as error:
                if not utterance.spoken.said:
                    raise
                self._journal.note("decision", what="end the reply", reason=f"the text failed: {error}")
            await plan(chunker.flush())

    async def _next_delta(self, iterator: object, progress: _Progress) -> str | None:
        wait = self._next_text if progress.token else self._first_text
        with trio.move_on_after(wait) as waited:
            delta: str | None = await anext(iterator, None)  # type: ignore[call-overload]
        if waited.cancelled_caught:
            raise ProviderError("llm", f"no text for {wait:g} s")
        if delta is not None and not progress.token:
            progress.token = True
            self._journal.note("reply.token", turn=progress.turn)
        return delta

    async def _play(self, clip: Clip, utterance: Utterance) -> None:
        resampler = Resampler(clip.sample_rate, self._line.sample_rate)
        utterance.spoken.plan(clip.text)
        utterance.spoken.begin_piece()
        step = clip.sample_rate
        for start in range(0, len(clip.samples), step):
            pcm = resampler.push(clip.samples[start : start + step])
            await utterance.write(from_pcm(pcm, self._line.encoding))
        await utterance.write(from_pcm(resampler.flush(), self._line.encoding))
        utterance.spoken.end_piece()
