"""What happens when an answering machine takes an outgoing call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from callengine.call.call import Call

if TYPE_CHECKING:
    from callengine.outbound.calls import OutboundCall

GREETING = 60.0
"""Longest greeting of an answering machine that is waited for, in seconds."""
GREETING_PAUSE = 2.5
"""Seconds of silence after which a greeting is taken to be over, where the carrier does not say so: longer than the
pauses in recorded greetings, which are read without stopping to think."""


async def meet_machine(outgoing: OutboundCall) -> None:
    """Where a machine answers: leave the message once it records, or hang up, or let the program talk to it."""
    state, plan = outgoing.state, outgoing.plan
    await outgoing.until(lambda: state.machine, or_hang_up=False)
    message = plan.voicemail
    if message is None and plan.on_machine == "continue":
        return
    await outgoing.until(lambda: outgoing.call is not None, or_hang_up=False)
    call = outgoing.call
    assert call is not None
    if call.ended:  # a verdict that comes too late to do anything about it
        return
    kind = "a fax" if state.answered_by == "fax" else "an answering machine"
    if message is None or state.answered_by == "fax":
        outgoing.hang_up(f"{kind} answered")
        return
    call.dismiss_program(f"{kind} answered")
    await _greeting_over(outgoing, call)
    outgoing.message_left = await call.leave_message(message)


async def _greeting_over(outgoing: OutboundCall, call: Call) -> None:
    async def silence(scope: trio.CancelScope) -> None:
        await call.caller_silent_for(GREETING_PAUSE)
        scope.cancel()

    with trio.move_on_after(GREETING):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(silence, nursery.cancel_scope)
            await outgoing.until(lambda: outgoing.state.greeting_over, or_hang_up=False)
            nursery.cancel_scope.cancel()
