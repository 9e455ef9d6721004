"""Pacing and the books."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import trio

from benchmarks.micro.timing import Row, each
from callengine.journal import Journal, JournalSettings
from callengine.services.metronome import Metronome

CALLS = 100
SECONDS = 2.0
FRAME = 0.02


def pacing() -> list[Row]:
    """Microseconds of CPU a frame and call, of 100 calls that have nothing to send: the ticking alone."""
    shared, tasks = trio.run(_by_metronome), trio.run(_by_tasks)
    return [Row(f"a frame's slot of the metronome, {CALLS} calls", shared, "us", "a sleep_until a call", tasks)]


async def _by_metronome() -> float:
    metronome = Metronome()
    end = trio.current_time() + SECONDS

    def one(due: float) -> Callable[[float], None]:
        def run(now: float) -> None:
            nonlocal due
            due += FRAME
            if now < end:
                metronome.send_at(due, run)

        return run

    start = trio.current_time()
    for call in range(CALLS):
        due = start + FRAME * call / CALLS
        metronome.send_at(due, one(due))
    before = time.thread_time()
    with trio.move_on_at(end):
        await metronome.run()
    return (time.thread_time() - before) / (CALLS * SECONDS / FRAME) * 1e6


async def _by_tasks() -> float:
    start = trio.current_time()

    async def one(call: int) -> None:
        due = start + FRAME * call / CALLS
        while True:
            due += FRAME
            await trio.sleep_until(due)

    before = time.thread_time()
    with trio.move_on_at(start + SECONDS):
        async with trio.open_nursery() as nursery:
            for call in range(CALLS):
                nursery.start_soon(one, call)
    return (time.thread_time() - before) / (CALLS * SECONDS / FRAME) * 1e6


def journal() -> list[Row]:
    """Microseconds a record."""
    return trio.run(_journal)


async def _journal() -> list[Row]:
    await trio.lowlevel.checkpoint()
    books, bare = Journal("CA0", JournalSettings()), deque[object](maxlen=20_000)

    def note() -> None:
        books.note("media.sent", utterance=1, position=800, samples=800, mark="u1:2", playout=1.25)

    def append() -> None:
        bare.append((trio.current_time(), {"utterance": 1, "position": 800, "samples": 800, "mark": "u1:2"}))

    return [Row("note a record", each(note), "us", "a tuple in a deque", each(append))]
