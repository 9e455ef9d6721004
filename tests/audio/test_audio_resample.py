"""The streaming resampler: what it keeps, what it suppresses, and that cuts make no difference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callengine.audio import Pcm, Resampler
from callengine.errors import AudioError

RATES = [8000, 11025, 12000, 16000, 22050, 22051, 24000, 32000, 44100, 48000]
AMPLITUDE = 16000


def tone(hertz: float, rate: int, seconds: float = 1.0) -> Pcm:
    samples = AMPLITUDE * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)
    pcm: Pcm = np.rint(samples).astype(np.int16)
    return pcm


def resample(pcm: Pcm, source: int, target: int, cuts: list[int] | None = None) -> Pcm:
    resampler = Resampler(source, target)
    chunks = np.split(pcm, sorted(cuts or []))
    return np.concatenate([*(resampler.push(chunk) for chunk in chunks), resampler.flush()])


def level(pcm: Pcm) -> float:
    """RMS of the middle half in dB, 0 for a tone of `AMPLITUDE`."""
    middle = pcm[len(pcm) // 4 : 3 * len(pcm) // 4].astype(float)
    return float(20 * np.log10(np.sqrt((middle**2).mean()) * np.sqrt(2) / AMPLITUDE + 1e-9))


@pytest.mark.parametrize("target", [8000, 16000])
@pytest.mark.parametrize("source", RATES)
def test_a_tone_keeps_its_pitch_level_and_place(source: int, target: int) -> None:
    resampled = resample(tone(1000, source), source, target)
    wanted = tone(1000, target)
    assert len(resampled) == len(wanted)
    inner = slice(target // 100, -target // 100)
    assert np.abs(resampled[inner].astype(int) - wanted[inner]).max() <= 3


@pytest.mark.parametrize("source", [16000, 22050, 24000, 44100, 48000])
def test_what_8_khz_cannot_carry_is_removed(source: int) -> None:
    assert level(resample(tone(5000, source), source, 8000)) < -80
    assert level(resample(tone(3400, source), source, 8000)) > -0.5


def test_upsampling_leaves_no_image() -> None:
    resampled = resample(tone(3000, 8000), 8000, 16000)
    assert level(resampled - tone(3000, 16000)) < -75


@settings(max_examples=60, deadline=None)
@given(
    source=st.sampled_from(RATES),
    target=st.sampled_from([8000, 16000]),
    seed=st.integers(0, 1000),
    length=st.integers(0, 3000),
    cuts=st.lists(st.integers(0, 3000), max_size=8),
)
def test_cuts_make_no_difference(source: int, target: int, seed: int, length: int, cuts: list[int]) -> None:
    noise = np.random.default_rng(seed).integers(-32768, 32768, length).astype(np.int16)
    whole = resample(noise, source, target)
    assert len(whole) == round(length * target / source)
    assert np.array_equal(whole, resample(noise, source, target, [min(cut, length) for cut in cuts]))


def test_one_sample_at_a_time_gives_the_same_stream() -> None:
    noise = np.random.default_rng(7).integers(-32768, 32768, 700).astype(np.int16)
    for source in (22050, 24000):
        assert np.array_equal(resample(noise, source, 8000), resample(noise, source, 8000, list(range(700))))


@pytest.mark.parametrize("source", [16000, 22050, 24000])
def test_no_more_than_the_filter_is_held_back(source: int) -> None:
    resampler = Resampler(source, 8000)
    given_out = len(resampler.push(np.zeros(source, np.int16)))
    assert 8000 - given_out <= 16


def test_a_stream_starts_without_a_click() -> None:
    # Given a tone that sets in softly, as speech does, nothing comes before it that is louder than it is.
    soft = (tone(400, 24000, 0.2) * np.linspace(0, 1, 4800)).astype(np.int16)
    start = resample(soft, 24000, 8000)[:80].astype(int)
    wanted = soft[: 3 * 80 : 3].astype(int)
    assert np.abs(start - wanted).max() <= 8


def test_a_constant_stays_exactly_itself() -> None:
    resampled = resample(np.full(4410, 1234, np.int16), 22050, 8000)
    assert set(resampled[40:-40].tolist()) == {1234}


def test_peaks_saturate_instead_of_wrapping() -> None:
    square = np.where(np.arange(4800) // 40 % 2, 32767, -32768).astype(np.int16)
    resampled = resample(square, 24000, 8000).astype(int)
    wanted = square[::3].astype(int)
    far_from_edges = np.arange(1600) * 3 % 40
    sure = (far_from_edges > 12) & (far_from_edges < 28)
    assert (np.sign(resampled[sure]) == np.sign(wanted[sure])).all()
    assert resampled.max() == 32767


def test_after_a_flush_the_resampler_is_as_new() -> None:
    resampler = Resampler(24000, 8000)
    first = np.concatenate((resampler.push(tone(700, 24000, 0.1)), resampler.flush()))
    second = np.concatenate((resampler.push(tone(700, 24000, 0.1)), resampler.flush()))
    assert np.array_equal(first, second)


def test_equal_rates_pass_through_untouched() -> None:
    pcm = tone(3900, 8000)
    resampler = Resampler(8000, 8000)
    assert resampler.push(pcm) is pcm
    assert len(resampler.flush()) == 0


@pytest.mark.parametrize("rates", [(7999, 8000), (8000, 96000)])
def test_rates_out_of_range_are_refused(rates: tuple[int, int]) -> None:
    with pytest.raises(AudioError, match="8000 to 48000"):
        Resampler(*rates)
