"""How much one signal is a late copy of another."""

from __future__ import annotations

import numpy as np

from callengine.audio.format import Pcm


def likeness(near: Pcm, far: Pcm) -> float:
    """How much of ``near`` is ``far``, later: the largest normalised correlation over all lags, 0 to 1.

    ``far`` ends when ``near`` does, and is longer by the largest lag that is looked for. 1: the same signal, however
    quiet; unrelated speech of half a second stays under 0.25, and silence is 0.
    """
    lags = len(far) - len(near)
    size = 1 << (len(far) + len(near) - 1).bit_length()
    x, y = near.astype(np.float64), far.astype(np.float64)
    products = np.fft.irfft(np.fft.rfft(y, size) * np.conj(np.fft.rfft(x, size)), size)[: lags + 1]
    sums = np.concatenate(([0.0], np.cumsum(y * y)))
    energies = (sums[len(near) :] - sums[: lags + 1]) * float(np.dot(x, x))
    alike = np.abs(products) / np.sqrt(np.maximum(energies, 1.0))
    return float(min(1.0, alike.max()))
