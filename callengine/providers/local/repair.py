"""Known faults of the packaged recogniser, and what is done about them."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

_PHANTOMS = {"you", "thank you"}
"""What Moonshine tiny-en writes for silence, noise and keypad tones (seen with moonshine-voice 0.0.73)."""

_SHORTEST_WORD = 0.35
"""Seconds of voice below which these words are not believed. A spoken "thank you" has about 0.5 s."""

_OLD_SPELLING = re.compile(r"\b(to)-(day|morrow|night)\b|\b(good)-by(?:e)?\b", re.IGNORECASE)
"""Spellings of the old books that the model was trained on."""

_LONGEST_LOOP = 8
"""Words in the longest phrase that is looked for when a decode ran away."""


def is_phantom(text: str, ended: bool, audio: NDArray[np.float32], sample_rate: int) -> bool:
    """Whether ``text`` is made up: one of the known phrases, or a decode that never ``ended``, of too little voice."""
    words = re.sub(r"[^a-z ]", "", text.lower()).strip()
    suspect = words in _PHANTOMS or not ended
    return suspect and voiced_seconds(audio, sample_rate) < _SHORTEST_WORD


def voiced_seconds(audio: NDArray[np.float32], sample_rate: int) -> float:
    """How long ``audio`` (in -1..1) stands out from its own background: a cheap stand-in for a voice detector.

    A 20 ms frame counts when it is at least 10 dB above the quietest tenth of the segment, within 20 dB of its
    loudest frame, and above -55 dBFS. Steady noise and tones do not stand out at all.
    """
    size = sample_rate // 50
    frames = audio[: len(audio) // size * size].reshape(-1, size)
    if len(frames) == 0:
        return 0.0
    levels = 10 * np.log10(np.mean(frames * frames, axis=1) + 1e-12)
    threshold = max(float(np.percentile(levels, 10)) + 10, float(levels.max()) - 20, -55.0)
    return float(np.count_nonzero(levels >= threshold)) * 0.02


def modern_spelling(text: str) -> str:
    """ "To-morrow" and "good-bye" as they are written today: programs look for these words."""
    return _OLD_SPELLING.sub(lambda found: f"{found[1]}{found[2]}" if found[1] else f"{found[3]}bye", text)


def collapse_loops(text: str) -> str:
    """Keep one of each phrase that follows itself three times or more ("hold on hold on hold on hold on").

    Meant for text of a decode that never came to its end. A text that ended by itself is left alone: people do say
    "five five five".
    """
    words = text.split()
    for size in range(1, _LONGEST_LOOP + 1):
        words = _collapse(words, size)
    return " ".join(words)


def _collapse(words: list[str], size: int) -> list[str]:
    plain = [re.sub(r"\W", "", word).lower() for word in words]
    kept: list[str] = []
    at = 0
    while at < len(words):
        phrase = plain[at : at + size]
        times = 1
        while plain[at + times * size : at + (times + 1) * size] == phrase:
            times += 1
        if times < 3 or len(phrase) < size:
            kept.append(words[at])
            at += 1
            continue
        kept.extend(words[at : at + size])
        at += times * size
        # The token limit usually cuts the last round short.
        rest = plain[at:]
        if len(rest) < size and rest == phrase[: len(rest)]:
            at = len(words)
    return kept
