"""Real parts in the lab: recorded callers, the real VAD and the real recogniser, in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from callengine import Agent, Flow, Intent

CALLERS = Path(__file__).parents[1] / "data" / "callers"
AGENT = Agent(prompt="You answer for Chez Trio.", greeting="Chez Trio, hello!")


@pytest.mark.models
async def test_a_recorded_caller_is_understood(call_lab):
    """Given the real VAD and recogniser, when a recording is said, then its words are the turn."""
    call_lab.llm.replies("At noon.", "Goodbye then.")
    async with call_lab.dial(AGENT, real={"vad", "stt"}) as caller:
        await caller.hears("hello!")
        await caller.says(CALLERS / "am_michael_06_hours.wav")
        await caller.hears("At noon.")
        await caller.says(CALLERS / "am_michael_23_thanks.wav")
        await caller.hears("Goodbye then.")
    turns = call_lab.call.outcome.turns
    assert "open on sundays" in turns[1].caller.lower()
    assert "thank you" in turns[2].caller.lower()
    call_lab.assert_nothing_left()


@pytest.mark.models
async def test_the_same_over_real_sockets(live_call_lab):
    live_call_lab.llm.replies("At noon.")
    async with live_call_lab.dial(AGENT, real={"vad", "stt"}) as caller:
        await caller.hears("hello!")
        await caller.says(CALLERS / "am_michael_06_hours.wav")
        await caller.hears("At noon.")
    assert "open on sundays" in live_call_lab.call.outcome.turns[1].caller.lower()
    live_call_lab.assert_nothing_left()


async def test_a_flows_function_can_speak_and_listen_on_its_call(call_lab):
    """What a flow does may say, listen, mark and hang up, like a story."""
    marks = []

    async def ask(call, slots):
        await call.say("And your room?")
        turn = await call.listen(timeout=5)
        marks.append(await call.mark("asked"))
        return f"Room {turn.text} it is."

    flow = Flow(
        can="send towels",
        intents=(Intent("towels", examples=("I need towels", "more towels please"), then=ask),),
    )
    async with call_lab.dial(Agent(greeting="Reception!", flow=flow)) as caller:
        await caller.hears("Reception!")
        await caller.says("I need towels.")
        await caller.hears("And your room?")
        await caller.says("Twelve")
        await caller.hears("Room Twelve it is.")
    assert marks == ["played"]
    call_lab.assert_nothing_left()
