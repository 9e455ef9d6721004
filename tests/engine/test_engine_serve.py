"""A whole inbound call the way Twilio makes one: signed webhook, TwiML, signed media socket with its token."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
import trio
from trio_websocket import ConnectionRejected, WebSocketConnection, connect_websocket_url

from callengine import Agent, ConfigurationError, Engine, Outcome, Twilio
from callengine.carriers.twilio.signature import sign
from callengine.testing.caller import Caller
from callengine.testing.carrier import CarrierSettings, Leg
from callengine.testing.lab import CallLab
from callengine.testing.link import WebSocketLink
from callengine.testing.playout import PlayoutQueue
from callengine.testing.scripted import EnergyVad
from callengine.testing.twilio import TwilioSide

TOKEN = "0123456789abcdef0123456789abcdef"
PUBLIC = "https://voice.example.com"
CALL = "CA" + "1" * 32
FORM = {
    "CallSid": CALL,
    "From": "+15005550001",
    "To": "+15005550002",
    "CallStatus": "ringing",
    "Direction": "inbound",
    "AccountSid": "AC" + "0" * 32,
}


def signed(url: str, form: dict[str, str]) -> dict[str, str]:
    return {"x-twilio-signature": sign(TOKEN, url, form.items())}


@asynccontextmanager
async def serving(lab: CallLab, **options: object) -> AsyncIterator[Engine]:
    agent = Agent(greeting="Good evening!", stt=lab.stt, llm=lab.llm, tts=lab.tts, aec="off")
    defaults = {"carriers": (Twilio(TOKEN),), "port": 0, "public_url": PUBLIC, "vad": EnergyVad()}
    engine = Engine(agent, **{**defaults, **options})
    async with trio.open_nursery() as nursery:
        bound = await nursery.start(partial(engine.serve, signals=False))
        engine.port = bound[0][1]
        yield engine
        nursery.cancel_scope.cancel()


async def ask_for_instructions(engine: Engine) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{engine.port}/twilio/voice"
        return await client.post(url, data=FORM, headers=signed(f"{PUBLIC}/twilio/voice", FORM))


async def connect(engine: Engine, nursery: trio.Nursery, path: str) -> WebSocketConnection:
    headers = [(b"x-twilio-signature", sign(TOKEN, f"wss://voice.example.com{path}").encode())]
    return await connect_websocket_url(nursery, f"ws://127.0.0.1:{engine.port}{path}", extra_headers=headers)


def media_path(response: httpx.Response) -> str:
    found = re.search(r'url="wss://voice.example.com(/twilio/media/[^"]+)"', response.text)
    assert found, response.text
    return found.group(1)


def simulated(lab: CallLab, connection: WebSocketConnection, call_id: str = CALL) -> tuple[Leg, Caller]:
    side = TwilioSide(call_id, "MZ" + "2" * 32, PlayoutQueue(), {})
    leg = Leg(WebSocketLink(connection, connection._stream), side, CarrierSettings())
    return leg, Caller(lab, leg, lab.vocabulary)


async def test_a_signed_webhook_becomes_a_call(live_call_lab):
    outcomes: list[Outcome] = []
    async with serving(live_call_lab) as engine, trio.open_nursery() as nursery:
        engine.on_call_end(outcomes.append)
        ended = trio.Event()
        engine.on_call_end(lambda _: ended.set())
        response = await ask_for_instructions(engine)
        assert response.status_code == 200
        connection = await connect(engine, nursery, media_path(response))
        leg, caller = simulated(live_call_lab, connection)
        nursery.start_soon(leg.run)
        await caller.hears("Good evening!")
        assert [(c.caller, c.callee) for c in engine.calls] == [("+15005550001", "+15005550002")]
        await caller.hangs_up()
        await ended.wait()
        nursery.cancel_scope.cancel()
    assert outcomes[0].call_id == CALL
    assert outcomes[0].ended_by == "caller"
    assert outcomes[0].turns[0].heard == "Good evening!"


async def test_a_token_is_good_for_one_call_only(live_call_lab):
    async with serving(live_call_lab) as engine, trio.open_nursery() as nursery:
        path = media_path(await ask_for_instructions(engine))
        connection = await connect(engine, nursery, path)
        with pytest.RaisesGroup(ConnectionRejected):
            async with trio.open_nursery() as second:
                await connect(engine, second, path)
        await connection.aclose()
        nursery.cancel_scope.cancel()


async def test_a_stream_of_another_call_than_was_offered_is_refused(live_call_lab):
    async with serving(live_call_lab) as engine, trio.open_nursery() as nursery:
        connection = await connect(engine, nursery, media_path(await ask_for_instructions(engine)))
        leg, _ = simulated(live_call_lab, connection, "CA" + "9" * 32)
        nursery.start_soon(leg.run)
        await leg.over.wait()
        assert connection.closed.code == 1008
        assert live_call_lab.stt.opened == 0
        nursery.cancel_scope.cancel()


async def test_without_configuration_it_is_healthy_and_says_what_is_missing(live_call_lab, monkeypatch):
    monkeypatch.delenv("TWILIO_AUTH_TOKEN", raising=False)
    async with serving(live_call_lab, carriers=(Twilio(),)) as engine, httpx.AsyncClient() as client:
        base = f"http://127.0.0.1:{engine.port}"
        assert (await client.get(f"{base}/healthz")).status_code == 200
        assert (await client.get(f"{base}/readyz")).status_code == 200
        answer = await client.post(f"{base}/twilio/voice", data=FORM)
    assert answer.status_code == 503
    assert "TWILIO_AUTH_TOKEN" in answer.text


async def test_a_draining_engine_lets_calls_finish_and_takes_no_new_ones(live_call_lab):
    outcomes: list[Outcome] = []
    lab = live_call_lab
    agent = Agent(greeting="Good evening!", stt=lab.stt, llm=lab.llm, tts=lab.tts, aec="off")
    engine = Engine(agent, carriers=(Twilio(TOKEN),), port=0, public_url=PUBLIC, vad=EnergyVad(), drain_timeout=30)
    engine.on_call_end(outcomes.append)
    async with trio.open_nursery() as nursery:
        bound = await nursery.start(partial(engine.serve, signals=False))
        engine.port = bound[0][1]
        connection = await connect(engine, nursery, media_path(await ask_for_instructions(engine)))
        leg, caller = simulated(lab, connection)
        nursery.start_soon(leg.run)
        await caller.hears("Good")
        nursery.start_soon(engine.drain)
        await trio.sleep(0.05)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{engine.port}/readyz")).status_code == 503
        refused = await ask_for_instructions(engine)
        assert "<Stream" not in refused.text
        await caller.hears("evening!")
        await caller.hangs_up()
    assert outcomes[0].ended_by == "caller"


async def test_what_is_left_after_the_drain_timeout_is_ended_politely(live_call_lab):
    lab = live_call_lab
    agent = Agent(
        greeting="Good evening!", stt=lab.stt, llm=lab.llm, tts=lab.tts, aec="off", drain_notice="Goodbye for now."
    )
    outcomes: list[Outcome] = []
    engine = Engine(agent, carriers=(Twilio(TOKEN),), port=0, public_url=PUBLIC, vad=EnergyVad(), drain_timeout=0.2)
    engine.on_call_end(outcomes.append)
    async with trio.open_nursery() as nursery:
        bound = await nursery.start(partial(engine.serve, signals=False))
        engine.port = bound[0][1]
        connection = await connect(engine, nursery, media_path(await ask_for_instructions(engine)))
        leg, caller = simulated(lab, connection)
        nursery.start_soon(leg.run)
        await caller.hears("Good")
        nursery.start_soon(engine.drain)
        await caller.hears("Goodbye for now.")
        await caller.is_hung_up_on()
    assert outcomes[0].ended_by == "drained"


async def test_more_calls_than_allowed_hear_that_all_lines_are_busy(live_call_lab):
    async with serving(live_call_lab, max_calls=1) as engine, trio.open_nursery() as nursery:
        connection = await connect(engine, nursery, media_path(await ask_for_instructions(engine)))
        leg, caller = simulated(live_call_lab, connection)
        nursery.start_soon(leg.run)
        await caller.hears("Good")
        refused = await ask_for_instructions(engine)
        nursery.cancel_scope.cancel()
    assert "lines are busy" in refused.text
    assert "<Stream" not in refused.text


async def test_a_port_in_use_is_one_clear_error(live_call_lab):
    async with serving(live_call_lab) as engine:
        other = Engine(engine.agent, carriers=(Twilio(TOKEN),), port=engine.port, public_url=PUBLIC, vad=EnergyVad())
        with pytest.raises(ConfigurationError, match=str(engine.port)):
            await other.serve(signals=False)


@pytest.mark.parametrize("options", [{"host": "0.0.0.0"}, {"public_url": PUBLIC}])
def test_insecure_is_refused_where_others_could_reach_it(options):
    with pytest.raises(ConfigurationError, match="insecure"):
        Engine(Agent(prompt="x"), insecure=True, **options)


def test_the_public_url_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("CALLENGINE_PUBLIC_URL", f"{PUBLIC}/")
    assert Engine(Agent(prompt="x")).public_url == PUBLIC


@pytest.mark.parametrize("program", [Agent(), 7, lambda: None])
def test_what_cannot_answer_a_call_is_refused_at_once(program):
    with pytest.raises(ConfigurationError):
        Engine(program)
