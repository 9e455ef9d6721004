"""A gain that moves: the ramp, its seams, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from callengine.audio import AudioFormat, from_pcm, to_pcm
from callengine.audio.gain import Gain, amplitude

L16 = AudioFormat("l16", 8000)
LOUD = from_pcm(np.full(800, 10_000, np.int16), "l16")


@pytest.mark.parametrize(("decibels", "factor"), [(0.0, 1.0), (-20.0, 0.1), (-14.0, 0.2), (-6.0, 0.5)])
def test_decibels_are_factors_of_the_amplitude(decibels, factor) -> None:
    assert amplitude(decibels) == pytest.approx(factor, abs=0.0025)


def test_it_moves_in_a_straight_line_and_stays_there() -> None:
    gain = Gain(L16)
    gain.move(0.2, 0.05)
    out = to_pcm(gain.apply(LOUD), "l16")
    assert out[399] == 2000
    assert out[199] == 6000
    assert (out[400:] == 2000).all()
    assert np.diff(out.astype(int)).min() == -20
    assert (to_pcm(gain.apply(LOUD), "l16") == 2000).all()
    assert not gain.idle


@pytest.mark.parametrize("size", [1, 7, 160, 333])
def test_the_size_of_chunks_changes_nothing(size) -> None:
    whole, parts = Gain(L16), Gain(L16)
    whole.move(0.2, 0.05)
    parts.move(0.2, 0.05)
    cut = [LOUD[start : start + 2 * size] for start in range(0, len(LOUD), 2 * size)]
    together = to_pcm(b"".join(parts.apply(chunk) for chunk in cut), "l16").astype(int)
    assert np.abs(together - to_pcm(whole.apply(LOUD), "l16")).max() <= 1  # a rounding


def test_turned_round_on_its_way_it_starts_from_where_it_is() -> None:
    gain = Gain(L16)
    gain.move(0.0, 0.05)
    down = to_pcm(gain.apply(LOUD[:400]), "l16")  # half of the way
    gain.move(1.0, 0.05)
    up = to_pcm(gain.apply(LOUD), "l16")
    assert abs(int(up[0]) - int(down[-1])) <= 25
    assert up[399] == 10_000
    assert gain.idle


@pytest.mark.parametrize("encoding", ["mulaw", "alaw", "l16", "f32"])
def test_every_encoding_comes_back_as_it_came_with_a_gain_of_one(encoding) -> None:
    audio = from_pcm(np.arange(-16000, 16000, 40, dtype=np.int16), encoding)
    line = AudioFormat(encoding, 8000)
    assert Gain(line).apply(audio) is audio
    quiet = Gain(line, 0.5).apply(audio)
    assert len(quiet) == len(audio)
    half = to_pcm(audio, encoding).astype(int) / 2
    assert np.abs(to_pcm(quiet, encoding) - half).max() <= 300  # the coarsest step of G.711 there is 512


def test_without_a_ramp_it_jumps() -> None:
    gain = Gain(L16, 0.0)
    assert not any(gain.apply(LOUD))
    gain.move(1.0, 0.0)
    assert gain.idle
    assert gain.apply(LOUD) == LOUD
