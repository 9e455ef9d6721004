"""How long the agent waits behind the caller's last sound, and what it learns of this caller."""

from __future__ import annotations

import math

import pytest
from deciding import actions, decided, delays, final, interim, reply, speech, turns

from callengine.events import Fact, ReplyAudible, ReplyOpened, ReplyText, TurnHint, TurnVerdict
from callengine.turns.actions import EndTurn
from callengine.turns.endpointing import ENOUGH, LEAST, REMEMBERED, SLACK, Endpointer
from callengine.turns.entities import Expectation
from callengine.turns.phrases import phrases_for
from callengine.turns.settings import Endpointing
from callengine.turns.turn_taking import TurnTaker

WHOLE, PART, DIGITS = "I would like a table.", "I would like to", "555 01"
PHONE = "What is your phone number?"


def quick(text: str, onset: float = 1.0, ended: float = 2.0, utterance: int = 1) -> list[Fact]:
    """An utterance whose final is there before its end."""
    return [*speech(onset, ended, utterance), final(ended + 0.2, text, utterance)]


def ends(*facts, taker: TurnTaker | None = None, **settings) -> list[float]:
    """When turns end."""
    rows = actions(*facts, until=199.0, taker=taker, endpointing=delays(**settings))
    return [at for at, action in rows if isinstance(action, EndTurn)]


def why(*facts, taker: TurnTaker | None = None) -> str:
    """Why the first turn ended."""
    return next(action.reason for _, action in actions(*facts, until=99.0, taker=taker) if isinstance(action, EndTurn))


# --- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["fixed", "adaptive"])
@pytest.mark.parametrize("least", [0.4, 0.8])
def test_a_finished_sentence_is_waited_behind_for_min_delay(mode, least) -> None:
    assert ends(quick(WHOLE), mode=mode, min_delay=least, doubt_delay=1.0) == [2.0 + least]


@pytest.mark.parametrize("most", [0.9, 1.2])
def test_an_unfinished_sentence_is_waited_behind_for_max_delay(most) -> None:
    assert ends(quick(PART), mode="fixed", max_delay=most) == [2.0 + most]
    assert why(quick(PART)) == "ends with 'i would like to', 1200 ms after the last sound"


@pytest.mark.parametrize("doubt", [0.5, 0.8])
@pytest.mark.parametrize("mode", ["fixed", "adaptive"])
def test_what_may_be_all_is_waited_behind_for_doubt_delay(mode, doubt) -> None:
    for facts in (quick("Hello."), quick("On Saturday,"), [*quick(WHOLE), TurnVerdict(2.3, 1, 0.2)]):
        assert ends(facts, mode=mode, doubt_delay=doubt) == [2.0 + doubt]
    assert why(quick("Hello.")) == "only greets, 700 ms after the last sound"
    assert why(quick("On Saturday,")) == "ends with a comma, 700 ms after the last sound"


def test_no_delay_is_shorter_than_the_vad_and_the_recogniser_take() -> None:
    none = {"min_delay": 0.0, "doubt_delay": 0.0, "max_delay": 0.0}
    assert ends(quick(WHOLE), **none) == [2.32]
    assert ends(speech(1.0, 2.0), final(2.9, WHOLE), **none) == [2.9]


def test_the_delay_counts_from_the_last_sound_of_a_turn_of_several_utterances() -> None:
    assert ends(quick(PART), quick("book a table.", 2.5, 4.0, 2)) == [4.32]


# --- entities -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [1.6, 2.5])
def test_in_the_middle_of_digits_the_agent_waits_for_longer(delay) -> None:
    """Whether the program says so or the agent's question does."""
    taker = TurnTaker(turns(endpointing=delays(entity_delay=delay)))
    taker.expect(Expectation("phone"))
    assert ends(quick(DIGITS), taker=taker) == [2.0 + delay]
    assert ends(reply(0.1, PHONE, closed=0.9), quick(DIGITS), entity_delay=delay) == [2.0 + delay]


def test_a_complete_entity_is_answered_at_once() -> None:
    assert ends(reply(0.1, PHONE, closed=0.9), quick("555 012 34 56")) == [2.32]


def test_digits_with_pauses_are_one_turn() -> None:
    facts = [*quick("555"), *quick("012", 3.0, 3.8, 2), *quick("34 56", 5.0, 5.6, 3)]
    rows = decided(reply(0.1, PHONE, closed=0.9), facts, until=20.0)
    assert rows == [(5.92, "turn 3: 555 012 34 56")]


@pytest.mark.parametrize(
    ("language", "settings"), [("en", delays(infer_entities=False)), ("de", delays())], ids=["off", "German"]
)
def test_questions_tell_nothing_without_infer_entities_and_in_other_languages(language, settings) -> None:
    taker = TurnTaker(turns(endpointing=settings), language=language)
    assert ends(reply(0.1, PHONE, closed=0.9), quick(DIGITS), taker=taker) == [2.32]


def test_the_question_counts_even_if_more_is_said_behind_it() -> None:
    facts = [ReplyOpened(0.1, 1), ReplyText(0.1, 1, PHONE), ReplyAudible(0.2, 1)]
    assert ends(facts, ReplyText(0.5, 1, "Take your time."), quick(DIGITS)) == [3.6]


def test_a_question_that_nobody_has_heard_asks_for_nothing() -> None:
    assert ends(ReplyOpened(0.1, 1), ReplyText(0.1, 1, PHONE), quick(DIGITS)) == [2.32]


def test_an_expectation_is_over_with_the_turn() -> None:
    taker = TurnTaker(turns())
    taker.expect(Expectation("phone"))
    facts = [*quick("My name is Ann."), *reply(3.0, "Hello Ann.", closed=4.0), *quick("It is 555 01", 5.0, 6.0, 2)]
    assert ends(facts, taker=taker) == [2.32, 6.32]


def test_digits_that_go_on_after_their_turn_seemed_over_are_still_digits() -> None:
    """Given a number that paused for too long, when it goes on before the answer was heard, then all of it counts."""
    facts = [*reply(0.1, PHONE, closed=0.9), *quick("555 012"), ReplyOpened(3.7, 2), *quick("34", 4.0, 4.5, 2)]
    assert ends(facts) == [3.6, 6.1]
    assert ends(facts[:-5], quick("34 56", 4.0, 4.5, 2)) == [3.6, 4.82]


# --- the end-of-turn model ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("threshold", "due"), [(0.5, 2.32), (0.8, 2.7)])
def test_a_verdict_says_whether_the_caller_has_finished(threshold, due) -> None:
    taker = TurnTaker(turns(endpointing=delays(threshold=threshold)), detector=True)
    assert ends(quick(WHOLE), TurnVerdict(2.3, 1, 0.71), taker=taker) == [due]
    reason = why(quick(WHOLE), TurnVerdict(2.31, 1, 0.71), taker=TurnTaker(turns(), detector=True))
    assert reason == "model 0.71 > 0.5, 320 ms after the last sound"


def test_an_unfinished_verdict_waits_and_a_finished_one_cannot_finish_a_sentence() -> None:
    assert ends(quick(WHOLE), TurnVerdict(2.3, 1, 0.2)) == [2.7]
    assert why(quick(WHOLE), TurnVerdict(2.3, 1, 0.2)) == "model 0.20 <= 0.5, 700 ms after the last sound"
    for probability in (0.1, 0.9):
        assert ends(quick(PART), TurnVerdict(2.3, 1, probability)) == [3.2]


@pytest.mark.parametrize("text", ["Hello.", "On Saturday,"])
def test_a_finished_verdict_overrules_doubt(text) -> None:
    assert ends(quick(text), TurnVerdict(2.3, 1, 0.9)) == [2.32]


def test_a_verdict_is_waited_for_a_moment() -> None:
    """Given a detector, then a sentence that looks finished waits for its verdict, but not for long."""
    detecting = {"taker": TurnTaker(turns(), detector=True)}
    assert ends(quick(WHOLE), TurnVerdict(2.4, 1, 0.9), **detecting) == [2.4]
    assert ends(quick(WHOLE), taker=TurnTaker(turns(), detector=True)) == [2.5]


def test_a_verdict_about_a_pause_that_is_over_means_nothing() -> None:
    facts = [*speech(1.0, 3.0, pauses=[(1.5, 1.75)]), TurnVerdict(1.7, 1, 0.1), final(3.2, WHOLE)]
    assert ends(facts) == [3.32]
    assert ends(quick(PART), TurnVerdict(2.3, 1, 0.1), quick("book a table.", 2.6, 3.4, 2)) == [3.72]


# --- recognisers that judge turns themselves ------------------------------------------------------------------------


def test_the_recogniser_s_end_of_turn_ends_it() -> None:
    """With the VAD still waiting, and behind words that do not look like an end."""
    facts = [*speech(1.0, 2.0), final(2.1, PART), TurnHint(2.1, 1, "end")]
    assert ends(facts) == [2.1]
    (end,) = (action for _, action in actions(facts) if isinstance(action, EndTurn))
    assert (end.speech_ended, end.reason) == (2.03, "the recogniser says so, 70 ms after the last sound")
    assert ends(quick(PART), TurnHint(2.6, 1, "end")) == [2.6]


def test_it_takes_it_back_when_the_caller_goes_on() -> None:
    assert ends(speech(1.0, 2.0), TurnHint(2.1, 1, "end"), TurnHint(2.2, 1, "resumed"), final(2.3, PART)) == [3.2]


def test_a_hint_about_a_turn_that_is_over_means_nothing_for_the_next() -> None:
    late = [*quick(WHOLE), TurnHint(3.0, 1, "end")]
    assert ends(late, final(5.0, "And", 2)) == [2.32, 6.2]


# --- learning -------------------------------------------------------------------------------------------------------


def searching(*pauses: float) -> list[Fact]:
    """One turn with these pauses in the middle of its sentence, and its answer; all is over before 90."""
    facts, at = [], 10.0
    for number, pause in enumerate(pauses, 10):
        facts += quick("a table for the", at, at + 1.0, number)
        at += 1.0 + pause
    return [*facts, *quick("fifth.", at, at + 1.0, 99), *reply(at + 5.0, closed=at + 6.0)]


def behind(*pauses: float, **settings) -> float:
    """How long an unfinished sentence of this caller is waited behind."""
    facts = [*searching(*pauses), *quick(PART, 100.0, 101.0, 100)]
    return round(ends(facts, **settings)[-1] - 101.0, 3)


def test_a_caller_s_pauses_are_learned() -> None:
    """Given enough pauses in sentences, then an unfinished one is waited behind for little more than the longest."""
    some = [0.6] * (ENOUGH - 1)
    assert behind(*some, 0.8, max_delay=1.5) == round(0.8 + SLACK, 3)
    assert behind(0.8, *some, max_delay=1.5) == round(0.8 + SLACK, 3)
    assert behind(*some, max_delay=1.5) == 1.5
    assert behind(*some, 0.8, max_delay=1.5, mode="fixed") == 1.5


def test_a_caller_who_has_stopped_searching_is_not_waited_for_as_if_he_did() -> None:
    others = [0.6] * (REMEMBERED - 1)
    assert behind(0.8, *others, max_delay=1.5) == round(0.8 + SLACK, 3)
    assert behind(0.8, *others, 0.6, max_delay=1.5) == round(0.6 + SLACK, 3)


def test_learned_pauses_stay_within_bounds() -> None:
    short, long = [0.35] * ENOUGH, [1.1] * ENOUGH
    assert behind(*short) == LEAST
    assert behind(*short, doubt_delay=1.0) == 1.0
    assert behind(*short, min_delay=0.7, max_delay=0.8) == 0.8
    assert behind(*long, max_delay=1.3) == 1.3


EARLY = [*quick(WHOLE), *reply(2.5, closed=2.9, unheard="rest"), *speech(2.7, 3.5, 2), final(3.8, "For two.", 2)]
"""Its answer came 0.4 s too early."""


def test_an_answer_that_came_too_early_teaches_patience_which_is_forgotten_by_and_by() -> None:
    facts = [*EARLY, interim(2.85, "for", 2)]
    for number, onset in ((3, 9.0), (4, 19.0), (5, 29.0)):
        facts += [*reply(onset - 3, number=number, closed=onset - 2), *quick(WHOLE, onset, onset + 1.0, number)]
    taught = ends(facts)
    assert taught == [2.32, 3.82, 10.8, 20.55, 30.425]
    assert ends(facts, mode="fixed") == [2.32, 3.82, 10.32, 20.32, 30.32]


def test_a_pause_that_was_doubted_and_waited_for_teaches_nothing() -> None:
    """Given "hello" and half a second of silence, when the caller says what he wants, then that is answered at once."""
    facts = [*quick("Hello."), *quick(WHOLE, 2.5, 3.5, 2), *reply(5.0, closed=6.0), *quick(WHOLE, 9.0, 10.0, 3)]
    assert ends(facts) == [3.82, 10.32]


def test_patience_behind_finished_sentences_is_patience_behind_doubtful_ones_too() -> None:
    """Given an answer that came 0.4 s too early, then doubt adds nothing to what that has taught."""
    facts = [*EARLY, interim(2.85, "for", 2), *reply(6.0, number=2, closed=7.0), *quick("Hello.", 9.0, 10.0, 3)]
    assert ends(facts) == [2.32, 3.82, 10.8]


def test_a_caller_who_asks_where_the_answer_is_teaches_nothing() -> None:
    """Given a slow reply, when the caller speaks again after 5 s, then the next turn is not answered later for it."""
    facts = [*quick(WHOLE), ReplyOpened(2.4, 1), *quick("Are you there?", 7.0, 7.5, 2)]
    assert ends(facts) == [2.32, 7.82]


def test_a_caller_who_speaks_over_an_answer_that_goes_on_teaches_nothing() -> None:
    facts = [*quick(WHOLE), *reply(2.5, interruptible=False, closed=5.0), *quick("Thank you very much.", 2.9, 3.5, 2)]
    assert ends(facts, quick(WHOLE, 9.0, 10.0, 3)) == [2.32, 3.82, 10.32]


def test_behind_a_turn_nothing_is_left_to_wait_for() -> None:
    taker = TurnTaker(turns())
    assert ends(quick(WHOLE), quick(PART, 5.0, 6.0, 2), taker=taker) == [2.32, 7.2]
    assert taker.next_check == math.inf


@pytest.mark.parametrize(("doubt", "waited"), [(0.1, 0.5), (0.7, 0.7), (2.0, 0.9)])
def test_doubt_lies_between_the_least_and_the_most(doubt, waited) -> None:
    """Given a comma at the end, then the delay is `doubt_delay`, no less than `min_delay`, no more than `max_delay`."""
    wait = Endpointer(Endpointing(min_delay=0.5, doubt_delay=doubt, max_delay=0.9), phrases_for("en"))
    assert wait.wait("On Saturday,", None, None).delay == waited
