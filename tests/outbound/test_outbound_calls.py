"""Calls that go out: whole ones, through a simulated carrier's API and webhooks, in virtual time."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio

from callengine import Agent, ConfigurationError
from callengine.errors import EngineStopped, NotSupported
from callengine.testing.clouds import Answers, Busy, Declines, Machine, Manners, NetworkSettings, RingsOut, Unreachable

PERSON, OTHER = "+15005550101", "+15005550102"
HELLO = Agent(greeting="Hello, this is Chez Trio.")
FAST: dict[str, Any] = {"dials_per_second": math.inf}
CARRIERS = ["twilio", "signalwire", "telnyx", "plivo"]


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest) -> str:
    return request.param


# --- outcomes -----------------------------------------------------------------------------------------------------


async def test_a_person_who_answers_is_greeted_talked_to_and_hangs_up(call_lab, carrier):
    call_lab.llm.replies("See you then.")
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.phone(PERSON, Answers(after=3))
        call = await network.engine.dial(PERSON)
        person = await network.answered(PERSON)
        await person.hears("Chez Trio")
        await person.says("Yes, I am coming.")
        await person.hears("See you then")
        await person.hangs_up()
        outcome = await call.wait()

    assert (outcome.result, outcome.answered, outcome.number) == ("answered", True, PERSON)
    assert outcome.call is not None
    assert outcome.call.turns[-1].caller == "Yes, I am coming."
    assert call.call.direction == "outbound"
    assert (call.call.callee, call.call.person) == (PERSON, PERSON)
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("phone", [Answers(), Busy()])
async def test_the_conversation_can_be_waited_for(call_lab, phone):
    async with call_lab.network(HELLO) as network:
        network.phone(PERSON, phone)
        call = await network.engine.dial(PERSON)
        live = await call.connected()
        assert (live is None) == isinstance(phone, Busy)
        assert live is call.call
        call.hang_up()
        await call.wait()


@pytest.mark.parametrize(
    ("phone", "result"),
    [(Busy(), "busy"), (RingsOut(), "no answer"), (Declines(), "refused"), (Unreachable(), "failed")],
)
async def test_what_becomes_of_a_call_that_nobody_takes_is_said_with_the_carrier_s_reason(
    call_lab, carrier, phone, result
):
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.phone(PERSON, phone)
        call = await network.engine.dial(PERSON, ring_timeout=20)
        outcome = await call.wait()

    assert outcome.result == result
    assert outcome.reason
    assert outcome.call is None
    assert not outcome.answered
    assert outcome.ended_at - outcome.started_at <= 20.6
    call_lab.assert_nothing_left()


async def test_the_agent_hangs_up_by_command_and_the_carrier_closes_the_socket_first(call_lab, carrier):
    async def story(call):
        await call.say("Goodbye.")
        await call.hang_up("all said")

    async with call_lab.network(story, carrier=carrier) as network:
        network.phone(PERSON, Answers())
        call = await network.engine.dial(PERSON)
        person = await network.answered(PERSON)
        await person.hears("Goodbye")
        outcome = await call.wait()
        leg = network.cloud.legs[0]

        assert (outcome.call.ended_by, outcome.call.reason) == ("agent", "all said")
        assert leg.over.is_set()
        assert not leg.streams[0].closed_by_engine


async def test_hanging_up_while_it_rings_cancels_the_call(call_lab, carrier):
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.phone(PERSON, RingsOut())
        call = await network.engine.dial(PERSON)
        leg = await network.ringing(PERSON)
        await trio.sleep(2)
        call.hang_up("changed our mind")
        outcome = await call.wait()

        assert outcome.result == "canceled"
        assert leg.over.is_set()
        assert trio.current_time() < 5


async def test_cancelling_the_wait_hangs_up(call_lab, carrier):
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.phone(PERSON, Answers(after=1))
        call = await network.engine.dial(PERSON)
        with trio.move_on_after(10) as scope:
            await call.wait()
        await call.settled()

        assert scope.cancelled_caught
        assert call.outcome.result == "answered"
        assert network.cloud.legs[0].over.is_set()
        assert trio.current_time() < 12


# --- answering machines -------------------------------------------------------------------------------------------


async def test_a_message_is_left_when_the_machine_records(call_lab, carrier):
    async def story(call):
        while True:
            await call.listen()

    found = []
    async with call_lab.network(story, carrier=carrier) as network:
        network.phone(PERSON, Machine(greeting="We are not at home. Leave a message after the beep."))
        call = await network.engine.dial(PERSON, voicemail="Please call us back.", on_answered_by=found.append)
        machine = await network.answered(PERSON)
        await machine.hears("Please call us back.")
        outcome = await call.wait()
        leg = network.cloud.legs[0]

        assert leg.greeting_over.is_set()
        assert machine.heard == "Please call us back."  # nothing was said into the greeting
    assert (outcome.result, outcome.answered_by, outcome.message_left) == ("voicemail", "machine", True)
    assert found == ["machine"]
    assert outcome.call.reason == "left a message on an answering machine"
    call_lab.assert_nothing_left()


async def test_a_program_that_is_done_with_the_greeting_does_not_hang_up_on_the_message(call_lab, carrier):
    async def story(call):
        await call.say("Hello, will you come tonight?")
        await call.listen(timeout=2)
        await call.hang_up("answered")

    async with call_lab.network(story, carrier=carrier) as network:
        network.phone(PERSON, Machine(greeting="We are not at home. Leave a message after the beep."))
        call = await network.engine.dial(PERSON, voicemail="Please call us back.")
        machine = await network.answered(PERSON)
        await machine.hears("Please call us back.")
        outcome = await call.wait()

    assert (outcome.result, outcome.message_left) == ("voicemail", True)
    call_lab.assert_nothing_left()


async def test_a_person_is_hung_up_on_as_soon_as_it_is_known_that_it_is_one(call_lab):
    async def story(call):
        await call.say("Hello.")
        await call.hang_up()

    async with call_lab.network(story, times=NetworkSettings(human=4.0)) as network:
        network.phone(PERSON, Answers(after=1))
        outcome = await (await network.engine.dial(PERSON, voicemail="Please call us back.")).wait()
        network.phone(OTHER, Answers(after=1, taken_for="unknown"))
        network.cloud._deliveries.manners = Manners(lose=lambda webhook: "/amd/" in webhook.url)
        never = await (await network.engine.dial(OTHER, voicemail="Please call us back.")).wait()

    assert (outcome.result, outcome.answered_by) == ("answered", "human")
    assert outcome.call.duration == pytest.approx(4.0, abs=0.2)
    assert never.call.duration == pytest.approx(15.0, abs=0.2)


async def test_a_machine_is_hung_up_on_where_there_is_no_message(call_lab, carrier):
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.phone(PERSON, Machine(greeting="We are not at home, " * 8))
        call = await network.engine.dial(PERSON, amd=True)
        outcome = await call.wait()

    assert (outcome.result, outcome.message_left) == ("voicemail", False)
    assert outcome.call.reason == "an answering machine answered"
    assert outcome.ended_at < 15


async def test_the_program_may_talk_to_machines(call_lab):
    async def story(call):
        await call.listen()
        await call.say("Talking to a machine.")
        await call.hang_up()

    async with call_lab.network(story) as network:
        network.phone(PERSON, Machine(greeting="Leave a message."))
        call = await network.engine.dial(PERSON, amd=True, on_machine="continue")
        machine = await network.answered(PERSON)
        await machine.hears("Talking to a machine.")
        outcome = await call.wait()

    assert (outcome.result, outcome.answered_by) == ("voicemail", "machine")


@pytest.mark.parametrize("late", [0.0, 1.0])
async def test_a_machine_found_out_before_or_after_the_end_is_voicemail(call_lab, late):
    """A48."""

    async def story(call):
        await call.say("Hello.")
        await trio.sleep_until(4.6)
        await call.hang_up()

    def later(webhook):
        return late if "/amd/" in webhook.url else 0.0  # the verdict is made 3 s after the answer at 1.3

    async with call_lab.network(story, webhooks=Manners(late=later)) as network:
        network.phone(PERSON, Machine(after=1, greeting="Leave a message."))
        call = await network.engine.dial(PERSON, amd=True, on_machine="continue")
        outcome = await call.wait()

    assert outcome.result == "voicemail"


async def test_concurrent_calls_each_hear_of_their_own_machine(call_lab, carrier):
    """A50."""
    found: dict[str, list[str]] = {PERSON: [], OTHER: []}

    async def story(call):
        await call.say("Hello.")
        await trio.sleep(8)
        await call.hang_up()

    async with call_lab.network(story, carrier=carrier, **FAST) as network:
        network.phone(PERSON, Machine(greeting="Leave a message after the beep."))
        network.phone(OTHER, Answers())
        options = {"amd": True, "on_machine": "continue"}
        first = await network.engine.dial(PERSON, on_answered_by=found[PERSON].append, **options)
        second = await network.engine.dial(OTHER, on_answered_by=found[OTHER].append, **options)
        outcomes = [await first.wait(), await second.wait()]

    assert [outcome.result for outcome in outcomes] == ["voicemail", "answered"]
    assert found[PERSON] == ["machine"]
    assert found[OTHER] in (["human"], [])  # Plivo tells of machines only


# --- order, loss, repetition --------------------------------------------------------------------------------------


async def test_busy_that_overtakes_the_answer_to_the_request_is_not_lost(call_lab, carrier):
    """A46."""
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.phone(PERSON, Busy(after=0.2))
        network.cloud.fault(method="POST", answer_delay=5.0)
        call = await network.engine.dial(PERSON)
        outcome = await call.wait()

    assert outcome.result == "busy"
    assert outcome.ended_at < 6


async def test_webhooks_that_come_twice_and_out_of_order_change_nothing(call_lab, carrier):
    manners = Manners(twice=True, jitter=1.0, seed=7)
    async with call_lab.network(HELLO, carrier=carrier, webhooks=manners) as network:
        network.phone(PERSON, Answers())
        call = await network.engine.dial(PERSON)
        person = await network.answered(PERSON)
        await person.hears("Chez Trio")
        await person.hangs_up()
        outcome = await call.wait()

    assert outcome.result == "answered"
    assert len(call_lab.calls) == 1


async def test_a_call_without_any_status_still_has_an_outcome(call_lab):
    async with call_lab.network(HELLO, webhooks=Manners(lose=lambda webhook: "status" in webhook.url)) as network:
        network.phone(PERSON, Answers())
        call = await network.engine.dial(PERSON)
        person = await network.answered(PERSON)
        await person.hears("Chez Trio")
        await person.hangs_up()
        answered = await call.wait()
        network.phone(OTHER, RingsOut())
        silent = await (await network.engine.dial(OTHER, ring_timeout=10)).wait()

    assert answered.result == "answered"
    assert silent.result == "no answer"
    assert "said nothing for 25 s" in silent.reason


async def test_a_request_without_an_answer_that_was_done_all_the_same_is_a_call(call_lab):
    async with call_lab.network(HELLO) as network:
        network.phone(PERSON, Answers(after=4))
        network.cloud.fault(method="POST", answer_delay=60.0)
        call = await network.engine.dial(PERSON)
        person = await network.answered(PERSON)
        await person.hears("Chez Trio")
        await person.hangs_up()
        outcome = await call.wait()

    assert outcome.result == "answered"


async def test_too_many_requests_are_waited_for(call_lab, carrier):
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.phone(PERSON, Busy())
        network.cloud.fault(status=429, method="POST", times=2)
        outcome = await (await network.engine.dial(PERSON)).wait()

    assert outcome.result == "busy"
    assert 3 <= outcome.ended_at < 6


@pytest.mark.parametrize("status", [401, 400, 500])
async def test_a_carrier_that_will_not_is_an_outcome(call_lab, carrier, status):
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.phone(PERSON, Answers())
        network.cloud.fault(status=status, method="POST", times=10)
        outcome = await (await network.engine.dial(PERSON)).wait()

    assert outcome.result == "failed"
    assert carrier in outcome.reason
    assert not network.cloud.legs
    call_lab.assert_nothing_left()


# --- programs, caps, engines that stop ----------------------------------------------------------------------------


async def test_the_agent_of_the_dial_is_the_one_that_speaks(call_lab, carrier):
    """A49."""
    async with call_lab.network(HELLO, carrier=carrier) as network:
        network.phone(PERSON, Answers())
        other = Agent(greeting="Quite another agent.", stt=call_lab.stt, tts=call_lab.tts, llm=call_lab.llm, aec="off")
        call = await network.engine.dial(PERSON, agent=other)
        person = await network.answered(PERSON)
        await person.hears("Quite another agent.")
        call.hang_up()
        await call.wait()


async def test_dialling_is_no_faster_than_its_rate(call_lab):
    async with call_lab.network(HELLO, dials_per_second=0.5) as network:
        for number in (PERSON, OTHER, "+15005550103"):
            network.phone(number, Busy(after=0.1))
        calls = [await network.engine.dial(number) for number in (PERSON, OTHER, "+15005550103")]
        outcomes = [await call.wait() for call in calls]

    assert [outcome.started_at for outcome in outcomes] == [0.0, 2.0, 4.0]


async def test_there_are_no_more_calls_at_once_than_allowed(call_lab):
    async with call_lab.network(HELLO, max_outbound_calls=1, **FAST) as network:
        network.phone(PERSON, RingsOut())
        network.phone(OTHER, Busy(after=0.1))
        first = await network.engine.dial(PERSON, ring_timeout=10)
        second = await network.engine.dial(OTHER)
        outcomes = [await first.wait(), await second.wait()]

    assert outcomes[1].started_at == outcomes[0].ended_at


async def test_a_call_that_waits_for_its_turn_can_be_hung_up(call_lab):
    async with call_lab.network(HELLO, max_outbound_calls=1, **FAST) as network:
        network.phone(PERSON, RingsOut())
        first = await network.engine.dial(PERSON)
        second = await network.engine.dial(OTHER)
        await trio.sleep(1)
        second.hang_up()
        outcome = await second.wait()
        first.hang_up()
        await first.wait()

    assert (outcome.result, outcome.ended_at) == ("canceled", 1.0)
    assert len(network.cloud.legs) == 1


async def test_draining_hangs_up_what_rings_and_dials_nobody(call_lab):
    async with call_lab.network(HELLO) as network:
        network.phone(PERSON, RingsOut())
        call = await network.engine.dial(PERSON)
        await network.ringing(PERSON)
        await network.engine.drain()
        outcome = await call.wait()

        assert (outcome.result, outcome.reason) == ("canceled", "the engine is draining")
        with pytest.raises(EngineStopped, match="draining"):
            await network.engine.dial(PERSON)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"to": "0800 call"}, "E.164"),
        ({"carrier": "nobody"}, "no carrier is named 'nobody'"),
        ({"ring_timeout": 1}, "5 to 600"),
        ({"sender": "me"}, "E.164"),
        ({"send_digits": "1", "voicemail": "Hello"}, "either send_digits or amd"),
        ({"carrier": "audiosocket"}, "audiosocket cannot call anybody"),
    ],
)
async def test_what_cannot_be_dialled_is_said_before_anything_happens(call_lab, options, words):
    async with call_lab.network(HELLO) as network:
        with pytest.raises((ConfigurationError, NotSupported), match=words):
            await network.engine.dial(**({"to": PERSON} | options))
        assert not network.cloud.requests


async def test_settings_of_a_dial_reach_the_carrier(call_lab):
    async with call_lab.network(HELLO) as network:
        network.phone(PERSON, Busy())
        await (
            await network.engine.dial(
                PERSON, sender=OTHER, ring_timeout=17, max_duration=300, send_digits="ww12#", carrier="twilio"
            )
        ).wait()
        fields = network.cloud.requests[0].fields

    assert (fields["From"], fields["Timeout"], fields["TimeLimit"]) == (OTHER, "17", "300")
    assert fields["SendDigits"] == "ww12#"
