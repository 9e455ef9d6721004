"""STT: blocks of the caller's audio to transcripts.

The audio is the call's: it is read from the ring, from where the utterance began, whenever a recogniser is there to
take it. One that connects late, or replaces one that died, gets every utterance that has no final yet from its start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

import attrs
import trio

from callengine.audio.ring import AudioRing
from callengine.call.held import FIRST_PAUSE, MAX_PAUSE, Opened, first_error, open_fresh
from callengine.call.settings import CallSettings
from callengine.errors import ProviderError
from callengine.events import Fact, Transcript, TurnHint
from callengine.journal import Journal
from callengine.ports import SessionContext, SpeechToText, SttSession
from callengine.services.health import Health
from callengine.wire import Backoff

STEADY = 5.0
"""Seconds after which a session that ends has done its work: some vendors end one that has had nothing to hear
for a while (Deepgram after 10 s: https://developers.deepgram.com/docs/audio-keep-alive)."""

WORTH = 1.0
"""Seconds of voice in which there are words: a cough, or a door, is shorter."""

SILENT = 2
"""So many of them in a row without a word, and somebody else should listen."""


@attrs.define
class _Utterance:
    """An utterance that has no final yet: what is so, and what the present session was told of it."""

    number: int
    audio_from: int
    paused_at: int | None = None
    ended_at: int | None = None
    started: bool = False
    sent_to: int = 0
    told_pause: bool = False
    told_end: bool = False
    final_due: float = math.inf
    asked_at: float = math.inf
    """When its final was first asked for, by whomever."""

    def new_session(self) -> None:
        """Another recogniser knows nothing of it."""
        self.started = self.told_pause = self.told_end = False
        self.final_due = math.inf
        self.sent_to = self.audio_from


class Transcriber:
    """The STT child of a call. It is told of the caller's speech without waiting; transcripts go out as facts.

    A recogniser that gives no final for ``final_timeout`` seconds counts as failed, and the turn is answered without;
    where another can stand in for it, it has half of that, and the other hears the utterance from its start. So it does
    when the first understands nothing twice in a row; one that is alone hears it again in a new session.
    """

    def __init__(
        self,
        recipes: Sequence[SpeechToText],
        context: SessionContext,
        ring: AudioRing,
        settings: CallSettings,
        journal: Journal,
        post: Callable[[Fact], None],
        *,
        final_timeout: float,
        health: Health,
        opened: Opened = open_fresh,
    ) -> None:
        self._final_timeout = final_timeout
        self._recipes = recipes
        self._recipe = health.in_order("stt", recipes)[0]
        self._health = health
        self._opened = opened
        self._given_up: list[SpeechToText] = []
        """Those that nothing can help in this call."""
        self._silent = 0
        """Utterances in a row that the present one has understood nothing of, although they were long enough."""
        self._backoff = Backoff(FIRST_PAUSE, MAX_PAUSE, draw=Random(f"{context.call_id} stt"))
        self._context = context
        self._ring = ring
        self._settings = settings
        self._journal = journal
        self._post = post
        self._open: dict[int, _Utterance] = {}
        self._wake_up, self._woken = trio.open_memory_channel[None](1)
        self._block = round(settings.stt_block * context.sample_rate)
        self._offered = 0
        self._failures = 0
        self.restarts = 0

    # --- what happens: synchronous, from the conductor and the reader -----------------------------------------------

    def start(self, utterance: int, audio_from: int) -> None:
        """The caller began to speak; his audio counts from there."""
        self._open[utterance] = _Utterance(utterance, audio_from, sent_to=audio_from)
        self._offered = self._ring.end
        self._wake()

    def waits_for(self, utterance: int) -> bool:
        """Whether this utterance has no final yet: one that judges turns may give it before the VAD."""
        return utterance in self._open

    def pause(self, utterance: int) -> None:
        """The caller fell silent for a moment."""
        if (paused := self._open.get(utterance)) is not None:
            paused.paused_at = self._ring.end
            self._wake()

    def resume(self, utterance: int) -> None:
        """The caller goes on in the same utterance."""
        if (resumed := self._open.get(utterance)) is not None:
            resumed.paused_at = None
            resumed.told_pause = False
            self._wake()

    def end(self, utterance: int) -> None:
        """The utterance is over; the silence since its pause is not part of it."""
        if (ended := self._open.get(utterance)) is not None:
            ended.ended_at = self._ring.end if ended.paused_at is None else ended.paused_at
            self._wake()

    def audio_arrived(self) -> None:
        """The ring has more audio. Costs nothing unless a block of an utterance is complete."""
        if self._open and self._ring.end - self._offered >= self._block:
            self._offered = self._ring.end
            self._wake()

    def _wake(self) -> None:
        with suppress(trio.WouldBlock):  # one wake is as good as two: the task looks at all there is
            self._wake_up.send_nowait(None)

    # --- the task ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep a session open as long as the call lives.

        Raises `ProviderError` when no provider is left that another try may help, or too many sessions in a row gave
        no result.
        """
        while True:
            opened = trio.current_time()
            error = await self._one_session()
            lasted = trio.current_time() - opened
            if not self._open and lasted >= STEADY:
                self._failures = 0
                self._backoff.succeeded()
            self._forget_overdue()
            self.restarts += 1
            ended = error.fault == "reopen" and lasted >= STEADY  # one that ends at once does not work
            kind = "provider.ended" if ended else "provider.failed"
            self._journal.note(kind, role="stt", provider=self._recipe.name, message=str(error))
            if not ended:
                await self._after_failure(error)

    async def _after_failure(self, error: ProviderError) -> None:
        """Go on with another provider, or with the same one after a pause."""
        self._failures += 1
        failed = self._recipe
        self._health.failed("stt", failed, error)
        if not error.retryable:
            self._given_up.append(failed)
        left = [recipe for recipe in self._recipes if not any(recipe is one for one in self._given_up)]
        if not left or self._failures >= self._settings.stt_attempts + len(self._recipes) - 1:
            raise error
        self._recipe = self._health.in_order("stt", left)[0]
        self._silent = 0
        if self._recipe is not failed:
            self._journal.note("provider.switched", role="stt", provider=self._recipe.name, before=failed.name)
        if self._recipe is failed or self._failures >= len(self._recipes):
            await trio.sleep(self._backoff.failed(error.retry_after))

    async def _one_session(self) -> ProviderError:
        """Serve one session until it breaks; returns why."""
        error = ProviderError(self._recipe.name, "the session ended")
        try:
            with self._health.trial("stt", self._recipe):
                async with self._opened("stt", self._recipe, self._context) as session:
                    self._journal.note("provider.ready", role="stt", provider=self._recipe.name)
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._listen, session)
                        await self._feed(session)
        except* ProviderError as group:
            error = first_error(group)
        return error

    async def _feed(self, session: SttSession) -> None:
        for utterance in self._open.values():
            utterance.new_session()
        while True:
            for utterance in list(self._open.values()):
                await self._bring_up_to_date(session, utterance)
            due = min((utterance.final_due for utterance in self._open.values()), default=math.inf)
            with trio.move_on_at(due):
                await self._woken.receive()
            if self._overdue():
                raise ProviderError(self._recipe.name, f"no final for {self._patience:g} s")

    @property
    def _patience(self) -> float:
        """Seconds in which the final of an utterance that is over must come from the present provider."""
        others = any(recipe is not self._recipe for recipe in self._recipes)
        return self._final_timeout / 2 if others else self._final_timeout

    def _overdue(self) -> bool:
        now = trio.current_time()
        return any(utterance.final_due <= now for utterance in self._open.values())

    def _forget_overdue(self) -> None:
        """The caller was asked again by now: his old words are past, whoever would understand them."""
        now = trio.current_time()
        for number, utterance in list(self._open.items()):
            if utterance.asked_at + self._final_timeout <= now:
                del self._open[number]

    async def _bring_up_to_date(self, session: SttSession, utterance: _Utterance) -> None:
        if not utterance.started:
            utterance.started = True
            await session.start_utterance(utterance.number)
        await self._send(session, utterance)
        if utterance.ended_at is not None:
            if not utterance.told_end:
                utterance.told_end = True
                await session.end_utterance()
                now = trio.current_time()
                utterance.final_due = now + self._patience
                utterance.asked_at = min(utterance.asked_at, now)
        elif utterance.paused_at is not None and not utterance.told_pause:
            utterance.told_pause = True
            await session.pause()

    async def _send(self, session: SttSession, utterance: _Utterance) -> None:
        """Everything that was not sent yet, in blocks; a last part of a block only at a pause or the end."""
        boundary = utterance.ended_at
        if boundary is None and not session.hears_pauses:
            boundary = utterance.paused_at
        while True:
            stop = self._ring.end if boundary is None else boundary
            until = min(stop, utterance.sent_to + self._block)
            if until <= utterance.sent_to or (boundary is None and until - utterance.sent_to < self._block):
                return
            audio = self._ring.read(utterance.sent_to, until)
            utterance.sent_to = until
            await session.send(audio)

    async def _listen(self, session: SttSession) -> None:
        while True:
            result = await session.receive()
            utterance = self._open.get(result.utterance)
            if utterance is None:
                continue
            if result.final:
                self._check_silence(result.text, utterance)
                del self._open[result.utterance]
                self._health.succeeded("stt", self._recipe)
            self._failures = 0
            self._backoff.succeeded()
            now = trio.current_time()
            self._post(Transcript(now, result.utterance, result.text, result.final))
            if result.hint is not None:
                self._post(TurnHint(now, result.utterance, result.hint))

    def _check_silence(self, text: str, utterance: _Utterance) -> None:
        """Raise `ProviderError` where somebody else should listen: there was speech, and no words came of it."""
        long = (utterance.ended_at or self._ring.end) - utterance.audio_from >= WORTH * self._context.sample_rate
        self._silent = 0 if text else self._silent + long
        if self._silent >= SILENT:
            raise ProviderError(self._recipe.name, f"no words in {SILENT} utterances in a row")
