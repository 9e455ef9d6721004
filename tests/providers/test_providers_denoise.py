"""WebRTC's noise suppression: that it has an effect on a noisy caller, how much by level, and how it says no."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from test_providers_conformance_denoiser import frames, lateness, noise, run, voice

from callengine.audio import Pcm, rms_dbfs
from callengine.errors import AudioError, ConfigurationError, MissingExtra
from callengine.providers.denoise import WebRtcDenoiser
from callengine.providers.denoise.webrtc import DELAY

LEVELS = ("low", "moderate", "high", "very high")
LEARN = 3
"""Seconds of noise before anything is said."""


def noisy(rate: int, ratio: float) -> tuple[np.ndarray, Pcm]:
    """A caller alone, and with noise so many dB below him; both behind some seconds without him."""
    spoken = np.concatenate([np.zeros(LEARN * rate), voice(rate)])
    hiss = noise(rate, len(spoken) / rate, rms_dbfs(voice(rate)) - ratio)
    return spoken, np.rint(spoken + hiss).clip(-32768, 32767).astype(np.int16)


def distance_db(clean: np.ndarray, heard: np.ndarray) -> float:
    """How far the caller's voice stands above all that is not his voice, at whatever loudness it comes through."""
    scaled = clean * (np.dot(heard, clean) / np.dot(clean, clean))
    rest = heard - scaled
    return 10 * float(np.log10(np.dot(scaled, scaled) / np.dot(rest, rest)))


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize(("ratio", "gain"), [(5, 4), (10, 2)])
def test_a_voice_stands_further_above_the_noise_than_on_the_line(rate: int, ratio: float, gain: float) -> None:
    """Given a recorded caller and noise, when it is suppressed, then what is not the caller is less, in his words too:
    whatever is taken from his voice counts as such."""
    clean, line = noisy(rate, ratio)
    late = round(DELAY[rate] * rate)
    heard = run(WebRtcDenoiser().open(rate), line, rate).astype(np.float64)
    clean = np.concatenate(frames(clean, rate))
    spoken = slice(LEARN * rate, len(heard) - late)
    before = distance_db(clean[spoken], line[spoken].astype(np.float64))
    after = distance_db(clean[spoken], heard[spoken.start + late : spoken.stop + late])
    assert before == pytest.approx(ratio, abs=0.5)
    assert after - before > gain


@pytest.mark.parametrize("rate", [8000, 16000])
def test_each_level_takes_more_noise_away(rate: int) -> None:
    hiss = np.rint(noise(rate, 4, -40)).astype(np.int16)
    settled = slice(2 * rate, None)
    taken = [
        rms_dbfs(hiss[settled]) - rms_dbfs(run(WebRtcDenoiser(level).open(rate), hiss, rate)[settled])
        for level in LEVELS
    ]
    assert taken == pytest.approx([6, 12, 18, 21], abs=2.5)
    assert taken == sorted(taken)


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("level", LEVELS)
def test_it_is_as_late_as_it_says(rate: int, level: str) -> None:
    assert lateness(WebRtcDenoiser(level), rate) == pytest.approx(DELAY[rate], abs=1 / rate)


def test_the_level_is_moderate_unless_another_is_named() -> None:
    assert WebRtcDenoiser() == WebRtcDenoiser("moderate")


def test_other_levels_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="level is 'loud': give 'low', 'moderate', 'high', 'very high'"):
        WebRtcDenoiser("loud")


def test_other_rates_are_refused() -> None:
    with pytest.raises(AudioError, match="48000 Hz: use 8000 or 16000"):
        WebRtcDenoiser().open(48000)


@pytest.mark.parametrize("samples", [0, 79, 100])
def test_pieces_of_a_frame_are_refused(samples: int) -> None:
    with pytest.raises(AudioError, match=f"{samples} samples: give a multiple of 80"):
        WebRtcDenoiser().open(8000).process(np.zeros(samples, np.int16))


def test_a_missing_package_is_told_when_the_recipe_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)
    with pytest.raises(MissingExtra, match=r"pywebrtc-audio.*callengine\[local\]"):
        WebRtcDenoiser()
