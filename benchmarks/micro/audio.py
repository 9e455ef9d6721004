"""The audio arithmetic of a frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.micro.timing import Row, each
from callengine.audio.format import TELEPHONE, Pcm
from callengine.audio.g711 import MULAW
from callengine.audio.resample import Resampler, _design
from callengine.audio.ring import AudioRing

RATES = ((24_000, 8_000), (16_000, 8_000), (8_000, 16_000))


def resampler() -> list[Row]:
    """Microseconds for 20 ms of a stream, against nothing but the matrix product that does it."""
    return [_resample(source, target) for source, target in RATES]


def _resample(source: int, target: int) -> Row:
    ours = Resampler(source, target)
    frame: Pcm = (np.random.default_rng(0).standard_normal(source // 50) * 3000).astype(np.int16)
    blocks = _design(source, target).blocks
    assert blocks is not None
    both = np.concatenate(blocks)
    table: NDArray[np.float64] = np.zeros((-(-target // 50 // both.shape[1]), both.shape[0]))
    took, floor = each(lambda: ours.push(frame)), each(lambda: np.dot(table, both))
    return Row(f"resample 20 ms from {source // 1000} to {target // 1000} kHz", took, "us", "np.dot of its size", floor)


def ring() -> list[Row]:
    """Microseconds a frame."""
    ours, bare, frame = AudioRing(TELEPHONE), bytearray(240_000), bytes(160)
    for _ in range(1500):
        ours.append(frame)

    def append() -> None:
        nonlocal bare
        bare += frame
        del bare[:160]

    return [Row("append a frame to a full ring", each(lambda: ours.append(frame)), "us", "a bytearray", each(append))]


def g711() -> list[Row]:
    """Microseconds for 20 ms."""
    audio, table = bytes(range(160)), MULAW.float_table
    pcm = MULAW.decode(audio)
    indices = np.frombuffer(audio, np.uint8)
    take = each(lambda: table.take(indices))
    return [
        Row("mu-law to samples, 160", each(lambda: MULAW.decode(audio)), "us", "take alone", take),
        Row("samples to mu-law, 160", each(lambda: MULAW.encode(pcm)), "us", "take alone", take),
    ]
