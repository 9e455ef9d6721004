"""One voice activity model for all calls.

Each call pushes its audio as it comes; at the metronome's ticks the windows that are complete go through the model in
one batch, and each call is told its probability. There is no task and no thread here: handing a batch to a thread costs
more than the inference, and a hop through a channel for each window about as much as the window's share of a batch.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from typing import Protocol

import numpy as np
import trio
from numpy.typing import NDArray

from callengine.audio.convert import to_pcm
from callengine.audio.format import Encoding, Pcm
from callengine.audio.g711 import ALAW, MULAW
from callengine.audio.resample import Resampler
from callengine.ports import Vad
from callengine.services.metronome import SLOT

MAX_ROWS = 48
"""Windows a batch at most: about half a millisecond of a core, so that a tick is never long; above 32 the cost of a
window hardly falls any further (``python -m benchmarks.micro``)."""
BACKLOG = 1.0
"""Seconds of a call's audio that may wait for the model; a stalled process or a burst from the carrier gets there."""

_PHASES = 8
"""Window boundaries of calls that start together are spread over so many places, so that their work is spread too."""

_LAWS = {"mulaw": MULAW, "alaw": ALAW}
_encoding_of = attrgetter("_encoding")


class Ticker(Protocol):
    """What the bank needs of the metronome."""

    def call_at(self, when: float, run: Callable[[float], None]) -> None:
        """Call ``run(now)`` once, on the grid, at or after ``when`` (seconds of `trio.current_time`)."""


class VadRow:
    """One call's place in a bank, from `VadBank.join`. Outside that context it takes nothing and tells nothing."""

    dropped: int
    """Windows that went past the model because too many were waiting."""

    def __init__(
        self,
        bank: VadBank,
        index: int,
        resampler: Resampler | None,
        scale: float,
        on_probability: Callable[[float, int], None],
        on_fault: Callable[[BaseException], None],
    ) -> None:
        self.dropped = 0
        self._bank = bank
        self._index = index
        self._resampler = resampler
        self._scale = scale
        """The call's samples for one of the model's."""
        self._on_probability = on_probability
        self._on_fault = on_fault
        self._open = True
        self._queued = False
        # Silence in front of the call moves its window boundaries; the positions know of it.
        stagger = index % _PHASES * (bank.model.window // _PHASES)
        self._position = -stagger
        self._encoding: Encoding = "mulaw"
        self._window_bytes = bank.model.window
        self._waiting = bytearray(MULAW.silence * stagger)
        """Audio for the model, at its rate: in one of the laws as long as nothing but that is pushed, else in l16."""

    def push(self, audio: bytes, encoding: Encoding) -> None:
        """The next audio of the call, of any length. Never blocks; callbacks come later, from the metronome.

        Raises `AudioError` where the audio does not end with a whole sample.
        """
        if encoding not in _LAWS or self._resampler or (encoding != self._encoding and self._waiting):
            self.push_pcm(to_pcm(audio, encoding))
        elif self._open:
            self._use(encoding)
            self._append(audio)

    def push_pcm(self, pcm: Pcm) -> None:
        """The same for samples, as an echo canceller returns them. May take turns with `push`."""
        if not self._open:
            return
        if self._resampler:
            pcm = self._resampler.push(pcm)
        if self._encoding != "l16":
            self._waiting[:] = to_pcm(bytes(self._waiting), self._encoding).astype("<i2").tobytes()
            self._use("l16")
        self._append(pcm.astype("<i2", copy=False).tobytes())

    def reset(self) -> None:
        """Let the model forget what it heard of this call, as after music on hold. Audio that waits stays."""
        if self._open:
            self._bank._clear(self._index)

    def _use(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._window_bytes = self._bank.model.window * (2 if encoding == "l16" else 1)

    def _append(self, audio: bytes) -> None:
        waiting = self._waiting
        waiting += audio
        if len(waiting) < self._window_bytes:
            return
        excess = len(waiting) // self._window_bytes - self._bank.backlog
        if excess > 0:
            self._skip(excess)
        if not self._queued:
            self._bank._queue(self)

    def _take(self) -> bytes:
        """The next window."""
        size = self._window_bytes
        window = bytes(self._waiting[:size])
        del self._waiting[:size]
        self._position += self._bank.model.window
        return window

    def _skip(self, windows: int) -> None:
        """Drop the oldest windows; the model goes on in the right context, if not in the right state."""
        self.dropped += windows
        for _ in range(windows):
            last = self._take()
        self._bank._remember(self._index, to_pcm(last, self._encoding))

    def _tell(self, probability: float) -> None:
        if not self._open:
            return
        try:
            self._on_probability(probability, round(self._position * self._scale))
        except Exception as error:
            self._open = False
            self._on_fault(error)


class VadBank:
    """A voice activity model shared by all calls of a process.

    ``slot`` is the ticker's; ``max_rows`` bounds a batch, the rest waits for the next tick; ``backlog`` bounds, in
    seconds, what may wait for the model in one row, where the oldest windows are dropped and counted. Memory is about a
    kilobyte a row, for as many rows as were ever taken at once.
    """

    def __init__(
        self,
        model: Vad,
        ticker: Ticker,
        *,
        slot: float = SLOT,
        max_rows: int = MAX_ROWS,
        backlog: float = BACKLOG,
    ) -> None:
        self.model = model
        self.backlog = max(1, int(backlog * model.sample_rate / model.window))
        """In windows."""
        self._ticker = ticker
        self._slot = slot
        self._max_rows = max_rows
        self._state = np.zeros((8, model.state_size), np.float32)
        self._context = np.zeros((8, model.context), np.float32)
        self._rows = 0
        self._free: list[int] = []
        self._ready: deque[VadRow] = deque()
        self._asked = False
        self._ran_at = -math.inf

    @property
    def capacity(self) -> int:
        """Rows that there is memory for; doubles when more calls join at once."""
        return len(self._state)

    @contextmanager
    def join(
        self,
        *,
        on_probability: Callable[[float, int], None],
        on_fault: Callable[[BaseException], None],
        sample_rate: int | None = None,
    ) -> Iterator[VadRow]:
        """A row for one call, inside the context; leaving it forgets all of the call's audio at once.

        ``on_probability(probability, position)`` is told each window's probability of speech and the position after
        its last sample, in samples of the call's own ``sample_rate`` (the model's, unless given). It runs in the
        metronome: it must be quick. Where it raises, the row is closed and ``on_fault`` is told the exception, once;
        other rows notice nothing. ``on_fault`` must not raise.

        Raises `AudioError` for rates that `Resampler` does not take.
        """
        ours = self.model.sample_rate
        rate = sample_rate or ours
        resampler = None if rate == ours else Resampler(rate, ours)
        row = VadRow(self, self._claim(), resampler, rate / ours, on_probability, on_fault)
        try:
            yield row
        finally:
            self._release(row)

    def _claim(self) -> int:
        if self._free:
            return self._free.pop()
        if self._rows == len(self._state):
            self._state = np.concatenate((self._state, np.zeros_like(self._state)))
            self._context = np.concatenate((self._context, np.zeros_like(self._context)))
        self._rows += 1
        return self._rows - 1

    def _release(self, row: VadRow) -> None:
        row._open = False
        row._waiting.clear()
        if row._queued:
            self._ready.remove(row)
        self._clear(row._index)
        self._free.append(row._index)

    def _clear(self, index: int) -> None:
        self._state[index] = 0
        self._context[index] = 0

    def _remember(self, index: int, window: Pcm) -> None:
        """The context of a row's next window, where that does not follow one that went through the model."""
        self._context[index] = window[-self.model.context :] / np.float32(32768)

    def _queue(self, row: VadRow) -> None:
        row._queued = True
        self._ready.append(row)
        if not self._asked:
            now = trio.current_time()
            # While there is little to do nothing is won by waiting for the next slot: the one that is running is due.
            self._ask(now if now < self._ran_at + self._slot else now - self._slot)

    def _ask(self, when: float) -> None:
        self._asked = True
        self._ticker.call_at(when, self._run)

    def _run(self, now: float) -> None:
        """One batch: a window of each row that has waited longest."""
        self._asked = False
        self._ran_at = now
        ready = self._ready
        rows = [ready.popleft() for _ in range(min(len(ready), self._max_rows))]
        if not rows:
            return
        for row in rows:
            row._queued = False
        rows.sort(key=_encoding_of)
        indices = [row._index for row in rows]
        audio = self._windows(rows)
        probabilities, state = self.model.step(audio, self._context[indices], self._state[indices])
        self._state[indices] = state
        self._context[indices] = audio[:, -self.model.context :]
        for row, probability in zip(rows, probabilities.tolist(), strict=True):
            row._tell(probability)
            if row._open and not row._queued and len(row._waiting) >= row._window_bytes:
                row._queued = True
                ready.append(row)
        if ready and not self._asked:
            # Half a slot on is still before the next tick, wherever in its slot this one came.
            self._ask(now + self._slot / 2)

    def _windows(self, rows: list[VadRow]) -> NDArray[np.float32]:
        """The next window of each row, which are in order of their encodings: one look-up for all of each encoding."""
        audio = np.empty((len(rows), self.model.window), np.float32)
        end = 0
        for encoding, group in groupby(rows, _encoding_of):
            windows = [row._take() for row in group]
            start, end = end, end + len(windows)
            data, target = b"".join(windows), audio[start:end].reshape(-1)
            if encoding == "l16":
                np.multiply(np.frombuffer(data, "<i2"), np.float32(1 / 32768), out=target)
            else:
                _LAWS[encoding].float_table.take(np.frombuffer(data, np.uint8), out=target, mode="clip")
        return audio
