"""Noises that are not speech, made from a seed: what a caller's room puts on the line."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.turns.voices import Clip
from callengine.testing.demo.line import RATE, through_the_band

LOUD = 10 ** (-18 / 20) * 32768
"""Peak-to-peak noises are about as loud as speech: root mean square of their loudest part."""


def cough(chance: random.Random) -> Clip:
    """Two bursts of noise with the formants of an open mouth."""
    noise = _random(chance)
    parts = []
    for length in (chance.uniform(0.12, 0.2), chance.uniform(0.15, 0.25)):
        burst = _noise(noise, length) * _envelope(length, attack=0.01, decay=length / 2.5)
        parts += [_resonant(burst, (700.0, 1500.0)), np.zeros(round(chance.uniform(0.06, 0.12) * RATE))]
    return _clip("cough", np.concatenate(parts[:-1]))


def slam(chance: random.Random) -> Clip:
    """A door: one hard attack and a low rumble."""
    length = chance.uniform(0.25, 0.4)
    noise = _noise(_random(chance), length)
    return _clip("slam", _resonant(noise, (120.0, 350.0)) * _envelope(length, attack=0.002, decay=0.07))


def clatter(chance: random.Random) -> Clip:
    """Crockery: a few short, bright knocks."""
    noise = _random(chance)
    parts = []
    for _ in range(chance.randrange(3, 6)):
        knock = _noise(noise, 0.04) * _envelope(0.04, attack=0.001, decay=0.01)
        parts += [_resonant(knock, (1800.0, 2900.0)), np.zeros(round(chance.uniform(0.03, 0.15) * RATE))]
    return _clip("clatter", np.concatenate(parts[:-1]))


def breath(chance: random.Random) -> Clip:
    """Somebody breathes into the mouthpiece: soft, and longer than a word."""
    length = chance.uniform(0.5, 0.9)
    noise = _noise(_random(chance), length) * _envelope(length, attack=length / 2, decay=length / 3)
    return _clip("breath", noise, level=0.3)


NOISES: tuple[Callable[[random.Random], Clip], ...] = (cough, slam, clatter, breath)


def _random(chance: random.Random) -> np.random.Generator:
    return np.random.default_rng(chance.randrange(2**32))


def _noise(noise: np.random.Generator, seconds: float) -> NDArray[np.float64]:
    return noise.normal(size=round(seconds * RATE))


def _envelope(seconds: float, *, attack: float, decay: float) -> NDArray[np.float64]:
    at = np.arange(round(seconds * RATE)) / RATE
    envelope: NDArray[np.float64] = np.minimum(1.0, at / attack) * np.exp(-np.maximum(0.0, at - attack) / decay)
    return envelope


def _resonant(noise: NDArray[np.float64], centres: tuple[float, ...]) -> NDArray[np.float64]:
    """Noise whose spectrum has peaks, each a third as wide as it is high."""
    spectrum = np.fft.rfft(noise)
    frequencies = np.fft.rfftfreq(len(noise), 1 / RATE)
    weight = sum(np.exp(-(((frequencies - centre) / (centre / 3)) ** 2)) for centre in centres)
    shaped: NDArray[np.float64] = np.fft.irfft(spectrum * weight, len(noise))
    return shaped


def _clip(name: str, sound: NDArray[np.float64], level: float = 1.0) -> Clip:
    window = RATE // 20
    power = np.convolve(sound**2, np.full(window, 1 / window), mode="same")
    scaled = sound * (LOUD * level / np.sqrt(power.max()))
    audio = through_the_band(scaled.clip(-32768, 32767).astype(np.int16)).astype(np.float32)
    return Clip(name, "", "noise", "", audio, 0.0, len(audio) / RATE)
