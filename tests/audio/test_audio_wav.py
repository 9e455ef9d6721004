"""WAV files."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from callengine.audio import read_wav, write_wav
from callengine.errors import AudioError


def test_mono_comes_back_as_it_was(tmp_path: Path) -> None:
    pcm = np.array([0, 1, -32768, 32767], np.int16)
    write_wav(tmp_path / "mono.wav", pcm, sample_rate=8000)
    read, rate = read_wav(tmp_path / "mono.wav")
    assert (read.tolist(), rate) == (pcm.tolist(), 8000)


def test_stereo_keeps_sides_and_pads_the_shorter_one(tmp_path: Path) -> None:
    left, right = np.array([100, 200, 300], np.int16), np.array([1], np.int16)
    write_wav(tmp_path / "stereo.wav", left, right, sample_rate=16000)
    with wave.open(str(tmp_path / "stereo.wav")) as file:
        frames = np.frombuffer(file.readframes(9), "<i2").reshape(-1, 2)
        assert (file.getnchannels(), file.getframerate()) == (2, 16000)
    assert frames.tolist() == [[100, 1], [200, 0], [300, 0]]
    assert read_wav(tmp_path / "stereo.wav")[0].tolist() == [50, 100, 150]


def test_no_channels_and_three_are_refused(tmp_path: Path) -> None:
    for channels in ([], [np.zeros(1, np.int16)] * 3):
        with pytest.raises(AudioError, match="write one"):
            write_wav(tmp_path / "no.wav", *channels, sample_rate=8000)


def test_what_cannot_be_read_says_how_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_bytes(b"no wav at all")
    with wave.open(str(tmp_path / "bytes.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(bytes(8))
    for name in ("text.wav", "bytes.wav"):
        with pytest.raises(AudioError, match="ffmpeg"):
            read_wav(tmp_path / name)
