"""G.711: the mu-law and A-law of telephone lines, through tables built once with NumPy.

Encoding follows the reference of ITU-T G.711 (mu-law from 14 bits of a sample, A-law from 13) as Sun's public
``g711.c`` wrote it, so it is bit-exact with CPython's former ``audioop`` on every sample. The textbook formula with a
bias on all 16 bits is not: it differs on 381 samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from callengine.audio.format import Pcm

_MULAW_BIAS = 33
"""Added to a 14-bit magnitude, so that every segment starts at a power of two (G.711, table 2)."""
_MULAW_CLIP = 8191 - _MULAW_BIAS
"""The last 14-bit magnitude of the eighth segment; louder samples get the same code."""


class Law:
    """One of the two companding laws: one byte a sample."""

    def __init__(self, decode_table: Pcm, encode_table: NDArray[np.uint8]) -> None:
        self.decode_table = decode_table
        """``int16`` sample of each byte: shape (256,)."""
        self.float_table = decode_table.astype(np.float32) / np.float32(32768)
        """The same in -1..1, for models: shape (256,), float32."""
        self.silence = bytes(encode_table[:1])
        """The byte of a zero sample."""
        self._encode_table = encode_table

    def decode(self, data: bytes | bytearray | memoryview) -> Pcm:
        """The samples of ``data``: one for each byte, at 16-bit scale."""
        return self.decode_table.take(np.frombuffer(data, np.uint8))

    def encode(self, pcm: Pcm) -> bytes:
        """``pcm`` as one byte a sample."""
        return self._encode_table.take(np.ascontiguousarray(pcm).view(np.uint16)).tobytes()


def _segment(magnitude: NDArray[np.int32], first_end: int) -> NDArray[np.int32]:
    """Which of the eight segments a magnitude falls in; each is twice as long as the one before."""
    ends = (first_end + 1 << np.arange(8)) - 1
    return np.searchsorted(ends, magnitude).astype(np.int32)


def _every_sample() -> NDArray[np.int32]:
    """All 65,536 samples, in the order of their bits."""
    return np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)


def _mulaw() -> Law:
    code = ~np.arange(256, dtype=np.int32)
    magnitude = (((code & 0x0F) << 3) + 4 * _MULAW_BIAS << ((code & 0x70) >> 4)) - 4 * _MULAW_BIAS
    decode_table = np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)

    sample = _every_sample() >> 2
    magnitude = np.minimum(np.abs(sample), _MULAW_CLIP) + _MULAW_BIAS
    segment = _segment(magnitude, 0x3F)
    encoded = (segment << 4 | magnitude >> segment + 1 & 0x0F) ^ np.where(sample < 0, 0x7F, 0xFF)
    return Law(decode_table, encoded.astype(np.uint8))


def _alaw() -> Law:
    code = np.arange(256, dtype=np.int32) ^ 0x55  # even bits are inverted on the line
    segment = (code & 0x70) >> 4
    magnitude = ((code & 0x0F) << 4) + np.where(segment > 0, 0x108, 8) << np.maximum(segment - 1, 0)
    decode_table = np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)

    sample = _every_sample() >> 3
    magnitude = np.where(sample < 0, -sample - 1, sample)
    segment = _segment(magnitude, 0x1F)
    encoded = (segment << 4 | magnitude >> np.maximum(segment, 1) & 0x0F) ^ np.where(sample < 0, 0x55, 0xD5)
    return Law(decode_table, encoded.astype(np.uint8))


MULAW = _mulaw()
"""North America and Japan, and what Twilio's media streams carry."""
ALAW = _alaw()
"""Everywhere else."""
