"""An engine and the simulated Telnyx: webhooks, commands and media streams, from end to end."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
import trio
from trio.testing import MockClock

from callengine import Agent
from callengine.audio.g711 import MULAW
from callengine.errors import TransferFailed
from callengine.telephony import IncomingMessage, MessageProgress, RecordingReady, Refuse
from callengine.testing import CallLab
from callengine.testing.accounts import SENDER, TELNYX_CONNECTION, TELNYX_KEY
from callengine.testing.carrier import CarrierSettings
from callengine.testing.clouds import Answers, Busy, Declines, Machine, Manners, RingsOut, Unreachable
from callengine.testing.clouds.telnyx import TelnyxCloud
from callengine.testing.network import Network

BOB = "+15005550010"
DESK = "+15005550011"
AGENT = Agent(may_reach=(DESK, "sip:desk@pbx.example.com"))


async def hello(call: Any) -> None:
    await call.say("Hello there.")
    await call.listen()
    await call.say("Goodbye then.")


def commands(network: Network) -> list[str]:
    """The names of what was asked, in order."""
    return [asked.path.rpartition("/")[2] for asked in network.cloud.requests]


def events(network: Network) -> list[str]:
    """The webhooks' events, in the order of their deliveries."""
    return [delivered.fields["event_type"] for delivered in network.cloud.webhooks]


# --- calls in -----------------------------------------------------------------------------------------------------


async def test_a_whole_call_that_comes_in(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="telnyx") as network:
        caller = network.rings()
        await caller.hears("Hello there.")
        await caller.says("Thanks.")
        await caller.hears("Goodbye then.")
        await caller.is_hung_up_on()

        assert commands(network) == ["answer", "hangup"]
        await trio.sleep(1)
        assert sorted(events(network)) == [
            "call.answered",
            "call.hangup",
            "call.initiated",
            "streaming.started",
            "streaming.stopped",
        ]
        assert {delivered.status for delivered in network.cloud.webhooks} == {204}
    [outcome] = call_lab.outcomes
    assert (outcome.ended_by, outcome.reason) == ("agent", "the story ended")


@pytest.mark.parametrize(
    "options",
    [
        {"inbound": "PCMA"},
        {"codec": "PCMA"},
        {"codec": "PCMA", "inbound": "PCMU"},
        {"shuffled": 3},
        {"sort": True, "shuffled": 7},
    ],
)
async def test_it_is_understood_on_every_line(call_lab: CallLab, options: dict[str, Any]) -> None:
    async with call_lab.network(hello, carrier=CarrierSettings(kind="telnyx", options=options)) as network:
        caller = network.rings()
        await caller.hears("Hello there.")
        await caller.says("Thanks.")
        await caller.hears("Goodbye then.")
    assert [turn.caller for turn in call_lab.outcomes[0].turns if turn.caller] == ["Thanks."]


@pytest.mark.parametrize("options", [{"byte_order": "big"}, {"byte_order": "little"}, {"inbound": "PCMU"}])
async def test_a_wide_line_is_started_when_the_call_is_up(call_lab: CallLab, options: dict[str, Any]) -> None:
    """The lab's words do not survive another sample rate; that the agent is heard, and hears, can be seen."""
    settings = CarrierSettings(kind="telnyx", options={"codec": "L16", **options})
    async with call_lab.network(hello, carrier=settings) as network:
        caller = network.rings()
        await trio.sleep(3)
        spoken = MULAW.decode(network.cloud.legs[0].queue.played_audio(trio.current_time())).astype(float)
        await caller.says("Thanks.")
        await trio.sleep(1)
        assert commands(network)[:2] == ["answer", "streaming_start"]
        assert np.sqrt(np.mean(spoken**2)) > 2000
    assert [outcome.ended_by for outcome in call_lab.outcomes] == ["caller"]


@pytest.mark.parametrize(
    "manners",
    [
        Manners(twice=True),
        Manners(jitter=1.0, seed=3),
        Manners(lose=lambda webhook: webhook.fields["event_type"] not in ("call.initiated", "call.hangup")),
    ],
)
async def test_webhooks_twice_out_of_order_and_lost(call_lab: CallLab, manners: Manners) -> None:
    async with call_lab.network(hello, carrier="telnyx", webhooks=manners) as network:
        caller = network.rings()
        await caller.hears("Hello there.")
        await trio.sleep(2)
        assert commands(network) == ["answer"]
        await caller.hangs_up()
    assert [outcome.ended_by for outcome in call_lab.outcomes] == ["caller"]


async def test_events_spelt_with_underscores(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="telnyx") as network:
        assert isinstance(network.cloud, TelnyxCloud)
        network.cloud.underscores = True
        await network.rings().hears("Hello there.")
        assert "call_initiated" in events(network)


async def test_a_number_that_is_refused_hears_busy_or_why(call_lab: CallLab) -> None:
    async def router(call: Any) -> Any:
        return Refuse() if call.caller.endswith("1") else Refuse("We are closed.")

    async with call_lab.network(hello, carrier="telnyx", router=router) as network:
        network.rings(caller="+15550100001")
        network.rings(caller="+15550100002")
        await trio.sleep(10)
        assert sorted(commands(network)) == ["answer", "hangup", "reject", "speak"]
        assert [words for _, words in network.cloud.said] == ["We are closed."]
        assert all(leg.over.is_set() for leg in network.cloud.legs)


# --- calls out ----------------------------------------------------------------------------------------------------


async def test_a_call_out_is_answered(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="telnyx") as network:
        network.phone(BOB, Answers(after=2.0))
        call = await network.engine.dial(BOB, send_digits="w12")
        person = await network.answered(BOB)
        await person.hears("Hello there.")
        await person.says("Thanks.")
        outcome = await call.wait()

        assert (outcome.result, outcome.reason) == ("answered", "the story ended")
        assert commands(network) == ["calls", "hangup"]
        assert network.cloud.requests[0].fields["from"] == SENDER
        assert network.cloud.legs[0].keys_heard == "12"


@pytest.mark.parametrize(
    ("phone", "result", "reason"),
    [
        (Busy(), "busy", "user_busy"),
        (RingsOut(), "no answer", "timeout"),
        (Declines(), "refused", "call_rejected"),
        (Unreachable(), "failed", "not_found"),
    ],
)
async def test_a_call_out_that_nobody_takes(call_lab: CallLab, phone: Any, result: str, reason: str) -> None:
    async with call_lab.network(hello, carrier="telnyx") as network:
        network.phone(BOB, phone)
        outcome = await (await network.engine.dial(BOB, ring_timeout=6.0)).wait()
    assert (outcome.result, outcome.reason) == (result, reason)


async def test_busy_before_the_answer_to_the_request_is_not_lost(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="telnyx") as network:
        network.phone(BOB, Busy(after=0.2))
        network.cloud.fault(path="/calls", answer_delay=3.0)
        outcome = await (await network.engine.dial(BOB)).wait()
    assert outcome.result == "busy"


async def test_a_request_without_an_answer_is_repeated_and_nobody_called_twice(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="telnyx") as network:
        network.phone(BOB, Answers(after=15.0))
        network.cloud.fault(path="/calls", answer_delay=30.0)
        call = await network.engine.dial(BOB)
        await (await network.answered(BOB)).hears("Hello there.")
        assert commands(network) == ["calls", "calls"]
        assert len(network.cloud.legs) == 1
        call.hang_up()


async def test_a_machine_gets_the_message_after_its_beep(call_lab: CallLab) -> None:
    async def program(call: Any) -> None:
        await call.say("Hello there.")
        await trio.sleep(60)

    async with call_lab.network(program, carrier="telnyx") as network:
        network.phone(BOB, Machine())
        call = await network.engine.dial(BOB, voicemail="Call us back.")
        machine = await network.answered(BOB)
        await machine.hears("Call us back.")
        outcome = await call.wait()
        assert (outcome.result, outcome.message_left) == ("voicemail", True)
        assert [event for event in events(network) if "machine" in event] == [
            "call.machine.premium.detection.ended",
            "call.machine.premium.greeting.ended",
        ]


async def test_hanging_up_a_call_that_rings_cancels_it(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="telnyx") as network:
        network.phone(BOB, RingsOut())
        call = await network.engine.dial(BOB)
        await network.ringing(BOB)
        call.hang_up()
        outcome = await call.wait()
        assert outcome.result == "canceled"
        assert network.cloud.legs[0].over.is_set()


# --- handing over -------------------------------------------------------------------------------------------------


async def hand_over(call: Any) -> None:
    await call.say("I put you through.")
    await call.transfer(DESK, timeout=8.0)


async def test_a_cold_transfer(call_lab: CallLab) -> None:
    async with call_lab.network(hand_over, agent=AGENT, carrier="telnyx") as network:
        network.phone(DESK, Answers(after=1.0))
        caller = network.rings()
        desk = await network.answered(DESK)
        await desk.says("The desk speaking.")
        await caller.hears("The desk speaking.")
        assert commands(network) == ["answer", "streaming_stop", "transfer"]
        assert events(network).count("call.bridged") == 2
        await desk.hangs_up()
        await trio.sleep(1)
        assert all(leg.over.is_set() for leg in network.cloud.legs)


@pytest.mark.parametrize("phone", [Busy(), RingsOut(), Declines()])
async def test_a_caller_comes_back_from_a_transfer_that_nobody_took(call_lab: CallLab, phone: Any) -> None:
    async def program(call: Any) -> None:
        if call.came_back:
            await call.say("Nobody is there.")
        else:
            await hand_over(call)

    async with call_lab.network(program, agent=AGENT, carrier="telnyx") as network:
        network.phone(DESK, phone)
        caller = network.rings()
        await caller.hears("I put you through. Nobody is there.", timeout=30)
        assert commands(network)[:4] == ["answer", "streaming_stop", "transfer", "streaming_start"]


async def test_a_warm_transfer(call_lab: CallLab) -> None:
    async def program(call: Any) -> None:
        await call.transfer_warm(DESK, briefing="Ann wants a table.")

    async with call_lab.network(program, agent=AGENT, carrier="telnyx") as network:
        network.phone(DESK, Answers(after=1.0))
        caller = network.rings()
        desk = await network.answered(DESK)
        await desk.hears("Ann wants a table.", timeout=20)
        await desk.presses("1")
        await trio.sleep(5)
        await desk.says("Good evening Ann.")
        await caller.hears("Good evening Ann.", timeout=20)
        assert commands(network) == ["answer", "calls", "streaming_stop", "streaming_stop", "bridge"]
        await caller.hangs_up()
        await trio.sleep(1)
        assert all(leg.over.is_set() for leg in network.cloud.legs)


async def test_a_warm_transfer_that_nobody_takes(call_lab: CallLab) -> None:
    async def program(call: Any) -> None:
        try:
            await call.transfer_warm(DESK, briefing="Ann wants a table.")
        except TransferFailed as failed:
            await call.say(f"They are {failed.result}.")

    async with call_lab.network(program, agent=AGENT, carrier="telnyx") as network:
        network.phone(DESK, Busy())
        await network.rings().hears("They are busy.", timeout=20)


@pytest.mark.parametrize("taken", [True, False])
async def test_a_refer(call_lab: CallLab, taken: bool) -> None:
    async def program(call: Any) -> None:
        if call.came_back:
            await call.say("They did not take you.")
        else:
            await call.refer("sip:desk@pbx.example.com")

    async with call_lab.network(program, agent=AGENT, carrier="telnyx") as network:
        assert isinstance(network.cloud, TelnyxCloud)
        if not taken:
            network.cloud.refusals["sip:desk@pbx.example.com"] = 486
        caller = network.rings()
        if taken:
            await trio.sleep(3)
            assert network.cloud.legs[0].over.is_set()
            assert commands(network) == ["answer", "streaming_stop", "refer"]
        else:
            await caller.hears("They did not take you.", timeout=20)


# --- keys, recordings, messages -----------------------------------------------------------------------------------


async def test_keys_out_and_a_recording(call_lab: CallLab) -> None:
    ready: list[RecordingReady] = []

    async def program(call: Any) -> None:
        recording = await call.start_recording()
        await call.say("Hello there.")
        await call.send_digits("12w#")
        await call.stop_recording(recording)
        await trio.sleep(3)

    async with call_lab.network(program, carrier="telnyx") as network:
        network.engine.on_recording(ready.append)
        await network.rings().hears("Hello there.")
        await trio.sleep(4)
        assert network.cloud.legs[0].keys_heard == "12#"
        assert [recording.recording_id for recording in ready] == list(network.cloud.recordings)
        assert ready[0].url.endswith(".wav?signed=yes")


async def test_text_messages_both_ways(call_lab: CallLab) -> None:
    got: list[IncomingMessage] = []
    news: list[MessageProgress] = []
    async with call_lab.network(hello, carrier="telnyx") as network:
        assert isinstance(network.cloud, TelnyxCloud)
        network.engine.on_message(got.append)
        network.engine.on_delivery(news.append)
        network.cloud.text_fails.add(DESK)
        names = [await network.engine.send_message(to, "Your table is ready.", carrier="telnyx") for to in (BOB, DESK)]
        network.text("Thanks!", sender=BOB)
        await trio.sleep(3)

    assert [(message.sender, message.recipient, message.text) for message in got] == [(BOB, SENDER, "Thanks!")]
    told = {name: [fact.status for fact in news if fact.message_id == name] for name in names}
    assert told == {names[0]: ["sent", "delivered"], names[1]: ["sent", "failed"]}


# --- the cloud by itself ------------------------------------------------------------------------------------------


class FakeEngine:
    """An engine that only answers webhooks: with these statuses, in order; the last one stays."""

    def __init__(self, *statuses: int, seconds: float = 0.0) -> None:
        self.statuses = list(statuses)
        self.seconds = seconds
        self.bodies: list[Any] = []

    async def request(self, _method: str, _url: str, _headers: Any, body: bytes) -> httpx.Response:
        self.bodies.append(httpx.Response(200, content=body).json())
        await trio.sleep(self.seconds)
        return httpx.Response(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])

    async def connect(self, *_: Any) -> Any:
        raise AssertionError("no stream was asked for")


async def post(cloud: TelnyxCloud, path: str, body: Any, *, key: str = TELNYX_KEY) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=cloud.app)) as client:
        url = f"https://api.telnyx.com/v2{path}"
        return await client.post(url, json=body, headers={"authorization": f"Bearer {key}"})


@pytest.mark.parametrize(
    ("statuses", "seconds", "attempts"),
    [((204,), 0.0, 1), ((503, 204), 0.0, 2), ((429,), 0.0, 3), ((400,), 0.0, 1), ((204,), 2.5, 3)],
)
async def test_webhooks_are_repeated_with_the_same_id(
    autojump_clock: MockClock, statuses: tuple[int, ...], seconds: float, attempts: int
) -> None:
    cloud, engine = TelnyxCloud(), FakeEngine(*statuses, seconds=seconds)
    cloud.point_at("https://voice.example.com/telnyx")
    async with cloud.running(engine):
        cloud.rings(SENDER, BOB)
        await trio.sleep(30)
        tries = [body for body in engine.bodies if body["data"]["event_type"] == "call.initiated"]
    assert [body["meta"]["attempt"] for body in tries] == list(range(1, attempts + 1))
    assert len({body["data"]["id"] for body in tries}) == 1


async def test_the_api_is_as_strict_as_telnyx(autojump_clock: MockClock) -> None:
    cloud, engine = TelnyxCloud(), FakeEngine(204)
    cloud.point_at("https://voice.example.com/telnyx")
    async with cloud.running(engine):
        cloud.rings(SENDER, BOB)
        await trio.sleep(1)
        path = f"/calls/{cloud.legs[0].call_id.replace(':', '%3A')}/actions"

        async def code(name: str, **body: Any) -> str:
            answer = await post(cloud, f"{path}/{name}", {"command_id": name, **body})
            return "" if answer.is_success else answer.json()["errors"][0]["code"]

        assert (await post(cloud, f"{path}/answer", {}, key="wrong")).status_code == 401
        assert await code("speak", payload="x", voice="female") == "90034"
        assert await code("answer") == ""
        assert await code("answer", command_id="again") == "90010"
        assert await code("answer") == ""  # the same command once more
        assert await code("streaming_stop") == "90048"
        assert await code("send_dtmf", digits="x") == "10015"
        assert await code("reject", cause="USER_BUSY") == "90102"
        assert await code("hangup") == ""
        assert await code("hangup", command_id="again") == "90018"
        assert (await post(cloud, "/calls/v3%3Anone/actions/hangup", {"command_id": "x"})).status_code == 422
        assert (await post(cloud, "/nowhere", {})).status_code == 404
        dial = {"connection_id": TELNYX_CONNECTION, "to": BOB, "from": DESK, "command_id": "dial"}
        assert (await post(cloud, "/calls", dial)).status_code == 403
        assert (await post(cloud, "/calls", {**dial, "from": SENDER, "to": "5550010"})).status_code == 422
    assert cloud.mistakes == []


async def test_numbers_are_listed_and_pointed(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="telnyx") as network:
        assert isinstance(network.cloud, TelnyxCloud)
        for number in range(250):
            network.cloud.own(f"+1500555{number:04}")
        network.cloud.point_at("https://elsewhere.example.com/telnyx")
        control = network.engine.carriers["telnyx"].control(network.engine._http)

        listed = await control.numbers()
        await control.point_number(listed[3], "https://voice.example.com/telnyx")

        assert len(listed) == len(network.cloud.numbers)
        assert {number.voice_url for number in listed} == {"https://elsewhere.example.com/telnyx/events"}
        [application] = network.cloud.applications.values()
        assert application.webhook_url == "https://voice.example.com/telnyx/events"
