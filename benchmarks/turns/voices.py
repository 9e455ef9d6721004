"""The callers' recordings: what is said, and where in the file a voice really begins and ends."""

from __future__ import annotations

import csv
import re
import struct
from functools import cache
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from benchmarks.calls_per_core.voices import DATA
from callengine.audio import MULAW, Pcm, Resampler, read_wav
from callengine.testing.demo.line import RATE, through_the_band

FOLDER = Path(__file__).parent / "voices"
PEOPLE = DATA / "speech"

READINGS = {
    "cards_001.wav": "Ten of clubs.",
    "cards_002.wav": "Four, queen of clubs.",
    "cards_003.wav": "Seven of clubs.",
    "cards_004.wav": "Five, five.",
    "cards_005.wav": "Eight of spades, four of clubs, seven of hearts.",
    "librivox_0870.wav": "And Mr John Dashwood had then leisure to consider how much there might be prudently in his "
    "power to do for them.",
    "librivox_0880.wav": "He was not an ill disposed young man.",
    "librivox_0920.wav": "Had he married a more amiable woman, he might have been made still more respectable than he "
    "was.",
    "librivox_0930.wav": "He might even have been made amiable himself.",
}
"""People: test data of CMU PocketSphinx (see the notice beside the files). The name begins with the voice."""

FRAME = RATE // 100
"""Samples over which loudness is looked at: 10 ms."""
SOFTEST = -30.0
"""dB against the clip's speech at which a frame still counts as voice: the end of a soft consonant."""
ABOVE_FLOOR = 6.0
"""dB by which voice is above the recording's own noise, where that is louder."""
SHORTEST = 3
"""Frames that voice lasts at least: what is shorter, by itself, is a click."""
BREAK = 0.6
"""Seconds: a pause this long inside a clip is the synthesiser's pause between two sentences."""


@attrs.frozen(eq=False)
class Clip:
    """A stretch of speech. ``audio`` holds samples on the scale of 16 bits, 8 kHz, shape ``(samples,)``."""

    name: str
    voice: str
    kind: str
    text: str
    audio: NDArray[np.float32] = attrs.field(repr=False)
    begins: float
    """Seconds into the audio at which the voice begins."""
    ends: float
    """And ends. Both to 10 ms, from the loudness of the clean recording."""


@cache
def callers() -> tuple[Clip, ...]:
    """Every clip of every voice, band-limited as a telephone does. A clip of two sentences becomes two clips."""
    with (FOLDER / "manifest.tsv").open(encoding="utf-8") as manifest:
        rows = list(csv.DictReader(manifest, delimiter="\t"))
    clips: list[Clip] = []
    for row in rows:
        pcm = MULAW.decode(_mulaw_wav(FOLDER / row["file"]))
        clips += _clips(row["file"], row["voice"], row["kind"], row["text"], pcm)
    for name, text in READINGS.items():
        samples, rate = read_wav(PEOPLE / name)
        resampler = Resampler(rate, RATE)
        pcm = np.concatenate([resampler.push(samples), resampler.flush()])
        clips += _clips(name, name.partition("_")[0], "reading", text, pcm)
    return tuple(clips)


def _clips(name: str, voice: str, kind: str, text: str, pcm: Pcm) -> list[Clip]:
    name = name.removesuffix(".wav")
    audio = through_the_band(pcm)
    voiced = _voiced(audio)
    gaps = np.diff(voiced)
    widest = int(np.argmax(gaps)) if len(gaps) else 0
    if not len(gaps) or gaps[widest] < BREAK * 100:
        return [_clip(name, voice, kind, text, audio, voiced)]
    split = int(voiced[widest] + voiced[widest + 1]) // 2 * FRAME
    sentences = re.split(r"(?<=[.?!]) ", text, maxsplit=1)
    parts = enumerate(zip(sentences, (audio[:split], audio[split:]), strict=True), 1)
    return [_clip(f"{name}/{i}", voice, f"{kind}/{i}", words, part, _voiced(part)) for i, (words, part) in parts]


def _clip(name: str, voice: str, kind: str, text: str, audio: Pcm, voiced: NDArray[np.int_]) -> Clip:
    begins, ends = int(voiced[0]) / 100, (int(voiced[-1]) + 1) / 100
    return Clip(name, voice, kind, text, audio.astype(np.float32), begins, ends)


def _voiced(audio: Pcm) -> NDArray[np.int_]:
    """The numbers of the 10 ms frames that are voice."""
    frames = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    loudness = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-3)
    speech = 10 * np.log10(np.mean(10 ** (loudness[loudness > loudness.max() - 26] / 10)))
    floor = float(np.percentile(loudness, 5))
    loud = loudness >= max(speech + SOFTEST, min(floor + ABOVE_FLOOR, speech - 15))
    inner = np.flatnonzero(np.convolve(loud, np.ones(SHORTEST), mode="valid") >= SHORTEST)
    return np.unique(inner[:, None] + np.arange(SHORTEST))


def _mulaw_wav(path: Path) -> bytes:
    """The samples of a mono WAV file in mu-law at 8 kHz, which the standard library does not read."""
    data = path.read_bytes()
    position, audio = 12, b""
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        body = data[position + 8 : position + 8 + size]
        if name == b"fmt " and struct.unpack_from("<HHI", body) != (7, 1, RATE):
            raise ValueError(f"{path} is not mono mu-law at {RATE} Hz")
        if name == b"data":
            audio = body
        position += 8 + size + size % 2
    return audio
