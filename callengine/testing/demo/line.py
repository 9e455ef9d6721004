"""What a telephone line does to a voice: the band of 300 to 3400 Hz, mu-law, and a little noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from callengine.audio import MULAW, Pcm

RATE = 8000
"""Hz."""
BAND = (300.0, 3400.0)
"""Hz that a telephone channel passes (ITU-T G.712)."""
NOISE_DBFS = -65.0
"""Root mean square of the noise, on the scale of `callengine.audio.rms_dbfs`: a quiet line, of the loudness of mu-law's
own smallest steps."""

_TAPS = 255
_KAISER_BETA = 6.0
"""With `_TAPS`: 60 dB below 240 Hz, 1 dB down at 300 Hz, and no more than 16 ms of delay, which is taken out."""
_NOISE_SECONDS = 8
"""After which the noise repeats, without a seam."""


def through_the_band(voice: Pcm) -> Pcm:
    """A voice as it sounds behind the telephone's band-pass: 8 kHz in and out, as long as before, not shifted."""
    filtered = np.convolve(voice.astype(np.float64), _band_pass(), mode="same")
    limited: Pcm = np.rint(filtered).clip(-32768, 32767).astype(np.int16)
    return limited


class NoisyLine:
    """A line with noise on it: a `callengine.testing.carrier.Leg.background`. The same seed makes the same noise."""

    def __init__(self, *, noise_dbfs: float = NOISE_DBFS, seed: int = 0) -> None:
        self._noise = _noise(noise_dbfs, np.random.default_rng(seed))
        self._position = 0

    def __call__(self, due: float, frame: bytes) -> bytes:
        """A frame of the caller (mu-law), with the line's noise added. ``due`` does not matter."""
        del due
        at = np.arange(self._position, self._position + len(frame)) % len(self._noise)
        self._position += len(frame)
        mixed = MULAW.decode(frame) + self._noise[at]
        return MULAW.encode(np.rint(mixed).clip(-32768, 32767).astype(np.int16))


def _band_pass() -> NDArray[np.float64]:
    """A windowed sinc, of linear phase."""
    centre = np.arange(_TAPS) - (_TAPS - 1) / 2
    low, high = (edge / RATE for edge in BAND)
    ideal = 2 * high * np.sinc(2 * high * centre) - 2 * low * np.sinc(2 * low * centre)
    taps: NDArray[np.float64] = ideal * np.kaiser(_TAPS, _KAISER_BETA)
    return taps


def _noise(dbfs: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Noise in the telephone's band, whose end fits its beginning."""
    size = _NOISE_SECONDS * RATE
    frequencies = np.fft.rfftfreq(size, 1 / RATE)
    spectrum = random.normal(size=frequencies.size) + 1j * random.normal(size=frequencies.size)
    spectrum[(frequencies < BAND[0]) | (frequencies > BAND[1])] = 0
    noise: NDArray[np.float64] = np.fft.irfft(spectrum, size)
    noise *= 32768 * 10 ** (dbfs / 20) / np.sqrt(np.mean(noise**2))
    return noise
