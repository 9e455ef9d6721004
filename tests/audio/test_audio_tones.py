"""Telephone keys as tones: what a receiver hears in them."""

from __future__ import annotations

import numpy as np
import pytest

from callengine.audio import MULAW
from callengine.audio.tones import COLUMNS, MOST_KEYS, ROWS, dtmf_tones
from callengine.errors import ConfigurationError

KEYPAD = ["123A", "456B", "789C", "*0#D"]
EVERY_KEY = "".join(KEYPAD)


def goertzel(samples, frequency: float, rate: int) -> float:
    """The amplitude of one frequency, by Goertzel's recurrence."""
    turn = 2 * np.cos(2 * np.pi * frequency / rate)
    before, last = 0.0, 0.0
    for sample in samples.astype(float):
        before, last = last, sample + turn * last - before
    power = before * before + last * last - turn * before * last
    return 2 * np.sqrt(max(power, 0.0)) / len(samples)


def read_key(samples, rate: int) -> str:
    """The key whose tones are in these samples; fails where a receiver would not be sure."""
    low = [goertzel(samples, frequency, rate) for frequency in ROWS]
    high = [goertzel(samples, frequency, rate) for frequency in COLUMNS]
    row, column = int(np.argmax(low)), int(np.argmax(high))
    twist = 20 * np.log10(high[column] / low[row])
    assert abs(twist) < 1, "the two tones are equally loud"
    others = [x for i, x in enumerate(low) if i != row] + [x for i, x in enumerate(high) if i != column]
    assert 20 * np.log10(low[row] / max(others)) > 15, "no third tone is near"
    return KEYPAD[row][column]


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize("key", EVERY_KEY)
def test_every_key_is_understood(key, rate) -> None:
    pcm = dtmf_tones(key, rate)
    assert pcm.dtype == np.int16
    assert len(pcm) == rate // 5
    assert read_key(pcm[: rate // 10], rate) == key
    assert not pcm[rate // 10 :].any()


def test_the_shortest_tones_are_understood_through_mu_law() -> None:
    line = MULAW.decode(MULAW.encode(dtmf_tones(EVERY_KEY, 8000, tone=0.04, gap=0.04)))
    heard = "".join(read_key(line[start : start + 320], 8000) for start in range(0, len(line), 640))
    assert heard == EVERY_KEY


@pytest.mark.parametrize(("keys", "seconds"), [("", 0), ("w", 0.5), ("W", 1.0), ("1w2", 0.9), ("ww1WW", 3.2)])
def test_pauses_are_silence_of_their_length(keys, seconds) -> None:
    pcm = dtmf_tones(keys, 8000)
    assert len(pcm) == round(seconds * 8000)
    if keys == "ww1WW":
        assert not pcm[:8000].any()
        assert read_key(pcm[8000:8800], 8000) == "1"
        assert not pcm[8800:].any()


def test_lengths_are_settings() -> None:
    pcm = dtmf_tones("55", 8000, tone=0.25, gap=0.05)
    assert len(pcm) == 2 * (2000 + 400)
    assert read_key(pcm[2400:4400], 8000) == "5"
    assert not pcm[2000:2400].any()


@pytest.mark.parametrize(("level", "amplitude"), [(-9.0, 11626), (-20.0, 3277), (-6.03, 16366)])
def test_the_level_is_each_tones_own(level, amplitude) -> None:
    pcm = dtmf_tones("1", 8000, tone=0.5, level=level)
    middle = pcm[400:3600]  # 0.4 s between the edges: both tones fit in whole cycles, nearly
    assert goertzel(middle, 697, 8000) == pytest.approx(amplitude, rel=0.01)
    assert goertzel(middle, 1209, 8000) == pytest.approx(amplitude, rel=0.01)


def test_no_key_clips_at_the_loudest() -> None:
    pcm = dtmf_tones(EVERY_KEY, 48000, tone=0.5, level=-6.03)
    assert np.abs(pcm.astype(int)).max() <= 32767
    assert np.abs(np.diff(pcm.astype(int))).max() < 8000  # a wrapped sample would jump by 65,536


@pytest.mark.parametrize("key", "159D")
def test_a_tone_does_not_click(key) -> None:
    pcm = dtmf_tones(key, 8000).astype(float)
    assert abs(pcm[0]) < 20
    assert abs(pcm[799]) < 60
    # What a click is: energy where no tone has any. The edges put less than a thousandth there.
    spectrum = np.abs(np.fft.rfft(np.concatenate([np.zeros(400), pcm]))) ** 2
    far = spectrum[int(2300 / 8000 * len(pcm) * 1.25) :]
    assert far.sum() / spectrum.sum() < 1e-5


@pytest.mark.parametrize("bad", ["73914x", "73914 2", "+73914", "73914a", "73914١", "73914\n"])
def test_other_keys_are_refused_and_not_quoted(bad) -> None:
    with pytest.raises(ConfigurationError, match="none of 0-9") as refused:
        dtmf_tones(bad, 8000)
    assert "73914" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"tone": 0.03}, "tone"),
        ({"gap": 0.0}, "gap"),
        ({"gap": float("nan")}, "gap"),
        ({"tone": 11.0}, "tone"),
        ({"level": -6.0}, "level"),
        ({"level": -50.0}, "level"),
        ({"sample_rate": 4000}, "sample_rate"),
    ],
)
def test_what_a_receiver_could_miss_is_refused(options, names) -> None:
    with pytest.raises(ConfigurationError, match=names):
        dtmf_tones("1", **{"sample_rate": 8000} | options)


def test_a_flood_of_keys_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="too many"):
        dtmf_tones("W" * (MOST_KEYS + 1), 8000)
