"""What was spent on something that may turn out to be for nothing: a guess, a provider that loses to a faster one.

Everything that providers tell of their use is written down at once. A purse remembers what was spent in it; closed as
wasted, it writes the same down again, as wasted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import attrs

from callengine.journal import Journal
from callengine.ports import ProviderRole, SessionContext, Usage

_open: ContextVar[Purse | None] = ContextVar("_open", default=None)


@attrs.define(eq=False)
class Purse:
    """Of one attempt. ``turn`` is the one that it is for, where that is not the caller's newest."""

    journal: Journal
    turn: int | None = None
    wasted: bool = True
    """What is true unless somebody says otherwise before it is closed."""
    _outer: Purse | None = None
    _spent: list[dict[str, Any]] = attrs.field(factory=list, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    @contextmanager
    def opened(self) -> Iterator[Purse]:
        """What is spent in here, and in the tasks that are started in here, is spent from this purse."""
        self._outer = _open.get()
        token = _open.set(self)
        try:
            yield self
        finally:
            _open.reset(token)
            self._closed = True
            for entry in self._spent:
                self._pass_on(entry)
            self._spent.clear()

    def keep(self) -> None:
        """It was for something."""
        self.wasted = False

    @property
    def of_turn(self) -> int | None:
        """The turn it is for; None: the newest."""
        return self.turn if self.turn is not None or self._outer is None else self._outer.of_turn

    def spend(self, entry: dict[str, Any]) -> None:
        """This was spent. Some vendors tell it late, when the purse is closed."""
        if self._closed:
            self._pass_on(entry)
        else:
            self._spent.append(entry)

    def _pass_on(self, entry: dict[str, Any]) -> None:
        if self.wasted:
            self.journal.note("usage.wasted", **entry)
        elif self._outer is not None:
            self._outer.spend(entry)


def metered(context: SessionContext, role: ProviderRole, journal: Journal, turn: Callable[[], int]) -> SessionContext:
    """A context whose sessions' use is written down for this role; ``turn`` is the caller's newest."""

    def meter(usage: Usage) -> None:
        purse = _open.get()
        of_turn = turn() if purse is None or purse.of_turn is None else purse.of_turn
        figures = attrs.asdict(usage, filter=lambda _, value: bool(value))
        entry = {"turn": of_turn, "role": role, **figures}
        journal.note("usage", **entry)
        if purse is not None:
            purse.spend(entry)

    return attrs.evolve(context, meter=meter)


class Attempts:
    """What a session is asked for, one attempt after the other, and what each of them cost.

    A session that ``context`` opens may tell of its use in a task of its own: then it is of the newest attempt.
    """

    def __init__(self, context: SessionContext) -> None:
        self._meter = context.meter
        self._last: Purse | None = None
        self.context = attrs.evolve(context, meter=self._tell)

    @contextmanager
    def attempt(self, purse: Purse) -> Iterator[None]:
        """What is spent in here, or for what is asked for in here, is spent from this purse."""
        self._last = purse
        with purse.opened():
            yield

    def _tell(self, usage: Usage) -> None:
        if _open.get() is not None or self._last is None:
            self._meter(usage)
            return
        token = _open.set(self._last)
        try:
            self._meter(usage)
        finally:
            _open.reset(token)
