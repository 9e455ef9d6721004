"""What one call asks of its carrier: the commands, bound to its leg."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import trio

from callengine.brain.agent import Agent
from callengine.cleanup import unless
from callengine.errors import CallEngineError, CarrierError, ConfigurationError, TransferFailed
from callengine.outbound.calls import END_GRACE, OutboundCall
from callengine.outcome import Turn
from callengine.switchboard.briefing import Briefing
from callengine.switchboard.owner import Plan
from callengine.switchboard.references import new_name
from callengine.telephony import (
    Capabilities,
    Carrier,
    CarrierControl,
    DialTarget,
    Instruction,
    JoinRoom,
    NewMessage,
    ReferTo,
    Refuse,
)
from callengine.turns.digits import DigitSettings

if TYPE_CHECKING:
    from callengine.server.host import Offer
    from callengine.switchboard.board import Switchboard

BRIEFING = 60.0
"""Seconds in which somebody who was called, and answered, must have said whether he takes the call: more than a caller
on hold should have to wait."""
GONE = "the caller is not there any more"

TRANSFER_MARGIN = 60.0
"""Seconds beyond its ring time in which the end of a transfer still brings the caller back."""


class EngineLeg:
    """A call's leg; see `callengine.telephony.Leg`. ``offer`` says whose it is, ``number`` is the account's own."""

    def __init__(
        self, board: Switchboard, carrier: Carrier, call_id: str, offer: Offer, agent: Agent, number: str
    ) -> None:
        self._board = board
        self._carrier = carrier
        self._call_id = call_id
        self._offer = offer
        self._agent = agent
        self._number = number
        self.said: Callable[[], tuple[Turn, ...]] = tuple
        """What has been said in the call: a caller who comes back need not say it again."""

    @property
    def capabilities(self) -> Capabilities:
        return self._carrier.capabilities

    @property
    def commanded(self) -> bool:
        return self._carrier.missing_for_commands() is None

    @property
    def _control(self) -> CarrierControl:
        return self._board.commands.control(self._carrier.name)

    async def hang_up(self) -> None:
        await self._control.hang_up(self._call_id)

    async def transfer(self, to: str, *, caller_id: str | None, timeout: float) -> None:
        await self._instruct(DialTarget(to, caller_id or self._own_number(), timeout), timeout)

    async def refer(self, to: str) -> None:
        await self._instruct(ReferTo(to), 0.0)

    async def _instruct(self, instruction: Instruction, timeout: float) -> None:
        lifetime = timeout + TRANSFER_MARGIN
        plan = self._offer.data
        assert isinstance(plan, Plan)
        offer = attrs.evolve(self._offer, data=attrs.evolve(plan, before=(*plan.before, *self.said())))
        try:
            with self._board.expecting(offer, instruction, lifetime) as urls:
                await self._control.instruct(self._call_id, instruction, urls)
        except CarrierError as error:
            if self.capabilities.instructed == "command" and error.fault not in ("gone", "unavailable"):
                # several commands, of which the first stops the stream
                self._board.start(self._board.bring_back, offer, self._call_id)
            raise

    @asynccontextmanager
    async def consult(self, to: str, *, briefing: str, timeout: float) -> AsyncIterator[Human]:
        agent = self._agent
        talk = Briefing(briefing, agent.transfer_question, agent.transfer_accepted)
        call = await self._board.dial(
            to,
            talk.tell,
            agent=attrs.evolve(agent, digits=DigitSettings(max_length=1), flow=None, goodbye=agent.caller_gone),
            sender=self._own_number(),
            carrier=self._carrier.name,
            ring_timeout=timeout,
        )
        human = Human(self, call, talk)
        try:
            await human.accepts(timeout)
            yield human
        finally:
            human.release()

    async def join(self, other_id: str) -> None:
        """Put this leg and another one together."""
        room = JoinRoom(new_name())
        with self._board.expecting(self._offer, room, TRANSFER_MARGIN) as urls:
            try:
                await self._control.join(self._call_id, other_id, room, urls)
            except (CarrierError, trio.Cancelled) as error:
                self._board.start(self._dismiss, other_id)  # who may be in the room already, alone
                if isinstance(error, CarrierError) and self.capabilities.instructed == "command":
                    self._board.start(self._board.bring_back, self._offer, self._call_id)
                raise

    async def _dismiss(self, call_id: str) -> None:
        """Have the carrier tell somebody who has no stream any more that the caller is gone, and hang up."""
        try:
            words = Refuse(self._agent.caller_gone)
            await self._control.instruct(call_id, words, self._board.commands.urls(self._carrier.name, call_id))
        except CallEngineError:
            await self._control.hang_up(call_id)

    def start(self, human: Human) -> None:
        """Let somebody go who is not needed any more, in his own time."""
        self._board.start(human.let_go)

    async def send_dtmf(self, digits: str) -> None:
        await self._control.send_dtmf(self._call_id, digits)

    async def start_recording(self) -> str:
        return await self._control.start_recording(
            self._call_id, self._board.commands.urls(self._carrier.name, self._call_id)
        )

    async def stop_recording(self, recording_id: str) -> None:
        await self._control.stop_recording(self._call_id, recording_id)

    async def send_message(self, to: str, text: str) -> str:
        urls = self._board.commands.urls(self._carrier.name, self._call_id)
        return await self._control.send_message(NewMessage(to=to, sender=self._own_number(), text=text, urls=urls))

    def _own_number(self) -> str:
        """The number that transfers and messages show."""
        number = self._number or self._carrier.sender
        if not number:
            raise ConfigurationError(
                f"the number to show is not known: give the carrier {self._carrier.name!r} a sender, or pass caller_id"
            )
        return number


class Human:
    """Somebody who was called for a caller; see `callengine.telephony.Consulted`."""

    def __init__(self, leg: EngineLeg, call: OutboundCall, talk: Briefing) -> None:
        self._leg = leg
        self._call = call
        self._talk = talk
        self._joined = False

    async def accepts(self, ring: float) -> None:
        """Wait until he takes the call. Raises `TransferFailed` where he does not."""
        with trio.move_on_after(ring + BRIEFING):
            await unless(self._talk.answered, self._call.settled)
        if self._talk.answer == "accepted" and not self._call.ended:
            return
        outcome = self._call.outcome
        if self._talk.answer is None and outcome is not None and not outcome.answered:
            raise TransferFailed(outcome.result, outcome.reason)
        raise TransferFailed("no answer" if self._call.call is None else "declined")

    async def join(self) -> None:
        """Put the caller and him together."""
        call = self._call.call
        if call is None or call.ended:
            raise TransferFailed("hung up")
        await call.hand_over(lambda: self._leg.join(call.id), "joined with the caller")
        self._joined = True

    def release(self) -> None:
        """He is not needed any more, unless he was joined."""
        if not self._joined:
            self._leg.start(self)

    async def let_go(self) -> None:
        """Hang up; where he is on the line, and would have taken the caller, tell him first that he is gone."""
        if self._call.call is not None and self._talk.answer != "declined":
            self._call.call.say_goodbye(GONE)
            with trio.move_on_after(2 * END_GRACE):
                await self._call.settled()
        self._call.hang_up(GONE)
