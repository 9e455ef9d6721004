"""Levels and mixing."""

from __future__ import annotations

import numpy as np
import pytest

from callengine.audio import add, mix, rms_dbfs
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


def test_a_sum_saturates_and_pads_the_shorter_track() -> None:
    assert add(constant(30000, 2), constant(10000, 1)).tolist() == [32767, 30000]
    assert add(constant(-30000), constant(-30000)).tolist() == [-32768] * 100


def test_a_mix_is_exact_while_it_is_soft_and_bends_before_it_clips() -> None:
    assert mix(constant(10000), constant(5000)).tolist() == [15000] * 100
    loud = [int(mix(constant(value), constant(value))[0]) for value in (11000, 14000, 20000, 32767)]
    assert loud == sorted(set(loud))
    assert loud[1] < 28000
    assert loud[-1] <= 32767
    assert mix(constant(-20000), constant(-20000)).tolist() == (-mix(constant(20000), constant(20000))).tolist()


def test_no_tracks_make_nothing() -> None:
    assert len(add()) == len(mix()) == 0
