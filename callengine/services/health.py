"""How providers fare, over all calls of an engine: who is asked first, who is left alone for a while, who is slow."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs
import trio

from callengine.errors import ProviderError
from callengine.ports import Probed, ProviderRole
from callengine.wire import Backoff, Wire

RecipeT = TypeVar("RecipeT")

FATAL_PAUSE = 300.0
"""Seconds for which a provider is left alone whose failure no new attempt can mend: somebody has to pay a bill or to
mend a key first."""

KEPT = 128
"""Providers that are remembered: a program that makes recipes for every call does not fill the memory."""

REMEMBERED = 100
"""First results of a provider whose times are remembered."""

ENOUGH = 20
"""Of them, so many must be there before one can be called slow: a p95 of fewer is the slowest of them."""

INSTANT = 0.005
"""Seconds: a result within that comes from a recording, and says nothing of how fast the provider is."""

PROBE_TIMEOUT = 10.0
"""Seconds for a vendor's free request."""

log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Record:
    """What is known of one provider."""

    role: ProviderRole
    recipe: Any
    backoff: Backoff = attrs.field(factory=lambda: Backoff(first=0.5, longest=60.0))
    down_until: float = -math.inf
    """On trio's clock; it is left alone until then."""
    down: bool = False
    """Whether its last try failed."""
    on_trial: bool = False
    """Whether one call tries whether it works again."""
    firsts: deque[float] = attrs.field(factory=lambda: deque(maxlen=REMEMBERED))
    """Seconds to the first result of its last requests."""

    @property
    def slow_after(self) -> float:
        """Its p95 of the time to the first result; infinity while too little is known."""
        if len(self.firsts) < ENOUGH:
            return math.inf
        return sorted(self.firsts)[math.ceil(0.95 * len(self.firsts)) - 1]


class Health:
    """The records of one engine's providers.

    A provider that failed is left alone for a while that grows; then it is asked, at no cost, whether it is back
    (`ports.Probed`), or one single call tries it where it cannot be asked. One that nobody else can stand in for is
    always tried.
    """

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._changed = trio.Event()

    def record(self, role: ProviderRole, recipe: object) -> Record:
        """What is known of this provider. Equal recipes are one."""
        for index, record in enumerate(self._records):
            if record.role == role and (record.recipe is recipe or record.recipe == recipe):
                self._records.append(self._records.pop(index))
                return record
        self._records.append(Record(role, recipe))
        del self._records[:-KEPT]
        return self._records[-1]

    def in_order(self, role: ProviderRole, recipes: Sequence[RecipeT]) -> list[RecipeT]:
        """These providers as they should be tried: the ones that work, as they stand; behind them those that do not,
        the one that has been left alone for longest first."""
        now = trio.current_time()
        return sorted(recipes, key=lambda recipe: self._rank(self.record(role, recipe), now))

    def _rank(self, record: Record, now: float) -> float:
        if not record.down:
            return -math.inf
        free = now >= record.down_until and not record.on_trial and not isinstance(record.recipe, Probed)
        return -math.inf if free else max(record.down_until, 0.0)

    def failed(self, role: ProviderRole, recipe: object, error: ProviderError) -> None:
        """It failed; the ordinary end of a session is no failure."""
        if error.fault == "reopen":
            return
        record = self.record(role, recipe)
        pause = record.backoff.failed(error.retry_after)
        if not record.down:
            log.warning("%s: %s is left alone for a while: %s", role, getattr(recipe, "name", recipe), error)
        record.down = True
        record.down_until = trio.current_time() + (FATAL_PAUSE if error.fault == "fatal" else pause)
        self._wake()

    def succeeded(self, role: ProviderRole, recipe: object, first: float | None = None) -> None:
        """It works; ``first`` is the seconds until its first result, where that says something of its speed."""
        record = self.record(role, recipe)
        if record.down:
            log.info("%s: %s works again", role, getattr(recipe, "name", recipe))
        record.down, record.down_until = False, -math.inf
        record.backoff.succeeded()
        if first is not None and first > INSTANT:
            record.firsts.append(first)

    @contextmanager
    def trial(self, role: ProviderRole, recipe: object) -> Iterator[None]:
        """While a call tries it: nobody else does so where it is not known whether it works. However this is left, the
        next one may try again."""
        record = self.record(role, recipe)
        mine = record.down and not record.on_trial
        record.on_trial = record.on_trial or mine
        try:
            yield
        finally:
            if mine:
                record.on_trial = False

    async def probe(self, wire: Wire) -> None:
        """Ask those that failed whether they are back, when their time has come. Runs until cancelled."""
        while True:
            due = [record for record in self._records if record.down and isinstance(record.recipe, Probed)]
            now = trio.current_time()
            changed = self._changed
            await self._ask_all((record for record in due if record.down_until <= now), wire)
            with trio.move_on_at(min((record.down_until for record in due if record.down), default=math.inf)):
                await changed.wait()

    async def _ask_all(self, records: Iterable[Record], wire: Wire) -> None:
        async with trio.open_nursery() as nursery:
            for record in records:
                nursery.start_soon(self._ask, record, wire)

    async def _ask(self, record: Record, wire: Wire) -> None:
        name = getattr(record.recipe, "name", "a provider")
        error: ProviderError | None = ProviderError(name, f"no answer within {PROBE_TIMEOUT:g} s")
        try:
            with trio.move_on_after(PROBE_TIMEOUT):
                await record.recipe.probe(wire)
                error = None
        except ProviderError as failure:
            error = failure
        except Exception:  # somebody's own recipe: calls go on without it
            log.exception("%s: asking %s whether it is back failed", record.role, name)
        if error is None:
            self.succeeded(record.role, record.recipe)
        else:
            self.failed(record.role, record.recipe, error)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
