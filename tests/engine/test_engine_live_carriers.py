"""Whole calls over real sockets, on each carrier: its webhooks come signed over HTTP, its media streams are WebSockets,
and its API is asked over HTTP. What it is told, in requests and in answers, is compared word for word."""

from __future__ import annotations

import base64
import re
import signal
from binascii import hexlify
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from cli.served import Served, serving

from callengine import Agent
from callengine.testing.accounts import ACCOUNT_SID, PLIVO_ID, SENDER, SIGNALWIRE_PROJECT, TELNYX_CONNECTION
from callengine.testing.caller import Caller
from callengine.testing.clouds import Answers, Cloud, NetworkSettings, RingsOut, cloud_of
from callengine.testing.clouds.reach import Sockets
from callengine.testing.network import PUBLIC_URL, served
from callengine.turns.settings import Interruption, TurnSettings

PERSON, DESK = "+15005550101", "+15005550102"
AT_ONCE = TurnSettings(interruption=Interruption(mode="cut", min_duration=0.2, guard=0.0))
AGENT = Agent(turns=AT_ONCE, may_reach=(DESK,), transfer_question="Yes?", transfer_accepted="Fine.")
QUICK = NetworkSettings(dialling=0.02, ring_delay=0.02)
XML = '<?xml version="1.0" encoding="UTF-8"?>'
MENU = "Hello, I am the voice of Chez Trio and will now read the whole menu to you."


@pytest.fixture(params=["twilio", "signalwire", "telnyx", "plivo"])
def carrier(request: pytest.FixtureRequest) -> str:
    return request.param


# --- what a carrier is told -----------------------------------------------------------------------------------------


class Told:
    """What a simulated carrier was told, with a plain word for every name that was made up in the run: ``PERSON`` and
    ``DESK`` are their legs, ``TOKEN`` a media stream's, and ``REF1``, ``REF2`` the engine's own, in order."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._words = {leg.call_id: "PERSON" if leg.phone == PERSON else "DESK" for leg in cloud.legs}
        self._references: list[str] = []
        self.commands = [
            (asked.method, self._plain(asked.path), self._plain(dict(asked.fields))) for asked in cloud.requests
        ]
        """Requests to the API: the method, the path, and the fields."""
        self.documents = [self._plain(sent.body.decode()) for sent in cloud.webhooks if b"<Response>" in sent.body]
        """What webhooks were answered, where that tells to do something."""
        self.unheard = [sent.url for sent in cloud.webhooks if sent.status not in (200, 204)]

    def _plain(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._plain(item) for key, item in value.items() if key != "command_id"}
        if isinstance(value, list):
            return [self._plain(item) for item in value]
        return self._words_of(value) if isinstance(value, str) else value

    def _words_of(self, text: str) -> str:
        with suppress(ValueError):  # a state that Telnyx keeps for the engine
            decoded = base64.b64decode(text, validate=True).decode()
            text = decoded if decoded.startswith("callengine ") else text
        if text.startswith(XML):
            text = text.removeprefix(XML).removeprefix("<Response>").removesuffix("</Response>")
        for name, word in self._words.items():
            text = text.replace(name, word)
        text = re.sub(r"(?<=/media/)[\w-]{43}", "TOKEN", text)
        return re.sub(r"(?:(?<=[/>])|(?<=dialled )|(?<=target ))[\w-]{22}(?![\w-])", self._reference, text)

    def _reference(self, found: re.Match[str]) -> str:
        if found[0] not in self._references:
            self._references.append(found[0])
        return f"REF{self._references.index(found[0]) + 1}"


def stream(carrier: str, reference: str, caller: str, callee: str) -> str:
    """The document that connects a leg to its media stream."""
    base = f"voice.example.com/{carrier}"
    if carrier == "plivo":
        numbers = ",".join(
            f"{key}=0x{hexlify(number.encode()).decode()}" for key, number in [("caller", caller), ("callee", callee)]
        )
        return (
            '<Stream bidirectional="true" keepCallAlive="true" audioTrack="inbound" '
            'contentType="audio/x-mulaw;rate=8000" streamTimeout="86400" '
            f'statusCallbackUrl="https://{base}/stream/{reference}" statusCallbackMethod="POST" '
            f'extraHeaders="{numbers}">wss://{base}/media/TOKEN</Stream>'
        )
    return (
        f'<Connect><Stream url="wss://{base}/media/TOKEN" statusCallback="https://{base}/stream/{reference}">'
        f'<Parameter name="caller" value="{caller}" /><Parameter name="callee" value="{callee}" /></Stream></Connect>'
    )


TWILIO = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls"
SIGNALWIRE = f"/api/laml/2010-04-01/Accounts/{SIGNALWIRE_PROJECT}/Calls"
PLIVO = f"/v1/Account/{PLIVO_ID}/Call"
EVENTS = ["initiated", "ringing", "answered", "completed"]
LINE = {
    "stream_url": "wss://voice.example.com/telnyx/media/TOKEN",
    "stream_track": "inbound_track",
    "stream_codec": "PCMU",
    "stream_bidirectional_mode": "rtp",
    "stream_bidirectional_codec": "PCMU",
    "stream_bidirectional_target_legs": "self",
    "send_silence_when_idle": True,
}


def dialling(carrier: str, to: str, ring: int) -> tuple[str, str, dict[str, Any]]:
    """The command that calls somebody."""
    base = f"https://voice.example.com/{carrier}"
    status = {"StatusCallback": f"{base}/status/REF1", "StatusCallbackEvent": EVENTS, "Timeout": str(ring)}
    match carrier:
        case "twilio":
            return (
                "POST",
                f"{TWILIO}.json",
                {"To": to, "From": SENDER, "Twiml": stream(carrier, "REF1", SENDER, to), **status},
            )
        case "signalwire":
            where = {"Url": f"{base}/instructions/REF1", "Method": "POST"}
            return "POST", f"{SIGNALWIRE}.json", {"To": to, "From": SENDER, **where, **status}
        case "telnyx":
            fields = {
                "connection_id": TELNYX_CONNECTION,
                "to": to,
                "from": SENDER,
                "timeout_secs": ring,
                "client_state": "callengine dialled REF1 ",
                "webhook_url": f"{base}/events/REF1",
                "webhook_url_method": "POST",
                "stream_bidirectional_sampling_rate": 8000,
            }
            return "POST", "/v2/calls", {**fields, **LINE}
    urls = {"answer": "instructions", "ring": "status", "hangup": "status"}
    callbacks = {f"{name}_url": f"{base}/{what}/REF1" for name, what in urls.items()}
    methods = {f"{name}_method": "POST" for name in urls}
    numbers = {"from": SENDER.lstrip("+"), "to": to.lstrip("+")}
    return "POST", f"{PLIVO}/", {**numbers, **callbacks, **methods, "ring_timeout": ring}


def redirecting(carrier: str, leg: str) -> tuple[str, str, dict[str, Any]]:
    """The command by which a leg asks for other instructions."""
    url = f"https://voice.example.com/{carrier}/instructions/REF2"
    if carrier == "signalwire":
        return "POST", f"{SIGNALWIRE}/{leg}.json", {"Url": url, "Method": "POST"}
    return "POST", f"{PLIVO}/{leg}/", {"legs": "aleg", "aleg_url": url, "aleg_method": "POST"}


async def connected(*people: Caller) -> None:
    """Wait until the carrier has put them together."""
    with trio.fail_after(10):
        while any(person.leg.heard_by is None for person in people):
            await trio.sleep(0.01)


# --- calls ----------------------------------------------------------------------------------------------------------

DIAL = (
    f'<Dial callerId="{SENDER}" timeout="12" answerOnBridge="true" '
    f'action="https://voice.example.com/%s/transfer/REF2"><Number>{DESK}</Number></Dial>'
)
HANDED_OVER = {
    "twilio": ([("POST", f"{TWILIO}/PERSON.json", {"Twiml": DIAL % "twilio"})], ["<Hangup />"]),
    "signalwire": (
        [redirecting("signalwire", "PERSON")],
        [stream("signalwire", "REF1", SENDER, PERSON), DIAL % "signalwire", "<Hangup />"],
    ),
    "telnyx": (
        [
            ("POST", "/v2/calls/PERSON/actions/streaming_stop", {}),
            (
                "POST",
                "/v2/calls/PERSON/actions/transfer",
                {
                    "to": DESK,
                    "from": SENDER,
                    "timeout_secs": 12,
                    "target_leg_client_state": "callengine target REF2 PERSON",
                    "webhook_url": "https://voice.example.com/telnyx/transfer/REF2",
                    "webhook_url_method": "POST",
                },
            ),
        ],
        [],
    ),
    "plivo": (
        [redirecting("plivo", "PERSON")],
        [
            stream("plivo", "REF1", SENDER, PERSON),
            f'<Dial callerId="{SENDER.lstrip("+")}" timeout="12" '
            'action="https://voice.example.com/plivo/transfer/REF2" method="POST">'
            f"<Number>{DESK.lstrip('+')}</Number></Dial>",
            "<Hangup />",
        ],
    ),
}
"""What follows the dialling: the commands, and the documents."""


async def test_a_person_who_is_called_interrupts_and_is_handed_over(live_call_lab, carrier):
    async def story(call):
        await call.say(MENU)
        await call.listen()
        await call.transfer(DESK, timeout=12)

    # given a person and a desk, each with a telephone
    async with live_call_lab.network(story, carrier=carrier, agent=AGENT, times=QUICK) as network:
        network.phone(PERSON, Answers(after=0.1))
        network.phone(DESK, Answers(after=0.1))

        # when the person is called, is greeted, and interrupts
        call = await network.engine.dial(PERSON, ring_timeout=20)
        person = await network.answered(PERSON)
        await person.interrupts("Stop!")

        # then he talks with the desk, without the engine, until he hangs up
        desk = await network.answered(DESK)
        await connected(person, desk)
        await desk.says("Desk here.")
        await person.hears("Desk here.")
        assert not network.engine.calls
        await person.hangs_up()
        await desk.is_hung_up_on()
        outcome = await call.wait()
    assert (outcome.result, outcome.reason) == ("answered", "transferred to •••0102")
    greeting, word = call.call.outcome.turns
    assert greeting.interrupted_by == "caller"
    assert "Hello" in greeting.heard
    assert "menu" not in greeting.heard
    assert word.caller == "Stop!"

    # and the carrier was told so, in this order
    told = Told(network.cloud)
    commands, documents = HANDED_OVER[carrier]
    assert told.commands == [dialling(carrier, PERSON, 20), *commands]
    assert told.documents == documents
    assert told.unheard == []


ANSWERED_AND_HUNG_UP = {
    "twilio": (
        [("POST", f"{TWILIO}/PERSON.json", {"Status": "completed"})],
        [stream("twilio", "PERSON", PERSON, SENDER)],
    ),
    "signalwire": (
        [("POST", f"{SIGNALWIRE}/PERSON.json", {"Status": "completed"})],
        [stream("signalwire", "PERSON", PERSON, SENDER)],
    ),
    "telnyx": (
        [("POST", "/v2/calls/PERSON/actions/answer", LINE), ("POST", "/v2/calls/PERSON/actions/hangup", {})],
        [],
    ),
    "plivo": ([("DELETE", f"{PLIVO}/PERSON/", {})], [stream("plivo", "PERSON", PERSON, SENDER)]),
}


async def test_a_person_who_calls_interrupts_and_is_hung_up_on(live_call_lab, carrier):
    async def story(call):
        await call.say(MENU)
        await call.listen()
        await call.hang_up("all said")

    async with live_call_lab.network(story, carrier=carrier, agent=AGENT, times=QUICK) as network:
        # when somebody calls, whom a signed webhook announces, and interrupts
        person = network.rings(caller=PERSON)
        await person.interrupts("Stop!")

        # then the carrier is told to hang up, and closes the stream itself
        await person.is_hung_up_on()
        assert not person.leg.streams[0].closed_by_engine
    call = live_call_lab.call
    assert (call.caller, call.callee, call.direction) == (PERSON, SENDER, "inbound")
    assert (call.outcome.ended_by, call.outcome.reason) == ("agent", "all said")
    assert call.outcome.turns[0].interrupted_by == "caller"
    told = Told(network.cloud)
    assert (told.commands, told.documents) == ANSWERED_AND_HUNG_UP[carrier]
    assert told.unheard == []


ROOM = (
    '<Dial><Conference beep="false" startConferenceOnEnter="true" endConferenceOnExit="true" maxParticipants="2">'
    "%s</Conference></Dial>"
)
PLIVO_ROOM = (
    '<Conference startConferenceOnEnter="true" endConferenceOnExit="true" maxMembers="2" enterSound="" exitSound="">'
    "REF3</Conference>"
)
JOINED = {
    "twilio": (
        [
            dialling("twilio", DESK, 15),
            ("POST", f"{TWILIO}/DESK.json", {"Twiml": ROOM % "REF2"}),
            ("POST", f"{TWILIO}/PERSON.json", {"Twiml": ROOM % "REF2"}),
        ],
        [stream("twilio", "PERSON", PERSON, SENDER)],
    ),
    "signalwire": (
        [
            dialling("signalwire", DESK, 15),
            redirecting("signalwire", "DESK"),
            redirecting("signalwire", "PERSON"),
        ],
        [
            stream("signalwire", "PERSON", PERSON, SENDER),
            stream("signalwire", "REF1", SENDER, DESK),
            ROOM % "REF3",
            ROOM % "REF3",
        ],
    ),
    "telnyx": (
        [
            ("POST", "/v2/calls/PERSON/actions/answer", LINE),
            dialling("telnyx", DESK, 15),
            ("POST", "/v2/calls/PERSON/actions/streaming_stop", {}),
            ("POST", "/v2/calls/DESK/actions/streaming_stop", {}),
            ("POST", "/v2/calls/PERSON/actions/bridge", {"call_control_id": "DESK"}),
        ],
        [],
    ),
    "plivo": (
        [dialling("plivo", DESK, 15), redirecting("plivo", "DESK"), redirecting("plivo", "PERSON")],
        [
            stream("plivo", "PERSON", PERSON, SENDER),
            stream("plivo", "REF1", SENDER, DESK),
            PLIVO_ROOM,
            PLIVO_ROOM,
        ],
    ),
}


async def test_a_person_who_calls_is_joined_with_a_human_who_was_briefed(live_call_lab, carrier):
    async def story(call):
        await call.transfer_warm(DESK, briefing="A call.", timeout=15)

    async with live_call_lab.network(story, carrier=carrier, agent=AGENT, times=QUICK) as network:
        # given a human who has heard what it is about
        network.phone(DESK, Answers(after=0.1))
        person = network.rings(caller=PERSON)
        desk = await network.answered(DESK)
        await desk.hears("A call. Yes?")

        # when he takes the call
        await desk.presses("1")
        await desk.hears("Fine.")

        # then the two talk without the engine, until one of them hangs up
        await connected(person, desk)
        await desk.says("Desk here.")
        await person.hears("Desk here.")
        await person.says("Good.")
        await desk.hears("Good.")
        await person.hangs_up()
        await desk.is_hung_up_on()
    told = Told(network.cloud)
    assert (told.commands, told.documents) == JOINED[carrier]
    assert told.unheard == []


async def test_a_pbx_s_caller_is_greeted_interrupts_and_is_hung_up_on(live_call_lab):
    async def story(call):
        await call.say(MENU)
        await call.listen()
        await call.hang_up("all said")

    async with live_call_lab.dial(story, agent=AGENT, carrier="audiosocket") as caller:
        await caller.interrupts("Stop!")
        await caller.is_hung_up_on()
    outcome = live_call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("agent", "all said")
    assert outcome.turns[0].interrupted_by == "caller"


# --- an engine that ends ----------------------------------------------------------------------------------------------

DIALLER = """
import math, os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from callengine import Agent, Engine
from callengine.testing import ScriptedStt, ScriptedTts
from callengine.testing.accounts import recipe
from callengine.testing.scripted import EnergyVad
from callengine.testing.words import Vocabulary

words = Vocabulary()
agent = Agent(greeting="Hello there.", stt=ScriptedStt(words), tts=ScriptedTts(words), aec="off")

async def story(call):
    await call.say("Hello there.")
    await call.listen(timeout=60)

async def dial(request):
    call = await engine.dial(request.query_params["to"], ring_timeout=5)
    print("dialled", call.number, (await call.wait()).result, flush=True)
    return PlainTextResponse("")

engine = Engine(
    story, agent=agent, vad=EnergyVad(), port=0, drain_timeout=30, dials_per_second=math.inf,
    carriers=[recipe("twilio", api_url=os.environ["API_URL"])], public_url="https://voice.example.com",
    app=Starlette(routes=[Route("/dial", dial, methods=["POST"])]),
)
"""


class Dialler:
    """An engine in a process of its own, and the simulated network that it calls people on."""

    def __init__(self, process: Served, cloud: Cloud, nursery: trio.Nursery) -> None:
        self.process = process
        self.cloud = cloud
        self._nursery = nursery

    def dial(self, to: str) -> None:
        """Have it call somebody."""
        self._nursery.start_soon(self._ask, to)

    async def _ask(self, to: str) -> None:
        with suppress(httpx.TransportError):  # of an engine that ends
            async with httpx.AsyncClient(base_url=self.process.url, timeout=30) as client:
                await client.post("/dial", params={"to": to})


@asynccontextmanager
async def dialler(directory: Path) -> AsyncIterator[Dialler]:
    (directory / "dialler.py").write_text(DIALLER)
    cloud = cloud_of("twilio")(network=QUICK)
    async with served(cloud.app) as address, trio.open_nursery() as nursery:
        cloud.recipe(address)
        async with serving(directory, target="dialler:engine", variables={"API_URL": address}) as process:
            cloud.point_at(f"{PUBLIC_URL}/twilio")
            async with cloud.running(Sockets(process.port)):
                yield Dialler(process, cloud, nursery)
        nursery.cancel_scope.cancel()


async def test_an_engine_that_is_told_to_end_cancels_what_rings_and_lets_talks_finish(tmp_path):
    async with dialler(tmp_path) as engine:
        # given one who is on the line, and another whose telephone rings
        engine.cloud.phone(PERSON, Answers(after=0.0))
        engine.cloud.phone(DESK, RingsOut())
        engine.dial(PERSON)
        person = await engine.cloud.answered(PERSON)
        await speaks(person)
        engine.dial(DESK)
        ringing = await engine.cloud.ringing(DESK)

        # when the engine is told to end
        engine.process.process.terminate()

        # then the telephone stops ringing, and the other goes on talking until he hangs up
        with trio.fail_after(5):
            await ringing.over.wait()
        assert ringing.ending is not None
        assert ringing.ending.progress == "canceled"
        assert not person.leg.over.is_set()
        await person.hangs_up()
        assert await engine.process.ends() == 0

        # and whoever waited for them knows what became of both
        assert f"dialled {DESK} canceled" in engine.process.lines
        assert f"dialled {PERSON} answered" in engine.process.lines


async def test_an_engine_that_is_killed_leaves_nobody_on_the_line_for_long(tmp_path):
    async with dialler(tmp_path) as engine:
        # given one who is on the line, and another whose telephone rings
        engine.cloud.phone(PERSON, Answers(after=0.0))
        engine.cloud.phone(DESK, RingsOut())
        engine.dial(PERSON)
        person = await engine.cloud.answered(PERSON)
        await speaks(person)
        engine.dial(DESK)
        ringing = await engine.cloud.ringing(DESK)

        # when the engine is killed
        engine.process.process.send_signal(signal.SIGKILL)

        # then the carrier, which has nothing more to do, hangs up on the one, and stops ringing the other in time
        await person.is_hung_up_on(timeout=2)
        with trio.fail_after(10):
            await ringing.over.wait()
        assert ringing.ending is not None
        assert ringing.ending.progress == "no answer"


async def speaks(person: Any) -> None:
    """Wait until the agent is heard: what it says is in another process's vocabulary."""
    with trio.fail_after(10):
        while person.leg.queue.ends_at <= 0:
            await trio.sleep(0.02)
