"""However a call ends, and whenever: a defined outcome within a bound, and nothing left."""

from __future__ import annotations

import gc
import logging
import weakref

import pytest
import trio
from lab_calls import AGENT, ANSWER, GREETING, MOMENTS, reach, stopped, until

from callengine import Agent
from callengine.call.call import Call
from callengine.errors import CallEnded
from callengine.testing import CarrierSettings

CLEANUP = 0.25


def last_turn_heard(lab):
    return lab.call.outcome.turns[-1].heard.split()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("how", ["the socket drops", "stop arrives"])
async def test_the_caller_goes(call_lab, caplog, moment, how):
    call_lab.llm.replies(ANSWER)
    async with call_lab.engine(AGENT) as engine:
        async with call_lab.dial(engine) as caller:
            await reach(moment, call_lab, caller)
            heard = caller.heard.split()
            gone_at = trio.current_time()
            if how == "the socket drops":
                caller.drops()
            else:
                caller.leg.hang_up()
            await until(lambda: not engine.calls, timeout=CLEANUP)
            assert trio.current_time() <= gone_at + 0.03  # a frame of the carrier, and a look of this test
        outcome = call_lab.call.outcome
    assert outcome.ended_by == "caller"
    if how == "the socket drops":
        assert outcome.reason == "the media socket closed (1006) without a stop"
        assert outcome.ended_at == gone_at
    else:
        assert outcome.reason == stopped(call_lab)
        assert gone_at <= outcome.ended_at <= gone_at + 0.02 + 1e-9
    last = outcome.turns[-1]
    assert (last.complete, last.interrupted_by) == (False, "hangup")
    if moment in ("mid-greeting", "mid-reply"):
        in_turn = len(last.heard.split())
        before = 0 if moment == "mid-greeting" else len(GREETING.split())
        assert abs(before + in_turn - len(heard)) <= 1
        assert (GREETING if moment == "mid-greeting" else ANSWER).startswith(last.heard)
    else:
        assert last.heard == ""
    assert call_lab.outcomes == [outcome]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("moment", MOMENTS)
async def test_the_engine_is_cancelled(call_lab, caplog, moment):
    call_lab.llm.replies(ANSWER)
    told = []
    with trio.CancelScope() as scope:
        async with call_lab.engine(AGENT) as engine:
            engine.on_call_end(told.append)
            async with call_lab.dial(engine) as caller:
                await reach(moment, call_lab, caller)
                stopped_at = trio.current_time()
                scope.cancel()
                await trio.sleep_forever()
    assert trio.current_time() <= stopped_at + CLEANUP
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("drained", "the engine was stopped")
    assert outcome.ended_at == stopped_at
    assert told == [outcome]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("how", ["stop", "drop", "hang_up", "cancellation of the engine"])
async def test_leaving_a_call_drains_every_mark_waiter(call_lab, how):
    ends: list[tuple[str, float, str]] = []
    agent_side = trio.Event()

    async def story(call):
        async def mark(name):
            status = await call.mark(name)
            ends.append((name, trio.current_time(), status))

        async def say(name):
            try:
                await call.say("Ten green bottles, hanging on the wall, ten green bottles")
            except CallEnded:
                ends.append((name, trio.current_time(), "ended"))
            except BaseException:  # Cancelled, in groups
                ends.append((name, trio.current_time(), "cancelled"))
                raise

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say, "say 1")
            nursery.start_soon(say, "say 2")
            await trio.sleep(0.5)
            for number in range(5):
                nursery.start_soon(mark, f"mark {number}")
            await trio.sleep(0.5)
            agent_side.set()
            if how == "hang_up":
                await call.hang_up()

    with trio.CancelScope() as scope:
        async with call_lab.engine(story) as engine, call_lab.dial(engine) as caller:
            await agent_side.wait()
            at = trio.current_time()
            if how == "stop":
                caller.leg.hang_up()
            elif how == "drop":
                caller.drops()
            elif how == "cancellation of the engine":
                scope.cancel()
            await until(lambda: not engine.calls, timeout=1)
    outcome = call_lab.call.outcome
    ended_by = {"hang_up": "agent", "cancellation of the engine": "drained"}.get(how, "caller")
    assert outcome.ended_by == ended_by
    assert at <= outcome.ended_at <= at + 0.02 + 1e-9
    assert call_lab.call.left_behind() == []
    marks = [(name, status) for name, _, status in ends if name.startswith("mark")]
    says = [(name, status) for name, _, status in ends if name.startswith("say")]
    if how == "cancellation of the engine":
        assert marks == []  # cancelled, as everything of theirs
        assert sorted(says) == [("say 1", "cancelled"), ("say 2", "cancelled")]
    else:
        assert sorted(marks) == [(f"mark {number}", "lost") for number in range(5)]
        assert sorted(says) == [("say 1", "ended"), ("say 2", "ended")]
    assert {moment for _, moment, _ in ends} == {outcome.ended_at}  # all at once
    call_lab.assert_nothing_left()


async def test_200_calls_dropped_mid_greeting_in_one_second(call_lab):
    gc.collect()
    calls_before = sum(isinstance(thing, Call) for thing in gc.get_objects())
    async with call_lab.engine(AGENT) as engine:

        async def one_call(number):
            await trio.sleep(number * 0.001)
            async with call_lab.dial(engine) as caller:
                await caller.hears("Chez")
                await trio.sleep_until(start + 1.0 + number * 0.005)
                caller.drops()
                await trio.sleep_until(start + 2.0)

        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(one_call, number)
            await trio.sleep_until(start + 0.9)
            assert len(engine.calls) == 200
            await trio.sleep_until(start + 1.995 + CLEANUP)
            assert engine.calls == ()
        assert trio.current_time() <= start + 3.0
    call_lab.assert_nothing_left()
    assert len(call_lab.outcomes) == 200
    assert {outcome.ended_by for outcome in call_lab.outcomes} == {"caller"}
    assert {outcome.turns[0].interrupted_by for outcome in call_lab.outcomes} == {"hangup"}
    watched = [weakref.ref(call) for call in call_lab.calls]
    call_lab.calls.clear()
    gc.collect()
    assert [ref for ref in watched if ref() is not None] == []
    assert sum(isinstance(thing, Call) for thing in gc.get_objects()) == calls_before


async def test_a_carrier_that_never_closes_is_closed_forcibly(call_lab):
    """Even where neither a stop nor the end of the socket comes: the agent's hang-up ends the call."""
    agent = Agent(greeting="Goodbye!")

    async def story(call):
        await call.say("Goodbye!")
        await call.hang_up()

    async with call_lab.dial(story, agent=agent, carrier=CarrierSettings(stop_frame=False)) as caller:
        await caller.hears("Goodbye")
        await caller.is_hung_up_on(timeout=1)
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("agent", "the agent hung up")
    call_lab.assert_nothing_left()
