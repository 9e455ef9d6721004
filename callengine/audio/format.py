"""What the bytes of a media stream or a synthesiser mean."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

Encoding: TypeAlias = Literal["mulaw", "alaw", "l16", "f32"]
Pcm: TypeAlias = NDArray[np.int16]
"""Linear audio: ``numpy.int16`` of shape ``(samples,)``."""

_WIDTHS = {"mulaw": 1, "alaw": 1, "l16": 2, "f32": 4}


@attrs.frozen
class AudioFormat:
    """Encoding and rate of mono audio. ``l16`` and ``f32`` are little-endian."""

    encoding: Encoding
    sample_rate: int

    @property
    def sample_width(self) -> int:
        """Bytes a sample."""
        return _WIDTHS[self.encoding]

    def seconds(self, size: int) -> float:
        """Duration of ``size`` bytes."""
        return size / (self.sample_width * self.sample_rate)


TELEPHONE = AudioFormat("mulaw", 8000)
"""G.711 mu-law at 8 kHz, what most carriers send."""
