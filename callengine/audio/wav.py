"""WAV files with 16-bit samples."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from callengine.audio.format import Pcm
from callengine.errors import AudioError


def read_wav(path: str | Path) -> tuple[Pcm, int]:
    """The samples of a file and its rate in Hz; several channels are averaged into one.

    Raises `AudioError` for anything but 16-bit linear audio.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise AudioError(f"{path} is no WAV file of linear samples ({error}): {_REMEDY}") from error
    if width != 2:
        raise AudioError(f"{path} has {8 * width}-bit samples: {_REMEDY}")
    pcm = np.frombuffer(data, "<i2").astype(np.int16, copy=False)
    if channels == 1:
        return pcm, rate
    return np.rint(pcm.reshape(-1, channels).mean(axis=1)).astype(np.int16), rate


def write_wav(path: str | Path, *channels: Pcm, sample_rate: int) -> None:
    """Write one channel (mono) or two (left and right; the shorter one ends with silence), 16-bit.

    Raises `AudioError` for any other number of channels.
    """
    if len(channels) not in (1, 2):
        raise AudioError(f"{len(channels)} channels: write one, or two of them")
    frames = np.zeros((max(map(len, channels)), len(channels)), "<i2")
    for index, channel in enumerate(channels):
        frames[: len(channel), index] = channel
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(frames.tobytes())


_REMEDY = "convert it with `ffmpeg -i in.wav -c:a pcm_s16le out.wav`"
