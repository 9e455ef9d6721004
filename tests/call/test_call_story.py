"""Calls that are written as a function."""

from __future__ import annotations

import logging
import re
import threading
import time

import numpy as np
import pytest
import trio
from lab_calls import CLOUD, CUT, buffers, stopped, until

from callengine import Agent, Engine
from callengine.audio.clip import Clip
from callengine.call.settings import CallSettings
from callengine.errors import CallEnded, ConfigurationError
from callengine.journal import JournalSettings

SILENT = Agent(prompt="None.")


# --- as the README has it -------------------------------------------------------------------------------------------


async def reminder(call):
    heard = await call.say("Hello, this is Chez Trio. Will you still come at eight tonight?")
    answer = await call.listen(timeout=8)
    if heard.complete and answer is not None and answer.text.lower().startswith("yes"):
        await call.say("Wonderful, see you then.")
    await call.hang_up()


async def test_reminder_answered_yes(call_lab):
    async with call_lab.dial(reminder) as caller:
        await caller.hears("at eight tonight?")
        await caller.says("Yes, of course.")
        await caller.hears("Wonderful, see you then.")
        await caller.is_hung_up_on(timeout=1)
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("agent", "the agent hung up")
    assert [turn.caller for turn in outcome.turns] == ["", "Yes, of course."]
    assert outcome.turns[1].heard == "Wonderful, see you then."
    call_lab.assert_nothing_left()


async def test_reminder_answered_no(call_lab):
    async with call_lab.dial(reminder) as caller:
        await caller.hears("at eight tonight?")
        await caller.says("No, sorry.")
        await caller.is_hung_up_on(timeout=2)
    assert call_lab.call.outcome.ended_by == "agent"
    assert "Wonderful" not in caller.heard
    call_lab.assert_nothing_left()


async def test_reminder_not_answered(call_lab):
    async with call_lab.dial(reminder) as caller:
        said_at = await caller.hears("at eight tonight?")
        await caller.is_hung_up_on(timeout=10)
    assert call_lab.call.outcome.ended_at == pytest.approx(said_at + 8.0, abs=1e-6)
    call_lab.assert_nothing_left()


async def test_an_engine_takes_a_story_as_it_takes_an_agent():
    assert Engine(reminder).story is reminder
    with pytest.raises(ConfigurationError, match="one argument"):
        Engine(lambda: None)
    with pytest.raises(ConfigurationError, match="an engine takes an Agent or a function"):
        Engine("hello")  # type: ignore[arg-type]


# --- say ------------------------------------------------------------------------------------------------------------


async def test_say_returns_when_it_was_played_out(call_lab):
    times = []

    async def story(call):
        begun = trio.current_time()
        heard = await call.say("Hello there.")
        times.append(trio.current_time() - begun)
        assert (heard.said, heard.heard, heard.complete, heard.cut_by) == ("Hello there.", "Hello there.", True, None)

    async with call_lab.dial(story) as caller:
        await caller.is_hung_up_on()
    spoken = sum(word.size for word in call_lab.vocabulary._words) / 8000
    assert times == [pytest.approx(call_lab.tts.first_audio + spoken, abs=1e-6)]
    assert call_lab.call.outcome.reason == "the story ended"
    call_lab.assert_nothing_left()


async def test_say_tells_that_the_caller_cut_it(call_lab):
    results = []

    async def story(call):
        results.append(await call.say("One two three four five six seven eight nine ten."))
        await call.listen()

    async with call_lab.dial(story, agent=Agent(turns=CUT)) as caller:
        await caller.interrupts("Stop it.", after=1.01)
    (heard,) = results
    assert not heard.complete
    assert heard.cut_by == "caller"
    assert heard.said == "One two three four five six seven eight nine ten."
    assert heard.said.startswith(heard.heard)
    assert heard.heard == caller.heard
    assert f"{heard.heard} {heard.unheard}" == heard.said
    call_lab.assert_nothing_left()


async def test_say_that_may_not_be_interrupted(call_lab):
    results = []

    async def story(call):
        results.append(await call.say("One two three four five six.", interruptible=False))
        results.append(await call.listen())

    async with call_lab.dial(story) as caller:
        await caller.interrupts("Stop it.", after=0.51)
        await until(lambda: len(results) == 2)
    heard, turn = results
    assert (heard.complete, heard.cut_by) == (True, None)
    assert turn.text == "Stop it."
    call_lab.assert_nothing_left()


async def test_say_text_as_it_is_being_written(call_lab):
    results = []

    async def written():
        yield "We have a table. "
        await trio.sleep(3)
        yield "Shall I book it?"

    async def story(call):
        results.append(await call.say(written()))

    async with call_lab.dial(story) as caller:
        first = await caller.hears("We have a table.")
        second = await caller.hears("Shall I book it?")
    assert second > first + 1
    assert results[0].heard == "We have a table. Shall I book it?"
    call_lab.assert_nothing_left()


async def test_say_a_clip(call_lab):
    results = []
    samples = np.zeros(16000, np.int16)

    async def story(call):
        begun = trio.current_time()
        results.append(await call.say(Clip(samples, 16000, "Music plays.")))
        results.append(trio.current_time() - begun)

    async with call_lab.dial(story) as caller:
        await caller.is_hung_up_on()
    heard, took = results
    assert (heard.heard, heard.complete) == ("Music plays.", True)
    assert took == pytest.approx(1.0, abs=0.01)
    assert call_lab.tts.spoken == []
    assert len(caller.leg.queue.played_audio(trio.current_time())) == pytest.approx(8000, abs=40)
    call_lab.assert_nothing_left()


async def test_two_tasks_that_speak_take_turns(call_lab):
    order = []

    async def story(call):
        async def say(text):
            heard = await call.say(text)
            order.append(heard.heard)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say, "This is one.")
            await trio.sleep(0.01)
            nursery.start_soon(say, "This is two.")

    async with call_lab.dial(story) as caller:
        await caller.is_hung_up_on()
    assert order == ["This is one.", "This is two."]
    assert caller.heard == "This is one. This is two."
    call_lab.assert_nothing_left()


# --- listen ---------------------------------------------------------------------------------------------------------


async def test_listen_without_a_timeout_waits(call_lab):
    turns = []

    async def story(call):
        turns.append(await call.listen())

    async with call_lab.dial(story) as caller:
        await caller.waits(300)
        await caller.says("Hello?")
        await caller.is_hung_up_on(timeout=5)
    assert [turn.text for turn in turns] == ["Hello?"]
    assert turns[0].number == 1
    assert turns[0].speech_ended == pytest.approx(call_lab.call.outcome.ended_at - 0.32 - 0.1, abs=0.07)
    call_lab.assert_nothing_left()


async def test_listen_with_a_timeout_returns_none_then(call_lab):
    waited = []

    async def story(call):
        begun = trio.current_time()
        assert await call.listen(timeout=2.5) is None
        waited.append(trio.current_time() - begun)
        assert await call.listen(timeout=0) is None
        waited.append(trio.current_time() - begun)

    async with call_lab.dial(story) as caller:
        await caller.is_hung_up_on()
    assert waited == [pytest.approx(2.5), pytest.approx(2.5)]
    call_lab.assert_nothing_left()


async def test_listen_hears_out_a_caller_who_is_speaking_when_the_time_is_up(call_lab):
    turns = []

    async def story(call):
        turns.append(await call.listen(timeout=2.0))

    async with call_lab.dial(story) as caller:
        await caller.waits(1.5)
        await caller.says("I would like a table for two people, at eight o'clock.")
        await caller.is_hung_up_on(timeout=5)
    assert [turn.text for turn in turns] == ["I would like a table for two people, at eight o'clock."]
    assert call_lab.call.outcome.duration > 4
    call_lab.assert_nothing_left()


async def test_listen_does_not_wait_for_a_noise_at_the_end_of_the_time(call_lab):
    turns = []

    async def story(call):
        turns.append(await call.listen(timeout=2.0))

    async with call_lab.dial(story) as caller:
        await caller.waits(1.7)
        caller.leg.speak(b"\x20\xa0" * 2400)  # 0.6 s that are no words
        await caller.is_hung_up_on(timeout=5)
    assert turns == [None]
    assert call_lab.call.outcome.duration == pytest.approx(1.7 + 0.6 + 0.32 + 0.1, abs=0.1)
    call_lab.assert_nothing_left()


async def test_turns_during_say_are_queued_and_returned_once(call_lab):
    turns = []

    async def story(call):
        await call.say("One two three four five six seven eight nine ten.", interruptible=False)
        turns.append(await call.listen(timeout=0))
        turns.append(await call.listen(timeout=0))
        turns.append(await call.listen(timeout=0))

    async with call_lab.dial(story) as caller:
        await caller.says("First.")
        await caller.waits(0.7)
        await caller.says("Second.")
        await caller.is_hung_up_on()
    assert [turn and turn.text for turn in turns] == ["First.", "Second.", None]
    call_lab.assert_nothing_left()


async def test_listen_tells_partials(call_lab):
    partials = []
    turns = []

    async def story(call):
        turns.append(await call.listen(partials=partials.append))

    async with call_lab.dial(story, interim=True) as caller:
        await caller.says("A table for two people, at eight o'clock.")
        await caller.is_hung_up_on()
    assert len(partials) >= 3
    assert all(turns[0].text.startswith(partial) for partial in partials)
    assert sorted(partials, key=len) == partials
    call_lab.assert_nothing_left()


async def test_partials_need_interim_transcripts(call_lab):
    async def story(call):
        with pytest.raises(ConfigurationError, match="interim=True"):
            await call.listen(partials=print)
        await call.say("Refused.")

    async with call_lab.dial(story, interim=False) as caller:
        await caller.hears("Refused.")
    call_lab.assert_nothing_left()


async def test_partials_that_raise_are_the_storys_failure(call_lab):
    async def story(call):
        def broken(text):
            raise ValueError(f"cannot take {text}")

        await call.listen(partials=broken)

    async with call_lab.dial(story) as caller:
        await caller.says("A table for two people, at eight o'clock.")
        await caller.is_hung_up_on()
    outcome = call_lab.call.outcome
    assert outcome.ended_by == "failed"
    assert outcome.reason.startswith("story: ValueError: cannot take A table")
    call_lab.assert_nothing_left()


# --- mark, clear, hang_up -------------------------------------------------------------------------------------------


async def test_mark_says_played_when_everything_before_it_was(call_lab):
    results = []

    async def story(call):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.say, "Hello there.")
            await trio.sleep(0.2)
            status = await call.mark("greeted")
            results.append((status, trio.current_time()))

    async with call_lab.dial(story) as caller:
        said_at = await caller.hears("Hello there.")
        await caller.is_hung_up_on()
    assert results == [("played", pytest.approx(said_at, abs=1e-6))]
    assert [r.data for r in call_lab.call.journal.of("mark")] == [{"name": "greeted", "status": "played"}]
    call_lab.assert_nothing_left()


async def test_mark_on_a_silent_line_is_played_at_once(call_lab):
    results = []

    async def story(call):
        results.append((await call.mark("now"), trio.current_time() - call.started_at))

    async with call_lab.dial(story) as caller:
        await caller.is_hung_up_on()
    assert results == [("played", 0.0)]
    call_lab.assert_nothing_left()


async def test_mark_says_cleared_when_the_caller_interrupted(call_lab):
    results = []

    async def story(call):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.say, "One two three four five six seven eight nine ten.")
            await trio.sleep(0.6)
            results.append(await call.mark("ten"))
        await call.listen()

    async with call_lab.dial(story, agent=Agent(turns=CUT)) as caller:
        await caller.interrupts("Stop it.", after=1.01)
    assert results == ["cleared"]
    call_lab.assert_nothing_left()


@CLOUD
@pytest.mark.parametrize("marks", ["never", "foreign"])
async def test_mark_says_lost_when_the_carrier_does_not_echo(call_lab, marks):
    from callengine.testing import CarrierSettings

    results = []

    async def story(call):
        begun = trio.current_time()
        results.append((await call.mark("now"), trio.current_time() - begun))

    async with call_lab.dial(story, carrier=CarrierSettings(marks=marks)) as caller:
        await caller.is_hung_up_on()
    assert results == [("lost", pytest.approx(2.0))]
    call_lab.assert_nothing_left()


async def test_clear_empties_the_line(call_lab):
    results = []

    async def story(call):
        async def say():
            results.append(await call.say("One two three four five six seven eight nine ten."))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say)
            await trio.sleep(1)
            call.clear()
        await call.say("Sorry.")

    async with call_lab.dial(story) as caller:
        await caller.hears("Sorry.")
    (heard,) = results
    assert (heard.complete, heard.cut_by) == (False, "application")
    assert [record.t for record in call_lab.call.journal.of("clear.sent")] == [pytest.approx(1.0)]
    if buffers(call_lab):
        assert caller.leg.queue.cleared[0][0] == pytest.approx(call_lab.call.started_at + 1.0)
    call_lab.assert_nothing_left()


async def test_hang_up_gives_its_reason(call_lab):
    async def story(call):
        await call.hang_up("wrong number")

    async with call_lab.dial(story) as caller:
        await caller.is_hung_up_on(timeout=0.1)
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason, outcome.duration) == ("agent", "wrong number", 0.0)
    call_lab.assert_nothing_left()


# --- after the end --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("doing", ["say", "listen", "mark", "clear"])
async def test_call_ended_is_raised_after_the_end(call_lab, doing):
    raised = []

    async def story(call):
        await until(lambda: call.ended)
        acts = {
            "say": lambda: call.say("Too late."),
            "listen": call.listen,
            "mark": lambda: call.mark("late"),
        }
        with pytest.raises(CallEnded, match=re.escape(f"caller ({stopped(call_lab)})")) as info:
            call.clear() if doing == "clear" else await acts[doing]()
        raised.append(info.value.outcome.ended_by)

    async with call_lab.dial(story) as caller:
        await caller.waits(0.5)
        await caller.hangs_up()
    assert raised == ["caller"]
    assert call_lab.call.outcome.ended_by == "caller"
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("doing", ["say", "listen"])
async def test_call_ended_is_raised_at_the_end(call_lab, doing, caplog):
    """Whoever is speaking or listening is told at once; that this is not caught is no error."""
    times = []

    async def story(call):
        try:
            await (call.say("One two three four five six seven.") if doing == "say" else call.listen())
        finally:
            times.append(trio.current_time())

    async with call_lab.dial(story) as caller:
        await caller.waits(0.51)
        caller.drops()
    assert times == [call_lab.call.outcome.ended_at]
    assert call_lab.call.outcome.ended_by == "caller"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    call_lab.assert_nothing_left()


@pytest.mark.parametrize(("needs", "finishes"), [(4.9, True), (6.0, False)])
async def test_a_story_has_5_seconds_for_its_last_work(call_lab, needs, finishes):
    done = []

    async def story(call):
        try:
            await call.listen()
        except CallEnded:
            await trio.sleep(needs)
            done.append(trio.current_time())

    async with call_lab.engine(story) as engine:
        async with call_lab.dial(engine) as caller:
            await caller.waits(1)
            await caller.hangs_up()
            await until(lambda: not engine.calls)
            over = trio.current_time()
    ended = call_lab.call.outcome.ended_at
    assert done == ([pytest.approx(ended + needs)] if finishes else [])
    assert over == pytest.approx(ended + min(needs, 5.0), abs=0.006)
    assert call_lab.call.outcome.counters.get("stories cut off", 0) == (0 if finishes else 1)
    call_lab.assert_nothing_left()


async def test_a_story_that_raises(call_lab):
    async def story(call):
        await call.say("Hello.")
        raise LookupError("no such table")

    async with call_lab.dial(story) as caller:
        await caller.hears("call again later")
        await caller.is_hung_up_on(timeout=1)
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("failed", "story: LookupError: no such table")
    call_lab.assert_nothing_left()


async def test_a_story_that_raises_after_the_end_changes_nothing(call_lab, caplog):
    async def story(call):
        try:
            await call.listen()
        except CallEnded:
            raise LookupError("no database") from None

    async with call_lab.dial(story) as caller:
        await caller.hangs_up()
    assert call_lab.call.outcome.ended_by == "caller"
    assert "story failed" in caplog.text
    call_lab.assert_nothing_left()


# --- in a thread ----------------------------------------------------------------------------------------------------


async def test_a_plain_function_tells_a_call_in_exact_virtual_time(call_lab):
    times, threads = [], []

    def story(call):
        threads.append(threading.current_thread() is threading.main_thread())
        heard = call.say("Hello there.")
        time.sleep(0.05)  # real time, in which no virtual time passes
        assert call.listen(timeout=2.5) is None
        turn = call.listen(timeout=8)
        call.mark("x")
        time.sleep(0.05)
        call.say(f"You said {turn.text}")
        times.append((heard.complete, turn.text, call.id, call.ended))
        call.hang_up()

    async with call_lab.dial(story) as caller:
        said_at = await caller.hears("Hello there.")
        await caller.waits(2.6)
        assert trio.current_time() == pytest.approx(said_at + 2.6, abs=0.021)
        await caller.says("Yes.")
        await caller.hears("You said Yes.")
        await caller.is_hung_up_on(timeout=1)
    assert times == [(True, "Yes.", call_lab.call.id, False)]
    assert threads == [False]
    turn = call_lab.call.journal.of("turn.ended")[0]
    reply = call_lab.call.journal.of("reply.started")[1]
    assert reply.t == turn.t  # neither 50 ms is in it
    assert (call_lab.call.outcome.ended_by, call_lab.call.outcome.reason) == ("agent", "the story hung up")
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("doing", ["say", "listen", "mark", "clear"])
async def test_call_ended_is_raised_inside_the_thread(call_lab, doing):
    raised = []

    def story(call):
        try:
            call.listen(timeout=None)
        except CallEnded as ended:
            raised.append(ended.outcome.ended_by)
        acts = {
            "say": lambda: call.say("Too late."),
            "listen": call.listen,
            "mark": lambda: call.mark("late"),
            "clear": call.clear,
        }
        try:
            acts[doing]()
        except CallEnded as ended:
            raised.append(ended.outcome.reason)

    async with call_lab.dial(story) as caller:
        await caller.waits(1)
        caller.drops()
    assert raised == ["caller", "the media socket closed (1006) without a stop"]
    call_lab.assert_nothing_left()


async def test_a_plain_function_that_raises(call_lab):
    def story(call):
        call.say("Hello.")
        raise LookupError("no such table")

    async with call_lab.dial(story) as caller:
        await caller.hears("call again later")
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("failed", "story: LookupError: no such table")
    call_lab.assert_nothing_left()


async def test_a_plain_function_may_not_use_what_is_not_for_it(call_lab):
    problems = []

    def story(call):
        try:
            call.run()
        except AttributeError as error:
            problems.append(str(error))

    async with call_lab.dial(story) as caller:
        await caller.is_hung_up_on()
    assert problems == ["a call has no 'run' for a blocking story"]
    call_lab.assert_nothing_left()


async def test_a_plain_function_is_released_when_the_engine_is_cancelled(call_lab, caplog):
    released = threading.Event()

    def story(call):
        try:
            call.listen()
        finally:
            released.set()

    with trio.CancelScope() as scope:
        async with call_lab.engine(story) as engine, call_lab.dial(engine) as caller:
            await caller.waits(1)
            scope.cancel()
            await trio.sleep(1)
    await trio.to_thread.run_sync(lambda: released.wait(5))
    assert released.is_set()
    assert call_lab.call.outcome.counters == {}
    assert "left behind" not in caplog.text
    await until_no_threads()
    call_lab.assert_nothing_left()


async def test_a_story_stuck_in_its_own_code_is_reported_by_name(live_call_lab, caplog):
    """On the real clock: nobody can end a thread, so it is left behind, counted, and named."""
    stuck, let_go = threading.Event(), threading.Event()

    def never_comes_back(call):
        stuck.set()
        let_go.wait(20)

    settings = CallSettings(story_grace=0.2)
    try:
        async with live_call_lab.dial(never_comes_back, settings=settings) as caller:
            await until(stuck.is_set, timeout=5)
            await caller.hangs_up()
        outcome = live_call_lab.outcomes[-1]
        assert outcome.ended_by == "caller"
        assert outcome.counters["abandoned story threads"] == 1
        assert "never_comes_back is stuck in its own code" in caplog.text
        with pytest.raises(AssertionError, match="1 busy threads"):
            live_call_lab.assert_nothing_left()
    finally:
        let_go.set()
    await until_no_threads()
    live_call_lab.assert_nothing_left()


async def until_no_threads() -> None:
    """Wait, in real time, until no thread tells a story any more: what ends a thread is not on any clock."""

    def look() -> None:
        deadline = time.monotonic() + 5
        while any(thread.name.startswith("story ") for thread in threading.enumerate()):
            if time.monotonic() > deadline:
                raise AssertionError("a story's thread does not end")
            time.sleep(0.005)

    await trio.to_thread.run_sync(look)


async def test_the_journal_says_that_a_story_told_the_call(call_lab):
    async with call_lab.dial(reminder, journal=JournalSettings()) as caller:
        await caller.hangs_up()
    assert call_lab.call.journal.of("call.started")[0].data["agent"] == "story"
    call_lab.assert_nothing_left()
