"""The sender: the agent's audio, paced to the carrier a small lead ahead of its playout.

One utterance is on the line at a time. Its audio waits here, and leaves in slices, each followed by its mark, when
the metronome says so; the first fill and a clear leave at once. Nothing here awaits the network.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, Literal, TypeAlias

import trio

from callengine.audio.format import AudioFormat
from callengine.call.settings import SenderSettings
from callengine.call.utterance import Utterance
from callengine.errors import SocketClosed
from callengine.events import Fact, ReplyAudible, ReplyClosed, ReplyOpened
from callengine.journal import Journal
from callengine.ports import CarrierCodec, MediaSocket
from callengine.services.metronome import Metronome
from callengine.turns.heard import Heard
from callengine.turns.playout import Playout

_ROUNDING = 1e-6
"""Seconds by which sums of times may differ that mean the same moment."""

MarkOutcome: TypeAlias = Literal["played", "cleared", "lost"]


class ApplicationMark:
    """A mark of the program's own: an entry in the sender's table, as long as somebody waits for it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.status: MarkOutcome = "lost"
        self.settled = trio.Event()

    def settle(self, status: MarkOutcome) -> None:
        """It is known what became of it. The first answer counts."""
        if not self.settled.is_set():
            self.status = status
            self.settled.set()


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
        self._marks: dict[str, ApplicationMark] = {}
        self._numbers = 0
        self._probes = 0
        self._held = False
        self._due: float | None = None
        self.on_sent: Callable[[float, bytes], None] | None = None
        """Told what was sent, and when it plays: the echo canceller's reference."""
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
        await utterance.all_sent.wait()
        self._look_for_confirmation(utterance)
        if utterance.sent:
            await trio.sleep_until(self._playout.ends_at)
            with trio.move_on_after(self._playout.echo_delay + self._settings.mark_grace):
                await utterance.confirmed.wait()
        self._close(utterance, utterance.sent, utterance.confirmed.is_set(), None)

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
        now = trio.current_time()
        position, by_marks = self._playout.heard(now, utterance.sent, self._format.sample_rate)
        over = utterance.finished and now >= self._playout.ends_at + self._playout.lag
        if utterance.sent and not utterance.confirmed.is_set():
            self._clear()
            self._journal.note("clear.sent", utterance=utterance.number, position=position)
        for name in utterance.unsent_marks & self._marks.keys():
            self._marks[name].settle("cleared")
        if over:  # only its last mark is on its way
            self._close(utterance, utterance.sent, utterance.confirmed.is_set(), None)
        else:
            self._close(utterance, position, by_marks, by)

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

    def _clear(self) -> None:
        """Make the carrier forget what it has not played, and measure the round trip."""
        now = trio.current_time()
        self._socket.discard_unsent()
        self._write(self._codec.clear())
        self._playout.cleared(now)
        for mark in self._marks.values():
            mark.settle("cleared")
        self.probe()

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
        self._playout.forget("p")
        self._probes += 1
        self._send_mark(f"p{self._probes}", None)

    @contextmanager
    def mark(self, name: str) -> Iterator[ApplicationMark]:
        """Place a mark behind everything that was said so far; its entry lives as long as the context."""
        self._probes += 1
        wire_name = f"m{self._probes}:{name}"
        mark = self._marks[wire_name] = ApplicationMark(name)
        try:
            if self._current is None or not self._current.add_mark(wire_name):
                self._send_mark(wire_name, None)
            yield mark
        finally:
            del self._marks[wire_name]
            self._playout.forget(wire_name)

    def _send_mark(self, name: str, position: int | None, *, discardable: bool = False) -> None:
        self._write(self._codec.mark(name), discardable=discardable)
        self._playout.mark_sent(trio.current_time(), name, position)

    def echoed(self, name: str) -> None:
        """A mark came back from the carrier."""
        now = trio.current_time()
        status = self._playout.echoed(now, name)
        if name in self._marks and status == "played":
            self._marks[name].settle("played")
        if self._current is not None:
            self._look_for_confirmation(self._current)
        self._journal.note("mark.echoed", mark=name, status=status)

    def left_behind(self) -> list[str]:
        """What would be left of this line if the call were over: nothing, or a fault of the engine."""
        left = [f"mark waiter {name}" for name in self._marks]
        if self._current is not None:
            left.append(f"utterance {self._current.number}")
        return left + [f"expected mark {name}" for name in self._playout.expected]

    # --- pacing ---------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        """Send what is due now, and ask the metronome for the rest."""
        utterance = self._current
        if utterance is None or utterance.result is not None:
            return
        if self._held and utterance.may_wait and not utterance.sent:
            return
        now = trio.current_time()
        while size := utterance.ready:
            due = self._playout.runs_dry_at - self._settings.lead + self._settings.slice / 2
            if utterance.slices >= self._settings.first_slices and due > now + _ROUNDING:
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
        if not first and now > self._playout.ends_at + _ROUNDING:
            self.underruns += 1
        position = utterance.sent
        starts = self._playout.sent(now, self._format.seconds(len(audio)))
        self._write(self._codec.media(audio), discardable=True)
        name = utterance.sent_slice(len(audio) // self._format.sample_width)
        self._send_mark(name, utterance.sent, discardable=True)
        for own in utterance.due_marks():
            if own in self._marks:  # else nobody waits for it any more
                self._send_mark(own, None)
        if self.on_sent is not None:
            self.on_sent(starts, audio)
        self._note_sent(utterance, position, name, starts, audio)
        if first:
            self._post(ReplyAudible(now, utterance.number))

    def _note_sent(self, utterance: Utterance, position: int, mark: str, starts: float, audio: bytes) -> None:
        journal = self._journal
        data: dict[str, Any] = {
            "utterance": utterance.number,
            "position": position,
            "samples": utterance.sent - position,
        }
        data |= {"mark": mark, "playout": journal.time(starts)}
        if journal.settings.audio:
            data["audio"] = audio
        journal.note("media.sent", **data)

    def _write(self, message: bytes, *, discardable: bool = False) -> None:
        with suppress(SocketClosed):  # the reader learns of it too, with the reason, and ends the call
            self._socket.send_nowait(message, discardable=discardable)
