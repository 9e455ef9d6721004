"""The noise that noise suppression is measured with, and the count of words that it is measured by."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.denoise.__main__ import _distance, _words
from benchmarks.denoise.noises import BEHIND, KINDS, LEARN, chosen, on_the_line
from callengine.audio import rms_dbfs

RATE = 8000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ratio", [20, 5])
def test_the_noise_is_as_far_below_the_voice_as_it_says(kind, ratio):
    clip = chosen(5)[2]
    line = on_the_line(clip, kind, ratio, np.random.default_rng(0))
    voice = clip.audio[round(clip.begins * RATE) : round(clip.ends * RATE)].astype(np.int16)
    assert len(line) == (round((LEARN + BEHIND) * RATE) + len(clip.audio)) // 160 * 160
    assert rms_dbfs(voice) - rms_dbfs(line[: round(LEARN * RATE)]) == pytest.approx(ratio, abs=2)


def test_sentences_are_whole_and_of_several_voices():
    clips = chosen(40)
    assert len({clip.name for clip in clips}) == 40
    assert len({clip.voice for clip in clips}) > 4
    assert min(len(clip.text.split()) for clip in clips) >= 4


@pytest.mark.parametrize(
    ("understood", "wrong"),
    [
        ("a table for two please", 0),
        ("A table, for two - please!", 0),
        ("a table for you please", 1),
        ("table for two please", 1),
        ("a table for two two please", 1),
        ("", 5),
    ],
)
def test_wrong_words_are_counted(understood, wrong):
    assert _distance(_words("A table for two, please."), _words(understood)) == wrong
