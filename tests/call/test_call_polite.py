"""Polite turn-taking in whole calls: interruptions, backchannels, coughs, notices, strategies of the user."""

from __future__ import annotations

import logging
from pathlib import Path

import attrs
import pytest
import trio
from lab_calls import buffers, decisions, until
from polite_calls import (
    GRAIN,
    GREETING,
    HELLO,
    INTO,
    LONG,
    MODES,
    QUESTION,
    asked,
    decided,
    into_the_long_reply,
    journal_times,
    noise,
    polite,
    turns,
)

from callengine.brain.history import INTERRUPTED
from callengine.ports import Message
from callengine.turns.confirmation import MinWords

CALLERS = Path(__file__).parents[1] / "data" / "callers"


@pytest.fixture
async def call_lab(call_lab):
    """With a recogniser that tells what it has five times a second, and 0.1 s behind the end of speech."""
    call_lab.stt.interim_every = 0.2
    call_lab.stt.final_delay = 0.1
    return call_lab


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
    if mode != "pause" and buffers(call_lab):  # the audio flows until it is confirmed
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
