"""Cutting long speech where it hurts least."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FRAME = 0.02
_PAUSE = 0.2  # seconds over which quietness is judged: shorter dips are inside words


def quietest_pause(audio: NDArray[np.float32], sample_rate: int, earliest: float, latest: float) -> int:
    """The sample in the middle of the quietest 0.2 s of ``audio`` that begin and end within ``earliest..latest`` s."""
    size = int(sample_rate * _FRAME)
    first = int(earliest / _FRAME)
    frames = audio[first * size : int(latest / _FRAME) * size].reshape(-1, size)
    energy = np.mean(frames.astype(np.float64) ** 2, axis=1)
    width = int(_PAUSE / _FRAME)
    over_pause = np.convolve(energy, np.ones(width), mode="valid")
    return (first + int(over_pause.argmin()) + width // 2) * size
