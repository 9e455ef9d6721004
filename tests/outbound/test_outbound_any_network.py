"""Races of calls that go out and are handed over: there is always an outcome, and nothing stays behind."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from callengine import Agent, Refuse
from callengine.errors import CallEnded, CarrierError, EngineStopped, TransferFailed
from callengine.testing import CallLab
from callengine.testing.clouds import Answers, Busy, Declines, Machine, Manners, RingsOut, Unreachable
from callengine.testing.clouds.reach import NotReached
from callengine.testing.clouds.values import NetworkSettings

CALLER, PERSON, HUMAN = "+15005550100", "+15005550101", "+15005550102"
HELLO = Agent(greeting="Hello, this is Chez Trio.")
DESK = Agent(may_reach=(HUMAN,))
FAST: dict[str, Any] = {"dials_per_second": math.inf}
CARRIERS = ["twilio", "signalwire", "telnyx", "plivo"]
DIALLED = {"twilio": "/Calls.json", "signalwire": "/Calls", "telnyx": "/calls", "plivo": "/Call/"}


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest) -> str:
    return request.param


async def listens(call):
    while True:
        await call.listen()


def alive(network) -> list[str]:
    """Telephones that are still connected."""
    return [leg.phone for leg in network.cloud.legs if not leg.over.is_set()]


@asynccontextmanager
async def stoppable(lab, program, **options: Any):
    """A network, and what stops its engine at once; the test and the carrier go on."""

    async def live(task_status: trio.TaskStatus[Any]) -> None:
        with trio.CancelScope() as scope:
            async with lab.network(program, **options) as network:
                task_status.started((network, scope))
                await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        network, scope = await nursery.start(live)
        network.cloud.nursery = nursery
        yield network, scope
        nursery.cancel_scope.cancel()


def refuse_streams(monkeypatch, network) -> None:
    async def refuse(*_: Any) -> None:
        await trio.sleep(0.1)
        raise NotReached(403, "HTTP 403")

    monkeypatch.setattr(network.cloud.reach, "connect", refuse)


# --- hanging up while something is under way ----------------------------------------------------------------------


@pytest.mark.parametrize("moment", [0.0, 0.5, 2.0])
async def test_a_call_that_is_hung_up_while_it_is_requested_does_not_ring_on(call_lab, carrier, moment):
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.phone(PERSON, RingsOut())
        network.cloud.fault(method="POST", answer_delay=3.0)
        call = await network.engine.dial(PERSON)
        await trio.sleep(moment)
        call.hang_up("changed our mind")
        outcome = await call.wait()

        assert (outcome.result, outcome.reason) == ("canceled", "changed our mind")
        assert not alive(network)
    call_lab.assert_nothing_left()


async def test_a_call_that_is_hung_up_before_its_request_was_answered_is_ended_when_the_carrier_tells_its_name(
    call_lab, carrier
):
    """The request never gets an answer, but was done."""
    late = Manners(late=lambda _: 13.0)
    async with call_lab.network(HELLO, carrier=carrier, webhooks=late) as network:
        network.phone(PERSON, RingsOut())
        network.cloud.fault(method="POST", answer_delay=60.0, times=4)
        call = await network.engine.dial(PERSON, ring_timeout=60)
        await trio.sleep(1)
        call.hang_up()
        outcome = await call.wait()

        assert outcome.result == "canceled"
        assert not alive(network)


async def test_an_engine_that_stops_hangs_up_what_rings_and_fails_the_wait_at_once(call_lab, carrier):
    """A47."""
    async with stoppable(call_lab, HELLO, carrier=carrier) as (network, stop):
        network.phone(PERSON, RingsOut())
        call = await network.engine.dial(PERSON)
        await network.ringing(PERSON)
        begun = trio.current_time()
        stop.cancel()
        with pytest.raises(EngineStopped, match="stopped"):
            await call.wait()

        assert trio.current_time() - begun < 0.1
        assert not alive(network)
    call_lab.assert_nothing_left()


async def test_an_engine_that_stops_while_it_requests_a_call_hangs_it_up(call_lab, carrier):
    """Nothing but the answer to the request says what the leg is called."""
    silent = Manners(lose=lambda _: True)
    async with stoppable(call_lab, HELLO, carrier=carrier, webhooks=silent) as (network, stop):
        network.phone(PERSON, RingsOut())
        network.cloud.fault(method="POST", answer_delay=3.0)
        call = await network.engine.dial(PERSON)
        outgoing = network.engine._running.board.outgoing
        await trio.sleep(1)
        stop.cancel()
        with pytest.raises(EngineStopped):
            await call.wait()

        assert trio.current_time() < 3.5
        assert not alive(network)
        assert not outgoing
    call_lab.assert_nothing_left()


async def test_an_engine_that_stops_with_a_carrier_that_does_not_answer_stops_all_the_same(call_lab, carrier):
    async with stoppable(call_lab, HELLO, carrier=carrier) as (network, stop):
        network.phone(PERSON, RingsOut())
        network.cloud.fault(answer_delay=1000.0, times=100)
        call = await network.engine.dial(PERSON)
        await trio.sleep(1)
        stop.cancel()
        with pytest.raises(EngineStopped):
            await call.wait()

        assert trio.current_time() <= 1 + 10.1
    call_lab.assert_nothing_left()


async def test_a_call_that_was_hung_up_first_is_canceled_although_the_engine_stops(call_lab, carrier):
    async with stoppable(call_lab, HELLO, carrier=carrier) as (network, stop):
        network.phone(PERSON, RingsOut())
        call = await network.engine.dial(PERSON)
        await network.ringing(PERSON)
        network.cloud.fault(delay=2.0)
        call.hang_up("enough")
        await trio.sleep(1)
        stop.cancel()
        outcome = await call.wait()

        assert (outcome.result, outcome.reason) == ("canceled", "enough")
        assert not alive(network)
    call_lab.assert_nothing_left()


async def test_somebody_who_answers_while_his_call_is_hung_up_is_not_talked_to(call_lab, carrier):
    """The command is slow, and he is quicker."""
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.phone(PERSON, Answers(after=2))
        call = await network.engine.dial(PERSON)
        await network.ringing(PERSON)
        await trio.sleep(1.5)
        network.cloud.fault(delay=2.0)
        call.hang_up("enough")
        person = await network.answered(PERSON)
        outcome = await call.wait()

        assert not person.heard
        assert not network.engine.calls
        assert not alive(network)
        assert outcome.result == "answered"  # so he was
    call_lab.assert_nothing_left()


async def test_somebody_who_answers_a_call_that_was_given_up_is_not_talked_to(call_lab, carrier):
    """Nothing was heard of the request, and then the telephone is answered all the same."""
    silent = Manners(lose=lambda _: True)
    async with call_lab.network(HELLO, carrier=carrier, webhooks=silent) as network:
        network.phone(PERSON, Answers(after=100))
        network.cloud.fault(method="POST", answer_delay=60.0, times=4)
        call = await network.engine.dial(PERSON, ring_timeout=120)
        outcome = await call.wait()
        assert outcome.result == "failed"
        person = await network.answered(PERSON, timeout=100)
        await trio.sleep(8)

        assert not person.heard
        assert not network.engine.calls
        assert PERSON not in alive(network)
    call_lab.assert_nothing_left()


async def test_hanging_up_in_every_moment_of_a_call_ends_it(call_lab, carrier):
    async with call_lab.network(listens, carrier=carrier, **FAST) as network:
        network.phone(PERSON, Answers(after=1))
        for tenth in range(24):
            call = await network.engine.dial(PERSON)
            await trio.sleep(tenth / 10)
            begun = trio.current_time()
            call.hang_up("enough")
            outcome = await call.wait()

            assert outcome.result in ("canceled", "answered")
            assert trio.current_time() - begun < 2
            assert not alive(network)
            assert not network.engine.calls
    call_lab.assert_nothing_left()


# --- media streams that do not come -------------------------------------------------------------------------------


async def test_a_person_for_whom_no_stream_comes_is_not_left_in_silence(call_lab, carrier, monkeypatch):
    async with call_lab.network(HELLO, carrier=carrier) as network:
        refuse_streams(monkeypatch, network)
        network.phone(PERSON, Answers(after=1))
        call = await network.engine.dial(PERSON)
        outcome = await call.wait()

        assert (outcome.result, outcome.call) == ("failed", None)
        assert outcome.reason
        assert not outcome.answered
        assert not alive(network)
        assert trio.current_time() < 25


async def test_a_story_that_outlives_its_call_leaves_the_conversation_in_the_outcome(call_lab):
    async def story(call):
        try:
            while True:
                await call.listen()
        except CallEnded:
            await trio.sleep(60)

    async with call_lab.network(story) as network:
        network.phone(PERSON, Answers(after=1))
        call = await network.engine.dial(PERSON)
        person = await network.answered(PERSON)
        await trio.sleep(1)
        await person.hangs_up()
        outcome = await call.wait()

    assert outcome.result == "answered"
    assert outcome.call.ended_by == "caller"


# --- machines -----------------------------------------------------------------------------------------------------


async def test_a_message_that_was_not_left_is_not_said_to_be_left(call_lab, carrier):
    """The verdict comes when the call is over; what was said before was heard to its end."""

    async def story(call):
        await call.say("Hello.")
        await call.listen()

    async with call_lab.network(story, carrier=carrier, times=NetworkSettings(machine=1.5)) as network:
        network.phone(PERSON, Machine(after=1, greeting="Yes?", pause=0.1))
        call = await network.engine.dial(PERSON, voicemail="Please call us back.")
        machine = await network.answered(PERSON)
        await machine.hears("Hello.")
        await trio.sleep(0.1)
        await machine.hangs_up()
        outcome = await call.wait()

    assert outcome.result == ("voicemail" if outcome.answered_by else "answered")
    assert not outcome.message_left
    assert "call us back" not in machine.heard


async def test_somebody_who_hangs_up_before_the_verdict_about_him_is_not_waited_for(call_lab, carrier):
    async with call_lab.network(HELLO, carrier=carrier, times=NetworkSettings(human=9.0)) as network:
        network.phone(PERSON, Answers(after=1))
        call = await network.engine.dial(PERSON, voicemail="Please call us back.")
        person = await network.answered(PERSON)
        await person.hears("Chez Trio")
        await person.hangs_up()
        begun = trio.current_time()
        outcome = await call.wait()

        assert outcome.result == "answered"
        assert trio.current_time() - begun < 2.5  # AMD_GRACE
        assert not outcome.call.counters.get("stories cut off")
    call_lab.assert_nothing_left()


async def test_a_story_whose_call_is_over_is_not_kept_until_the_verdict(call_lab, carrier):
    async def story(call):
        try:
            await call.listen()
        finally:
            await call.hang_up()

    async with call_lab.network(story, carrier=carrier, times=NetworkSettings(human=9.0)) as network:
        network.phone(PERSON, Answers(after=1))
        call = await network.engine.dial(PERSON, voicemail="Please call us back.")
        person = await network.answered(PERSON)
        await trio.sleep(1)
        await person.hangs_up()
        begun = trio.current_time()
        outcome = await call.wait()

        assert outcome.call.ended_by == "caller"
        assert trio.current_time() - begun < 2.5
        assert not outcome.call.counters.get("stories cut off")
    call_lab.assert_nothing_left()


async def test_a_machine_that_hangs_up_in_the_message_has_not_got_it(call_lab, carrier):
    async with call_lab.network(listens, carrier=carrier) as network:
        network.phone(PERSON, Machine(after=1, greeting="Leave a message."))
        call = await network.engine.dial(PERSON, voicemail="Please call us back, as soon as you can, about the soup.")
        machine = await network.answered(PERSON)
        await machine.hears("call us back")
        await machine.hangs_up()
        outcome = await call.wait()

    assert (outcome.result, outcome.message_left) == ("voicemail", False)
    assert outcome.call.ended_by == "caller" or outcome.call.reason
    call_lab.assert_nothing_left()


async def test_a_call_that_is_hung_up_in_the_greeting_leaves_no_message(call_lab, carrier):
    async with call_lab.network(listens, carrier=carrier) as network:
        network.phone(PERSON, Machine(after=1, greeting="We are not at home, " * 20))
        call = await network.engine.dial(PERSON, voicemail="Please call us back.")
        await network.answered(PERSON)
        await trio.sleep(6)
        call.hang_up("never mind")
        outcome = await call.wait()

        assert not outcome.message_left
        assert outcome.result == ("voicemail" if outcome.answered_by == "machine" else "answered")
        assert not alive(network)
    call_lab.assert_nothing_left()


# --- functions of the application ---------------------------------------------------------------------------------


async def test_a_function_for_who_answered_may_fail_or_hang_up(call_lab, carrier, caplog):
    async with call_lab.network(listens, carrier=carrier, **FAST) as network:
        network.phone(PERSON, Machine(after=1, greeting="Leave a message."))

        def fails(_: str) -> None:
            raise ExceptionGroup("several", [ValueError("no"), KeyError("none")])

        first = await network.engine.dial(PERSON, amd=True, on_answered_by=fails)
        assert (await first.wait()).result == "voicemail"
        second = await network.engine.dial(
            PERSON, amd=True, on_machine="continue", on_answered_by=lambda _: second.hang_up("a machine")
        )
        assert (await second.wait()).call.reason == "a machine"
        assert not alive(network)
    assert "the function for who answered" in caplog.text
    assert PERSON not in caplog.text


@pytest.mark.parametrize("error", [RuntimeError("no"), ExceptionGroup("several", [ValueError("no")])])
async def test_a_router_that_fails_refuses_one_call_and_no_other(call_lab, carrier, error):
    fails = True

    async def router(_):
        await trio.sleep(0.1)
        if fails:
            raise error

    async with call_lab.network(HELLO, carrier=carrier, router=router) as network:
        caller = network.rings(caller=CALLER)
        await caller.is_hung_up_on()
        fails = False
        other = network.rings(caller=PERSON)
        await other.hears("Chez Trio")
        await other.hangs_up()
    assert len(call_lab.calls) == 1
    call_lab.assert_nothing_left()


async def test_a_router_that_hangs_costs_the_caller_ten_seconds(call_lab):
    """Where calls are instructed by commands; elsewhere the webhook's answer is bounded."""

    async def router(_):
        await trio.sleep_forever()

    async with call_lab.network(HELLO, carrier="telnyx", router=router) as network:
        caller = network.rings(caller=CALLER)
        await caller.is_hung_up_on(timeout=60)
        assert 10 <= trio.current_time() < 11
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("listener", ["fails", "hangs", "group"])
async def test_a_listener_for_messages_that_fails_harms_nobody(call_lab, carrier, listener):
    async with call_lab.network(HELLO, carrier=carrier) as network:

        @network.engine.on_message
        async def bad(message):
            if listener == "hangs":
                await trio.sleep_forever()
            raise ExceptionGroup("several", [ValueError("no")]) if listener == "group" else RuntimeError("no")

        @network.engine.on_message
        async def good(message):
            return "We open at six."

        network.text("When do you open?", sender=PERSON)
        with trio.fail_after(15):
            while not any(text.recipient == PERSON for text in network.cloud.texts):
                await trio.sleep(0.05)
        network.phone(PERSON, Busy())
        assert (await (await network.engine.dial(PERSON)).wait()).result == "busy"


# --- draining -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phone", [RingsOut(), Busy(after=1.5), Answers(after=1.2)])
async def test_draining_while_it_is_dialled_ends_it_before_the_engine_stops(call_lab, carrier, phone):
    async with call_lab.network(HELLO, carrier=carrier, drain_timeout=1.0) as network:
        network.phone(PERSON, phone)
        call = await network.engine.dial(PERSON)
        await trio.sleep(1)
        await network.engine.drain()

        assert call.ended
        assert call.outcome is not None
        assert not alive(network)
        assert not network.engine.calls
    call_lab.assert_nothing_left()


async def test_a_dial_that_was_still_loading_when_the_engine_began_to_drain_is_not_made(call_lab, monkeypatch):
    async with call_lab.network(HELLO) as network:
        load = network.engine.load

        async def slow(cast):
            await trio.sleep(1)
            await load(cast)

        monkeypatch.setattr(network.engine, "load", slow)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)

            async def dial() -> None:
                with pytest.raises(EngineStopped, match="draining"):
                    await network.engine.dial(PERSON)

            nursery.start_soon(dial)
            await trio.sleep(0.5)
            await network.engine.drain()
        assert not network.cloud.requests


async def test_draining_in_a_warm_transfer_takes_leave_of_both(call_lab, carrier):
    async def story(call):
        try:
            await call.transfer_warm(HUMAN, briefing="Somebody calls.")
        except TransferFailed:
            await call.listen()

    agent = Agent(may_reach=(HUMAN,), drain_notice="We have to stop now.")
    async with call_lab.network(story, carrier=carrier, agent=agent, drain_timeout=1.0, **FAST) as network:
        network.phone(HUMAN, Answers(after=1))
        caller = network.rings(caller=CALLER)
        human = await network.answered(HUMAN)
        await human.hears("Somebody calls.")
        await network.engine.drain()

        assert "We have to stop now." in caller.heard
        assert not alive(network)
        assert not network.engine.calls
    call_lab.assert_nothing_left()


# --- handing over -------------------------------------------------------------------------------------------------


async def test_a_caller_who_comes_back_is_still_who_he_was(call_lab, carrier):
    seen = []

    async def story(call):
        seen.append((call.caller, call.callee, call.direction, call.person))
        if call.came_back:
            await call.send_message("Nobody was there, we will call you.")
            await call.say("Nobody is there.")
            await call.listen()
        else:
            await call.transfer(HUMAN, timeout=10)

    async with call_lab.network(story, carrier=carrier, agent=DESK) as network:
        network.phone(HUMAN, Busy())
        caller = network.rings(caller=CALLER)
        await caller.hears("Nobody is there.")
        await caller.hangs_up()

        assert [text.recipient for text in network.cloud.texts] == [CALLER]
    assert seen[0] == seen[1]
    assert seen[0][0] == CALLER


async def test_somebody_who_was_called_comes_back_as_who_he_was(call_lab, carrier):
    seen = []

    async def story(call):
        seen.append((call.caller, call.callee, call.direction, call.person))
        if call.came_back:
            await call.say("Nobody is there.")
            await call.listen()
        else:
            await call.transfer(HUMAN, timeout=10)

    async with call_lab.network(story, carrier=carrier, agent=DESK, **FAST) as network:
        network.phone(HUMAN, Busy())
        network.phone(PERSON, Answers(after=1))
        call = await network.engine.dial(PERSON)
        person = await network.answered(PERSON)
        outcome = await call.wait()
        await person.hears("Nobody is there.")
        await person.hangs_up()

    assert outcome.result == "answered"
    assert outcome.call.reason == "transferred to •••0102"
    assert seen[0] == seen[1]
    assert seen[0][3] == PERSON
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("status", [400, 403, 422])
async def test_a_transfer_that_is_refused_costs_nobody_his_call(call_lab, carrier, status):
    """Also where the stream was stopped for it already: the caller comes back then."""

    async def story(call):
        if not call.came_back:
            with pytest.raises((CarrierError, CallEnded)) as caught:
                await call.transfer(HUMAN)
            if caught.type is CallEnded:
                raise caught.value
        await call.say("That did not work.")
        await call.listen()

    async with call_lab.network(story, carrier=carrier, agent=DESK) as network:
        network.phone(HUMAN, Answers())
        caller = network.rings(caller=CALLER)
        while not network.engine.calls and not call_lab.calls:
            path = "/actions/transfer" if carrier == "telnyx" else "/Call"
            if carrier == "telnyx" and not network.cloud.app.faults:
                network.cloud.fault(status=status, path=path)
            elif not network.cloud.app.faults:
                network.cloud.fault(status=status, path=path, method="POST")
            await trio.sleep(0.005)
        await caller.hears("That did not work.")
        await caller.hangs_up()
        assert not alive(network)
    call_lab.assert_nothing_left()


async def test_two_whom_the_carrier_will_not_join_are_not_left_in_silence(call_lab, carrier):
    async def story(call):
        if not call.came_back:
            with pytest.raises((CarrierError, CallEnded)) as caught:
                await call.transfer_warm(HUMAN, briefing="Somebody calls.")
            if caught.type is CallEnded:
                raise caught.value
        await call.say("That did not work.")
        await call.listen()

    async with call_lab.network(story, carrier=carrier, agent=DESK, **FAST) as network:
        network.phone(HUMAN, Answers(after=1))
        caller = network.rings(caller=CALLER)
        human = await network.answered(HUMAN)
        await human.hears("press one.")
        first = network.cloud.legs[0].call_id  # the caller's: the last of the two to be moved
        network.cloud.fault(status=422, path="/actions/bridge" if carrier == "telnyx" else first)
        await human.presses("1")
        await caller.hears("That did not work.")
        await human.is_hung_up_on()
        await caller.hangs_up()
        assert not alive(network)
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("seconds", [1, 3, 6, 9, 12, 15])
async def test_a_caller_who_hangs_up_at_any_time_of_a_warm_transfer_leaves_nobody(call_lab, carrier, seconds):
    async def story(call):
        await call.transfer_warm(HUMAN, briefing="Somebody calls.")

    async with call_lab.network(story, carrier=carrier, agent=DESK, **FAST) as network:
        network.phone(HUMAN, Answers(after=2))
        caller = network.rings(caller=CALLER)
        async with trio.open_nursery() as nursery:

            async def accept() -> None:
                human = await network.answered(HUMAN)
                await trio.sleep(7)
                human.leg.press("1")

            nursery.start_soon(accept)
            await trio.sleep(seconds)
            await caller.hangs_up()
            await trio.sleep(20)
            nursery.cancel_scope.cancel()
        assert not alive(network)
        assert not network.engine.calls
        assert not network.engine._running.board.outgoing
    call_lab.assert_nothing_left()


async def test_a_transfer_whose_answer_was_lost_is_still_a_transfer(call_lab):
    """It got no answer and was done: what comes of it is understood."""

    async def story(call):
        if call.came_back:
            await call.say("Nobody is there.")
            await call.listen()
        await call.transfer(HUMAN, timeout=10)

    async with call_lab.network(story, agent=DESK) as network:
        network.phone(HUMAN, Busy(after=25))
        network.cloud.fault(path="/Calls/", answer_delay=15.0)
        caller = network.rings(caller=CALLER)
        await caller.hears("Nobody is there.", timeout=60)
        await caller.hangs_up()
    assert call_lab.calls[1].came_back == "busy" or call_lab.calls[1].came_back == "no answer"
    call_lab.assert_nothing_left()


async def test_who_asks_twice_what_a_failed_transfer_comes_to_is_told_twice(call_lab):
    """An answer may be lost on its way to the carrier."""

    async def story(call):
        if not call.came_back:
            await call.transfer(HUMAN, timeout=10)
        await call.say("Nobody is there.")
        await call.listen()

    async with call_lab.network(story, agent=DESK) as network:
        network.phone(HUMAN, Busy())
        caller = network.rings(caller=CALLER)
        await caller.hears("Nobody is there.")
        ended = next(webhook for webhook in network.cloud.webhooks if "/transfer/" in webhook.url)
        again = await network.cloud.fetch(ended.url, ended.fields)
        await caller.hangs_up()

    assert b"<Stream" in again.content
    assert b"<Stream" in ended.body


async def test_facts_of_one_carrier_are_not_taken_from_another(call_lab):
    from callengine.telephony import CallProgress

    async with call_lab.network(HELLO) as network:
        network.phone(PERSON, RingsOut())
        call = await network.engine.dial(PERSON)
        leg = await network.ringing(PERSON)
        fact = CallProgress(call_id=leg.call_id, progress="busy", reference=call.reference)
        network.engine.note("telnyx", fact)
        await trio.sleep(0.1)
        assert not call.ended
        network.engine.note("twilio", fact)
        assert (await call.wait()).result == "busy"


async def test_two_engines_in_one_loop_do_not_hear_of_each_other_s_calls(call_lab):
    async with (
        call_lab.network(HELLO, carrier="twilio", drain_timeout=1.0) as first,
        call_lab.network(Agent(greeting="Another one."), carrier="telnyx") as second,
    ):
        first.phone(PERSON, Answers(after=1))
        second.phone(PERSON, Answers(after=1))
        one, other = await first.engine.dial(PERSON), await second.engine.dial(PERSON)
        here, there = await first.answered(PERSON), await second.answered(PERSON)
        await here.hears("Chez Trio")
        await there.hears("Another one.")
        await first.engine.drain()
        assert (await one.wait()).call.ended_by == "drained"
        assert not other.ended
        other.hang_up()
        await other.wait()
    call_lab.assert_nothing_left()


async def test_a_refused_caller_costs_nothing(call_lab, carrier):
    async with call_lab.network(HELLO, carrier=carrier, router=lambda _: Refuse("Closed.")) as network:
        caller = network.rings(caller=CALLER)
        await caller.is_hung_up_on()
        assert not call_lab.calls
        assert not alive(network)
    call_lab.assert_nothing_left()


# --- whatever happens ---------------------------------------------------------------------------------------------

PHONES = st.one_of(
    st.builds(
        Answers, after=st.sampled_from([0.0, 1.0, 4.0]), taken_for=st.sampled_from(["human", "machine", "unknown"])
    ),
    st.builds(
        Machine,
        after=st.sampled_from([0.0, 2.0]),
        greeting=st.sampled_from(["Yes?", "We are not at home. Leave a message after the tone."]),
        beep=st.booleans(),
        taken_for=st.sampled_from(["human", "machine", "fax", "unknown"]),
    ),
    st.builds(Busy, after=st.sampled_from([0.0, 1.0])),
    st.builds(Declines),
    st.just(RingsOut()),
    st.just(Unreachable()),
)
MANNERS = st.builds(
    Manners,
    jitter=st.sampled_from([0.0, 1.0, 4.0]),
    twice=st.booleans(),
    lose=st.sampled_from([lambda _: False, lambda _: True, lambda webhook: "status" in webhook.url]),
    seed=st.integers(0, 3),
)
FAULTS = st.lists(
    st.fixed_dictionaries(
        {"times": st.integers(1, 2)},
        optional={
            "status": st.sampled_from([400, 429, 503]),
            "answer_delay": st.sampled_from([0.5, 12.0]),
            "delay": st.sampled_from([0.5, 3.0]),
        },
    ),
    max_size=2,
)
MOMENTS = st.none() | st.sampled_from([0.0, 0.3, 1.0, 1.4, 2.5, 5.0, 9.0])
AMD = st.sampled_from(
    [{}, {"amd": True}, {"amd": True, "on_machine": "continue"}, {"voicemail": "Please call us back."}]
)
LONGEST = 150.0
"""Seconds in which each of these has an outcome: four attempts to ask for it (two that hang), its ringing, the talk
with somebody silent, and every grace."""


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(CARRIERS),
    phone=PHONES,
    manners=MANNERS,
    faults=FAULTS,
    options=AMD,
    we_hang_up=MOMENTS,
    they_hang_up=MOMENTS,
)
def test_whatever_happens_there_is_an_outcome_and_nothing_stays_behind(
    kind, phone, manners, faults, options, we_hang_up, they_hang_up
):
    """Any telephone, webhooks in any manner, commands that fail or are slow, and hang-ups at any time."""

    async def whole() -> None:
        lab = CallLab()
        async with lab.network(HELLO, carrier=kind, webhooks=manners, **FAST) as network:
            network.phone(PERSON, phone)
            for fault in faults:
                network.cloud.fault(**fault)
            call = await network.engine.dial(PERSON, ring_timeout=10, **options)
            async with trio.open_nursery() as nursery:
                if they_hang_up is not None:
                    nursery.start_soon(put_down, network, they_hang_up)
                if we_hang_up is not None:
                    await trio.sleep(we_hang_up)
                    call.hang_up()
                with trio.fail_after(LONGEST):
                    outcome = await call.wait()
                nursery.cancel_scope.cancel()

            assert (outcome.call is not None) == bool(lab.calls)
            assert outcome.message_left <= (outcome.result == "voicemail")
            assert not network.engine._running.board.outgoing
            await trio.sleep(15)  # the story's grace, the last webhooks
            assert not network.engine.calls
            if all("status" not in fault and fault.get("answer_delay", 0) < 10 for fault in faults):
                assert not alive(network)
        lab.assert_nothing_left()

    trio.run(whole, clock=trio.testing.MockClock(autojump_threshold=0))


async def put_down(network, after: float) -> None:
    person = await network.answered(PERSON, timeout=1000)
    await trio.sleep(after)
    person.leg.hang_up()
