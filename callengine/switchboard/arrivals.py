"""Calls that come in: what they run, and whether there is a place for them."""

from __future__ import annotations

import logging
from collections.abc import Callable

import attrs
import trio

from callengine.call.prewarm import Prewarm
from callengine.masking import masked, printable
from callengine.programs import Cast, Programs
from callengine.server.host import Offer
from callengine.switchboard.owner import Owner, Plan
from callengine.switchboard.references import References
from callengine.switchboard.waiting import Waiting
from callengine.telephony import IncomingCall, Refuse

ARRIVAL = 65.0
"""Seconds in which the media stream of a call that was let in must have come: its token's, and those of its start."""

BUSY = "All our lines are busy. Please call again in a few minutes."
FAULT = "I'm sorry, we cannot take your call right now. Please call again later."

log = logging.getLogger(__name__)


class Arrivals:
    """Decides about calls that come in."""

    def __init__(self, owner: Owner, programs: Programs, start: Callable[..., None]) -> None:
        self._owner = owner
        self._programs = programs
        self._arriving = References[IncomingCall]()
        """Calls that were let in, and whose media streams have not come yet."""
        self._waiting = Waiting(owner, start, ARRIVAL)

    async def offer(self, carrier: str, call: IncomingCall) -> Offer | Refuse:
        """Decide what a call that comes in runs."""
        await trio.lowlevel.checkpoint()
        call = _in_one_line(call)
        if not self._place_for(carrier, call):
            return Refuse(BUSY)
        try:
            cast = await self._programs.of(call)
            if not isinstance(cast, Refuse):
                await self._owner.load(cast)
        except Exception:  # the application's own function
            log.exception("a call from %s was refused: nobody could decide what it runs", masked(call.caller))
            return Refuse(FAULT)
        if isinstance(cast, Refuse):
            return cast
        if not self._place_for(carrier, call):  # others were decided about meanwhile
            return Refuse(BUSY)
        self._arriving.put(_key(carrier, call.call_id), call, ARRIVAL)
        self._make_ready(carrier, cast, call.call_id)
        return Offer(carrier, call.caller, call.callee, "inbound", call.call_id, Plan(cast))

    def _place_for(self, carrier: str, call: IncomingCall) -> bool:
        """Whether there is a place for this call; one that has a place already keeps it."""
        taken = self._arriving.get(_key(carrier, call.call_id)) is None and len(self._arriving) >= self._owner.places
        if taken:
            log.warning("refused a call: %d calls are going on (max_calls)", len(self._owner.calls))
        return not taken

    def left(self, carrier: str, call_id: str) -> None:
        """A call that was let in is not arriving any more: its media stream never will be here."""
        self._arriving.pop(_key(carrier, call_id))
        self._waiting.left(_key(carrier, call_id))

    def arrived(self, carrier: str, call_id: str) -> Prewarm | None:
        """Its media stream is here; returns what was made ready for it, which is then the call's to close."""
        self._arriving.pop(_key(carrier, call_id))
        return self._waiting.arrived(_key(carrier, call_id))

    def close(self) -> None:
        """No more calls are let in: nothing is kept ready for those that have not come."""
        self._waiting.none_come()

    def _make_ready(self, carrier: str, cast: Cast, call_id: str) -> None:
        recipe = self._owner.carriers[carrier]
        if recipe.capabilities.instructed == "stream":
            return  # its media stream is here already
        if all((call.carrier, call.id) != (carrier, call_id) for call in self._owner.calls):
            self._waiting.expect(_key(carrier, call_id), carrier, cast, call_id)


def _in_one_line(call: IncomingCall) -> IncomingCall:
    """What a caller can choose of it, as it may be written into a line of something: a log, or a model's prompt."""
    more = {name: printable(value) for name, value in call.parameters.items()}
    caller, callee = printable(call.caller).strip(), printable(call.callee).strip()
    return attrs.evolve(call, caller=caller, callee=callee, parameters=more)


def _key(carrier: str, call_id: str) -> str:
    return f"{carrier} {call_id}"
