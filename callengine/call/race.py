"""Asking several providers for the same, one after the other or side by side: the first good answer wins."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

import attrs
import trio

from callengine.call.budget import Budget
from callengine.cleanup import bounded_cleanup, single
from callengine.errors import ProviderError

ItemT = TypeVar("ItemT")
ItemT_co = TypeVar("ItemT_co", covariant=True)
SourceT = TypeVar("SourceT", bound="Source[Any]")


LEAVING = 0.1
"""Seconds that whoever reads an answer may take to stop when both he and the asking are cancelled."""


class Source(Protocol[ItemT_co]):
    """A stream of results."""

    async def __anext__(self) -> ItemT_co: ...


@attrs.frozen(eq=False)
class Contender(Generic[SourceT]):
    """One that may be asked. ``ask`` is left when its answer was read, or lost: that ends the work for it."""

    name: str
    who: object
    ask: Callable[[], AbstractAsyncContextManager[SourceT]]
    lost: Callable[[ProviderError], None]
    """Told that it failed, or was too slow."""
    empty: str = "an empty answer"
    """What is said of it when it gave nothing."""
    slow_after: float = math.inf
    """Seconds after which the next one is asked beside it."""
    most: float = math.inf
    """Seconds that it has at most, whatever its share."""
    won: Callable[[], None] = lambda: None
    """Told that its answer is the one that is used."""


@attrs.define(eq=False)
class Won(Generic[SourceT, ItemT]):
    """The winner, and its answer, item by item: those that came first are still to be read, the last of them good."""

    contender: Contender[SourceT]
    early: deque[ItemT]
    source: SourceT
    seconds: float
    """From its being asked to its first good item."""
    _not_reading: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self._not_reading.set()

    async def __anext__(self) -> ItemT:
        if self.early:
            return self.early.popleft()
        self._not_reading = trio.Event()
        try:
            item: ItemT = await self.source.__anext__()
            return item
        finally:
            self._not_reading.set()

    async def unread(self) -> None:
        """Wait until nobody reads it: only then may it be closed, by the other task that asked for it."""
        with bounded_cleanup(LEAVING):
            await self._not_reading.wait()


@attrs.define(eq=False)
class _Try(Generic[SourceT, ItemT]):
    contender: Contender[SourceT]
    good: Callable[[ItemT], bool]
    tell: Callable[[_Try[SourceT, ItemT]], None]
    started: float
    patience: float
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    read: trio.Event = attrs.field(factory=trio.Event)
    """Its answer was read to the end."""
    won: Won[SourceT, ItemT] | None = None
    error: ProviderError | None = None

    async def run(self) -> None:
        try:
            with self.scope:
                async with self.contender.ask() as source:
                    early = await self._first(source)
                    if early:
                        self.won = Won(self.contender, early, source, trio.current_time() - self.started)
                        self.tell(self)
                        try:
                            await self.read.wait()
                        finally:
                            await self.won.unread()
                if self.won is None:
                    raise ProviderError(self.contender.name, self.contender.empty)
        except BaseException as error:
            failure = the_error(error)
            if not isinstance(failure, ProviderError) or self.won is not None:
                raise failure from None
            self.error = failure
            self.tell(self)

    async def _first(self, source: Source[Any]) -> deque[ItemT]:
        """Everything up to the first good item; nothing where there is none. Why may come out when it is left."""
        early: deque[ItemT] = deque()
        while not (early and self.good(early[-1])):
            try:
                early.append(await source.__anext__())
            except StopAsyncIteration:
                return deque()
        return early

    @property
    def hopeless(self) -> bool:
        """Whether another try at the same one would be for nothing: it refuses for good, or has had its time."""
        assert self.error is not None
        return self.error.fault == "fatal" or self.late_at <= trio.current_time()

    @property
    def late_at(self) -> float:
        return self.started + self.patience

    @property
    def slow_at(self) -> float:
        return self.started + self.contender.slow_after


@asynccontextmanager
async def first_good(
    contenders: Sequence[Contender[SourceT]], budget: Budget, good: Callable[[ItemT], bool]
) -> AsyncIterator[Won[SourceT, ItemT]]:
    """Ask the contenders until one has given something ``good``; the others, where they were asked, are cancelled.

    The next one is asked when the last one failed, has had its share of the budget, or is slow. Raises the
    `ProviderError` of the one that failed last where all did.
    """
    waiting = deque(contenders)
    told_in, told = trio.open_memory_channel[_Try[SourceT, ItemT]](len(contenders))
    try:
        async with trio.open_nursery() as nursery:
            running: list[_Try[SourceT, ItemT]] = []
            winner: _Try[SourceT, ItemT] | None = None
            error: ProviderError | None = None
            while winner is None:
                now = trio.current_time()
                if waiting and (not running or running[-1].slow_at <= now):
                    share = min(budget.share(len({id(one.who) for one in waiting})), waiting[0].most)
                    running.append(_Try(waiting.popleft(), good, told_in.send_nowait, now, share))
                    nursery.start_soon(running[-1].run)
                if not running:
                    assert error is not None
                    raise error
                winner, failure = await _news(running, told, budget, hedged=bool(waiting))
                if failure is not None:
                    error = failure.error
                    if failure.hopeless:
                        waiting = deque(one for one in waiting if one.who is not failure.contender.who)
            for other in running:
                if other.error is not None:  # it failed at the moment at which another one won
                    other.contender.lost(other.error)
                elif other is not winner:
                    other.scope.cancel()
            assert winner.won is not None
            yield winner.won
            winner.read.set()
    except BaseExceptionGroup as group:
        raise the_error(group) from None


async def _news(
    running: list[_Try[SourceT, ItemT]],
    told: trio.MemoryReceiveChannel[_Try[SourceT, ItemT]],
    budget: Budget,
    *,
    hedged: bool,
) -> tuple[_Try[SourceT, ItemT] | None, _Try[SourceT, ItemT] | None]:
    """Wait for the next that happens: a winner, or one that failed and is over; neither when one is slow."""
    slow_at = running[-1].slow_at if hedged else math.inf
    late_at = min(one.late_at for one in running)
    news = None
    with budget.waiting(running[0].contender.name), trio.move_on_at(min(slow_at, late_at)):
        news = await told.receive()
    if news is None:
        try:
            news = told.receive_nowait()  # it happened at this very moment
        except trio.WouldBlock:
            late = [one for one in running if one.late_at <= trio.current_time()]
            if not late:
                return None, None
            news = late[0]
            news.scope.cancel()
            news.error = ProviderError(news.contender.name, f"no answer for {news.patience:g} s")
    if news not in running:  # it was given up before, whatever came of it while it was being cancelled
        return None, None
    if news.won is not None:
        return news, None
    assert news.error is not None
    running.remove(news)
    news.contender.lost(news.error)
    return None, news


def the_error(error: BaseException) -> BaseException:
    """The one error in a group of one, or the first of several that are all a provider's; else the group."""
    error = single(error)
    if isinstance(error, BaseExceptionGroup) and error.split(ProviderError)[1] is None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
    return error
