"""How a call is hung up: the carrier ends its leg first, and nobody waits for a carrier that does not."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
from lab_calls import CLOUD, decisions

from callengine import Agent
from callengine.call.settings import CallSettings
from callengine.testing.clouds import Answers

CALLER, HUMAN = "+15005550101", "+15005550102"
AT = 3.0
"""When the story hangs up."""
GOODBYE = 5.0
"""Seconds that the carrier has."""
FRAME = 0.02


@pytest.fixture(params=["twilio", "signalwire", "telnyx", "plivo"])
def carrier(request: pytest.FixtureRequest) -> str:
    return request.param


async def hangs_up(call):
    await trio.sleep_until(AT)
    await call.hang_up("all said")


@asynccontextmanager
async def calling(lab, story, **options):
    """A caller who is connected, and when his call was over for the engine (its socket closed)."""
    ends: list[float] = []
    async with lab.network(story, **options) as network:
        network.engine.on_call_end(lambda _: ends.append(trio.current_time()))
        caller = network.rings(caller=CALLER)
        with trio.fail_after(2):
            while not network.engine.calls:
                await trio.sleep(0.01)
        yield network, caller, ends


def hang_ups(network) -> list[tuple[float, int | None]]:
    """When the carrier was asked to end a leg, and what it answered."""
    return [
        (round(asked.at, 3), asked.status)
        for asked in network.cloud.requests
        if asked.fields.get("Status") == "completed" or "hangup" in asked.path or asked.method == "DELETE"
    ]


def only_says_so(network, monkeypatch) -> None:
    """A carrier that says that it hangs up, and does not as long as there is a media stream."""
    hang_up = network.cloud.hang_up

    def pretend(leg) -> None:
        if leg.stream is None or leg.stream.over.is_set():
            hang_up(leg)

    monkeypatch.setattr(network.cloud, "hang_up", pretend)


# --- the usual way ------------------------------------------------------------------------------------------------


async def test_the_carrier_is_asked_first_and_closes_the_socket(call_lab, carrier):
    async with calling(call_lab, hangs_up, carrier=carrier) as (network, caller, ends):
        await caller.is_hung_up_on()
        leg = network.cloud.legs[0]
        await trio.sleep(0.1)

        assert [at for at, _ in hang_ups(network)] == [AT]
        assert leg.states[-1] == (AT, "completed")
        assert not leg.streams[0].closed_by_engine
        assert AT <= ends[0] <= AT + 2 * FRAME
    assert call_lab.call.outcome.ended_at == AT
    assert (call_lab.call.outcome.ended_by, call_lab.call.outcome.reason) == ("agent", "all said")
    assert decisions(call_lab, "hang up")
    assert not decisions(call_lab, "close the socket")
    call_lab.assert_nothing_left()


async def test_a_carrier_that_never_closes_has_five_seconds(call_lab, carrier, monkeypatch):
    async with calling(call_lab, hangs_up, carrier=carrier) as (network, _, ends):
        only_says_so(network, monkeypatch)
        await trio.sleep_until(AT + GOODBYE - 0.01)
        assert not ends
        await trio.sleep(0.1)

        assert ends == [pytest.approx(AT + GOODBYE, abs=0.001)]
        assert network.cloud.legs[0].streams[0].closed_by_engine
        assert len(hang_ups(network)) == 1
        monkeypatch.undo()
    assert decisions(call_lab, "close the socket") == ["the carrier has not closed it within 5 s"]
    call_lab.assert_nothing_left()


async def test_how_long_the_carrier_has_is_a_setting(call_lab, carrier, monkeypatch):
    settings = CallSettings(goodbye=1.5)
    async with calling(call_lab, hangs_up, carrier=carrier, settings=settings) as (network, _, ends):
        only_says_so(network, monkeypatch)
        await trio.sleep_until(AT + 2)

        assert ends == [pytest.approx(AT + 1.5, abs=0.001)]
        monkeypatch.undo()


async def test_a_carrier_that_closes_in_its_time_is_waited_for(call_lab, carrier, monkeypatch):
    async with calling(call_lab, hangs_up, carrier=carrier) as (network, caller, ends):
        only_says_so(network, monkeypatch)
        await trio.sleep_until(AT + 3)
        monkeypatch.undo()
        await caller.hangs_up()
        await trio.sleep(0.1)

        assert AT + 3 <= ends[0] <= AT + 3 + 2 * FRAME
        assert not network.cloud.legs[0].streams[0].closed_by_engine


# --- commands that do not work ------------------------------------------------------------------------------------


async def test_where_the_carrier_will_not_the_socket_is_closed_at_once(call_lab, carrier):
    async with calling(call_lab, hangs_up, carrier=carrier) as (network, _, ends):
        network.cloud.fault(status=400)
        await trio.sleep_until(AT + 0.1)

        assert ends == [pytest.approx(AT, abs=0.001)]
        assert network.cloud.legs[0].streams[0].closed_by_engine
        assert hang_ups(network) == [(AT, 400)]
    assert decisions(call_lab, "close the socket")
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"answer_delay": 1000.0}, {"delay": 1000.0}])
async def test_a_command_that_fails_again_and_again_or_hangs_is_given_five_seconds(call_lab, carrier, fault):
    async with calling(call_lab, hangs_up, carrier=carrier) as (network, _, ends):
        network.cloud.fault(**fault, times=100)
        await trio.sleep_until(AT + GOODBYE + 0.1)

        assert len(ends) == 1
        assert ends[0] <= AT + GOODBYE + 0.001
        assert network.engine.calls == ()
        network.cloud.app.faults.clear()
    assert call_lab.call.outcome.ended_at == AT
    call_lab.assert_nothing_left()


async def test_a_command_that_works_at_the_second_try_is_enough(call_lab, carrier):
    async with calling(call_lab, hangs_up, carrier=carrier) as (network, caller, ends):
        network.cloud.fault(status=503)
        await caller.is_hung_up_on()
        await trio.sleep(0.1)

        assert hang_ups(network)[0][1] == 503
        assert len(hang_ups(network)) == 2
        assert AT + 1 <= ends[0] <= AT + 1.3
        assert not network.cloud.legs[0].streams[0].closed_by_engine


async def test_a_fault_of_ours_in_a_command_leaves_no_socket_open(call_lab, carrier, monkeypatch, caplog):
    async with calling(call_lab, hangs_up, carrier=carrier) as (network, _, ends):

        async def breaks() -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(call_lab.call._leg, "hang_up", breaks)
        await trio.sleep_until(AT + 0.2)

        assert ends
        assert network.engine.calls == ()
        assert network.cloud.legs[0].streams[0].over.is_set()
    assert "a bug" in caplog.text
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("kind", ["twilio", "signalwire", "telnyx", "plivo", "audiosocket"])
async def test_without_keys_for_commands_the_socket_is_closed(call_lab, kind):
    async with call_lab.dial(hangs_up, carrier=kind) as caller:
        await caller.is_hung_up_on()

        assert caller.leg.closed_by_engine
        assert AT <= trio.current_time() <= AT + 2 * FRAME
    call_lab.assert_nothing_left()


# --- whoever ends it ----------------------------------------------------------------------------------------------


async def test_nothing_is_asked_of_a_carrier_that_said_stop(call_lab, carrier):
    async def story(call):
        await call.listen()

    async with calling(call_lab, story, carrier=carrier) as (network, caller, ends):
        await trio.sleep_until(AT)
        await caller.hangs_up()
        await trio.sleep(0.3)

        assert not hang_ups(network)
        assert AT <= ends[0] <= AT + 2 * FRAME
    assert call_lab.call.outcome.ended_by == "caller"
    call_lab.assert_nothing_left()


async def test_a_leg_whose_socket_breaks_without_a_word_is_hung_up(call_lab, carrier):
    """Nobody would speak to the caller any more."""

    async def story(call):
        await call.listen()

    async with calling(call_lab, story, carrier=carrier) as (network, caller, ends):
        await trio.sleep_until(AT)
        caller.drops()
        await trio.sleep(0.3)

        assert {at for at, _ in hang_ups(network)} == {AT}
        assert network.cloud.legs[0].over.is_set()
        assert ends == [pytest.approx(AT, abs=0.3)]
    assert "without a stop" in call_lab.call.outcome.reason
    call_lab.assert_nothing_left()


async def test_a_call_that_fails_is_hung_up_too(call_lab, carrier):
    async def story(call):
        await trio.sleep_until(AT)
        raise ValueError("a bug of the story")

    async with calling(call_lab, story, carrier=carrier, agent=Agent(farewell="Goodbye.")) as (network, caller, _):
        await caller.hears("Goodbye.")
        await caller.is_hung_up_on()

        assert len(hang_ups(network)) == 1
        assert not network.cloud.legs[0].streams[0].closed_by_engine
    assert call_lab.call.outcome.ended_by == "failed"


async def test_drained_calls_are_hung_up_by_the_carrier(call_lab, carrier):
    async def story(call):
        await call.listen()

    agent = Agent(drain_notice="We have to stop.")
    async with calling(call_lab, story, carrier=carrier, agent=agent, drain_timeout=1.0) as (network, caller, _):
        await network.engine.drain()

        assert "We have to stop." in caller.heard
        assert len(hang_ups(network)) == 1
        assert not network.cloud.legs[0].streams[0].closed_by_engine
    call_lab.assert_nothing_left()


# --- callers who were handed over ---------------------------------------------------------------------------------


async def test_a_caller_who_was_handed_over_is_not_hung_up(call_lab, carrier):
    async def story(call):
        await trio.sleep_until(AT)
        await call.transfer(HUMAN)

    async with calling(call_lab, story, carrier=carrier, agent=Agent(may_reach=(HUMAN,))) as (network, caller, ends):
        network.phone(HUMAN, Answers(after=1))
        human = await network.answered(HUMAN)
        await human.says("The desk here.")
        await caller.hears("The desk here.")

        assert not hang_ups(network)
        assert ends[0] <= AT + 1
    call_lab.assert_nothing_left()


@CLOUD
async def test_a_stream_that_outlives_the_hand_over_is_closed_after_five_seconds(call_lab, monkeypatch):
    async def story(call):
        await trio.sleep_until(AT)
        await call.transfer(HUMAN)

    async with calling(call_lab, story, agent=Agent(may_reach=(HUMAN,))) as (network, _, ends):
        leg = network.cloud.legs[0]
        monkeypatch.setattr(leg, "instruct", lambda _: None)  # done, as the answer says, but not yet
        await trio.sleep_until(AT + GOODBYE + 0.1)

        assert ends == [pytest.approx(AT + GOODBYE, abs=0.001)]
        assert leg.streams[0].closed_by_engine
        assert not hang_ups(network)
