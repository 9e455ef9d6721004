"""What confirms an interruption: the strategies, each by itself, together, and when one of them raises."""

from __future__ import annotations

import math

import pytest
from deciding import actions, decided, final, interim, interruption, reply, speech, turns

from callengine.errors import ConfigurationError
from callengine.turns.actions import Complain, Cut
from callengine.turns.confirmation import MinDuration, MinWords, StopWords
from callengine.turns.phrases import phrases_for
from callengine.turns.turn_taking import TurnTaker

STORY = reply(1.0)


def cuts(*facts, strategies, until=9.0, mode="cut") -> list[float]:
    """When these strategies cut."""
    rules = interruption(mode=mode, confirm=strategies)
    return [at for at, action in actions(STORY, *facts, until=until, interruption=rules) if isinstance(action, Cut)]


@pytest.mark.parametrize(("words", "at"), [(1, [2.5]), (2, [2.7]), (3, [2.9]), (4, [])])
def test_so_many_words_confirm(words, at) -> None:
    facts = [*speech(2.0), interim(2.5, "Tell"), interim(2.7, "Tell me"), interim(2.9, "Tell me, please")]
    assert cuts(facts, strategies=(MinWords(words),), until=3.0) == at


@pytest.mark.parametrize(("count_interims", "at"), [(True, [2.5]), (False, [3.2])])
def test_words_that_may_change_count_or_do_not(count_interims, at) -> None:
    facts = [*speech(2.0, 2.8), interim(2.5, "No thanks"), final(3.2, "No, thanks.")]
    assert cuts(facts, strategies=(MinWords(2, interim=count_interims),)) == at


def test_an_interim_that_was_written_behind_the_pause_says_all_of_what_sounded() -> None:
    facts = [*speech(2.0, 2.8), interim(2.5, "No"), interim(2.97, "No, thanks"), final(3.2, "No, thanks.")]
    assert cuts(facts, strategies=(MinWords(2, interim=False),)) == [2.97]


@pytest.mark.parametrize("least", [0.0, 0.8, 1.1])
def test_words_count_once_the_caller_has_been_sounding_for_so_long(least) -> None:
    """By the passing of time alone, and not when he stops before; the silence behind it does not count."""
    strategies = (MinWords(1, speech=least),)
    assert cuts(speech(2.0), interim(2.5, "Tell me"), strategies=strategies) == [max(2.5, 2.0 + least)]
    assert cuts(speech(2.0, 3.1), final(3.7, "Tell me"), strategies=strategies) == [3.7]
    short = [*speech(2.0, 2.7), interim(2.5, "Tell me"), final(3.2, "Tell me.")]
    assert cuts(short, strategies=strategies) == ([] if least else [2.5])


def test_only_words_that_would_be_enough_are_waited_for() -> None:
    """Given words of 0.8 s, when they are a backchannel or too few by then, then later ones count."""
    rows = [interim(2.5, "okay"), interim(3.2, "okay then what")]
    for words in (1, 2):
        assert cuts(speech(2.0), *rows, strategies=(MinWords(words, speech=0.8),), until=4.0) == [3.2]


def test_a_backchannel_is_not_enough_however_many_words_it_has() -> None:
    facts = [*speech(2.0, 3.0), interim(2.5, "yeah okay right"), final(3.5, "Yeah, okay, right.")]
    assert cuts(facts, strategies=(MinWords(1),)) == []


@pytest.mark.parametrize("seconds", [0.4, 1.0])
def test_sound_confirms_once_it_lasted(seconds) -> None:
    assert cuts(speech(2.0, 5.0), strategies=(MinDuration(seconds),)) == [2.0 + seconds]
    assert cuts(speech(2.0, 2.0 + seconds - 0.04), strategies=(MinDuration(seconds),)) == []


def test_a_backchannel_that_is_drawn_out_is_no_long_speech() -> None:
    """Given "okay" so far, when the caller sounds for longer, then that confirms nothing before other words do."""
    okay = [*speech(2.0, 5.0), interim(2.3, "okay")]
    assert cuts(okay, strategies=(MinDuration(0.6),)) == []
    assert cuts(okay, interim(3.0, "okay but"), strategies=(MinDuration(0.6),)) == [3.0]


@pytest.mark.parametrize(("text", "at"), [("Wait", [2.5]), ("Oh, hold on a second", [2.5]), ("I can't wait", [])])
def test_stop_words_confirm_at_once(text, at) -> None:
    assert cuts(speech(2.0), interim(2.5, text), strategies=(StopWords(),), until=4.0) == at


def test_stop_words_can_be_others() -> None:
    phrases = phrases_for("en").extended(stop_words=["genug jetzt"])
    rules = interruption(mode="cut", confirm=(StopWords(),))
    facts = [*STORY, *speech(2.0), interim(2.5, "Genug jetzt!")]
    assert decided(facts, interruption=rules) == []
    assert decided(facts, interruption=rules, phrases=phrases) == [(2.5, "cut 1 by transcript of 2")]


@pytest.mark.parametrize("order", [1, -1])
def test_one_strategy_that_says_yes_is_enough(order) -> None:
    strategies = (MinWords(5), MinDuration(0.7))[::order]
    assert cuts(speech(2.0, 5.0), strategies=strategies) == [2.7]
    assert cuts(speech(2.0, 2.5), interim(2.4, "one two three four five"), strategies=strategies) == [2.4]


def test_the_detection_delay_counts_from_the_one_true_onset() -> None:
    """Given speech from 2.0 that is softened at 2.2 and confirmed at 2.9, then the cut says 2.0."""
    facts = [*STORY, *speech(2.0, 4.0), interim(2.9, "no wait please")]
    for mode in ("pause", "duck", "cut"):
        rules = interruption(mode=mode, confirm=(MinWords(3),))
        ((at, cut),) = (row for row in actions(facts, interruption=rules) if isinstance(row[1], Cut))
        assert (at, cut.onset) == (2.9, 2.0)


# --- strategies of the user's ---------------------------------------------------------------------------------------


class Broken:
    def __init__(self) -> None:
        self.asked = 0

    def confirms(self, evidence):
        del evidence
        self.asked += 1
        raise RuntimeError("cannot decide")

    def next_check(self, evidence):
        del evidence
        raise RuntimeError("cannot tell when")


def test_a_strategy_that_raises_does_not_confirm_and_the_others_are_asked() -> None:
    broken = Broken()
    facts = [*STORY, *speech(2.0, 3.0), interim(2.4, "one"), interim(2.6, "one two"), final(3.5, "one two")]
    rules = interruption(mode="cut", confirm=(broken, MinWords(2)))
    rows = decided(facts, until=9.0, interruption=rules)
    assert rows == [(2.2, "Broken raised"), (2.6, "cut 1 by transcript of 2"), (3.5, "turn 1: one two")]
    assert broken.asked == 3


def test_a_strategy_that_only_raises_leaves_the_reply_alone_and_is_complained_of_once() -> None:
    rows = actions(STORY, speech(2.0, 2.5), until=9.0, interruption=interruption(mode="cut", confirm=(Broken(),)))
    (complaint,) = (action for _, action in rows if isinstance(action, Complain))
    assert (complaint.what, str(complaint.error)) == ("Broken", "cannot decide")
    assert not [action for _, action in rows if isinstance(action, Cut)]


class Wakes:
    """Wants to be asked at a strange time."""

    def __init__(self, due) -> None:
        self.due = due

    def confirms(self, evidence):
        return "it is time" if evidence.at >= 2.5 else None

    def next_check(self, evidence):
        del evidence
        return self.due


@pytest.mark.parametrize("due", [-math.inf, 0.0, 2.2, math.nan, None, "soon"])
def test_a_time_that_cannot_be_does_not_keep_the_engine_busy(due) -> None:
    taker = TurnTaker(turns(interruption=interruption(confirm=(Wakes(due),))))
    decided(STORY, speech(2.0), until=2.3, taker=taker)
    assert taker.next_check == 3.7


def test_a_strategy_is_asked_when_it_wants_to_be() -> None:
    assert cuts(speech(2.0), strategies=(Wakes(2.5),), until=3.0) == [2.5]


def test_time_alone_does_not_confirm_what_was_dismissed() -> None:
    """Given that nothing confirmed within the window, then only other words are looked at again."""
    rules = interruption(mode="cut", confirm=(Wakes(math.inf),), window=0.2)
    facts = [*STORY, *speech(2.0, 4.0, pauses=[(2.6, 2.65)]), interim(2.15, "tell me")]
    assert decided(facts, until=3.0, interruption=rules) == [(2.35, "false interruption")]
    rows = decided(facts, interim(2.9, "tell me more"), until=3.0, interruption=rules)
    assert rows[1:] == [(2.9, "cut 1 by transcript of 2")]


def test_a_strategy_is_told_what_is_known() -> None:
    seen = []

    class Looks(Wakes):
        def confirms(self, evidence):
            seen.append(evidence)

    facts = [*speech(2.0, 3.0), interim(2.4, "mm-hm"), final(3.2, "Mm-hm.")]
    decided(STORY, facts, interruption=interruption(confirm=(Looks(math.inf),)))
    first, last = seen[0], seen[-1]
    assert (first.at, first.onset, first.text, first.final, first.speaking) == (2.2, 2.0, "", False, True)
    assert (round(first.duration, 3), first.backchannel) == (0.2, False)
    assert (last.onset, last.text, last.final, last.speaking, last.backchannel) == (2.0, "Mm-hm.", True, False, True)
    assert last.duration == 1.0
    assert (first.settled, last.settled) == (False, True)


def test_a_classifier_that_raises_counts_as_no() -> None:
    def judge(text):
        raise KeyError(text)

    facts = [*STORY, *speech(2.0, 3.0), interim(2.4, "okay"), final(3.5, "Okay.")]
    rows = decided(facts, interruption=interruption(backchannels=judge), until=9.0)
    assert rows == [
        *((2.2, "pause 1"), (2.4, "cut 1 by transcript of 2"), (2.4, "backchannels raised"), (3.5, "turn 1: Okay.")),
    ]


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: MinWords(0), "MinWords.words"),
        (lambda: MinWords(speech=-0.1), "MinWords.speech"),
        (lambda: MinDuration(0), "MinDuration.seconds"),
    ],
)
def test_a_strategy_that_makes_no_sense_is_refused(make, name) -> None:
    with pytest.raises(ConfigurationError, match=name):
        make()
