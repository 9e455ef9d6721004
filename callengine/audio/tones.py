"""The tones of telephone keys, as audio.

Source of the frequencies: ITU-T Recommendation Q.23, "Technical features of push-button telephone sets".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from callengine.audio.format import Pcm
from callengine.audio.resample import RATES
from callengine.errors import ConfigurationError

ROWS = (697, 770, 852, 941)
"""Hz of the low group: one for each row of keys."""
COLUMNS = (1209, 1336, 1477, 1633)
"""Hz of the high group: one for each column."""

SHORT_PAUSE = 0.5
"""Seconds that ``w`` waits, as in Twilio's ``SendDigits``."""
LONG_PAUSE = 1.0
"""Seconds that ``W`` waits."""
SHORTEST = 0.04
"""Seconds of a tone, and of a gap, that every receiver has to recognise: the longest that an administration asks for
in ITU-T Q.24, table A-1."""
LOUDEST = -6.03
"""dBFS a tone: the two of a key, at their peaks together, just fit into 16 bits."""
MOST_KEYS = 100
"""Keys and pauses in a row; more is no extension and no account number, but a mistake."""

_EDGE = 0.005
"""Seconds in which a tone rises and falls, along a raised cosine, so that it does not click."""
_KEYS = ("123A", "456B", "789C", "*0#D")
_FREQUENCIES = {
    key: (low, high) for low, row in zip(ROWS, _KEYS, strict=True) for high, key in zip(COLUMNS, row, strict=True)
}
_PAUSES = {"w": SHORT_PAUSE, "W": LONG_PAUSE}


def dtmf_tones(digits: str, sample_rate: int, *, tone: float = 0.1, gap: float = 0.1, level: float = -9.0) -> Pcm:
    """What a telephone sends when these keys (0-9 * # A-D) are pressed: shape ``(samples,)``.

    Each key is ``tone`` seconds of its two tones, then ``gap`` seconds of silence, the last one too; ``w`` and ``W``
    are silence of half a second and a second. ``level`` is each tone's own, in dB below a sine of full scale.

    Raises `ConfigurationError` for other keys (without quoting them), and for tones that receivers could miss.
    """
    _check(digits, sample_rate, tone, gap, level)
    amplitude = 32767 * 10 ** (level / 20)
    silence = np.zeros(round(gap * sample_rate), np.int16)
    parts: list[Pcm] = [np.zeros(0, np.int16)]
    for key in digits:
        if key in _PAUSES:
            parts.append(np.zeros(round(_PAUSES[key] * sample_rate), np.int16))
        else:
            parts += [_key(_FREQUENCIES[key], sample_rate, round(tone * sample_rate), amplitude), silence]
    return np.concatenate(parts)


def _check(digits: str, sample_rate: int, tone: float, gap: float, level: float) -> None:
    if len(digits) > MOST_KEYS:
        raise ConfigurationError(f"{len(digits)} keys are too many: send at most {MOST_KEYS} at a time")
    for place, key in enumerate(digits, 1):
        if key not in _FREQUENCIES and key not in _PAUSES:
            raise ConfigurationError(f"key {place} of {len(digits)} is none of 0-9 * # A-D, nor w or W to wait")
    if sample_rate not in RATES:
        raise ConfigurationError(f"sample_rate={sample_rate}: use {RATES.start} to {RATES.stop - 1} Hz")
    for name, seconds in (("tone", tone), ("gap", gap)):
        if not SHORTEST <= seconds <= 10:
            raise ConfigurationError(f"{name}={seconds}: receivers need at least {SHORTEST} s of it; use up to 10 s")
    if not -40 <= level <= LOUDEST:
        raise ConfigurationError(f"level={level}: use -40 to {LOUDEST} dBFS, where the two tones neither fade nor clip")


def _key(frequencies: tuple[int, int], sample_rate: int, length: int, amplitude: float) -> Pcm:
    time = np.arange(length) / sample_rate
    wave = np.sum([np.sin(2 * np.pi * frequency * time) for frequency in frequencies], axis=0)
    edge = _rise(round(_EDGE * sample_rate))
    wave[: len(edge)] *= edge
    wave[length - len(edge) :] *= edge[::-1]
    pcm: Pcm = np.rint(wave * amplitude).astype(np.int16)
    return pcm


def _rise(length: int) -> NDArray[np.float64]:
    return (1 - np.cos(np.pi * (np.arange(length) + 0.5) / length)) / 2
