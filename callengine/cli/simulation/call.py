"""One simulated call, from the first message of the stream to the last."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import attrs
import numpy as np
import trio

from callengine.audio import MULAW, Pcm, write_wav
from callengine.cleanup import unless
from callengine.cli.simulation.actions import Actions
from callengine.cli.simulation.caller import Caller, Manners, Mouth
from callengine.cli.simulation.carriers import Dialect, Trouble
from callengine.cli.simulation.line import Line
from callengine.cli.simulation.report import EndedBy, Report, Summary
from callengine.cli.simulation.script import Action, Hears, Interrupt
from callengine.cli.simulation.speech import Speech, Understand
from callengine.cli.simulation.witness import Witness
from callengine.errors import ConfigurationError
from callengine.testing.carrier import CarrierSettings, Leg
from callengine.testing.side import Side

HANG_UP_TIMEOUT = 10.0
"""Seconds that the end of a call may take."""


@attrs.frozen(kw_only=True)
class Settings:
    """How a call is made. Times in seconds."""

    carrier: CarrierSettings = CarrierSettings()
    manners: Manners = Manners()
    duration: float | None = None
    """The call is hung up at this time, and not before unless an action says so; None: when the actions are done and
    the agent has answered."""
    drop_after: float | None = None
    """When the caller's connection breaks; None: never."""
    record: Path | None = None
    """A WAV file to write: left the caller, right the agent."""


class SimulatedCall:
    """A call over a line. ``stop`` is an event that makes the caller hang up, ``commanded`` one by which the server has
    the carrier end the call."""

    def __init__(
        self,
        line: Line,
        side: Side,
        dialect: Dialect,
        settings: Settings,
        report: Report,
        speech: Speech,
        understand: Understand | None = None,
        *,
        stop: trio.Event | None = None,
        commanded: trio.Event | None = None,
    ) -> None:
        self._line = line
        self._dialect = dialect
        self._settings = settings
        self._leg = Leg(line, side, settings.carrier)
        self._mouth = self._leg.background = Mouth()
        self._witness = Witness(self._leg, report, understand)
        self._caller = Caller(self._leg, self._mouth, self._witness, speech, settings.manners)
        self._stop = trio.Event() if stop is None else stop
        self._commanded = trio.Event() if commanded is None else commanded
        self._hung_up = self._dropped = False
        self._doing: Action | None = None

    async def run(self, actions: Actions) -> Summary:
        """Hold the call until one side ends it; returns its figures."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._line.run)
            nursery.start_soon(self._leg.run)
            await unless(self._leg.over, self._mouth.open.wait)
            self._tell_stream()
            async with trio.open_nursery() as watching:
                watching.start_soon(self._witness.run)
                watching.start_soon(self._witness.understand)
                await unless(self._leg.over, partial(self._hold, actions))
                await self._end()
            nursery.cancel_scope.cancel()
        self._judge()
        if self._settings.record is not None:
            write_wav(self._settings.record, self._mouth.pcm, self._agent_pcm(), sample_rate=8000)
        return self._witness.summary(*self._how_it_ended())

    # --- the caller ---------------------------------------------------------------------------------------------------

    def _tell_stream(self) -> None:
        side = self._leg.side
        self._witness.tell("stream", self._leg.started_at, f"stream {side.stream_id}", call_id=side.call_id)

    async def _hold(self, actions: Actions) -> None:
        """Do what is to be done, until it is time to hang up."""
        started, settings = self._leg.started_at, self._settings
        async with trio.open_nursery() as nursery:
            if settings.drop_after is not None:
                nursery.start_soon(self._drop, started + settings.drop_after)
            with trio.move_on_at(float("inf") if settings.duration is None else started + settings.duration):
                await unless(self._commanded, partial(unless, self._stop, partial(self._perform, actions)))
            nursery.cancel_scope.cancel()

    async def _perform(self, actions: Actions) -> None:
        while True:
            try:
                self._doing = action = await actions.next()
                if action is None:
                    break
                if not await self._caller.perform(action, at_once=actions.at_once):
                    self._doing = None
                    return
            except ConfigurationError as error:  # of a line that is typed: scripts are understood beforehand
                self._witness.fail(str(error))
        if self._settings.duration is not None:
            await trio.sleep_forever()
        if not actions.at_once:
            await self._caller.hear_out()

    async def _drop(self, at: float) -> None:
        await trio.sleep_until(at)
        self._dropped = True
        self._leg.drop()

    async def _end(self) -> None:
        if not self._leg.over.is_set():
            self._hung_up = not self._commanded.is_set()
            self._leg.hang_up()
            with trio.move_on_after(HANG_UP_TIMEOUT):
                await self._leg.over.wait()
            self._leg.over.set()

    # --- afterwards ---------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        """What only the end shows."""
        doing = self._doing
        if isinstance(doing, Interrupt) or (isinstance(doing, Hears) and not self._witness.heard.found(doing.wanted)):
            self._caller.miss(doing)
        if self._line.thrown_away:
            self._witness.complain(self._dialect.says("unread", f"{self._line.thrown_away} messages were thrown away"))
        closing = self._line.wire.closing
        if (
            closing is not None
            and closing.code not in (1000, 1001, 1005)
            and not (self._hung_up or self._dropped or self._commanded.is_set())
        ):
            kind: Trouble = "broken" if closing.code == 1006 else "framing"
            self._witness.complain(self._dialect.says(kind, f"closed with {closing.code} {closing.reason}".rstrip()))

    def _how_it_ended(self) -> tuple[EndedBy, str]:
        if self._dropped:
            return "fault", "the caller's connection broke, as it was told to"
        if self._commanded.is_set():
            return "server", "the server hung up by a command"
        if self._hung_up:
            return "caller", "the caller hung up"
        closing = self._line.wire.closing
        note = self._dialect.note_of_close
        code = "" if closing is None else f" with {closing.code} {closing.reason}".rstrip()
        return "server", f"the server closed the stream{code}" + (f" ({note})" if note else "")

    def _agent_pcm(self) -> Pcm:
        """What the agent said, at 8 kHz, with its silence."""
        started = self._leg.started_at
        stretches = self._leg.queue.played(trio.current_time())
        pcm = np.zeros(len(self._mouth.pcm), np.int16)
        for stretch in stretches:
            at = round((stretch.start - started) * 8000)
            samples = MULAW.decode(stretch.audio)[max(0, -at) :]
            at = max(0, at)
            pcm[at : at + len(samples)] = samples[: max(0, len(pcm) - at)]
        return pcm
