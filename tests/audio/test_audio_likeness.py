"""Whether the agent's voice comes back is seen in half a second of recorded speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from callengine.audio.g711 import MULAW
from callengine.audio.likeness import likeness
from callengine.audio.wav import read_wav

CALLERS = Path(__file__).parents[1] / "data" / "callers"
AGENT = read_wav(CALLERS / "am_michael_14_long.wav")[0].astype(np.float64)
CALLER = read_wav(CALLERS / "af_nova_14_long.wav")[0].astype(np.float64)
HALF = 4000


def windows(near: np.ndarray, far: np.ndarray) -> list[float]:
    """The likeness of each half second in which the agent speaks, through mu-law and a little noise."""
    noise = np.random.default_rng(0).normal(0, 20, len(near))
    line = MULAW.decode(MULAW.encode(np.clip(near + noise, -32768, 32767).astype(np.int16)))
    agent = far.astype(np.int16)
    found = []
    for start in range(HALF, min(len(line), len(agent)) - HALF, HALF):
        if np.sqrt(np.mean(far[start - HALF : start + HALF] ** 2)) > 100:
            found.append(likeness(line[start : start + HALF], agent[start - HALF : start + HALF]))
    assert len(found) > 10
    return found


@pytest.mark.parametrize("level", [-10, -18, -30])
@pytest.mark.parametrize("delay", [0.1, 0.25, 0.4])
def test_an_echo_is_like_the_agent(level, delay):
    late = round(delay * 8000)
    echo = np.concatenate([np.zeros(late), AGENT])[: len(AGENT)] * 10 ** (level / 20)
    alike = windows(echo, AGENT)
    assert np.median(alike) > 0.8
    assert sum(value > 0.4 for value in alike) >= len(alike) - 1  # where the agent pauses there is nothing to find


def test_a_caller_who_talks_over_the_agent_is_not():
    length = min(len(AGENT), len(CALLER))
    assert max(windows(CALLER[:length], AGENT[:length])) < 0.4


def test_a_quiet_line_is_not():
    assert max(windows(np.zeros(len(AGENT)), AGENT)) < 0.15


def test_silence_is_like_nothing():
    assert likeness(np.zeros(HALF, np.int16), np.zeros(2 * HALF, np.int16)) == 0.0


def test_an_echo_that_is_later_than_the_largest_lag_is_not_found():
    late = HALF + 2000
    echo = np.concatenate([np.zeros(late), AGENT])[: len(AGENT)]
    assert np.median(windows(echo, AGENT)) < 0.4
