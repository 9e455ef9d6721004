"""A provider's session, held open for a call and reopened when it breaks."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol, TypeVar

import trio

from callengine.errors import ProviderError
from callengine.journal import Journal
from callengine.ports import SessionContext

SessionT = TypeVar("SessionT")
SessionT_co = TypeVar("SessionT_co", covariant=True)


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
        while True:
            try:
                async with self._recipe.open(self._context) as session:
                    self._journal.note("provider.ready", role=self._role, provider=self.name)
                    self._set(session, None)
                    await self._wanted.wait()
            except ProviderError as error:
                self._set(None, error)
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
        """The session failed: note it, and open another."""
        self._journal.note("provider.failed", role=self._role, provider=self.name, message=str(error))
        self._session = None
        self._wanted.set()
