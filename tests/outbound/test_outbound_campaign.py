"""Campaigns: a list of people is called at a rate, some at a time, and again where nobody answered."""

from __future__ import annotations

import gc
import logging
import math
import tracemalloc
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any

import pytest
import trio
from fake_dialler import FakeDialler
from trio.testing import MockClock

from callengine.errors import CallEngineError, CarrierError, ConfigurationError, NotAllowed
from callengine.outbound.campaign import CLEANUP, run_campaign
from callengine.outbound.contacts import Contact, normalised
from callengine.outbound.results import CampaignProgress, CampaignReport, ContactResult
from callengine.testing.clouds import Answers, Busy, RingsOut

ANNA, BERT, CARL, DORA = (f"+1500555000{n}" for n in range(1, 5))


def results(report: CampaignReport) -> list[tuple[str, str]]:
    return [(result.number, result.result) for result in report.results]


def wall_clock(begin: str) -> Any:
    """A wall clock that shows this at the virtual time 0."""
    return lambda: datetime.fromisoformat(begin) + timedelta(seconds=trio.current_time())


# --- pace -------------------------------------------------------------------------------------------------------------


async def test_everybody_is_called_in_order_at_the_default_rate_of_one_a_second(autojump_clock: MockClock) -> None:
    engine = FakeDialler()
    report = await run_campaign(engine, [ANNA, BERT, CARL])
    assert engine.dialled == [(0.0, ANNA), (1.0, BERT), (2.0, CARL)]
    assert results(report) == [(ANNA, "answered"), (BERT, "answered"), (CARL, "answered")]
    assert report.counts == {"answered": 3}
    assert report.complete


async def test_at_once_and_per_second_are_caps(autojump_clock: MockClock) -> None:
    engine = FakeDialler(length=10.0)
    await run_campaign(engine, [ANNA, BERT, CARL, DORA], at_once=2, per_second=0.5)
    assert engine.dialled == [(0.0, ANNA), (2.0, BERT), (10.0, CARL), (12.0, DORA)]


async def test_an_empty_list_is_done_at_once(autojump_clock: MockClock) -> None:
    report = await run_campaign(FakeDialler(), [])
    assert report.results == ()
    assert trio.current_time() == 0.0


# --- again ------------------------------------------------------------------------------------------------------------


async def test_who_was_not_reached_is_called_again_and_every_attempt_is_reported(autojump_clock: MockClock) -> None:
    # given somebody who is busy, then does not answer, then does
    engine = FakeDialler({ANNA: [("busy", 2.0), ("no answer", 30.0), ("answered", 60.0)]})

    report = await run_campaign(engine, [ANNA, BERT])

    # then each retry comes 600 s after the end of the attempt before
    assert engine.dialled == [(0.0, ANNA), (1.0, BERT), (602.0, ANNA), (1232.0, ANNA)]
    anna = report.results[0]
    assert (anna.result, anna.reason, anna.pending) == ("answered", "why answered", False)
    assert [(a.result, a.reason, a.started_at, a.ended_at) for a in anna.attempts] == [
        ("busy", "why busy", 0.0, 2.0),
        ("no answer", "why no answer", 602.0, 632.0),
        ("answered", "why answered", 1232.0, 1292.0),
    ]


async def test_attempts_and_retry_after_are_settings(autojump_clock: MockClock) -> None:
    engine = FakeDialler({ANNA: [("busy", 1.0)] * 9})
    report = await run_campaign(engine, [ANNA], attempts=2, retry_after=30.0)
    assert engine.dialled == [(0.0, ANNA), (31.0, ANNA)]
    assert results(report) == [(ANNA, "busy")]
    assert report.complete


@pytest.mark.parametrize("result", ["voicemail", "refused", "canceled"])
async def test_what_will_not_be_better_another_time_is_not_tried_again(autojump_clock: MockClock, result: str) -> None:
    engine = FakeDialler({ANNA: [(result, 1.0)]})
    report = await run_campaign(engine, [ANNA])
    assert results(report) == [(ANNA, result)]
    (attempt,) = report.results[0].attempts
    assert attempt.answered_by == ("machine" if result == "voicemail" else None)


async def test_retry_on_says_what_is_tried_again(autojump_clock: MockClock) -> None:
    engine = FakeDialler({ANNA: [("busy", 1.0)], BERT: [("voicemail", 1.0)]})
    report = await run_campaign(engine, [ANNA, BERT], retry_on=frozenset({"voicemail"}), retry_after=10.0)
    assert results(report) == [(ANNA, "busy"), (BERT, "answered")]


async def test_a_retry_that_is_due_comes_before_those_who_were_not_called_yet(autojump_clock: MockClock) -> None:
    engine = FakeDialler({ANNA: [("busy", 1.0)]}, length=10.0)
    await run_campaign(engine, [ANNA, BERT, CARL], at_once=1, retry_after=10.0)
    assert engine.dialled == [(0.0, ANNA), (1.0, BERT), (11.0, ANNA), (21.0, CARL)]


async def test_no_number_is_called_twice_at_once(autojump_clock: MockClock) -> None:
    # given people with several attempts, in a list that names each of them three times, in different spellings
    numbers = [f"+1500555{n:04}" for n in range(40)]
    engine = FakeDialler({number: [("busy", 7.0)] * 2 for number in numbers}, length=20.0)
    spelled = [f"+1 (500) 555-{n:04}" for n in range(40)]
    watched: list[str] = []

    def watch(progress: CampaignProgress) -> None:
        watched.extend(number for number in set(engine.live) if engine.live.count(number) > 1)

    report = await run_campaign(
        engine, [*numbers, *spelled, *numbers], at_once=8, per_second=math.inf, retry_after=3.0, progress=watch
    )

    assert watched == []
    assert report.counts == {"answered": 40, "duplicate": 80}
    assert len(engine.dialled) == 3 * 40


# --- the list ---------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_called_is_told_before_the_first_call(autojump_clock: MockClock) -> None:
    engine, told = FakeDialler(), []

    def tell(result: ContactResult) -> None:
        told.append((result.number, result.result, result.reason, len(engine.dialled)))

    report = await run_campaign(engine, [ANNA, "555-0001", " +1 500 555 0001 ", BERT], on_result=tell)

    assert told == [
        ("555-0001", "invalid", "not an international number: write it like +15005550001", 0),
        (ANNA, "duplicate", "the same number as contact 1", 0),
        (ANNA, "answered", "why answered", 2),
        (BERT, "answered", "why answered", 2),
    ]
    assert [number for _, number in engine.dialled] == [ANNA, BERT]
    assert results(report) == [(ANNA, "answered"), ("555-0001", "invalid"), (ANNA, "duplicate"), (BERT, "answered")]
    assert report.complete  # nothing is left to be done


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+15005550001", ANNA),
        (" +1 (500) 555-0001\n", ANNA),
        ("+1.500.555.0001", ANNA),
        ("+1\u00a0500\u2011555\u20130001", ANNA),
        ("+44 (0)20 7946 0000", "+442079460000"),
        ("+6834000", "+6834000"),
        ("sip:anna@example.com", "sip:anna@example.com"),
        ("15005550001", None),
        ("0015005550001", None),
        ("+05005550001", None),
        ("+123456", None),
        ("+1234567890123456", None),
        ("+1500555000x", None),
        ("+١٥٠٠٥٥٥٠٠٠١", None),
        ("sip:", None),
        ("", None),
    ],
)
def test_numbers_are_brought_into_one_form(written: str, number: str | None) -> None:
    assert normalised(written) == number


async def test_a_contact_brings_its_program_and_its_data(autojump_clock: MockClock) -> None:
    engine = FakeDialler()

    async def remind(call: Any) -> None: ...
    async def congratulate(call: Any) -> None: ...

    contacts = [Contact(ANNA, data={"name": "Anna"}), Contact(BERT, congratulate), CARL]
    await run_campaign(engine, contacts, remind, sender="+15005550009", parameters={"shop": "Main St", "name": "you"})

    assert engine.asked == [
        (remind, {"sender": "+15005550009", "parameters": {"shop": "Main St", "name": "Anna"}}),
        (congratulate, {"sender": "+15005550009", "parameters": {"shop": "Main St", "name": "you"}}),
        (remind, {"sender": "+15005550009", "parameters": {"shop": "Main St", "name": "you"}}),
    ]


# --- hours ------------------------------------------------------------------------------------------------------------


async def test_nobody_is_called_outside_of_the_hours(autojump_clock: MockClock) -> None:
    # given a window that ends after the first call, and a retry that would come in the night
    engine = FakeDialler({ANNA: [("busy", 2.0)]})
    now = wall_clock("2030-05-06 19:59:59")

    report = await run_campaign(engine, [ANNA, BERT], hours=(time(9), time(20)), now=now)

    # then the others are called in the morning, within a minute of its begin
    (_, first), (second_at, second), (third_at, third) = engine.dialled
    assert [first, second, third] == [ANNA, ANNA, BERT]
    morning = 13 * 3600 + 1
    assert morning <= second_at < third_at <= morning + 62
    assert report.counts == {"answered": 2}


@pytest.mark.parametrize(
    ("at", "called"), [("21:59", False), ("22:00", True), ("23:59", True), ("05:59", True), ("06:00", False)]
)
async def test_a_window_may_go_over_midnight(autojump_clock: MockClock, at: str, called: bool) -> None:
    engine = FakeDialler()
    with trio.move_on_after(30):
        await run_campaign(engine, [ANNA], hours=(time(22), time(6)), now=wall_clock(f"2030-05-06 {at}"))
    assert bool(engine.dialled) is called


async def test_hours_may_be_a_function_of_the_time(autojump_clock: MockClock) -> None:
    # given a Sunday evening, and a function that lets nobody be called on Sundays
    engine = FakeDialler()
    await run_campaign(engine, [ANNA], hours=lambda now: now.weekday() != 6, now=wall_clock("2030-05-05 23:00:00"))
    assert engine.dialled == [(3600.0, ANNA)]


async def test_hours_that_end_while_a_call_waits_for_its_turn_hold_it_back(autojump_clock: MockClock) -> None:
    engine = FakeDialler(length=10.0)
    campaign = partial(run_campaign, at_once=1, hours=(time(9), time(20)), now=wall_clock("2030-05-06 19:59:55"))
    with trio.move_on_after(60):
        await campaign(engine, [ANNA, BERT])
    assert engine.dialled == [(0.0, ANNA)]


async def test_a_campaign_that_is_done_does_not_wait_for_the_morning(autojump_clock: MockClock) -> None:
    await run_campaign(FakeDialler(), [ANNA], hours=(time(9), time(20)), now=wall_clock("2030-05-06 19:59:58"))
    assert trio.current_time() == 5.0


# --- listeners --------------------------------------------------------------------------------------------------------


async def test_the_listener_gets_the_whole_outcome_and_the_report_stays_small(autojump_clock: MockClock) -> None:
    engine, told = FakeDialler(), []

    async def tell(result: ContactResult) -> None:
        await trio.sleep(1)
        told.append(result.outcome)

    report = await run_campaign(engine, [ANNA], on_result=tell)

    assert told == [engine.calls[0].outcome]
    assert report.results[0].outcome is None


@pytest.mark.parametrize("kind", ["plain", "async", "progress"])
async def test_a_listener_that_raises_is_logged_and_harms_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def plain(_: object) -> None:
        raise ZeroDivisionError

    async def not_plain(_: object) -> None:
        raise ZeroDivisionError

    listener: Any = {"plain": plain, "async": not_plain, "progress": plain}[kind]
    told = {"progress": listener} if kind == "progress" else {"on_result": listener}

    with caplog.at_level(logging.ERROR):
        report = await run_campaign(FakeDialler(), [ANNA, BERT], **told)

    assert report.counts == {"answered": 2}
    assert "listener" in caplog.text
    assert ANNA not in caplog.text


async def test_progress_tells_of_every_step(autojump_clock: MockClock) -> None:
    engine = FakeDialler({ANNA: [("busy", 0.5)]})
    steps: list[CampaignProgress] = []
    await run_campaign(engine, [ANNA, BERT, "bad"], retry_after=10.0, progress=steps.append)
    assert [(step.done, step.live) for step in steps] == [(1, 0), (1, 1), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]
    assert steps[-1] == CampaignProgress(total=3, done=3, live=0, counts={"invalid": 1, "answered": 2})


# --- refusals ---------------------------------------------------------------------------------------------------------


async def test_what_a_carrier_refuses_is_that_contacts_result(autojump_clock: MockClock) -> None:
    rejected = CarrierError("twilio", "cannot route", fault="rejected", code="13224")
    busy = CarrierError("twilio", "too many requests", fault="rate")
    engine = FakeDialler({ANNA: [rejected] * 2, BERT: [NotAllowed("not on the list")], CARL: [busy]})

    report = await run_campaign(engine, [ANNA, BERT, CARL], attempts=2, retry_after=60.0)

    assert results(report) == [(ANNA, "failed"), (BERT, "refused"), (CARL, "answered")]
    assert report.results[0].reason == "twilio: cannot route (13224)"
    assert len(report.results[0].attempts) == 2
    assert report.results[1].reason == "not on the list"


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("set TWILIO_AUTH_TOKEN"),
        CarrierError("twilio", "authenticate", fault="configuration", code="20003"),
        CallEngineError("the engine drains"),
    ],
)
async def test_where_no_call_can_succeed_live_ones_end_and_the_error_is_raised(
    autojump_clock: MockClock, error: CallEngineError
) -> None:
    engine, told = FakeDialler({BERT: [error]}, length=30.0), []

    with pytest.raises(type(error)) as caught:
        await run_campaign(engine, [ANNA, BERT, CARL], on_result=told.append)

    assert caught.value is error
    assert [number for _, number in engine.dialled] == [ANNA, BERT]
    assert [(result.number, result.result) for result in told] == [(ANNA, "answered")]
    assert engine.hung_up == []


# --- ending early -----------------------------------------------------------------------------------------------------


async def test_stopped_no_more_are_called_and_live_calls_end_by_themselves(autojump_clock: MockClock) -> None:
    # given a call that goes on, a contact that waits for a retry, and two that were not called
    engine = FakeDialler({ANNA: [("busy", 1.0)]}, length=100.0)
    stop, told = trio.Event(), []
    reports: list[CampaignReport] = []

    async def campaign() -> None:
        reports.append(
            await run_campaign(engine, [ANNA, BERT, CARL, DORA], at_once=1, stop=stop, on_result=told.append)
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(campaign)
        await trio.sleep(50)
        stop.set()

    # then the live one was let go on, and the report says who is left, for whoever wants to go on later
    assert trio.current_time() == 101.0
    (report,) = reports
    assert results(report) == [(ANNA, "busy"), (BERT, "answered"), (CARL, "not dialled"), (DORA, "not dialled")]
    assert [result.pending for result in report.results] == [True, False, True, True]
    assert not report.complete
    assert [result.number for result in told] == [BERT]
    assert engine.hung_up == []


async def test_stopped_in_the_night_it_ends_at_once(autojump_clock: MockClock) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(run_campaign, FakeDialler(), [ANNA], stop=stop, hours=lambda _: False))
        await trio.sleep(1)
        stop.set()
    assert trio.current_time() == 1.0


async def test_cancelled_it_hangs_up_and_still_tells_of_those_who_were_reached(autojump_clock: MockClock) -> None:
    # given one who talks, and one whose telephone rings
    engine, told = FakeDialler({BERT: [("no answer", 30.0)]}, length=100.0, hang_up_time=2.0), []

    with trio.move_on_after(10):
        await run_campaign(engine, [ANNA, BERT, CARL], at_once=2, on_result=told.append)

    assert trio.current_time() == 12.0
    assert sorted(engine.hung_up) == [ANNA, BERT]
    assert [number for _, number in engine.dialled] == [ANNA, BERT]
    assert [(result.number, result.result, result.outcome.reason) for result in told] == [
        (ANNA, "answered", "why answered")
    ]


async def test_a_carrier_that_does_not_hang_up_cannot_hold_a_cancelled_campaign(autojump_clock: MockClock) -> None:
    engine = FakeDialler(length=100.0, hang_up_time=1000.0)
    with trio.move_on_after(10):
        await run_campaign(engine, [ANNA, BERT])
    assert trio.current_time() == 10.0 + CLEANUP


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("attempts", 0),
        ("retry_after", -1.0),
        ("retry_after", math.nan),
        ("retry_on", frozenset({"no anwser"})),
        ("hours", (time(9), time(9))),
        ("at_once", 0),
        ("per_second", 0.0),
    ],
)
async def test_settings_that_make_no_sense_are_refused(setting: str, value: Any) -> None:
    engine = FakeDialler()
    with pytest.raises(ConfigurationError, match=setting):
        await run_campaign(engine, [ANNA], **{setting: value})
    assert engine.dialled == []


# --- size -------------------------------------------------------------------------------------------------------------


async def test_a_long_list_takes_little_memory_and_no_task_for_each(autojump_clock: MockClock) -> None:
    # given a thousand people (a hundred thousand take a hundred times as much)
    people = 1_000
    engine = FakeDialler(length=0.0)
    engine.calls = engine.asked = engine.dialled = NoList()
    tasks: list[int] = []

    def watch(progress: CampaignProgress) -> None:
        if progress.done % 100 == 0:
            tasks.append(trio.lowlevel.current_statistics().tasks_living)

    gc.collect()
    tracemalloc.start()
    report = await run_campaign(
        engine, (f"+1500{n:07}" for n in range(people)), at_once=20, per_second=math.inf, progress=watch
    )
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert report.counts == {"answered": people}
    assert max(tasks) < 40
    assert kept / people < 2_000


class NoList(list[Any]):
    """Keeps nothing."""

    def append(self, _: object) -> None: ...


# --- with an engine and a carrier -------------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", ["twilio", "telnyx", "plivo"])
async def test_a_campaign_over_a_carrier(call_lab, carrier: str) -> None:
    async def invite(call: Any) -> None:
        await call.say("We open tomorrow.")
        await call.hang_up("all said")

    heard: list[str] = []

    def note(result: ContactResult) -> None:
        if result.outcome is not None and result.outcome.call is not None:
            heard.extend(turn.heard for turn in result.outcome.call.turns)

    async with call_lab.network(invite, carrier=carrier) as network:
        network.phone(ANNA, Answers(after=2))
        network.phone(BERT, Busy())
        network.phone(CARL, RingsOut())

        report = await run_campaign(
            network.engine, [ANNA, BERT, CARL], attempts=2, retry_after=60.0, on_result=note, ring_timeout=20.0
        )

    assert results(report) == [(ANNA, "answered"), (BERT, "busy"), (CARL, "no answer")]
    assert [len(result.attempts) for result in report.results] == [1, 2, 2]
    assert heard == ["We open tomorrow."]
    call_lab.assert_nothing_left()


async def test_a_cancelled_campaign_leaves_no_call_behind(call_lab) -> None:
    async def wait(call: Any) -> None:
        await call.say("Please hold.")
        await call.listen(timeout=600)

    told: list[ContactResult] = []
    async with call_lab.network(wait) as network:
        network.phone(ANNA, Answers(after=2))
        network.phone(BERT, RingsOut())
        with trio.move_on_after(15):
            await run_campaign(network.engine, [ANNA, BERT], on_result=told.append)
        assert network.engine.calls == ()
    assert [(result.number, result.result) for result in told] == [(ANNA, "answered")]
    call_lab.assert_nothing_left()
