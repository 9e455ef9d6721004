"""The switchboard: what carriers tell and ask, and which call it concerns."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import attrs
import httpx
import trio

from callengine.audio.clip import Clip
from callengine.brain.agent import Agent
from callengine.errors import CallEngineError, CarrierError, ConfigurationError, EngineStopped, NotSupported
from callengine.observers import Observers
from callengine.outbound.calls import END_GRACE, RING_MARGIN, STREAM_GRACE, OutboundCall
from callengine.outbound.outcomes import DialPlan, OnMachine
from callengine.outbound.pace import Pace
from callengine.programs import Cast, Program, Programs
from callengine.reach import check_target
from callengine.server.host import Offer, Told
from callengine.server.tokens import TokenStore
from callengine.server.trust import stream_parameters, stream_url
from callengine.switchboard.arrivals import Arrivals
from callengine.switchboard.commands import Commands, shown_number
from callengine.switchboard.messages import Messages
from callengine.switchboard.owner import DECIDE, Owner, Plan
from callengine.switchboard.references import References, Seen, new_name
from callengine.telephony import (
    AnsweredBy,
    CallbackUrls,
    CallProgress,
    Carrier,
    CarrierFact,
    ConnectStream,
    IncomingCall,
    IncomingMessage,
    Instruction,
    InstructionsWanted,
    MessageProgress,
    RecordingReady,
    Refuse,
    StreamFailed,
    TransferEnded,
)

STOPPING = 1.0
"""Seconds in which a media stream that a carrier was told to stop has stopped."""

SEEN = 10_000
"""What carriers told, and may repeat: some of it for a day, but not after so much else."""

log = logging.getLogger(__name__)


@attrs.frozen
class _Expected:
    """What a carrier was told, and may ask again, or tell the end of."""

    offer: Offer
    """Whose call it is: with its plan, for a caller who comes back."""
    instruction: Instruction


class Switchboard:
    """Lives as long as the engine serves. ``nursery`` is for what it does on its own."""

    def __init__(
        self,
        owner: Owner,
        programs: Programs,
        tokens: TokenStore,
        observers: Observers,
        http: Callable[[], httpx.AsyncClient],
        nursery: trio.Nursery,
        pace: Pace,
    ) -> None:
        self._owner = owner
        self._programs = programs
        self._tokens = tokens
        self._observers = observers
        self._nursery = nursery
        self._pace = pace
        self._expected = References[_Expected]()
        self._seen = Seen(SEEN)
        self.commands = Commands(owner, http)
        self.arrivals = Arrivals(owner, programs, self.start)
        self.messages = Messages(self.commands, observers)
        self.outgoing: dict[str, OutboundCall] = {}
        """Calls that were asked for and are not over, by their references."""

    @property
    def _carriers(self) -> Mapping[str, Carrier]:
        return self._owner.carriers

    # --- names and commands -----------------------------------------------------------------------------------------

    @contextmanager
    def expecting(self, offer: Offer, instruction: Instruction, lifetime: float) -> Iterator[CallbackUrls]:
        """While, and after, a leg is told to do something: what comes of it concerns this call.

        A command that got no answer may have been done, so that the carrier may still ask.
        """
        reference = new_name()
        self._expected.put(reference, _Expected(offer, instruction), lifetime)
        try:
            yield self.commands.urls(offer.carrier, reference)
        except CallEngineError as error:
            if not (isinstance(error, CarrierError) and error.fault == "unavailable"):
                self._expected.pop(reference)
            raise

    def start(self, work: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Do something on its own. What it raises is logged, and harms nobody."""
        self._nursery.start_soon(self._safely, work, *arguments)

    async def _safely(self, work: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        try:
            await work(*arguments)
        except* CallEngineError as group:
            log.warning("%s", "; ".join(str(error) for error in group.exceptions))
        except* Exception as group:
            log.error("something on the switchboard failed", exc_info=group)

    # --- calls that come in -----------------------------------------------------------------------------------------

    async def _answer(self, carrier: str, call: IncomingCall) -> None:
        """The same, for a carrier that wants it as a command."""
        with trio.move_on_after(DECIDE) as bound:
            decision = await self.arrivals.offer(carrier, call)
        if bound.cancelled_caught:
            log.warning("a call of %s was not taken: no decision about it within %g s", carrier, DECIDE)
            decision = Refuse()
        instruction = decision if isinstance(decision, Refuse) else self._connect(decision)
        await self.commands.control(carrier).instruct(
            call.call_id, instruction, self.commands.urls(carrier, call.call_id)
        )

    def _connect(self, offer: Offer, lifetime: float | None = None) -> ConnectStream:
        """The instruction that brings a leg's media here."""
        url = stream_url(self._owner, offer.carrier, self._tokens.issue(offer, lifetime), self._owner.address)
        return ConnectStream(url, stream_parameters(offer.caller, offer.callee))

    # --- calls that go out --------------------------------------------------------------------------------------------

    async def dial(
        self,
        to: str,
        program: Program | None = None,
        *,
        agent: Agent | None = None,
        sender: str | None = None,
        carrier: str | None = None,
        ring_timeout: float = 30.0,
        amd: bool = False,
        voicemail: str | Clip | None = None,
        on_machine: OnMachine = "hang up",
        on_answered_by: Callable[[AnsweredBy], None] | None = None,
        max_duration: float | None = None,
        send_digits: str = "",
        parameters: Mapping[str, str] | None = None,
    ) -> OutboundCall:
        """Call somebody; see `callengine.Engine.dial`."""
        number = check_target(to)
        recipe = self._carriers[self._dialling(carrier)]
        control = self.commands.control(recipe.name)
        amd = amd or voicemail is not None
        _check_wishes(recipe, amd, send_digits, ring_timeout)
        shown = shown_number(recipe, sender)
        program = agent if program is None else program
        cast = self._programs.default if program is None else self._cast(program, agent)
        await self._owner.load(cast)
        self._check_dialling()  # loading takes its time
        reference = new_name()

        def stream() -> ConnectStream:
            patience = ring_timeout + RING_MARGIN + STREAM_GRACE
            data = Plan(cast, call, parameters=parameters or {})
            # Telnyx opens the stream while the telephone rings, and starts it when somebody answers.
            offer = Offer(recipe.name, shown, number, "outbound", data=data, start_within=patience)
            return self._connect(offer, patience)

        plan = DialPlan(
            carrier=recipe.name,
            number=number,
            sender=shown,
            urls=self.commands.urls(recipe.name, reference),
            ring_timeout=ring_timeout,
            max_duration=max_duration,
            send_digits=send_digits,
            amd=amd,
            voicemail=voicemail,
            on_machine=on_machine,
            on_answered_by=on_answered_by,
        )
        call = OutboundCall(plan, control, stream, partial(self._owner.prewarmed, recipe.name, cast, reference))
        self.outgoing[reference] = call  # before the request leaves: a callback may be faster than its answer
        self._nursery.start_soon(self._run, call)
        return call

    def _cast(self, program: Program, agent: Agent | None) -> Cast:
        return self._programs.cast(program, None if program is agent else agent)

    def _check_dialling(self) -> None:
        if self._owner.is_draining():
            raise EngineStopped("the engine is draining: it dials nobody any more")

    def _dialling(self, carrier: str | None) -> str:
        self._check_dialling()
        if carrier is not None:
            if carrier not in self._carriers:
                raise ConfigurationError(f"no carrier is named {carrier!r}: there are {', '.join(self._carriers)}")
            if not self._carriers[carrier].capabilities.dial:
                raise NotSupported(carrier, "call anybody")
            return carrier
        able = [
            name
            for name, recipe in self._carriers.items()
            if recipe.capabilities.dial and recipe.missing_for_commands() is None
        ]
        if not able:
            missing = [f"{name}: {recipe.missing_for_commands()}" for name, recipe in self._carriers.items()]
            raise ConfigurationError(f"no carrier can dial; {'; '.join(missing)}")
        return able[0]

    async def _run(self, call: OutboundCall) -> None:
        try:
            await self._safely(call.run, self._pace.slot())
        finally:
            del self.outgoing[call.reference]

    # --- what carriers tell and ask -----------------------------------------------------------------------------------

    def instructions(self, carrier: str, fact: InstructionsWanted | TransferEnded) -> Told | None:
        """What a leg that was given commands about shall do now."""
        if isinstance(fact, TransferEnded):
            return self._take_back(carrier, fact, self._expected.get(fact.reference))  # it may ask again
        call = self.outgoing.get(fact.reference)
        if call is not None and call.plan.carrier == carrier:
            call.note(fact)
            return Told(call.stream(), call.plan.urls)
        expected = self._expected.get(fact.reference)
        if expected is None or expected.offer.carrier != carrier:
            log.warning("%s asked what to do with a call that is not known (any more)", carrier)
            return None
        return Told(expected.instruction, self.commands.urls(carrier, fact.reference))

    def _take_back(self, carrier: str, fact: TransferEnded, expected: _Expected | None) -> Told | None:
        """Where a transfer failed, the caller comes back to the program that he was with."""
        if expected is None or expected.offer.carrier != carrier or fact.result == "completed" or not fact.waiting:
            return None
        return self._back(expected.offer, fact.call_id, fact.result)

    def _back(self, offer: Offer, call_id: str, why: str) -> Told:
        log.info("call %s: the transfer ended: %s; the caller comes back", call_id, why)
        assert isinstance(offer.data, Plan)
        plan = attrs.evolve(offer.data, outbound=None, came_back=why)
        offer = attrs.evolve(offer, call_id=call_id, data=plan, start_within=None)
        return Told(self._connect(offer), self.commands.urls(offer.carrier, call_id))

    async def bring_back(self, offer: Offer, call_id: str) -> None:
        """After a transfer that the carrier refused: where it cost the caller his stream, he comes back."""
        await trio.sleep(STOPPING)
        live = {(call.carrier, call.id) for call in self._owner.calls if not call.ended}
        if (offer.carrier, call_id) not in live:
            await self._reconnect(offer.carrier, call_id, self._back(offer, call_id, "failed"))

    async def _reconnect(self, carrier: str, call_id: str, told: Told) -> None:
        await self.commands.control(carrier).instruct(call_id, told.instruction, told.urls)

    def note(self, carrier: str, fact: CarrierFact) -> None:
        """Take note of what a carrier tells."""
        match fact:
            case IncomingCall():
                if self._seen.first(f"{carrier} call {fact.call_id}"):
                    self.start(self._answer, carrier, fact)
            case TransferEnded():
                if self._carriers[carrier].capabilities.instructed == "command":
                    told = self._take_back(carrier, fact, self._expected.pop(fact.reference))
                    if told is not None:
                        self.start(self._reconnect, carrier, fact.call_id, told)
            case IncomingMessage():
                if self._seen.first(f"{carrier} message {fact.message_id}"):
                    self.start(self.messages.receive, carrier, attrs.evolve(fact, carrier=carrier))
            case RecordingReady():
                which = f"{fact.call_id} {fact.recording_id or fact.url} {fact.failed}"
                if self._seen.first(f"{carrier} recording {which}"):
                    self.start(self._observers.recording_ready, attrs.evolve(fact, carrier=carrier), DECIDE)
            case MessageProgress():
                if self._seen.first(f"{carrier} message {fact.message_id} {fact.status}"):
                    self.start(self._observers.message_progressed, fact, DECIDE)
            case _:
                self._note_leg(carrier, fact)

    def _note_leg(self, carrier: str, fact: Any) -> None:
        """Something of a leg: of an outgoing call, or of one that is going on."""
        reference, call_id = getattr(fact, "reference", None), getattr(fact, "call_id", None)
        if isinstance(fact, CallProgress) and fact.final:
            self.arrivals.left(carrier, fact.call_id)  # or never will
        call = self.outgoing.get(reference or "")
        if call is not None and call.plan.carrier != carrier:
            return
        if call is None and call_id is not None:
            call = next((each for each in self.outgoing.values() if each.state.call_id == call_id), None)
        if call is not None:
            call.note(fact)
        elif isinstance(fact, CallProgress) and fact.final:
            self.start(self._end_stragglers, carrier, fact.call_id)
        if isinstance(fact, StreamFailed):
            log.warning("%s could not open a media stream of call %s: %s", carrier, fact.call_id, fact.reason)

    async def _end_stragglers(self, carrier: str, call_id: str) -> None:
        """A leg is over, and its media stream should be too."""
        await trio.sleep(END_GRACE)
        for call in self._owner.calls:
            if call.id == call_id and call.carrier == carrier:
                call.finish("caller", "the carrier says that the call is over")


def _check_wishes(recipe: Carrier, amd: bool, send_digits: str, ring_timeout: float) -> None:
    """Raise `ConfigurationError` for a dial that no carrier, or not this one, can do."""
    if amd and not recipe.capabilities.amd:
        raise ConfigurationError(f"{recipe.name} cannot tell machines from people: leave out amd and voicemail")
    if amd and send_digits:
        raise ConfigurationError("either send_digits or amd and voicemail: carriers do not look for machines then")
    if not 5 <= ring_timeout <= 600:
        raise ConfigurationError(f"ring_timeout is {ring_timeout:g}: carriers ring for 5 to 600 seconds")
