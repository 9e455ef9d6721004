"""Streaming resampling with a windowed sinc, as one matrix product for each chunk.

The filter is polyphase and linear in phase, and spans 32 samples of the lower of the two rates: a stream holds back
half of that, 2 ms at 8 kHz. Kernels are rounded to multiples of 2^-30, so that every sum of their products with
16-bit samples is exact in float64, in whatever order it is taken: however a stream is cut into chunks, the same samples
come out, to the bit.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd

import attrs
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from callengine.audio.format import Pcm
from callengine.errors import AudioError

RATES = range(8000, 48001)
"""Source and target rates that can be used, in Hz."""

_SPAN = 32
"""Length of the filter in samples of the lower rate: the shortest that keeps aliases of speech under -80 dB while
3.4 kHz, the upper edge of telephony, loses 0.3 dB at 8 kHz (tests/audio/test_audio_resample.py measures both)."""
_CUTOFF = 0.95
"""Of half the lower rate."""
_KAISER_BETA = 8.6
"""Window shape: about -87 dB in the stop band (Kaiser: 0.1102 * (A - 8.7))."""
_GRID = 2.0**30
"""Kernel resolution: 16 bits of sample, 30 of kernel and 2 for the sum stay under float64's 53."""
_LARGEST_PERIOD = 64
"""Source samples a period up to which block matrices pay; 441 (22,050 and 44,100 Hz) is taken window by window."""


@attrs.frozen(eq=False)
class _Design:
    """What all streams between the same two rates share."""

    up: int
    """Samples out in a period of the two rates."""
    down: int
    """Samples in a period."""
    taps: int
    kernel: NDArray[np.float64]
    """Kernel of each phase: (up, taps), each with sum 1."""
    blocks: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    """Where a period is short: what a block of samples out takes from its own block in and from the next one. The
    two halves of a Toeplitz matrix, each (block in, block out)."""


@lru_cache(maxsize=16)
def _design(source: int, target: int) -> _Design:
    divisor = gcd(source, target)
    up, down = target // divisor, source // divisor
    stretch = max(1.0, down / up)
    taps = 2 * ceil(_SPAN / 2 * stretch)
    # Tap k of phase p weighs the sample that lies `p / up` after output time, less its distance from the middle.
    time = np.arange(up)[:, None] / up - (np.arange(taps) - (taps // 2 - 1))[None, :]
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0.0, 1 - (time / (taps / 2)) ** 2)))
    kernel = np.sinc(time * _CUTOFF / stretch) * window
    kernel = np.rint(kernel / kernel.sum(axis=1, keepdims=True) * _GRID)
    kernel[np.arange(up), kernel.argmax(axis=1)] += _GRID - kernel.sum(axis=1)
    kernel /= _GRID
    blocks = _toeplitz(kernel, down) if down <= _LARGEST_PERIOD else None
    return _Design(up, down, taps, kernel, blocks)


def _toeplitz(kernel: NDArray[np.float64], down: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A block is as many periods as the filter is long, so that no output reaches further than the next block."""
    up, taps = kernel.shape
    periods = ceil(taps / down)
    both = np.zeros((2 * periods * down, periods * up))
    for out in range(periods * up):
        first = out * down // up
        both[first : first + taps, out] = kernel[out * down % up]
    return both[: periods * down], both[periods * down :]


class Resampler:
    """One stream's way from one sample rate to another; equal rates pass through untouched.

    The first sample out is in time with the first sample in, what precedes a stream counts as silence, and after
    `flush` as many samples are out as the duration asks for. Loud audio saturates. Raises `AudioError` for rates
    outside `RATES`.
    """

    def __init__(self, source: int, target: int) -> None:
        for rate in (source, target):
            if rate not in RATES:
                raise AudioError(f"{rate} Hz cannot be resampled: use {RATES.start} to {RATES[-1]} Hz")
        self._same = source == target
        self._design = _design(source, target)
        self._begin()

    def _begin(self) -> None:
        self._held = np.zeros(self._design.taps // 2 - 1)
        """The samples that are still needed; the first taps lie before the stream."""
        self._start = 0
        """Where they start: so many samples of the stream, and of the silence before it, have been let go."""
        self._taken = 0
        self._given = 0

    def push(self, pcm: Pcm) -> Pcm:
        """The next samples of the stream, any number; returns those that are ready."""
        if self._same:
            return pcm
        design = self._design
        self._taken += len(pcm)
        # An output is ready when its last tap, half a filter ahead of it, has come.
        ready = -(-(self._taken - design.taps // 2) * design.up // design.down)
        if ready <= self._given:
            self._held = np.concatenate((self._held, pcm))
            return np.empty(0, np.int16)
        return self._until(ready, pcm)

    def flush(self) -> Pcm:
        """The end of the stream: the samples still held back. The resampler is as new afterwards."""
        if self._same:
            return np.empty(0, np.int16)
        total = round(self._taken * self._design.up / self._design.down)
        rest = self._until(total, np.zeros(self._design.taps, np.int16))
        self._begin()
        return rest

    def _until(self, ready: int, pcm: Pcm) -> Pcm:
        blocks = self._design.blocks
        exact = self._by_windows(ready, pcm) if blocks is None else self._by_blocks(*blocks, ready, pcm)
        self._given = ready
        np.rint(exact, out=exact)
        np.maximum(exact, -32768, out=exact)
        return np.minimum(exact, 32767, out=exact).astype(np.int16)

    def _by_blocks(
        self, own: NDArray[np.float64], following: NDArray[np.float64], ready: int, pcm: Pcm
    ) -> NDArray[np.float64]:
        """Whole blocks in two products; the last block over silence where its samples have yet to come."""
        block_in, block_out = own.shape
        first = self._given // block_out
        count = -(-ready // block_out) - first
        held = len(self._held)
        samples = np.zeros(max((count + 1) * block_in, held + len(pcm)))
        samples[:held] = self._held
        samples[held : held + len(pcm)] = pcm
        table = samples[: (count + 1) * block_in].reshape(count + 1, block_in)
        outputs = table[:-1] @ own
        outputs += table[1:] @ following
        self._keep(samples[: held + len(pcm)], ready // block_out * block_in)
        return outputs.reshape(-1)[self._given - first * block_out : ready - first * block_out]

    def _by_windows(self, ready: int, pcm: Pcm) -> NDArray[np.float64]:
        """Each output from its own window, for rates whose common period is long."""
        design = self._design
        samples: NDArray[np.float64] = np.concatenate((self._held, pcm))
        steps = np.arange(self._given, ready) * design.down
        windows = sliding_window_view(samples, design.taps)[steps // design.up - self._start]
        outputs: NDArray[np.float64] = np.einsum("ij,ij->i", windows, design.kernel[steps % design.up])
        self._keep(samples, ready * design.down // design.up)
        return outputs

    def _keep(self, samples: NDArray[np.float64], start: int) -> None:
        """Let go of the samples that no output to come needs."""
        self._held = samples[start - self._start :].copy()
        self._start = start
