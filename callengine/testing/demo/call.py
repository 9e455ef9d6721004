"""The demo's caller: dials, listens and says so, speaks when it is his turn, cuts in once, and waits to be hung up on.

He has no script of times: he goes by what he hears on the line.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import attrs
import trio
from trio_websocket import HandshakeError, connect_websocket_url

from callengine.cleanup import single
from callengine.testing.carrier import CarrierSettings, Leg
from callengine.testing.demo.line import NoisyLine
from callengine.testing.demo.script import LINES, Backchannel, Line, Script
from callengine.testing.link import WebSocketLink
from callengine.testing.playout import PlayoutQueue
from callengine.testing.twilio import TwilioSide

QUIET = 0.6
"""Seconds of silence after the agent's words that tell the caller that it is his turn."""
PATIENCE = 12.0
"""Seconds that he waits for the agent to say something, or to hang up."""
LONGEST = 90.0
"""Seconds that the whole call may take."""
STEP = 0.02
"""Seconds between two looks at the line: a frame."""


class CallWentWrong(Exception):
    """The call did not go as a call should; the message says how, and where in it."""


@attrs.frozen
class Dialled:
    """Who is called, and how the call is named at both ends."""

    port: int
    call_id: str = attrs.field(factory=lambda: f"CA{secrets.token_hex(16)}")
    stream_id: str = attrs.field(factory=lambda: f"MZ{secrets.token_hex(16)}")


async def play_call(dialled: Dialled, *, lines: Script = LINES, on_line: Callable[[], None] | None = None) -> None:
    """Play the call, against an engine that takes media sockets without a token on loopback; returns when it is over.

    ``on_line`` is called when the line stands. Raises `CallWentWrong` when nobody answers, when the agent falls silent,
    hangs up too early or not at all, or when the call takes too long. Either way the line is dead on return.
    """
    with trio.move_on_after(LONGEST) as bound:
        try:
            async with trio.open_nursery() as nursery:
                leg = await _dial(dialled, nursery)
                if on_line is not None:
                    on_line()
                try:
                    await _converse(_Caller(leg), lines)
                finally:
                    leg.drop()  # nothing, where the agent has hung up
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise single(group) from None
        if leg.side.complaints:
            raise CallWentWrong(f"the carrier did not understand the engine: {'; '.join(leg.side.complaints)}")
    if bound.cancelled_caught:
        raise CallWentWrong(f"the call was not over after {LONGEST:g} s")


async def _dial(dialled: Dialled, nursery: trio.Nursery) -> Leg:
    url = f"ws://127.0.0.1:{dialled.port}/twilio/media"
    try:
        connection = await connect_websocket_url(nursery, url)
    except (OSError, HandshakeError) as error:
        raise CallWentWrong(f"the engine does not answer at {url}: {error}") from error
    side = TwilioSide(dialled.call_id, dialled.stream_id, PlayoutQueue(), {"caller": "+15550100142"})
    leg = Leg(WebSocketLink(connection, connection._stream), side, CarrierSettings())
    leg.background = NoisyLine(seed=1)
    nursery.start_soon(leg.run)
    return leg


async def _converse(caller: _Caller, lines: Script) -> None:
    for line in lines:
        into = line.after if isinstance(line, Backchannel) else line.cuts_in_after
        if into is None:
            await caller.waits_for_his_turn()
        else:
            await caller.lets_the_agent_speak(into)
        await caller.says(line)
    await caller.is_hung_up_on()


class _Caller:
    """Who is at the caller's end. Every method raises `CallWentWrong` where what it waits for does not come."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._spoke_at = leg.started_at
        """When he had last said something."""
        self._last = "the phone was picked up"

    async def waits_for_his_turn(self) -> None:
        """Hear the agent out."""
        queue = self._leg.queue
        await self._agent_speaks()
        while trio.current_time() < queue.ends_at + QUIET:
            self._check_line()
            await trio.sleep(STEP)

    async def lets_the_agent_speak(self, seconds: float) -> None:
        """Listen to the agent for so long, and not to the end."""
        await self._agent_speaks()
        await trio.sleep_until(self._leg.queue.began_at + seconds)

    async def says(self, line: Line | Backchannel) -> None:
        """Say a line to its end."""
        said = self._leg.speak(line.speech())
        while not said.is_set():
            self._check_line()
            await trio.sleep(STEP)
        self._spoke_at = trio.current_time()
        self._last = f"the caller said {line.text!r}"

    async def is_hung_up_on(self) -> None:
        """Wait for the agent to end the call."""
        await self._agent_speaks()
        deadline = trio.current_time() + PATIENCE
        while not self._leg.over.is_set():
            if trio.current_time() > deadline:
                raise CallWentWrong(f"the agent did not hang up within {PATIENCE:g} s after {self._last}")
            await trio.sleep(STEP)

    async def _agent_speaks(self) -> None:
        """Wait until the agent says something, since the caller last spoke."""
        deadline = trio.current_time() + PATIENCE
        while self._leg.queue.ends_at <= self._spoke_at:
            self._check_line()
            if trio.current_time() > deadline:
                raise CallWentWrong(f"the agent said nothing for {PATIENCE:g} s after {self._last}")
            await trio.sleep(STEP)

    def _check_line(self) -> None:
        if self._leg.over.is_set():
            raise CallWentWrong(f"the line went dead after {self._last}")
