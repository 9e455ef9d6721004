"""What the legs of a simulated network can do."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import trio

from callengine.cleanup import bounded_cleanup
from callengine.telephony import AnsweredBy
from callengine.testing.carrier import Leg
from callengine.testing.clouds.exchange import Exchange
from callengine.testing.clouds.legs import CloudLeg
from callengine.testing.clouds.phones import Machine
from callengine.testing.clouds.reach import NotReached
from callengine.testing.clouds.rooms import Room
from callengine.testing.clouds.values import Verdict
from callengine.testing.side import side_of


class Doings(Exchange):
    """What legs are told to do: see `Cloud`."""

    name: str

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self.rooms: dict[str, Room] = {}
        self.said: list[tuple[str, str]] = []
        """What the carrier's own voice said: the leg's name, and the words."""
        self.unreached: list[tuple[str, str]] = []
        """Media streams that could not be opened: the leg's name, and why."""
        self._streams = itertools.count(1)

    # --- the dress ----------------------------------------------------------------------------------------------------

    def upgrade_headers(self, url: str) -> Mapping[str, str]:  # noqa: ARG002 - for carriers that sign it
        """What comes with a media upgrade."""
        return {}

    @abstractmethod
    def streaming(self, leg: CloudLeg, event: Literal["started", "stopped"]) -> None:
        """A media stream is open, or was closed."""

    @abstractmethod
    def stream_failed(self, leg: CloudLeg, reason: str) -> None:
        """A media stream could not be opened."""

    # --- what legs do -------------------------------------------------------------------------------------------------

    async def stream(self, leg: CloudLeg, url: str, parameters: Mapping[str, str] | None = None) -> bool:
        """Connect the leg to a media stream until one side ends that; returns whether it came about.

        What it would still have played is forgotten when the leg does something else.
        """
        delay = self.settings.delay
        try:
            link = await self.reach.connect(url, self.upgrade_headers(url), delay, self.nursery)
        except NotReached as problem:
            self.unreached.append((leg.call_id, str(problem)))
            self.stream_failed(leg, str(problem))
            return False
        cls = side_of(self.settings.kind or self.name)
        stream_id = cls.ids(next(self._streams))[1]
        side = cls(leg.call_id, stream_id, leg.queue, parameters or {}, **self.settings.options)
        stream = leg.stream = Leg(link, side, self.settings, leg.mouth)
        stream.background = leg.background
        leg.streams.append(stream)
        self.nursery.start_soon(stream.run)
        self.streaming(leg, "started")
        try:
            await stream.over.wait()
        finally:
            stream.hang_up()
            with bounded_cleanup(1.0):
                await stream.over.wait()
            leg.hears_no_more()
            leg.stream = None
            self.streaming(leg, "stopped")
        return True

    async def say(self, leg: CloudLeg, text: str) -> None:
        """The carrier's own voice."""
        self.said.append((leg.call_id, text))
        audio = b"".join(word.audio for word in self.vocabulary.speak(text))
        leg.hears(audio)
        try:
            await trio.sleep(len(audio) / 8000)
        finally:
            leg.hears_no_more()

    async def dial_from(self, leg: CloudLeg, to: str, shown: str, *, timeout: float = 30.0, **data: Any) -> CloudLeg:
        """Ring somebody, and connect him with the leg until one of them hangs up; returns his leg, which is over."""
        other = self.call(to, shown, timeout=timeout, **data)
        other.parent = leg
        other.next = partial(self.talk, other, leg)
        try:
            await other.settled.wait()
            if other.answered.is_set():
                self.answer(leg)  # a caller whose call was passed on hears ringing until now
                await self.talk(leg, other)
        finally:
            self.hang_up(other)
        return other

    async def talk(self, leg: CloudLeg, other: CloudLeg) -> None:
        """The other one hears the leg, until he is gone."""
        leg.heard_by, leg.passes_key = other.hears, partial(_press_into, other)
        try:
            await other.over.wait()
        finally:
            leg.heard_by = leg.passes_key = None

    async def confer(
        self, leg: CloudLeg, name: str, *, starts: bool = True, ends: bool = False, maximum: int = 250
    ) -> bool:
        """Enter a room, until it ends; returns whether there was a place. ``starts`` and ``ends`` say whether it starts
        when this one comes, and ends when he leaves."""
        room = self.rooms.setdefault(name, Room(name))
        if len(room.members) >= maximum or room.over.is_set():
            return False
        room.enter(leg, starts=starts)
        leg.heard_by, leg.passes_key = partial(room.spread, leg), lambda _: None
        try:
            await room.over.wait()
        finally:
            leg.heard_by = leg.passes_key = None
            room.leave(leg, ends=ends)
            if not room.members and self.rooms.get(name) is room:
                del self.rooms[name]
        return True

    async def detect(self, leg: CloudLeg, *, until_end: bool = False) -> Verdict:
        """Machine detection, from the answer on. ``until_end`` waits until a machine has said its greeting."""
        await leg.answered.wait()
        start = trio.current_time()
        phone = self._phones.get(leg.phone)
        answered_by: AnsweredBy = getattr(phone, "taken_for", "unknown")
        await trio.sleep(self.network.machine if answered_by in ("machine", "fax") else self.network.human)
        if not (until_end and answered_by == "machine" and isinstance(phone, Machine)):
            return Verdict(answered_by, trio.current_time() - start)
        await leg.greeting_over.wait()
        return Verdict(answered_by, trio.current_time() - start, ended=True, beep=phone.beep)


def _press_into(leg: CloudLeg, digit: str) -> None:
    leg.keys_heard += digit
