"""Who has the floor: when a reply is softened, when it is cut, and when the agent carries on."""

from __future__ import annotations

import math

import pytest
from deciding import actions, decided, final, interim, interruption, reply, says, speech, turns

from callengine.events import (
    InterruptionAsked,
    KeyPressed,
    ReplyAudible,
    ReplyClosed,
    ReplyOpened,
    ReplyText,
    SpeechStarted,
)
from callengine.turns.actions import CarryOn, Cut, FalseInterruption, SayRest
from callengine.turns.confirmation import MinWords, StopWords
from callengine.turns.floor import FALSE_ALARMS
from callengine.turns.turn_taking import TurnTaker

STORY = reply(1.0)
"""Audible from 1.0 to the end of time, and it asks nothing."""


# --- softly: pause or duck, then cut or carry on ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["pause", "duck"])
def test_sound_softens_at_once_and_words_cut(mode) -> None:
    facts = [*STORY, *speech(2.0, 3.0), interim(2.4, "No"), interim(2.6, "No wait"), final(3.5, "No wait.")]
    assert decided(facts, until=9.0, interruption=interruption(mode=mode)) == [
        *((2.2, f"{mode} 1"), (2.4, "cut 1 by transcript of 2"), (3.5, "turn 1: No wait.")),
    ]


@pytest.mark.parametrize("mode", ["pause", "duck"])
@pytest.mark.parametrize(
    ("facts", "carries_on"),
    [
        pytest.param([*speech(2.0, 2.3), final(2.8, "")], [(2.8, "false interruption")], id="a cough"),
        pytest.param(
            [*speech(2.0, 2.6), final(2.9, "mm-hm")],
            [(2.9, "backchannel"), (2.92, "backchannel: mm-hm")],
            id="a backchannel, by its final",
        ),
        pytest.param(
            [*speech(2.0, 2.6), interim(2.5, "okay"), final(3.1, "Okay.")],
            [(2.76, "backchannel"), (3.1, "backchannel: Okay.")],
            id="a backchannel, by its interim when it pauses",
        ),
        pytest.param(speech(2.0, 2.5), [(3.7, "false interruption")], id="nothing known for the window"),
    ],
)
def test_the_agent_carries_on_when_it_was(mode, facts, carries_on) -> None:
    rows = decided(STORY, facts, until=5.0, interruption=interruption(mode=mode))
    assert rows == [(2.2, f"{mode} 1"), (carries_on[0][0], "carry on 1"), *carries_on]


def test_a_line_says_why() -> None:
    facts = [*STORY, *speech(2.0, 2.6), interim(2.5, "okay"), *says("Wait!", 5.0, 5.4, 2)]
    whys = [action.reason for _, action in actions(facts) if isinstance(action, CarryOn | FalseInterruption | Cut)]
    assert whys == ["backchannel 'okay'", "backchannel 'okay'", "caller said 'wait', which stops"]


def test_okay_but_interrupts() -> None:
    """Given a backchannel that was let pass, when the caller goes on, then that is looked at anew."""
    okay = [*STORY, interim(2.4, "okay")]
    in_one_go = [*okay, *speech(2.0, 3.5), interim(2.9, "okay but")]
    assert decided(in_one_go) == [(2.2, "pause 1"), (2.9, "cut 1 by transcript of 2")]
    after_a_pause = [*okay, *speech(2.0, 4.0, pauses=[(2.4, 2.7)]), interim(3.2, "okay but"), final(4.5, "Okay, but")]
    assert decided(after_a_pause) == [
        *((2.2, "pause 1"), (2.56, "carry on 1"), (2.56, "backchannel")),
        *((2.9, "pause 1"), (3.2, "cut 1 by transcript of 2.7")),
    ]


def test_words_that_come_after_the_window_still_cut() -> None:
    """Given a slow recogniser, when the agent has carried on by the time of the final, then the final cuts."""
    facts = [*STORY, *speech(2.0, 2.9), final(4.5, "And the price?")]
    assert decided(facts, until=5.0) == [
        *((2.2, "pause 1"), (3.7, "carry on 1"), (3.7, "false interruption")),
        *((4.5, "cut 1 by transcript of 2"), (4.5, "turn 1: And the price?")),
    ]


@pytest.mark.parametrize(("window", "carries_on"), [(0.4, 2.6), (1.5, 3.7)])
def test_the_window_bounds_how_long_an_interruption_is_pending(window, carries_on) -> None:
    rows = decided(STORY, speech(2.0, 2.5), until=4.0, interruption=interruption(window=window))
    assert rows[1:] == [(carries_on, "carry on 1"), (carries_on, "false interruption")]


def test_words_that_do_not_confirm_do_not_soften_for_no_time() -> None:
    """Given three words to confirm, when two come as a final after a short sound, then the reply is not touched."""
    facts = [*STORY, *speech(2.0, 2.15), final(2.8, "No thanks.")]
    rows = decided(facts, until=5.0, interruption=interruption(min_words=3))
    assert rows == [(2.8, "false interruption"), (2.8, "turn 1: No thanks.")]


# --- hard: cut ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("least", [0.0, 0.15, 0.5])
@pytest.mark.parametrize(("mode", "row"), [("cut", "cut 1 by speech of 2"), ("pause", "pause 1"), ("duck", "duck 1")])
def test_sound_counts_once_it_lasted(mode, row, least) -> None:
    rows = decided(STORY, speech(2.0), until=2.9, interruption=interruption(mode=mode, min_duration=least))
    assert rows == [(max(2.1, 2.0 + least), row)]


@pytest.mark.parametrize(("ended", "cut"), [(2.16, []), (2.18, [(2.2, "cut 1 by speech of 2")])])
def test_a_shorter_sound_cuts_nothing_and_its_words_count(ended, cut) -> None:
    """The VAD notices silence 0.03 s late."""
    facts = [*STORY, *speech(2.0, ended), ReplyClosed(2.5, 1), final(2.9, "No.")]
    assert decided(facts, until=5.0, interruption=interruption(mode="cut")) == [*cut, (2.9, "turn 1: No.")]


def test_speech_that_wavers_counts_when_it_is_steady_again() -> None:
    facts = [*STORY, *speech(2.0, 3.0, pauses=[(2.12, 2.25)])]
    assert decided(facts, interruption=interruption(mode="cut")) == [(2.25, "cut 1 by speech of 2")]


def test_a_reply_is_cut_once_and_the_next_one_can_be_cut_too() -> None:
    facts = [*reply(1.0, closed=2.3), *speech(2.0, 3.0), interim(2.5, "No"), final(3.5, "No.")]
    facts += [*reply(4.0, number=2), *speech(5.0, 6.0, 2), interim(5.1, "No", 2)]
    assert [row for row in decided(facts, interruption=interruption(mode="cut")) if "cut" in row[1]] == [
        *((2.2, "cut 1 by speech of 2"), (5.1, "cut 2 by transcript of 5")),
    ]


def test_in_cut_mode_with_strategies_sound_alone_changes_nothing() -> None:
    """Given three words to confirm, when "okay" comes, then the reply plays on and one backchannel is counted; when
    "no wait please" comes, it is cut once, since the first sound."""
    rules = interruption(mode="cut", confirm=(MinWords(3),))
    okay = [*STORY, *speech(2.0, 2.5), interim(2.4, "okay"), final(3.0, "Okay.")]
    assert decided(okay, until=5.0, interruption=rules) == [(2.66, "backchannel"), (3.0, "backchannel: Okay.")]
    wait = [*STORY, *speech(2.0, 3.5), interim(2.4, "no wait"), interim(2.7, "no wait please")]
    ((at, cut),) = ((at, action) for at, action in actions(wait, interruption=rules) if isinstance(action, Cut))
    assert (at, cut.onset, cut.reason) == (2.7, 2.0, "caller said 'no wait please'")


# --- when nothing is cut --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "settings"),
    [
        pytest.param(reply(1.0, interruptible=False), {}, id="it is not interruptible"),
        pytest.param(STORY, {"barge_in": False}, id="barge-in is off"),
        pytest.param([ReplyOpened(1.0, 1)], {}, id="nobody hears it yet"),
        pytest.param(reply(1.0, closed=1.5), {}, id="it is over"),
    ],
)
@pytest.mark.parametrize("mode", ["cut", "pause"])
def test_nothing_is_interrupted_when(facts, settings, mode) -> None:
    taker = TurnTaker(turns(interruption=interruption(mode=mode), **settings))
    assert decided(facts, speech(2.0), interim(2.5, "Stop"), KeyPressed(2.6), taker=taker) == []
    assert taker.next_check == math.inf


def test_a_reply_can_be_cut_until_its_audible_end() -> None:
    """Given a reply that was sent long ago and still plays, when the caller speaks, then it is cut: the turn-taker goes
    by what is heard."""
    facts = [*STORY, *speech(60.0, 61.0), interim(60.15, "Hello?"), ReplyClosed(60.2, 1, "the rest")]
    assert decided(facts) == [(60.15, "cut 1 by transcript of 60")]


def test_nothing_of_a_pending_interruption_outlives_the_reply() -> None:
    taker = TurnTaker(turns())
    assert decided(STORY, speech(2.0), ReplyClosed(2.5, 1), taker=taker) == [(2.2, "pause 1")]
    assert taker.next_check == math.inf


# --- the guard ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guard", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("mode", ["cut", "pause"])
def test_sound_that_begins_within_the_guard_does_not_disturb(guard, mode) -> None:
    """Unless it goes on behind it. Its words reach the caller's turn all the same."""
    rules, over = interruption(mode=mode, guard=guard), 1.0 + guard
    row = "pause 1" if mode == "pause" else "cut 1 by speech of "
    hm = [*reply(1.0, closed=8.0), *speech(1.0, over + 0.15), final(9.0, "Hm, no.")]
    assert decided(hm, until=20.0, interruption=rules, final_timeout=9.0)[0] == (9.0, "turn 1: Hm, no.")
    at, what = decided(STORY, speech(over + 0.001), until=over + 0.5, interruption=rules)[0]
    assert (at, what.startswith(row)) == (round(over + 0.201, 3), True)


@pytest.mark.parametrize("sound", [pytest.param((1.05, 1.45), id="a click"), pytest.param((0.5, 1.9), id="a hum")])
def test_line_noise_just_after_the_greeting_begins_does_not_disturb_it(sound) -> None:
    facts = [*reply(1.0, may_wait=False, closed=8.0), *speech(*sound), final(2.4, "")]
    assert decided(facts, until=9.0, interruption=interruption(guard=0.3, long_speech=1.0)) == []


def test_words_just_after_the_greeting_begins_cut_it() -> None:
    facts = [*reply(1.0, may_wait=False), *speech(1.05, 1.9), interim(1.4, "hello this is")]
    assert decided(facts) == [(1.4, "cut 1 by transcript of 1.05")]


@pytest.mark.parametrize(("onset", "guard", "due"), [(1.05, 0.3, 1.5), (1.2, 0.3, 1.5), (1.05, 0.8, 2.0)])
def test_a_caller_who_speaks_through_the_guard_is_heard(onset, guard, due) -> None:
    """Without any words, his sound counts from the end of the guard."""
    for mode, row in (("pause", "pause 1"), ("cut", f"cut 1 by speech of {onset:g}")):
        rules = interruption(mode=mode, guard=guard, min_duration=0.2)
        assert decided(reply(1.0, may_wait=False), speech(onset), until=due, interruption=rules) == [(due, row)]


@pytest.mark.parametrize("long", [0.7, 1.0])
@pytest.mark.parametrize("mode", ["pause", "cut"])
def test_sound_from_before_the_reply_cuts_when_both_have_lasted_for_long(mode, long) -> None:
    """What sounded before the reply could be heard does not count."""
    rules = interruption(mode=mode, confirm=None, long_speech=long)
    rows = decided(reply(1.0, may_wait=False), speech(0.5, 4.0), until=3.0, interruption=rules)
    assert rows == [(1.0 + long, "cut 1 by speech of 0.5")]


def test_sound_from_before_the_reply_counts_no_sooner_than_any() -> None:
    rules = interruption(mode="cut", long_speech=0.5, min_duration=0.8)
    assert decided(STORY, speech(0.9), until=3.0, interruption=rules) == [(1.8, "cut 1 by speech of 0.9")]


# --- what confirms by default, in pause and duck mode ---------------------------------------------------------------


@pytest.mark.parametrize("long", [0.6, 1.0])
def test_long_speech_confirms_by_itself(long) -> None:
    rules = interruption(confirm=None, long_speech=long)
    rows = decided(STORY, speech(2.0, 4.0), until=3.5, interruption=rules)
    assert rows == [(2.2, "pause 1"), (2.0 + long, "cut 1 by speech of 2")]


@pytest.mark.parametrize("short", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("mode", ["pause", "duck"])
def test_words_of_short_speech_do_not_interrupt_and_are_answered_afterwards(mode, short) -> None:
    """A hum, of which the recogniser makes words, does not end the reply; if they were words, they are not lost."""
    rules = interruption(mode=mode, confirm=None, short_speech=short)
    hum = [*reply(1.0, closed=6.0), *speech(2.0, 2.6), final(3.1, "My humble.")]
    begun, turn = (2.2, f"{mode} 1"), (3.1, "turn 1: My humble.")
    if short > 0.6:
        expected = [begun, (3.1, "carry on 1"), (3.1, "false interruption"), turn]
    else:
        expected = [begun, (3.1, "cut 1 by transcript of 2"), turn]
    assert decided(hum, until=9.0, interruption=rules) == expected


def test_short_speech_interrupts_with_a_word_that_stops() -> None:
    rules = interruption(confirm=None, short_speech=0.8)
    facts = [*STORY, *speech(2.0, 2.5), interim(2.4, "Stop")]
    assert decided(facts, interruption=rules) == [(2.2, "pause 1"), (2.4, "cut 1 by transcript of 2")]


def test_words_count_when_the_caller_has_paused_behind_them() -> None:
    """Given speech that is not short, when he speaks on his words may become others, when he pauses they are his."""
    rules = interruption(confirm=None, short_speech=0.8, long_speech=1.4, window=9.0)
    facts = [*STORY, *speech(2.0, 3.0), interim(2.9, "and the"), interim(3.2, "and the price")]
    assert decided(facts, interruption=rules) == [(2.2, "pause 1"), (3.2, "cut 1 by transcript of 2")]


# --- a line that makes sounds of its own ------------------------------------------------------------------------------


def test_after_false_alarms_only_words_disturb_this_reply() -> None:
    """Given sounds without words, or an echo, when they come again and again, then the reply is softened for no more of
    them, but the caller is heard; the next reply is disturbed by sound again."""
    sounds = []
    for number in range(1, FALSE_ALARMS + 2):
        sounds += [*speech(2.0 * number, 2.0 * number + 0.4, number), final(2.0 * number + 0.9, "", number)]
    rows = decided(reply(1.0), sounds, until=20.0)
    assert [row for _, row in rows] == ["pause 1", "carry on 1", "false interruption"] * FALSE_ALARMS
    wait = [*speech(20.0, 21.0, 9), interim(20.5, "Not on Sunday", 9)]
    assert decided(reply(1.0), sounds, wait)[-1] == (20.5, "cut 1 by transcript of 20")
    again = [*reply(30.0, number=2), *speech(31.0, 31.5, 9)]
    assert decided(reply(1.0, closed=25.0), sounds, again)[-1] == (31.2, "pause 2")


def test_backchannels_are_no_false_alarms() -> None:
    facts = [*STORY]
    for number in range(1, FALSE_ALARMS + 2):
        facts += [*speech(2.0 * number, 2.0 * number + 0.4, number), final(2.0 * number + 0.9, "mm-hm", number)]
    rows = [row for _, row in decided(facts, until=20.0)]
    assert rows.count("pause 1") == FALSE_ALARMS + 1


# --- backchannels and answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Okay.", "mm-hm", "Right.", "Yes."])
def test_a_backchannel_in_a_long_explanation_is_no_turn(text) -> None:
    facts = [*reply(1.0, closed=20.0), *says(text, 5.0, 5.15)]
    assert decided(facts, until=30.0) == [(5.65, f"backchannel: {text}")]


@pytest.mark.parametrize("text", ["Okay.", "mm-hm", "Right.", "Yes."])
def test_the_same_words_behind_a_question_are_an_answer(text) -> None:
    facts = [*reply(1.0, "Is that right?", closed=4.0), *says(text, 4.3, 4.6)]
    assert decided(facts, until=9.0) == [(5.1, f"turn 1: {text}")]


@pytest.mark.parametrize(
    ("overlap", "onset", "text", "answer"),
    [
        *((1.0, 9.1, "Is that right?", True), (1.0, 8.9, "Is that right?", False)),
        *((0.0, 9.9, "Is that right?", False), (3.0, 7.1, "Is that right?", True), (1.0, 9.1, "That is it.", False)),
    ],
)
def test_a_yes_that_overlaps_the_end_of_a_question_is_an_answer(overlap, onset, text, answer) -> None:
    facts = [*reply(1.0, text, closed=10.0), *says("Yes.", onset, onset + 0.15)]
    rows = decided(facts, until=15.0, interruption=interruption(answer_overlap=overlap))
    said_over = round(onset + 0.65, 3)
    if said_over > 10.0:  # the final is late: the question is over by then
        assert rows == ([(said_over, "turn 1: Yes.")])
    else:
        assert rows == [(said_over, "backchannel: Yes."), *([(10.0, "turn 1: Yes.")] if answer else [])]


def test_the_time_of_a_pause_does_not_count_as_overlap() -> None:
    """Given 0.9 s of the question to come, when "yes" pauses it for 0.8 s, then that is an answer."""
    facts = [*reply(1.0, "Is that right?", closed=4.6), *speech(2.9, 3.5), final(3.9, "Yes.")]
    assert decided(facts, until=9.0) == [
        *((3.1, "pause 1"), (3.9, "carry on 1"), (3.9, "backchannel"), (3.9, "backchannel: Yes.")),
        (4.6, "turn 1: Yes."),
    ]


def test_a_backchannel_over_a_filler_leaves_the_answer_behind_it_alone() -> None:
    """Given "one moment", when "okay" comes over its end and the answer is on its way, then that is not dropped."""
    facts = [*says("Is it free?", 1.0, 2.0), *reply(3.0, "One moment.", closed=4.0), *speech(3.8, 3.95, 2)]
    facts += [ReplyOpened(4.05, 2), final(4.6, "Okay.", 2), ReplyAudible(5.0, 2), ReplyClosed(7.0, 2)]
    assert decided(facts, until=9.0)[1:] == [(4.6, "backchannel: Okay.")]


def test_an_answer_that_began_before_the_agent_could_be_heard_is_no_backchannel() -> None:
    assert decided(reply(1.0, may_wait=False), says("Yes.", 0.95, 1.1), until=9.0) == [(1.6, "turn 1: Yes.")]


def test_a_backchannel_before_other_words_is_no_answer() -> None:
    facts = [*reply(1.0, "Is that right?", closed=10.3, interruptible=False), *speech(9.2, 9.3), final(9.4, "Yes.")]
    facts += [*speech(9.75, 9.85, 2), final(9.9, "And when?", 2)]
    rows = decided(facts, until=12.0, interruption=interruption(answer_overlap=2.0))
    assert rows == [(9.62, "backchannel: Yes."), (10.17, "turn 2: And when?")]


def test_in_cut_mode_an_answer_to_what_closes_late_is_not_followed_by_the_rest() -> None:
    facts = [*reply(1.0, "So you come at eight, right?", closed=4.0, unheard="right?"), *says("Yes.", 3.0, 3.4)]
    rows = decided(facts, until=9.0, interruption=interruption(mode="cut"))
    assert rows[1:] == [(3.9, "backchannel: Yes."), (4.0, "turn 1: Yes.")]


@pytest.mark.parametrize(("unheard", "row"), [("right?", "turn 1: Yes."), ("and will you bring a dog?", "rest: ")])
def test_in_cut_mode_a_yes_is_an_answer_if_hardly_more_of_the_question_was_to_come(unheard, row) -> None:
    facts = [*reply(1.0, "So you come at eight, right?", closed=3.3, unheard=unheard), *says("Yes.", 3.0, 3.4)]
    rows = decided(facts, until=9.0, interruption=interruption(mode="cut"))
    assert rows[0] == (3.2, "cut 1 by speech of 3")
    assert rows[-1][1].startswith(row)


def test_a_function_can_judge_backchannels() -> None:
    facts = [*reply(1.0), *says("Jawohl.", 5.0, 5.15)]
    assert decided(facts, until=9.0)[0] == (5.65, "cut 1 by transcript of 5")
    rules = interruption(backchannels=lambda text: text == "Jawohl.")
    assert decided(facts, until=9.0, interruption=rules) == [(5.65, "backchannel: Jawohl.")]


def test_without_backchannels_every_word_interrupts() -> None:
    facts = [*STORY, *says("mm-hm", 5.0, 5.15)]
    rows = decided(facts, until=9.0, interruption=interruption(backchannels=False))
    assert rows == [(5.65, "cut 1 by transcript of 5"), (5.65, "turn 1: mm-hm")]


# --- keys and the application ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtmf", "rows"), [(True, [(2.0, "cut 1 by dtmf of 2")]), (False, [])])
def test_a_key_interrupts(dtmf, rows) -> None:
    facts = [*STORY, KeyPressed(2.0), ReplyClosed(2.01, 1, "the rest")]
    assert decided(facts, until=9.0, interruption=interruption(dtmf=dtmf)) == rows


@pytest.mark.parametrize("kwargs", [{}, {"interruptible": False}, {"may_wait": False}])
def test_the_application_may_cut_anything_and_nobody_says_the_rest(kwargs) -> None:
    for at in (0.95, 2.0):
        facts = [*reply(1.0, **kwargs), InterruptionAsked(at), InterruptionAsked(at)]
        assert decided(facts) == [(at, f"cut 1 by application of {at:g}")]
    facts = [*reply(1.0, closed=2.01, unheard="rest", **kwargs), InterruptionAsked(2.0)]
    assert not [action for _, action in actions(facts, until=9.0) if isinstance(action, SayRest)]


def test_the_application_cuts_what_is_paused() -> None:
    taker = TurnTaker(turns())
    rows = decided(STORY, speech(2.0, 2.5), InterruptionAsked(2.3), ReplyClosed(2.31, 1), taker=taker)
    assert rows == [(2.2, "pause 1"), (2.3, "cut 1 by application of 2.3")]


# --- a second interruption in the same call -------------------------------------------------------------------------


def test_every_later_interruption_works_even_if_the_line_never_falls_silent() -> None:
    """Given an echo that keeps the VAD in one utterance from reply to reply, when the caller's words come, then they
    cut."""
    facts = [*reply(1.0, "Good evening to you.", closed=3.0), SpeechStarted(1.5, 1, 1.4)]
    facts += [ReplyOpened(3.1, 2, True, False), ReplyText(3.1, 2, "And welcome."), ReplyAudible(3.2, 2)]
    facts += [interim(3.9, "stop it please")]
    rules = interruption(confirm=(StopWords(),), window=0.2)
    assert decided(facts, interruption=rules) == [
        *((1.6, "pause 1"), (1.8, "carry on 1"), (1.8, "false interruption")),
        (3.9, "cut 2 by transcript of 1.4"),
    ]
