"""Polite turn-taking in whole calls: interruptions, backchannels, coughs, notices, split turns and dictated numbers."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

import attrs
import pytest
import trio
from lab_calls import decisions, until

from callengine import Agent
from callengine.brain.history import INTERRUPTED
from callengine.ports import Message
from callengine.turns.confirmation import MinWords
from callengine.turns.settings import Endpointing, Interruption, TurnSettings

CALLERS = Path(__file__).parents[1] / "data" / "callers"
GREETING = "Hello there."
HELLO = Agent(prompt="Be brief.", greeting=GREETING)
QUESTION = "Which tables do you have?"
LONG = "We have tables at seven, at eight, and at nine, inside or in the garden, and the kitchen is open until ten."
MODES = ("cut", "duck", "pause")
GRAIN = 0.032 + 0.02
"""Seconds by which an onset may be early: the VAD's window, and a frame on its way."""
INTO = 2.01
"""Seconds into the long reply at which the caller makes himself heard."""


def polite(mode: str = "pause", **settings) -> Agent:
    """One that reacts to 0.2 s of sound, and believes what its recogniser says of short words."""
    settings = {"min_duration": 0.2, "short_speech": 0.0} | settings
    return attrs.evolve(HELLO, turns=TurnSettings(interruption=Interruption(mode=mode, **settings)))


def noise(seconds: float) -> bytes:
    """Loud, and no words."""
    return b"\x20\xa0" * int(seconds * 4000)


def journal_times(lab, kind: str) -> list[float]:
    return [record.t for record in lab.call.journal.of(kind)]


def decided(lab, what: str) -> list[float]:
    """When something was decided, in seconds of the call."""
    return [record.t for record in lab.call.journal.of("decision") if record.data["what"] == what]


def turns(lab) -> list[str]:
    """The caller's turns."""
    return [record.data["text"] for record in lab.call.journal.of("turn.ended")]


def asked(lab) -> list[Message]:
    """The last request to the model, without its system message."""
    return lab.llm.requests[-1][1:]


@pytest.fixture
async def call_lab(call_lab):
    """With a recogniser that tells what it has five times a second, and 0.1 s behind the end of speech."""
    call_lab.stt.interim_every = 0.2
    call_lab.stt.final_delay = 0.1
    return call_lab


async def into_the_long_reply(lab, caller) -> None:
    """Bring a call to where the agent explains something at length."""
    await caller.hears(GREETING)
    await caller.says(QUESTION)
    await until(lambda: caller.leg.queue.playing(trio.current_time()))
    await trio.sleep_until(caller.leg.queue.began_at + INTO)


# --- interruptions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
async def test_an_interruption_ends_the_reply_and_is_answered(call_lab, mode):
    """Given a long reply, when the caller asks something else, then it ends for good, and he is answered once."""
    call_lab.llm.replies(LONG, "Yes, we do.")
    async with call_lab.dial(polite(mode)) as caller:
        await into_the_long_reply(call_lab, caller)
        began = trio.current_time() - call_lab.call.started_at
        await caller.says("And do you have parking?")
        await caller.hears("Yes, we do.")
        await caller.waits(3)
    (barge_in,) = call_lab.call.journal.of("barge_in")
    assert barge_in.data["onset"] == pytest.approx(began, abs=GRAIN)
    softened = decided(call_lab, mode)
    assert softened == [pytest.approx(barge_in.data["onset"] + 0.2, abs=1e-6)]
    assert barge_in.t <= barge_in.data["onset"] + 1.4 + 1e-6  # in cut mode at once, else when it is long
    _, reply, answer = call_lab.call.outcome.turns
    assert (reply.interrupted_by, reply.complete) == ("caller", False)
    assert (answer.caller, answer.heard) == ("And do you have parking?", "Yes, we do.")
    if mode != "duck":  # the lab's ear does not understand what is ducked
        assert caller.heard == f"{GREETING} {reply.heard} Yes, we do."
    assert call_lab.call.counters["false interruptions"] == 0


@pytest.mark.parametrize("mode", MODES)
async def test_the_model_is_told_where_it_was_interrupted(call_lab, mode):
    call_lab.llm.replies(LONG, "Yes, we do.")
    async with call_lab.dial(polite(mode)) as caller:
        await into_the_long_reply(call_lab, caller)
        await caller.says("And do you have parking?")
        await caller.hears("Yes, we do.")
    heard = call_lab.call.outcome.turns[1].heard
    assert heard
    assert LONG.startswith(heard)
    assert asked(call_lab) == [
        Message("assistant", GREETING),
        Message("user", QUESTION),
        Message("assistant", f"{heard} {INTERRUPTED}"),
        Message("user", "And do you have parking?"),
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_the_greeting_is_interrupted_in_every_mode(call_lab, mode):
    """Given a greeting of which the first slice is just playing, when the caller speaks, then he has the floor."""
    call_lab.llm.replies("Of course.")
    async with call_lab.dial(attrs.evolve(polite(mode), greeting=LONG)) as caller:
        await until(lambda: caller.leg.queue.playing(trio.current_time()))
        await caller.says("A table for two please.")
        await caller.hears("Of course.")
        await caller.waits(3)
    greeting, answer = call_lab.call.outcome.turns
    assert greeting.interrupted_by == "caller"
    assert len(greeting.heard.split()) <= (5 if mode == "duck" else 3)
    assert (answer.caller, answer.heard) == ("A table for two please.", "Of course.")
    assert "kitchen" not in caller.heard


@pytest.mark.parametrize("mode", ["duck", "pause"])
async def test_stop_words_cut_as_soon_as_they_are_understood(call_lab, mode):
    """Given that three words are needed, when he says "wait", then that is enough: the moment its interim is there."""
    call_lab.llm.replies(LONG, "Yes?")
    async with call_lab.dial(polite(mode, min_words=3)) as caller:
        await into_the_long_reply(call_lab, caller)
        await caller.says("Wait.")
        await caller.hears("Yes?")
    (barge_in,) = call_lab.call.journal.of("barge_in")
    interim = next(r for r in call_lab.call.journal.of("transcript") if r.data["text"] == "Wait.")
    assert not interim.data["final"]
    assert barge_in.t == interim.t
    assert barge_in.data["trigger"] == "transcript"
    assert decisions(call_lab, "cut") == ["caller said 'wait', which stops"]
    assert turns(call_lab)[1:] == ["Wait."]


@pytest.mark.parametrize("how", ["hangs up", "drops"])
@pytest.mark.parametrize("mode", MODES)
async def test_a_pending_interruption_ends_with_the_call(call_lab, mode, how):
    """Given an interruption that nothing has confirmed yet, when the caller is gone, then nothing of it comes later."""
    call_lab.llm.replies(LONG)
    async with call_lab.dial(polite(mode, confirm=(MinWords(9),))) as caller:
        await into_the_long_reply(call_lab, caller)
        caller.leg.speak(noise(5))
        await caller.waits(0.6)
        caller.drops() if how == "drops" else caller.leg.hang_up()
        await until(lambda: call_lab.call.ended)
        await trio.sleep(5)
    assert call_lab.call.journal.of("barge_in") == call_lab.call.journal.of("false_interruption") == []
    assert call_lab.call.outcome.counters.get("false interruptions", 0) == 0
    assert [record.kind for record in call_lab.call.journal][-1] == "call.ended"
    call_lab.assert_nothing_left()


# --- backchannels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("word", ["Okay.", "Mm-hm."])
async def test_the_agent_goes_on_over_a_backchannel(call_lab, mode, word):
    """Given a long reply, when the caller says "okay" into it, then he hears the whole of it, and that was no turn."""
    call_lab.llm.replies(LONG)
    async with call_lab.dial(polite(mode)) as caller:
        await into_the_long_reply(call_lab, caller)
        await caller.says(word)
        await caller.hears("until ten.")
        await caller.waits(3)
    assert turns(call_lab) == [QUESTION]
    assert len(call_lab.llm.requests) == 1
    if mode == "duck":  # the words are all there, some more quietly than the caller's ear in the lab can read
        assert caller.leg.queue.cleared == []
    else:
        assert caller.heard == f"{GREETING} {LONG}"
    if mode == "cut":  # sound cuts at once there, so that the rest is said again
        assert decisions(call_lab, "say the rest") == ["what cut it was no interruption"]
    else:
        assert call_lab.call.counters["backchannels"] == 1
        assert call_lab.call.counters["false interruptions"] == 0
        assert journal_times(call_lab, "barge_in") == []
        assert call_lab.call.outcome.turns[-1].complete
    assert call_lab.call.counters["transcripts dropped: backchannel"] == 1


@pytest.mark.parametrize("mode", ["duck", "pause"])
@pytest.mark.parametrize("word", ["Okay.", "Mm-hm."])
async def test_it_is_back_within_400_ms_of_the_end_of_a_backchannel(call_lab, mode, word):
    call_lab.llm.replies(LONG)
    async with call_lab.dial(polite(mode)) as caller:
        await into_the_long_reply(call_lab, caller)
        await caller.says(word)
        ended = trio.current_time() - call_lab.call.started_at
        await caller.waits(3)
    (softened,), (back,) = decided(call_lab, mode), decided(call_lab, "carry on")
    assert softened < ended < back <= ended + 0.25
    sent = [record.t for record in call_lab.call.journal.of("media.sent") if record.t >= back]
    assert sent[0] <= ended + 0.4
    (false,) = call_lab.call.journal.of("false_interruption")
    assert false.data["backchannel"] is True


@pytest.mark.models
@pytest.mark.parametrize(("voice", "said"), [("am_michael_28_back", "right"), ("af_nova_27_back", "uh-huh")])
async def test_the_agent_goes_on_over_a_recorded_backchannel(call_lab, voice, said):
    """The same with voices, the real VAD and the real recogniser, by default."""
    call_lab.llm.replies(LONG)
    async with call_lab.dial(HELLO, real={"vad", "stt"}) as caller:
        await caller.hears(GREETING)
        await caller.says(CALLERS / "am_michael_06_hours.wav")
        await until(lambda: caller.leg.queue.playing(trio.current_time()))
        await trio.sleep_until(caller.leg.queue.began_at + INTO)
        await caller.says(CALLERS / f"{voice}.wav")
        ended = trio.current_time() - call_lab.call.started_at
        await caller.hears("until ten.")
        await caller.waits(3)
    assert caller.heard == f"{GREETING} {LONG}"
    assert len(turns(call_lab)) == 1
    finals = [r.data["text"] for r in call_lab.call.journal.of("transcript") if r.data["final"]]
    assert said in finals[-1].lower()
    assert call_lab.call.counters["backchannels"] == 1
    assert max(decided(call_lab, "carry on")) <= ended + 0.4


async def test_a_recogniser_without_interims_settles_it_with_its_final(call_lab):
    """Given a voice that hums, when only the final says what it was, then the agent goes on at that moment."""
    call_lab.stt.interim_every = None
    async with call_lab.dial(attrs.evolve(HELLO, greeting=LONG), real={"vad"}) as caller:
        await caller.interrupts(CALLERS / "af_nova_26_back.wav", after=INTO, text="Mm-hm.")
        await caller.hears("until ten.")
        await caller.waits(3)
    assert caller.heard == LONG
    assert turns(call_lab) == []
    assert call_lab.call.counters["backchannels"] == 1
    final = call_lab.call.journal.of("transcript")[-1]
    assert (final.data["text"], final.data["final"]) == ("Mm-hm.", True)
    assert decided(call_lab, "carry on") == [final.t]


@pytest.mark.parametrize("word", ["Okay.", "Mm-hm.", "Right.", "Yes."])
async def test_the_same_word_behind_a_question_is_an_answer(call_lab, word):
    call_lab.llm.replies("Shall I book it?", "It is booked.")
    async with call_lab.dial(HELLO) as caller:
        await caller.hears(GREETING)
        await caller.says("A table for two, please.")
        await caller.hears("Shall I book it?")
        await caller.waits(0.5)
        await caller.says(word)
        await caller.hears("It is booked.")
    assert turns(call_lab)[1:] == [word]
    assert call_lab.call.counters["backchannels"] == 0


# --- sounds that are no words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "pauses"), [(0.06, 0), (0.3, 1), (0.6, 1)])
async def test_after_a_cough_the_reply_goes_on_and_is_heard_whole(call_lab, seconds, pauses):
    """Given a long reply, when the caller coughs, then it pauses for a moment at most, and no word of it is lost."""
    call_lab.llm.replies(LONG)
    async with call_lab.dial(polite("pause")) as caller:
        await into_the_long_reply(call_lab, caller)
        await until(caller.leg.speak(noise(seconds)).is_set)
        ended = trio.current_time() - call_lab.call.started_at
        await caller.hears("until ten.")
        await caller.waits(3)
    assert caller.heard == f"{GREETING} {LONG}"
    assert turns(call_lab) == [QUESTION]
    assert len(decided(call_lab, "pause")) == len(decided(call_lab, "carry on")) == pauses
    assert call_lab.call.counters["false interruptions"] == pauses
    assert all(back <= ended + 0.5 for back in decided(call_lab, "carry on"))
    assert call_lab.call.outcome.turns[-1].complete


# --- what must be heard ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
async def test_a_notice_is_finished_and_what_was_said_over_it_is_answered_afterwards(call_lab, mode):
    """Given a notice that may not be interrupted, when the caller asks two things meanwhile, then it goes on as it
    was, and both are there for the program, in order."""
    notice, results = LONG, []

    async def story(call):
        results.append(await call.say(notice, interruptible=False))
        results.append(await call.listen(timeout=1))
        results.append(await call.listen(timeout=1))

    async with call_lab.dial(story, agent=polite(mode)) as caller:
        await caller.waits(1.0)
        await caller.says("Stop, please.")
        await caller.waits(1.2)
        await caller.says("I have a question.")
        await caller.is_hung_up_on()
    heard, first, second = results
    assert (heard.complete, heard.cut_by) == (True, None)
    assert caller.heard == notice
    assert caller.leg.queue.gaps == 0  # nor did it pause
    assert (first.text, second.text) == ("Stop, please.", "I have a question.")
    assert decided(call_lab, mode) == []


async def test_a_story_says_the_rest_later(call_lab):
    """Given a reply that was cut, when the question is answered, then ``Heard.unheard`` is what is left to say."""
    results = []

    async def story(call):
        heard = await call.say(LONG)
        turn = await call.listen()
        await call.say("Yes, we have parking.")
        rest = await call.say(heard.unheard)
        results.extend([heard, turn, rest])

    async with call_lab.dial(story, agent=polite("pause")) as caller:
        await caller.interrupts("Do you have parking?", after=INTO)
        await caller.hears("Yes, we have parking.")
        await caller.hears("until ten.")
        await caller.is_hung_up_on()
    heard, turn, rest = results
    assert turn.text == "Do you have parking?"
    assert f"{heard.heard} {heard.unheard}" == LONG
    assert rest.complete
    assert caller.heard == f"{heard.heard} Yes, we have parking. {heard.unheard}"


# --- split turns ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
async def test_a_caller_who_goes_on_just_after_the_answer_began_is_answered_once(call_lab, mode):
    """Given an answer that was audible for less than ``split``, when the caller goes on, then its words are withdrawn,
    and the model gets both halves as one, as if it had never spoken."""
    call_lab.llm.replies(LONG, "For two, outside.")
    agent = attrs.evolve(polite(mode, guard=0.0), turns=attrs.evolve(polite(mode, guard=0.0).turns, split=0.6))
    async with call_lab.dial(agent) as caller:
        await caller.hears(GREETING)
        await caller.says("I need a table for two.")
        await until(lambda: caller.leg.queue.playing(trio.current_time()))
        await caller.waits(0.3)
        await caller.says("Somewhere outside would be best.")
        await caller.hears("For two, outside.")
        await caller.waits(3)
    assert asked(call_lab) == [
        Message("assistant", GREETING),
        Message("user", "I need a table for two. Somewhere outside would be best."),
    ]
    assert len(call_lab.llm.requests) == 2
    assert [r.data["continues"] for r in call_lab.call.journal.of("turn.ended")] == [False, True]
    assert "kitchen" not in caller.heard


@pytest.mark.parametrize(("split", "continues"), [(0.6, True), (0.1, False)])
async def test_how_much_of_an_answer_may_be_withdrawn_is_a_setting(call_lab, split, continues):
    call_lab.llm.replies(LONG, "For two, outside.")
    agent = attrs.evolve(HELLO, turns=TurnSettings(split=split, interruption=Interruption(guard=0.0)))
    async with call_lab.dial(agent) as caller:
        await caller.hears(GREETING)
        await caller.says("I need a table for two.")
        await until(lambda: caller.leg.queue.playing(trio.current_time()))
        await caller.waits(0.3)
        await caller.says("Somewhere outside would be best.")
        await caller.hears("For two, outside.")
    assert call_lab.call.journal.of("turn.ended")[-1].data["continues"] is continues
    assert (len(asked(call_lab)) == 2) is continues


# --- dictation ------------------------------------------------------------------------------------------------------

PIECES = ("five five five", "zero one two", "three four five six")
NUMBER = " ".join(PIECES)


async def dictate(caller, pause: float) -> None:
    for index, piece in enumerate(PIECES):
        if index:
            await caller.waits(pause)
        await caller.says(piece)


@pytest.mark.parametrize("pause", [0.5, 0.8, 1.2])
async def test_a_number_that_was_asked_for_is_one_turn_however_it_is_dictated(call_lab, pause):
    call_lab.llm.replies("Thank you.")
    async with call_lab.dial(attrs.evolve(HELLO, greeting="Could I have your phone number, please?")) as caller:
        await caller.hears("number, please?")
        await dictate(caller, pause)
        await caller.hears("Thank you.")
    assert turns(call_lab) == [NUMBER]
    (ended,) = call_lab.call.journal.of("turn.ended")
    assert ended.t - ended.data["speech_ended"] < 0.5  # complete: nobody waits behind the last digit


async def test_the_same_pauses_elsewhere_end_a_turn(call_lab):
    """Given that nothing was asked for, when he pauses as long, then what he said is answered."""
    call_lab.llm.replies("Yes?", "Sorry?", "I see.")
    async with call_lab.dial(HELLO) as caller:
        await caller.hears(GREETING)
        await dictate(caller, 1.2)
        await caller.waits(3)
    assert turns(call_lab) == list(PIECES)


async def test_a_storys_expectation_keeps_a_number_together_too(call_lab):
    """Given words that do not say what is asked for, when the program does, then the number is one turn."""
    heard = []

    async def story(call, tell):
        if tell:
            call.expect("phone")
        await call.say("And how do I reach you?")
        heard.append((await call.listen()).text)

    async def told(call):
        await story(call, True)

    async def untold(call):
        await story(call, False)

    for program in (told, untold):
        async with call_lab.dial(program) as caller:
            await caller.hears("reach you?")
            with suppress(AssertionError):  # the second story ends, and hangs up, before all is said
                await dictate(caller, 1.2)
            await until(lambda: call_lab.call.ended)
    assert heard == [NUMBER, PIECES[0]]


# --- end of turn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("minimum", "maximum"), [(0.5, 1.5), (0.8, 2.0)])
async def test_fixed_delays_are_kept_to_the_moment(call_lab, minimum, maximum):
    """``min_delay`` behind a whole sentence, ``max_delay`` behind one that is not, from the end of the last sound."""
    endpointing = Endpointing(mode="fixed", min_delay=minimum, doubt_delay=minimum, max_delay=maximum)
    agent = attrs.evolve(HELLO, turns=TurnSettings(endpointing=endpointing))
    call_lab.llm.replies("Fine.", "Well?")
    said = []
    async with call_lab.dial(agent) as caller:
        await caller.hears(GREETING)
        for words, answer in (("A table for two.", "Fine."), ("My name is", "Well?")):
            await caller.says(words)
            said.append(trio.current_time() - call_lab.call.started_at)
            await caller.hears(answer)
            await caller.waits(1)
    whole, open_ended = call_lab.call.journal.of("turn.ended")
    assert whole.t - whole.data["speech_ended"] == pytest.approx(minimum, abs=1e-6)
    assert open_ended.t - open_ended.data["speech_ended"] == pytest.approx(maximum, abs=1e-6)
    for ended, sound in zip((whole, open_ended), said, strict=True):
        assert ended.data["speech_ended"] == pytest.approx(sound, abs=GRAIN)


async def test_the_engine_learns_how_long_a_caller_pauses(call_lab):
    """Given a caller who six times went on 0.45 s behind unfinished words, when he leaves a sentence open, then he is
    waited for less long than one of whom nothing is known; with ``fixed`` for as long."""
    waits = {}
    for mode in ("adaptive", "fixed"):
        agent = attrs.evolve(HELLO, turns=TurnSettings(endpointing=Endpointing(mode=mode, max_delay=1.6)))
        call_lab.llm.replies("Fine.", "Well?")
        async with call_lab.dial(agent) as caller:
            await caller.hears(GREETING)
            for words in ("I would like to", "book a", "table for", "my", "family and", "the", "neighbours."):
                await caller.says(words)
                await caller.waits(0.45)
            await caller.hears("Fine.")
            await caller.waits(1)
            await caller.says("My name is")
            await caller.hears("Well?")
        ended = call_lab.call.journal.of("turn.ended")
        assert [r.data["text"] for r in ended] == [
            "I would like to book a table for my family and the neighbours.",
            "My name is",
        ]
        waits[mode] = ended[1].t - ended[1].data["speech_ended"]
    assert waits["fixed"] == pytest.approx(1.6, abs=1e-6)
    assert waits["adaptive"] < 1.0


# --- strategies of the user -----------------------------------------------------------------------------------------


class Broken:
    """A strategy of the user's, with a bug."""

    def confirms(self, evidence):
        raise ValueError(f"{evidence.text!r} is too much for me")

    def next_check(self, evidence):
        del evidence
        return float("inf")


@pytest.mark.parametrize("mode", MODES)
async def test_three_words_confirm_and_one_does_not(call_lab, mode):
    """Given MinWords(3), when the caller says "hello" and later "no wait please", then the agent goes on at the first
    and stops at the third word of the second; the delay counts from the onset."""
    call_lab.llm.replies(LONG, "Yes?")
    async with call_lab.dial(polite(mode, confirm=(MinWords(3),))) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await until(lambda: caller.leg.queue.playing(trio.current_time()))
        await caller.waits(0.8)
        await caller.says("Okay.")
        await caller.waits(1.0)
        began = trio.current_time() - call_lab.call.started_at
        await caller.says("No wait please.")
        await caller.hears("Yes?")
    (barge_in,) = call_lab.call.journal.of("barge_in")
    third = next(r for r in call_lab.call.journal.of("transcript") if r.data["text"] == "No wait please.")
    assert barge_in.t == third.t
    assert barge_in.data["onset"] == pytest.approx(began, abs=GRAIN)
    assert call_lab.call.counters["backchannels"] == 1
    if mode != "pause":  # the audio flows until it is confirmed
        assert [round(at - call_lab.call.started_at, 3) for at, _ in caller.leg.queue.cleared] == [round(barge_in.t, 3)]
    assert len(call_lab.llm.requests) == 2
    assert turns(call_lab)[1:] == ["No wait please."]


async def test_a_strategy_that_raises_says_no_and_the_others_are_asked(call_lab, caplog):
    call_lab.llm.replies(LONG, "Yes?")
    with caplog.at_level(logging.WARNING):
        async with call_lab.dial(polite("pause", confirm=(Broken(), MinWords(2)))) as caller:
            await into_the_long_reply(call_lab, caller)
            await caller.says("No please.")
            await caller.hears("Yes?")
    (barge_in,) = call_lab.call.journal.of("barge_in")
    second = next(r for r in call_lab.call.journal.of("transcript") if r.data["text"] == "No please.")
    assert barge_in.t == second.t
    (reason,) = decisions(call_lab, "ask the other strategies")
    assert reason.startswith("Broken raised ValueError")
    assert [record.message for record in caplog.records if record.name.startswith("callengine")] == [
        "a strategy of turn-taking raised: Broken"
    ]
