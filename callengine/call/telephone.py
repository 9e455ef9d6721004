"""What a program can do with the telephone itself: hold, hand over, press keys, record, write."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from callengine.audio.clip import Clip
from callengine.audio.hold import hold_tones
from callengine.audio.tones import dtmf_tones
from callengine.call.in_reply import check_line
from callengine.cleanup import unless
from callengine.errors import CallEnded, CallEngineError, CarrierError, ConfigurationError, NotSupported
from callengine.masking import masked
from callengine.ports import KeyCodec
from callengine.reach import check_allowed, check_target
from callengine.telephony import Capabilities, Leg, TransferKind

if TYPE_CHECKING:
    from callengine.brain.agent import Agent
    from callengine.call.hold import Hold
    from callengine.call.line import Line
    from callengine.journal import Journal
    from callengine.outcome import EndedBy, Outcome
    from callengine.turns.heard import Heard

T = TypeVar("T")

RING = 30.0
"""Seconds that somebody a caller is transferred to has to answer: five or six rings."""

HAND_OVER = 20.0
"""Seconds that the carrier's commands for a transfer may take in all."""

SHORTEST_MUSIC = 1.0
"""Seconds of hold music, at least."""

_KEYS = re.compile("[0-9*#A-DwW]+")


class Telephone:
    """The part of a `callengine.Call` that speaks to the carrier.

    Everything raises `CallEnded` once the call is over, `CarrierError` where the carrier does not do it, `NotSupported`
    where it cannot, and `NotAllowed` for a number that is not in the agent's ``may_reach``. The call goes on then.
    """

    id: str
    carrier: str
    caller: str
    callee: str
    direction: str
    agent: Agent
    journal: Journal
    _leg: Leg | None
    _line: Line
    _hold: Hold
    _ended: trio.Event
    _handed_over: bool
    _handing_over: bool
    _ended_meanwhile: tuple[EndedBy, str] | None

    if TYPE_CHECKING:

        @property
        def outcome(self) -> Outcome: ...

        def _check(self) -> None: ...

        def finish(self, by: EndedBy, reason: str) -> None: ...

        async def say(self, what: str | Clip, *, interruptible: bool = True) -> Heard: ...

    @property
    def person(self) -> str:
        """The number of the person on the line: the caller, or who was called."""
        return self.callee if self.direction == "outbound" else self.caller

    @property
    def capabilities(self) -> Capabilities:
        """What the carrier can do."""
        return Capabilities() if self._leg is None else self._leg.capabilities

    # --- hold ---------------------------------------------------------------------------------------------------------

    def hold(self, music: Clip | None = None) -> None:
        """Put the caller on hold: he hears the music (the agent's ``hold_music`` where none is given, else two soft
        notes every four seconds), over and over. What he says is kept for `listen`. What is said to him comes when a
        round of the music is over."""
        self._check()
        check_line("play music")
        music = music or self.agent.hold_music or hold_tones()
        if len(music.samples) < SHORTEST_MUSIC * music.sample_rate:  # each round is an utterance of its own
            raise ConfigurationError(f"hold music is played over and over: give a clip of {SHORTEST_MUSIC:g} s or more")
        self.journal.note("hold", on=True)
        self._hold.begin(music)

    def unhold(self) -> None:
        """Take the caller off hold; does nothing where he is not."""
        if self._hold.on:
            self._hold.end()
            self.journal.note("hold", on=False)

    @asynccontextmanager
    async def on_hold(self, music: Clip | None = None) -> AsyncIterator[None]:
        """The caller is on hold while this lasts."""
        self.hold(music)
        try:
            yield
        finally:
            self.unhold()

    # --- handing over -------------------------------------------------------------------------------------------------

    async def transfer(self, to: str, *, caller_id: str | None = None, timeout: float = RING) -> None:
        """Hand the caller over, unannounced: the carrier rings ``to`` for ``timeout`` seconds, and this call ends.

        ``to`` sees ``caller_id`` (by default the number that was called). Where he does not answer, the caller comes
        back: as a new call with the same program, whose agent says ``transfer_failed`` first.
        """
        leg, target = self._allowed(to, "cold")
        command = partial(leg.transfer, target, caller_id=caller_id, timeout=timeout)
        await self._hand_over(target, command, "transferred to")

    async def refer(self, to: str) -> None:
        """Hand a SIP caller back to his own telephone system (SIP REFER); this call ends."""
        leg, target = self._allowed(to, "refer")
        await self._hand_over(target, partial(leg.refer, target), "referred to")

    async def transfer_warm(self, to: str, *, briefing: str, timeout: float = RING, music: Clip | None = None) -> None:
        """Hand the caller over to somebody who has been told what it is about.

        The caller is on hold while ``to`` is called (for ``timeout`` seconds), hears the briefing and is asked whether
        he takes the call, by voice or with the key 1. Then both are joined, and this call ends. Where nobody answers or
        he declines, the caller is off hold again, the call goes on, and `TransferFailed` says why.
        """
        leg, target = self._allowed(to, "warm")
        if not leg.capabilities.dial:
            raise NotSupported(self.carrier, "call somebody")

        async def consult() -> None:
            async with leg.consult(target, briefing=briefing, timeout=timeout) as human:
                await self._hand_over(target, human.join, "joined with")

        async with self.on_hold(music):
            await self._while_it_lasts(consult)  # which the end of the call cancels up to the hand-over

    def _allowed(self, to: str, kind: TransferKind) -> tuple[Leg, str]:
        self._check()
        target = check_allowed(to, self.agent.may_reach)
        leg = self._commanded("transfer a call")
        if kind not in leg.capabilities.transfers:
            raise NotSupported(self.carrier, f"transfer a call ({kind})")
        return leg, target

    async def _hand_over(self, target: str, command: Callable[[], Awaitable[None]], how: str) -> None:
        self.journal.note("transfer", target=masked(target), how=how)
        await self.hand_over(command, f"{how} {masked(target)}")

    async def hand_over(self, command: Callable[[], Awaitable[None]], reason: str) -> None:
        """Give a command that makes the carrier's leg go on without this call, which then ends.

        The stream may end on the way, which must not end the command.
        """
        self._handing_over = True
        try:
            with trio.move_on_after(HAND_OVER) as bound:
                await command()
            if bound.cancelled_caught:
                raise CarrierError(self.carrier, f"no transfer within {HAND_OVER:g} s", fault="unavailable")
            self._handed_over = True
        except CallEngineError as error:
            if self._end_late():
                raise CallEnded(self.outcome) from error
            raise
        finally:
            if not self._handed_over:
                self._end_late()
            self._handing_over = False
        self.finish("agent", reason)

    def _end_late(self) -> bool:
        """End the call, if it would have ended while it was about to be handed over; says whether."""
        self._handing_over = False
        if self._ended_meanwhile is not None:
            self.finish(*self._ended_meanwhile)
        return self._ended_meanwhile is not None

    # --- keys, recording, messages ------------------------------------------------------------------------------------

    async def send_digits(self, digits: str) -> None:
        """Press keys (0-9 * # A-D; w waits half a second, W a second), as a caller to a machine would.

        Returns when they were sent; as tones in the audio, when they were played.
        """
        self._check()
        if not _KEYS.fullmatch(digits):
            raise ConfigurationError("keys to press are 0-9, *, #, A-D, w (half a second) and W (a second)")
        self.journal.note("dtmf.sent", digits="•" * len(digits))
        how = self.capabilities.dtmf_out
        if how == "command" and self._leg is not None and self._leg.commanded:
            await self._while_it_lasts(partial(self._leg.send_dtmf, digits))
        elif how == "socket" and isinstance(self._line.codec, KeyCodec):
            await self._while_it_lasts(partial(self._line.press, digits, self._line.codec))
        else:
            rate = self._line.audio_format.sample_rate
            await self.say(Clip(dtmf_tones(digits, rate), rate), interruptible=False)

    async def start_recording(self, consent: str | Clip | None = None) -> str:
        """Have the carrier record the call, after saying ``consent`` to the caller; returns the recording's name.

        `Engine.on_recording` is told when it can be fetched. (The journal records the call by itself, see
        `JournalSettings`.)
        """
        leg = self._able("record a call", lambda can: can.recording)
        if consent is not None:
            await self.say(consent, interruptible=False)
        name = await self._while_it_lasts(leg.start_recording)
        self.journal.note("recording", recording=name, on=True)
        return name

    async def stop_recording(self, recording_id: str) -> None:
        """Stop a recording."""
        leg = self._able("record a call", lambda can: can.recording)
        await self._while_it_lasts(partial(leg.stop_recording, recording_id))
        self.journal.note("recording", recording=recording_id, on=False)

    async def send_message(self, text: str, to: str | None = None) -> str:
        """Send a text message (SMS) to the person on the line, or to somebody whom the agent may reach; returns its
        name. Raises `ConfigurationError` where the person's number is withheld."""
        leg = self._able("send text messages", lambda can: can.messages)
        if not text.strip():
            raise ConfigurationError("a text message needs a text")
        target = check_target(self.person) if to is None else check_allowed(to, self.agent.may_reach)
        name = await self._while_it_lasts(partial(leg.send_message, target, text))
        self.journal.note("message.sent", message=name, to=masked(target))
        return name

    def _able(self, what: str, can: Callable[[Capabilities], bool]) -> Leg:
        self._check()
        if not can(self.capabilities):
            raise NotSupported(self.carrier, what)
        return self._commanded(what)

    def _commanded(self, what: str) -> Leg:
        if self._leg is None:
            raise NotSupported(self.carrier, what)
        return self._leg

    async def _while_it_lasts(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it, unless the call ends first."""
        finished, result = await unless(self._ended, work)
        if not finished and not self._handed_over:
            raise CallEnded(self.outcome)
        return result  # type: ignore[return-value]  # it is there where it was finished
