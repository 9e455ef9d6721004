"""The telephones and legs of a simulated network, and how a call comes about."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from callengine.testing.caller import Caller, recording
from callengine.testing.carrier import CarrierSettings
from callengine.testing.clouds.legs import Activity, CloudLeg, State
from callengine.testing.clouds.phones import (
    CANCELED,
    HUNG_UP,
    NO_ANSWER,
    Ending,
    Machine,
    Phone,
    Unreachable,
    beep_tone,
)
from callengine.testing.clouds.reach import Reach
from callengine.testing.clouds.values import NetworkSettings
from callengine.testing.scripted import ScriptedStt
from callengine.testing.side import FRAME
from callengine.testing.words import Vocabulary

CLOSING = 2.0
"""Seconds that the network may take to end what goes on, at its own end."""


class Exchange(ABC):
    """Telephones that ring, and what happens on their legs. `Cloud` is all of it; see there."""

    def __init__(
        self, settings: CarrierSettings, network: NetworkSettings, vocabulary: Vocabulary, stt: ScriptedStt
    ) -> None:
        self.settings = settings
        self.network = network
        self.vocabulary = vocabulary
        self.stt = stt
        self.legs: list[CloudLeg] = []
        """Every leg that there was, in order."""
        self.reach: Reach
        self.nursery: trio.Nursery
        self._phones: dict[str, Phone] = {}
        self._given: set[str] = set()
        self._news = trio.Event()

    @asynccontextmanager
    async def running(self, reach: Reach) -> AsyncIterator[None]:
        """While it runs. At the end all telephones are put down."""
        self.reach = reach
        async with trio.open_nursery() as self.nursery:
            yield
            with trio.move_on_after(CLOSING):
                await self.close()
            self.nursery.cancel_scope.cancel()

    async def close(self) -> None:
        """Everybody hangs up, and their streams end properly."""
        for leg in self.legs:
            leg.hang_up()
        for leg in self.legs:
            for stream in leg.streams:
                await stream.over.wait()

    def phone(self, number: str, phone: Phone) -> None:
        """There is this telephone. A number without one cannot be reached."""
        self._phones[number] = phone

    def rings(self, to: str, caller: str) -> Caller:
        """Somebody calls this number; returns him, with the telephone at his ear."""
        leg = self._add(CloudLeg(self.new_call_id(), caller, to, "inbound"))
        self._seat(leg)
        self.nursery.start_soon(self._life, leg, partial(self._arrive, leg))
        assert leg.person is not None
        return leg.person

    async def answered(self, number: str, *, timeout: float = 60.0) -> Caller:
        """Wait until this telephone was answered; returns who (or what) is there. Each answered call is given once."""
        leg = await self._find(number, lambda leg: leg.answered.is_set(), "answered", timeout)
        self._given.add(leg.call_id)
        assert leg.person is not None
        return leg.person

    async def ringing(self, number: str, *, timeout: float = 60.0) -> CloudLeg:
        """Wait until this telephone rings (or did)."""
        return await self._find(number, lambda leg: leg.since("ringing") is not None, "rung", timeout)

    def leg(self, call_id: str) -> CloudLeg | None:
        """The leg of this name."""
        return next((leg for leg in self.legs if leg.call_id == call_id), None)

    # --- the dress ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def new_call_id(self) -> str:
        """A name for one more leg."""

    @abstractmethod
    async def announce(self, leg: CloudLeg) -> Activity | None:
        """An incoming call rings."""

    @abstractmethod
    def progressed(self, leg: CloudLeg) -> None:
        """The leg is in another state."""

    @abstractmethod
    async def at_rest(self, leg: CloudLeg) -> None:
        """An answered leg has done what it was told."""

    # --- legs ---------------------------------------------------------------------------------------------------------

    def call(
        self, to: str, shown: str, answered: Activity | None = None, *, timeout: float = 60.0, **data: Any
    ) -> CloudLeg:
        """Call somebody. When he answers, the leg does ``answered`` (None: what a leg at rest does)."""
        leg = self._add(CloudLeg(self.new_call_id(), to, shown, "outbound"))
        leg.data.update(data)
        leg.next = answered
        self.nursery.start_soon(self._life, leg, partial(self._ring, leg, timeout))
        return leg

    def answer(self, leg: CloudLeg) -> None:
        """The leg is answered. Idempotent."""
        if leg.answered.is_set() or leg.over.is_set():
            return
        leg.answered.set()
        leg.settled.set()
        self.change(leg, "answered")

    def end(self, leg: CloudLeg, ending: Ending = HUNG_UP) -> None:
        """The leg is over: its stream is stopped, and whoever talks with it is alone. Idempotent."""
        if leg.over.is_set():
            return
        leg.ending = ending
        leg.over.set()
        leg.settled.set()
        leg.scope.cancel()
        self.change(leg, ending.progress)

    def hang_up(self, leg: CloudLeg) -> None:
        """As the carrier ends a leg when it is told to: one that nobody has answered was canceled."""
        self.end(leg, HUNG_UP if leg.answered.is_set() else CANCELED)

    def change(self, leg: CloudLeg, state: State) -> None:
        """Another state, and everybody is told."""
        leg.change(state)
        self._news.set()
        self.progressed(leg)

    def _add(self, leg: CloudLeg) -> CloudLeg:
        self.legs.append(leg)
        leg.hangs_up = partial(self.hang_up, leg)
        return leg

    def _seat(self, leg: CloudLeg) -> None:
        leg.person = Caller(self, leg, self.vocabulary)

    async def _find(self, number: str, test: Any, what: str, timeout: float) -> CloudLeg:
        with trio.move_on_after(timeout):
            while True:
                for leg in self.legs:
                    mine = leg.phone == number and leg.direction == "outbound" and leg.call_id not in self._given
                    if mine and test(leg):
                        return leg
                self._news = trio.Event()
                await self._news.wait()
        raise AssertionError(f"the telephone {number} was not {what} within {timeout:g} s")

    async def _life(self, leg: CloudLeg, beginning: Activity) -> None:
        """Everything that happens on a leg, until it is over."""
        with leg.scope:
            async with trio.open_nursery() as nursery:
                leg.nursery = nursery
                nursery.start_soon(self._carry_voice, leg)
                await beginning()
                if isinstance(phone := self._phones.get(leg.phone), Machine) and leg.direction == "outbound":
                    nursery.start_soon(self._greet, leg, phone)
                while not leg.over.is_set():
                    activity, leg.next = leg.next or partial(self.at_rest, leg), None
                    with trio.CancelScope() as leg.doing:
                        await activity()
                nursery.cancel_scope.cancel()

    async def _ring(self, leg: CloudLeg, timeout: float) -> None:
        """An outgoing call, up to where it is answered; ends the leg if it is not."""
        phone = self._phones.get(leg.phone, Unreachable())
        await trio.sleep(self.network.dialling)
        self.change(leg, "initiated")
        if phone.rings:
            await trio.sleep(self.network.ring_delay)
            self.change(leg, "ringing")
        await trio.sleep(min(phone.after, timeout))
        if phone.after > timeout:
            self.end(leg, NO_ANSWER)
        elif phone.ending is not None:
            self.end(leg, phone.ending)
        else:
            self._seat(leg)
            self.answer(leg)
        await trio.lowlevel.checkpoint()

    async def _arrive(self, leg: CloudLeg) -> None:
        """An incoming call: the engine is told, and what it wants is done. It rings until `answer`."""
        activity = await self.announce(leg)
        leg.next = leg.next or activity or trio.sleep_forever

    async def _greet(self, leg: CloudLeg, machine: Machine) -> None:
        await trio.sleep(machine.pause)
        if isinstance(machine.greeting, str):
            audio = b"".join(word.audio for word in self.vocabulary.speak(machine.greeting))
        else:
            audio = recording(machine.greeting)
        await leg.speak(audio).wait()
        await trio.sleep(machine.pause)
        if machine.beep:
            await leg.speak(beep_tone()).wait()
        leg.greeting_over.set()

    async def _carry_voice(self, leg: CloudLeg) -> None:
        """Where no stream takes a person's voice, somebody else hears it, or nobody."""
        while True:
            await leg.mouth.opens()
            if leg.stream is not None:
                await leg.stream.over.wait()
            start = trio.current_time()
            for number in itertools.count(1):
                await trio.sleep_until(start + number * FRAME)
                if leg.stream is not None or (frame := leg.mouth.frame()) is None:
                    break
                if leg.heard_by is not None:
                    leg.heard_by(frame)
