"""A provider's session, held open for a call and reopened when it breaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Generic, Protocol, TypeVar

import trio

from callengine.errors import CallEngineError, ProviderError
from callengine.journal import Journal
from callengine.ports import SessionContext

SessionT = TypeVar("SessionT")
SessionT_co = TypeVar("SessionT_co", covariant=True)


FIRST_PAUSE, MAX_PAUSE = 0.25, 1.0
"""Seconds before another session is opened where one could not be: the first, doubled up to the longest."""


class Recipe(Protocol[SessionT_co]):
    """What every provider's recipe has."""

    @property
    def name(self) -> str: ...

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[SessionT_co]: ...


class HeldSession(Generic[SessionT]):
    """Opens the session when the call starts, beside everything else, and keeps it until the call ends.

    ``get`` waits for it; after `ProviderError` anywhere, ``broken`` makes the task open another one.
    """

    def __init__(self, role: str, recipe: Recipe[SessionT], context: SessionContext, journal: Journal) -> None:
        self._role = role
        self._recipe = recipe
        self._context = context
        self._journal = journal
        self._session: SessionT | None = None
        self._error: ProviderError | None = None
        self._changed = trio.Event()
        self._wanted = trio.Event()

    @property
    def name(self) -> str:
        """The provider's."""
        return self._recipe.name

    async def run(self) -> None:
        """The task that holds the session."""
        pause = 0.0
        while True:
            await trio.sleep(pause)
            try:
                async with self._recipe.open(self._context) as session:
                    self._journal.note("provider.ready", role=self._role, provider=self.name)
                    pause = 0.0
                    self._set(session, None)
                    await self._wanted.wait()
            except* ProviderError as group:
                pause = min(MAX_PAUSE, pause * 2 or FIRST_PAUSE)
                self._set(None, first_error(group))
                await self._wanted.wait()
            self._wanted = trio.Event()

    def _set(self, session: SessionT | None, error: ProviderError | None) -> None:
        self._session, self._error = session, error
        self._changed.set()
        self._changed = trio.Event()

    async def get(self) -> SessionT:
        """The session, once it is open. Raises `ProviderError` when it cannot be opened (and tries again next time)."""
        while self._session is None:
            if self._error is not None:
                error, self._error = self._error, None
                self._wanted.set()
                raise error
            await self._changed.wait()
        return self._session

    def broken(self, error: ProviderError) -> None:
        """The session failed: note it, and open another. One that is still being opened is waited for."""
        self._journal.note("provider.failed", role=self._role, provider=self.name, message=str(error))
        if self._session is not None:
            self._session = None
            self._wanted.set()


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
