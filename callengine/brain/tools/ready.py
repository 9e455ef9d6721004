"""Ready-made tools: what a model can do with the telephone itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import trio

from callengine.brain.tools.tool import ToolError, tool
from callengine.errors import NotAllowed, TransferFailed
from callengine.masking import scrub

if TYPE_CHECKING:
    from callengine.outcome import Outcome
    from callengine.turns.heard import Heard

WARM_TIMEOUT = 180.0
"""Seconds that an announced transfer may take in all: ringing, an answering human's greeting, the briefing, his yes."""

MAX_REASON = 80
"""Characters of a model's reason for ending a call, in the outcome."""


class _Phone(Protocol):
    """What these need of a `callengine.Call`."""

    @property
    def outcome(self) -> Outcome: ...

    async def say(self, what: str) -> Heard: ...

    async def hang_up(self, reason: str) -> None: ...

    def say_goodbye(self, reason: str) -> None: ...

    async def transfer(self, to: str) -> None: ...

    async def transfer_warm(self, to: str, *, briefing: str) -> None: ...

    async def send_digits(self, digits: str) -> None: ...

    async def send_message(self, text: str, to: str | None) -> str: ...


@tool(line=True)
async def end_call(call: _Phone, reason: str = "the conversation is over", goodbye: str = "") -> None:
    """End the call, when the caller has what he wanted and has said goodbye.

    reason: why, in a few words, for the records
    goodbye: what to say before; leave it out if you have just said goodbye
    """
    turns = call.outcome.turns
    if not any(turn.caller for turn in turns):
        raise ToolError("the caller has not said anything yet: wait for him")
    if goodbye:
        heard = await call.say(goodbye)
        if heard.cut_by == "caller":
            raise ToolError("the caller went on while you said goodbye: the call goes on")
    reason = scrub(reason, MAX_REASON) or "the conversation is over"
    if goodbye or turns[-1].said:
        await call.hang_up(reason)
    else:
        call.say_goodbye(reason)
        await trio.sleep_forever()  # until it is said


@tool(line=True)
async def transfer_call(call: _Phone, to: str) -> None:
    """Put the caller through to somebody else, at once; your part of the call is over then. Tell the caller first.

    to: the number, with + and the country's code, or the SIP address
    """
    try:
        await call.transfer(to)
    except NotAllowed as error:
        raise _not_listed() from error


@tool(line=True, timeout=WARM_TIMEOUT)
async def transfer_call_warm(call: _Phone, to: str, briefing: str) -> None:
    """Ask somebody else to take over the call, and put the caller through if he does; else you go on with the caller.
    The caller hears music meanwhile. Tell him first.

    to: the number, with + and the country's code, or the SIP address
    briefing: what the other one should know, in one or two spoken sentences: who is calling, and what about
    """
    try:
        await call.transfer_warm(to, briefing=briefing)
    except NotAllowed as error:
        raise _not_listed() from error
    except TransferFailed as error:
        raise ToolError(f"nobody took the call ({error.result}): the caller is with you again, tell him") from error


def _not_listed() -> ToolError:
    return ToolError("nobody may be put through to there: do not try others, tell the caller that you cannot")


@tool(line=True)
async def press_keys(call: _Phone, keys: str) -> str:
    """Press keys of the telephone, as a caller to a menu or a machine would.

    keys: of 0-9, *, # and A-D; w waits half a second, W a second
    """
    await call.send_digits(keys)
    return "Pressed."


@tool(commit=True)
async def send_text_message(call: _Phone, text: str, to: str | None = None) -> str:
    """Send a text message (SMS).

    text: the message
    to: the number, with + and the country's code; leave it out for the person on the line
    """
    try:
        await call.send_message(text, to)
    except NotAllowed as error:
        raise ToolError("no message may be sent to that number: leave it out to write to the caller") from error
    return "Sent."
