"""An engine for programs without an event loop: it serves in a thread of its own, and a `Phone`'s methods block.

>>> with callengine.running(engine) as phone:
...     outcome = phone.dial("+15005550001")
"""

from __future__ import annotations

import concurrent.futures
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import trio

from callengine.cleanup import single
from callengine.engine import Engine
from callengine.errors import CallEngineError, EngineStopped
from callengine.loading import Progress
from callengine.outbound.calls import OutboundCall
from callengine.outbound.errors import NotAnswered
from callengine.outbound.outcomes import DialOutcome
from callengine.programs import Program

GRACE = 1.0
"""Seconds in which those who wait for a call hear how it ended, once the engine has stopped."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@contextmanager
def running(engine: Engine, *, progress: Progress | None = None) -> Iterator[Phone]:
    """Serve this engine in a thread of its own, and hand out the phone of it.

    Ready on entry: what stops the engine from serving (a port in use, a missing part) is raised here. Leaving drains:
    no new calls, live ones may end (``drain_timeout``). Leaving with an exception, such as Ctrl-C, ends them at once.
    If the engine fails in between, whoever waits for a call gets its error, and else it is raised on leaving.

    Listeners and stories of the engine run in its threads, not in this one. Raises `CallEngineError` inside a Trio
    program: ``await nursery.start(engine.serve)`` is for that.
    """
    if trio.lowlevel.in_trio_run():
        raise CallEngineError("running() would block the event loop: use await nursery.start(engine.serve) instead")
    loop = _Loop(engine, progress)
    try:
        addresses = loop.start()
        yield Phone(engine, addresses, loop)
    except BaseException as error:
        loop.cancel()
        loop.wait_for_the_end()
        if loop.error is not None and loop.error is not error:
            log.error("the engine had failed, too", exc_info=loop.error)
        raise
    loop.drain()


class Phone:
    """An engine that serves in another thread. Its methods block, and may be called from any thread but the engine's.

    All of them raise what the engine's own raise, and `EngineStopped` once it has stopped.
    """

    def __init__(self, engine: Engine, addresses: list[Any], loop: _Loop) -> None:
        self.engine = engine
        self.addresses = addresses
        """Where it listens: pairs of host and port."""
        self._loop = loop

    def dial(self, to: str, program: Program | None = None, **options: Any) -> DialOutcome:
        """Call somebody, and return how it went once it is over: ``answered`` or ``voicemail``.

        ``options`` are those of `Engine.dial`. Raises `NotAnswered` with every other outcome. An exception that
        arrives meanwhile, such as Ctrl-C, hangs up.
        """
        call = self.start(to, program, **options)
        try:
            return call.wait()
        except BaseException:
            call.let_go()
            raise

    def start(self, to: str, program: Program | None = None, **options: Any) -> PhoneCall:
        """Call somebody, and return while it rings."""
        call = self._loop.result(self._loop.submit(partial(self.engine.dial, to, program, **options)))
        return PhoneCall(call, self._loop)

    def send_message(self, to: str, text: str, *, sender: str | None = None, carrier: str | None = None) -> str:
        """Send a text message; returns the carrier's name for it."""
        send = partial(self.engine.send_message, to, text, sender=sender, carrier=carrier)
        return self._loop.result(self._loop.submit(send))


class PhoneCall:
    """A call that was started."""

    def __init__(self, call: OutboundCall, loop: _Loop) -> None:
        self._call = call
        self._loop = loop
        self._outcome = loop.submit(call.wait)

    def wait(self, timeout: float | None = None) -> DialOutcome:
        """How it went, once it is over. Raises `NotAnswered`; and `TimeoutError`, which leaves the call alone."""
        outcome = self._loop.result(self._outcome, timeout)
        if not outcome.answered:
            raise NotAnswered(outcome)
        return outcome

    def hang_up(self) -> None:
        """End it, ringing or not; `wait` says when it is over. One that is over already is no error."""
        self._loop.result(self._loop.submit(self._hang_up))

    def let_go(self) -> None:
        """End it, without waiting for that."""
        if not self._outcome.done():
            self._loop.submit(self._hang_up)

    async def _hang_up(self) -> None:
        self._call.hang_up()


class _Loop:
    """The thread in which an engine serves.

    ``_over`` is the end of it, and every wait in another thread is also a wait for that: nobody waits for an engine
    that is gone.
    """

    def __init__(self, engine: Engine, progress: Progress | None) -> None:
        self._engine = engine
        self._progress = progress
        self._ready: Future[list[Any]] = Future()
        self._over: Future[None] = Future()
        self._scope = trio.CancelScope()
        self._unwanted = False
        self._token: trio.lowlevel.TrioToken | None = None
        self._visits: trio.Nursery | None = None
        self._thread = threading.Thread(target=self._run, name="callengine")

    # --- in the engine's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:
            self._over.set_exception(single(error))
        else:
            self._over.set_result(None)

    async def _main(self) -> None:
        with self._scope:
            self._token = trio.lowlevel.current_trio_token()
            if self._unwanted:  # whoever wanted it gone could not reach it yet
                return
            async with trio.open_nursery() as self._visits:
                async with trio.open_nursery() as serving:
                    serve = partial(self._engine.serve, signals=False, progress=self._progress)
                    self._ready.set_result(await serving.start(serve))
                self._visits.cancel_scope.deadline = trio.current_time() + GRACE

    async def _visit(self, work: Callable[[], Awaitable[T]], future: Future[T]) -> None:
        try:
            result = await work()
        except trio.Cancelled:  # the engine is gone: its end is the answer
            raise
        except BaseException as error:
            future.set_exception(error)  # it is its asker's, not the engine's
        else:
            future.set_result(result)

    # --- in others --------------------------------------------------------------------------------------------------

    @property
    def error(self) -> BaseException | None:
        """What the engine failed with, once it is over."""
        return self._over.exception() if self._over.done() else None

    def start(self) -> list[Any]:
        self._thread.start()
        return self.result(self._ready)

    def submit(self, work: Callable[[], Awaitable[T]]) -> Future[T]:
        """Do this in the engine's thread."""
        if threading.current_thread() is self._thread:
            raise CallEngineError("a phone's methods would block the engine's own thread: use the engine's, with await")
        future: Future[T] = Future()

        def begin() -> None:
            with suppress(RuntimeError):  # too late: the end is the answer
                if self._visits is not None:
                    self._visits.start_soon(self._visit, work, future)

        self._call_soon(begin)
        return future

    def result(self, future: Future[T], timeout: float | None = None) -> T:
        """What became of it. Raises its error, or the engine's, or `TimeoutError`."""
        either: list[Future[Any]] = [future, self._over]
        concurrent.futures.wait(either, timeout, return_when=FIRST_COMPLETED)
        if future.done():
            return future.result()
        if not self._over.done():
            raise TimeoutError(f"it is not over after {timeout:g} s")
        self._over.result()
        raise EngineStopped("the engine has stopped: it does nothing any more")

    def drain(self) -> None:
        """Let live calls end, then the engine; wait for that. Raises what the engine failed with."""
        try:
            self.submit(self._engine.drain)
            self._over.result()
        except BaseException:
            self.cancel()
            self.wait_for_the_end()
            raise

    def cancel(self) -> None:
        """End everything at once."""
        self._unwanted = True
        self._call_soon(self._scope.cancel)

    def wait_for_the_end(self) -> None:
        """Until the thread is gone, whatever it ended with."""
        if self._thread.ident is not None:
            self._thread.join()

    def _call_soon(self, work: Callable[[], object]) -> None:
        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(work)
