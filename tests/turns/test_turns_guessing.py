"""Preemptive replies: begun while nobody can hear them, released by matching words, and forgotten otherwise."""

from __future__ import annotations

import pytest
from deciding import actions, decided, delays, final, interim, interruption, reply, says, speech, turns

from callengine.events import (
    InterruptionAsked,
    ReplyClosed,
    ReplyOpened,
    ReplyText,
    SpeechStarted,
    TurnHint,
    TurnVerdict,
)
from callengine.turns.actions import Guess
from callengine.turns.guessing import PAUSE_WORDS
from callengine.turns.settings import Preemption
from callengine.turns.turn_taking import TurnTaker

TABLE = "A table for two."


def guessed(*facts, until: float = 20.0, taker: TurnTaker | None = None, **settings) -> list[tuple[float, str]]:
    return decided(*facts, until=until, taker=taker, preemption=Preemption(enabled=True, **settings))


def test_a_pause_behind_a_whole_sentence_is_guessed_and_the_matching_final_releases_it() -> None:
    facts = [*speech(1.0, 2.0), interim(2.2, TABLE), ReplyOpened(2.25, 1), final(2.6, "A table, for two")]
    assert guessed(facts) == [(2.2, f"guess: {TABLE}"), (2.6, "turn 1: A table, for two (guessed)")]
    assert decided(facts, until=20.0) == [(2.6, "drop 1"), (2.6, "turn 1: A table, for two")]


def test_words_from_before_the_pause_are_guessed_when_no_others_have_come_behind_it() -> None:
    """A recogniser that writes at pauses has not written yet when the pause begins."""
    facts = [*speech(1.0, 2.0), interim(1.9, "A table")]
    assert guessed(facts, until=2.6, stable=9.0) == [(round(2.16 + PAUSE_WORDS, 3), "guess: A table")]
    assert guessed(facts, interim(2.2, TABLE), until=2.6) == [(2.2, f"guess: {TABLE}")]


def test_other_words_take_it_back_and_leave_nothing_behind() -> None:
    facts = [*speech(1.0, 2.0), interim(2.2, TABLE), ReplyOpened(2.25, 1), final(2.6, "A table for ten.")]
    assert guessed(facts) == [
        *((2.2, f"guess: {TABLE}"), (2.6, "take back"), (2.6, "drop 1"), (2.6, "turn 1: A table for ten.")),
    ]


@pytest.mark.parametrize(
    ("later", "rows"),
    [
        pytest.param(
            [*speech(2.3, 3.0, 2), final(2.5, TABLE), final(3.4, "Please.", 2)],
            [(2.4, "take back"), (3.4, f"turn 2: {TABLE} Please.")],
            id="another utterance",
        ),
        pytest.param([TurnHint(2.3, 1, "resumed"), final(2.6, TABLE)], [(2.3, "take back")], id="the recogniser"),
        pytest.param([InterruptionAsked(2.3), final(2.6, TABLE)], [(2.3, "take back")], id="the application"),
    ],
)
def test_a_caller_who_goes_on_takes_it_back(later, rows) -> None:
    found = guessed(speech(1.0, 2.0), interim(2.2, TABLE), later)
    assert found[0] == (2.2, f"guess: {TABLE}")
    assert [row for row in rows if row not in found] == []


def test_speech_that_resumes_takes_it_back_and_the_second_pause_is_guessed_again() -> None:
    facts = [*speech(1.0, 3.0, pauses=[(1.8, 2.05)]), interim(1.97, TABLE), interim(3.2, f"{TABLE} Please.")]
    replying = [ReplyOpened(2.0, 1), ReplyClosed(2.06, 1)]
    assert guessed(facts, replying, final(3.4, f"{TABLE} Please.")) == [
        *((1.97, f"guess: {TABLE}"), (2.05, "take back"), (2.05, "drop 1"), (3.2, f"guess: {TABLE} Please.")),
        (3.4, f"turn 1: {TABLE} Please. (guessed)"),
    ]


@pytest.mark.parametrize("text", ["", "[music]", "mm"])
def test_a_guess_about_what_becomes_no_turn_is_taken_back(text) -> None:
    taker = TurnTaker(turns(preemption=Preemption(enabled=True), interruption=interruption(min_duration_silent=9)))
    rows = guessed(speech(1.0, 2.0), interim(2.2, TABLE), final(2.6, text), taker=taker)
    assert rows[0] == (2.2, f"guess: {TABLE}")
    assert (2.6, "take back") in rows
    assert not [row for row in rows if "turn" in row[1]]


@pytest.mark.parametrize("text", ["[music]", "I would like to"])
def test_neither_a_caption_nor_an_unfinished_sentence_is_guessed(text) -> None:
    assert "guess" not in str(guessed(speech(1.0, 2.0), interim(2.2, text), final(2.6, text)))


def test_the_agent_s_echo_is_not_guessed() -> None:
    story, back = "We have a lovely table in the corner by the window.", "lovely table in the corner by the window"
    facts = [*reply(0.5, story, closed=1.0), *speech(1.1, 1.4), interim(1.6, back), final(2.0, back)]
    assert guessed(facts) == [(2.0, f"echo: {back}")]


@pytest.mark.parametrize("stable", [0.3, 0.6])
def test_an_interim_that_does_not_change_is_guessed(stable) -> None:
    facts = [SpeechStarted(1.1, 1, 1.0), interim(1.5, "A table"), interim(1.7, TABLE), interim(1.9, TABLE)]
    assert guessed(facts, until=3.0, stable=stable) == [(1.7 + stable, f"guess: {TABLE}")]


@pytest.mark.parametrize(("longest", "guesses"), [(1.0, 0), (1.3, 1), (10.0, 1)])
def test_no_guess_is_made_about_a_longer_turn(longest, guesses) -> None:
    rows = guessed(speech(1.0, 2.0), interim(2.2, TABLE), until=2.2, max_speech=longest)
    assert len(rows) == guesses


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_a_turn_has_so_many_guesses_and_the_next_turn_as_many_again(tries) -> None:
    facts = []
    for turn in (0, 1):
        at, number = 10.0 * turn, turn + 1
        pauses = [(at + 2.0, at + 2.3), (at + 3.0, at + 3.3), (at + 4.0, at + 4.3)]
        facts += [*speech(at + 1.0, at + 5.0, number, pauses), final(at + 6.0, "Done.", number)]
        facts += [interim(at + 2.2, "One.", number), interim(at + 3.2, "Two.", number), interim(at + 4.2, "3.", number)]
        facts += reply(at + 7.0, closed=at + 8.0, number=number)
    rows = actions(facts, until=30.0, preemption=Preemption(enabled=True, tries=tries, stable=9.0))
    assert [round(at) for at, action in rows if isinstance(action, Guess)] == [
        *[2, 3, 4][:tries],
        *[12, 13, 14][:tries],
    ]


def test_an_eager_end_of_turn_is_guessed_at_once() -> None:
    facts = [SpeechStarted(1.1, 1, 1.0), interim(1.5, "I would like to"), TurnHint(1.5, 1, "eager")]
    assert guessed(facts, until=1.6) == [(1.5, "guess: I would like to")]


def test_nothing_is_guessed_while_the_agent_is_about_to_speak() -> None:
    facts = [ReplyOpened(0.5, 1), *says(TABLE, 1.0, 2.0), interim(2.2, TABLE)]
    assert guessed(facts) == [(2.5, "drop 1"), (2.5, f"turn 1: {TABLE}")]


def test_nothing_is_guessed_about_the_second_half_of_a_turn() -> None:
    """What was answered already, and hardly heard, is answered again with both halves, which a guess has not."""
    facts = [*says(TABLE, 1.0, 2.0), *says("By the window.", 4.0, 5.0, 2), interim(5.2, "By the window.", 2)]
    assert [row for row in guessed(facts) if row[0] > 3.0] == [(5.5, "turn 2: By the window. (continues)")]


def test_an_unfinished_verdict_prevents_a_guess_that_was_not_made_yet() -> None:
    facts = [*speech(1.0, 2.0), TurnVerdict(2.3, 1, 0.1), interim(2.31, TABLE), final(2.9, TABLE)]
    assert guessed(facts) == [(2.9, f"turn 1: {TABLE}")]


@pytest.mark.parametrize("text", ["Hello.", "On Saturday,"])
def test_what_may_not_be_all_is_not_guessed(text) -> None:
    facts = [*speech(1.0, 2.0), interim(2.2, text), final(2.6, text)]
    assert guessed(facts) == [(2.7, f"turn 1: {text}")]


def test_a_backchannel_over_the_agent_is_not_guessed_though_its_reply_closes() -> None:
    """The agent may have more to say, to which it will have meant "go on"."""
    facts = [*reply(0.5, closed=2.1), *speech(1.85, 2.0), interim(2.2, "okay"), final(2.6, "Okay.")]
    assert guessed(facts) == [(2.6, "turn 1: Okay.")]
    assert guessed(facts[4:])[:1] == [(2.2, "guess: okay")]


def test_what_the_guessed_reply_asks_for_does_not_concern_the_turn_that_it_answers() -> None:
    """Given a guess whose reply asks for a number, when its words are final, then the turn does not wait for one."""
    facts = [*speech(1.0, 2.0), interim(2.2, "It is 555 01"), ReplyOpened(2.25, 1), final(2.3, "It is 555 01")]
    facts += [ReplyText(2.25, 1, "What is your phone number?")]
    assert guessed(facts)[-1] == (2.32, "turn 1: It is 555 01 (guessed)")


def test_an_interim_that_cannot_be_guessed_does_not_keep_the_engine_busy() -> None:
    """Given an unfinished interim that is stable, then time alone changes nothing any more."""
    settings = turns(preemption=Preemption(enabled=True), endpointing=delays(mode="fixed"))
    taker = TurnTaker(settings)
    assert decided(SpeechStarted(1.1, 1, 1.0), interim(1.5, "I would like to"), until=5.0, taker=taker) == []
    assert taker.next_check == float("inf")
