"""The sender: the agent's audio, paced to the carrier a small lead ahead of its playout.

One utterance is on the line at a time. Its audio waits here, and leaves in slices, each followed by its mark, when
the metronome says so; the first fill and a clear leave at once. Nothing here awaits the network.

It can be interrupted softly: ducked, which makes the rest more quiet, or paused, which empties the line without giving
anything up; `Sender.resume` ends both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any

import trio

from callengine.audio.format import AudioFormat
from callengine.call.marks import ApplicationMark, MarkOutcome, Marks
from callengine.call.settings import SenderSettings
from callengine.call.utterance import Utterance
from callengine.errors import SocketClosed
from callengine.events import Fact, ReplyAudible, ReplyClosed, ReplyOpened
from callengine.journal import Journal
from callengine.ports import CarrierCodec, MediaSocket
from callengine.services.metronome import Metronome
from callengine.turns.heard import Heard
from callengine.turns.playout import Playout

__all__ = ["ApplicationMark", "MarkOutcome", "Sender"]

_ROUNDING = 1e-6
"""Seconds by which sums of times may differ that mean the same moment."""


class Sender:
    """Owns what goes out on one call's line.

    ``post`` takes the facts for the conductor; ``fail`` is told of a fault in here, and ends this call alone.
    """

    def __init__(
        self,
        *,
        socket: MediaSocket,
        codec: CarrierCodec,
        audio_format: AudioFormat,
        metronome: Metronome,
        settings: SenderSettings,
        journal: Journal,
        post: Callable[[Fact], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._socket = socket
        self._codec = codec
        self._format = audio_format
        self._metronome = metronome
        self._settings = settings
        self._journal = journal
        self._post = post
        self._fail = fail
        self._playout = Playout(max_correction=settings.lead / 2)
        self._floor = trio.StrictFIFOLock()
        self._current: Utterance | None = None
        self._marks = Marks(codec, self._playout, self._write)
        self._numbers = 0
        self._held = False
        self._due: float | None = None
        self._last_wait = trio.CancelScope()
        """Around the wait for the end of an utterance of which everything was sent."""
        self.on_sent: Callable[[float, bytes], None] | None = None
        """Told what was sent, and when it plays: the echo canceller's reference."""
        self.on_cleared: Callable[[float], None] | None = None
        """Told when what was sent and not played was thrown away."""
        self.underruns = 0
        """Times that the carrier ran dry within an utterance, by the clock."""

    # --- utterances -----------------------------------------------------------------------------------------------

    @property
    def current(self) -> Utterance | None:
        """What is on the line, or about to be."""
        return self._current

    @property
    def audible_until(self) -> float:
        """When, by the clock, the line falls silent (engine time)."""
        return self._playout.ends_at

    @property
    def paused(self) -> bool:
        """Whether the utterance on the line is paused."""
        return self._current is not None and self._current.paused

    @property
    def remaining(self) -> float:
        """Seconds of audio that were written and are not played yet, by the clock."""
        buffered = 0.0 if self._current is None else self._current.buffered
        return buffered + max(0.0, self._playout.runs_dry_at - trio.current_time())

    @asynccontextmanager
    async def utterance(
        self, *, interruptible: bool = True, may_wait: bool = True, ended: Callable[[], bool]
    ) -> AsyncIterator[Utterance]:
        """Take the line for one utterance; waits until it is free.

        A cut cancels the body, which then ends quietly: ask ``utterance.result`` what was heard. However the body is
        left, nothing of the utterance is sent after it. ``ended`` says whether the call is over.
        """
        async with self._floor:
            self._numbers += 1
            utterance = Utterance(self._numbers, self._format, self._settings, wake=self._wake, may_wait=may_wait)
            self._current = utterance
            self._playout.begin()
            self._post(ReplyOpened(trio.current_time(), utterance.number, interruptible, may_wait))
            try:
                with utterance.scope:
                    yield utterance
                    await self._played(utterance)
            finally:
                if utterance.result is None:
                    self._stop(utterance, "hangup" if ended() else "application")
                self._playout.forget(f"u{utterance.number}:")
                self._current = None
                result = utterance.result
                assert result is not None
                self._post(ReplyClosed(trio.current_time(), utterance.number, result.unheard))

    async def _played(self, utterance: Utterance) -> None:
        """Wait until the carrier has played everything, by its marks or, failing those, by the clock."""
        utterance.end()
        self._wake()
        while True:
            await utterance.all_sent.wait()
            if not utterance.finished:
                continue  # a pause took something back at the same moment
            self._look_for_confirmation(utterance)
            if not utterance.sent or await self._last_echo(utterance):
                break
        self._close(utterance, utterance.sent, utterance.confirmed.is_set(), None)

    async def _last_echo(self, utterance: Utterance) -> bool:
        """Wait for the end of the playout and its mark; False where a pause took something back meanwhile."""
        with trio.CancelScope() as self._last_wait:
            await trio.sleep_until(self._playout.ends_at)
            with trio.move_on_after(self._playout.echo_delay + self._settings.mark_grace):
                await utterance.confirmed.wait()
        return not self._last_wait.cancel_called

    def _look_for_confirmation(self, utterance: Utterance) -> None:
        if utterance.finished and self._playout.confirmed >= utterance.sent:
            utterance.confirmed.set()

    def cut(self, by: str) -> Heard | None:
        """Silence the utterance on the line now; returns what of it was heard, or None where there is nothing.

        The clear is the next message on the wire, after a frame that is already partly sent.
        """
        utterance = self._current
        if utterance is None or utterance.result is not None:
            return None
        self._stop(utterance, by)
        utterance.scope.cancel()
        return utterance.result

    def _stop(self, utterance: Utterance, by: str) -> None:
        position, by_marks = self._heard(utterance)
        over = self._over(utterance)
        if utterance.filled and not utterance.confirmed.is_set():
            self._clear(utterance, position)
            self._marks.settle_sent(utterance)
        self._marks.settle_unsent(utterance)
        if over:  # only its last mark is on its way
            self._close(utterance, utterance.sent, utterance.confirmed.is_set(), None)
        else:
            self._close(utterance, position, by_marks, by)

    def _heard(self, utterance: Utterance) -> tuple[int, bool]:
        return self._playout.heard(trio.current_time(), utterance.sent, self._format.sample_rate)

    def _over(self, utterance: Utterance) -> bool:
        """Whether all of it was played, as far as is known."""
        return utterance.finished and trio.current_time() >= self._playout.ends_at + self._playout.lag

    def _close(self, utterance: Utterance, position: int, by_marks: bool, cut_by: str | None) -> None:
        text, everything = utterance.spoken.heard(position)
        utterance.close(
            Heard(
                said=utterance.spoken.said,
                heard=text,
                complete=everything and cut_by is None,
                cut_by=cut_by,
                certainty="marks" if by_marks else "clock",
            )
        )

    def _clear(self, utterance: Utterance, position: int) -> None:
        """Make the carrier forget what it has not played, and measure the round trip."""
        self._socket.discard_unsent()
        self._write(self._codec.clear())
        now = trio.current_time()
        self._playout.cleared(now)
        if self.on_cleared is not None:
            self.on_cleared(now)
        self.probe()
        self._journal.note("clear.sent", utterance=utterance.number, position=position)

    # --- soft interruption ----------------------------------------------------------------------------------------

    def duck(self) -> None:
        """Let the utterance on the line go on more quietly, from the first sample that is not sent yet."""
        utterance = self._current
        if utterance is None or utterance.result is not None or utterance.ducked or utterance.paused:
            return
        utterance.duck()
        self._journal.note("reply.ducked", utterance=utterance.number)

    def pause(self) -> None:
        """Silence the utterance on the line now, without cutting it: what the carrier has not played is taken back.

        It stays open: it takes more audio, up to ``max_buffered``, and a `cut` says what was heard before the pause.
        Does nothing where all of it was played.
        """
        utterance = self._current
        if utterance is None or utterance.result is not None or utterance.paused:
            return
        if self._over(utterance) or utterance.confirmed.is_set():
            return
        position, by_marks = self._heard(utterance)
        if utterance.filled:
            self._clear(utterance, position)
        self._playout.keep(position, by_marks)
        utterance.pause(position)
        self._marks.take_back(utterance)
        self._due = None
        self._last_wait.cancel()
        self._journal.note("reply.paused", utterance=utterance.number, position=position)

    def resume(self) -> None:
        """Go on at full volume: after a pause from the first word that the caller had not heard to its end.

        Without word times that is estimated, and a pause in the audio just before the estimate is taken.
        """
        utterance = self._current
        if utterance is None or utterance.result is not None or not (utterance.paused or utterance.ducked):
            return
        heard = utterance.sent
        if utterance.paused:
            _, by_marks = self._heard(utterance)
            utterance.resume(0.0 if by_marks else self._settings.jitter)
            self._marks.send_due(utterance)
        else:
            utterance.unduck()
        again = (heard - utterance.sent) / self._format.sample_rate
        self._journal.note(
            "reply.resumed", utterance=utterance.number, position=utterance.sent, repeated_ms=round(again * 1000, 1)
        )
        self._wake()

    # --- holding --------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Keep an utterance that is not audible yet from starting."""
        self._held = True

    def release(self) -> None:
        """Let it start."""
        self._held = False
        self._wake()

    # --- marks ----------------------------------------------------------------------------------------------------

    def probe(self) -> None:
        """Send a mark behind nothing: its echo measures the round trip."""
        self._marks.probe()

    def mark(self, name: str) -> AbstractContextManager[ApplicationMark]:
        """Place a mark behind everything that was said so far; its entry lives as long as the context.

        A pause that throws it away does not settle it: it is placed again, in the same place.
        """
        return self._marks.place(name, self._current)

    def echoed(self, name: str) -> None:
        """A mark came back from the carrier."""
        status = self._marks.echoed(name)
        if self._current is not None:
            self._look_for_confirmation(self._current)
        self._journal.note("mark.echoed", mark=name, status=status)

    def left_behind(self) -> list[str]:
        """What would be left of this line if the call were over: nothing, or a fault of the engine."""
        left = [f"mark waiter {name}" for name in self._marks.waiting]
        if self._current is not None:
            left.append(f"utterance {self._current.number}")
        return left + [f"expected mark {name}" for name in self._playout.expected]

    # --- pacing ---------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        """Send what is due now, and ask the metronome for the rest."""
        utterance = self._current
        if utterance is None or utterance.result is not None or utterance.paused:
            return
        if self._held and utterance.may_wait and not utterance.slices:
            return
        now = trio.current_time()
        while size := utterance.ready:
            due = self._playout.runs_dry_at - self._settings.lead + self._settings.slice / 2
            if utterance.filled >= self._settings.first_slices and due > now + _ROUNDING:
                self._wake_at(due)
                return
            self._send_slice(now, utterance, utterance.take(size))

    def _wake_at(self, due: float) -> None:
        if due != self._due:  # else it was asked for already
            self._due = due
            self._metronome.send_at(due, partial(self._tick, due))

    def _tick(self, due: float, _: float) -> None:
        if due != self._due:
            return  # overtaken: another time was asked for since
        self._due = None
        try:
            self._wake()
        except Exception as error:
            self._fail(error)

    def _send_slice(self, now: float, utterance: Utterance, audio: bytes) -> None:
        first = utterance.slices == 0
        if utterance.filled and now > self._playout.ends_at + _ROUNDING:
            self.underruns += 1
        position = utterance.sent
        if utterance.gain is not None:
            audio = utterance.shaped(audio)
        starts = self._playout.sent(now, self._format.seconds(len(audio)))
        self._write(self._codec.media(audio), True)
        name = utterance.sent_slice(len(audio) // self._format.sample_width)
        self._marks.send(name, utterance.sent, discardable=True)
        self._marks.send_due(utterance)
        if self.on_sent is not None:
            self.on_sent(starts, audio)
        self._note_sent(utterance, position, name, starts, audio)
        if first:
            self._post(ReplyAudible(now, utterance.number))

    def _note_sent(self, utterance: Utterance, position: int, mark: str, starts: float, audio: bytes) -> None:
        journal = self._journal
        data: dict[str, Any] = {"utterance": utterance.number, "position": position}
        data |= {"samples": utterance.sent - position, "mark": mark, "playout": journal.time(starts)}
        if journal.settings.audio:
            data["audio"] = audio
        journal.note("media.sent", **data)

    def _write(self, message: bytes, discardable: bool = False) -> None:
        with suppress(SocketClosed):  # the reader learns of it too, with the reason, and ends the call
            self._socket.send_nowait(message, discardable=discardable)
