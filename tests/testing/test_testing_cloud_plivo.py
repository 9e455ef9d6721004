"""An engine and the simulated Plivo: webhooks, commands and media streams, from end to end."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np
import pytest
import trio
from trio.testing import MockClock

from callengine import Agent
from callengine.audio.clip import Clip
from callengine.audio.convert import to_pcm
from callengine.carriers.plivo import Plivo
from callengine.errors import CarrierError, NotSupported, TransferFailed
from callengine.telephony import IncomingMessage, MessageProgress, PhoneNumber, RecordingReady, Refuse
from callengine.testing import CallLab
from callengine.testing.accounts import PLIVO_ID, PLIVO_TOKEN, SENDER
from callengine.testing.clouds import Answers, Busy, Declines, Machine, Manners, RingsOut, Unreachable
from callengine.testing.clouds.plivo import PlivoCloud
from callengine.testing.network import Network

BOB = "+15005550010"
DESK = "+15005550011"
AGENT = Agent(may_reach=(DESK, "sip:desk@pbx.example.com"))


async def hello(call: Any) -> None:
    await call.say("Hello there.")
    await call.listen()
    await call.say("Goodbye then.")


def commands(network: Network) -> list[str]:
    """What was asked, in order, without names."""
    short = [asked.path.removeprefix(f"/v1/Account/{PLIVO_ID}/") for asked in network.cloud.requests]
    return [
        f"{asked.method} {''.join('*/' if '-' in part else part + '/' for part in path.split('/')[:-1])}"
        for asked, path in zip(network.cloud.requests, short, strict=True)
    ]


def told(network: Network, *what: str) -> list[tuple[str, str]]:
    """The webhooks of these kinds in the order of their deliveries, with their events."""
    found = []
    for delivered in network.cloud.webhooks:
        kind = delivered.url.split("/")[4]
        if kind in what:
            found.append((kind, delivered.fields.get("Event", "")))
    return found


def plivo(network: Network) -> PlivoCloud:
    assert isinstance(network.cloud, PlivoCloud)
    return network.cloud


# --- calls in -----------------------------------------------------------------------------------------------------


async def test_a_whole_call_that_comes_in(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="plivo") as network:
        caller = network.rings()
        await caller.hears("Hello there.")
        await caller.says("Thanks.")
        await caller.hears("Goodbye then.")
        await caller.is_hung_up_on()
        await trio.sleep(1)

        assert commands(network) == ["DELETE Call/*/"]
        assert told(network, "voice", "status", "stream") == [
            ("voice", "StartApp"),
            ("stream", "StartStream"),
            ("status", "Hangup"),
            ("stream", "StopStream"),
        ]
        assert {delivered.status for delivered in network.cloud.webhooks} == {200}
    [outcome] = call_lab.outcomes
    assert (outcome.ended_by, outcome.reason) == ("agent", "the story ended")


async def test_the_call_knows_its_numbers_and_the_stream_has_them_too(call_lab: CallLab) -> None:
    numbers = []

    async def program(call: Any) -> None:
        numbers.append((call.carrier, call.caller, call.callee))
        await call.say("Hello there.")

    async with call_lab.network(program, carrier="plivo") as network:
        await network.rings(caller=BOB).hears("Hello there.")
        opening = network.cloud.legs[0].side.opening()[0]
    assert numbers == [("plivo", BOB, SENDER)]
    assert b"caller=0x2b3135303035353530303130" in opening


async def test_it_is_understood_on_a_linear_line(call_lab: CallLab) -> None:
    carrier = Plivo(PLIVO_ID, PLIVO_TOKEN, SENDER, content_type="audio/x-l16;rate=8000")
    async with call_lab.network(hello, carrier="plivo", carriers=(carrier,)) as network:
        caller = network.rings()
        await caller.hears("Hello there.")
        await caller.says("Thanks.")
        await caller.hears("Goodbye then.")
    assert [turn.caller for turn in call_lab.outcomes[0].turns if turn.caller] == ["Thanks."]


async def test_a_wide_line_has_the_same_sound(call_lab: CallLab) -> None:
    sound = (np.sin(np.arange(8000) * (2 * np.pi * 600 / 8000)) * 8000).astype(np.int16)

    async def program(call: Any) -> None:
        await call.say(Clip(sound, 8000))
        await trio.sleep(5)

    carrier = Plivo(PLIVO_ID, PLIVO_TOKEN, SENDER, content_type="audio/x-l16;rate=16000")
    async with call_lab.network(program, carrier="plivo", carriers=(carrier,)) as network:
        network.rings()
        await trio.sleep(4)
        leg = network.cloud.legs[0]
        heard = to_pcm(leg.queue.played_audio(trio.current_time()), "mulaw").astype(float)
        assert leg.side.opening()[0].count(b'"sampleRate":16000') == 1
    assert len(heard) == pytest.approx(len(sound), abs=80)
    likeness = np.correlate(sound, heard, "full").max() / np.sqrt((sound.astype(float) ** 2).sum() * (heard**2).sum())
    assert likeness > 0.98


@pytest.mark.parametrize(
    "manners",
    [
        Manners(twice=True),
        Manners(jitter=1.0, seed=3),
        Manners(lose=bool),
    ],
)
async def test_webhooks_twice_out_of_order_and_lost(call_lab: CallLab, manners: Manners) -> None:
    async with call_lab.network(hello, carrier="plivo", webhooks=manners) as network:
        caller = network.rings()
        await caller.hears("Hello there.")
        await caller.hangs_up()
        await trio.sleep(3)
    assert [outcome.ended_by for outcome in call_lab.outcomes] == ["caller"]


async def test_a_number_that_is_refused_hears_busy_or_why(call_lab: CallLab) -> None:
    async def router(call: Any) -> Any:
        return Refuse() if call.caller.endswith("1") else Refuse("We are closed.")

    async with call_lab.network(hello, carrier="plivo", router=router) as network:
        network.rings(caller="+15550100001")
        network.rings(caller="+15550100002")
        await trio.sleep(10)
        busy, closed = network.cloud.legs
        assert (busy.state, busy.answered.is_set()) == ("busy", False)
        assert [words for _, words in network.cloud.said] == ["We are closed."]
        assert closed.state == "completed"


async def test_keys_of_the_caller(call_lab: CallLab) -> None:
    keyed = []

    async def program(call: Any) -> None:
        await call.say("Your number please.")
        turn = await call.listen()
        keyed.append(turn.text)

    async with call_lab.network(program, carrier="plivo") as network:
        caller = network.rings()
        await caller.hears("Your number please.")
        await caller.presses("42#")
        await caller.is_hung_up_on()
    assert [text.removesuffix("#") for text in keyed] == ["42"]


async def test_an_interrupted_agent_falls_silent_and_no_checkpoint_is_believed(call_lab: CallLab) -> None:
    async def program(call: Any) -> None:
        heard = await call.say("One two three four five six seven eight nine ten eleven twelve.")
        assert heard.interrupted
        await call.say("Sorry.")

    async with call_lab.network(program, carrier="plivo") as network:
        caller = network.rings()
        await caller.interrupts("Stop it now.", after=1.5)
        await caller.hears("Sorry.")
        side = network.cloud.legs[0].side
        assert [kind for _, kind in side.received].count("clear") == 1
        assert "twelve" not in caller.heard


# --- calls out ----------------------------------------------------------------------------------------------------


async def test_a_call_out_is_answered(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="plivo") as network:
        network.phone(BOB, Answers(after=2.0))
        call = await network.engine.dial(BOB, send_digits="w12")
        person = await network.answered(BOB)
        await person.hears("Hello there.")
        await person.says("Thanks.")
        outcome = await call.wait()

        assert (outcome.result, outcome.reason) == ("answered", "the story ended")
        assert outcome.call_id == network.cloud.legs[0].call_id  # not the request's name, which dialling gave
        assert commands(network) == ["POST Call/", "DELETE Call/*/"]
        assert network.cloud.requests[0].fields["from"] == SENDER.removeprefix("+")
        assert network.cloud.legs[0].keys_heard == "12"
        await trio.sleep(1)
        assert told(network, "status", "instructions")[:2] == [("status", "Ring"), ("instructions", "StartApp")]


@pytest.mark.parametrize(
    ("phone", "result", "reason"),
    [
        (Busy(), "busy", "USER_BUSY"),
        (RingsOut(), "no answer", "NO_ANSWER"),
        (Declines(), "refused", "CALL_REJECTED"),
        (Unreachable(), "failed", "UNALLOCATED_NUMBER"),
    ],
)
async def test_a_call_out_that_nobody_takes(call_lab: CallLab, phone: Any, result: str, reason: str) -> None:
    async with call_lab.network(hello, carrier="plivo") as network:
        network.phone(BOB, phone)
        outcome = await (await network.engine.dial(BOB, ring_timeout=6.0)).wait()
    assert (outcome.result, outcome.reason) == (result, reason)


async def test_busy_before_the_answer_to_the_request_is_not_lost(call_lab: CallLab) -> None:
    """A46: what comes back is known by its reference, whatever the request is going to be called."""
    async with call_lab.network(hello, carrier="plivo") as network:
        network.phone(BOB, Busy(after=0.2))
        network.cloud.fault(path="/Call/", answer_delay=3.0)
        outcome = await (await network.engine.dial(BOB)).wait()
    assert outcome.result == "busy"


async def test_a_request_without_an_answer_is_not_repeated(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="plivo") as network:
        network.phone(BOB, Answers(after=1.0))
        network.cloud.fault(path="/Call/", answer_delay=30.0)
        call = await network.engine.dial(BOB)
        await (await network.answered(BOB)).hears("Hello there.")
        await trio.sleep(20)
        assert commands(network).count("POST Call/") == 1
        call.hang_up()


async def test_too_many_requests_are_waited_out(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="plivo") as network:
        network.phone(BOB, Answers(after=1.0))
        network.cloud.fault(path="/Call/", status=429, retry_after="2")
        await network.engine.dial(BOB)
        await (await network.answered(BOB)).hears("Hello there.")
        first, second = [asked.at for asked in network.cloud.requests[:2]]
        assert 2.0 <= second - first <= 2.5


async def test_two_calls_have_their_own_verdicts(call_lab: CallLab) -> None:
    """R65, A50."""
    found: dict[str, Any] = {}
    async with call_lab.network(hello, carrier="plivo") as network:
        network.phone(BOB, Answers())
        network.phone(DESK, Machine())
        for number in (BOB, DESK):
            await network.engine.dial(number, amd=True, on_answered_by=lambda who, n=number: found.setdefault(n, who))
        await trio.sleep(8)
    assert found == {BOB: "human", DESK: "machine"}


async def test_a_machine_gets_the_message_after_its_beep(call_lab: CallLab) -> None:
    """A48. Plivo does not say when a greeting is over, so the engine waits for the silence after it."""

    async def listening(call: Any) -> None:
        await call.listen()
        await call.listen()

    async with call_lab.network(listening, carrier="plivo") as network:
        network.phone(BOB, Machine(greeting="Please leave a message."))
        call = await network.engine.dial(BOB, voicemail="Call us back.")
        machine = await network.answered(BOB)
        await machine.hears("Call us back.")
        outcome = await call.wait()
    assert (outcome.result, outcome.message_left) == ("voicemail", True)


@pytest.mark.parametrize("after", [0.05, 3.0])
async def test_hanging_up_a_call_that_rings_cancels_it(call_lab: CallLab, after: float) -> None:
    """Before its first webhook a call is known by its request only."""
    async with call_lab.network(hello, carrier="plivo") as network:
        network.phone(BOB, RingsOut())
        call = await network.engine.dial(BOB)
        await trio.sleep(after)
        call.hang_up()
        outcome = await call.wait()
        assert outcome.result == "canceled"
        assert network.cloud.legs[0].over.is_set()
        assert ("DELETE Request/*/" in commands(network)) == (after == 0.05)


async def test_a_call_is_ended_at_its_limit(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="plivo") as network:
        network.phone(BOB, Answers(after=1.0))
        call = await network.engine.dial(BOB, max_duration=5.0)
        assert (await call.wait()).result == "answered"
        leg = network.cloud.legs[0]
        answered, ended = leg.since("answered"), leg.since("completed")
        assert answered is not None
        assert ended == pytest.approx(answered + 5.0, abs=0.1)


async def test_a_call_out_over_real_sockets(live_call_lab: CallLab) -> None:
    async with live_call_lab.network(hello, carrier="plivo") as network:
        network.phone(BOB, Answers(after=0.1))
        call = await network.engine.dial(BOB)
        person = await network.answered(BOB)
        await person.hears("Hello there.")
        await person.says("Thanks.")
        outcome = await call.wait()
        assert (outcome.result, commands(network)) == ("answered", ["POST Call/", "DELETE Call/*/"])


# --- handing over -------------------------------------------------------------------------------------------------


async def hand_over(call: Any) -> None:
    await call.say("I put you through.")
    await call.transfer(DESK, timeout=8.0)


async def test_a_cold_transfer(call_lab: CallLab) -> None:
    async with call_lab.network(hand_over, agent=AGENT, carrier="plivo") as network:
        network.phone(DESK, Answers(after=1.0))
        caller = network.rings()
        desk = await network.answered(DESK)
        await desk.says("The desk speaking.")
        await caller.hears("The desk speaking.")
        assert commands(network) == ["POST Call/*/"]
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

    async with call_lab.network(program, agent=AGENT, carrier="plivo") as network:
        network.phone(DESK, phone)
        caller = network.rings()
        await caller.hears("I put you through. Nobody is there.", timeout=30)
        assert told(network, "instructions", "transfer") == [("instructions", "Redirect"), ("transfer", "Redirect")]


async def test_a_warm_transfer(call_lab: CallLab) -> None:
    async def program(call: Any) -> None:
        await call.transfer_warm(DESK, briefing="Ann wants a table.")

    async with call_lab.network(program, agent=AGENT, carrier="plivo") as network:
        network.phone(DESK, Answers(after=1.0))
        caller = network.rings()
        desk = await network.answered(DESK)
        await desk.hears("Ann wants a table.", timeout=20)
        await desk.presses("1")
        await trio.sleep(5)
        await desk.says("Good evening Ann.")
        await caller.hears("Good evening Ann.", timeout=20)
        assert commands(network) == ["POST Call/", "POST Call/*/", "POST Call/*/"]
        await caller.hangs_up()
        await trio.sleep(1)
        assert all(leg.over.is_set() for leg in network.cloud.legs)


async def test_a_warm_transfer_that_nobody_takes(call_lab: CallLab) -> None:
    async def program(call: Any) -> None:
        try:
            await call.transfer_warm(DESK, briefing="Ann wants a table.")
        except TransferFailed as failed:
            await call.say(f"They are {failed.result}.")

    async with call_lab.network(program, agent=AGENT, carrier="plivo") as network:
        network.phone(DESK, Busy())
        await network.rings().hears("They are busy.", timeout=20)


async def test_a_refer_is_not_supported_and_the_call_goes_on(call_lab: CallLab) -> None:
    async def program(call: Any) -> None:
        with pytest.raises(NotSupported):
            await call.refer("sip:desk@pbx.example.com")
        await call.say("I am still here.")

    async with call_lab.network(program, agent=AGENT, carrier="plivo") as network:
        await network.rings().hears("I am still here.")


# --- keys, recordings, messages, numbers ----------------------------------------------------------------------------


async def test_keys_out_on_the_socket_and_a_recording(call_lab: CallLab) -> None:
    ready: list[RecordingReady] = []

    async def program(call: Any) -> None:
        recording = await call.start_recording()
        await call.say("Hello there.")
        await call.send_digits("12w#")
        await call.stop_recording(recording)
        await trio.sleep(3)

    async with call_lab.network(program, carrier="plivo") as network:
        network.engine.on_recording(ready.append)
        await network.rings().hears("Hello there.")
        await trio.sleep(4)
        assert network.cloud.legs[0].side.pressed == "12#"
        assert [recording.recording_id for recording in ready] == list(network.cloud.recordings)
        assert ready[0].url.startswith("https://media.plivo.com/")
        assert ready[0].duration == pytest.approx(2.0, abs=1.0)


@pytest.mark.parametrize("signature", ["v2", "v3"])
async def test_text_messages_both_ways(call_lab: CallLab, signature: Any) -> None:
    got: list[IncomingMessage] = []
    news: list[MessageProgress] = []
    async with call_lab.network(hello, carrier="plivo") as network:
        network.engine.on_message(got.append)
        network.engine.on_delivery(news.append)
        plivo(network).message_signature = signature
        plivo(network).text_fails[DESK] = "420"
        names = [await network.engine.send_message(to, "Your table is ready.", carrier="plivo") for to in (BOB, DESK)]
        network.text("Thanks!", sender=BOB)
        await trio.sleep(1)
        network.text("Look", sender=BOB, media=("https://media.example.com/1.jpg",))
        await trio.sleep(3)

    assert [(message.sender, message.recipient, message.text, message.media) for message in got] == [
        (BOB, SENDER, "Thanks!", ()),
        (BOB, SENDER, "Look", ("https://media.example.com/1.jpg",)),
    ]
    states = {name: [(fact.status, fact.reason) for fact in news if fact.message_id == name] for name in names}
    assert states == {names[0]: [("sent", ""), ("delivered", "")], names[1]: [("sent", ""), ("failed", "420")]}


async def test_a_forged_message_is_refused(call_lab: CallLab) -> None:
    """R63, A51."""
    got: list[IncomingMessage] = []
    async with call_lab.network(hello, carrier="plivo") as network:
        network.engine.on_message(got.append)
        cloud = plivo(network)
        cloud.auth = (PLIVO_ID, "f" * 40)
        network.text("Thanks!", sender=BOB)
        await trio.sleep(1)
        assert [delivered.status for delivered in cloud.webhooks] == [403]
    assert got == []


async def test_a_number_is_found_and_pointed_at_an_engine(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="plivo") as network:
        cloud = plivo(network)
        for number in range(25):
            cloud.own(f"+150055510{number:02}")
        control = Plivo(PLIVO_ID, PLIVO_TOKEN).control(httpx.AsyncClient(transport=httpx.ASGITransport(app=cloud.app)))

        numbers = {number.number: number for number in await control.numbers()}
        assert len(numbers) == 26
        assert numbers["+15005551024"] == PhoneNumber(number="+15005551024", number_id="15005551024")

        for _ in range(2):
            await control.point_number(numbers["+15005551024"], "https://voice.example.com/plivo")
        assert [application.name for application in cloud.applications] == ["lab", cloud.applications[1].name]
        caller = network.rings(to="+15005551024")
        await caller.hears("Hello there.")


# --- the cloud by itself ------------------------------------------------------------------------------------------


class FakeEngine:
    """An engine that answers every webhook with this document."""

    def __init__(self, document: str = "<Response/>") -> None:
        self.document = document
        self.forms: list[dict[str, str]] = []

    async def request(self, _method: str, url: str, _headers: Mapping[str, str], body: bytes) -> httpx.Response:
        form = dict(httpx.QueryParams(body.decode()))
        self.forms.append({**form, "url": url})
        await trio.lowlevel.checkpoint()
        return httpx.Response(200, text=self.document, headers={"content-type": "application/xml"})

    async def connect(self, *_: Any) -> Any:
        raise AssertionError("no stream was asked for")


async def ask(cloud: PlivoCloud, method: str, path: str, body: Any = None, *, token: str = PLIVO_TOKEN) -> int:
    key = base64.b64encode(f"{PLIVO_ID}:{token}".encode()).decode()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=cloud.app)) as client:
        url = f"https://api.plivo.com/v1/Account/{PLIVO_ID}{path}"
        answer = await client.request(method, url, json=body, headers={"authorization": f"Basic {key}"})
    return answer.status_code


async def test_the_api_is_as_strict_as_plivo(autojump_clock: MockClock) -> None:
    cloud, engine = PlivoCloud(), FakeEngine('<Response><Wait length="60"/></Response>')
    cloud.point_at("https://voice.example.com/plivo")
    dial = {"from": SENDER, "to": BOB, "answer_url": "https://voice.example.com/plivo/instructions/r"}
    async with cloud.running(engine):
        cloud.rings(SENDER, BOB)
        await trio.sleep(1)
        call = f"/Call/{cloud.legs[0].call_id}/"
        assert await ask(cloud, "POST", "/Call/", dial, token="wrong") == 401
        assert await ask(cloud, "POST", "/Call", dial) == 404  # without its slash
        assert await ask(cloud, "POST", "/Call/", dial | {"to": "bob"}) == 400
        assert await ask(cloud, "POST", "/Call/", dial | {"from": DESK}) == 400
        assert await ask(cloud, "POST", "/Call/", dial | {"answer_url": ""}) == 400
        assert await ask(cloud, "POST", "/Call/", dial | {"machine_detection_time": 1000}) == 400
        assert await ask(cloud, "POST", call, {"legs": "aleg"}) == 400
        assert await ask(cloud, "POST", f"{call}DTMF/", {"digits": "x"}) == 400
        assert await ask(cloud, "POST", f"{call}DTMF/", {"digits": "12"}) == 202
        assert cloud.legs[0].keys_heard == "12"
        assert await ask(cloud, "DELETE", f"{call}Record/") == 404
        assert await ask(cloud, "DELETE", call) == 204
        assert await ask(cloud, "DELETE", call) == 404
        assert await ask(cloud, "GET", "/Number/?limit=21") == 400
        assert await ask(cloud, "POST", "/Message/", {"src": SENDER, "dst": BOB, "text": ""}) == 400
        assert cloud.mistakes == []
        assert await ask(cloud, "POST", "/Call/", dial | {"To": BOB}) == 201
        assert cloud.mistakes == [f"/v1/Account/{PLIVO_ID}/Call/: there is no ['To']"]


async def test_a_recording_stops_after_a_minute_unless_it_is_told_otherwise(autojump_clock: MockClock) -> None:
    cloud, engine = PlivoCloud(), FakeEngine('<Response><Wait length="600"/></Response>')
    cloud.point_at("https://voice.example.com/plivo")
    async with cloud.running(engine):
        cloud.rings(SENDER, BOB)
        await trio.sleep(1)
        call = f"/Call/{cloud.legs[0].call_id}/"
        body = {"callback_url": "https://voice.example.com/plivo/recording/r"}
        assert await ask(cloud, "POST", f"{call}Record/", body) == 202
        await trio.sleep(90)
        [form] = [form for form in engine.forms if "recording_id" in form]
    assert form["recording_duration_ms"] == "60000"
    assert form["call_uuid"] == cloud.legs[0].call_id


@pytest.mark.parametrize(
    ("document", "mistake"),
    [
        ("<Response", "not XML"),
        ("<Reply/>", "element is Reply"),
        ("<Response><Say>Hi</Say></Response>", "no Say"),
        ('<Response><Speak speed="1">Hi</Speak></Response>', "Speak has no"),
        ("<Response><Dial/></Response>", "nobody"),
        ("<Response><Stream>https://x/y</Stream></Response>", "wss"),
        ("<Response><Stream>wss://x/y</Stream></Response>", "bidirectional"),
        ('<Response><Stream bidirectional="true">wss://x/y</Stream></Response>', "keepCallAlive"),
        ('<Response><Stream bidirectional="true" audioTrack="both">wss://x/y</Stream></Response>', "inbound track"),
        ('<Response><Stream contentType="audio/x-mulaw">wss://x/y</Stream></Response>', "contentType"),
        ('<Response><Stream bidirectional="true" extraHeaders="a=+1">wss://x/y</Stream></Response>', "extraHeaders"),
        ('<Response><Hangup reason="tired"/></Response>', "no reason"),
    ],
)
async def test_a_document_that_plivo_would_not_take_is_a_mistake(
    autojump_clock: MockClock, document: str, mistake: str
) -> None:
    cloud = PlivoCloud()
    cloud.point_at("https://voice.example.com/plivo")
    async with cloud.running(FakeEngine(document)):
        cloud.rings(SENDER, BOB)
        await trio.sleep(5)
        assert cloud.legs[0].over.is_set()
    assert len(cloud.complaints) == 1
    assert mistake in cloud.complaints[0]


async def test_errors_of_the_api_reach_the_application(call_lab: CallLab) -> None:
    async with call_lab.network(hello, carrier="plivo") as network:
        network.cloud.fault(status=400, body=b'{"error": "dst parameter is invalid"}')
        with pytest.raises(CarrierError, match="dst parameter") as raised:
            await network.engine.send_message(BOB, "Hi", carrier="plivo")
        assert raised.value.fault == "rejected"
