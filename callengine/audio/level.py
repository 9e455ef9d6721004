"""How loud audio is."""

from __future__ import annotations

import numpy as np

from callengine.audio.format import Pcm

SILENCE_DBFS = -120.0
"""What `rms_dbfs` says of digital silence: below any level that 16 bits can carry for a second."""


def rms_dbfs(pcm: Pcm) -> float:
    """The level of some audio, in dB below a square wave of full scale; `SILENCE_DBFS` for silence and for nothing."""
    if not len(pcm):
        return SILENCE_DBFS
    samples = pcm.astype(np.float64)
    power = float(samples @ samples) / len(pcm) / 32768**2
    return max(SILENCE_DBFS, 10 * float(np.log10(power))) if power else SILENCE_DBFS
