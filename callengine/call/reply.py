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
from callengine.call.budget import Budget
from callengine.call.sender import Sender
from callengine.call.tts import Voice
from callengine.call.utterance import Utterance
from callengine.call.writing import Filler, Progress, Scribe, TextSource, Thinking
from callengine.cleanup import single
from callengine.errors import ProviderError
from callengine.events import Fact, ReplyText
from callengine.journal import Journal
from callengine.turns.heard import Heard


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
        budget: float,
        stall: float,
        ended: Callable[[], bool],
        turn: Callable[[], int],
        post: Callable[[Fact], None],
        thinking: Thinking,
    ) -> None:
        self._sender = sender
        self._voice = voice
        self._line = line
        self._journal = journal
        self._language = language
        self._budget = budget
        self._stall = stall
        self._ended = ended
        self._turn = turn
        self._post = post
        self._thinking = thinking
        self._closing = False

    async def say_last(self, words: str | Clip) -> Heard:
        """Say this in place of everything else: what is being said is cut, and nothing more is said after it."""
        self._closing = True
        self._sender.cut("application")
        return await self._say(words, interruptible=False, may_wait=False, last=True)

    async def say(
        self,
        what: str | AsyncIterable[str] | TextSource | Clip,
        *,
        interruptible: bool = True,
        may_wait: bool = True,
        may_think: Callable[[], bool] | None = None,
    ) -> Heard:
        """Say text, text as it is being written, or a clip; returns when it was played or cut, with what was heard.

        ``may_think`` says, whenever the text is slow, whether a filler may be said; None: never.

        Raises `ProviderError` when the text or the voice failed before anything was said; later failures end the
        utterance with what there is. Once the call says its last words, this waits for the call's end.
        """
        if self._closing:
            await trio.sleep_forever()
        return await self._say(what, interruptible=interruptible, may_wait=may_wait, may_think=may_think)

    async def _say(
        self,
        what: str | AsyncIterable[str] | TextSource | Clip,
        *,
        interruptible: bool,
        may_wait: bool,
        last: bool = False,
        may_think: Callable[[], bool] | None = None,
    ) -> Heard:
        progress = Progress(self._turn(), Budget(self._budget))
        utterance = None
        try:
            async with self._sender.utterance(
                interruptible=interruptible, may_wait=may_wait, ended=self._ended
            ) as utterance:
                if self._closing and not last:  # it waited for the line, and comes too late
                    self._sender.cut("application")
                if isinstance(what, Clip):
                    utterance.spoken.plan(what.text)
                    utterance.spoken.begin_piece()
                    self._post(ReplyText(trio.current_time(), utterance.number, what.text))
                    await self._play(what, utterance)
                else:
                    await self._speak(what, utterance, progress, may_think)
        except BaseExceptionGroup as group:
            raise single(group) from None
        finally:
            if utterance is not None and utterance.result is not None:
                self._note_end(progress, utterance.number, utterance.result)
        assert utterance is not None
        assert utterance.result is not None
        return utterance.result

    def _note_budget(self, progress: Progress, number: int) -> None:
        budget = progress.budget
        spent = {who: round(seconds, 4) for who, seconds in budget.spent.items()}
        self._journal.note("reply.budget", turn=progress.turn, utterance=number, seconds=budget.total, spent=spent)

    def _note_end(self, progress: Progress, number: int, heard: Heard) -> None:
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

    async def _speak(
        self,
        text: str | AsyncIterable[str] | TextSource,
        utterance: Utterance,
        progress: Progress,
        may_think: Callable[[], bool] | None,
    ) -> None:
        scribe = Scribe(
            utterance,
            progress,
            self._journal,
            language=self._language,
            budget=progress.budget,
            stall=self._stall,
            thinking=None if may_think is None else attrs.evolve(self._thinking, allowed=may_think),
            post=self._post,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, scribe, text)
            with scribe.sentences:  # not async: its checkpoint would put a Cancelled in the place of the error
                try:
                    await self._say_all(scribe, utterance, progress)
                except ProviderError as error:
                    nursery.cancel_scope.cancel()
                    if not utterance.slices:
                        raise
                    self._journal.note("decision", what="end the reply", reason=f"the voice failed: {error}")

    async def _write(self, scribe: Scribe, text: str | AsyncIterable[str] | TextSource) -> None:
        """Write the sentences, with fillers as long as that takes."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scribe.fill)
            await scribe.write(text)
            nursery.cancel_scope.cancel()

    async def _say_all(self, scribe: Scribe, utterance: Utterance, progress: Progress) -> None:
        filling = False

        def on_audio() -> None:
            nonlocal filling
            if filling:
                filling = False
                utterance.drop_unsent()
            if not progress.audio:
                progress.audio = True
                self._journal.note("reply.audio", turn=progress.turn, utterance=utterance.number)
                self._note_budget(progress, utterance.number)

        async for spoken in scribe.sentences:
            utterance.spoken.begin_piece()
            if not isinstance(spoken, Filler):
                await self._voice.speak(spoken, utterance, progress.budget, on_audio)
                continue
            filling = True
            with trio.CancelScope() as scribe.filling:
                if isinstance(spoken.what, Clip):
                    await self._play(spoken.what, utterance)
                else:
                    await self._voice.speak(spoken.what, utterance, Budget(self._budget), lambda: None)
            if scribe.filling.cancelled_caught:
                utterance.spoken.abandon_piece()

    async def _play(self, clip: Clip, utterance: Utterance) -> None:
        resampler = Resampler(clip.sample_rate, self._line.sample_rate)
        step = clip.sample_rate
        for start in range(0, len(clip.samples), step):
            pcm = resampler.push(clip.samples[start : start + step])
            await utterance.write(from_pcm(pcm, self._line.encoding))
        await utterance.write(from_pcm(resampler.flush(), self._line.encoding))
        utterance.spoken.end_piece()
