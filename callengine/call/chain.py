"""The providers of one role in a call, in the order in which they stand in for each other."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, TypeVar

import trio

from callengine.call.held import HeldSession, Opened, Recipe, open_fresh
from callengine.call.purse import Attempts, Purse
from callengine.call.race import Contender, SourceT
from callengine.errors import ProviderError
from callengine.journal import Journal
from callengine.ports import ProviderRole, SessionContext
from callengine.services.health import Health

SessionT = TypeVar("SessionT")

AGAIN = 3.0
"""Seconds for a voice whose last try failed: whatever is to be said is an apology by then, and the line is silent. A
model that is slow once, because it is being loaded, may be as slow again."""

_EMPTY = {"tts": "a sentence without any audio", "llm": "a reply without any words"}


class Chain(Generic[SessionT]):
    """Sessions of the providers of a role, held for a call: the first that works from its start, others when wanted.

    A call stays with the one that took over (two voices in one call are one too many) until that fails; the next call
    begins again with the first that works.
    """

    def __init__(
        self,
        role: ProviderRole,
        recipes: Sequence[Recipe[SessionT]],
        context: SessionContext,
        journal: Journal,
        health: Health,
        *,
        hedged: bool = False,
        opened: Opened = open_fresh,
    ) -> None:
        self._role: ProviderRole = role
        self._journal = journal
        self._health = health
        self._hedged = hedged
        self._attempts = [Attempts(context) for _ in recipes]
        self._held = [
            HeldSession(role, recipe, attempts.context, journal, opened=opened, on_end=self._on_end(recipe))
            for recipe, attempts in zip(recipes, self._attempts, strict=True)
        ]
        first = health.in_order(role, recipes)[0]
        self._current = next(held for held in self._held if held.recipe is first)

    def _on_end(self, recipe: Recipe[SessionT]) -> Callable[[ProviderError], None]:
        return lambda error: self._health.failed(self._role, recipe, error)

    @property
    def name(self) -> str:
        """Of the provider that the call is with."""
        return self._current.name

    @property
    def length(self) -> int:
        """How many providers there are."""
        return len(self._held)

    async def run(self) -> None:
        """The task that holds the sessions."""
        async with trio.open_nursery() as nursery:
            for held in self._held:
                nursery.start_soon(held.run)
            self._current.want()

    def contenders(
        self, ask: Callable[[HeldSession[SessionT]], AbstractAsyncContextManager[SourceT]]
    ) -> list[Contender[SourceT]]:
        """Who is to be asked, in order. One that has nobody to stand in for it is asked twice."""
        recipes = [held.recipe for held in self._held]
        ordered = self._health.in_order(self._role, recipes)
        works = not self._health.record(self._role, self._current.recipe).down
        held = sorted(self._held, key=lambda one: (not (works and one is self._current), _index(ordered, one.recipe)))
        return [self._contender(one, ask) for one in (held if len(held) > 1 else held * 2)]

    def _contender(
        self, held: HeldSession[SessionT], ask: Callable[[HeldSession[SessionT]], AbstractAsyncContextManager[SourceT]]
    ) -> Contender[SourceT]:
        purse = Purse(self._journal)
        attempts = self._attempts[self._held.index(held)]

        @asynccontextmanager
        async def asked() -> AsyncIterator[SourceT]:
            with self._health.trial(self._role, held.recipe), attempts.attempt(purse):
                async with ask(held) as source:
                    yield source

        def lost(error: ProviderError) -> None:
            self.failed(held, error)

        record = self._health.record(self._role, held.recipe)
        return Contender(
            held.name,
            held,
            asked,
            lost,
            empty=_EMPTY.get(self._role, "nothing"),
            slow_after=record.slow_after if self._hedged and len(self._held) > 1 else math.inf,
            most=AGAIN if record.down and self._role == "tts" else math.inf,
            won=purse.keep,
        )

    def took(self, contender: Contender[SourceT], seconds: float) -> HeldSession[SessionT]:
        """It answered, after so many seconds: the call is with it from now on."""
        contender.won()
        held = next(one for one in self._held if one is contender.who)
        self._health.succeeded(self._role, held.recipe, seconds)
        if held is not self._current:
            self._journal.note("provider.switched", role=self._role, provider=held.name, before=self._current.name)
            self._current = held
        return held

    def failed(self, held: HeldSession[SessionT], error: ProviderError) -> None:
        """It failed: its session is replaced, and others are asked before it for a while."""
        held.broken(error)
        self._health.failed(self._role, held.recipe, error)


def _index(recipes: Sequence[Recipe[SessionT]], recipe: Recipe[SessionT]) -> int:
    return next(index for index, one in enumerate(recipes) if one is recipe)
