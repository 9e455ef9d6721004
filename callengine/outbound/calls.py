"""An outgoing call: from the request to its outcome, in one task of the engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext

import trio

from callengine.call.call import Call
from callengine.call.prewarm import Prewarm
from callengine.cleanup import bounded_cleanup, single
from callengine.errors import CallEngineError, CarrierError, CarrierFault, ConfigurationError, EngineStopped
from callengine.masking import masked, scrub
from callengine.outbound.machines import meet_machine
from callengine.outbound.outcomes import DialOutcome, DialPlan
from callengine.outbound.state import DialResult, OutgoingState
from callengine.outcome import Outcome
from callengine.spending import Costs
from callengine.telephony import AnsweredBy, CarrierControl, CarrierFact, ConnectStream, NewLeg

RING_MARGIN = 15.0
"""Seconds beyond the ring time that a carrier has to say what came of it; Twilio adds up to 5 s of its own
(https://www.twilio.com/docs/voice/api/call-resource, Timeout)."""
STREAM_GRACE = 15.0
"""Seconds after it was answered in which the media stream must have come."""
AMD_GRACE = 2.0
"""Seconds after the end of a call in which the verdict about who answered may still come."""
END_GRACE = 5.0
"""Seconds that the end of a leg and the end of its media stream, or our hang-up, may lie apart."""
UNSURE_GRACE = 10.0
"""Seconds in which a call whose request got no answer may still turn out to be there."""
ASKING = 120.0
"""Seconds that a request to dial may take in all: four attempts, and the pauses that a carrier asks for."""
VERDICT = 15.0
"""Seconds from the answer in which a program that wants to hang up waits for the verdict about who answered. Carriers
take about four for a person (https://www.twilio.com/docs/voice/answering-machine-detection)."""
log = logging.getLogger(__name__)


class OutboundCall:
    """A call that was asked for. Made by `Engine.dial`, at once; what becomes of it is in `wait`."""

    def __init__(
        self,
        plan: DialPlan,
        control: CarrierControl,
        stream: Callable[[], ConnectStream],
        prewarmed: Callable[[], AbstractAsyncContextManager[Prewarm | None]] = nullcontext,
    ) -> None:
        self.plan = plan
        self.stream = stream
        """Makes the instruction that connects it, with a token of its own."""
        self.call: Call | None = None
        """The conversation, from the moment at which its media stream is there."""
        self.prewarm: Prewarm | None = None
        """What is ready for it, while it rings."""
        self.state = OutgoingState()
        self._control = control
        self._prewarmed = prewarmed
        self._news = trio.Event()
        self._done = trio.Event()
        self._outcome: DialOutcome | None = None
        self._call_outcome: Outcome | None = None
        self._failure: tuple[DialResult, str] | None = None
        """Why there is no call, or none any more, where it is not the carrier who says so."""
        self._no_media: str | None = None
        """Why somebody who answered was never heard."""
        self._fault: CarrierFault | None = None
        self._hang_up: str | None = None
        self.message_left = False
        """Whether a machine heard all of its message."""
        self._queueing = trio.CancelScope()
        """Around the wait for its turn to be dialled."""
        self._started_at = trio.current_time()

    # --- for the application ----------------------------------------------------------------------------------------

    @property
    def number(self) -> str:
        """Who is called."""
        return self.plan.number

    @property
    def reference(self) -> str:
        """The engine's name for it."""
        return self.plan.urls.reference

    @property
    def ended(self) -> bool:
        """Whether it is known what became of it, or the engine was stopped."""
        return self._done.is_set()

    @property
    def outcome(self) -> DialOutcome | None:
        """What became of it; None where that is not known (yet)."""
        return self._outcome

    async def settled(self) -> None:
        """Wait until it is over. Cancelling this does nothing to the call."""
        await self._done.wait()

    async def wait(self) -> DialOutcome:
        """Wait until it is known what became of it. Cancelling this hangs the call up.

        Raises `EngineStopped` where the engine stopped first.
        """
        try:
            await self._done.wait()
        except trio.Cancelled:
            self.hang_up("nobody waits for the call any more")
            raise
        if self._outcome is None:
            raise EngineStopped("the engine was stopped before it was known what became of the call")
        return self._outcome

    async def connected(self) -> Call | None:
        """Wait for the conversation to begin; None where there will not be one."""
        while self.call is None and not self._done.is_set():
            await self._news.wait()
        return self.call

    def hang_up(self, reason: str = "the application hung up") -> None:
        """End it, ringing or not; `wait` says when it is over. Does nothing where it is."""
        if self._hang_up is None:
            self._hang_up = reason
            self._queueing.cancel()
            self._changed()

    # --- for the engine ---------------------------------------------------------------------------------------------

    def note(self, fact: CarrierFact) -> None:
        """The carrier says something of this call."""
        before = self.state.answered_by
        self.state.apply(fact)
        if self.state.answered_by != before and self.state.answered_by is not None:
            self._tell_answered_by(self.state.answered_by)
        self._changed()

    def began(self, call: Call) -> None:
        """The conversation begins."""
        self.call = call
        if self.plan.voicemail is not None:
            call.may_leave = self._verdict
        self.state.connected(call.id)
        if self._hang_up is not None or self.ended:  # nobody waits for it any more
            call.finish("agent", self._hang_up or "the call was given up before it was answered")
        self._changed()

    async def _verdict(self) -> None:
        """Wait until it is known whether a machine answered: a program that was done with its greeting must not hang up
        on the message. Where one did, the program is dismissed meanwhile."""
        left = self.call.started_at + VERDICT - trio.current_time() if self.call is not None else 0.0
        await self.until(lambda: self.state.answered_by is not None, max(left, 0.0))
        if self.state.machine and self._hang_up is None:
            await trio.sleep_forever()

    def over(self, outcome: Outcome) -> None:
        """The conversation is over."""
        self._call_outcome = outcome
        self._changed()

    async def run(self, slot: AbstractAsyncContextManager[None]) -> None:
        """Dial, and follow the call to its end. ``slot`` is held meanwhile."""
        try:
            async with AsyncExitStack() as stack:
                with self._queueing:
                    await stack.enter_async_context(slot)
                self._started_at = trio.current_time()
                if self._hang_up is None:
                    await self._live()
            self._settle()
        except BaseException as error:
            with bounded_cleanup(END_GRACE):
                await self._end_leg(last_word=False)
            if isinstance(single(error), Exception):  # a fault of ours is an outcome too
                self._failure = ("failed", f"{type(single(error)).__name__} in the engine")
                self._settle()
            elif self._hang_up is not None:  # its end was decided before the engine's
                self._settle()
            raise
        finally:
            self._done.set()
            self._changed()

    async def _live(self) -> None:
        if not await self._dial():
            return
        warm = self._prewarmed() if self.call is None and self._hang_up is None else nullcontext()
        async with warm as self.prewarm, trio.open_nursery() as nursery:
            nursery.start_soon(meet_machine, self)
            await self._follow()
            nursery.cancel_scope.cancel()

    async def _dial(self) -> bool:
        """Ask the carrier; says whether there is a call, or may be."""
        try:
            await self._ask()
        except ConfigurationError as error:
            self._failure, self._fault = ("failed", str(error)), "configuration"
            return False
        except CarrierError as error:
            self._fault = error.fault
            if error.fault == "unavailable" and await self._named():
                self._fault = None  # it was done all the same: the carrier calls back about it
                return True
            self._failure = ("failed", str(error))
            return False
        self._changed()
        return True

    async def _ask(self) -> None:
        """Request the call. An engine that stops meanwhile waits a moment for the answer: a leg whose name nobody knows
        cannot be hung up."""

        async def hurry(patience: trio.CancelScope) -> None:
            try:
                await trio.sleep_forever()
            finally:
                patience.deadline = min(patience.deadline, trio.current_time() + END_GRACE)

        try:
            async with trio.open_nursery() as nursery:
                with bounded_cleanup(ASKING) as patience:
                    nursery.start_soon(hurry, patience)
                    call_id = await self._control.dial(self._leg())
                    self.state.call_id = self.state.call_id or call_id
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise single(group) from None
        if patience.cancelled_caught:
            raise CarrierError(self.plan.carrier, f"no answer within {ASKING:g} s", fault="unavailable")

    async def _named(self) -> bool:
        """Wait for the carrier to call back about a request that it has not answered; says whether it did."""
        return await self.until(lambda: self.state.call_id is not None, UNSURE_GRACE, or_hang_up=False)

    def _leg(self) -> NewLeg:
        plan = self.plan
        return NewLeg(
            to=plan.number,
            sender=plan.sender,
            stream=self.stream(),
            urls=plan.urls,
            ring_timeout=plan.ring_timeout,
            max_duration=plan.max_duration,
            amd="off" if not plan.amd else "detect" if plan.voicemail is None else "message end",
            send_digits=plan.send_digits,
        )

    async def _follow(self) -> None:
        """Wait for the end, of whichever kind, and make sure that it is one."""
        ring = self.plan.ring_timeout + RING_MARGIN
        if not await self.until(lambda: self.state.answered or self.state.final is not None, ring):
            self._failure = ("no answer", f"the carrier said nothing for {ring:g} s")
        elif not await self.until(self._met, STREAM_GRACE):
            self._no_media = f"no media stream within {STREAM_GRACE:g} s"
        elif self.call is None and self.state.stream_failure and self._hang_up is None:
            self._no_media = self.state.stream_failure
        elif self.call is not None:
            await self.until(lambda: self._call_outcome is not None or self.state.final is not None)
            if self._hang_up is None and not await self.until(lambda: self._call_outcome is not None, END_GRACE):
                self.call.finish("caller", "the carrier says that the call is over")
        if self._hang_up is not None or self._failure is not None or self._no_media is not None:
            await self._end_leg()
        if self.call is not None:
            await self.until(lambda: self._call_outcome is not None, END_GRACE, or_hang_up=False)
        if self.plan.amd and self.state.answered and self._hang_up is None:
            await self.until(lambda: self.state.answered_by is not None, AMD_GRACE)

    def _met(self) -> bool:
        """Whether somebody who answered is heard, or never will be."""
        return self.call is not None or self.state.final is not None or bool(self.state.stream_failure)

    async def _end_leg(self, *, last_word: bool = True) -> None:
        """Hang up, in the way in which the call is; it must not stay. ``last_word``: and hear the carrier out."""
        if self.call is not None:
            if self._call_outcome is None:
                self.call.hung_up(self._hang_up or "the engine was stopped")
            return
        if self.state.call_id is None or self.state.final is not None:
            return
        try:
            await self._control.hang_up(self.state.call_id)
        except CallEngineError as error:
            log.warning("a call to %s could not be hung up: %s", masked(self.number), error)
        else:
            seconds = END_GRACE if last_word else 0.0
            await self.until(lambda: self.state.final is not None, seconds, or_hang_up=False)

    def _settle(self) -> None:
        hung_up = self._hang_up is not None
        result = self.state.result(hung_up=hung_up)
        reason = ""
        call = self._call_outcome
        if call is None and self.call is not None:  # a story that outlives its call by much
            call = self.call.outcome
        if self._failure is not None and not self.state.final:
            result, reason = self._failure
        if self._no_media is not None and self.call is None:
            result, reason = "failed", self._no_media
        if result is None:
            result = "canceled" if hung_up else "failed"
        final = self.state.final
        if result == "canceled":
            reason = self._hang_up or ""
        if not reason and final is not None:
            reason = final.reason or (f"SIP {final.sip_code}" if final.sip_code else "")
        if not reason and call is not None:
            reason = call.reason
        self._outcome = DialOutcome(
            result=result,
            reason=scrub(reason or self._hang_up or ""),
            number=self.number,
            call_id=self.state.call_id,
            answered_by=self.state.answered_by,
            message_left=self.message_left,
            started_at=self._started_at,
            ended_at=trio.current_time(),
            call=call,
            fault=self._fault,
            wasted_characters=0 if self.prewarm is None else self.prewarm.wasted_characters,
            costs=self._costs(call),
        )
        log.info("outgoing call to %s: %s%s", masked(self.number), result, f" ({reason})" if reason else "")

    def _costs(self, call: Outcome | None) -> Costs:
        if call is not None:
            return call.costs
        return Costs() if self.prewarm is None else self.prewarm.costs

    def _tell_answered_by(self, answered_by: AnsweredBy) -> None:
        if self.plan.on_answered_by is not None:
            try:
                self.plan.on_answered_by(answered_by)
            except Exception:
                log.exception("the function for who answered the call to %s failed", masked(self.number))

    def _changed(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def until(
        self, condition: Callable[[], bool], seconds: float = float("inf"), *, or_hang_up: bool = True
    ) -> bool:
        """Wait for the condition; says whether it came. Our own hang-up counts as everything coming."""
        with trio.move_on_after(seconds):
            while not (condition() or (or_hang_up and self._hang_up is not None)):
                await self._news.wait()
            return True
        return False
