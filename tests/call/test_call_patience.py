"""Silent callers and endless calls: what the agent says about it, and when the call ends."""

from __future__ import annotations

import attrs
import pytest
import trio
from lab_calls import until

from callengine import Agent
from callengine.call.settings import CallSettings
from callengine.testing.words import Vocabulary
from callengine.turns.digits import DigitSettings
from callengine.turns.patience import MAX_WAIT, PatienceSettings

GREETING = "Hello there."
ASKS = "Are you still there?"
GOODBYE = "Goodbye then."
WARNS = "We have one minute left."
AGENT = Agent(prompt="Be brief.", greeting=GREETING, away_prompt=ASKS, goodbye=GOODBYE, time_warning=WARNS)
QUESTION = "A table for two, please."
ANSWER = "We have one at eight."

HUM = b"\x20\xa0"
"""Two bytes of sound without words."""


def agent(**settings) -> Agent:
    return attrs.evolve(AGENT, patience=PatienceSettings(**settings))


def seconds(text: str) -> float:
    """How long the lab's voice takes for it."""
    return sum(word.size for word in Vocabulary().speak(text)) / 8000


def spoken(lab, text: str) -> float:
    """How long after it was decided a line has been heard: one sentence."""
    return lab.tts.first_audio + seconds(text)


def soon(moment: float):
    return pytest.approx(moment, abs=1e-6)


# --- a caller who is away -------------------------------------------------------------------------------------------


async def test_a_caller_who_has_gone_is_asked_twice_and_then_hung_up_on(call_lab):
    async with call_lab.dial(AGENT) as caller:
        greeted = await caller.hears(GREETING)
        first = await caller.hears(ASKS)
        second = await caller.hears(ASKS)
        last = await caller.hears(GOODBYE)
        await caller.is_hung_up_on(timeout=1)
    asking = 10.0 + spoken(call_lab, ASKS)
    assert first == soon(greeted + asking)
    assert second == soon(first + asking)
    assert last == soon(second + 10.0 + spoken(call_lab, GOODBYE))
    assert caller.heard == f"{GREETING} {ASKS} {ASKS} {GOODBYE}"
    outcome = call_lab.call.outcome
    assert outcome.ended_by == "agent"
    assert outcome.reason == "the caller was silent for 10.0 s, after he was asked 2 times"
    assert outcome.ended_at == soon(last)
    call_lab.assert_nothing_left()


async def test_the_first_silence_and_the_prompts_are_settings(call_lab):
    async with call_lab.dial(agent(away_after=4.0, prompts=1)) as caller:
        greeted = await caller.hears(GREETING)
        asked = await caller.hears(ASKS)
        await caller.hears(GOODBYE)
        await caller.is_hung_up_on(timeout=1)
    assert asked == soon(greeted + 4.0 + spoken(call_lab, ASKS))
    assert caller.heard.count(ASKS) == 1
    call_lab.assert_nothing_left()


async def test_patience_can_be_switched_off(call_lab):
    async with call_lab.dial(agent(away_after=None)) as caller:
        await caller.hears(GREETING)
        await caller.hears_nothing(seconds=300)
    call_lab.assert_nothing_left()


async def test_a_caller_who_answers_is_there_again(call_lab):
    """Given that he was asked once, when he goes on, then he is answered and his next silence is the first."""
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(AGENT) as caller:
        await caller.hears(ASKS)
        await caller.says(QUESTION)
        answered = await caller.hears(ANSWER)
        assert await caller.hears(ASKS) == soon(answered + 10.0 + spoken(call_lab, ASKS))
        await caller.hears(ASKS)
        await caller.hears(GOODBYE)
    assert caller.heard.count(ASKS) == 3
    call_lab.assert_nothing_left()


async def test_a_key_is_an_answer_too(call_lab):
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent(prompts=1)) as caller:
        await caller.hears(ASKS)
        await caller.presses("1#")
        answered = await caller.hears(ANSWER)
        assert await caller.hears(ASKS) == soon(answered + 10.0 + spoken(call_lab, ASKS))
    call_lab.assert_nothing_left()


async def test_noise_is_no_answer_but_nobody_talks_over_it(call_lab):
    """Given that he was asked once, when his line hums for 15 s, then he is asked for the second time after that."""
    async with call_lab.dial(AGENT) as caller:
        await caller.hears(ASKS)
        await caller.waits(2.0)
        caller.leg.speak(HUM * (15 * 4000))
        await caller.hears_nothing(seconds=15.0)
        await caller.hears(ASKS)
        await caller.hears(GOODBYE)
    assert caller.heard.count(ASKS) == 2
    call_lab.assert_nothing_left()


async def test_while_the_agent_thinks_nobody_is_asked(call_lab):
    call_lab.llm.first_token = 25.0
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(AGENT, settings=CallSettings(reply_budget=60.0)) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.hears(ANSWER)
    assert ASKS not in caller.heard
    call_lab.assert_nothing_left()


async def test_while_an_entry_is_keyed_in_nobody_is_asked(call_lab):
    slow = attrs.evolve(AGENT, digits=DigitSettings(inter_digit=20.0))
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(slow) as caller:
        await caller.hears(GREETING)
        for key in "12#":
            await caller.waits(9.0 if key == "1" else 15.0)
            await caller.presses(key)
        await caller.hears(ANSWER)
    assert ASKS not in caller.heard
    call_lab.assert_nothing_left()


async def test_each_prompt_has_its_reason_in_the_journal(call_lab):
    async with call_lab.dial(AGENT) as caller:
        await caller.hears(ASKS)
    reasons = [record.data["reason"] for record in call_lab.call.journal.of("decision")]
    assert reasons.count("the caller was silent for 10.0 s") == 1
    call_lab.assert_nothing_left()


# --- a call that lasts too long -------------------------------------------------------------------------------------


async def test_the_longest_call_is_announced_and_ends(call_lab):
    async with call_lab.dial(agent(away_after=None, max_duration=200.0)) as caller:
        start = call_lab.call.started_at
        await caller.hears(GREETING)
        assert await caller.hears(WARNS, timeout=150) == soon(start + 140.0 + spoken(call_lab, WARNS))
        last = await caller.hears(GOODBYE, timeout=90)
        assert last == soon(start + 200.0 + spoken(call_lab, GOODBYE))
        await caller.is_hung_up_on(timeout=1)
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("agent", "the call has lasted 200 s, as long as it may")
    call_lab.assert_nothing_left()


async def test_how_long_before_is_a_setting(call_lab):
    async with call_lab.dial(agent(away_after=None, max_duration=30.0, warn_before=0.0)) as caller:
        await caller.hears(GREETING)
        await caller.hears(GOODBYE, timeout=60)
    assert WARNS not in caller.heard
    call_lab.assert_nothing_left()


async def test_the_announcement_waits_until_the_caller_was_answered(call_lab):
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent(max_duration=64.0)) as caller:
        await caller.hears(GREETING)
        await caller.waits(4.0 - 0.5 - (trio.current_time() - call_lab.call.started_at))
        await caller.says(QUESTION)  # from half a second before the announcement falls due
        answered = await caller.hears(ANSWER)
        assert await caller.hears(WARNS) == soon(answered + spoken(call_lab, WARNS))
    assert caller.heard.count(WARNS) == 1
    call_lab.assert_nothing_left()


async def test_a_caller_who_talks_on_cannot_hold_the_end_for_longer_than_ten_seconds(call_lab):
    async with call_lab.dial(agent(max_duration=20.0, warn_before=0.0)) as caller:
        start = call_lab.call.started_at
        await caller.hears(GREETING)
        await caller.waits(5.0)
        caller.leg.speak(HUM * (60 * 4000))
        last = await caller.hears(GOODBYE, timeout=60)
        assert last == soon(start + 20.0 + MAX_WAIT + spoken(call_lab, GOODBYE))
        await caller.is_hung_up_on(timeout=1)
    call_lab.assert_nothing_left()


async def test_a_story_has_a_longest_duration_too(call_lab):
    async def story(call):
        while True:
            await call.listen(timeout=5.0)

    settings = agent(away_after=None, max_duration=200.0)
    async with call_lab.dial(story, agent=settings) as caller:
        start = call_lab.call.started_at
        await caller.hears(WARNS, timeout=150)
        await caller.hears(GOODBYE, timeout=90)
        await caller.is_hung_up_on(timeout=1)
    assert call_lab.call.outcome.ended_at == soon(start + 200.0 + spoken(call_lab, GOODBYE))
    call_lab.assert_nothing_left()


async def test_a_voice_that_fails_does_not_keep_a_call_that_is_over(call_lab):
    async with call_lab.dial(agent(prompts=0)) as caller:
        greeted = await caller.hears(GREETING)
        call_lab.tts.fails(9)
        await caller.is_hung_up_on(timeout=30)
    assert call_lab.call.outcome.ended_at <= greeted + 10.0 + call_lab.call.settings.last_words + 1e-6
    await until(lambda: call_lab.call.ended)
    call_lab.assert_nothing_left()
