"""What is no turn: captions, duplicates, echo, and what is too short. Each is dropped once, with its reason."""

from __future__ import annotations

import pytest
from deciding import actions, decided, final, interim, interruption, reply, says, speech

from callengine.turns.actions import Discard

STORY = "We have a lovely table in the corner by the window, and it is free from half past seven."
BACK = "a lovely table in the corner by the window"


@pytest.mark.parametrize("text", ["[music]", "Thanks for watching!", "♪ la la ♪", "(wind)"])
def test_a_caption_out_of_silence_is_no_turn_and_disturbs_nobody(text) -> None:
    assert decided(says(text, 1.0, 1.3), until=9.0) == [(1.8, f"artefact: {text}")]
    over = [*reply(1.0), *speech(2.0, 2.1), interim(2.15, text), final(2.5, text)]
    assert decided(over, until=9.0) == [(2.5, f"artefact: {text}")]


def test_the_same_words_without_new_speech_are_dropped_for_two_seconds() -> None:
    """Given a turn, when its final comes again as another utterance that nobody spoke, then it is a duplicate."""
    first = says("Tomorrow.", 1.0, 2.0)
    assert decided(first, final(3.2, "tomorrow", 2), until=9.0) == [
        (2.5, "turn 1: Tomorrow."),
        (3.2, "duplicate: tomorrow"),
    ]
    assert decided(first, final(4.5, "Tomorrow.", 2), until=9.0)[1:] == [(4.5, "duplicate: Tomorrow.")]
    assert decided(first, final(4.6, "Tomorrow.", 2), until=9.0)[1:] == [(4.9, "turn 2: Tomorrow. (continues)")]


def test_another_final_of_the_same_utterance_is_dropped() -> None:
    rows = decided(says("Tomorrow.", 1.0, 2.0), final(3.2, "Tomorrow."), interim(3.3, "Tomorrow at"), until=9.0)
    assert rows == [(2.5, "turn 1: Tomorrow."), (3.2, "late: Tomorrow.")]


def test_a_lagging_duplicate_leaves_the_running_turn_alone() -> None:
    """Given a reply that is audible, when the final that it answers comes again 0.7 s later, then nothing is cut."""
    for utterance, kind in ((1, "late"), (2, "duplicate")):
        facts = [*says("Book a table.", 1.0, 2.0), *reply(3.0), interim(3.1, "Book a", utterance)]
        rows = decided(facts, final(3.2, "Book a table.", utterance), until=9.0)
        assert rows == [(2.5, "turn 1: Book a table."), (3.2, f"{kind}: Book a table.")]


def test_words_that_are_said_again_are_no_duplicates() -> None:
    """A digit that is dictated twice is two digits, however slow the recogniser."""
    facts = [*speech(1.0, 1.3), *speech(1.8, 2.1, 2), final(2.2, "five"), final(2.3, "five", 2)]
    assert decided(facts, until=9.0) == [(2.7, "turn 2: five five")]


def test_the_agent_s_own_words_neither_interrupt_nor_are_a_turn() -> None:
    facts = [*reply(1.0, STORY), *speech(2.0, 3.0), interim(2.1, BACK), final(3.5, BACK + ".")]
    assert decided(facts, until=9.0) == [(3.5, f"echo: {BACK}.")]


def test_without_the_echo_guard_they_are_the_caller_s() -> None:
    facts = [*reply(1.0, STORY), *speech(2.0, 3.0), interim(2.1, BACK), final(3.5, BACK + ".")]
    rows = decided(facts, until=9.0, interruption=interruption(echo_guard=False))
    assert rows == [(2.1, "cut 1 by transcript of 2"), (3.5, f"turn 1: {BACK}.")]


def test_echo_that_had_already_softened_the_reply_makes_it_carry_on() -> None:
    facts = [*reply(1.0, STORY), *speech(2.0, 2.5), interim(2.4, BACK), final(3.0, BACK)]
    assert decided(facts, until=9.0) == [
        *((2.2, "pause 1"), (2.66, "carry on 1"), (2.66, "false interruption"), (3.0, f"echo: {BACK}")),
    ]


def test_echo_that_goes_on_for_long_does_not_cut() -> None:
    facts = [*reply(1.0, STORY), *speech(2.0, 3.4), interim(2.4, BACK), final(3.9, BACK)]
    assert decided(facts, until=9.0)[:2] == [(2.2, "pause 1"), (3.56, "carry on 1")]


def test_the_agent_s_words_are_an_echo_only_beside_or_just_behind_them() -> None:
    """The same words are an answer when the caller says them later, or goes on long after the agent's end."""
    said = reply(1.0, STORY, closed=4.0)
    assert decided(said, says(BACK, 4.2, 4.4), until=9.0) == [(4.9, f"echo: {BACK}")]
    assert decided(said, says(BACK, 4.2, 5.5), until=9.0) == [(6.0, f"turn 1: {BACK}")]
    assert decided(said, says(BACK, 4.3, 4.4), until=9.0) == [(4.9, f"turn 1: {BACK}")]


def test_speech_in_the_echo_tail_is_a_clean_new_turn() -> None:
    """Given the agent's last word, when the caller speaks 0.2 s and 0.4 s after it, then it is a turn, and nobody was
    interrupted."""
    for onset in (4.2, 4.4):
        rows = decided(reply(1.0, STORY, closed=4.0), says("That sounds nice.", onset, 5.5), until=9.0)
        assert rows == [(6.0, "turn 1: That sounds nice.")]


def test_words_of_a_silent_line_may_have_to_be_several() -> None:
    settings = interruption(min_words_silent=2)
    assert decided(says("No.", 1.0, 1.5), until=9.0) == [(2.0, "turn 1: No.")]
    assert decided(says("No.", 1.0, 1.5), until=9.0, interruption=settings) == [(2.0, "too short: No.")]
    assert decided(says("No, no.", 1.0, 1.5), until=9.0, interruption=settings) == [(2.0, "turn 1: No, no.")]


def test_speech_on_a_silent_line_may_have_to_last() -> None:
    settings = interruption(min_duration_silent=0.3)
    assert decided(says("No.", 1.0, 1.29), until=9.0) == [(1.79, "turn 1: No.")]
    assert decided(says("No.", 1.0, 1.29), until=9.0, interruption=settings) == [(1.79, "too short: No.")]
    assert decided(says("No.", 1.0, 1.31), until=9.0, interruption=settings) == [(1.81, "turn 1: No.")]


def test_what_is_dropped_says_why() -> None:
    facts = [
        *says("Tomorrow.", 1.0, 2.0),
        final(3.0, "[music]", 2),
        final(3.2, "Tomorrow.", 3),
        final(3.3, "Tomorrow.", 1),
    ]
    reasons = [action.reason for _, action in actions(facts) if isinstance(action, Discard)]
    assert reasons == [
        "a caption, and not the caller's words",
        "the same words again, without new speech",
        "this utterance has had its words",
    ]
