"""A provider's session, held open for a call and reopened when it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from random import Random
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import trio

from callengine.errors import CallEngineError, ProviderError
from callengine.journal import Journal
from callengine.ports import ProviderRole, SessionContext
from callengine.wire import Backoff

SessionT = TypeVar("SessionT")
SessionT_co = TypeVar("SessionT_co", covariant=True)


FIRST_PAUSE, MAX_PAUSE = 0.25, 1.0
"""Seconds before another session is opened where one could not be: the first step, doubled up to the longest."""


class Recipe(Protocol[SessionT_co]):
    """What every provider's recipe has."""

    @property
    def name(self) -> str: ...

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[SessionT_co]: ...


Opened: TypeAlias = Callable[[ProviderRole, Recipe[Any], SessionContext], AbstractAsyncContextManager[Any]]
"""Opens a session of a recipe, or hands out one that was opened while the phone rang."""


def open_fresh(role: ProviderRole, recipe: Recipe[Any], context: SessionContext) -> AbstractAsyncContextManager[Any]:
    """The plain way (see `Opened`)."""
    del role
    return recipe.open(context)


class HeldSession(Generic[SessionT]):
    """Opens the session when it is first wanted, and keeps it until the call ends.

    ``get`` waits for it; after `ProviderError` anywhere, ``broken`` makes the task open another one. A session that
    ends while nobody uses it is replaced at once, and ``on_end`` is told why it ended.
    """

    def __init__(
        self,
        role: ProviderRole,
        recipe: Recipe[SessionT],
        context: SessionContext,
        journal: Journal,
        *,
        opened: Opened = open_fresh,
        on_end: Callable[[ProviderError], None] = lambda _: None,
    ) -> None:
        self.recipe = recipe
        self._role: ProviderRole = role
        self._context = context
        self._journal = journal
        self._opened = opened
        self._on_end = on_end
        self._backoff = Backoff(FIRST_PAUSE, MAX_PAUSE, draw=Random(f"{context.call_id} {role} {recipe.name}"))
        self._session: SessionT | None = None
        self._error: ProviderError | None = None
        self._changed = trio.Event()
        self._wanted = trio.Event()
        self._broken = trio.Event()

    @property
    def name(self) -> str:
        """The provider's."""
        return self.recipe.name

    def want(self) -> None:
        """Open it, if it is not."""
        self._wanted.set()

    async def run(self) -> None:
        """The task that holds the session."""
        while True:
            await self._wanted.wait()
            await self._hold()

    async def _hold(self) -> None:
        """Hold one session until it is broken."""
        self._broken = trio.Event()
        opened = False
        try:
            async with self._opened(self._role, self.recipe, self._context) as session:
                opened = True
                self._journal.note("provider.ready", role=self._role, provider=self.name)
                self._backoff.succeeded()
                self._set(session, None)
                await self._broken.wait()
        except* ProviderError as group:
            error = first_error(group)
            if opened and not self._broken.is_set():
                self._ended(error)
            elif not opened:
                self._wanted = trio.Event()
                self._set(None, error)
                await trio.sleep(self._backoff.failed(error.retry_after))

    def _ended(self, error: ProviderError) -> None:
        self._journal.note("provider.ended", role=self._role, provider=self.name, message=str(error))
        self._set(None, None)
        self._on_end(error)

    def _set(self, session: SessionT | None, error: ProviderError | None) -> None:
        self._session, self._error = session, error
        self._changed.set()
        self._changed = trio.Event()

    async def get(self) -> SessionT:
        """The session, once it is open. Raises `ProviderError` when it cannot be opened (and tries again next time)."""
        self._wanted.set()
        while self._session is None:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            await self._changed.wait()
        return self._session

    def broken(self, error: ProviderError) -> None:
        """The session failed: note it, and open another. One that is still being opened is waited for."""
        self._journal.note("provider.failed", role=self._role, provider=self.name, message=str(error))
        if self._session is not None:
            self._session = None
            self._broken.set()


class PartFailed(Exception):
    """Something that no `ProviderError` announced went wrong in a provider: a bug, in the part that is named."""

    def __init__(self, part: str, error: Exception) -> None:
        super().__init__(f"{part}: {type(error).__name__}: {error}")
        self.part = part
        self.error = error


@contextmanager
def blame(part: str) -> Iterator[None]:
    """Whatever unexpected is raised in here is the fault of this part."""
    try:
        yield
    except (CallEngineError, PartFailed, StopAsyncIteration):
        raise
    except Exception as error:
        raise PartFailed(part, error) from error


def first_error(group: BaseExceptionGroup[ProviderError]) -> ProviderError:
    """The first error of a group: a provider that uses a nursery has its errors in one."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ProviderError)
    return error
