"""How many times faster than real time whole calls run in the call lab."""

from __future__ import annotations

import time
from collections.abc import Collection

import trio

from benchmarks.calls_per_core.voices import CALLERS, DATA
from benchmarks.micro.timing import Row
from callengine import Agent
from callengine.testing.lab import CallLab, Part
from callengine.testing.virtual import run_virtual

EXCHANGES = 20
REPLY = "Certainly, I have a table free at eight. Shall I book it for you?"


def lab() -> list[Row]:
    """Virtual seconds a second, against the target. One call; the lab's own start and its checks included."""
    return [
        Row("scripted call", _best(), "x real time", "target", 100.0),
        Row("with the real VAD and recorded speech", _best("vad"), "x real time", "target", 50.0),
    ]


def _best(*real: Part) -> float:
    return max(_speed(real) for _ in range(3))


def _speed(real: Collection[Part]) -> float:
    before = time.perf_counter()
    virtual: float = run_virtual(_call, real)
    return virtual / (time.perf_counter() - before)


async def _call(real: Collection[Part]) -> float:
    call_lab = CallLab()
    call_lab.llm.replies(*[REPLY] * (EXCHANGES + 10))
    agent = Agent(prompt="You take bookings for Chez Trio.", greeting="Chez Trio, good evening! How can I help?")
    start = trio.current_time()
    async with call_lab.dial(agent, real=real) as caller:
        await caller.hears("How can I help?")
        for number in range(EXCHANGES):
            if "vad" in real:
                await caller.says(DATA / CALLERS[number % len(CALLERS)], text="A table for two, please.")
            else:
                await caller.says("A table for two, please.")
            await caller.hears("book it for you?")
    call_lab.assert_nothing_left()
    return trio.current_time() - start
