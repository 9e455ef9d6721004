"""How loud audio is, and adding it up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from callengine.audio.format import Pcm

SILENCE_DBFS = -120.0
"""What `rms_dbfs` says of digital silence: below any level that 16 bits can carry for a second."""

_KNEE = 0.7
"""Of full scale (-3.1 dBFS): up to there `mix` is an exact sum, so that one voice alone is left as it is."""


def rms_dbfs(pcm: Pcm) -> float:
    """The level of some audio, in dB below a square wave of full scale; `SILENCE_DBFS` for silence and for nothing."""
    if not len(pcm):
        return SILENCE_DBFS
    samples = pcm.astype(np.float64)
    power = float(samples @ samples) / len(pcm) / 32768**2
    return max(SILENCE_DBFS, 10 * float(np.log10(power))) if power else SILENCE_DBFS


def add(*tracks: Pcm) -> Pcm:
    """The sum of tracks that start together, saturated at full scale. Shorter ones end with silence."""
    return _sum(tracks).clip(-32768, 32767).astype(np.int16)


def mix(*tracks: Pcm) -> Pcm:
    """Like `add`, but peaks are bent towards full scale instead of cut, which sounds far less harsh."""
    total = _sum(tracks) / 32767
    size = np.abs(total)
    bent = _KNEE + (1 - _KNEE) * np.tanh((size - _KNEE) / (1 - _KNEE))
    mixed: Pcm = np.rint(np.copysign(np.where(size > _KNEE, bent, size), total) * 32767).astype(np.int16)
    return mixed


def _sum(tracks: tuple[Pcm, ...]) -> NDArray[np.int32]:
    total = np.zeros(max(map(len, tracks), default=0), np.int32)
    for track in tracks:
        total[: len(track)] += track
    return total
