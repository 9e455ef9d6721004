"""Noise in the telephone's band, and a line that has it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.turns.voices import Clip, callers
from callengine.audio import MULAW, Pcm
from callengine.testing.demo.line import BAND, RATE

LEARN = 2.0
"""Seconds of noise before the voice: a caller hears the agent's greeting first, and a suppressor learns the noise."""
BEHIND = 1.0
"""Seconds of it behind the voice."""
TALKERS = 6
"""Voices at once in the babble."""
KINDS = ("hiss", "engine", "babble")


def noise(kind: str, samples: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Of root mean square 1. ``hiss``: all frequencies alike; ``engine``: 6 dB less with every octave; ``babble``:
    other callers, all at once."""
    if kind == "babble":
        return _unit(_babble(samples, random))
    frequencies = np.fft.rfftfreq(samples, 1 / RATE)
    spectrum = random.normal(size=frequencies.size) + 1j * random.normal(size=frequencies.size)
    spectrum[(frequencies < BAND[0]) | (frequencies > BAND[1])] = 0
    if kind == "engine":
        spectrum[1:] /= frequencies[1:]
    return _unit(np.fft.irfft(spectrum, samples))


def _unit(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = audio / np.sqrt(np.mean(audio**2))
    return scaled


def _babble(samples: int, random: np.random.Generator) -> NDArray[np.float64]:
    clips = [clip for clip in callers() if clip.kind == "long"]
    talk = np.zeros(samples)
    for _ in range(TALKERS):
        voice = np.concatenate([clips[index].audio for index in random.permutation(len(clips))])
        talk += np.roll(np.resize(voice, samples), int(random.integers(samples))) / np.sqrt(np.mean(voice**2))
    return talk


def on_the_line(clip: Clip, kind: str, snr: float, random: np.random.Generator) -> Pcm:
    """A caller with noise ``snr`` dB below his voice, as the carrier sends it: mu-law, whole frames of 20 ms."""
    voice = np.concatenate([np.zeros(round(LEARN * RATE)), clip.audio, np.zeros(round(BEHIND * RATE))])
    voice = voice[: len(voice) // 160 * 160]
    spoken = clip.audio[round(clip.begins * RATE) : round(clip.ends * RATE)]
    level = np.sqrt(np.mean(spoken.astype(np.float64) ** 2)) * 10 ** (-snr / 20)
    mixed = voice + noise(kind, len(voice), random) * level
    return MULAW.decode(MULAW.encode(np.rint(mixed).clip(-32768, 32767).astype(np.int16)))


def chosen(count: int) -> Sequence[Clip]:
    """So many clips of whole sentences, spread over voices and kinds: no lists of digits or letters, whose spelling is
    a matter of taste."""
    plain = [clip for clip in callers() if len(clip.text.split()) >= 4 and not any(map(str.isdigit, clip.text))]
    sentences = [clip for clip in plain if clip.kind.partition("/")[0] not in ("number", "email", "spell", "date")]
    return [sentences[index] for index in np.linspace(0, len(sentences) - 1, count).round().astype(int)]
