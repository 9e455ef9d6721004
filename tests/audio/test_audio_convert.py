"""From a synthesiser's bytes to the carrier's."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callengine.audio import SILENCE, TELEPHONE, AudioFormat, Encoding, Pcm, Resampler, ToCarrier, from_pcm, to_pcm
from callengine.errors import AudioError

ENCODINGS: list[Encoding] = ["mulaw", "alaw", "l16", "f32"]


def noise(samples: int, amplitude: int = 8000) -> Pcm:
    return np.random.default_rng(3).integers(-amplitude, amplitude, samples).astype(np.int16)


def test_l16_is_little_endian() -> None:
    assert to_pcm(b"\x01\x00\x00\x80", "l16").tolist() == [1, -32768]
    assert from_pcm(np.array([1, -32768], np.int16), "l16") == b"\x01\x00\x00\x80"


def test_f32_clips_and_takes_no_nonsense() -> None:
    data = np.array([0.5, -1.0, 1.0, 7.0, -7.0, np.nan], "<f4").tobytes()
    assert to_pcm(data, "f32").tolist() == [16384, -32768, 32767, 32767, -32768, 0]


@pytest.mark.parametrize("encoding", ["l16", "f32"])
def test_linear_encodings_keep_every_sample(encoding: Encoding) -> None:
    every = np.arange(-32768, 32768).astype(np.int16)
    assert np.array_equal(to_pcm(from_pcm(every, encoding), encoding), every)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_silence_is_silent(encoding: Encoding) -> None:
    assert abs(int(to_pcm(SILENCE[encoding] * 3, encoding).sum())) <= 3 * 8  # A-law has no zero
    assert len(SILENCE[encoding]) == AudioFormat(encoding, 8000).sample_width


@pytest.mark.parametrize("encoding", ["l16", "f32"])
def test_half_a_sample_is_refused(encoding: Encoding) -> None:
    with pytest.raises(AudioError, match="whole number"):
        to_pcm(b"abc", encoding)


@settings(max_examples=40, deadline=None)
@given(
    encoding=st.sampled_from(ENCODINGS),
    rate=st.sampled_from([8000, 16000, 22050, 24000]),
    target=st.sampled_from([TELEPHONE, AudioFormat("alaw", 8000), AudioFormat("l16", 16000)]),
    cuts=st.lists(st.integers(0, 4000), max_size=6),
)
def test_chunks_may_be_cut_inside_a_sample(encoding: Encoding, rate: int, target: AudioFormat, cuts: list[int]) -> None:
    audio = from_pcm(noise(1000), encoding)
    source = AudioFormat(encoding, rate)
    edges = [0, *sorted(min(cut, len(audio)) for cut in cuts), len(audio)]
    converter = ToCarrier(source, target)
    pieces = [converter.push(audio[start:stop]) for start, stop in pairwise(edges)]
    converted = b"".join([*pieces, converter.flush()])

    resampler = Resampler(rate, target.sample_rate)
    pcm = to_pcm(audio, encoding)
    wanted = np.concatenate((resampler.push(pcm), resampler.flush()))
    assert (
        to_pcm(converted, target.encoding).tolist()
        == to_pcm(from_pcm(wanted, target.encoding), target.encoding).tolist()
    )
    assert target.seconds(len(converted)) == pytest.approx(source.seconds(len(audio)), abs=1 / target.sample_rate)


def test_the_carriers_own_format_is_handed_on_as_it_is() -> None:
    audio = bytes(range(256))
    converter = ToCarrier(TELEPHONE, TELEPHONE)
    assert converter.push(audio) is audio
    assert converter.flush() == b""


def test_equal_formats_of_two_bytes_keep_whole_samples() -> None:
    converter = ToCarrier(AudioFormat("l16", 16000), AudioFormat("l16", 16000))
    assert (converter.push(b"abc"), converter.push(b"d"), converter.flush()) == (b"ab", b"cd", b"")


def test_half_a_sample_at_the_end_does_not_reach_the_next_use() -> None:
    converter = ToCarrier(AudioFormat("l16", 8000), TELEPHONE)
    converter.push(b"abc")
    assert converter.flush() == b""
    assert converter.push(b"\x00\x00") == SILENCE["mulaw"]
