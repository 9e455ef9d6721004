"""What a call will need, opened while its telephone rings: sessions that wait for it, and its greeting.

A call that is not answered yet is a nursery of its own (`Prewarming.prewarmed`); leaving that is the whole clean-up,
however the call ended. Nothing is opened early that costs money: only recipes that say so (`ports.Parkable`), and the
greeting where the agent asks for it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar, cast

import attrs
import trio

from callengine.call.greeting import Greeting, GreetingFirst
from callengine.call.held import Recipe
from callengine.call.parked import RELEASE, Parked
from callengine.cleanup import bounded_cleanup, single
from callengine.errors import ProviderError
from callengine.ports import Parkable, Prewarmed, ProviderRole, SessionContext, SttSession, TtsSession, Usage
from callengine.records.costs import price_usage
from callengine.records.prices import PriceTable
from callengine.spending import Bill, Costs

SessionT = TypeVar("SessionT")

MAX_GREETINGS = 200
"""Greetings of an engine that may be on record, or be recorded, at the same time: 40 kB each for five seconds in
mu-law, and a synthesis each while they are made."""

log = logging.getLogger(__name__)


class Prewarm:
    """What one call that is not answered yet has ready. Made by `Prewarming.prewarmed`; used by the call in `opened`.

    Each session is given away once, to this call.
    """

    def __init__(self, context: SessionContext, on_claim: Callable[[], None], prices: PriceTable) -> None:
        self._on_claim = on_claim
        self._prices = prices
        self._context = context
        self._parked: dict[ProviderRole, tuple[Recipe[Any], Parked[Any]]] = {}
        self._all: list[Parked[Any]] = []
        self._greeting: Greeting | None = None
        self._voice: Recipe[Any] | None = None
        """Which recipe speaks the greeting."""
        self._costs: list[tuple[ProviderRole, Usage]] = []
        self._meters: dict[ProviderRole, Callable[[Usage], None]] = {}
        """The call's own, once it is there."""
        self._spoken: Usage | None = None
        """What the voice told last, of the session that spoke the greeting."""
        self.closed = trio.Event()
        """Set when the call that had this is over."""

    @property
    def wasted_characters(self) -> int:
        """Characters of the greeting that a voice was given, and that no call has played."""
        return 0 if self._greeting is None else self._greeting.characters_left

    @property
    def wasted(self) -> Usage | None:
        """The same, as the voice told of its use; None where nothing was wasted, or it told nothing."""
        if self._spoken is None or not self.wasted_characters:
            return None
        told = self._spoken
        return Usage(
            provider=told.provider, model=told.model, characters=self.wasted_characters, estimated=told.estimated
        )

    @property
    def costs(self) -> Costs:
        """What was spent so far and no call's meter was told: for nothing, if none comes."""
        bill = Bill(tuple(price_usage(usage, role, self._prices) for role, usage in self._costs))
        return Costs(all=bill, wasted=bill)

    @property
    def unclaimed(self) -> tuple[Usage, ...]:
        """What was spent so far and no call's meter was told."""
        return tuple(usage for _, usage in self._costs)

    # --- before the call ----------------------------------------------------------------------------------------------

    def park(self, role: ProviderRole, recipe: Recipe[Any], nursery: trio.Nursery, greeting: Greeting | None) -> None:
        """Open a session of this recipe, where that is free or asked for. ``greeting`` is recorded with it."""
        limit = recipe.idle_limit if isinstance(recipe, Parkable) else 0.0
        if greeting is not None:
            self._greeting, self._voice = greeting, recipe
        elif limit <= 0:
            return
        parked: Parked[Any] = Parked(
            recipe,
            partial(recipe.open, attrs.evolve(self._context, meter=partial(self._meter, role))),
            limit,
            prepare=_connect if greeting is None else greeting.record,
            watch=_listen if role == "stt" else None,
        )
        self._parked[role] = recipe, parked
        self._all.append(parked)
        nursery.start_soon(parked.run, name=f"parked {role} {recipe.name}")

    # --- for the call -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def opened(
        self, role: ProviderRole, recipe: Recipe[SessionT], context: SessionContext
    ) -> AsyncIterator[SessionT]:
        """Like ``recipe.open(context)``, but with the session that waits for this call, the first time, if there is
        one that is alive and of the same language and audio; and with the greeting that is on record."""
        self._claim(role, context.meter)
        fits = self._fits(context)
        greeting = self._greeting if fits and role == "tts" and recipe == self._voice else None
        if greeting is not None:
            greeting.no_more()
        parked = self._take(role, recipe, fits)
        if parked is not None:
            async with parked.held() as session:
                if session is not None:
                    yield session if greeting is None else _voice_of(greeting, session)
                    return
        if greeting is not None and greeting.usable and greeting.audio_format is not None:
            async with _behind(greeting, recipe, context) as session:
                yield session
        else:
            async with recipe.open(context) as session:
                yield session

    async def close(self) -> None:
        """The call is over: close what it did not use, within a bound."""
        for parked in self._all:
            parked.close()
        with bounded_cleanup(RELEASE):
            for parked in self._all:
                await parked.over.wait()
        self.closed.set()

    def _take(self, role: ProviderRole, recipe: Recipe[SessionT], fits: bool) -> Parked[SessionT] | None:
        of, parked = self._parked.get(role, (None, None))
        if parked is None or of != recipe:
            return None
        del self._parked[role]
        if not fits:
            parked.close()
        return parked if parked.usable else None

    def _fits(self, context: SessionContext) -> bool:
        ours = self._context
        return ours == attrs.evolve(context, call_id=ours.call_id, meter=ours.meter, opening=ours.opening)

    def _meter(self, role: ProviderRole, usage: Usage) -> None:
        if role == "tts":
            self._spoken = usage
        if role in self._meters:
            self._meters[role](usage)
        else:
            self._costs.append((role, usage))

    def _claim(self, role: ProviderRole, meter: Callable[[Usage], None]) -> None:
        """The call is here: from now on its meter is told."""
        self._on_claim()
        self._meters.setdefault(role, meter)
        costs, self._costs = self._costs, []
        for spent, usage in costs:
            self._meter(spent, usage)


@attrs.define
class Prewarming:
    """What an engine's calls that are not answered yet have in common: a limit, and what it comes to."""

    max_greetings: int = MAX_GREETINGS
    prices: PriceTable = attrs.field(factory=PriceTable.load)
    """Of what is made ready for nobody."""
    refused: int = 0
    """Greetings that were not recorded, because there were ``max_greetings``."""
    wasted_characters: int = 0
    """Of greetings that were recorded and that nobody heard."""
    _greetings: set[Greeting] = attrs.field(factory=set, init=False)
    """On record, or being recorded, for calls that are not there yet."""

    @property
    def greetings(self) -> int:
        """How many greetings wait for their calls."""
        return len(self._greetings)

    @asynccontextmanager
    async def prewarmed(
        self, recipes: Mapping[ProviderRole, Recipe[Any]], context: SessionContext, greeting: str = ""
    ) -> AsyncIterator[Prewarm]:
        """Open sessions of these recipes, and close on leaving what is left of them.

        ``context`` is the call's, as far as it is known; ``greeting`` is to be recorded, and may be empty.
        """
        recorded = self._new_greeting(greeting, context.language, recipes["tts"].name) if greeting else None
        waiting: set[Greeting] = set() if recorded is None else {recorded}
        prewarm = Prewarm(context, partial(self._greetings.difference_update, waiting), self.prices)
        try:
            async with trio.open_nursery() as nursery:
                for role, recipe in recipes.items():
                    prewarm.park(role, recipe, nursery, recorded if role == "tts" else None)
                yield prewarm
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise single(group) from None
        finally:
            self._greetings -= waiting
            self._count(prewarm)

    def _new_greeting(self, text: str, language: str, voice: str) -> Greeting | None:
        if self.greetings >= self.max_greetings:
            self.refused += 1
            log.warning("a greeting is not recorded ahead of its call: %d are already", self.greetings)
            return None
        greeting = Greeting(text, language, voice)
        self._greetings.add(greeting)
        return greeting

    def _count(self, prewarm: Prewarm) -> None:
        if wasted := prewarm.wasted_characters:
            self.wasted_characters += wasted
            log.info("%d characters of a greeting were spoken for nobody", wasted)


async def _connect(session: object) -> None:
    """Have a session connect that can do so ahead of its use."""
    if isinstance(session, Prewarmed):
        try:
            await session.prewarm()
        except ProviderError as error:
            log.info("not connected ahead of the call: %s", error)


async def _listen(session: SttSession) -> None:
    """A recogniser that waits has nothing to say, but learns here that its connection is lost."""
    while True:
        await session.receive()


def _voice_of(greeting: Greeting, session: Any) -> Any:
    async def at_once() -> TtsSession:
        return cast("TtsSession", session)

    return GreetingFirst(greeting, session.audio_format, at_once)


@asynccontextmanager
async def _behind(greeting: Greeting, recipe: Recipe[Any], context: SessionContext) -> AsyncIterator[Any]:
    """A voice that can say the greeting at once, while its session is being opened."""
    assert greeting.audio_format is not None
    sessions: list[TtsSession] = []
    there = trio.Event()

    async def hold() -> None:
        async with recipe.open(context) as session:
            sessions.append(session)
            there.set()
            await trio.sleep_forever()

    async def session() -> TtsSession:
        await there.wait()
        return sessions[0]

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold)
            yield GreetingFirst(greeting, greeting.audio_format, session)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise single(group) from None
