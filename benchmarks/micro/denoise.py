"""The noise suppressor, on a caller in a noisy street and on digital silence, at both rates of a telephone."""

from __future__ import annotations

import numpy as np

from benchmarks.calls_per_core.voices import CALLERS, DATA
from benchmarks.micro.timing import Row, each
from callengine.audio.format import Pcm
from callengine.audio.resample import Resampler
from callengine.audio.wav import read_wav
from callengine.ports import DenoiserSession
from callengine.providers.denoise import WebRtcDenoiser

SECOND = 50
"""Frames."""


def denoise() -> list[Row]:
    """Milliseconds of CPU for a second of a call. It runs throughout the call, whoever speaks."""
    return [row for rate in (8000, 16000) for row in _at(rate)]


def _at(rate: int) -> list[Row]:
    speech, recorded = read_wav(DATA / CALLERS[0])
    spoken = speech if rate == recorded else Resampler(recorded, rate).push(speech)
    noise = np.random.default_rng(0).normal(0, 300, len(spoken))
    size = rate // SECOND
    line = np.rint(spoken + noise).clip(-32768, 32767).astype(np.int16)
    frames = list(line[: len(line) // size * size].reshape(-1, size))
    zeros: list[Pcm] = [np.zeros(size, np.int16)] * len(frames)
    session = WebRtcDenoiser().open(rate)
    noisy, silent = _second(session, frames), _second(session, zeros)
    return [Row(f"a noisy caller, {rate // 1000} kHz", noisy, "ms", "digital silence", silent)]


def _second(session: DenoiserSession, frames: list[Pcm]) -> float:
    def run() -> None:
        for frame in frames:
            session.process(frame)

    return each(run, of=len(frames)) * SECOND / 1000
