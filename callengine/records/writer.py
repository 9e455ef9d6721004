"""Journals to files: one task that writes the records of all calls in batches.

Calls hand their records over without waiting. What the disk cannot take in time waits in a bounded buffer; beyond the
bound, audio is given up before facts.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from logging import getLogger
from pathlib import Path

import trio

from callengine.cleanup import bounded_cleanup, single
from callengine.errors import ConfigurationError
from callengine.journal import Record
from callengine.records.files import CallFiles

logger = getLogger(__name__)

CAPACITY = 50_000
"""Records that may wait. A call with the audio setting writes about 90 a second (50 frames, 31 windows, 10 slices):
200 such calls may wait for a stalled disk for almost three seconds, 200 calls without it for minutes."""
INTERVAL = 0.25
"""Seconds over which records are gathered: files that somebody looks at stay current, and 200 calls cost four
thread hand-overs a second."""
BATCH = 1000
"""Records a batch: 1,000 audio records of 200 calls took 7 ms to encode and write, 28 ms with the opening of their
files, and the thread holds the interpreter for most of that."""
FLUSH_TIMEOUT = 5.0
"""Seconds that the last batch may take when the writer is left."""

_AUDIO = ("media.received", "vad.probability")
"""Kinds that are given up first: without them a journal still tells everything but the caller's waveform."""


class JournalWriter:
    """Writes every record it is given to its call's file. Made by `open_journal_writer`; `write` watches a `Journal`.

    What could not be written is counted, in `dropped_audio`, `dropped_facts` and `lost`; no call ever notices.
    """

    def __init__(self, directory: Path, *, capacity: int, interval: float, batch: int, inline: bool) -> None:
        self.dropped_audio = 0
        """Audio records given up because too much was waiting."""
        self.dropped_facts = 0
        """Other records given up: only when no audio was left to give up, or after the writer was left."""
        self._capacity = capacity
        self._interval = interval
        self._batch = batch
        self._inline = inline
        self._files = CallFiles(directory)
        self._limiter = trio.CapacityLimiter(1)  # batches are written one after the other, in order
        self._facts: deque[tuple[int, Record]] = deque()
        self._audio: deque[tuple[int, Record]] = deque()
        self._count = 0
        self._some = trio.Event()
        self._full = trio.Event()
        self._over = False

    @property
    def waiting(self) -> int:
        """Records in the buffer."""
        return len(self._facts) + len(self._audio)

    @property
    def open_files(self) -> int:
        """Calls whose file is open."""
        return self._files.open_count

    @property
    def failed_files(self) -> int:
        """Calls whose file could not be written, and was given up."""
        return self._files.failed

    @property
    def lost(self) -> int:
        """Records that belonged to such a file."""
        return self._files.lost

    def write(self, record: Record) -> None:
        """Take a record. Never blocks, never raises."""
        audio = record.kind in _AUDIO
        if self._over or (self.waiting >= self._capacity and not self._make_room(audio)):
            self._count_dropped(record, audio)
            return
        self._count += 1
        (self._audio if audio else self._facts).append((self._count, record))
        self._some.set()
        if self.waiting >= self._batch:
            self._full.set()

    def _make_room(self, audio: bool) -> bool:
        """Give up the oldest audio; failing that, make room for a fact by giving up the oldest one."""
        if self._audio:
            self.dropped_audio += 1
            self._audio.popleft()
            return True
        if audio:
            return False
        self._count_dropped(self._facts.popleft()[1], False)
        return True

    def _count_dropped(self, record: Record, audio: bool) -> None:
        if audio:
            self.dropped_audio += 1
            return
        self.dropped_facts += 1
        if record.kind == "call.ended":
            self._files.close_soon(record.call_id)

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            with trio.move_on_after(self._interval):
                await self._full.wait()
            self._files.hand_over(self._take(self._batch))
            if not self.waiting:
                self._some = trio.Event()
            if self.waiting < self._batch:
                self._full = trio.Event()
            await self._work(self._files.write)

    def _take(self, most: int) -> list[Record]:
        """The oldest records that wait, in order."""
        facts, audio = self._facts, self._audio
        batch: list[Record] = []
        while len(batch) < most and (facts or audio):
            first = facts if not audio or (facts and facts[0][0] < audio[0][0]) else audio
            batch.append(first.popleft()[1])
        return batch

    async def _finish(self, timeout: float) -> None:
        self._over = True
        with bounded_cleanup(timeout) as scope:
            self._files.hand_over([record for _, record in heapq.merge(self._facts, self._audio, key=lambda it: it[0])])
            self._facts.clear()
            self._audio.clear()
            await self._work(self._files.finish)
        if scope.cancelled_caught:
            logger.warning(
                "the journals were not all on disk after %g s: what is missing is left to its thread", timeout
            )

    async def _work(self, job: Callable[[], None]) -> None:
        """Run a job of the files in their thread. Left early, the job goes on alone, and the next one waits for it."""
        if self._inline:
            job()
            await trio.lowlevel.checkpoint()
        else:
            await trio.to_thread.run_sync(job, limiter=self._limiter, abandon_on_cancel=True)


@asynccontextmanager
async def open_journal_writer(
    directory: str | Path,
    *,
    capacity: int = CAPACITY,
    interval: float = INTERVAL,
    batch: int = BATCH,
    flush_timeout: float = FLUSH_TIMEOUT,
    inline: bool = False,
) -> AsyncIterator[JournalWriter]:
    """Write journals to ``<directory>/<call id>.jsonl``; the directory is made where it does not exist.

    A file is opened with its call's first record and closed after ``call.ended``. Records wait at most ``interval``
    seconds and go out ``batch`` at a time; more than ``capacity`` waiting makes the writer give up audio, then facts.

    Leaving writes everything that waits and closes every file, within ``flush_timeout`` seconds, cancelled or not; a
    disk that takes longer is left to its thread, with a warning. A file that fails is given up with one line in the
    log, and counted.

    ``inline=True`` writes in the calling task, for tests on a virtual clock, which does not wait for threads.

    Raises `ConfigurationError` where the directory cannot be made, or a number makes no sense.
    """
    for name, value in {
        "capacity": capacity,
        "interval": interval,
        "batch": batch,
        "flush_timeout": flush_timeout,
    }.items():
        if not 0 < value < float("inf"):
            raise ConfigurationError(f"open_journal_writer({name}={value}): give a number above 0")
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the journals' directory {directory} cannot be made: {error}") from error
    writer = JournalWriter(directory, capacity=capacity, interval=interval, batch=batch, inline=inline)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer._run)
            try:
                yield writer
            finally:
                nursery.cancel_scope.cancel()
                await writer._finish(flush_timeout)
    except BaseExceptionGroup as group:
        raise single(group) from None
