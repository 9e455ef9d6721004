"""From any synthesiser's audio to what the carrier plays, and between bytes and samples."""

from __future__ import annotations

import numpy as np

from callengine.audio.format import AudioFormat, Encoding, Pcm
from callengine.audio.g711 import ALAW, MULAW
from callengine.audio.resample import Resampler
from callengine.errors import AudioError

SILENCE: dict[Encoding, bytes] = {"mulaw": MULAW.silence, "alaw": ALAW.silence, "l16": bytes(2), "f32": bytes(4)}
"""One sample of digital silence in each encoding."""


def to_pcm(data: bytes | bytearray | memoryview, encoding: Encoding) -> Pcm:
    """The samples of encoded audio. ``f32`` beyond -1..1 is clipped, and what is not a number is silence.

    Raises `AudioError` where ``data`` does not end with a whole sample.
    """
    if encoding == "mulaw":
        return MULAW.decode(data)
    if encoding == "alaw":
        return ALAW.decode(data)
    if len(data) % len(SILENCE[encoding]):
        raise AudioError(
            f"{len(data)} bytes are no whole number of {encoding} samples: keep the rest for the next chunk"
        )
    if encoding == "l16":
        return np.frombuffer(data, "<i2").astype(np.int16, copy=False)
    scaled = np.nan_to_num(np.frombuffer(data, "<f4")) * np.float32(32768)
    pcm: Pcm = np.rint(scaled).clip(-32768, 32767).astype(np.int16)
    return pcm


def from_pcm(pcm: Pcm, encoding: Encoding) -> bytes:
    """Samples as encoded audio."""
    if encoding == "mulaw":
        return MULAW.encode(pcm)
    if encoding == "alaw":
        return ALAW.encode(pcm)
    if encoding == "l16":
        return pcm.astype("<i2", copy=False).tobytes()
    return (pcm.astype("<f4") / np.float32(32768)).tobytes()


class ToCarrier:
    """Turns the chunks of one utterance from a synthesiser's format into the carrier's.

    Chunks may be cut anywhere, inside a sample too. Use a new instance for each utterance: a byte or a filter's tail
    left over from one would put the next out of step. Raises `AudioError` for rates that `Resampler` does not take.
    """

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self._source = source
        self._target = target
        self._resampler = Resampler(source.sample_rate, target.sample_rate)
        self._rest = b""

    def push(self, audio: bytes) -> bytes:
        """The next chunk; returns what is ready of it (up to 2 ms less, where rates differ)."""
        audio = self._whole_samples(audio)
        if self._source == self._target:
            return audio
        return from_pcm(self._resampler.push(to_pcm(audio, self._source.encoding)), self._target.encoding)

    def flush(self) -> bytes:
        """The end of the utterance: what the filter still holds. Half a sample left over is dropped."""
        self._rest = b""
        return from_pcm(self._resampler.flush(), self._target.encoding)

    def _whole_samples(self, audio: bytes) -> bytes:
        width = self._source.sample_width
        if width == 1:
            return audio
        audio = self._rest + audio
        cut = len(audio) - len(audio) % width
        self._rest = audio[cut:]
        return audio[:cut]
