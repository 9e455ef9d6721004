"""From probabilities to facts, window by window."""

from __future__ import annotations

from typing import Any

import pytest

from callengine.errors import ConfigurationError
from callengine.turns.voice_activity import (
    VadSettings,
    VoiceActivity,
    VoiceFact,
    VoicePaused,
    VoiceResumed,
    VoiceStarted,
    VoiceStopped,
)

WINDOW = 256


def facts(probabilities: list[float], *, over: bool = False, **settings: Any) -> list[tuple[int, VoiceFact]]:
    """Feed windows of 8 kHz audio, ``over`` the agent's speech or not; each fact with the number of windows heard when
    it came."""
    activity = VoiceActivity(VadSettings(**{"min_silence": 0.32, "pause": 0.16} | settings))
    found = []
    for count, probability in enumerate(probabilities, start=1):
        if fact := activity.feed(probability, count * WINDOW, faint_counts=over):
            found.append((count, fact))
    return found


QUIET, UNSURE, SPEECH = 0.1, 0.4, 0.9


def test_speech_starts_after_three_sure_windows_with_its_onset_and_pre_roll() -> None:
    assert facts([QUIET] * 20 + [SPEECH] * 5) == [(23, VoiceStarted(20 * WINDOW, 20 * WINDOW - 2400))]


def test_the_pre_roll_does_not_reach_before_the_call() -> None:
    assert facts([SPEECH] * 3) == [(3, VoiceStarted(0, 0))]


def test_two_windows_are_no_speech() -> None:
    assert facts([QUIET, SPEECH, SPEECH, QUIET] * 10) == []


def test_a_run_tolerates_one_unsure_window_which_is_no_evidence() -> None:
    assert facts([QUIET, SPEECH, UNSURE, SPEECH, SPEECH]) == [(5, VoiceStarted(WINDOW, 0))]


def test_a_run_does_not_tolerate_a_second_one_nor_a_silent_one() -> None:
    assert facts([SPEECH, UNSURE, SPEECH, UNSURE, SPEECH, SPEECH]) == []
    assert facts([SPEECH, SPEECH, QUIET, SPEECH, SPEECH]) == []


def test_unsure_windows_alone_are_nothing() -> None:
    assert facts([UNSURE] * 50) == []


@pytest.mark.parametrize("threshold", [0.25, 0.35])
def test_over_the_agent_less_sure_windows_are_speech_until_one_is_sure(threshold) -> None:
    """Given the agent speaking, when three windows are above the lower threshold, then the caller speaks; as long as
    none of his windows was sure, half of it ends his speech, from then on the usual threshold does."""
    doubt = threshold + 0.05
    weak = [doubt] * 3 + [threshold * 0.6] * 20
    assert facts(weak, over=True, barge_in_threshold=threshold) == [(3, VoiceStarted(0, 0))]
    assert facts(weak, barge_in_threshold=threshold) == []
    assert facts([threshold - 0.01] * 30, over=True, barge_in_threshold=threshold) == []
    sure = [doubt] * 3 + [SPEECH] + [0.2] * 20
    stopped = [fact for _, fact in facts(sure, over=True, barge_in_threshold=threshold)][-1]
    assert stopped == VoiceStopped(4 * WINDOW)


def test_silence_pauses_and_then_stops_since_its_first_window() -> None:
    assert facts([SPEECH] * 10 + [QUIET] * 20)[1:] == [
        (15, VoicePaused(10 * WINDOW)),
        (20, VoiceStopped(10 * WINDOW)),
    ]


def test_a_short_dip_is_nothing() -> None:
    assert len(facts([SPEECH] * 10 + [QUIET] * 4 + [SPEECH] * 10)) == 1


def test_speech_after_a_pause_resumes() -> None:
    assert facts([SPEECH] * 10 + [QUIET] * 6 + [SPEECH] + [QUIET] * 10)[1:] == [
        (15, VoicePaused(10 * WINDOW)),
        (17, VoiceResumed()),
        (22, VoicePaused(17 * WINDOW)),
        (27, VoiceStopped(17 * WINDOW)),
    ]


def test_unsure_windows_neither_begin_a_silence_nor_end_one() -> None:
    assert len(facts([SPEECH] * 5 + [UNSURE] * 50)) == 1
    # Within a silence they count as part of it.
    assert facts([SPEECH] * 5 + [QUIET, UNSURE, UNSURE, UNSURE, QUIET])[1:] == [(10, VoicePaused(5 * WINDOW))]


def test_speech_after_a_stop_starts_again() -> None:
    kinds = [type(fact) for _, fact in facts(([SPEECH] * 5 + [QUIET] * 12) * 2)]
    assert kinds == [VoiceStarted, VoicePaused, VoiceStopped] * 2


def test_speaking_is_told_between_start_and_stop() -> None:
    activity = VoiceActivity(VadSettings(min_silence=0.32, pause=0.16))
    told = []
    for count, probability in enumerate([SPEECH] * 3 + [QUIET] * 10, start=1):
        activity.feed(probability, count * WINDOW)
        told.append(activity.speaking)
    assert told == [False, False] + [True] * 10 + [False]


def test_lost_windows_count_by_their_positions() -> None:
    # Given a silence of which most windows never came, it is as long as its positions say.
    activity = VoiceActivity(VadSettings(min_silence=0.32, pause=0.16))
    for count in (1, 2, 3):
        activity.feed(SPEECH, count * WINDOW)
    assert activity.feed(QUIET, 4 * WINDOW) is None
    assert activity.feed(QUIET, 40 * WINDOW) == VoiceStopped(3 * WINDOW)


@pytest.mark.parametrize(
    ("setting", "probabilities", "wanted"),
    [
        ({"start_threshold": 0.95}, [SPEECH] * 20, []),
        ({"stop_threshold": 0.05}, [SPEECH] * 5 + [QUIET] * 20, [3]),
        ({"min_speech": 0.2}, [SPEECH] * 20, [7]),
        ({"min_speech": 0.0}, [SPEECH], [1]),
        ({"pause": 0.064}, [SPEECH] * 5 + [QUIET] * 20, [3, 7, 15]),
        ({"min_silence": 0.64}, [SPEECH] * 5 + [QUIET] * 20, [3, 10, 25]),
        ({"min_silence": 0.16}, [SPEECH] * 5 + [QUIET] * 20, [3, 10]),
    ],
)
def test_each_setting_moves_the_facts(setting: dict[str, float], probabilities: list[float], wanted: list[int]) -> None:
    assert [count for count, _ in facts(probabilities, **setting)] == wanted


def test_pre_roll_and_sample_rate_shape_the_positions() -> None:
    assert facts([QUIET] * 20 + [SPEECH] * 3, pre_roll=0.1) == [(23, VoiceStarted(20 * WINDOW, 20 * WINDOW - 800))]
    activity = VoiceActivity(VadSettings(sample_rate=16000))
    found = [activity.feed(p, (i + 1) * 512) for i, p in enumerate([QUIET] * 20 + [SPEECH] * 3)]
    assert found[-1] == VoiceStarted(20 * 512, 20 * 512 - 4800)
    assert found.count(None) == 22


@pytest.mark.parametrize(
    "setting",
    [
        {"start_threshold": 0.0},
        {"start_threshold": 50},
        {"stop_threshold": 0.5},
        {"min_speech": -0.1},
        {"pause": float("inf")},
        {"min_silence": 0.1},
        {"pre_roll": -1},
        {"sample_rate": 0},
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=f"VadSettings.{next(iter(setting))}"):
        VadSettings(**setting)  # type: ignore[arg-type]  # wrong on purpose
