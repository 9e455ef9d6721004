"""Stories: calls that are written as a function, with or without ``async``.

A story outlives its call by a grace: `say` and `listen` raise `CallEnded` in it, and it may still write down what it
knows. A plain function runs in a worker thread with the same methods, blocking.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import trio

from callengine.audio.clip import Clip
from callengine.call.items import CallerTurn
from callengine.call.sender import MarkOutcome
from callengine.call.telephone import RING
from callengine.errors import CallEnded, ConfigurationError
from callengine.turns.entities import EntityKind
from callengine.turns.heard import Heard

if TYPE_CHECKING:
    from callengine.call.call import Call

T = TypeVar("T")

_TOLD = frozenset(
    {
        "id",
        "carrier",
        "direction",
        "caller",
        "callee",
        "person",
        "parameters",
        "came_back",
        "capabilities",
        "outcome",
        "ended",
    }
)
"""What a call tells of itself, also to a blocking story."""

log = logging.getLogger(__name__)

AsyncStory: TypeAlias = Callable[["Call"], Awaitable[Any]]
Story: TypeAlias = AsyncStory | Callable[["BlockingCall"], Any]
"""A function of one argument, the call."""


class StoryThreads:
    """Where stories that are plain functions are told: in a thread each, for as long as they tell.

    ``watch`` is called, in the engine's thread, with +1 when a thread goes about its own code and with -1 when it is
    back to wait for its call, or over: nobody but the thread knows how long that takes.
    """

    def __init__(self, total: int) -> None:
        self.limiter = trio.CapacityLimiter(total)
        self.watch: Callable[[int], None] = lambda _: None


class _Away:
    """Whether one story's thread is in its own code."""

    def __init__(self, watch: Callable[[int], None]) -> None:
        self._watch = watch
        self.now = False

    def set(self, away: bool) -> None:
        if away != self.now:
            self.now = away
            self._watch(1 if away else -1)

    def abandon(self) -> None:
        """Whatever the thread does from now on, nobody waits for it."""
        self.set(False)
        self._watch = lambda _: None


class BlockingCall:
    """A call, for a story that is a plain function: the same methods, which block its thread.

    Raises `CallEnded` like the methods of `Call`.
    """

    def __init__(self, call: Call, away: _Away) -> None:
        self._call = call
        self._away = away

    def _wait(self, work: Callable[[], Awaitable[T]]) -> T:
        async def visit() -> T:
            self._away.set(False)
            try:
                return await work()
            finally:
                self._away.set(True)

        return trio.from_thread.run(visit)

    def __getattr__(self, name: str) -> Any:
        """What a call tells of itself: ``id``, ``caller``, ``callee``, ``parameters``, ``outcome`` ..."""
        if name in _TOLD:
            return getattr(self._call, name)
        raise AttributeError(f"a call has no {name!r} for a blocking story")

    def say(self, what: str | Clip, *, interruptible: bool = True) -> Heard:
        """See `Call.say`."""
        return self._wait(lambda: self._call.say(what, interruptible=interruptible))

    def listen(
        self, timeout: float | None = None, *, partials: Callable[[str], None] | None = None
    ) -> CallerTurn | None:
        """See `Call.listen`. ``partials`` is called in the engine's thread: it must not block."""
        return self._wait(lambda: self._call.listen(timeout, partials=partials))

    def collect_digits(
        self,
        *,
        max_length: int | None = None,
        terminator: str | None = "#",
        timeout: float = 10.0,
        inter_digit: float | None = None,
    ) -> str:
        """See `Call.collect_digits`."""
        return self._wait(
            lambda: self._call.collect_digits(
                max_length=max_length, terminator=terminator, timeout=timeout, inter_digit=inter_digit
            )
        )

    def expect(self, kind: EntityKind, *, length: int | None = None) -> None:
        """See `Call.expect`."""
        trio.from_thread.run_sync(lambda: self._call.expect(kind, length=length))

    def mark(self, name: str) -> MarkOutcome:
        """See `Call.mark`."""
        return self._wait(lambda: self._call.mark(name))

    def clear(self) -> None:
        """See `Call.clear`."""
        trio.from_thread.run_sync(self._call.clear)

    def hold(self, music: Clip | None = None) -> None:
        """See `Call.hold`."""
        trio.from_thread.run_sync(lambda: self._call.hold(music))

    def unhold(self) -> None:
        """See `Call.unhold`."""
        trio.from_thread.run_sync(self._call.unhold)

    def transfer(self, to: str, *, caller_id: str | None = None, timeout: float = RING) -> None:
        """See `Call.transfer`."""
        self._wait(lambda: self._call.transfer(to, caller_id=caller_id, timeout=timeout))

    def transfer_warm(self, to: str, *, briefing: str, timeout: float = RING, music: Clip | None = None) -> None:
        """See `Call.transfer_warm`."""
        self._wait(lambda: self._call.transfer_warm(to, briefing=briefing, timeout=timeout, music=music))

    def refer(self, to: str) -> None:
        """See `Call.refer`."""
        self._wait(lambda: self._call.refer(to))

    def send_digits(self, digits: str) -> None:
        """See `Call.send_digits`."""
        self._wait(lambda: self._call.send_digits(digits))

    def start_recording(self, consent: str | Clip | None = None) -> str:
        """See `Call.start_recording`."""
        return self._wait(lambda: self._call.start_recording(consent))

    def stop_recording(self, recording_id: str) -> None:
        """See `Call.stop_recording`."""
        self._wait(lambda: self._call.stop_recording(recording_id))

    def send_message(self, text: str, to: str | None = None) -> str:
        """See `Call.send_message`."""
        return self._wait(lambda: self._call.send_message(text, to))

    def hang_up(self, reason: str = "the story hung up") -> None:
        """See `Call.hang_up`."""
        self._wait(lambda: self._call.hang_up(reason))


async def tell(story: Story, call: Call, threads: StoryThreads) -> None:
    """Run a story to its end. That it outlived its call is no fault of its own: `CallEnded` is not an error."""
    try:
        if is_async(story):
            await cast("AsyncStory", story)(call)
        else:
            name = getattr(story, "__qualname__", repr(story))
            work = cast("Callable[[BlockingCall], Any]", story)
            await in_thread(work, call, threads, kind="story", name=name)
    except CallEnded:
        pass
    except BaseExceptionGroup as group:
        rest = group.split(CallEnded)[1]
        if rest is not None:
            raise rest from None


async def in_thread(work: Callable[[BlockingCall], T], call: Call, threads: StoryThreads, *, kind: str, name: str) -> T:
    """Run a plain function of the user's, a story's or a tool's (``kind``), in a thread.

    Cancelled, it does not wait for a thread that is in its own code: that is left behind, and counted.
    """
    away = _Away(threads.watch)
    away.set(True)
    try:
        return await trio.to_thread.run_sync(
            work,
            BlockingCall(call, away),
            abandon_on_cancel=True,
            limiter=threads.limiter,
            thread_name=f"{kind} {name}",
        )
    except trio.Cancelled:
        if away.now:  # else it waits for the call, and is told at once
            call.counters[f"abandoned {kind} threads"] += 1
            log.warning("call %s: the %s %s is stuck in its own code; its thread is left behind", call.id, kind, name)
        raise
    finally:
        away.abandon()


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
