from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from callengine.providers.local.repair import collapse_loops, is_phantom, modern_spelling, voiced_seconds
from callengine.providers.local.segments import quietest_pause

RATE = 16000


def silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(int(seconds * RATE), np.float32)


def tone(seconds: float, level: float = 0.1) -> NDArray[np.float32]:
    wave: NDArray[np.float32] = (level * np.sin(np.arange(int(seconds * RATE)) * 0.3)).astype(np.float32)
    return wave


def hiss(seconds: float) -> NDArray[np.float32]:
    return (0.01 * np.random.default_rng(1).standard_normal(int(seconds * RATE))).astype(np.float32)


def test_voice_is_what_stands_out_from_the_background() -> None:
    spoken = np.concatenate([hiss(0.5), hiss(0.4) + tone(0.4), hiss(0.5)])
    assert voiced_seconds(spoken, RATE) == pytest.approx(0.4, abs=0.041)


@pytest.mark.parametrize("audio", [silence(2), hiss(2), tone(2), silence(0), silence(0.01)])
def test_steady_sound_holds_no_voice(audio: NDArray[np.float32]) -> None:
    assert voiced_seconds(audio, RATE) == 0


@pytest.mark.parametrize(
    ("text", "voice", "phantom"),
    [
        ("You", 0.2, True),
        ("Thank you.", 0.2, True),
        ("Thank you.", 0.6, False),
        ("Yes.", 0.2, False),
        ("Thank you very much.", 0.2, False),
    ],
)
def test_made_up_phrases_are_told_by_how_little_was_said(text: str, voice: float, phantom: bool) -> None:
    audio = np.concatenate([silence(0.3), tone(voice), silence(0.3)])
    assert is_phantom(text, True, audio, RATE) is phantom


def test_a_decode_that_ran_away_over_noise_is_made_up() -> None:
    assert is_phantom("The first is the first is the", False, hiss(3), RATE)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Hold on hold on hold on hold on", "Hold on"),
        ("The first is, the first is, the first is, the first", "The first is,"),
        ("I said no no no no no", "I said no"),
        ("book a table book a table", "book a table book a table"),
        ("five six", "five six"),
        ("", ""),
    ],
)
def test_a_phrase_said_three_times_or_more_is_kept_once(text: str, kept: str) -> None:
    assert collapse_loops(text) == kept


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("To-morrow, or to-night?", "Tomorrow, or tonight?"),
        ("Good-by. Thanks, good-bye!", "Goodbye. Thanks, goodbye!"),
        ("It is up-to-date.", "It is up-to-date."),
        ("a to-do list", "a to-do list"),
    ],
)
def test_old_spellings_are_written_as_today(old: str, new: str) -> None:
    assert modern_spelling(old) == new


def test_the_cut_is_in_the_middle_of_the_quietest_pause_within_the_limits() -> None:
    # Silence at 1 s lies too early, at 9 s too late; a softer second at 5 s is the best in between.
    audio = np.concatenate([tone(1), silence(0.5), tone(3.5), tone(0.4, 0.01), tone(3.6), silence(0.5), tone(1)])
    assert quietest_pause(audio, RATE, 2, 8) / RATE == pytest.approx(5.2, abs=0.11)
