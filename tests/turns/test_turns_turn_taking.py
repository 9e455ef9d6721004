"""Whose turn it is: tables of facts and decisions, and arbitrary calls that keep the rules."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from callengine.errors import ConfigurationError
from callengine.events import (
    Fact,
    ReplyAudible,
    ReplyClosed,
    ReplyOpened,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSteady,
    SpeechStopped,
    SpeechWavers,
    Transcript,
)
from callengine.turns.settings import TurnSettings
from callengine.turns.turn_taking import Action, AskAgain, Cut, Drop, EndTurn, Hold, Release, SayRest, TurnTaker

# --- a shorthand ----------------------------------------------------------------------------------------------------


def started(at: float, utterance: int = 1) -> Fact:
    """The VAD needs 0.1 s to be sure."""
    return SpeechStarted(at, utterance, onset=at - 0.1)


def stopped(at: float, utterance: int = 1) -> Fact:
    """The VAD waits for 0.5 s of silence."""
    return SpeechStopped(at, utterance, ended=at - 0.5)


def final(at: float, text: str, utterance: int = 1) -> Fact:
    return Transcript(at, utterance, text, True)


def interim(at: float, text: str, utterance: int = 1) -> Fact:
    return Transcript(at, utterance, text, False)


def opened(at: float, reply: int = 1, *, interruptible: bool = True, may_wait: bool = True) -> Fact:
    return ReplyOpened(at, reply, interruptible, may_wait)


def audible(at: float, reply: int = 1) -> Fact:
    return ReplyAudible(at, reply)


def closed(at: float, unheard: str = "", reply: int = 1) -> Fact:
    return ReplyClosed(at, reply, unheard)


def short(action: Action) -> str:
    match action:
        case Cut(reply=reply, onset=onset, trigger=trigger):
            return f"cut {reply} by {trigger} of {onset:g}"
        case Drop(reply=reply):
            return f"drop {reply}"
        case EndTurn(utterance=utterance, text=text):
            return f"turn {utterance}: {text}"
        case SayRest(unheard=unheard):
            return f"rest: {unheard}"
        case AskAgain():
            return "ask again"
        case Hold():
            return "hold"
        case Release():
            return "release"


def decided(*facts: Fact, until: float = 0.0, **settings) -> list[tuple[float, str]]:
    """Everything that is decided, and when: the turn-taker is asked whenever it wants to be."""
    taker = TurnTaker(TurnSettings(**settings))
    rows: list[tuple[float, str]] = []

    def ticks(before: float) -> None:
        while taker.next_check <= before:
            at = taker.next_check
            rows.extend((round(at, 6), short(action)) for action in taker.tick(at))
            assert taker.next_check > at

    for fact in facts:
        ticks(fact.at)
        rows.extend((fact.at, short(action)) for action in taker.handle(fact))
    ticks(until)
    assert taker.next_check == math.inf or until == 0.0
    return rows


REPLYING = (opened(1.0), audible(1.1))
"""A reply that the caller hears."""

# --- the end of a turn ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "decisions"),
    [
        pytest.param(
            [started(1.0), stopped(3.0), final(3.1, "Hello.")],
            [(1.0, "hold"), (3.1, "turn 1: Hello."), (3.1, "release")],
            id="end of speech, then the final",
        ),
        pytest.param(
            [started(1.0), final(2.9, "Hello."), stopped(3.0)],
            [(1.0, "hold"), (3.0, "turn 1: Hello."), (3.0, "release")],
            id="a final before the end of speech waits for it",
        ),
        pytest.param(
            [started(1.0), interim(1.5, "Hel"), interim(2.0, "Hello"), stopped(3.0), final(3.1, "Hello.")],
            [(1.0, "hold"), (3.1, "turn 1: Hello."), (3.1, "release")],
            id="interims are no turn",
        ),
        pytest.param(
            [started(1.0), SpeechPaused(1.5, 1), SpeechResumed(1.6, 1), stopped(3.0), final(3.1, "Hello.")],
            [(1.0, "hold"), (3.1, "turn 1: Hello."), (3.1, "release")],
            id="pauses decide nothing",
        ),
        pytest.param(
            [started(1.0), stopped(3.0), final(3.1, "yes"), started(4.0, 2), stopped(4.6, 2), final(4.7, "Okay.", 2)],
            [
                (1.0, "hold"),
                (3.1, "turn 1: yes"),
                (3.1, "release"),
                (4.0, "hold"),
                (4.7, "turn 2: Okay."),
                (4.7, "release"),
            ],
            id="short words are turns",
        ),
        pytest.param(
            [
                started(1.0),
                stopped(2.0),
                started(2.1, 2),
                stopped(2.9, 2),
                final(3.0, "One.", 1),
                final(3.3, "Two.", 2),
            ],
            [(1.0, "hold"), (3.0, "turn 1: One."), (3.3, "turn 2: Two."), (3.3, "release")],
            id="two finals 300 ms apart are two turns",
        ),
        pytest.param(
            [
                started(1.0),
                stopped(2.0),
                started(2.1, 2),
                stopped(2.9, 2),
                final(3.0, "Two.", 2),
                final(3.3, "One.", 1),
            ],
            [(1.0, "hold"), (3.3, "turn 1: One."), (3.3, "turn 2: Two."), (3.3, "release")],
            id="in the order in which they were spoken",
        ),
        pytest.param(
            [started(1.0), stopped(3.0), final(3.1, "Hello."), final(3.8, "Hello."), interim(3.9, "Hello there")],
            [(1.0, "hold"), (3.1, "turn 1: Hello."), (3.1, "release")],
            id="another final of the same words means nothing",
        ),
        pytest.param(
            [started(1.0), stopped(3.0), final(3.1, "  ")],
            [(1.0, "hold"), (3.1, "release")],
            id="no words, no turn",
        ),
        pytest.param(
            [final(1.0, "Hello.", 4), final(2.0, "Hello.", 3)],
            [(1.0, "turn 4: Hello.")],
            id="a transcript of what the VAD did not hear",
        ),
    ],
)
def test_the_caller_s_turn_ends(facts, decisions) -> None:
    assert decided(*facts) == decisions


def test_a_turn_knows_when_its_last_sound_ended() -> None:
    taker = TurnTaker(TurnSettings())
    taker.handle(started(1.0))
    taker.handle(stopped(3.0))
    end = next(action for action in taker.handle(final(3.25, "Hello.")) if isinstance(action, EndTurn))
    assert end.speech_ended == 2.5
    assert end.reason == "end of speech after 0.50 s and final transcript"
    only_words = next(action for action in taker.handle(final(4.0, "Bye.", 2)) if isinstance(action, EndTurn))
    assert only_words.speech_ended is None


@pytest.mark.parametrize("timeout", [0.5, 3.0])
@pytest.mark.parametrize(
    ("words", "decision"), [([interim(2.0, "Hel")], "turn 1: Hel"), ([], "ask again")], ids=["interim", "nothing"]
)
def test_a_stuck_recogniser_is_waited_for_so_long(words, decision, timeout) -> None:
    late = final(20.0, "Hello.")
    rows = decided(started(1.0), *words, stopped(3.0), late, until=30.0, final_timeout=timeout)
    assert rows == [(1.0, "hold"), (3.0 + timeout, decision), (3.0 + timeout, "release")]


def test_a_final_just_before_the_time_is_up_counts() -> None:
    rows = decided(started(1.0), stopped(3.0), final(5.999, "Hello."), until=30.0)
    assert rows == [(1.0, "hold"), (5.999, "turn 1: Hello."), (5.999, "release")]


def test_an_utterance_waits_for_a_stuck_one_before_it() -> None:
    rows = decided(
        started(1.0), stopped(2.0), started(2.1, 2), stopped(2.9, 2), final(3.0, "Two.", 2), until=30.0, final_timeout=2
    )
    assert rows == [(1.0, "hold"), (4.0, "ask again"), (4.0, "turn 2: Two."), (4.0, "release")]


# --- interruptions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", [0.1, 0.2, 0.5])
def test_speech_cuts_an_audible_reply_once_it_lasted(gate) -> None:
    speech = SpeechStarted(2.0, 1, onset=1.95)
    assert decided(*REPLYING, speech, until=9.0, min_interruption=gate, final_timeout=99)[0] == (
        (2.0, "hold") if gate > 0.05 else (2.0, "cut 1 by speech of 1.95")
    )
    rows = decided(*REPLYING, speech, stopped(9.5), min_interruption=gate)
    assert (round(1.95 + gate, 6), "cut 1 by speech of 1.95") in rows


@pytest.mark.parametrize(("stops_at", "cut"), [(2.099, False), (2.101, True)])
def test_speech_a_moment_shorter_than_the_gate_cuts_nothing_and_its_words_still_count(stops_at, cut) -> None:
    onset = 1.9
    rows = decided(
        *REPLYING, SpeechStarted(2.0, 1, onset), SpeechStopped(stops_at, 1, stops_at), closed(4.0), final(4.5, "Hm.")
    )
    assert ("cut 1 by speech of 1.9" in [row for _, row in rows]) is cut
    assert (4.5, "turn 1: Hm.") in rows


@pytest.mark.parametrize(
    ("facts", "settings", "why"),
    [
        ([opened(1.0), started(2.0)], {}, "nobody hears it yet"),
        ([opened(1.0, interruptible=False), audible(1.1), started(2.0)], {}, "it is not interruptible"),
        ([*REPLYING, started(2.0)], {"barge_in": False}, "barge-in is off"),
        ([*REPLYING, closed(1.9), started(2.0)], {}, "it is over"),
        ([started(2.0)], {}, "there is none"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nothing_is_cut_when(facts, settings, why) -> None:
    del why
    for words in ([], [interim(2.5, "Hello")]):
        rows = decided(*facts, *words, **settings)
        assert rows == [(2.0, "hold")]
        taker = TurnTaker(TurnSettings(**settings))
        for fact in (*facts, *words):
            taker.handle(fact)
        assert taker.next_check == math.inf


def test_a_reply_that_becomes_audible_under_speech_is_cut_at_once() -> None:
    rows = decided(started(1.0), opened(1.5, may_wait=False), audible(2.0))
    assert rows == [(1.0, "hold"), (2.0, "cut 1 by speech of 0.9")]


def test_words_cut_before_the_gate() -> None:
    rows = decided(*REPLYING, started(2.0), interim(2.05, "No"), min_interruption=1.0)
    assert rows == [(2.0, "hold"), (2.05, "cut 1 by transcript of 1.9")]


def test_a_reply_is_cut_once() -> None:
    rows = decided(*REPLYING, started(2.0), interim(2.5, "No"), interim(2.6, "No wait"), stopped(3), final(3.1, "No."))
    assert [row for _, row in rows].count("cut 1 by speech of 1.9") == 1
    assert sum("cut" in row for _, row in rows) == 1


def test_the_next_reply_can_be_cut_too() -> None:
    rows = decided(
        *(opened(1.0), audible(1.1), started(2.0), closed(2.1, "rest"), stopped(3.0), final(3.1, "No.")),
        *(opened(4.0, 2), audible(4.1, 2), started(5.0, 2), closed(5.2, "more", 2)),
    )
    assert [row for _, row in rows if "cut" in row] == ["cut 1 by speech of 1.9", "cut 2 by speech of 4.9"]


# --- replies that nobody has heard ----------------------------------------------------------------------------------


def test_words_replace_a_reply_that_nobody_has_heard() -> None:
    rows = decided(opened(1.0), started(2.0), stopped(3.0), final(3.1, "Hello."), closed(3.1, "the old reply"))
    assert rows == [(2.0, "hold"), (3.1, "drop 1"), (3.1, "turn 1: Hello."), (3.1, "release")]


def test_a_sound_without_words_only_holds_it_back() -> None:
    rows = decided(opened(1.0), started(2.0), stopped(3.0), final(3.1, ""), audible(3.1), closed(5.0))
    assert rows == [(2.0, "hold"), (3.1, "release")]


def test_a_greeting_is_not_dropped() -> None:
    rows = decided(opened(1.0, may_wait=False), started(2.0), stopped(3.0), final(3.1, "Hello."))
    assert rows == [(2.0, "hold"), (3.1, "turn 1: Hello."), (3.1, "release")]


# --- interruptions that were none -----------------------------------------------------------------------------------

COUGH = (*REPLYING, started(2.0), closed(2.1, "the rest"), stopped(3.0))


@pytest.mark.parametrize(
    ("facts", "last"),
    [
        pytest.param([*COUGH, final(3.2, "")], ["rest: the rest", "release"], id="no words"),
        pytest.param([*COUGH, final(3.2, "No.")], ["turn 1: No.", "release"], id="words"),
        pytest.param(
            [*REPLYING, started(2.0), stopped(3.0), final(3.1, ""), closed(3.2, "the rest")],
            ["release", "rest: the rest"],
            id="no words, and the reply closes late",
        ),
        pytest.param(
            [*REPLYING, started(2.0), stopped(3.0), final(3.1, "No."), closed(3.2, "the rest")],
            ["turn 1: No.", "release"],
            id="words, and the reply closes late",
        ),
        pytest.param(
            [*COUGH, started(3.1, 2), final(3.2, ""), stopped(3.5, 2), final(3.6, "", 2)],
            ["rest: the rest", "release"],
            id="two sounds, no words",
        ),
        pytest.param(
            [*COUGH, started(3.1, 2), final(3.2, ""), stopped(3.5, 2), final(3.6, "No.", 2)],
            ["turn 2: No.", "release"],
            id="the second sound had words",
        ),
        pytest.param(
            [*COUGH, opened(3.1, 2), final(3.2, ""), audible(3.3, 2), closed(5.0, reply=2)],
            ["release"],
            id="the agent has moved on",
        ),
        pytest.param(
            [*REPLYING, started(2.0), closed(2.1, ""), stopped(3.0), final(3.2, "")], ["release"], id="all was heard"
        ),
    ],
)
def test_after_a_cut(facts, last) -> None:
    rows = [row for _, row in decided(*facts)]
    assert rows[:2] == ["hold", "cut 1 by speech of 1.9"]
    assert rows[2:] == last


def test_a_short_word_that_cuts_by_its_final_is_answered_and_nothing_is_repeated() -> None:
    rows = decided(
        *REPLYING,
        *(SpeechStarted(2.0, 1, 1.95), SpeechStopped(2.1, 1, 2.1), final(2.6, "Stop."), closed(2.6, "the rest")),
        final_timeout=9,
    )
    assert rows == [(2.0, "hold"), (2.6, "cut 1 by transcript of 1.95"), (2.6, "turn 1: Stop."), (2.6, "release")]


def test_a_reply_that_was_cut_by_the_program_is_not_resumed() -> None:
    rows = decided(*REPLYING, started(2.0), closed(2.05, "the rest"), stopped(2.08), final(3.0, ""))
    assert rows == [(2.0, "hold"), (3.0, "release")]


def test_without_resume_nothing_is_repeated() -> None:
    assert [row for _, row in decided(*COUGH, final(3.2, ""), resume=False)][2:] == ["release"]


def test_after_asking_again_nothing_is_repeated() -> None:
    rows = decided(*COUGH, until=20.0)
    assert [row for _, row in rows][2:] == ["ask again", "release"]


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["min_interruption", "final_timeout"])
@pytest.mark.parametrize("value", [-0.1, math.nan])
def test_times_are_not_negative(name, value) -> None:
    with pytest.raises(ConfigurationError, match=name):
        TurnSettings(**{name: value})


# --- any call at all ------------------------------------------------------------------------------------------------

texts = st.sampled_from(["", " ", "Yes.", "No, wait", "A table  for two."])


class AnyCall(RuleBasedStateMachine):
    """Facts in any order that a call can produce: the VAD's utterances follow each other, transcripts come whenever
    they like, replies open one at a time and close whenever they like."""

    @initialize(
        gate=st.sampled_from([0.0, 0.2, 1.0]),
        timeout=st.sampled_from([0.3, 3.0]),
        resume=st.booleans(),
        barge_in=st.booleans(),
    )
    def begin(self, gate, timeout, resume, barge_in):
        self.settings = TurnSettings(min_interruption=gate, final_timeout=timeout, resume=resume, barge_in=barge_in)
        self.taker = TurnTaker(self.settings)
        self.now = 1.0
        self.speaking: int | None = None
        self.utterances = 0
        self.stopped_at: dict[int, float] = {}
        self.interims: dict[int, str] = {}
        self.expected: dict[int, str] = {}
        """What each utterance means, once that is known."""
        self.turns: list[tuple[int, str]] = []
        self.reply: tuple[int, bool, bool, bool] | None = None
        """Number, interruptible, audible, cut."""
        self.replies = 0
        self.held = False
        self.rest_allowed = False

    # --- the engine's side ---

    def carry_out(self, actions):
        for action in actions:
            match action:
                case Cut():
                    number, interruptible, is_audible, cut = self.reply
                    assert self.settings.barge_in
                    assert interruptible
                    assert is_audible
                    assert not cut
                    assert action.reply == number
                    self.reply = (number, interruptible, is_audible, True)
                    self.rest_allowed = True
                case Drop():
                    number, interruptible, is_audible, cut = self.reply
                    assert action.reply == number
                    assert not is_audible
                    assert not cut
                    self.reply = (number, interruptible, is_audible, True)
                    self.rest_allowed = False
                case Hold():
                    assert not self.held
                    self.held = True
                case Release():
                    assert self.held
                    self.held = False
                case EndTurn():
                    self.turns.append((action.utterance, action.text))
                    self.rest_allowed = False
                case AskAgain():
                    self.rest_allowed = False
                case SayRest():
                    assert self.settings.resume
                    assert self.rest_allowed
                    assert self.reply is None
                    self.rest_allowed = False

    def advance(self, to):
        while self.taker.next_check <= to:
            at = self.taker.next_check
            self.time_passes(at)
            self.carry_out(self.taker.tick(at))
            assert self.taker.next_check > at
        self.now = to
        self.time_passes(to)

    def time_passes(self, at):
        for utterance, stop in self.stopped_at.items():
            if utterance not in self.expected and at >= stop + self.settings.final_timeout:
                self.expected[utterance] = self.interims.get(utterance, "")

    def handle(self, fact):
        self.carry_out(self.taker.handle(fact))

    # --- what happens ---

    @rule(seconds=st.floats(0.0, 2.0))
    def wait(self, seconds):
        self.advance(self.now + seconds)

    @rule()
    def tick_for_nothing(self):
        self.carry_out(self.taker.tick(self.now))

    @precondition(lambda self: self.speaking is None)
    @rule(before=st.floats(0, 0.3))
    def speech_starts(self, before):
        self.utterances += 1
        self.speaking = self.utterances
        self.handle(SpeechStarted(self.now, self.utterances, self.now - before))

    @precondition(lambda self: self.speaking is not None)
    @rule()
    def speech_pauses(self):
        self.handle(SpeechPaused(self.now, self.speaking))

    @precondition(lambda self: self.speaking is not None)
    @rule()
    def speech_stops(self):
        self.stopped_at[self.speaking] = self.now
        self.handle(SpeechStopped(self.now, self.speaking, self.now - 0.2))
        self.speaking = None

    @precondition(lambda self: self.utterances)
    @rule(text=texts, data=st.data())
    def interim_comes(self, text, data):
        utterance = data.draw(st.integers(max(1, self.utterances - 3), self.utterances))
        self.interims[utterance] = text.strip()
        self.handle(Transcript(self.now, utterance, text, False))

    @precondition(lambda self: self.utterances)
    @rule(text=texts, data=st.data())
    def final_comes(self, text, data):
        """The first one, or another one of an utterance that has its turn."""
        utterance = data.draw(st.integers(max(1, self.utterances - 3), self.utterances))
        waits = utterance in self.expected and utterance not in dict(self.turns)
        if waits and self.taker.caller_is_speaking:
            return  # one utterance, one final: another could only come once this one is done with
        self.expected.setdefault(utterance, text.strip())
        self.handle(Transcript(self.now, utterance, text, True))

    @precondition(lambda self: self.reply is None)
    @rule(interruptible=st.booleans(), may_wait=st.booleans())
    def reply_opens(self, interruptible, may_wait):
        self.replies += 1
        self.reply = (self.replies, interruptible, False, False)
        self.rest_allowed = False
        self.handle(ReplyOpened(self.now, self.replies, interruptible, may_wait))

    @precondition(lambda self: self.reply is not None and not self.reply[2] and not self.reply[3])
    @rule()
    def reply_becomes_audible(self):
        number, interruptible, _, cut = self.reply
        self.reply = (number, interruptible, True, cut)
        self.handle(ReplyAudible(self.now, number))

    @precondition(lambda self: self.reply is not None)
    @rule(unheard=st.sampled_from(["", "the rest"]))
    def reply_closes(self, unheard):
        number = self.reply[0]
        self.reply = None
        self.handle(ReplyClosed(self.now, number, unheard))

    # --- what always holds ---

    @invariant()
    def turns_are_answered_in_order_once_and_unmodified(self):
        if hasattr(self, "taker"):
            assert [number for number, _ in self.turns] == sorted({number for number, _ in self.turns})
            assert all(self.expected[number] == text for number, text in self.turns)

    @invariant()
    def the_agent_is_held_exactly_while_words_are_awaited(self):
        if hasattr(self, "taker"):
            assert self.held == self.taker.caller_is_speaking

    @invariant()
    def something_is_due_only_if_something_can_happen(self):
        if hasattr(self, "taker") and self.taker.next_check != math.inf:
            assert self.held
            assert self.taker.next_check > self.now - 1e-9 or self.reply is not None

    def teardown(self):
        if not hasattr(self, "taker"):
            return
        if self.speaking is not None:
            self.speech_stops()
        if self.reply is not None:
            self.reply_closes("")
        self.advance(self.now + 10)
        assert self.taker.next_check == math.inf
        assert not self.held
        assert not self.taker.caller_is_speaking
        assert self.turns == [(number, text) for number, text in sorted(self.expected.items()) if text]
        assert set(self.expected) == set(range(1, self.utterances + 1))
        assert not self.taker._utterances


AnyCall.TestCase.settings = hypothesis_settings(max_examples=200, stateful_step_count=50, deadline=None)
TestAnyCall = AnyCall.TestCase


def test_speech_that_wavers_cuts_when_it_is_steady_again():
    """Given an audible reply, when the caller's voice falls silent before it counts as an interruption, then nothing is
    cut; when it sounds again after that time, the reply is cut at once."""
    taker = TurnTaker(TurnSettings(min_interruption=0.2))
    taker.handle(ReplyOpened(0.0, 1))
    taker.handle(ReplyAudible(0.1, 1))
    taker.handle(SpeechStarted(1.1, 1, 1.0))
    taker.handle(SpeechWavers(1.16, 1))
    assert taker.next_check == math.inf
    assert not any(isinstance(action, Cut) for action in taker.tick(1.25))
    cut = next(action for action in taker.handle(SpeechSteady(1.3, 1)) if isinstance(action, Cut))
    assert (cut.reply, cut.onset) == (1, 1.0)
