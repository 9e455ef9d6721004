"""An incoming call as Telnyx has one: announced by an event, answered by a command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import trio

from callengine.cli.simulation.documents import OpenStream
from callengine.cli.simulation.telnyx_desk import ANSWER_TIMEOUT, Command, TelnyxDesk

Tell = Callable[[str], None]


@attrs.frozen
class TelnyxCall:
    """``hold`` holds a stream's call until it is over; ``tell`` and ``complain`` are for the user."""

    desk: TelnyxDesk
    hold: Callable[[OpenStream], Awaitable[object]]
    tell: Tell
    complain: Tell

    async def run(self) -> None:
        """Ring, be answered, talk, hang up."""
        seconds = await self.desk.tell("call.initiated", direction="incoming", state="parked")
        self.tell(f"the event was acknowledged within {seconds * 1000:.0f} ms")
        answer: Command | None = None
        with trio.move_on_after(ANSWER_TIMEOUT):
            answer = await self._answer()
        if answer is None:
            if not self.desk.hung_up.is_set():
                self.complain(f"nobody answered the call within {ANSWER_TIMEOUT:g} s")
            await self.desk.tell("call.hangup", state="hangup", hangup_cause="originator_cancel")
            return
        url = str(answer.body["stream_url"])
        await self.desk.tell("call.answered", state="answered")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_commands)
            nursery.start_soon(partial(self.desk.tell, "streaming.started", stream_url=url))
            await self.hold(OpenStream(url))
            nursery.cancel_scope.cancel()
        await self.desk.tell("streaming.stopped", stream_url=url)
        await self.desk.tell("call.hangup", state="hangup", hangup_cause="normal_clearing", hangup_source="caller")

    async def _answer(self) -> Command | None:
        """The command that opens a stream; None where the call was refused."""
        async for command in self.desk.commands:
            if command.name in ("reject", "hangup"):
                self.tell(f"the server ended the call: {command.body.get('cause', 'hung up')}")
                return None
            if "stream_url" in command.body:
                return command
            self.tell(f"not simulated: {command.name}")
        return None

    async def _tell_commands(self) -> None:
        async for command in self.desk.commands:
            if command.name != "hangup":
                self.tell(f"not simulated: {command.name}")
