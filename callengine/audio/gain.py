"""A gain that moves smoothly while audio streams through it."""

from __future__ import annotations

import numpy as np

from callengine.audio.convert import from_pcm, to_pcm
from callengine.audio.format import AudioFormat


def amplitude(decibels: float) -> float:
    """The factor that changes a level by so many dB."""
    return float(10 ** (decibels / 20))


class Gain:
    """One stream's gain, as a factor of the amplitude (1 leaves audio as it is). It moves in straight lines.

    ``level`` is where it starts. Chunks may have any length, in whole samples.
    """

    def __init__(self, audio_format: AudioFormat, level: float = 1.0) -> None:
        self._format = audio_format
        self._level = level
        self._target = level
        self._left = 0
        """Samples until the target is reached."""

    @property
    def idle(self) -> bool:
        """Whether it changes nothing, and will not until it is moved."""
        return not self._left and self._level == 1.0

    def move(self, level: float, seconds: float) -> None:
        """Go from where it is to this factor, within so much of the audio to come."""
        self._target = level
        self._left = round(seconds * self._format.sample_rate)
        if not self._left:
            self._level = level

    def apply(self, audio: bytes) -> bytes:
        """The next audio of the stream, in the format's encoding; as many samples come back."""
        if self.idle:
            return audio
        pcm = to_pcm(audio, self._format.encoding).astype(np.float32)
        moving = min(self._left, len(pcm))
        if moving:
            step = (self._target - self._level) / self._left
            pcm[:moving] *= (self._level + step * np.arange(1, moving + 1)).astype(np.float32)
            self._left -= moving
            self._level = self._level + step * moving if self._left else self._target
        pcm[moving:] *= np.float32(self._level)
        np.rint(pcm, out=pcm)
        return from_pcm(pcm.clip(-32768, 32767).astype(np.int16), self._format.encoding)
