"""Calls that follow each other, and calls at once, on one engine."""

from __future__ import annotations

import pytest
import trio
from lab_calls import CUT, GREETING, echoes_cleared, until

from callengine import Agent
from callengine.errors import CallEnded

TENS = ("no", "one", "two", "three", "four")
UNITS = ("nil", "ace", "deuce", "trey", "cater", "cinque", "sice", "seven", "eight", "nine")


def name(number: int) -> str:
    return f"{TENS[number // 10]}-{UNITS[number % 10]}"


async def test_two_calls_in_sequence_on_one_engine(call_lab):
    """A45: both speak, and neither has anything of the other's."""
    call_lab.llm.replies("For the first.", "For the second.")
    async with call_lab.engine(Agent(prompt="Be brief.", greeting=GREETING)) as engine:
        heard = []
        for said in ("I am the first.", "I am the second."):
            async with call_lab.dial(engine) as caller:
                await caller.hears("How can I help?")
                await caller.says(said)
                await caller.hears("For the")
                await caller.waits(1.5)
            heard.append(caller.heard)
    assert heard == [f"{GREETING} For the first.", f"{GREETING} For the second."]
    first, second = call_lab.outcomes
    assert [turn.caller for turn in first.turns] == ["", "I am the first."]
    assert [turn.caller for turn in second.turns] == ["", "I am the second."]
    assert [m.content for m in call_lab.llm.requests[1][1:]] == [GREETING, "I am the second."]
    call_lab.assert_nothing_left()


async def test_50_calls_at_once_never_see_each_others_audio_or_marks(call_lab):
    def answer(messages):
        return f"Yes {messages[-1].content.split()[-1]} I do hear you well."

    call_lab.llm.replies(*[answer] * 100)
    async with call_lab.engine(Agent(prompt="Be brief.", greeting="Hello there.", turns=CUT)) as engine:
        callers = {}

        async def one_call(number):
            mine = name(number)
            await trio.sleep(number * 0.013)
            async with call_lab.dial(engine) as caller:
                callers[number] = caller
                await caller.hears("Hello there.")
                await caller.says(f"This is {mine}")
                await caller.interrupts(f"Again {mine}", after=0.7)
                await caller.hears(f"{mine} I do hear you well.")
                await caller.waits(2)

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(one_call, number)
            await until(lambda: len(engine.calls) == 50)
    assert len(call_lab.calls) == len(call_lab.outcomes) == 50
    for number, caller in callers.items():
        words = set(caller.heard.split())
        assert {name(other) for other in range(50) if name(other) in words} == {name(number)}
        call = next(call for call in call_lab.calls if call.stream_id == caller.leg.side.stream_id)
        assert [turn.caller for turn in call.outcome.turns] == ["", f"This is {name(number)}", f"Again {name(number)}"]
        assert [turn.interrupted_by for turn in call.outcome.turns] == [None, "caller", None]
        echoes = call.journal.of("mark.echoed")
        assert [record for record in echoes if record.data["status"] == "unknown"] == []
        sent = {record.data["mark"] for record in call.journal.of("media.sent")}
        echoed = {r.data["mark"] for r in echoes if r.data["mark"].startswith("u")}
        assert echoed == sent if echoes_cleared(call_lab) else echoed < sent
    call_lab.assert_nothing_left()


async def test_a_failing_call_leaves_the_others_alone(call_lab):
    async def story(call):
        turn = await call.listen()
        if "fail" in turn.text:
            raise LookupError("no such table")
        await call.say("All is well.")

    async with call_lab.engine(story) as engine:
        async with call_lab.dial(engine) as well, call_lab.dial(engine) as ill:
            await ill.says("Please fail.")
            await ill.hears("call again later")
            await ill.is_hung_up_on(timeout=1)
            await well.says("How are you?")
            await well.hears("All is well.")
            await well.is_hung_up_on(timeout=1)
    by_id = {outcome.call_id: outcome for outcome in call_lab.outcomes}
    assert by_id[well.leg.side.call_id].ended_by == "agent"
    assert by_id[ill.leg.side.call_id].reason == "story: LookupError: no such table"
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("part", ["tts", "stt", "llm"])
async def test_a_part_with_a_bug_ends_its_call_and_names_itself(call_lab, part):
    """Not a `ProviderError` but an error of a programmer: the call fails with the part's name, the others go on."""
    llm, stt, tts = call_lab.llm, call_lab.stt, call_lab.tts
    broken = {"tts": _BrokenTts, "stt": _BrokenStt, "llm": _BrokenLlm}[part]({"tts": tts, "stt": stt, "llm": llm}[part])
    llm.replies("Yes.", "Yes.")
    ill = Agent(prompt="Be brief.", greeting="Hello there.", **{part: broken})
    well = Agent(prompt="Be brief.", greeting="Hello there.")
    async with call_lab.engine(well) as good, call_lab.engine(ill) as bad:
        async with call_lab.dial(good) as lucky, call_lab.dial(bad) as unlucky:
            await lucky.hears("Hello there.")
            if part != "tts":
                await unlucky.hears("Hello there.")
                await unlucky.says("A table, please.")
                await unlucky.hears("call again later")
            await unlucky.is_hung_up_on(timeout=5)
            await lucky.says("A table, please.")
            await lucky.hears("Yes.")
    by_id = {outcome.call_id: outcome for outcome in call_lab.outcomes}
    outcome = by_id[unlucky.leg.side.call_id]
    assert outcome.ended_by == "failed"
    assert outcome.reason == f"{part}: RuntimeError: a bug in the {part}"
    assert by_id[lucky.leg.side.call_id].ended_by == "caller"
    call_lab.assert_nothing_left()


class _Broken:
    """A scripted part, with a bug in one method of its sessions."""

    def __init__(self, part):
        self._part = part

    def __getattr__(self, attribute):
        return getattr(self._part, attribute)


class _BrokenTts(_Broken):
    def open(self, context):
        return _Opened(self._part.open(context), "synthesise", "tts")


class _BrokenStt(_Broken):
    def open(self, context):
        return _Opened(self._part.open(context), "send", "stt")


class _BrokenLlm(_Broken):
    def open(self, context):
        return _Opened(self._part.open(context), "reply", "llm")


class _Opened:
    def __init__(self, manager, method, part):
        self._manager, self._method, self._part = manager, method, part

    async def __aenter__(self):
        return _BrokenSession(await self._manager.__aenter__(), self._method, self._part)

    async def __aexit__(self, *details):
        return await self._manager.__aexit__(*details)


class _BrokenSession:
    def __init__(self, session, method, part):
        self._session, self._method, self._part = session, method, part

    def __getattr__(self, attribute):
        if attribute == self._method:
            raise RuntimeError(f"a bug in the {self._part}")
        return getattr(self._session, attribute)


# --- who watches ----------------------------------------------------------------------------------------------------


async def test_on_call_end_tells_plain_and_async_listeners(call_lab):
    told = []
    async with call_lab.engine(Agent(greeting="Hello.", prompt="x")) as engine:

        @engine.on_call_end
        def plain(outcome):
            told.append(("plain", outcome))

        @engine.on_call_end
        async def slow(outcome):
            await trio.sleep(1)
            told.append(("async", outcome))

        async with call_lab.dial(engine) as caller:
            await caller.hears("Hello.")
    assert told == [("plain", call_lab.outcomes[0]), ("async", call_lab.outcomes[0])]
    call_lab.assert_nothing_left()


async def test_a_listener_that_raises_harms_nobody(call_lab, caplog):
    told = []
    async with call_lab.engine(Agent(greeting="Hello.", prompt="x")) as engine:

        @engine.on_call_end
        def broken(outcome):
            raise ValueError("no database")

        @engine.on_call_end
        async def broken_later(outcome):
            await trio.sleep(0.1)
            raise ValueError("still none")

        engine.on_call_end(told.append)
        async with call_lab.dial(engine) as caller:
            await caller.hears("Hello.")
    assert told == call_lab.outcomes
    assert caplog.text.count("the listener") == 2
    assert "no database" in caplog.text
    assert "still none" in caplog.text
    call_lab.assert_nothing_left()


async def test_a_slow_listener_has_5_seconds(call_lab, caplog):
    done = []
    async with call_lab.engine(Agent(greeting="Hello.", prompt="x")) as engine:

        @engine.on_call_end
        async def too_slow(outcome):
            await trio.sleep(6)
            done.append("slow")

        engine.on_call_end(lambda outcome: done.append(trio.current_time() - outcome.ended_at))
        async with call_lab.dial(engine) as caller:
            await caller.hears("Hello.")
    assert done == [pytest.approx(5.0)]
    assert "took more than 5 s" in caplog.text
    call_lab.assert_nothing_left()


async def test_draining_waits_for_the_listeners(call_lab):
    """The last call's outcome is written down before `serve` returns."""
    done = []
    async with call_lab.engine(Agent(greeting="Hello.", prompt="x")) as engine:

        @engine.on_call_end
        async def to_database(outcome):
            await trio.sleep(2)
            done.append(outcome.call_id)

        async with call_lab.dial(engine) as caller:
            await caller.hears("Hello.")
            caller.leg.hang_up()
            await engine.drain()
            assert done == [call_lab.call.id]
    call_lab.assert_nothing_left()


async def test_on_call_start_tells_of_each_call(call_lab):
    started = []
    async with call_lab.engine(Agent(greeting="Hello.", prompt="x")) as engine:

        @engine.on_call_start
        def broken(call):
            raise ValueError("no display")

        engine.on_call_start(lambda call: started.append(call.id))
        async with call_lab.dial(engine) as caller:
            await caller.hears("Hello.")
    assert started == [call_lab.call.id]
    call_lab.assert_nothing_left()


async def test_events_are_a_stream_of_all_calls_records(call_lab):
    kinds = {}
    async with call_lab.engine(Agent(greeting="Hello.", prompt="x")) as engine:

        async def watch(task_status):
            async with engine.events() as records:
                task_status.started()
                async for record in records:
                    kinds.setdefault(record.call_id, []).append(record.kind)

        async with trio.open_nursery() as nursery:
            await nursery.start(watch)
            assert engine.observers.watched
            async with call_lab.dial(engine) as one, call_lab.dial(engine) as two:
                await one.hears("Hello.")
                await two.hears("Hello.")
            await until(lambda: all(seen[-1] == "call.ended" for seen in kinds.values()))
            nursery.cancel_scope.cancel()
        assert not engine.observers.watched
    assert set(kinds) == {call.id for call in call_lab.calls}
    for call in call_lab.calls:
        assert kinds[call.id] == [record.kind for record in call.journal]
    assert engine.observers.dropped == 0
    call_lab.assert_nothing_left()


async def test_a_reader_of_events_who_is_slow_loses_some_and_they_are_counted(call_lab):
    async def story(call):
        for _ in range(300):
            await call.mark("again")
            await call.mark("and again")

    async with call_lab.engine(story) as engine, engine.events() as records:
        async with call_lab.dial(engine) as caller:
            await caller.is_hung_up_on()
        total = len(list(call_lab.call.journal))
        assert total > 1000
        assert engine.observers.dropped == total - 1000
        assert records.statistics().current_buffer_used == 1000
    assert call_lab.call.outcome.ended_by == "agent"
    call_lab.assert_nothing_left()


async def test_a_reader_of_events_who_leaves_harms_nobody(call_lab):
    async with call_lab.engine(Agent(greeting="Hello there.", prompt="x")) as engine:
        async with call_lab.dial(engine) as caller:
            async with engine.events() as records:
                records.close()
                await caller.hears("Hello there.")
    assert call_lab.call.outcome.ended_by == "caller"
    call_lab.assert_nothing_left()


async def test_a_story_in_a_drained_engine_hears_of_it(call_lab):
    seen = []

    async def story(call):
        try:
            await call.listen()
        except CallEnded as ended:
            seen.append(ended.outcome.ended_by)

    async with call_lab.engine(story, drain_timeout=3.0) as engine:
        async with call_lab.dial(engine):
            await engine.drain()
    assert seen == ["drained"]
    call_lab.assert_nothing_left()
