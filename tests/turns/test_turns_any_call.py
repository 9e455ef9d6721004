"""Any call at all: facts in any order that a call can produce, under any settings, keep the rules of turn-taking."""

from __future__ import annotations

import math

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from callengine.events import (
    InterruptionAsked,
    KeyPressed,
    ReplyAudible,
    ReplyClosed,
    ReplyOpened,
    ReplyText,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSteady,
    SpeechStopped,
    SpeechWavers,
    Transcript,
    TurnHint,
    TurnVerdict,
)
from callengine.turns.actions import (
    AskAgain,
    CarryOn,
    Complain,
    Cut,
    Discard,
    Drop,
    EndTurn,
    FalseInterruption,
    Guess,
    Hold,
    Release,
    SayRest,
    Soften,
    TakeBack,
)
from callengine.turns.confirmation import MinDuration, MinWords, StopWords
from callengine.turns.settings import Endpointing, Interruption, Preemption, TurnSettings
from callengine.turns.turn_taking import TurnTaker

QUESTION = "We have a lovely table in the corner by the window. Would you like that?"


class Raises:
    """A strategy of a user's who has never tried it."""

    def confirms(self, evidence):
        del evidence
        raise LookupError("confirms")

    def next_check(self, evidence):
        del evidence
        raise LookupError("next_check")


class Impatient:
    """A strategy of a user's who has not understood the protocol."""

    def __init__(self, due):
        self.due = due

    def confirms(self, evidence):
        del evidence
        return False

    def next_check(self, evidence):
        del evidence
        return self.due


def judge_raises(text: str) -> bool:
    raise LookupError("backchannels")


TEXTS = st.sampled_from(
    [
        *(
            "",
            " ",
            "...",
            "mm-hm",
            "Okay.",
            "yes",
            "Hello,",
            "Stop!",
            "[music]",
            "Thanks for watching!",
            "No, not that one.",
        ),
        *("I would like to", "A table  for two.", "five five five", "a lovely table in the corner by the window"),
    ]
)
CONFIRM = st.sampled_from(
    [
        *(None, None, None, (Raises(),), (Raises(), MinWords(3, speech=0.6)), (MinDuration(2.0), StopWords())),
        *(
            (MinWords(2, interim=False), Raises()),
            (Impatient(-1.0), MinWords(1)),
            (Impatient(None), Impatient(math.nan)),
        ),
    ]
)


@st.composite
def any_settings(draw):
    confirm = draw(CONFIRM)
    interruption = Interruption(
        mode=draw(st.sampled_from(["pause", "duck", "cut"])),
        min_duration=draw(st.sampled_from([0.0, 0.2, 0.7])),
        min_words=0 if confirm else draw(st.sampled_from([0, 0, 3])),
        min_duration_silent=draw(st.sampled_from([0.0, 0.3])),
        min_words_silent=draw(st.sampled_from([1, 2])),
        short_speech=draw(st.sampled_from([0.0, 0.6])),
        long_speech=draw(st.sampled_from([0.5, 1.4])),
        guard=draw(st.sampled_from([0.0, 0.3, 2.0])),
        confirm=confirm,
        window=draw(st.sampled_from([0.05, 0.5, 1.5])),
        backchannels=draw(st.sampled_from([True, True, False, judge_raises])),
        answer_overlap=draw(st.sampled_from([0.0, 1.0])),
        echo_guard=draw(st.booleans()),
    )
    endpointing = Endpointing(
        mode=draw(st.sampled_from(["adaptive", "fixed"])),
        min_delay=draw(st.sampled_from([0.0, 0.3])),
        doubt_delay=draw(st.sampled_from([0.3, 0.7])),
        max_delay=draw(st.sampled_from([0.7, 1.2])),
    )
    preemption = Preemption(enabled=draw(st.booleans()), max_speech=draw(st.sampled_from([1.0, 10.0])))
    return TurnSettings(
        barge_in=draw(st.sampled_from([True, True, True, False])),
        interruption=interruption,
        endpointing=endpointing,
        preemption=preemption,
        split=draw(st.sampled_from([0.0, 0.6, 5.0])),
        final_timeout=draw(st.sampled_from([0.3, 3.0])),
        resume=draw(st.booleans()),
    )


class AnyCall(RuleBasedStateMachine):
    """The VAD's utterances follow each other; transcripts, hints and verdicts come whenever they like, twice, late or
    never; replies open one at a time and close whenever they like."""

    @initialize(settings=any_settings(), detector=st.booleans())
    def begin(self, settings, detector):
        self.settings = settings
        self.taker = TurnTaker(settings, detector=detector)
        self.now = 1.0
        self.speaking: int | None = None
        self.paused = False
        self.utterances = 0
        self.stopped_at: dict[int, float] = {}
        self.interims: dict[int, str] = {}
        self.words: dict[int, str] = {}
        """What each utterance means, once that is known."""
        self.in_turns: list[int] = []
        self.discarded: dict[int, str] = {}
        self.discards = 0
        self.surplus = 0
        """Finals of utterances that had one."""
        self.reply: ReplyOpened | None = None
        self.replies = 0
        self.audible = self.cut = self.held = self.rest_allowed = False
        self.softened_at: float | None = None
        self.guess: str | None = None
        self.guesses = 0
        self.complaints: list[str] = []

    # --- the engine's side ---

    def carry_out(self, actions):
        for action in actions:
            assert str(getattr(action, "reason", "a reason"))
            self.carry_out_one(action)

    def carry_out_one(self, action):
        match action:
            case Soften():
                self.may_be_interrupted(action.reply)
                assert self.softened_at is None
                assert action.how == self.settings.interruption.mode
                self.softened_at = self.at
            case CarryOn():
                self.may_be_interrupted(action.reply)
                assert self.softened_at is not None
                self.softened_at = None
            case FalseInterruption():
                self.may_be_interrupted(action.reply)
                assert self.softened_at is None
            case Cut(trigger="application"):
                assert (action.reply, self.cut) == (self.reply.reply, False)
                self.is_cut(rest=False)
            case Cut():
                self.may_be_interrupted(action.reply)
                self.is_cut(rest=action.trigger != "dtmf")
            case Drop():
                assert (action.reply, self.cut, self.audible) == (self.reply.reply, False, False)
                assert self.reply.interruptible
                assert self.reply.may_wait
                self.is_cut(rest=False)
            case Hold():
                assert not self.held
                self.held = True
            case Release():
                assert self.held
                assert self.guess is None
                self.held = False
            case Guess():
                assert self.settings.preemption.enabled
                assert self.guess is None
                assert self.reply is None
                self.guess = action.text
                self.guesses += 1
                assert self.guesses <= self.settings.preemption.tries
            case TakeBack():
                assert self.guess is not None
                self.guess = None
            case EndTurn():
                self.turn_ends(action)
            case Discard():
                self.discards += 1
                if action.kind != "late":
                    assert self.words[action.utterance] == action.text
                    assert action.utterance not in self.discarded
                    assert action.utterance not in self.in_turns
                    self.discarded[action.utterance] = action.kind
            case SayRest():
                assert self.settings.resume
                assert self.rest_allowed
                assert self.reply is None
                self.rest_allowed = False
            case AskAgain():
                self.rest_allowed = False
            case Complain():
                self.complaints.append(action.what)
                assert isinstance(action.error, LookupError | TypeError)
                assert len(self.complaints) == len(set(self.complaints))

    def may_be_interrupted(self, reply):
        assert self.settings.barge_in
        assert self.reply.reply == reply
        assert self.reply.interruptible
        assert self.audible
        assert not self.cut

    def is_cut(self, *, rest):
        self.cut, self.rest_allowed, self.softened_at = True, rest, None

    def turn_ends(self, end):
        assert end.guessed == (self.guess is not None)
        self.guess, self.guesses = None, 0
        self.rest_allowed = False
        waiting = [number for number in sorted(self.words) if number <= end.utterance and self.is_open(number)]
        texts = " ".join(self.words[number] for number in waiting)
        if texts != end.text:  # a backchannel that was an answer after all
            passed = max(number for number, kind in self.discarded.items() if kind == "backchannel")
            del self.discarded[passed]
            waiting = sorted([passed, *waiting])
            assert " ".join(self.words[number] for number in waiting) == end.text
        assert max(waiting) == end.utterance
        assert not self.in_turns or waiting[0] > self.in_turns[-1]
        self.in_turns += waiting

    def is_open(self, number):
        return bool(self.words[number]) and number not in self.discarded and number not in self.in_turns

    # --- time ---

    def advance(self, to):
        while self.taker.next_check <= to:
            self.at = self.taker.next_check
            self.give_up_finals(self.at)
            self.carry_out(self.taker.tick(self.at))
            self.look_at(self.at)
        self.now = to

    def give_up_finals(self, at):
        for utterance, stop in self.stopped_at.items():
            if utterance not in self.words and at >= stop + self.settings.final_timeout:
                self.words[utterance] = self.interims.get(utterance, "")

    def handle(self, fact):
        self.at = self.now
        self.give_up_finals(self.now)
        self.carry_out(self.taker.handle(fact))
        self.look_at(self.now)

    def look_at(self, at):
        assert self.taker.next_check > at
        if not self.taker.caller_is_speaking:
            self.guesses = 0

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.25, 0.5, 1.0, 3.0]))
    def wait(self, seconds):
        self.advance(self.now + seconds)

    @rule(seconds=st.sampled_from([0.0, 0.3]))
    def wait_and_tick_for_nothing(self, seconds):
        self.advance(self.now + seconds)
        self.at = self.now
        self.carry_out(self.taker.tick(self.now))
        self.look_at(self.now)

    # --- the caller ---

    @precondition(lambda self: self.speaking is None)
    @rule(seconds=st.sampled_from([0.2, 0.5, 1.5]))
    def caller_speaks(self, seconds):
        self.speech_starts(0.1)
        self.advance(self.now + seconds)

    @precondition(lambda self: self.speaking is None)
    @rule(text=TEXTS, interim=TEXTS, seconds=st.sampled_from([0.1, 0.5]))
    def caller_says(self, text, interim, seconds):
        self.caller_speaks(seconds)
        self.interim_comes(interim, 0)
        self.speech_stops(0.32)
        self.advance(self.now + seconds)
        self.transcribe(self.utterances, text)

    @precondition(lambda self: self.speaking is None)
    @rule(before=st.sampled_from([0.0, 0.1, 0.3]))
    def speech_starts(self, before):
        self.utterances += 1
        self.speaking, self.paused = self.utterances, False
        self.handle(SpeechStarted(self.now, self.utterances, self.now - before))

    @precondition(lambda self: self.speaking is not None)
    @rule(what=st.sampled_from([SpeechWavers, SpeechSteady]))
    def speech_wavers(self, what):
        self.handle(what(self.now, self.speaking))

    @precondition(lambda self: self.speaking is not None)
    @rule()
    def speech_pauses_or_goes_on(self):
        self.paused = not self.paused
        self.handle((SpeechPaused if self.paused else SpeechResumed)(self.now, self.speaking))

    @precondition(lambda self: self.speaking is not None)
    @rule(silence=st.sampled_from([0.0, 0.32]))
    def speech_stops(self, silence):
        utterance, self.speaking = self.speaking, None
        self.stopped_at[utterance] = self.now
        self.handle(SpeechStopped(self.now, utterance, self.now - silence))

    @precondition(lambda self: self.utterances)
    @rule(probability=st.floats(0, 1), back=st.integers(0, 2))
    def verdict_comes(self, probability, back):
        self.handle(TurnVerdict(self.now, max(1, self.utterances - back), probability))

    @precondition(lambda self: self.utterances)
    @rule(kind=st.sampled_from(["eager", "end", "resumed"]), back=st.integers(0, 2))
    def hint_comes(self, kind, back):
        self.handle(TurnHint(self.now, max(1, self.utterances - back), kind))

    @precondition(lambda self: self.utterances)
    @rule(text=TEXTS, back=st.integers(0, 2))
    def interim_comes(self, text, back):
        utterance = max(1, self.utterances - back)
        self.interims[utterance] = text.strip() if text != "..." else ""
        self.handle(Transcript(self.now, utterance, text, False))

    @precondition(lambda self: self.utterances)
    @rule(text=TEXTS, back=st.integers(0, 2))
    def final_comes(self, text, back):
        """The first one, or another one."""
        self.transcribe(max(1, self.utterances - back), text)

    @rule(text=TEXTS)
    def words_come_of_what_the_vad_did_not_hear(self, text):
        if self.speaking is None:
            self.utterances += 1
            self.stopped_at[self.utterances] = self.now
            self.transcribe(self.utterances, text)

    def transcribe(self, utterance, text):
        self.give_up_finals(self.now)
        before = self.discards
        another = utterance in self.words
        self.words.setdefault(utterance, text.strip() if text != "..." else "")
        self.handle(Transcript(self.now, utterance, text, True))
        if another and text.strip():
            assert self.discards > before

    @rule(fact=st.sampled_from([KeyPressed, InterruptionAsked]))
    def something_else_interrupts(self, fact):
        self.handle(fact(self.now))

    # --- the agent ---

    @precondition(lambda self: self.reply is None)
    @rule(seconds=st.sampled_from([0.1, 0.5, 2.0]))
    def reply_is_heard(self, seconds):
        self.reply_opens(True, True)
        self.reply_says(QUESTION)
        self.reply_becomes_audible()
        self.advance(self.now + seconds)

    @precondition(lambda self: self.reply is None)
    @rule(interruptible=st.sampled_from([True, True, False]), may_wait=st.sampled_from([True, True, False]))
    def reply_opens(self, interruptible, may_wait):
        self.replies += 1
        self.reply = ReplyOpened(self.now, self.replies, interruptible, may_wait)
        self.audible = self.cut = self.rest_allowed = False
        self.softened_at = None
        self.handle(self.reply)

    @precondition(lambda self: self.reply is not None)
    @rule(text=st.sampled_from([QUESTION, "Certainly.", "What is your phone number?"]))
    def reply_says(self, text):
        self.handle(ReplyText(self.now, self.replies, text))

    @precondition(lambda self: self.reply is not None and not self.audible and not self.cut)
    @rule()
    def reply_becomes_audible(self):
        self.audible = True
        self.handle(ReplyAudible(self.now, self.replies))

    @precondition(lambda self: self.reply is not None)
    @rule(unheard=st.sampled_from(["", "you like that?", QUESTION]))
    def reply_closes(self, unheard):
        self.reply = self.softened_at = None
        self.handle(ReplyClosed(self.now, self.replies, unheard))

    # --- what always holds ---

    @invariant()
    def the_agent_is_held_exactly_while_words_are_awaited(self):
        if hasattr(self, "taker"):
            assert self.held == self.taker.caller_is_speaking
            assert self.held or self.guess is None

    @invariant()
    def nothing_stays_soft_for_longer_than_the_window(self):
        if hasattr(self, "taker") and self.softened_at is not None:
            assert self.now < self.softened_at + self.settings.interruption.window

    def teardown(self):
        if not hasattr(self, "taker"):
            return
        if self.speaking is not None:
            self.speech_stops(0.0)
        if self.reply is not None:
            self.reply_closes("")
        self.advance(self.now + 10)
        assert self.taker.next_check == math.inf
        assert not self.held
        assert self.guess is None
        assert not self.taker.caller_is_speaking
        assert set(self.words) == set(range(1, self.utterances + 1))
        assert not [number for number in self.words if self.is_open(number)]


AnyCall.TestCase.settings = hypothesis_settings(max_examples=150, stateful_step_count=50, deadline=None)
TestAnyCall = AnyCall.TestCase
