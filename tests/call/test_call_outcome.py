"""What is known of a call afterwards, and what is not written down."""

from __future__ import annotations

import json
import logging
from collections import deque
from contextlib import asynccontextmanager

import pytest
import trio
from lab_calls import AGENT, ANSWER, CLOUD, QUESTION, stopped, until

from callengine import Agent
from callengine.call.settings import CallSettings
from callengine.errors import CallEnded
from callengine.journal import JournalSettings
from callengine.ports import SttResult
from callengine.testing import CarrierSettings

HELLO = Agent(prompt="Be brief.", greeting="Hello there.")


# --- what the carrier sends -----------------------------------------------------------------------------------------


STREAM = {"twilio": "streamSid", "signalwire": "streamSid", "telnyx": "stream_id", "plivo": "streamId"}
"""Where a carrier's messages name their stream."""
MARK = {"plivo": {"event": "playedStream"}}
"""An echo without a name, of those that call it something else."""


@CLOUD
async def test_malformed_messages_are_counted_and_the_call_lives(call_lab):
    def message(stream, **data):
        return json.dumps({STREAM[call_lab.carrier]: stream, **data}).encode()

    def media(payload, stream):
        return message(stream, event="media", media={"payload": payload})

    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(HELLO) as caller:
        stream = caller.leg.side.stream_id
        caller.leg.send_raw(b"{not json")
        caller.leg.send_raw(b"[]")
        caller.leg.send_raw(b"\xff\xfe")
        caller.leg.send_raw(media("*** no base64 ***", stream))
        caller.leg.send_raw(media("", stream))
        caller.leg.send_raw(media("////", "MZ-of-another-call"))
        caller.leg.send_raw(message(stream, event="weather"))
        caller.leg.send_raw(caller.leg.side.opening()[-1])
        caller.leg.send_raw(message(stream, **MARK.get(call_lab.carrier, {"event": "mark", "mark": {}})))
        await caller.hears("Hello there.")
        await caller.says(QUESTION)
        await caller.hears("at eight")
    outcome = call_lab.call.outcome
    assert outcome.ended_by == "caller"
    assert outcome.turns[1].caller == QUESTION
    assert outcome.counters == {
        "bad: bad JSON": 1,
        "bad: not an object": 1,
        "bad: not UTF-8": 1,
        "bad: bad base64": 1,
        "bad: wrong stream": 1,
        "bad: missing field": 1,
        "ignored: unknown event": 1,
        "ignored: duplicate start": 1,
    }
    assert [r.data["problem"] for r in call_lab.call.journal.of("media.bad")] == [
        "bad JSON",
        "not an object",
        "not UTF-8",
        "bad base64",
        "wrong stream",
        "missing field",
    ]
    call_lab.assert_nothing_left()


@CLOUD
async def test_5000_bad_messages_are_counted_and_hardly_noted(call_lab, caplog):
    with caplog.at_level(logging.DEBUG, logger="callengine"):
        async with call_lab.dial(HELLO) as caller:
            for _ in range(5000):
                caller.leg.send_raw(b"{not json")
            await caller.hears("Hello there.")
    assert call_lab.call.outcome.counters == {"bad: bad JSON": 5000}
    assert len(call_lab.call.journal.of("media.bad")) == 20
    assert len([r for r in caplog.records if r.name.startswith("callengine")]) < 20
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("shown", [False, True])
async def test_dtmf_digits_are_masked_unless_asked_for(call_lab, caplog, shown):
    call_lab.llm.replies("Thank you.", ANSWER)
    with caplog.at_level(logging.DEBUG):
        async with call_lab.dial(HELLO, journal=JournalSettings(digits=shown)) as caller:
            await caller.hears("Hello there.")
            await caller.presses("7093*#")
            await caller.hears("Thank you.")
            await caller.says(QUESTION)
            await caller.hears("at eight")
    digits = [record.data["digit"] for record in call_lab.call.journal.of("dtmf")]
    assert digits == (list("7093*#") if shown else ["•"] * 6)
    lines = "\n".join(f"{record.name}: {record.getMessage()}" for record in caplog.records)
    assert "dtmf" not in lines.lower()
    assert "7093" not in lines
    if not shown:
        assert not [r for r in call_lab.call.journal if r.kind == "dtmf" and r.data["digit"] in "7093*#"]
    call_lab.assert_nothing_left()


async def test_phone_numbers_are_masked_in_journal_and_log(call_lab, caplog):
    with caplog.at_level(logging.DEBUG):
        async with call_lab.dial(HELLO, caller="+15551234567", callee="+15557654321") as caller:
            await caller.hears("Hello there.")
            assert call_lab.call.caller == "+15551234567"  # the program may know it
    started = call_lab.call.journal.of("call.started")[0].data
    assert (started["caller"], started["callee"]) == ("•••4567", "•••4321")
    everything = "\n".join(record.to_json() for record in call_lab.call.journal) + caplog.text
    assert "5551234567" not in everything
    assert "5557654321" not in everything
    assert "•••4567" in caplog.text
    call_lab.assert_nothing_left()


@CLOUD
async def test_a_carrier_that_goes_without_stop(call_lab):
    async with call_lab.dial(HELLO, carrier=CarrierSettings(stop_frame=False)) as caller:
        await caller.hears("Hello there.")
        await caller.hangs_up()
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("caller", "the media socket closed (1000) without a stop")
    call_lab.assert_nothing_left()


# --- overload -------------------------------------------------------------------------------------------------------


class _FloodingStt:
    """A recogniser that says everything many times, all at once."""

    name = "flooding stt"

    def __init__(self, times):
        self._times = times

    @asynccontextmanager
    async def open(self, _):
        yield _FloodingSession(self._times)


class _FloodingSession:
    hears_pauses = False

    def __init__(self, times):
        self._times = times
        self._results = deque()
        self._more = trio.Event()

    async def start_utterance(self, utterance):
        self._results.extend([SttResult("well", False, utterance)] * self._times)
        self._more.set()
        await trio.lowlevel.checkpoint()

    async def send(self, _):
        await trio.lowlevel.checkpoint()

    async def pause(self):
        await trio.lowlevel.checkpoint()

    async def end_utterance(self):
        await trio.lowlevel.checkpoint()

    async def receive(self):
        while not self._results:
            self._more = trio.Event()
            await self._more.wait()
        return self._results.popleft()


@pytest.mark.parametrize(("times", "overloaded"), [(8, False), (13, True)])
async def test_overload_ends_the_call_and_says_so(call_lab, times, overloaded):
    agent = Agent(prompt="Be brief.", greeting="Hello there.", stt=_FloodingStt(times))
    async with call_lab.dial(agent, settings=CallSettings(max_facts=10)) as caller:
        await caller.hears("Hello there.")
        if overloaded:
            spoke_at = trio.current_time()
            caller.leg.speak(b"\x20\xa0" * 4000)
            await caller.is_hung_up_on(timeout=1)
            assert trio.current_time() < spoke_at + 0.2
        else:
            await until(caller.leg.speak(b"\x20\xa0" * 4000).is_set)
    outcome = call_lab.call.outcome
    if overloaded:
        assert (outcome.ended_by, outcome.reason) == ("failed", "overload: more than 10 facts wait")
    else:
        assert outcome.ended_by == "caller"
    call_lab.assert_nothing_left()


async def test_a_program_that_does_not_listen_is_overload(call_lab):
    async def story(call):
        await trio.sleep(1000)

    async with call_lab.dial(story, settings=CallSettings(max_facts=3)) as caller:
        for number in range(3):
            await caller.says(f"Hello {number}?")
            await caller.waits(2)
        caller.leg.speak(b"".join(word.audio for word in call_lab.vocabulary.speak("Anybody?")))
        await caller.is_hung_up_on(timeout=3)
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("failed", "overload: the program does not listen")
    call_lab.assert_nothing_left()


# --- the engine's own faults ----------------------------------------------------------------------------------------


class _BrokenEcho:
    def open(self, _):
        raise OSError("no such library")


async def test_a_fault_at_the_very_start_is_an_outcome(call_lab):
    agent = Agent(prompt="x", greeting="Hello there.", echo_canceller=_BrokenEcho(), aec="on")
    async with call_lab.engine(HELLO) as good, call_lab.engine(agent, real={"aec"}) as bad:
        async with call_lab.dial(good) as lucky:
            async with call_lab.dial(bad) as unlucky:
                await unlucky.is_hung_up_on(timeout=1)
            await lucky.hears("Hello there.")
    assert call_lab.outcomes[0].ended_by == "failed"
    assert call_lab.outcomes[0].reason == "call: OSError: no such library"
    assert call_lab.outcomes[1].ended_by == "caller"
    call_lab.assert_nothing_left()


# --- the outcome ----------------------------------------------------------------------------------------------------


async def test_the_outcome_of_an_ordinary_call(call_lab, caplog):
    call_lab.llm.replies(ANSWER)
    with caplog.at_level(logging.INFO):
        async with call_lab.dial(AGENT) as caller:
            await caller.hears("How can I help?")
            await caller.says(QUESTION)
            await caller.hears("book it?")
            await caller.waits(1)
            await caller.hangs_up()
    outcome = call_lab.outcomes[0]
    assert outcome == call_lab.call.outcome
    assert outcome.call_id == call_lab.call.id == caller.leg.side.call_id
    assert outcome.started_at == call_lab.call.started_at
    assert outcome.duration == pytest.approx(outcome.ended_at - outcome.started_at)
    assert outcome.counters == {}
    greeting, turn = outcome.turns
    assert (greeting.number, greeting.caller, greeting.complete, greeting.certainty) == (0, "", True, "marks")
    assert (turn.number, turn.caller, turn.said, turn.heard) == (1, QUESTION, ANSWER, ANSWER)
    ended = call_lab.call.journal.of("turn.ended")[0]
    final_ms = (ended.t - ended.data["speech_ended"]) * 1000
    assert turn.figures.final_ms == pytest.approx(final_ms, abs=0.1)
    assert turn.figures.first_token_ms == pytest.approx(final_ms + 200, abs=0.1)
    # the first sentence is "We have a table for two at eight.", and the next one begins it: nine tokens later
    assert turn.figures.first_audio_ms == pytest.approx(turn.figures.audible_ms)
    assert turn.figures.audible_ms == pytest.approx(final_ms + 200 + 80 + 100, abs=25)
    last = list(call_lab.call.journal)[-1]
    assert (last.kind, last.data) == ("call.ended", {"ended_by": "caller", "reason": stopped(call_lab)})
    assert f"call {outcome.call_id}: ended by caller after" in caplog.text
    call_lab.assert_nothing_left()


async def test_the_outcome_while_the_call_goes_on(call_lab):
    async with call_lab.dial(AGENT) as caller:
        await caller.hears("How can I help?")
        so_far = call_lab.call.outcome
        assert so_far.reason == "the call is going on"
        assert so_far.duration == pytest.approx(trio.current_time() - call_lab.call.started_at)
        assert not call_lab.call.ended
    assert call_lab.call.ended
    call_lab.assert_nothing_left()


async def test_the_first_reason_counts(call_lab):
    async def story(call):
        await call.hang_up("first")

    async with call_lab.dial(story) as caller:
        caller.leg.hang_up()
        await caller.is_hung_up_on()
    assert call_lab.call.outcome.reason == "first"
    call_lab.assert_nothing_left()


async def test_a_call_that_is_given_up_while_the_engine_drains(call_lab):
    """Two reasons to say last words: they are said once, and the first reason counts."""
    call_lab.stt.refuses(fault="fatal")
    async with call_lab.engine(HELLO, drain_timeout=0.5) as engine:
        async with call_lab.dial(engine) as caller:
            await caller.hears("I'm sorry")
            await engine.drain()
            assert engine.calls == ()
    assert call_lab.call.outcome.reason == "stt: scripted stt: connection refused"
    assert caller.heard == HELLO.farewell
    call_lab.assert_nothing_left()


async def test_last_words_are_the_last(call_lab):
    """Whatever a program goes on saying: it is cut, what waits comes too late, and then it hears of the end."""
    ends = []

    async def story(call):
        async def say_on(name):
            try:
                while True:
                    heard = await call.say(f"This is {name} speaking.")
                    if not heard.heard:
                        ends.append((name, heard.cut_by))
            except CallEnded as ended:
                ends.append((name, ended.outcome.ended_by))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say_on, "one")
            nursery.start_soon(say_on, "two")

    async with call_lab.engine(story, drain_timeout=0.5) as engine:
        async with call_lab.dial(engine) as caller:
            await engine.drain()
    assert caller.heard.endswith(Agent(prompt="x").drain_notice)
    after = caller.heard.removesuffix(Agent(prompt="x").drain_notice)
    assert len(after.split()) <= 4
    assert sorted(ends)[-1][1] in ("application", "drained")
    assert [end for end in sorted(ends) if end[1] == "drained"] == [("one", "drained"), ("two", "drained")]
    call_lab.assert_nothing_left()
