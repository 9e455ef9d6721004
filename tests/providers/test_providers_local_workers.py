from __future__ import annotations

import os
import threading

import pytest
import trio
import trio.testing

from callengine.errors import ConfigurationError
from callengine.providers.local.workers import Workers


class Gate:
    """A job that says when it has begun, and ends when told to (or when the event it polls is set)."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.release = threading.Event()
        self.finished = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        self.release.wait(10)
        self.finished.set()
        return "done"

    async def until_begun(self) -> None:
        await trio.to_thread.run_sync(self.begun.wait, 10)


async def test_run_returns_what_the_job_returns() -> None:
    assert await Workers(1).run(divmod, 7, 3) == (2, 1)


async def test_run_raises_what_the_job_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        await Workers(1).run(divmod, 7, 0)


async def test_jobs_run_in_other_threads_unless_inline() -> None:
    here = threading.get_ident()
    assert await Workers(1).run(threading.get_ident) != here
    assert await Workers(inline=True).run(threading.get_ident) == here


async def test_inline_jobs_let_other_tasks_run_first() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await Workers(inline=True).run(pytest.fail, "a cancelled task began a job")
    assert scope.cancelled_caught


async def test_limit_bounds_how_many_jobs_run_at_once() -> None:
    workers = Workers(2)
    gates = [Gate(), Gate(), Gate()]
    async with trio.open_nursery() as nursery:
        for gate in gates:
            nursery.start_soon(workers.run, gate)
        await trio.testing.wait_all_tasks_blocked()
        assert workers.busy == 2
        with pytest.raises(trio.WouldBlock):
            await workers.run_if_idle(str)
        for gate in gates:
            gate.release.set()
    assert all(gate.finished.is_set() for gate in gates)
    assert workers.busy == 0
    assert await workers.run_if_idle(str, 5) == "5"


def test_default_limit_leaves_a_core_to_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert Workers().limit == 7
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert Workers().limit == 1


def test_a_pool_without_threads_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="limit=0"):
        Workers(0)


async def test_a_cancelled_caller_leaves_at_once_and_its_thread_keeps_its_place_until_it_is_done() -> None:
    workers, gate, stop = Workers(1), Gate(), threading.Event()
    async with trio.open_nursery() as nursery:

        async def wanted_for_a_while() -> None:
            await workers.run(gate, stop=stop)

        nursery.start_soon(wanted_for_a_while)
        await gate.until_begun()
        nursery.cancel_scope.cancel()

    # The caller is gone, its job is not.
    assert stop.is_set()
    assert not gate.finished.is_set()
    assert (workers.abandoned, workers.busy) == (1, 1)
    # When the job is done, the pool serves the next.
    gate.release.set()
    assert await workers.run(str, 7) == "7"
    assert workers.abandoned == 1


async def test_a_caller_cancelled_in_the_queue_abandons_nothing() -> None:
    workers, gate, queued = Workers(1), Gate(), Gate()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.run, gate)
        await gate.until_begun()
        with trio.move_on_after(0):
            await workers.run(queued)
        gate.release.set()
    assert workers.abandoned == 0
    assert not queued.begun.is_set()
