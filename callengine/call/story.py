"""Stories: calls that are written as a function, with or without ``async``.

A story outlives its call by a grace: `say` and `listen` raise `CallEnded` in it, and it may still write down what it
knows. A plain function runs in a worker thread with the same methods, blocking.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import trio

from callengine.audio.clip import Clip
from callengine.call.conductor import CallerTurn
from callengine.call.sender import MarkOutcome
from callengine.errors import CallEnded, ConfigurationError
from callengine.turns.heard import Heard

if TYPE_CHECKING:
    from callengine.call.call import Call

log = logging.getLogger(__name__)

AsyncStory: TypeAlias = Callable[["Call"], Awaitable[Any]]
Story: TypeAlias = AsyncStory | Callable[["BlockingCall"], Any]
"""A function of one argument, the call."""


class BlockingCall:
    """A call, for a story that is a plain function: the same methods, which block its thread.

    Raises `CallEnded` like the methods of `Call`.
    """

    def __init__(self, call: Call) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        """What a call tells of itself: ``id``, ``caller``, ``callee``, ``parameters``, ``outcome`` ..."""
        if name in ("id", "carrier", "direction", "caller", "callee", "parameters", "outcome", "ended"):
            return getattr(self._call, name)
        raise AttributeError(f"a call has no {name!r} for a blocking story")

    def say(self, what: str | Clip, *, interruptible: bool = True) -> Heard:
        """See `Call.say`."""
        return trio.from_thread.run(lambda: self._call.say(what, interruptible=interruptible))

    def listen(
        self, timeout: float | None = None, *, partials: Callable[[str], None] | None = None
    ) -> CallerTurn | None:
        """See `Call.listen`. ``partials`` is called in the engine's thread: it must not block."""
        return trio.from_thread.run(lambda: self._call.listen(timeout, partials=partials))

    def mark(self, name: str) -> MarkOutcome:
        """See `Call.mark`."""
        return trio.from_thread.run(self._call.mark, name)

    def clear(self) -> None:
        """See `Call.clear`."""
        trio.from_thread.run_sync(self._call.clear)

    def hang_up(self, reason: str = "the story hung up") -> None:
        """See `Call.hang_up`."""
        trio.from_thread.run(self._call.hang_up, reason)


async def tell(story: Story, call: Call, limiter: trio.CapacityLimiter) -> None:
    """Run a story to its end. That it outlived its call is no fault of its own: `CallEnded` is not an error."""
    try:
        if is_async(story):
            await cast("AsyncStory", story)(call)
        else:
            await _tell_in_thread(story, call, limiter)
    except CallEnded:
        pass
    except BaseExceptionGroup as group:
        rest = group.split(CallEnded)[1]
        if rest is not None:
            raise rest from None


async def _tell_in_thread(story: Callable[..., Any], call: Call, limiter: trio.CapacityLimiter) -> None:
    name = getattr(story, "__qualname__", repr(story))
    finished = False
    try:
        await trio.to_thread.run_sync(
            story, BlockingCall(call), abandon_on_cancel=True, limiter=limiter, thread_name=f"story {name}"
        )
        finished = True
    except trio.Cancelled:
        if not finished:
            call.counters["abandoned story threads"] += 1
            log.warning("call %s: the story %s is stuck in its own code; its thread is left behind", call.id, name)
        raise


def is_async(story: Story) -> bool:
    """Whether a story runs in the event loop; others run in a thread."""
    return inspect.iscoroutinefunction(story) or inspect.iscoroutinefunction(type(story).__call__)


def check_story(story: object) -> None:
    """Raise `ConfigurationError` for what cannot tell a call."""
    if not callable(story):
        raise ConfigurationError(
            f"an engine takes an Agent or a function of one argument (the call), not {type(story).__name__}"
        )
    try:
        inspect.signature(story).bind(None)
    except TypeError:
        raise ConfigurationError(
            f"{getattr(story, '__qualname__', story)!r} cannot be called with one argument: "
            "a story is a function of the call, as in `async def story(call): ...`"
        ) from None
