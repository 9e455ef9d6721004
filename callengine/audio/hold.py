"""What a caller on hold hears, unless the agent has music of its own."""

from __future__ import annotations

from functools import cache

import numpy as np

from callengine.audio.clip import Clip

_RATE = 8000
_NOTES = (523.25, 392.0)
"""Hz: C5 and G4, two notes that nobody takes for a dial tone or a busy one."""
_NOTE, _EVERY = 0.35, 4.0
"""Seconds of a note, and from one pair of them to the next."""
_LEVEL = 0.05
"""Of full scale (-26 dB): as loud as quiet speech."""


@cache
def hold_tones() -> Clip:
    """Two soft notes and a silence, four seconds, to be repeated: the line is not dead."""
    time = np.arange(round(_NOTE * _RATE)) / _RATE
    samples = np.zeros(round(_EVERY * _RATE))
    for index, note in enumerate(_NOTES):
        start = index * time.size
        samples[start : start + time.size] = np.sin(2 * np.pi * note * time) * np.sin(np.pi * time / _NOTE) ** 2
    return Clip((samples * _LEVEL * 32767).astype(np.int16), _RATE)
