"""Ending things: bounded clean-up, and work that stops when something happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")


def bounded_cleanup(seconds: float) -> trio.CancelScope:
    """A scope for clean-up that must run although its surroundings were cancelled, for at most ``seconds``.

    The project's only shield.
    """
    return trio.CancelScope(deadline=trio.current_time() + seconds, shield=True)


async def unless(event: trio.Event, work: Callable[[], Awaitable[T]]) -> tuple[bool, T | None]:
    """Do the work, but stop it when the event happens; returns whether it was finished, and its result.

    Errors of the work come out as they are.
    """
    finished, result = False, None

    async def stop(scope: trio.CancelScope) -> None:
        await event.wait()
        scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop, nursery.cancel_scope)
            result = await work()
            finished = True
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise single(group) from None
    return finished, result


def single(error: BaseException) -> BaseException:
    """The one error in a group of one (of one ...), else the group. Cancellations of several tasks are one."""
    while isinstance(error, BaseExceptionGroup):
        others = error.split(trio.Cancelled)[1]
        if len(error.exceptions) > 1 and others is not None:
            break
        error = error.exceptions[0]
    return error
