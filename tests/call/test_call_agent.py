"""How an agent answers: turns, interruptions, noise, and what its language model is told."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import trio
from lab_calls import CLOUD, CUT, decisions, until

from callengine import Agent, Clip
from callengine.brain.history import INTERRUPTED
from callengine.events import Transcript
from callengine.ports import Message
from callengine.turns.settings import TurnSettings

GREETING_VOICE = Path(__file__).parents[1] / "data" / "callers" / "am_michael_14_long.wav"
NOISE = b"\x20\xa0"
"""Loud, and no words: repeat it for 2 samples each."""
HELLO = Agent(prompt="Be brief.", greeting="Hello there.")
LONG = "One two three four five six seven eight nine ten eleven twelve."


def noise(seconds: float) -> bytes:
    return NOISE * int(seconds * 4000)


async def test_the_greeting_is_interrupted_from_its_first_slice(call_lab):
    """His words count although he began within the guard, in which sound alone does not."""
    agent = Agent(prompt="Be brief.", greeting=LONG)
    call_lab.llm.replies("Of course.")
    async with call_lab.dial(agent) as caller:
        await until(lambda: caller.leg.queue.playing(trio.current_time()))
        await caller.says("Stop, a table for two please.")
        await caller.hears("Of course.")
        await caller.waits(2)
    greeting, answer = call_lab.call.outcome.turns
    barge_in = call_lab.call.journal.of("barge_in")[0]
    assert barge_in.data["trigger"] == "transcript"
    assert barge_in.t - barge_in.data["onset"] == pytest.approx(0.4, abs=0.02)  # the first interim: "Stop,"
    assert barge_in.data["onset"] == pytest.approx(0.1, abs=0.04)
    assert greeting.interrupted_by == "caller"
    assert len(greeting.heard.split()) <= 3
    assert answer.heard == "Of course."
    call_lab.assert_nothing_left()


@CLOUD
async def test_an_interruption_silences_the_line_at_once(call_lab):
    """The clear is the next message, and nothing of the reply follows it."""
    call_lab.llm.replies(LONG, "Yes.")
    async with call_lab.dial(attrs.evolve(HELLO, turns=CUT)) as caller:
        await caller.hears("Hello there.")
        await caller.says("Count to twelve.")
        await caller.interrupts("That is enough.", after=1.01)
        cut_at = call_lab.call.started_at + call_lab.call.journal.of("barge_in")[0].t
        stretches = [s for s in caller.leg.queue.played(trio.current_time()) if s.start < cut_at + 0.1]
        assert stretches[-1].start + len(stretches[-1].audio) / 8000 == pytest.approx(cut_at, abs=1e-4)
        received = [event for at, event in caller.leg.side.received if at >= cut_at - 1e-9]
        await caller.hears("Yes.")
    assert received[0] == "clear"
    assert "media" not in received
    call_lab.assert_nothing_left()


async def test_a_second_interruption_in_the_same_call(call_lab):
    call_lab.llm.replies(LONG, LONG, "All right.")
    async with call_lab.dial(HELLO) as caller:
        await caller.hears("Hello there.")
        await caller.says("Count to twelve.")
        await caller.interrupts("Again please.", after=1.01)
        await caller.hears("One two")
        await caller.interrupts("Stop it now.", after=1.01)
        await caller.hears("All right.")
        await caller.waits(2)
    turns = call_lab.call.outcome.turns
    assert [turn.interrupted_by for turn in turns] == [None, "caller", "caller", None]
    assert [turn.caller for turn in turns[1:]] == ["Count to twelve.", "Again please.", "Stop it now."]
    assert call_lab.llm.cancelled == 0  # they had been written long before
    call_lab.assert_nothing_left()


async def test_without_barge_in_the_agent_finishes_and_answers_afterwards(call_lab):
    agent = Agent(prompt="Be brief.", greeting=LONG, turns=TurnSettings(barge_in=False))
    call_lab.llm.replies("Yes, two.")
    async with call_lab.dial(agent) as caller:
        await caller.hears("One two")
        await caller.says("A table for two.")
        await caller.hears("eleven twelve.")
        await caller.hears("Yes, two.")
        await caller.waits(1)
    greeting, answer = call_lab.call.outcome.turns
    assert (greeting.heard, greeting.complete) == (LONG, True)
    assert answer.caller == "A table for two."
    assert call_lab.call.journal.of("barge_in") == []
    call_lab.assert_nothing_left()


async def test_after_a_noise_without_words_the_agent_says_the_rest(call_lab):
    agent = Agent(prompt="Be brief.", greeting=LONG, turns=CUT)
    async with call_lab.dial(agent) as caller:
        await caller.waits(1.01)
        await until(caller.leg.speak(noise(0.4)).is_set)
        await caller.hears("twelve.")
        await caller.waits(2)
    assert [r.data["trigger"] for r in call_lab.call.journal.of("barge_in")] == ["speech"]
    assert decisions(call_lab, "say the rest") == ["what cut it was no interruption"]
    words = caller.heard.split()
    assert len(words) <= len(LONG.split()) + 1  # at most the word in which it was cut is heard twice
    assert list(dict.fromkeys(words)) == LONG.split()
    assert call_lab.llm.requests == []
    call_lab.assert_nothing_left()


async def test_a_click_cuts_nothing(call_lab):
    agent = Agent(prompt="Be brief.", greeting=LONG)
    async with call_lab.dial(agent) as caller:
        await caller.waits(1.01)
        caller.leg.speak(noise(0.02))
        await caller.hears("twelve.")
        await caller.waits(1)
    assert call_lab.call.journal.of("barge_in") == []
    assert call_lab.call.outcome.turns[0].complete
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("again", [1, 3])
async def test_noise_before_a_reply_is_audible_never_mutes_it(call_lab, again):
    call_lab.llm.first_token = 2.0
    call_lab.llm.replies("We have a table.")
    async with call_lab.dial(HELLO) as caller:
        await caller.hears("Hello there.")
        await caller.says("A table for two, please.")
        await until(lambda: call_lab.llm.streams)
        for _ in range(again):
            await until(caller.leg.speak(noise(0.4)).is_set)
            await caller.waits(0.5)
        await caller.hears("We have a table.")
        await caller.waits(1)
    assert call_lab.call.outcome.turns[1].complete
    assert call_lab.call.journal.of("barge_in") == []
    assert len(call_lab.llm.requests) == 1
    call_lab.assert_nothing_left()


async def test_noise_that_lasts_into_the_reply_only_delays_it(call_lab):
    call_lab.llm.first_token = 0.3
    call_lab.llm.replies("We have a table.")
    async with call_lab.dial(HELLO) as caller:
        await caller.hears("Hello there.")
        await caller.says("A table for two, please.")
        await until(lambda: call_lab.llm.streams)
        await until(caller.leg.speak(noise(1.0)).is_set)
        await caller.hears("We have a table.")
        await caller.waits(1)
    assert call_lab.call.outcome.turns[1].complete
    call_lab.assert_nothing_left()


async def test_new_words_replace_a_reply_that_was_not_heard(call_lab):
    """A14, and no apology for the reply that was dropped."""
    call_lab.llm.first_token = 3.0
    call_lab.llm.replies("Never heard.", "A table for four.")
    async with call_lab.dial(HELLO) as caller:
        await caller.hears("Hello there.")
        await caller.says("A table for two, please.")
        await until(lambda: call_lab.llm.streams)
        call_lab.llm.first_token = 0.2
        await caller.says("No, for four.")
        await caller.hears("A table for four.")
        await caller.waits(2)
    turns = call_lab.call.outcome.turns
    assert [turn.heard for turn in turns] == ["Hello there.", "", "A table for four."]
    assert turns[1].interrupted_by == "caller"
    assert decisions(call_lab, "drop") == ["the caller said something new before it could be heard"]
    assert decisions(call_lab, "apologise") == []
    assert call_lab.llm.cancelled == 1
    assert call_lab.llm.requests[1][-1] == Message("user", "A table for two, please. No, for four.")
    call_lab.assert_nothing_left()


async def test_two_finals_in_a_row_are_two_turns_in_order(call_lab):
    """A33: the first one's reply is not audible yet when the second one comes; both are answered as one."""
    call_lab.llm.first_token = 2.0
    call_lab.llm.replies("To the first.", "To the second.")
    async with call_lab.dial(HELLO) as caller:
        await caller.hears("Hello there.")
        await caller.says("A table, please.")
        await caller.waits(0.6)
        await caller.says("And a view.")
        await caller.hears("To the second.")
        await caller.waits(1)
    assert [turn.caller for turn in call_lab.call.outcome.turns[1:]] == ["A table, please.", "And a view."]
    assert call_lab.llm.requests[-1][-1] == Message("user", "A table, please. And a view.")
    call_lab.assert_nothing_left()


async def test_short_answers_are_turns(call_lab):
    """A31"""
    call_lab.llm.replies("Right.", "Fine.", "Good.")
    async with call_lab.dial(HELLO) as caller:
        await caller.hears("Hello there.")
        for said, answer in (("yes", "Right."), ("no", "Fine."), ("Okay.", "Good.")):
            await caller.says(said)
            await caller.hears(answer)
            await caller.waits(0.5)
    assert [turn.caller for turn in call_lab.call.outcome.turns[1:]] == ["yes", "no", "Okay."]
    call_lab.assert_nothing_left()


async def test_words_come_to_the_model_unmodified(call_lab):
    """A30, with partials arriving all the while."""
    said = "MY name is O'Neill-Smith, flat 3B; call me on the 5th, please!"
    call_lab.llm.first_token = 1.0
    call_lab.llm.replies("Yes.")
    async with call_lab.dial(HELLO, interim=True) as caller:
        await caller.hears("Hello there.")
        await caller.says(said)
        await caller.hears("Yes.")
    assert len([r for r in call_lab.call.journal.of("transcript") if not r.data["final"]]) > 3
    assert call_lab.call.outcome.turns[1].caller == said
    assert call_lab.llm.requests[0][-1] == Message("user", said)
    call_lab.assert_nothing_left()


async def test_late_duplicates_of_a_final_are_ignored(call_lab):
    """A27: the same final again, 0.7 s later, and once more while the reply is heard."""
    call_lab.llm.replies("We have a table for two.")
    async with call_lab.dial(HELLO) as caller:
        await caller.hears("Hello there.")
        await caller.says("A table for two, please.")
        await caller.hears("We")
        for _ in range(2):
            call_lab.call._line.conductor.post(Transcript(trio.current_time(), 1, "A table for two, please.", True))
            await caller.waits(0.3)
        await caller.hears("have a table for two.")
        await caller.waits(3)
    assert len(call_lab.llm.requests) == 1
    assert call_lab.call.outcome.turns[1].complete
    call_lab.assert_nothing_left()


async def test_the_history_holds_what_was_heard(call_lab):
    call_lab.llm.replies("We have a table for two at eight or at nine.", "Nine it is, goodbye.", "Yes.")
    async with call_lab.dial(HELLO) as caller:
        await caller.hears("Hello there.")
        await caller.says("A table for two.")
        await caller.interrupts("Rather on Friday evening, please.", after=1.01)
        await caller.hears("goodbye.")
        await caller.waits(1)
        await caller.says("Bye.")
        await caller.hears("Yes.")
    heard = call_lab.call.outcome.turns[1].heard
    assert heard
    assert "We have a table for two at eight or at nine.".startswith(heard)
    assert call_lab.llm.requests == [
        [
            Message("system", call_lab.llm.requests[0][0].content),
            Message("assistant", "Hello there."),
            Message("user", "A table for two."),
        ],
        [
            *call_lab.llm.requests[0],
            Message("assistant", f"{heard} {INTERRUPTED}"),
            Message("user", "Rather on Friday evening, please."),
        ],
        [
            *call_lab.llm.requests[1],
            Message("assistant", "Nine it is, goodbye."),
            Message("user", "Bye."),
        ],
    ]
    assert "Be brief." in call_lab.llm.requests[0][0].content
    call_lab.assert_nothing_left()


async def test_a_reply_of_which_nothing_was_heard_is_not_in_the_history(call_lab):
    call_lab.llm.replies("Never heard.", "Yes.")
    call_lab.tts.first_audio = 1.0
    async with call_lab.dial(HELLO) as caller:
        await caller.hears("Hello there.")
        await caller.says("One.")
        await until(lambda: call_lab.tts.streams)
        await caller.says("Two.")
        await caller.hears("Yes.")
    assert [message.content for message in call_lab.llm.requests[-1][1:]] == ["Hello there.", "One. Two."]
    call_lab.assert_nothing_left()


async def test_speech_while_the_greeting_waits_for_its_voice_does_not_stop_the_greeting(call_lab):
    """Callers say "hello?" into the line: the greeting is said all the same, and then they are answered."""
    call_lab.tts.first_audio = 1.0
    call_lab.llm.replies("Yes, speaking.")
    async with call_lab.dial(HELLO) as caller:
        await caller.says("Hello?")
        await caller.hears("Hello there.")
        await caller.hears("Yes, speaking.")
    call_lab.assert_nothing_left()


async def test_a_cough_shorter_than_an_interruption_cuts_nothing(call_lab):
    greeting = "One two three four five six seven eight nine ten eleven twelve."
    async with call_lab.dial(Agent(prompt="Be brief.", greeting=greeting)) as caller:
        await caller.waits(1.01)
        caller.leg.speak(b"\x20\xa0" * 480)  # 0.12 s of sound
        await caller.hears("twelve.")
    assert call_lab.call.journal.of("barge_in") == []
    call_lab.assert_nothing_left()


async def test_a_recorded_greeting_is_interrupted_like_a_spoken_one(call_lab):
    greeting = Clip.from_wav(GREETING_VOICE, "I was there last week")
    call_lab.llm.replies("We have one at eight.")
    async with call_lab.dial(Agent(prompt="x", greeting=greeting)) as caller:
        await until(lambda: caller.leg.queue.playing(trio.current_time()))
        await caller.waits(1.0)
        await caller.says("Wait, a table for two please.")
        await caller.hears("We have one at eight.")
    first = call_lab.call.outcome.turns[0]
    assert first.interrupted_by == "caller"
    assert first.said == "I was there last week"
    assert not first.complete
    call_lab.assert_nothing_left()
