"""Callers' words for the local recogniser, and workers that can be watched."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import trio
import trio.testing

from callengine.audio import MULAW, Pcm, read_wav
from callengine.ports import SttResult, SttSession
from callengine.providers.local.workers import Workers

CALLERS = Path(__file__).parents[1] / "data" / "callers"
SILENCE = np.zeros(1600, np.int16)
"""0.2 s, as a call keeps before an utterance and waits for after it."""


def clip(name: str) -> Pcm:
    """A caller's words after the telephone line's mu-law, between two short silences."""
    pcm, rate = read_wav(CALLERS / f"{name}.wav")
    assert rate == 8000
    return np.concatenate([SILENCE, MULAW.decode(MULAW.encode(pcm)), SILENCE])


def plain(text: str) -> str:
    return re.sub(r"[^a-z' ]", "", text.lower().replace("-", " ")).strip()


def blocks(pcm: Pcm, rate: int = 8000) -> list[Pcm]:
    """100 ms each."""
    return [pcm[at : at + rate // 10] for at in range(0, len(pcm), rate // 10)]


async def send_all(session: SttSession, pcm: Pcm, rate: int = 8000) -> None:
    for block in blocks(pcm, rate):
        await session.send(block)


async def final(session: SttSession) -> SttResult:
    """The next final, past any interim results."""
    while True:
        result = await session.receive()
        if result.final:
            return result


async def said(session: SttSession, utterance: int, pcm: Pcm, rate: int = 8000) -> str:
    """One utterance from beginning to end."""
    await session.start_utterance(utterance)
    await send_all(session, pcm, rate)
    await session.pause()
    await session.end_utterance()
    result = await final(session)
    assert result.utterance == utterance
    return plain(result.text)


class WatchedWorkers(Workers):
    """Workers that count their jobs, and tell when a job has begun in its thread."""

    def __init__(self, limit: int | None = None, *, inline: bool = False) -> None:
        super().__init__(limit, inline=inline)
        self.jobs = 0
        self.begun = threading.Event()

    async def run(self, job: Callable[..., Any], *args: Any, stop: threading.Event | None = None) -> Any:  # type: ignore[override]  # passes all on
        def watched(*args: Any) -> Any:
            self.jobs += 1
            self.begun.set()
            return job(*args)

        return await super().run(watched, *args, stop=stop)

    async def until_begun(self) -> None:
        await trio.to_thread.run_sync(self.begun.wait, 10)


@asynccontextmanager
async def kept_busy(workers: Workers) -> AsyncIterator[None]:
    """While the context lasts, a worker has something else to do."""
    release = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.run, release.wait, 10)
        await trio.testing.wait_all_tasks_blocked()
        try:
            yield
        finally:
            release.set()
