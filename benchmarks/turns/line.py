"""The caller's end of the line: what he says and what his room adds, mixed to the sample."""

from __future__ import annotations

from collections import deque
from math import ceil

import numpy as np
from numpy.typing import NDArray

from benchmarks.turns.script import Line
from benchmarks.turns.voices import Clip
from callengine.audio import MULAW
from callengine.testing.demo.line import BAND, RATE
from callengine.testing.playout import PlayoutQueue

GRID = 0.16
"""Seconds: what is said begins on this grid of the stream, which carrier frames (20 ms) and VAD windows (32 ms) share.
So a clip sounds the same to the recogniser in every variant, whenever it is said, and needs to be decoded only once."""
AHEAD = 0.36
"""Seconds before a clip from which the line's noise is the same too: the utterance's pre-roll and a window."""
NOISE = 4 * RATE
"""Samples after which the noise repeats."""


class CallersLine:
    """Makes the frames that the carrier sends: a `callengine.testing.carrier.Leg.background`."""

    def __init__(self, line: Line, queue: PlayoutQueue, started_at: float, seed: int) -> None:
        self._line = line
        self._news = queue.listener()
        self._started_at = started_at
        self._noise = _noise(line.noise, np.random.default_rng(seed))
        self._noise_from = 0
        self._said: deque[tuple[int, NDArray[np.float32]]] = deque()
        self._back: deque[tuple[int, NDArray[np.float32]]] = deque()
        self.played: list[tuple[float, float]] = []
        """When the agent's audio was played (engine time, from and to), adjoining stretches joined."""

    def next_start(self, at: float) -> float:
        """The first moment on the grid that is not before ``at`` (engine time)."""
        return self._started_at + ceil((at - self._started_at) / GRID - 1e-9) * GRID

    def say(self, clip: Clip, start: float, *, first: bool = True) -> None:
        """Put a clip on the line; its first sample is at ``start`` (engine time), in the future."""
        index = round((start - self._started_at) * RATE)
        gain = np.float32(10 ** (self._line.voice / 20))
        self._said.append((index, clip.audio * gain))
        if first:
            self._noise_from = index - round(AHEAD * RATE)

    def __call__(self, due: float, frame: bytes) -> bytes:
        """The frame that ends at ``due``; the carrier's own is silent."""
        size = len(frame)
        index = round((due - self._started_at) * RATE) - size
        self._listen(due)
        mixed = self._noise[np.arange(index - self._noise_from, index - self._noise_from + size) % NOISE].copy()
        _mix(mixed, self._said, index)
        _mix(mixed, self._back, index)
        return MULAW.encode(np.rint(mixed).clip(-32768, 32767).astype(np.int16))

    def _listen(self, now: float) -> None:
        for stretch in self._news(now):
            ends = stretch.start + len(stretch.audio) / RATE
            if self.played and stretch.start - self.played[-1][1] < 1e-3:
                self.played[-1] = (self.played[-1][0], ends)
            else:
                self.played.append((stretch.start, ends))
            if self._line.echo is not None:
                index = round((stretch.start + self._line.echo_delay - self._started_at) * RATE)
                quieter = MULAW.decode(stretch.audio) * np.float32(10 ** (self._line.echo / 20))
                self._back.append((index, quieter.astype(np.float32)))


def _mix(frame: NDArray[np.float32], sounds: deque[tuple[int, NDArray[np.float32]]], index: int) -> None:
    """Add what sounds in this frame, whose first sample has this index, and forget what is over."""
    while sounds and sounds[0][0] + len(sounds[0][1]) <= index:
        sounds.popleft()
    for start, audio in sounds:
        offset = start - index
        if offset < len(frame):
            part = audio[max(0, -offset) : max(0, len(frame) - offset)]
            frame[max(0, offset) : max(0, offset) + len(part)] += part


def _noise(dbfs: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Noise in the telephone's band, whose end fits its beginning."""
    frequencies = np.fft.rfftfreq(NOISE, 1 / RATE)
    spectrum = random.normal(size=frequencies.size) + 1j * random.normal(size=frequencies.size)
    spectrum[(frequencies < BAND[0]) | (frequencies > BAND[1])] = 0
    noise = np.fft.irfft(spectrum, NOISE)
    noise *= 32768 * 10 ** (dbfs / 20) / np.sqrt(np.mean(noise**2))
    return noise.astype(np.float32)
