"""Audio that a program plays as it is."""

from __future__ import annotations

from pathlib import Path

import attrs

from callengine.audio.format import Pcm
from callengine.audio.wav import read_wav


@attrs.frozen(eq=False)
class Clip:
    """Recorded audio to be said, with the words that are in it (for the history; may be empty)."""

    samples: Pcm
    sample_rate: int
    """Hz; 8,000 to 48,000."""
    text: str = ""

    @classmethod
    def from_wav(cls, path: str | Path, text: str = "") -> Clip:
        """Read a WAV file; several channels are mixed to one. Raises `AudioError` where it cannot be read."""
        samples, sample_rate = read_wav(Path(path))
        return cls(samples, sample_rate, text)
