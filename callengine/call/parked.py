"""A provider's session that was opened before its call is there, and waits for it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, Protocol, TypeVar

import trio

from callengine.cleanup import bounded_cleanup, single, unless
from callengine.errors import ProviderError

SessionT = TypeVar("SessionT")

RELEASE = 0.25
"""Seconds in which a session that its call leaves has closed: a call's own clean-up."""

log = logging.getLogger(__name__)


class _Recipe(Protocol):
    @property
    def name(self) -> str: ...


class Parked(Generic[SessionT]):
    """One session. `run` is its task: it opens it, keeps it while it waits and while the call holds it, and closes it.

    It waits for ``idle_limit`` seconds, and at least until ``prepare`` is done. ``watch`` runs while it waits, and
    raises where the connection is lost. Nobody else uses the session until it is `held`, once.
    """

    def __init__(
        self,
        recipe: _Recipe,
        open_session: Callable[[], AbstractAsyncContextManager[SessionT]],
        idle_limit: float,
        *,
        prepare: Callable[[SessionT], Awaitable[None]],
        watch: Callable[[SessionT], Awaitable[None]] | None = None,
    ) -> None:
        self._name = recipe.name
        self._open_session = open_session
        self._idle_limit = idle_limit
        self._prepare = prepare
        self._watch = watch
        self._scope = trio.CancelScope()
        self._session: SessionT | None = None
        self._error: Exception | None = None
        self._leaving = False
        """Whether nobody has come for it in time."""
        self._wanted = trio.Event()
        self._handed = trio.Event()
        """The session may be used by whoever wants it, or there is none."""
        self._left = trio.Event()
        self._taker: trio.CancelScope | None = None
        self.over = trio.Event()
        """Set when nothing of it is left."""

    @property
    def usable(self) -> bool:
        """Whether there is a session, or one is being opened."""
        return not (self._leaving or self._scope.cancel_called or self.over.is_set())

    def close(self) -> None:
        """Give it up, used or not; `over` says when that is done."""
        self._scope.cancel()

    # --- its task -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live; what goes wrong is told to whoever holds it, or logged where nobody does."""
        try:
            with self._scope:
                await self._live()
        except* Exception as group:
            self._error = _first(group)
        finally:
            self.over.set()
            self._handed.set()
            if self._taker is not None:
                self._taker.cancel()
        if self._error is not None and not self._wanted.is_set():
            if isinstance(self._error, ProviderError):
                log.warning("a session that waits for its call was lost: %s", self._error)
            else:
                log.error("%s failed while it waited for a call", self._name, exc_info=self._error)

    async def _live(self) -> None:
        async with self._open_session() as session:
            self._session = session
            async with trio.open_nursery() as nursery:
                prepared = trio.Event()
                nursery.start_soon(self._get_ready, session, prepared)
                await self._wait(session, prepared)
                if not self._leaving:
                    self._handed.set()
                    await self._left.wait()
                nursery.cancel_scope.cancel()

    async def _get_ready(self, session: SessionT, prepared: trio.Event) -> None:
        try:
            await self._prepare(session)
        except ProviderError:
            if not self._wanted.is_set():
                raise
        prepared.set()

    async def _wait(self, session: SessionT, prepared: trio.Event) -> None:
        """Until somebody wants it, or for as long as it may."""
        async with trio.open_nursery() as nursery:
            if self._watch is not None:
                nursery.start_soon(self._watch, session)
            with trio.move_on_after(self._idle_limit):
                await self._wanted.wait()
            if not self._wanted.is_set():
                await unless(self._wanted, prepared.wait)
            self._leaving = not self._wanted.is_set()
            nursery.cancel_scope.cancel()

    # --- for the call -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def held(self) -> AsyncIterator[SessionT | None]:
        """Take it over, as if it was opened here: what breaks it comes out of here, and leaving closes it.

        None where it was lost while it waited. Raises `ProviderError` where it cannot be opened.
        """
        self._wanted.set()
        try:
            await self._handed.wait()
            if not self.over.is_set():
                with trio.CancelScope() as self._taker:
                    yield self._session
            elif self._session is None and self._error is not None:
                raise self._error
            else:
                yield None
        except BaseException:
            self._scope.cancel()  # as an error ends a session that was opened in the same task
            raise
        finally:
            self._left.set()
            with bounded_cleanup(RELEASE):
                await self.over.wait()
            self._scope.cancel()
        if self._taker is not None and self._taker.cancelled_caught:
            raise self._error or ProviderError(self._name, "the session was closed")


def _first(group: BaseException) -> Exception:
    """The first error of a group: a provider that uses a nursery has its errors in one."""
    error = single(group)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error
