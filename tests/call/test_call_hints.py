"""Recognisers that judge turns themselves: their hints end turns, begin guesses, and lose no word."""

from __future__ import annotations

import pytest

from callengine import Agent, Endpointing, Preemption, TurnSettings

SLOW = Endpointing(mode="fixed", min_delay=1.5, doubt_delay=1.5, max_delay=1.5)
"""Without a hint every turn ends 1.5 s after its last sound."""
ANSWER = "We have one at eight."


async def test_the_recogniser_says_when_a_turn_is_over(call_lab):
    call_lab.stt.turn_delay = 0.1
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(Agent(prompt="x", turns=TurnSettings(endpointing=SLOW))) as caller:
        await caller.says("A table for two, please.")
        await caller.hears(ANSWER)
    journal = call_lab.call.journal
    ended = journal.of("turn.ended")[0]
    assert ended.data["text"] == "A table for two, please."
    assert ended.data["reason"].startswith("the recogniser says so")
    assert ended.t == pytest.approx(journal.of("speech.paused")[0].t + 0.1, abs=1e-6)
    call_lab.assert_nothing_left()


async def test_what_follows_an_early_end_is_heard_too(call_lab):
    """Given a recogniser that ends the turn in a short pause, when the caller goes on in the same breath, then those
    words are an utterance of their own, and both halves are answered as one."""
    call_lab.stt.turn_delay = 0.02
    call_lab.llm.first_token = 1.0
    call_lab.llm.replies(ANSWER, ANSWER)
    async with call_lab.dial(Agent(prompt="x", turns=TurnSettings(endpointing=SLOW))) as caller:
        await caller.says("A table for two,")
        await caller.waits(0.2)
        await caller.says("and a view, please.")
        await caller.hears(ANSWER)
    assert call_lab.llm.requests[-1][-1].content == "A table for two, and a view, please."
    assert call_lab.stt.heard == ["A table for two,", "and a view, please."]
    call_lab.assert_nothing_left()


async def test_an_eager_hint_begins_the_answer(call_lab):
    call_lab.stt.turn_delay = 0.5
    call_lab.stt.interim_every = None
    call_lab.llm.replies(ANSWER)
    turns = TurnSettings(endpointing=SLOW, preemption=Preemption(enabled=True))
    async with call_lab.dial(Agent(prompt="x", turns=turns)) as caller:
        await caller.says("A table for two, please.")
        await caller.hears(ANSWER)
    journal = call_lab.call.journal
    token, ended = journal.of("reply.token")[0], journal.of("turn.ended")[0]
    assert token.t < ended.t <= journal.of("reply.audible")[0].t
    assert ended.data["guessed"] is True
    assert len(call_lab.llm.requests) == 1
    call_lab.assert_nothing_left()
