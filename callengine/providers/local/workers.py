"""The worker threads that run local models, shared by all calls of a process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple, Unpack

import trio

from callengine.errors import ConfigurationError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Workers:
    """A bounded pool of worker threads for model inference.

    ``limit`` is how many jobs run at once. The default leaves one core to the event loop: all cores but one, at
    least one. Jobs beyond it wait their turn in order of arrival.

    ``inline=True`` runs every job in the calling task instead, after a checkpoint. That is for tests on a virtual
    clock, which does not wait for threads: inference then takes no virtual time.

    Cancellation: a cancelled `run` returns at once. Its thread finishes the job that it has (every job here is
    bounded: at most 28 s of audio, one sentence), keeps its place in the pool until then, and is counted in
    `abandoned`. A job that polls the ``stop`` event ends within a token.
    """

    def __init__(self, limit: int | None = None, *, inline: bool = False) -> None:
        if limit is None:
            limit = max(1, (os.cpu_count() or 1) - 1)
        if limit < 1:
            raise ConfigurationError(f"Workers(limit={limit}): at least one worker thread is needed")
        self.inline = inline
        self.abandoned = 0
        """How many jobs were still running in their thread when the task that wanted them was cancelled."""
        self._limiter = trio.CapacityLimiter(limit)

    @property
    def limit(self) -> int:
        """How many jobs may run at once."""
        return int(self._limiter.total_tokens)

    @property
    def busy(self) -> int:
        """How many threads have a job now, abandoned ones included."""
        return self._limiter.borrowed_tokens

    async def run(self, job: Callable[[Unpack[Ts]], T], *args: *Ts, stop: threading.Event | None = None) -> T:
        """Run ``job(*args)`` in a worker thread and return what it returns; what it raises is raised.

        ``stop`` is set when the caller is cancelled: pass the same event to the job, and poll it there.
        """
        if self.inline:
            await trio.lowlevel.checkpoint()
            return job(*args)
        running = threading.Event()

        def work() -> T:
            running.set()
            try:
                return job(*args)
            finally:
                running.clear()

        try:
            return await trio.to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=True)
        except trio.Cancelled:
            if stop is not None:
                stop.set()
            if running.is_set():
                self.abandoned += 1
            raise

    async def run_if_idle(self, job: Callable[[Unpack[Ts]], T], *args: *Ts, stop: threading.Event | None = None) -> T:
        """Like `run`, but never waits for a thread: raises `trio.WouldBlock` where all are busy."""
        # run() takes the token before it first yields, so nobody can get in between.
        if not self.inline and self._limiter.available_tokens < 1:
            raise trio.WouldBlock
        return await self.run(job, *args, stop=stop)
