"""A simulated carrier's leg: it carries a caller's voice to an engine, and plays what comes back."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs
import trio

from callengine.testing.link import Link, LinkClosed
from callengine.testing.mouth import Mouth
from callengine.testing.playout import PlayoutQueue
from callengine.testing.side import FRAME, SILENCE, Side


@attrs.frozen(kw_only=True)
class CarrierSettings:
    """How the simulated carrier and the network to it behave. Times in seconds."""

    kind: str | None = None
    """Which carrier, such as ``telnyx``; None: the lab's own (``--carrier``; Twilio where nobody says)."""
    options: Mapping[str, Any] = attrs.field(factory=dict)
    """What else this carrier's `Side` can be told, such as another codec."""
    delay: float = 0.0
    """One way between carrier and engine."""
    jitter: float = 0.0
    """Each of the caller's frames is up to this much late (evenly spread, seeded; the order stays)."""
    marks: Literal["echo", "never", "late", "twice", "reversed", "foreign"] = "echo"
    """``late``: by ``mark_delay``; ``reversed``: each two in the wrong order; ``foreign``: with other names."""
    mark_delay: float = 2.0
    echo_on_clear: bool = True
    stop_frame: bool = True
    """Whether a hang-up is announced by ``stop``."""
    seed: int = 0


class Leg:
    """One call's leg. ``run`` lives as long as the connection; the other methods are the caller's body."""

    def __init__(self, link: Link, side: Side, settings: CarrierSettings, mouth: Mouth | None = None) -> None:
        self._link = link
        self.side = side
        self.queue: PlayoutQueue = side.queue
        self._settings = settings
        self._random = random.Random(settings.seed)
        self._mouth = mouth or Mouth()
        self._mark_came = trio.Event()
        self._kept_back: list[str] = []
        self._control: list[bytes] = []
        self._hang_up = False
        self.started_at = trio.current_time()
        self.over = trio.Event()
        """Set when the connection is gone, whoever ended it."""
        self.closed_by_engine = False
        self.background: Callable[[float, bytes], bytes] | None = None
        """What the line adds to each frame of the caller (noise, echo): called with its time and audio."""

    # --- the caller's body --------------------------------------------------------------------------------------------

    def speak(self, audio: bytes) -> trio.Event:
        """Say this (mu-law at 8 kHz) behind what is still being said; the event is set when it was said."""
        return self._mouth.speak(audio)

    def press(self, digit: str) -> None:
        """Press a key."""
        self._control.append(self.side.dtmf(digit))

    def hang_up(self) -> None:
        """Put the phone down, with the next frame."""
        self._hang_up = True

    def send_raw(self, message: bytes) -> None:
        """Send any message with the next frame."""
        self._control.append(message)

    def drop(self) -> None:
        """The connection breaks."""
        self._link.drop()
        self.over.set()

    # --- the carrier ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry the call until one side ends it."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._receive, nursery.cancel_scope)
                nursery.start_soon(self._echo_marks)
                await self._send_frames()
                await self._link.close()
                nursery.cancel_scope.cancel()
        except* LinkClosed:
            self.closed_by_engine = True
        finally:
            self.over.set()

    async def _send_frames(self) -> None:
        for message in self.side.opening():
            await self._link.send(message)
        self.started_at = trio.current_time()
        number = 0
        while not self._hang_up:
            number += 1
            due = self.started_at + number * FRAME
            await trio.sleep_until(due + self._random.uniform(0, self._settings.jitter))
            for message in self._control:
                await self._link.send(message)
            self._control.clear()
            for message in self.side.media(self._frame(due)):
                await self._link.send(message)
        last = self.side.stop() if self._settings.stop_frame else None
        if last is not None:
            await self._link.send(last)

    def _frame(self, due: float) -> bytes:
        frame = self._mouth.frame() or SILENCE
        if self.background is not None:
            frame = self.background(due, frame)
        return frame

    async def _receive(self, scope: trio.CancelScope) -> None:
        try:
            while True:
                message = await self._link.receive()
                reaction = self.side.take(trio.current_time(), message)
                for answer in reaction.messages:
                    await self._link.send(answer)
                for name in reaction.echoes:
                    await self._echo(name)
                self._mark_came.set()
        except LinkClosed:
            self.closed_by_engine = True
            scope.cancel()

    async def _echo_marks(self) -> None:
        late = self._settings.mark_delay if self._settings.marks == "late" else 0.0
        while True:
            self._mark_came = trio.Event()
            due = self.queue.next_mark
            with trio.move_on_at(float("inf") if due is None else due + late):
                await self._mark_came.wait()
            for name in self.queue.reached(trio.current_time() - late):
                await self._echo(name)

    async def _echo(self, name: str) -> None:
        manner = self._settings.marks
        if manner == "never":
            return
        if manner == "foreign":
            name = f"somebody-else-{name}"
        names = [name, name] if manner == "twice" else [name]
        if manner == "reversed":
            self._kept_back.insert(0, name)
            if len(self._kept_back) < 2:
                return
            names, self._kept_back = self._kept_back, []
        for echo in names:
            await self._link.send(self.side.mark(echo))
