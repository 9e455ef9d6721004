"""Patience: tables of what happens and what is said about it, and arbitrary calls that keep the rules."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from callengine.errors import ConfigurationError
from callengine.events import (
    KeyPressed,
    ReplyAudible,
    ReplyClosed,
    ReplyOpened,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    Transcript,
)
from callengine.turns.patience import (
    MAX_WAIT,
    Action,
    AskIfThere,
    CallerSaid,
    EndCall,
    EntryEnded,
    Listening,
    Patience,
    PatienceFact,
    PatienceSettings,
    SayGoodbye,
    WarnOfEnd,
    Working,
)

FINAL_TIMEOUT = 3.0
LAST_WORDS = 10.0

# --- a shorthand ----------------------------------------------------------------------------------------------------


def patience(settings: PatienceSettings, started_at: float = 0.0) -> Patience:
    return Patience(settings, started_at, final_timeout=FINAL_TIMEOUT, last_words=LAST_WORDS)


def started(at: float, utterance: int = 1) -> PatienceFact:
    return SpeechStarted(at, utterance, onset=at - 0.1)


def stopped(at: float, utterance: int = 1) -> PatienceFact:
    return SpeechStopped(at, utterance, ended=at - 0.3)


def final(at: float, text: str, utterance: int = 1) -> PatienceFact:
    return Transcript(at, utterance, text, True)


def interim(at: float, text: str, utterance: int = 1) -> PatienceFact:
    return Transcript(at, utterance, text, False)


def says(at: float, until: float, reply: int) -> list[PatienceFact]:
    """The agent says something."""
    return [ReplyOpened(at, reply), ReplyAudible(at + 0.25, reply), ReplyClosed(until, reply)]


def noise(at: float, until: float, utterance: int = 1) -> list[PatienceFact]:
    """A sound without words; that it has none is known half a second after it."""
    return [started(at, utterance), stopped(until - 0.5, utterance), final(until, "", utterance)]


GREETED: list[PatienceFact] = [*says(0.0, 2.0, 1), Listening(2.0)]
"""The agent has greeted, and listens from 2 s on."""


def short(action: Action) -> str:
    match action:
        case AskIfThere(number=number):
            return f"ask {number}"
        case WarnOfEnd(remaining=remaining):
            return f"warn {remaining:g}"
        case SayGoodbye():
            return "goodbye"
        case EndCall():
            return "end"


def decided(
    facts: list[PatienceFact], *, until: float = 0.0, reasons: bool = False, **settings
) -> list[tuple[float, str]]:
    """Everything that is decided, and when: it is asked whenever it wants to be."""
    decider = patience(PatienceSettings(**settings))
    rows: list[tuple[float, str]] = []

    def note(at: float, actions: list[Action]) -> None:
        assert len(actions) <= 1
        rows.extend((round(at, 6), action.reason if reasons else short(action)) for action in actions)

    def ticks(before: float) -> None:
        while decider.next_check <= before:
            at = decider.next_check
            note(at, decider.tick(at))
            assert decider.next_check > at

    for fact in facts:
        ticks(fact.at)
        note(fact.at, decider.handle(fact))
    ticks(until)
    return rows


# --- a caller who is away -------------------------------------------------------------------------------------------


def test_a_caller_who_never_comes_back_is_asked_twice_and_then_left():
    """Given defaults, when nobody says anything after the greeting, then he is asked after 10 s of silence, again after
    10 more, told goodbye after 10 more, and the call ends when that was said."""
    facts = [*GREETED, *says(12.0, 14.0, 2), *says(24.0, 26.0, 3), *says(36.0, 37.5, 4)]
    assert decided(facts, until=99) == [(12.0, "ask 1"), (24.0, "ask 2"), (36.0, "goodbye"), (37.5, "end")]
    assert decided(facts, until=99, reasons=True) == [
        (12.0, "the caller was silent for 10.0 s"),
        (24.0, "the caller was silent for 10.0 s"),
        (36.0, "the caller was silent for 10.0 s, after he was asked 2 times"),
        (37.5, "the caller was silent for 10.0 s, after he was asked 2 times"),
    ]


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        pytest.param({"away_after": 6.5}, [(8.5, "ask 1")], id="away_after"),
        pytest.param({"away_after": None}, [], id="away_after, off"),
        pytest.param({"prompts": 0}, [(12.0, "goodbye")], id="no prompts"),
        pytest.param({"max_duration": 11.5, "warn_before": 0.0}, [(11.5, "goodbye")], id="max_duration"),
        pytest.param({"max_duration": 15.5, "warn_before": 4.0}, [(11.5, "warn 4")], id="warn_before"),
        pytest.param({"max_duration": None}, [(12.0, "ask 1")], id="max_duration, off"),
    ],
)  # fmt: skip
def test_every_setting_counts(settings, rows):
    assert decided(GREETED, until=13.75, **settings) == rows


def test_the_number_of_prompts_is_a_setting():
    facts = [*GREETED, *says(12.0, 14.0, 2)]
    assert decided(facts, until=24.0, prompts=1)[-1] == (24.0, "goodbye")
    assert decided(facts, until=24.0, prompts=1, reasons=True)[-1][1].endswith("after he was asked once")
    assert decided(facts, until=24.0, prompts=3)[-1] == (24.0, "ask 2")


def test_a_prompt_that_cannot_be_said_is_not_repeated_at_once():
    assert decided(GREETED, until=25.0) == [(12.0, "ask 1"), (22.0, "ask 2")]


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param([started(15.0), stopped(16.0), final(16.5, "Yes."), CallerSaid(16.5)], id="a turn"),
        pytest.param([final(16.5, "Yes."), CallerSaid(16.5)], id="a turn that only the recogniser heard"),
        pytest.param([KeyPressed(15.0), EntryEnded(16.5)], id="a key"),
    ],
)
def test_a_sign_of_the_caller_begins_the_count_again(sign):
    """Given that he was asked once, when he says or keys in something, then his next silence is the first."""
    facts = [*GREETED, *says(12.0, 14.0, 2), *sign, Working(16.5), *says(17.0, 20.0, 3), Listening(20.0)]
    assert decided(facts, until=30.0) == [(12.0, "ask 1"), (30.0, "ask 1")]


def test_a_backchannel_is_a_sign_of_the_caller_too():
    """Given that he was asked once, when he says "mm-hm" to what is being said, then his next silence is the first."""
    sign = [started(13.0), stopped(13.5), final(14.0, "Mm-hm."), CallerSaid(14.0)]
    assert decided([*GREETED, *says(12.0, 15.0, 2)[:2], *sign, ReplyClosed(15.0, 2)], until=25.0)[-1] == (25.0, "ask 1")


def test_words_that_are_not_his_own_do_not_begin_the_count_again():
    """Given that the line echoes each question, and that becomes a transcript but no turn, then it ends anyhow."""
    facts = [*GREETED]
    for at, number in ((12.0, 2), (24.0, 3)):
        facts += [*says(at, at + 2.0, number)[:2], started(at + 0.5, number), stopped(at + 1.5, number)]
        facts += [final(at + 1.75, "Are you still there?", number), ReplyClosed(at + 2.0, number)]
    assert decided(facts, until=36.0) == [(12.0, "ask 1"), (24.0, "ask 2"), (36.0, "goodbye")]


def test_noise_does_not_begin_the_count_again():
    facts = [*GREETED, *says(12.0, 14.0, 2), *noise(15.0, 17.0), *says(26.0, 28.0, 3)]
    assert decided(facts, until=26.0) == [(12.0, "ask 1"), (26.0, "ask 2")]


def test_noise_stops_the_clock_while_it_lasts():
    """Given 8 s of silence, when a noise lasts for 4 s, then he is asked 2 s after that."""
    assert decided([*GREETED, *noise(10.0, 14.0)], until=16.0) == [(16.0, "ask 1")]


def test_noise_that_never_ends_is_no_silence():
    assert decided([*GREETED, started(10.0), SpeechPaused(20.0, 1), SpeechResumed(21.0, 1)], until=500.0) == []


def test_words_that_are_on_their_way_are_waited_for():
    """Given a recogniser that takes 2 s for its final, then nobody is asked meanwhile."""
    facts = [*GREETED, started(3.0), stopped(4.0), final(6.0, ""), Working(6.0), Listening(6.0)]
    assert decided(facts, until=6.5, away_after=1.5) == [(6.5, "ask 1")]


def test_a_turn_that_goes_on_after_its_first_words_is_waited_for():
    """Given words that are no turn yet (he may go on), then nobody is asked until the program has dealt with them, or
    10 s later where nothing comes of them."""
    words = [*GREETED, started(3.0), stopped(4.0), final(4.5, "My number is")]
    turn = [Working(8.0), *says(8.0, 9.0, 2), Listening(9.0)]
    assert decided([*words, *turn], until=10.5, away_after=1.5) == [(10.5, "ask 1")]
    assert decided(words, until=14.5, away_after=1.5) == [(14.5, "ask 1")]


def test_a_final_before_the_end_of_speech_does_not_end_it():
    facts = [*GREETED, started(3.0), final(4.0, ""), stopped(9.0)]
    assert decided(facts, until=18.0) == [(18.0, "ask 1")]


def test_an_interim_is_not_the_end_of_the_words():
    facts = [*GREETED, started(3.0), interim(4.0, "Hel"), stopped(9.0), final(11.0, "")]
    assert decided(facts, until=20.0) == [(20.0, "ask 1")]


def test_words_that_never_come_are_given_up():
    """Given a recogniser that is stuck, then the caller is silent again 3 s (the final's timeout) after his speech."""
    facts = [*GREETED, started(3.0), stopped(4.0)]
    assert decided(facts, until=16.0) == [(16.0, "ask 1")]


def test_while_the_agent_is_speaking_nobody_is_away():
    assert decided([*GREETED, *says(5.0, 60.0, 2)], until=70.0) == [(70.0, "ask 1")]


def test_while_a_reply_is_not_audible_yet_nobody_is_away():
    assert decided([*GREETED, ReplyOpened(5.0, 2)], until=100.0) == []


def test_while_the_program_is_at_work_nobody_is_away():
    """Given a program that says something, looks something up for 30 s and says nothing about it, then nobody is asked
    until it listens again."""
    turn = [started(5.0), stopped(6.0), final(6.25, "What is on?"), Working(6.25)]
    facts = [*GREETED, *turn, *says(6.5, 8.0, 2), Listening(38.0)]
    assert decided(facts, until=48.0) == [(48.0, "ask 1")]


def test_before_the_program_listens_nobody_is_away():
    assert decided(says(0.0, 2.0, 1), until=100.0) == []


def test_a_program_that_listens_again_and_again_does_not_hold_the_clock():
    """Given a program that listens for 3 s at a time, then the caller's silence goes on."""
    facts: list[PatienceFact] = [*GREETED]
    for at in (5.0, 8.0, 11.0):
        facts += [Working(at), Listening(at)]
    assert decided(facts, until=12.0) == [(12.0, "ask 1")]


def test_while_an_entry_is_under_way_nobody_is_away():
    facts = [*GREETED, KeyPressed(3.0), KeyPressed(9.0), EntryEnded(14.0), Working(14.0), Listening(14.0)]
    assert decided(facts, until=15.5, away_after=1.5) == [(15.5, "ask 1")]


def test_an_entry_that_is_taken_back_leaves_time_for_another():
    facts = [*GREETED, KeyPressed(3.0), EntryEnded(4.0)]
    assert decided(facts, until=14.0, away_after=1.5) == [(14.0, "ask 1")]


def test_times_count_from_the_start_of_the_call():
    decider = patience(PatienceSettings(max_duration=100.0, warn_before=0.0), started_at=1000.0)
    decider.handle(Listening(1000.0))
    assert decider.next_check == 1010.0
    decider.handle(ReplyOpened(1001.0, 1))
    assert decider.next_check == 1100.0 + MAX_WAIT


# --- a call that lasts too long -------------------------------------------------------------------------------------

HOUR = {"away_after": None, "max_duration": 3600.0}


def test_the_end_is_announced_and_then_comes():
    facts = [*GREETED, *says(3540.0, 3542.0, 2), *says(3600.0, 3601.5, 3)]
    assert decided(facts, until=9999.0, **HOUR) == [(3540.0, "warn 60"), (3600.0, "goodbye"), (3601.5, "end")]
    assert decided(facts, until=9999.0, reasons=True, **HOUR) == [
        (3540.0, "60.0 s are left of 3600 s"),
        (3600.0, "the call has lasted 3600 s, as long as it may"),
        (3601.5, "the call has lasted 3600 s, as long as it may"),
    ]


@pytest.mark.parametrize(
    ("facts", "rows"),
    [
        pytest.param(
            [started(3530.0), stopped(3550.0), final(3551.0, "So."), Working(3551.0), *says(3551.5, 3555.0, 2),
             Listening(3555.0)],
            [(3555.0, "warn 45")],
            id="until what the caller said is answered",
        ),
        pytest.param(
            [started(3520.0), final(3521.0, "So."), stopped(3550.0), CallerSaid(3550.0), Working(3550.0),
             *says(3551.5, 3555.0, 2), Listening(3555.0)],
            [(3555.0, "warn 45")],
            id="also where his words came before the end of his speech",
        ),
        pytest.param(says(3530.0, 3545.0, 2), [(3545.0, "warn 55")], id="until the agent has spoken"),
        pytest.param(
            [KeyPressed(3539.0), EntryEnded(3542.0), Working(3542.0), *says(3543.0, 3544.0, 2), Listening(3544.0)],
            [(3544.0, "warn 56")],
            id="until an entry is over and answered",
        ),
        pytest.param([Working(3530.0)], [(3550.0, "warn 50")], id="but for an answer only 10 s"),
        pytest.param([started(3530.0), stopped(3538.0)], [(3541.0, "warn 59")], id="not for words that never come"),
    ],
)  # fmt: skip
def test_the_announcement_waits(facts, rows):
    assert decided([*GREETED, *facts], until=3599.0, **HOUR) == rows


@pytest.mark.parametrize(
    ("facts", "goodbye"),
    [
        pytest.param([*GREETED, *says(3530.0, 3604.0, 2)], 3604.0, id="the agent spoke for too long"),
        pytest.param(says(3530.0, 3604.0, 1), 3610.0, id="and the program is not done"),
    ],
)
def test_the_announcement_is_never_made_after_the_end(facts, goodbye):
    assert decided(facts, until=3612.0, **HOUR) == [(goodbye, "goodbye")]


@pytest.mark.parametrize("busy", [[started(3595.0)], says(3595.0, 3700.0, 2)[:2], [Working(3595.0)]])
def test_the_end_waits_no_longer_than_ten_seconds(busy):
    """Given that somebody speaks, or the program thinks, at the end of the longest call, then it ends anyway."""
    rows = decided([*GREETED, *busy], until=3625.0, **HOUR)
    assert rows == [(3540.0, "warn 60"), (3610.0, "goodbye"), (3620.0, "end")]


@pytest.mark.parametrize(
    ("facts", "goodbye"),
    [
        pytest.param([started(3595.0), stopped(3597.0), final(3599.0, "I"), Working(3601.0), *says(3601.0, 3604.0, 2),
                      Listening(3604.0)], 3604.0, id="until it is answered"),
        pytest.param([started(3593.0), stopped(3595.0), final(3596.0, "I")], 3606.0, id="until nothing came of it"),
        pytest.param([started(3595.0), stopped(3604.0), final(3605.0, "I")], 3610.0, id="for no longer than anything"),
    ],
)  # fmt: skip
def test_the_end_waits_for_a_turn_that_has_begun(facts, goodbye):
    rows = decided([*GREETED, *facts], until=3612.0, away_after=None, max_duration=3600.0, warn_before=0.0)
    assert rows == [(goodbye, "goodbye")]


def test_the_end_waits_for_the_end_of_a_sentence():
    facts = [*GREETED, *says(3595.0, 3603.0, 2)]
    assert decided(facts, until=3604.0, **HOUR) == [(3540.0, "warn 60"), (3603.0, "goodbye")]


def test_a_short_call_without_time_for_an_answer_is_announced_or_ended_but_never_announced_late():
    facts = [*GREETED, Working(5.0)]
    assert decided(facts, until=31.0, max_duration=20.0, warn_before=5.0) == [(30.0, "goodbye")]


def test_an_announcement_is_a_sign_of_life_of_the_agent():
    """Given an announcement that could not be said, then the caller is not asked in the same breath."""
    facts = [*GREETED]
    assert decided(facts, until=22.0, max_duration=72.0) == [(12.0, "warn 60"), (22.0, "ask 1")]


# --- the goodbye ----------------------------------------------------------------------------------------------------

LEAVING = {"prompts": 0}
"""Goodbye at 12 s."""


def test_a_goodbye_that_cannot_be_said_does_not_keep_the_call():
    assert decided(GREETED, until=99.0, **LEAVING) == [(12.0, "goodbye"), (22.0, "end")]


def test_a_goodbye_that_takes_too_long_does_not_keep_the_call():
    facts = [*GREETED, *says(12.0, 60.0, 2)[:2]]
    assert decided(facts, until=99.0, **LEAVING) == [(12.0, "goodbye"), (22.0, "end")]


def test_the_call_ends_with_the_goodbye_and_not_with_what_it_replaced():
    """Given a reply that the goodbye cuts, and one that came too late to be audible, then neither ends the call."""
    replaced = [ReplyAudible(3610.0, 2), ReplyClosed(3610.0, 2)]
    late = [ReplyOpened(3610.0, 3), ReplyClosed(3610.0, 3)]
    facts = [*GREETED, ReplyOpened(3599.0, 2), *replaced, *late, *says(3610.0, 3612.0, 4)]
    rows = decided(facts, until=9999.0, max_duration=3600.0, warn_before=0.0, away_after=None)
    assert rows == [(3610.0, "goodbye"), (3612.0, "end")]


def test_after_the_end_nothing_is_decided():
    decider = patience(PatienceSettings(prompts=0))
    for fact in GREETED:
        decider.handle(fact)
    assert [short(action) for action in decider.tick(12.0)] == ["goodbye"]
    assert [short(action) for action in decider.tick(22.0)] == ["end"]
    assert decider.next_check == math.inf
    assert decider.tick(4000.0) == []
    assert decider.handle(Listening(4001.0)) == []
    assert decider.handle(ReplyClosed(4002.0, 9)) == []


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"away_after": 0.0}, "away_after is 0.0: give seconds above 0, or None"),
        ({"away_after": math.inf}, "away_after is inf"),
        ({"away_after": math.nan}, "away_after is nan"),
        ({"max_duration": -1.0}, "max_duration is -1.0: give seconds above 0, or None"),
        ({"prompts": -1}, "prompts is -1: give 0 or more"),
        ({"warn_before": -1.0}, "warn_before is -1.0: give seconds, 0 for no"),
        ({"warn_before": math.nan}, "warn_before is nan"),
        ({"max_duration": 45.0}, r"warn_before is 60: make it shorter than max_duration \(45\), or 0"),
    ],
)
def test_settings_that_cannot_work_say_what_to_do(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        PatienceSettings(**settings)


# --- whatever happens -----------------------------------------------------------------------------------------------


class AnyCall(RuleBasedStateMachine):
    """A caller, a program and an agent that do anything, in any order; the rules are kept all the same."""

    @initialize(
        away=st.sampled_from([None, 2.0, 10.0]),
        prompts=st.integers(0, 3),
        duration=st.sampled_from([None, 20.0, 120.0]),
        warn=st.sampled_from([0.0, 5.0, 19.0]),
        obeys=st.booleans(),
    )
    def begin(self, away, prompts, duration, warn, obeys):
        self.settings = PatienceSettings(away_after=away, prompts=prompts, max_duration=duration, warn_before=warn)
        self.now = 1000.0
        self.decider = patience(self.settings, self.now)
        self.obeys = obeys
        """Whether the agent says what it is told to say, at once."""
        self.speaking: int | None = None
        self.utterances = 0
        self.awaited: dict[int, float] = {}
        """When the utterances ended whose words are on their way."""
        self.open: int | None = None
        self.replies = 0
        self.working = True
        self.keying = False
        self.row = 0
        """Prompts since the caller's last sign."""
        self.stirred = 1000.0
        """When somebody last said or keyed in something."""
        self.goodbye: float | None = None
        self.ended = False
        self.warned = False

    # --- the engine's side ---

    def carry_out(self, at, actions):
        assert len(actions) <= 1
        for action in actions:
            assert not self.ended
            assert action.reason
            match action:
                case AskIfThere(number=number):
                    assert self.goodbye is None
                    assert self.idle(at)
                    assert at >= self.stirred + self.settings.away_after - 1e-9
                    self.row += 1
                    assert number == self.row <= self.settings.prompts
                    self.stirred = at
                    self.say()
                case WarnOfEnd(remaining=remaining):
                    assert self.goodbye is None
                    assert not self.warned
                    assert self.quiet(at)
                    assert 0 < remaining <= self.settings.warn_before + 1e-9
                    self.warned = True
                    self.stirred = at
                    self.say()
                case SayGoodbye():
                    assert self.goodbye is None
                    duration = self.settings.max_duration
                    if duration is None or at < 1000.0 + duration:
                        assert self.idle(at)
                        assert self.row == self.settings.prompts
                        assert at >= self.stirred + self.settings.away_after - 1e-9
                    else:
                        assert self.idle(at) or at >= 1000.0 + duration + MAX_WAIT - 1e-9
                    self.goodbye = at
                case EndCall():
                    assert self.goodbye is not None
                    assert self.goodbye <= at
                    self.ended = True

    def say(self):
        if self.obeys and self.open is None:
            self.replies += 1
            self.open = self.replies
            self.handle(ReplyOpened(self.now, self.open))

    def quiet(self, at):
        awaited = any(at < stop + FINAL_TIMEOUT for stop in self.awaited.values())
        return self.speaking is None and self.open is None and not self.keying and not awaited

    def idle(self, at):
        return self.quiet(at) and not self.working

    def advance(self, to):
        while self.decider.next_check <= to:
            at = self.decider.next_check
            self.now = max(self.now, at)
            self.carry_out(at, self.decider.tick(at))
            assert self.decider.next_check > at
        self.now = to

    def handle(self, fact):
        self.carry_out(self.now, self.decider.handle(fact))

    # --- what happens ---

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 2.0, 5.0, 12.0, 30.0]))
    def wait(self, seconds):
        self.advance(self.now + seconds)

    @rule()
    def tick_for_nothing(self):
        self.carry_out(self.now, self.decider.tick(self.now))

    @precondition(lambda self: self.speaking is None)
    @rule()
    def speech_starts(self):
        self.utterances += 1
        self.speaking = self.utterances
        self.handle(SpeechStarted(self.now, self.utterances, self.now - 0.1))

    @precondition(lambda self: self.speaking is not None)
    @rule()
    def speech_stops(self):
        self.awaited[self.speaking] = self.now
        number, self.speaking = self.speaking, None
        self.handle(SpeechStopped(self.now, number, self.now - 0.3))

    @precondition(lambda self: self.awaited)
    @rule(text=st.sampled_from(["", " ", "Hello."]), data=st.data())
    def final_comes(self, text, data):
        number = data.draw(st.sampled_from(sorted(self.awaited)))
        del self.awaited[number]
        self.handle(Transcript(self.now, number, text, True))

    @rule()
    def caller_said_something(self):
        self.row, self.stirred = 0, self.now
        self.handle(CallerSaid(self.now))

    @precondition(lambda self: self.speaking is not None)
    @rule()
    def interim_comes(self):
        self.handle(Transcript(self.now, self.speaking, "Hel", False))

    @rule()
    def key_is_pressed(self):
        self.keying, self.row, self.stirred = True, 0, self.now
        self.handle(KeyPressed(self.now))

    @precondition(lambda self: self.keying)
    @rule()
    def entry_ends(self):
        self.keying = False
        self.handle(EntryEnded(self.now))

    @rule(working=st.booleans())
    def program_turns(self, working):
        self.working = working
        self.handle(Working(self.now) if working else Listening(self.now))

    @precondition(lambda self: self.open is None)
    @rule()
    def reply_opens(self):
        self.replies += 1
        self.open = self.replies
        self.handle(ReplyOpened(self.now, self.open))

    @precondition(lambda self: self.open is not None)
    @rule()
    def reply_becomes_audible(self):
        self.handle(ReplyAudible(self.now, self.open))

    @precondition(lambda self: self.open is not None)
    @rule()
    def reply_closes(self):
        number, self.open = self.open, None
        self.stirred = self.now
        self.handle(ReplyClosed(self.now, number))

    # --- what always holds ---

    @invariant()
    def it_wants_to_be_asked_only_where_something_can_fall_due(self):
        if not hasattr(self, "decider"):
            return
        due = self.decider.next_check
        if self.ended:
            assert due == math.inf
        elif self.goodbye is not None:
            assert due <= self.goodbye + LAST_WORDS
        elif due == math.inf:
            assert self.settings.max_duration is None
            assert self.settings.away_after is None or not self.idle(self.now)

    def teardown(self):
        """Everybody falls silent for long enough: the call ends, where anything may end it."""
        if not hasattr(self, "decider"):
            return
        self.obeys = False
        if self.speaking is not None:
            self.speech_stops()
        if self.open is not None:
            self.reply_closes()
        self.entry_ends()
        self.program_turns(False)
        self.advance(self.now + 500.0)
        never = self.settings.away_after is None and self.settings.max_duration is None
        assert self.ended == (not never or self.goodbye is not None)
        assert self.decider.next_check == math.inf


AnyCall.TestCase.settings = hypothesis_settings(max_examples=300, stateful_step_count=50, deadline=None)
TestAnyCall = AnyCall.TestCase
