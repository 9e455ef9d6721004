"""What smart-turn hears: the last eight seconds of a turn as a log-mel spectrogram.

The recipe is that of Whisper's feature extractor (OpenAI, "whisper/audio.py": 25 ms windows every 10 ms, 80 mel bands,
logarithm, the quietest 8 decades below the peak cut off), over eight seconds, of audio that was brought to mean 0 and
variance 1. Where the model's own repository ("smart-turn", Daily) goes its own way it says so in its README: short
audio is padded in front, so that what was said last is always at the end.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

SAMPLE_RATE = 16000
"""Hz of the audio."""
SECONDS = 8
"""What the model sees; of a longer turn the end."""
SAMPLES = SECONDS * SAMPLE_RATE
BANDS = 80
FRAMES = 100 * SECONDS

_WINDOW = 400
_HOP = 160
_EPSILON = 1e-7
"""Added to the variance, as the feature extractor for Whisper in the package transformers does."""
_FLOOR = 1e-10
_RANGE = 8.0
"""Decades under the loudest point that are kept."""


def log_mel(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features of shape ``(80, 800)`` for audio of shape ``(samples,)`` at 16 kHz, in -1..1, of any length."""
    audio = audio[-SAMPLES:]
    whole = np.zeros(SAMPLES, np.float32)
    whole[SAMPLES - len(audio) :] = audio
    whole = (whole - whole.mean()) / np.sqrt(whole.var() + _EPSILON)
    padded = np.pad(whole, _WINDOW // 2, mode="reflect").astype(np.float64)
    frames = sliding_window_view(padded, _WINDOW)[::_HOP][:FRAMES]
    spectrum = np.fft.rfft(frames * _HANN, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    mel = np.log10(np.maximum(_MEL_BANK @ power.T, _FLOOR))
    scaled: NDArray[np.float32] = ((np.maximum(mel, mel.max() - _RANGE) + 4) / 4).astype(np.float32)
    return scaled


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's mel scale: 15 mels of 66.7 Hz up to 1 kHz, logarithmic from there (27 mels for a factor of 6.4)."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def _mel_bank() -> NDArray[np.float64]:
    """Triangles over the bins of the spectrum, each of the same area: (bands, bins)."""
    highest = 15 + 27 * np.log(SAMPLE_RATE / 2 / 1000) / np.log(6.4)
    corners = _hertz(np.linspace(0, highest, BANDS + 2))[:, None]
    bins = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)[None, :]
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    rising = (bins - low) / (middle - low)
    falling = (high - bins) / (high - middle)
    bank: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)
    return bank


_MEL_BANK = _mel_bank()
_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
