"""Commits: work that is finished although the reply that began it was cut. It belongs to the call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from callengine.cleanup import bounded_cleanup


class Commits:
    """Runs a call's commits in the call's nursery. When the call is over they have ``grace`` seconds left."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._over = False
        self._scopes: set[trio.CancelScope] = set()
        self._nursery: trio.Nursery | None = None

    def open(self, nursery: trio.Nursery) -> None:
        """Run them in here."""
        self._nursery = nursery

    async def do(self, work: Callable[[], Awaitable[None]], *, timeout: float) -> None:
        """Do this work, which ends by itself within ``timeout`` seconds; being cancelled here does not cancel it."""
        assert self._nursery is not None
        done = trio.Event()
        self._nursery.start_soon(self._run, work, timeout, done)
        await done.wait()

    async def _run(self, work: Callable[[], Awaitable[None]], timeout: float, done: trio.Event) -> None:
        with bounded_cleanup(self._grace if self._over else timeout + self._grace) as scope:
            self._scopes.add(scope)
            try:
                await work()
            finally:
                self._scopes.discard(scope)
                done.set()

    def end(self) -> None:
        """The call is over."""
        self._over = True
        for scope in self._scopes:
            scope.deadline = min(scope.deadline, trio.current_time() + self._grace)
