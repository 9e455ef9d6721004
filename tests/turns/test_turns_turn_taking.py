"""Whose turn it is: words become turns, once, in order, and answers that nobody has heard are replaced."""

from __future__ import annotations

import math

import pytest
from deciding import actions, decided, final, interim, interruption, reply, says, short, speech, turns

from callengine.events import ReplyAudible, ReplyClosed, ReplyOpened
from callengine.turns.actions import EndTurn
from callengine.turns.turn_taking import TurnTaker

TOMORROW = says("Tomorrow.", 1.0, 2.0)
"""Its final comes at 2.5."""


# --- words and turns ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "decisions"),
    [
        pytest.param(TOMORROW, [(2.5, "turn 1: Tomorrow.")], id="end of speech, then the final"),
        pytest.param(
            [*speech(1.0, 2.0), final(1.9, "Tomorrow.")],
            [(2.32, "turn 1: Tomorrow.")],
            id="a final before the end of speech waits for it",
        ),
        pytest.param(
            [*TOMORROW, interim(1.5, "Tom"), interim(2.2, "Tomorrow")],
            [(2.5, "turn 1: Tomorrow.")],
            id="interims are no turn",
        ),
        pytest.param(
            [*speech(1.0, 2.0, pauses=[(1.3, 1.5), (1.6, 1.65)]), final(2.5, "Tomorrow.")],
            [(2.5, "turn 1: Tomorrow.")],
            id="pauses inside an utterance decide nothing",
        ),
        pytest.param([*speech(1.0, 2.0), final(2.5, "  ")], [], id="no words, no turn"),
        pytest.param([*speech(1.0, 2.0), final(2.5, "...")], [], id="nothing but punctuation, no turn"),
        pytest.param([final(1.0, "Tomorrow.", 4)], [(1.3, "turn 4: Tomorrow.")], id="what the VAD did not hear"),
    ],
)
def test_the_caller_s_turn_ends(facts, decisions) -> None:
    assert decided(facts, until=9.0) == decisions


@pytest.mark.parametrize("text", ["yes", "no", "Okay.", "thanks", "A  table, for 2?"])
def test_short_words_are_turns_and_words_are_not_modified(text) -> None:
    assert decided(says(text, 1.0, 1.3), until=9.0) == [(1.8, f"turn 1: {text}")]


def test_every_final_is_answered_once_while_interims_keep_coming() -> None:
    """Given a slow reply, when the caller speaks on with ever new interims, then each final is in one turn."""
    facts = [
        *(*says("One.", 1.0, 1.5), ReplyOpened(2.1, 1)),
        *(*says("Two.", 4.0, 4.5, 2), interim(4.3, "Tw", 2), ReplyClosed(5.01, 1), ReplyOpened(5.02, 2)),
        *(*says("Three.", 7.0, 7.5, 3), interim(7.2, "Th", 3), interim(7.3, "Thr", 3), ReplyClosed(8.01, 2)),
    ]
    assert [row for _, row in decided(facts, until=20.0)] == [
        *("turn 1: One.", "drop 1", "turn 2: Two. (continues)", "drop 2", "turn 3: Three. (continues)"),
    ]


@pytest.mark.parametrize("first", [1, 2], ids=["in order", "the second final first"])
def test_two_finals_at_almost_the_same_time_are_both_answered_in_the_order_of_speech(first) -> None:
    """Given two sentences with 0.5 s in between, when their finals come 300 ms apart, then both are in the turn."""
    finals = {first: 3.0, 3 - first: 3.3}
    facts = [*speech(1.0, 1.5), *speech(2.0, 2.5, 2), final(finals[1], "One.", 1), final(finals[2], "Two.", 2)]
    assert decided(facts, until=9.0) == [(3.3, "turn 2: One. Two.")]


def test_a_pause_longer_than_the_delay_makes_two_turns() -> None:
    facts = [*says("One.", 1.0, 1.5), *reply(2.1, closed=3.0), *says("Two.", 4.0, 4.5, 2)]
    assert decided(facts, until=9.0) == [(2.0, "turn 1: One."), (5.0, "turn 2: Two.")]


def test_a_turn_says_when_its_last_sound_ended_and_why_it_is_over() -> None:
    (end,) = (
        action for _, action in actions(speech(1.0, 2.0), final(2.31, "Tomorrow.")) if isinstance(action, EndTurn)
    )
    assert end.speech_ended == 2.0
    assert end.reason == "finished sentence, 320 ms after the last sound"
    (end,) = (action for _, action in actions(final(4.0, "Bye."), until=9.0) if isinstance(action, EndTurn))
    assert end.speech_ended is None
    assert end.reason == "finished sentence, 300 ms after the words came"


def test_a_sound_without_words_moves_nothing_of_the_turn() -> None:
    """Given words and then a cough, when the turn is over, then it ended with the words."""
    facts = [*speech(1.0, 2.0), *speech(2.4, 2.5, 2), final(2.9, "Tomorrow."), final(3.0, "", 2)]
    ((at, end),) = ((at, action) for at, action in actions(facts, until=9.0) if isinstance(action, EndTurn))
    assert (at, end.utterance, end.speech_ended) == (3.0, 1, 2.0)
    assert end.reason.endswith(", 1000 ms after the last sound")
    (alone,) = (
        a for _, a in actions(speech(0.5, 0.6), final(0.9, ""), says("Soon.", 5, 6, 2)) if isinstance(a, EndTurn)
    )
    assert (alone.text, alone.speech_ended) == ("Soon.", 6)


def test_the_agent_is_held_from_the_first_sound_to_the_end_of_the_turn() -> None:
    rows = [(at, short(action)) for at, action in actions(speech(1.0, 2.0), final(2.1, "I would like to"), until=9.0)]
    assert rows == [(1.1, "hold"), (3.2, "turn 1: I would like to"), (3.2, "release")]


# --- a recogniser that is late or stuck -----------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0.5, 3.0])
@pytest.mark.parametrize(
    ("words", "decisions"),
    [
        ([interim(1.6, "Tomorrow")], ["turn 1: Tomorrow", "late: Tomorrow at six."]),
        ([], ["ask again", "late: Tomorrow at six."]),
    ],
    ids=["interim", "nothing"],
)
def test_a_stuck_recogniser_is_waited_for_so_long(words, decisions, timeout) -> None:
    rows = decided(speech(1.0, 2.0), words, final(20.0, "Tomorrow at six."), until=30.0, final_timeout=timeout)
    assert rows == list(zip([2.32 + timeout, 20.0], decisions, strict=True))


def test_a_final_just_before_the_time_is_up_counts() -> None:
    assert decided(speech(1.0, 2.0), final(5.319, "Tomorrow."), until=30.0) == [(5.319, "turn 1: Tomorrow.")]


def test_an_utterance_waits_for_a_stuck_one_before_it() -> None:
    rows = decided(speech(1.0, 1.5), speech(1.9, 2.5, 2), final(3.0, "Two.", 2), until=30.0)
    assert rows == [(4.82, "ask again"), (4.82, "turn 2: Two.")]


# --- replies that nobody has heard ----------------------------------------------------------------------------------


def test_new_words_replace_a_slow_reply_that_nobody_has_heard() -> None:
    """Given no audio for 3 s, when the caller says a new sentence, then the unheard reply is replaced, and both of his
    sentences are answered as one."""
    rows = decided(TOMORROW, ReplyOpened(2.6, 1), says("Are you there?", 5.5, 6.2, 2), until=9.0)
    assert rows == [(2.5, "turn 1: Tomorrow."), (6.7, "drop 1"), (6.7, "turn 2: Are you there? (continues)")]


@pytest.mark.parametrize(
    "nothing_new",
    [
        pytest.param([*speech(3.0, 3.2, 2), final(3.7, "", 2)], id="noise"),
        pytest.param([final(3.2, "Tomorrow.", 2)], id="a duplicate"),
        pytest.param([final(3.2, "Tomorrow.")], id="the same final again"),
        pytest.param([*speech(3.0, 3.2, 2), final(3.7, "[music]", 2)], id="a caption"),
    ],
)
def test_nothing_new_never_touches_a_reply_that_nobody_has_heard(nothing_new) -> None:
    facts = [*TOMORROW, ReplyOpened(2.6, 1), *nothing_new, ReplyAudible(4.0, 1), ReplyClosed(6.0, 1)]
    rows = [row for _, row in decided(facts, until=9.0)]
    assert rows[0] == "turn 1: Tomorrow."
    assert not [row for row in rows if row.startswith(("cut", "drop", "turn 2", "rest"))]


def test_noise_that_goes_on_from_before_a_greeting_does_not_mute_it() -> None:
    """Given sound since long before the greeting, then that disturbs it only once it has lasted during the greeting."""
    facts = [*reply(3.0, may_wait=False), *speech(0.5, 3.9), final(4.4, "")]
    assert decided(facts, until=9.0) == []


def test_a_greeting_and_a_notice_are_not_dropped() -> None:
    """A greeting is not held back, and what is not interruptible must be said: words wait until it is over."""
    for kwargs in ({"may_wait": False}, {"interruptible": False}):
        rows = decided(ReplyOpened(1.5, 1, **kwargs), TOMORROW, until=9.0)
        assert rows == [(2.5, "turn 1: Tomorrow.")]


def test_a_reply_that_has_not_begun_is_replaced_even_without_barge_in() -> None:
    rows = decided(TOMORROW, ReplyOpened(2.6, 1), says("Today?", 5.5, 6.2, 2), until=9.0, barge_in=False)
    assert rows[1:] == [(6.7, "drop 1"), (6.7, "turn 2: Today? (continues)")]


def test_after_a_cut_the_next_turn_and_its_reply_are_as_ever() -> None:
    facts = [*reply(1.0, closed=2.31), *speech(2.0, 3.0), interim(2.3, "No wait"), final(3.5, "No wait.")]
    facts += [*reply(4.5, number=2, closed=9.0)]
    assert decided(facts, until=20.0)[-1] == (3.5, "turn 1: No wait.")
    facts = [*facts[:-1], *speech(6.0, 7.0, 2), interim(6.3, "Not that", 2), final(7.5, "Not that.", 2)]
    assert decided(facts)[-3:] == [(6.2, "pause 2"), (6.3, "cut 2 by transcript of 6"), (7.5, "turn 2: Not that.")]


# --- split turns ----------------------------------------------------------------------------------------------------


def test_a_second_half_behind_an_unfinished_first_one_belongs_to_the_same_turn() -> None:
    facts = [*says("I would like to", 1.0, 2.0), *says("book a table.", 2.6, 3.4, 2)]
    assert decided(facts, until=9.0) == [(3.9, "turn 2: I would like to book a table.")]


HALVES = [*says("I'd like a table.", 1.0, 2.0), *says("For two.", 2.75, 3.4, 2)]
"""The first half is answered at 2.5; the second begins a quarter of a second later."""


def test_a_second_half_behind_a_finished_one_is_merged_while_the_answer_was_hardly_audible() -> None:
    facts = [*HALVES, *reply(2.7, closed=3.91, unheard="rest"), interim(3.0, "for two", 2)]
    rows = decided(facts, until=9.0)
    assert rows == [
        *((2.5, "turn 1: I'd like a table."), (3.0, "cut 1 by transcript of 2.75")),
        (3.9, "turn 2: For two. (continues)"),
    ]


@pytest.mark.parametrize(("split", "continues"), [(0.6, True), (0.06, True), (0.04, False), (0.0, False)])
def test_the_answer_is_withdrawn_if_less_than_split_was_audible_when_the_caller_went_on(split, continues) -> None:
    facts = [*HALVES, *reply(2.7, closed=3.2, unheard="rest"), interim(3.0, "for two", 2)]
    ends = [action for _, action in actions(facts, until=9.0, split=split) if isinstance(action, EndTurn)]
    assert [end.continues for end in ends] == [False, continues]


def test_it_is_merged_too_when_cut_and_end_of_turn_are_decided_at_once() -> None:
    """Given a recogniser without interims, when the final both cuts the reply and ends the turn, then both halves are
    answered as one."""
    facts = [*HALVES, *reply(2.7)]
    assert decided(facts)[-2:] == [(3.9, "cut 1 by transcript of 2.75"), (3.9, "turn 2: For two. (continues)")]


def test_the_first_turn_of_a_call_continues_nothing() -> None:
    assert decided(reply(1.0, may_wait=False), says("Hello there", 1.1, 2.0), until=9.0)[-1][1] == "turn 1: Hello there"


def test_a_turn_behind_one_that_was_answered_continues_nothing() -> None:
    facts = [*TOMORROW, *reply(2.7, closed=2.9), *says("Bye.", 5.0, 5.5, 2)]
    assert decided(facts, until=9.0)[-1] == (6.0, "turn 2: Bye.")


def test_what_was_said_over_a_notice_is_answered_afterwards() -> None:
    facts = [*TOMORROW, *reply(2.7, interruptible=False, closed=8.0), *says("What is that?", 4.0, 5.0, 2)]
    facts += [*says("And that?", 6.0, 7.0, 3)]
    assert [row for _, row in decided(facts, until=9.0)] == [
        *("turn 1: Tomorrow.", "turn 2: What is that?", "turn 3: And that? (continues)"),
    ]


# --- after a cut ----------------------------------------------------------------------------------------------------

COUGH = [*reply(1.0, closed=2.21, unheard="the rest"), *speech(2.0, 2.4)]


def after_cough(*facts, **settings) -> list[str]:
    taker = TurnTaker(turns(interruption=interruption(mode="cut"), **settings))
    rows = decided(COUGH, *facts, until=9.0, taker=taker)
    assert rows[0] == (2.2, "cut 1 by speech of 2")
    assert taker.next_check == math.inf
    return [row for _, row in rows[1:]]


def test_when_a_sound_without_words_cut_the_agent_says_the_rest() -> None:
    assert after_cough(final(2.9, "")) == ["rest: the rest"]
    assert after_cough(final(2.9, ""), resume=False) == []


def test_when_words_cut_nobody_says_the_rest() -> None:
    assert after_cough(final(2.9, "No.")) == ["turn 1: No."]


def test_when_a_backchannel_cut_the_agent_says_the_rest() -> None:
    assert after_cough(final(2.9, "mm-hm")) == ["backchannel: mm-hm", "rest: the rest"]
    assert after_cough(final(2.9, "mm-hm"), resume=False) == ["turn 1: mm-hm"]


def test_the_rest_waits_for_a_second_sound() -> None:
    facts = [*speech(2.8, 3.0, 2), final(2.9, "")]
    assert after_cough(facts, final(3.5, "", 2)) == ["rest: the rest"]
    assert after_cough(facts, final(3.5, "No.", 2)) == ["turn 2: No."]


def test_after_asking_again_or_moving_on_nothing_is_repeated() -> None:
    assert after_cough() == ["ask again"]
    assert after_cough(ReplyOpened(2.5, 2), final(2.9, ""), ReplyClosed(5.0, 2)) == []
