"""The pause in the audio at which a paused utterance goes on, where the words' times are not known."""

from __future__ import annotations

import numpy as np
import pytest

from callengine.call.rewind import latest_pause

RATE = 8000


def noise(seconds: float, level: float) -> np.ndarray:
    return np.random.default_rng(3).normal(0, level, round(seconds * RATE)).astype(np.int16)


def test_it_goes_on_where_the_last_pause_ends() -> None:
    audio = np.concatenate([noise(0.1, 3000), noise(0.05, 50), noise(0.06, 3000), noise(0.03, 50), noise(0.06, 3000)])
    assert latest_pause(audio, RATE) == pytest.approx(0.24 * RATE, abs=80)


def test_without_a_pause_it_goes_on_at_the_last_quiet_moment() -> None:
    audio = np.concatenate([noise(0.14, 3000), noise(0.04, 900), noise(0.12, 3000)])
    assert latest_pause(audio, RATE) == pytest.approx(0.18 * RATE, abs=80)


@pytest.mark.parametrize("samples", [0, 1, 79, 80, 1000, 2400])
@pytest.mark.parametrize("level", [0, 3000])
def test_where_all_is_as_loud_it_goes_on_at_the_estimate(samples, level) -> None:
    assert latest_pause(np.full(samples, level, np.int16), RATE) == samples


def test_it_is_never_after_the_estimate() -> None:
    for seed in range(50):
        audio = np.random.default_rng(seed).normal(0, 1000, 1 + seed * 37).astype(np.int16)
        assert 0 <= latest_pause(audio, RATE) <= len(audio)
