"""Levels."""

from __future__ import annotations

import numpy as np
import pytest

from callengine.audio import rms_dbfs
from callengine.audio.level import SILENCE_DBFS


def constant(value: int, samples: int = 100) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.full(samples, value, np.int16)


def test_level_is_relative_to_full_scale() -> None:
    assert rms_dbfs(constant(-32768)) == pytest.approx(0)
    assert rms_dbfs(constant(3277)) == pytest.approx(-20, abs=0.01)
    sine = (32767 * np.sin(np.arange(8000) / 5)).astype(np.int16)
    assert rms_dbfs(sine) == pytest.approx(-3.01, abs=0.01)


def test_silence_and_nothing_have_a_level_too() -> None:
    assert rms_dbfs(constant(0)) == rms_dbfs(constant(0, 0)) == SILENCE_DBFS
