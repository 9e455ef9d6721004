"""Cancelling something at every moment of its life."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import trio

CLEAN_UP = 0.25
"""Seconds in which everything of a call must be released."""


class _CancelsAfter(trio.abc.Instrument):
    """Cancels a scope before the n-th step that any task makes."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self.at: float | None = None
        """When it did."""
        self._left = steps
        self._scope = scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        self._left -= 1
        if self._left == 0:
            self.at = trio.current_time()
            self._scope.cancel()


async def cancelled_after(steps: int, work: Callable[[], Awaitable[object]], *, within: float = CLEAN_UP) -> bool:
    """Do the work, and cancel it after so many steps of all tasks; returns whether it was over before that.

    Raises AssertionError where it takes more than ``within`` seconds to leave.
    """
    scope = trio.CancelScope()
    cancels = _CancelsAfter(steps, scope)
    trio.lowlevel.add_instrument(cancels)
    try:
        with scope:
            await work()
            cancelled_at = cancels.at  # a cancellation that came too late to matter
            return cancelled_at is None
    finally:
        trio.lowlevel.remove_instrument(cancels)
        if cancels.at is not None:
            took = trio.current_time() - cancels.at
            assert took <= within + 1e-9, f"cancelled at step {steps}, left {took:.3f} s later"
    return False


def stages(dense: int = 60, growth: float = 1.12) -> Iterator[int]:
    """The steps after which to cancel: each of the first ones, where connections are made, then ever fewer."""
    yield from range(1, dense)
    steps = dense
    while True:
        yield steps
        steps = round(steps * growth) + 1
