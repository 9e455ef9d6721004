"""Where a paused utterance goes on: at the first word that the caller had not heard, and never later."""

from __future__ import annotations

import numpy as np

from callengine.audio.format import Pcm

WINDOW = 0.3
"""Seconds before the estimated start of a word in which a pause is looked for: about a word, at 180 a minute. Text that
is spread over its audio is out by about as much."""

FRAME = 0.01
"""Seconds whose level is measured at once."""

PAUSE = 0.1
"""Amplitude, of the loudest frame in the window, up to which a frame is a pause: 20 dB below the vowels. The closures
and breaths between words are there; the consonants mostly are not."""

ALIKE = 1.4
"""Of the amplitude of the quietest frame: 3 dB. In a window without a pause, what is about as quiet as its quietest
frame has to do."""


def latest_pause(pcm: Pcm, sample_rate: int) -> int:
    """Where the last pause in some audio ends; in audio without one, its last quiet moment. In samples of it.

    ``pcm`` ends where the word is taken to start; that is the answer too where all of it is as loud.
    """
    frame = round(FRAME * sample_rate)
    count = len(pcm) // frame
    if not count:
        return len(pcm)
    first = len(pcm) - count * frame
    frames = pcm[first:].astype(np.float64).reshape(count, frame)
    levels = np.sqrt((frames * frames).mean(axis=1))
    quiet = levels <= max(PAUSE * levels.max(), ALIKE * levels.min())
    return first + (int(np.flatnonzero(quiet)[-1]) + 1) * frame
