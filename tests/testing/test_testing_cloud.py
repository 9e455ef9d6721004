"""The simulated network: telephones do what they were told, people hear each other, things go wrong as ordered."""

from __future__ import annotations

import pytest
import trio
from fake_engine import ACCOUNT, BASE, CONNECT, call, cloud, update

from callengine.errors import ConfigurationError
from callengine.testing.clouds import (
    Answers,
    Busy,
    Declines,
    Machine,
    Manners,
    NetworkSettings,
    RingsOut,
    Unreachable,
    cloud_of,
)

ANNA = "+15550100002"
BERT = "+15550100003"
DIALLED = 0.1
FIRST_RING = 0.3


# --- telephones -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phone", "timeout", "states"),
    [
        (Answers(after=2.0), 30, [("initiated", 0.1), ("ringing", 0.3), ("answered", 2.3)]),
        (Busy(after=1.0), 30, [("initiated", 0.1), ("busy", 1.1)]),
        (Declines(after=2.0), 30, [("initiated", 0.1), ("ringing", 0.3), ("busy", 2.3)]),
        (RingsOut(), 20, [("initiated", 0.1), ("ringing", 0.3), ("no answer", 20.3)]),
        (Answers(after=25.0), 20, [("initiated", 0.1), ("ringing", 0.3), ("no answer", 20.3)]),
        (Unreachable(after=0.5), 30, [("initiated", 0.1), ("failed", 0.6)]),
        (None, 30, [("initiated", 0.1), ("failed", 0.6)]),
        (Machine(after=4.0), 30, [("initiated", 0.1), ("ringing", 0.3), ("answered", 4.3)]),
    ],
)
async def test_a_telephone_does_what_it_was_told(autojump_clock, phone, timeout, states):
    async with cloud() as (network, _, api):
        if phone is not None:
            network.phone(ANNA, phone)
        sid = await call(api, ANNA, Timeout=str(timeout))
        leg = network.leg(sid)
        await leg.settled.wait()
        assert [(state, pytest.approx(at)) for at, state in leg.states] == [("queued", 0.0), *states]


async def test_times_of_the_network_are_settings(autojump_clock):
    times = NetworkSettings(dialling=1.0, ring_delay=2.0)
    async with cloud(network=times) as (network, _, api):
        network.phone(ANNA, Answers(after=1.0))
        leg = network.leg(await call(api, ANNA))
        await leg.settled.wait()
        assert [at for at, _ in leg.states] == [0.0, 1.0, 3.0, 4.0]


async def test_whoever_answers_talks_with_the_engine(autojump_clock):
    async with cloud() as (network, engine, api):
        network.phone(ANNA, Answers(after=2.0))
        await call(api, ANNA)
        anna = await network.answered(ANNA)
        assert trio.current_time() == pytest.approx(2.3)
        await anna.hears("Good evening!")
        await anna.says("Good evening to you.")
        await anna.presses("12#")
        await anna.hangs_up()
        await trio.sleep(0.1)
    assert engine.heard == "Good evening to you."
    assert engine.keys == "12#"
    assert engine.ended == ["stopped", "closed"]


async def test_each_answered_call_is_given_once(autojump_clock):
    async with cloud() as (network, _, api):
        network.phone(ANNA, Answers(after=1.0))
        first, second = await call(api, ANNA), await call(api, ANNA)
        people = [await network.answered(ANNA), await network.answered(ANNA)]
        assert [person.leg.call_id for person in people] == [first, second]
        with pytest.raises(AssertionError, match="was not answered within 5 s"):
            await network.answered(ANNA, timeout=5)


async def test_a_machine_greets_beeps_and_records(autojump_clock):
    async with cloud() as (network, engine, api):
        engine.greeting = ""
        network.phone(ANNA, Machine(after=1.0, greeting="Leave a message", pause=0.5))
        sid = await call(api, ANNA)
        machine = await network.answered(ANNA)
        leg = network.leg(sid)
        await leg.greeting_over.wait()
        greeting = sum(len(word.audio) for word in network.vocabulary.speak("Leave a message")) / 8000
        assert trio.current_time() - leg.since("answered") == pytest.approx(0.5 + greeting + 0.5 + 0.4, abs=0.05)
        await machine.hangs_up()
        await trio.sleep(0.1)
    assert engine.heard == "Leave a message"


# --- people who hear each other -------------------------------------------------------------------------------------


async def test_people_who_are_connected_hear_each_other(autojump_clock):
    async with cloud() as (network, engine, _):
        network.phone(BERT, Answers(after=1.0))
        engine.documents["voice"] = f"<Response><Dial><Number>{BERT}</Number></Dial></Response>"
        anna = network.rings("+15005550006", ANNA)
        bert = await network.answered(BERT)
        await anna.says("Hello Bert")
        await bert.hears("Hello Bert")
        await bert.says("Hello Anna")
        await anna.hears("Hello Anna")
        await anna.presses("5")
        assert bert.leg.keys_heard == "5"
        await bert.hangs_up()
        await anna.is_hung_up_on(timeout=0.1)
    assert engine.starts == []


async def test_people_in_a_room_hear_each_other_until_one_leaves(autojump_clock):
    room = '<Response><Dial><Conference endConferenceOnExit="true" maxParticipants="2">r</Conference></Dial></Response>'
    async with cloud() as (network, engine, _):
        engine.documents["voice"] = room
        anna, bert = network.rings("+15005550006", ANNA), network.rings("+15005550006", BERT)
        await trio.sleep(1)
        late = network.rings("+15005550006", "+15550100009")
        await late.is_hung_up_on(timeout=1)  # there are two already
        await anna.says("Hello Bert")
        await bert.hears("Hello Bert")
        await bert.hangs_up()
        await anna.is_hung_up_on(timeout=0.1)
        assert network.rooms == {}


async def test_what_nobody_listens_to_is_lost(autojump_clock):
    async with cloud() as (network, engine, _):
        engine.documents["voice"] = f'<Response><Pause length="5"/>{CONNECT[10:]}'
        anna = network.rings("+15005550006", ANNA)
        await anna.says("Is anybody there")
        await anna.hears("Good evening!")
        await anna.says("At last")
        await anna.hangs_up()
        await trio.sleep(0.1)
    assert engine.heard == "At last"


# --- media streams --------------------------------------------------------------------------------------------------


async def test_a_redirected_leg_leaves_its_stream_at_once(autojump_clock):
    async with cloud() as (network, engine, api):
        network.phone(ANNA, Answers(after=1.0))
        engine.greeting = "One two three four five six"
        sid = await call(api, ANNA)
        anna = await network.answered(ANNA)
        await anna.hears("two")
        await update(api, sid, Twiml="<Response><Say>Please hold</Say><Pause length='1'/></Response>")
        await anna.hears("Please hold", timeout=3)
        assert "five" not in anna.heard
        assert engine.ended == ["stopped", "closed"]
        await anna.is_hung_up_on(timeout=2)


async def test_a_stream_that_the_engine_closes_ends_what_the_document_says(autojump_clock):
    async with cloud() as (network, engine, api):
        network.phone(ANNA, Answers(after=1.0))
        await call(api, ANNA)
        anna = await network.answered(ANNA)
        await anna.hears("Good evening!")
        engine.hangs_up.set()
        await anna.is_hung_up_on(timeout=0.1)


async def test_a_stream_that_is_not_let_in_is_told(autojump_clock):
    stream = CONNECT.replace("/token", '/token" statusCallback="https://voice.example.com/twilio/stream/x')
    async with cloud() as (network, engine, _):
        engine.refuses = 403
        engine.documents["voice"] = stream.replace("</Response>", "<Say>We are sorry</Say></Response>")
        anna = network.rings("+15005550006", ANNA)
        await anna.hears("We are sorry")
        await anna.is_hung_up_on(timeout=1)
    assert [form["StreamEvent"] for form in engine.of("/stream/")] == ["stream-error"]
    assert "31920" in engine.of("/stream/")[0]["StreamError"]
    assert network.unreached


async def test_a_dropped_connection_is_not_the_end_of_the_call(autojump_clock):
    async with cloud() as (network, engine, _):
        engine.documents["voice"] = CONNECT.replace("</Response>", "<Say>We were cut off</Say></Response>")
        anna = network.rings("+15005550006", ANNA)
        await anna.hears("Good evening!")
        anna.drops()
        await anna.hears("We were cut off")
    assert engine.ended == ["closed"]


# --- what goes wrong ------------------------------------------------------------------------------------------------


async def test_a_request_can_be_refused_as_often_as_wanted(autojump_clock):
    async with cloud() as (network, _, api):
        network.fault(status=429, retry_after="2", times=2)
        network.fault(status=503, body=b"<html>gateway</html>", path="Calls")
        answers = [await api.get(f"{ACCOUNT}/IncomingPhoneNumbers.json") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [429, 429, 200]
        assert (answers[0].json()["code"], answers[0].headers["retry-after"]) == (20429, "2")
        gateway = await api.post(f"{ACCOUNT}/Calls.json")
        assert (gateway.status_code, gateway.text) == (503, "<html>gateway</html>")
        assert network.legs == []
        assert [asked.status for asked in network.requests] == [429, 429, 200, 503]


async def test_an_answer_can_be_late_while_webhooks_are_not(autojump_clock):
    """A busy line is told before the command's own answer."""
    async with cloud() as (network, engine, api):
        network.phone(ANNA, Busy(after=0.2))
        network.fault(path="Calls.json", answer_delay=3.0)
        await call(api, ANNA)
        assert trio.current_time() == 3.0
        assert [form["CallStatus"] for form in engine.of("status")] == ["initiated", "busy"]


async def test_a_request_can_be_slow_to_be_done(autojump_clock):
    async with cloud() as (network, _, api):
        network.fault(method="POST", delay=3.0)
        await api.get(f"{ACCOUNT}/IncomingPhoneNumbers.json")
        assert trio.current_time() == 0.0
        leg = network.leg(await call(api, ANNA))
        assert leg.started_at == 3.0


async def test_webhooks_can_be_lost_late_and_delivered_twice(autojump_clock):
    def status(webhook):
        return webhook.fields.get("CallStatus")

    manners = Manners(
        delay=0.2,
        twice=True,
        lose=lambda webhook: status(webhook) == "ringing",
        late=lambda webhook: 5.0 if status(webhook) == "initiated" else 0.0,
    )
    async with cloud(webhooks=manners) as (network, engine, api):
        network.phone(ANNA, Declines(after=1.0))
        await call(api, ANNA)
        await trio.sleep(10)
    told = [(pytest.approx(at), form["CallStatus"], form["SequenceNumber"]) for at, _, form in engine.told]
    assert told == [(1.5, "busy", "2"), (2.0, "busy", "2"), (5.3, "initiated", "0"), (5.8, "initiated", "0")]


async def test_webhooks_can_overtake_each_other_the_same_way_each_time(autojump_clock):
    async def order(seed: int) -> list[str]:
        async with cloud(webhooks=Manners(jitter=4.0, seed=seed)) as (network, engine, api):
            network.phone(ANNA, Declines(after=0.5))
            await call(api, ANNA)
            await trio.sleep(10)
        return [form["SequenceNumber"] for form in engine.of("status")]

    orders = [await order(seed) for seed in range(6)]
    assert any(given != sorted(given) for given in orders)
    assert orders == [await order(seed) for seed in range(6)]


async def test_what_is_not_answered_in_time_is_sent_again(autojump_clock):
    async with cloud() as (network, engine, _):
        engine.delay = 20.0
        engine.documents["voice"] = CONNECT
        anna = network.rings("+15005550006", ANNA)
        await anna.is_hung_up_on(timeout=40)
    assert [at for at, _, _ in engine.told[:2]] == [pytest.approx(0.05), pytest.approx(16.05)]
    assert network.webhooks[0].status is None
    assert network.mistakes == ["11200: /twilio/voice: no answer"]


async def test_the_end_of_the_network_hangs_up_and_tells(autojump_clock):
    async with cloud() as (network, engine, api):
        network.phone(ANNA, Answers(after=1.0))
        await call(api, ANNA)
        anna = await network.answered(ANNA)
        await anna.hears("Good evening!")
    assert engine.ended == ["stopped", "closed"]
    assert engine.of("status")[-1]["CallStatus"] == "completed"
    assert BASE.endswith(network.name)


def test_an_unknown_carrier_has_no_network():
    with pytest.raises(ConfigurationError, match="no simulated network of 'bell': choose one of twilio"):
        cloud_of("bell")
