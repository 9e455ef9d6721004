"""The demo's telephone line: its band, its noise, its codec."""

from __future__ import annotations

import numpy as np
import pytest

from callengine.audio import MULAW, Pcm, rms_dbfs
from callengine.testing.demo.line import RATE, NoisyLine, through_the_band

SILENCE = MULAW.silence * 160


def tone(frequency: float) -> Pcm:
    wave: Pcm = np.rint(8000 * np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)).astype(np.int16)
    return wave


def noise(line: NoisyLine, seconds: float) -> Pcm:
    return np.concatenate([MULAW.decode(line(0.0, SILENCE)) for _ in range(round(seconds * 50))])


@pytest.mark.parametrize(("frequency", "least", "most"), [(350, -1, 0.1), (1000, -0.1, 0.1), (3300, -1, 0.1)])
def test_the_band_passes_a_voice(frequency: float, least: float, most: float) -> None:
    change = rms_dbfs(through_the_band(tone(frequency))) - rms_dbfs(tone(frequency))
    assert least < change < most


@pytest.mark.parametrize("frequency", [100, 200, 3600, 3900])
def test_the_band_stops_what_a_telephone_does_not_carry(frequency: float) -> None:
    inner = slice(500, -500)
    assert rms_dbfs(through_the_band(tone(frequency))[inner]) < rms_dbfs(tone(frequency)) - 40


def test_a_voice_stays_in_its_place() -> None:
    click = np.zeros(RATE, np.int16)
    click[4000] = 20000
    passed = through_the_band(click)
    assert len(passed) == RATE
    assert int(np.argmax(np.abs(passed))) == 4000


def test_the_line_is_never_quite_silent() -> None:
    assert rms_dbfs(noise(NoisyLine(noise_dbfs=-50), 4.0)) == pytest.approx(-50, abs=0.5)
    assert rms_dbfs(noise(NoisyLine(), 4.0)) == pytest.approx(-65, abs=1.5)


def test_noise_is_that_of_its_seed_and_has_no_seam() -> None:
    once, again, other = (noise(NoisyLine(noise_dbfs=-40, seed=seed), 9.0) for seed in (1, 1, 2))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    seam = np.abs(np.diff(once[63_900:64_100].astype(int))).max()
    assert seam <= np.abs(np.diff(once.astype(int))).max()


def test_noise_is_added_to_speech() -> None:
    loud = MULAW.encode(tone(1000)[:160])
    assert rms_dbfs(MULAW.decode(NoisyLine()(0.0, loud))) == pytest.approx(rms_dbfs(MULAW.decode(loud)), abs=0.2)
