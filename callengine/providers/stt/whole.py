"""Recognisers that take a whole utterance at once: one driver, which keeps the audio and asks in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress

import attrs
import numpy as np
import trio

from callengine.audio.format import Pcm
from callengine.errors import ProviderError
from callengine.ports import SttResult
from callengine.providers.local.segments import quietest_pause

LONGEST = 28.0
"""Seconds: Whisper models hear 30 s at a time (Radford et al. 2022, section 2.1), and cut longer audio where they
like."""

_QUEUE = 16
"""Results and ended utterances that may wait for a call that is slow to fetch them."""


@attrs.define(eq=False)
class _Utterance:
    """Its audio, and the words known so far. Counts are samples since it began."""

    number: int
    heard: int = 0
    decoded: int = 0
    """How much of ``heard`` the words cover."""
    settled: int = 0
    """How much of it need not be asked for again, nor kept."""
    blocks: list[Pcm] = attrs.field(factory=list, repr=False)
    final: bool = False
    """Whether its final was handed out."""
    texts: list[str] = attrs.field(factory=list, repr=False)
    rest: str = attrs.field(default="", repr=False)

    @property
    def text(self) -> str:
        return " ".join(text for text in (*self.texts, self.rest) if text)

    @property
    def unsettled(self) -> int:
        return self.heard - self.settled

    def audio(self) -> Pcm:
        """What is not settled, as one block."""
        self.blocks = [np.concatenate(self.blocks)] if self.blocks else [np.empty(0, np.int16)]
        return self.blocks[0]

    def settle(self, samples: int, text: str) -> None:
        """These words are the first ``samples`` that were not settled."""
        self.blocks = [self.audio()[samples:].copy()]
        self.settled += samples
        self.decoded = max(self.decoded, self.settled)
        self.texts.append(text)
        self.rest = ""


@attrs.frozen(eq=False)
class _Attempt:
    """A request before its time. ``ahead``: it is worth nothing once more audio comes."""

    scope: trio.CancelScope
    heard: int
    ahead: bool


class WholeUtterances(ABC):
    """One call's recogniser (see `SttSession`); a subclass transcribes.

    At a pause it asks for what there is (with ``ahead``), and cancels that when the caller goes on; the words are
    handed out as an interim result, whether or not the call wants those, because they tell an unfinished sentence from
    a finished one. Of an utterance longer than ``longest`` seconds, the part before a pause is asked for while it goes
    on, and its audio let go. There is one request at a time, and finals come in order.
    """

    hears_pauses = False

    def __init__(self, nursery: trio.Nursery, sample_rate: int, *, longest: float, ahead: bool) -> None:
        self._nursery = nursery
        self._rate = sample_rate
        self._longest = round(longest * sample_rate)
        self._ahead = ahead
        self._utterance: _Utterance | None = None
        self._attempt: _Attempt | None = None
        self._asking = trio.Lock()
        self._results_in, self._results = trio.open_memory_channel[SttResult | ProviderError](_QUEUE)
        self._ended_in, self._ended = trio.open_memory_channel[_Utterance](_QUEUE)
        nursery.start_soon(self._write_finals)

    @abstractmethod
    async def transcribe(self, pcm: Pcm) -> str:
        """The words in this audio, at the call's rate. Cancellable. Raises `ProviderError`."""

    async def start_utterance(self, utterance: int) -> None:
        """Begin afresh. An utterance that was not ended is forgotten, and gets no final."""
        self._cancel_attempt()
        self._utterance = _Utterance(utterance)
        await trio.lowlevel.checkpoint()

    async def send(self, audio: Pcm) -> None:
        """Take a copy of the block. Audio outside an utterance is ignored."""
        utterance = self._utterance
        if utterance is not None and len(audio):
            utterance.blocks.append(audio.copy())
            utterance.heard += len(audio)
            if self._attempt is not None and self._attempt.ahead:
                self._cancel_attempt()
            if self._attempt is None and utterance.unsettled > self._longest:
                self._try(utterance, ahead=False)
        await trio.lowlevel.checkpoint()

    async def pause(self) -> None:
        """Ask for what is there, so that the final is ready when the utterance ends here."""
        utterance = self._utterance
        if self._ahead and utterance is not None and utterance.decoded != utterance.heard and self._attempt is None:
            self._try(utterance, ahead=True)
        await trio.lowlevel.checkpoint()

    async def end_utterance(self) -> None:
        """Ask for the final. A request that is under way for the same audio is waited for."""
        utterance, self._utterance = self._utterance, None
        if utterance is None:
            await trio.lowlevel.checkpoint()
            return
        self._attempt = None  # it holds the lock, and covers all that was heard, or a settled part of it
        await self._ended_in.send(utterance)

    async def receive(self) -> SttResult:
        """See `SttSession.receive`."""
        result = await self._results.receive()
        if isinstance(result, ProviderError):
            raise result
        return result

    # --- asking -------------------------------------------------------------------------------------------------------

    def _cancel_attempt(self) -> None:
        if self._attempt is not None:
            self._attempt.scope.cancel()
            self._attempt = None

    def _try(self, utterance: _Utterance, *, ahead: bool) -> None:
        self._attempt = _Attempt(trio.CancelScope(), utterance.heard, ahead)
        self._nursery.start_soon(self._run_attempt, utterance, self._attempt)

    async def _run_attempt(self, utterance: _Utterance, attempt: _Attempt) -> None:
        before = utterance.text
        with attempt.scope:
            try:
                async with self._asking:
                    await self._settle(utterance)
                    if attempt.ahead:
                        await self._understand(utterance)
                    if utterance.text != before and not utterance.final:
                        self._offer(SttResult(utterance.text, False, utterance.number))
            except ProviderError as error:
                self._offer(error)
        if self._attempt is attempt:
            self._attempt = None

    async def _write_finals(self) -> None:
        async for utterance in self._ended:
            try:
                async with self._asking:
                    await self._settle(utterance)
                    await self._understand(utterance)
                    utterance.final = True
                result: SttResult | ProviderError = SttResult(utterance.text, True, utterance.number)
            except ProviderError as error:
                result = error
            await self._results_in.send(result)

    async def _settle(self, utterance: _Utterance) -> None:
        """Ask for what is too long to be asked for at once, part by part."""
        while utterance.unsettled > self._longest:
            audio = utterance.audio()[: self._longest]
            seconds = self._longest / self._rate
            cut = quietest_pause(audio.astype(np.float32), self._rate, seconds / 2, seconds)
            utterance.settle(cut, await self.transcribe(audio[:cut]))

    async def _understand(self, utterance: _Utterance) -> None:
        """Ask for the rest, unless its words are known."""
        if utterance.decoded != utterance.heard:
            heard = utterance.heard
            utterance.rest = await self.transcribe(utterance.audio())
            utterance.decoded = heard

    def _offer(self, result: SttResult | ProviderError) -> None:
        """Hand out a result that may be lost: where the call does not fetch them, the final says it all again."""
        with suppress(trio.WouldBlock):
            self._results_in.send_nowait(result)
