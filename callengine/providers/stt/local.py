"""The embedded recogniser: Moonshine tiny-en in worker threads, English, no key and no network."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import attrs
import trio

from callengine.audio.format import Pcm
from callengine.audio.resample import Resampler
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import SessionContext, SttResult, SttSession, Usage
from callengine.providers.local.dictation import Utterance, decode
from callengine.providers.local.language import check_language
from callengine.providers.local.moonshine import MAX_SECONDS, SAMPLE_RATE, Moonshine
from callengine.providers.local.workers import Workers

_QUEUE = 16
"""Results and ended utterances that may wait for a call that is slow to fetch them."""

_BUSY_SHARE = 10
"""An interim decode may run once a tenth of what it must look at again is new. Decoding takes about a thirtieth of the
audio's length, so interim transcripts of a monologue take about a third of a worker, however long it gets."""


@attrs.frozen
class LocalSpeechToText:
    """The recipe: a loaded model, the workers it runs in, and how often interim transcripts are made.

    ``interim_interval`` is the new audio, in seconds, after which a growing utterance is decoded again where the call
    wants interim transcripts and a worker has nothing to do. Long utterances are decoded less often.
    """

    model: Moonshine = attrs.field(repr=False)
    workers: Workers = attrs.field(repr=False)
    interim_interval: float = 0.5

    def __attrs_post_init__(self) -> None:
        if self.interim_interval <= 0:
            raise ConfigurationError(f"interim_interval={self.interim_interval}: give seconds above zero")

    @property
    def name(self) -> str:
        return "local"

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[SttSession]:
        """A session for one call; leaving it abandons whatever is being decoded.

        Raises `ConfigurationError` for a language other than English, `AudioError` for a rate below 8 or above 48 kHz.
        """
        check_language(context.language)
        Resampler(context.sample_rate, SAMPLE_RATE)  # refuses what it cannot do
        return self._session(context)

    @asynccontextmanager
    async def _session(self, context: SessionContext) -> AsyncIterator[SttSession]:
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            session = _Session(self, context, nursery)
            nursery.start_soon(session.write_finals)
            try:
                yield session
            except Exception as error:  # raised again below, so that the nursery does not wrap it in a group
                failure = error
            finally:
                session.tell_use()
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure


@attrs.frozen(eq=False)
class _Attempt:
    """A decode under way that nobody has to wait for. ``ahead``: it is worth nothing once more audio comes."""

    scope: trio.CancelScope
    heard: int
    ahead: bool


class _Session:
    """One call's recogniser (see `SttSession`).

    Every decode, at a pause or in between, that changes the text yields an interim result; every ended utterance
    yields its final, in the order in which utterances ended. The text decoded at a pause is handed out whether or
    not the call wants interim transcripts: it costs nothing more, and it is what tells an unfinished sentence from a
    finished one. A decode that fails raises `ProviderError` from `receive`.
    """

    hears_pauses = False

    def __init__(self, recipe: LocalSpeechToText, context: SessionContext, nursery: trio.Nursery) -> None:
        self._recipe = recipe
        self._rate = context.sample_rate
        self._interim = context.interim
        self._meter = context.meter
        self._nursery = nursery
        self._utterance: Utterance | None = None
        self._attempt: _Attempt | None = None
        self._last_attempt = 0  # how much of the utterance was heard when the last decode of it began
        self._decoding = trio.Lock()  # a call has one worker at a time
        self._results_in, self._results = trio.open_memory_channel[SttResult | ProviderError](_QUEUE)
        self._ended_in, self._ended = trio.open_memory_channel[Utterance](_QUEUE)

    # --- what the call says -------------------------------------------------------------------------------------

    async def start_utterance(self, utterance: int) -> None:
        """Begin afresh. An utterance that was not ended is forgotten, and gets no final."""
        self._cancel_attempt()
        self.tell_use()
        self._utterance = Utterance(utterance)
        self._last_attempt = 0
        await trio.lowlevel.checkpoint()

    async def send(self, audio: Pcm) -> None:
        """Take a copy of the block. Audio outside an utterance is ignored."""
        utterance = self._utterance
        if utterance is not None and len(audio):
            utterance.hear(audio.copy())
            if self._attempt is not None and self._attempt.ahead:
                self._cancel_attempt()
            self._keep_up(utterance)
        await trio.lowlevel.checkpoint()

    async def pause(self) -> None:
        """Decode what is there, so that the final is ready when the utterance ends here."""
        utterance = self._utterance
        if utterance is not None and utterance.decoded != utterance.heard and not self._covers(utterance):
            self._try(utterance, ahead=True)
        await trio.lowlevel.checkpoint()

    async def end_utterance(self) -> None:
        """Ask for the final. What was decoded since the last block is used, or waited for; nothing is done twice."""
        utterance = self._utterance
        if utterance is None:
            await trio.lowlevel.checkpoint()
            return
        if not self._covers(utterance):
            self._cancel_attempt()
        self.tell_use()
        self._utterance = None
        self._attempt = None
        await self._ended_in.send(utterance)

    async def receive(self) -> SttResult:
        result = await self._results.receive()
        if isinstance(result, ProviderError):
            raise result
        return result

    def tell_use(self) -> None:
        """Tell what was heard of the present utterance, when nothing more of it will be."""
        if self._utterance is not None and (heard := self._utterance.heard):
            self._meter(Usage(provider="local", model="moonshine tiny-en", seconds=heard / self._rate))

    # --- decoding -----------------------------------------------------------------------------------------------

    async def write_finals(self) -> None:
        """Finish ended utterances, one after the other. An attempt that covers one holds the lock until it is done."""
        async for utterance in self._ended:
            async with self._decoding:
                try:
                    if utterance.decoded != utterance.heard:
                        await self._decode(utterance, if_idle=False)
                    result: SttResult | ProviderError = SttResult(utterance.text, True, utterance.number)
                except ProviderError as error:
                    result = error
            await self._results_in.send(result)

    def _keep_up(self, utterance: Utterance) -> None:
        """Decode while the caller speaks on: for interim transcripts, and to settle what makes a whole segment."""
        if self._attempt is not None:
            return
        new = (utterance.heard - self._last_attempt) / self._rate
        unsettled = utterance.unsettled / self._rate
        if unsettled > MAX_SECONDS:
            self._try(utterance)
        elif self._interim and new >= max(self._recipe.interim_interval, unsettled / _BUSY_SHARE):
            self._try(utterance, if_idle=True)

    def _covers(self, utterance: Utterance) -> bool:
        return self._attempt is not None and self._attempt.heard == utterance.heard

    def _cancel_attempt(self) -> None:
        if self._attempt is not None:
            self._attempt.scope.cancel()
            self._attempt = None

    def _try(self, utterance: Utterance, *, ahead: bool = False, if_idle: bool = False) -> None:
        self._cancel_attempt()
        self._last_attempt = utterance.heard
        self._attempt = _Attempt(trio.CancelScope(), utterance.heard, ahead)
        self._nursery.start_soon(self._run_attempt, utterance, self._attempt, if_idle)

    async def _run_attempt(self, utterance: Utterance, attempt: _Attempt, if_idle: bool) -> None:
        before = utterance.text
        with attempt.scope:
            try:
                await self._decode_in_turn(utterance, if_idle)
                if utterance.text != before:
                    self._offer(SttResult(utterance.text, False, utterance.number))
            except trio.WouldBlock:
                pass  # only where if_idle: workers have finals to do, and half a second of new audio asks again
            except ProviderError as error:
                self._offer(error)
        if self._attempt is attempt:
            self._attempt = None

    async def _decode_in_turn(self, utterance: Utterance, if_idle: bool) -> None:
        if if_idle:
            self._decoding.acquire_nowait()
        else:
            await self._decoding.acquire()
        try:
            await self._decode(utterance, if_idle)
        finally:
            self._decoding.release()

    async def _decode(self, utterance: Utterance, if_idle: bool) -> None:
        heard, blocks = utterance.heard, list(utterance.blocks)
        run = self._recipe.workers.run_if_idle if if_idle else self._recipe.workers.run
        stop = threading.Event()
        try:
            words = await run(decode, self._recipe.model, blocks, self._rate, stop, stop=stop)
        except trio.WouldBlock:
            raise
        except Exception as error:
            raise ProviderError("local", f"decoding an utterance failed: {error}") from error
        utterance.understand(heard, words)

    def _offer(self, result: SttResult | ProviderError) -> None:
        """Hand out a result that may be lost: where the call does not fetch them, the final says it all again."""
        with contextlib.suppress(trio.WouldBlock):
            self._results_in.send_nowait(result)
