"""The recipe of SignalWire as a carrier."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import attrs
import httpx
import pytest
import trio
import trio.testing

from callengine.carriers.signalwire import SignalWire, SignalWireCodec
from callengine.carriers.twilio import Twilio
from callengine.carriers.twilio.signature import sign
from callengine.carriers.twilio.twiml import twiml
from callengine.errors import CarrierError, ConfigurationError, WebhookError
from callengine.ports import Ignored
from callengine.telephony import (
    CallbackUrls,
    Carrier,
    ConnectStream,
    DialTarget,
    IncomingCall,
    InstructionsWanted,
    NewLeg,
    NewMessage,
    PhoneNumber,
    RecordingReady,
    Refuse,
    StreamFailed,
    Webhook,
)

KEY = "PSK_0123456789abcdef"
PROJECT = "2f0a1c9e-0000-4000-8000-000000000001"
CALL = "2f0a1c9e-0000-4000-8000-000000000002"
OTHER = "2f0a1c9e-0000-4000-8000-000000000003"
TOKEN = "PT0123456789abcdef"
SETTINGS: dict[str, Any] = {"signing_key": KEY, "space": "example.signalwire.com", "project": PROJECT, "token": TOKEN}
URL = "https://voice.example.com/signalwire/voice"
FORM = {"content-type": "application/x-www-form-urlencoded"}
NOW = 1_790_000_000.0
URLS = CallbackUrls("https://v.example.com/signalwire", "r1")
ROOT = f"https://example.signalwire.com/api/laml/2010-04-01/Accounts/{PROJECT}"
LEG = NewLeg(to="+15005550001", sender="+15005550006", stream=ConnectStream("wss://h/m"), urls=URLS)


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIGNING_KEY", "SPACE", "PROJECT_ID", "TOKEN", "PHONE_NUMBER"):
        monkeypatch.delenv(f"SIGNALWIRE_{name}", raising=False)


# --- configuration ------------------------------------------------------------------------------------------------


def test_everything_comes_from_the_environment_when_nothing_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "SIGNING_KEY": KEY,
        "SPACE": "example",
        "PROJECT_ID": PROJECT,
        "TOKEN": TOKEN,
        "PHONE_NUMBER": "+15005550006",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"SIGNALWIRE_{name}", value)

    assert SignalWire() == SignalWire(**SETTINGS, sender="+15005550006")
    assert SignalWire().missing_configuration() is None
    assert SignalWire().missing_for_commands() is None


@pytest.mark.parametrize(
    ("missing", "variable"),
    [
        ({"space": None}, "SIGNALWIRE_SPACE"),
        ({"project": None}, "SIGNALWIRE_PROJECT_ID"),
        ({"project": "../x"}, "SIGNALWIRE_PROJECT_ID"),
        ({"token": ""}, "SIGNALWIRE_TOKEN"),
    ],
)
def test_it_says_what_commands_need(missing: dict[str, Any], variable: str) -> None:
    carrier = SignalWire(**(SETTINGS | missing))
    assert variable in (carrier.missing_for_commands() or "")
    assert carrier.missing_configuration() is None
    with pytest.raises(ConfigurationError, match=variable):
        carrier.control(httpx.AsyncClient())


@pytest.mark.parametrize(
    ("space", "url"),
    [
        ("example", "https://example.signalwire.com"),
        ("example.signalwire.com", "https://example.signalwire.com"),
        ("https://example.signalwire.com/", "https://example.signalwire.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        (" ", None),
    ],
)
def test_how_a_space_may_be_written(space: str, url: str | None) -> None:
    assert SignalWire(space=space).space == url


@pytest.mark.parametrize("space", ["http://example.signalwire.com", "user@example.com", "a b.c", "https://h?x"])
def test_spaces_that_are_none(space: str) -> None:
    with pytest.raises(ConfigurationError, match="space"):
        SignalWire(space=space)


def test_no_secret_is_in_its_repr() -> None:
    shown = repr(SignalWire(**SETTINGS, sender="+15005550006"))
    for secret in (KEY, TOKEN, "5550006"):
        assert secret not in shown


def test_what_it_can_do() -> None:
    carrier: Carrier = SignalWire(**SETTINGS)
    assert carrier.name == "signalwire"
    assert SignalWire(**SETTINGS, name="second").name == "second"
    assert carrier.capabilities == attrs.evolve(Twilio("x").capabilities, dtmf_out="socket")
    assert carrier.webhooks == Twilio("x").webhooks
    assert isinstance(carrier.codec(), SignalWireCodec)
    assert carrier.codec() is not carrier.codec()


def test_every_stream_has_the_tracks_asked_for() -> None:
    start = {"event": "start", "start": {"callSid": CALL, "streamSid": OTHER}}
    agent = {"event": "media", "media": {"track": "outbound", "payload": "/w=="}}
    for tracks, expected in ((("inbound",), Ignored("other track")), (("inbound", "outbound"), b"\xff")):
        codec = SignalWire(**SETTINGS, tracks=tracks).codec()
        codec.decode(True, json.dumps(start).encode())
        assert codec.decode(True, json.dumps(agent).encode()) == expected


# --- who asks -----------------------------------------------------------------------------------------------------


def test_webhooks_are_signed_with_the_signing_key_in_a_header_of_their_own() -> None:
    carrier = SignalWire(**SETTINGS)
    good = sign(KEY, URL, [("a", "1")])

    assert carrier.verify_webhook("POST", URL, {**FORM, "x-signalwire-signature": good}, b"a=1", NOW)
    assert not carrier.verify_webhook("POST", URL, {**FORM, "x-signalwire-signature": good}, b"a=2", NOW)
    assert not carrier.verify_webhook("POST", URL, {**FORM, "x-twilio-signature": good}, b"a=1", NOW)
    token = sign(TOKEN, URL, [("a", "1")])
    assert not carrier.verify_webhook("POST", URL, {**FORM, "x-signalwire-signature": token}, b"a=1", NOW)


def test_without_a_signing_key_it_trusts_nobody() -> None:
    carrier = SignalWire(**(SETTINGS | {"signing_key": ""}))
    headers = {**FORM, "x-signalwire-signature": sign("", URL, [("a", "1")])}
    assert "SIGNALWIRE_SIGNING_KEY" in (carrier.missing_configuration() or "")
    assert not carrier.verify_webhook("POST", URL, headers, b"a=1", NOW)


def test_the_token_in_the_path_says_who_opens_a_media_socket() -> None:
    assert SignalWire(**SETTINGS).verify_upgrade("wss://voice.example.com/signalwire/media/x", {})


# --- webhooks -----------------------------------------------------------------------------------------------------


def test_names_are_uuids() -> None:
    carrier = SignalWire(**SETTINGS)
    [call] = carrier.read_webhook(Webhook(what="voice", body=f"CallSid={CALL}&From=%2B1500&To=%2B1501".encode()))
    assert isinstance(call, IncomingCall)
    assert call.call_id == CALL
    for name in ("CA" + "0" * 32, f"{CALL}x", "../" + CALL):
        with pytest.raises(WebhookError):
            carrier.read_webhook(Webhook(what="voice", body=f"CallSid={name}&From=1&To=2".encode()))


def test_a_leg_asks_what_to_do_and_is_told() -> None:
    carrier = SignalWire(**SETTINGS)
    webhook = Webhook(what="instructions", reference="r1", body=f"CallSid={CALL}".encode())
    assert carrier.read_webhook(webhook) == (InstructionsWanted(CALL, "r1"),)
    assert carrier.answer(webhook, LEG.stream, URLS).body == twiml(LEG.stream, URLS, live=True)
    assert carrier.answer(webhook, Refuse(), URLS).body == twiml(Refuse(), live=True)


def test_why_a_stream_failed() -> None:
    body = f"CallSid={CALL}&StreamEvent=stream-error&StreamError=connection_refused&StreamTrack=inbound".encode()
    facts = SignalWire(**SETTINGS).read_webhook(Webhook(what="stream", reference="r1", body=body))
    assert facts == (StreamFailed(CALL, "connection_refused", "r1"),)


def test_recordings_are_in_its_space() -> None:
    body = (
        f"CallSid={CALL}&AccountSid={PROJECT}&RecordingSid={OTHER}&RecordingStatus=completed&RecordingUrl=https%3A//u"
    )
    webhook = Webhook(what="recording", body=body.encode())
    urls = []
    for space in ("example", None):
        [fact] = SignalWire(**(SETTINGS | {"space": space})).read_webhook(webhook)
        assert isinstance(fact, RecordingReady)
        urls.append(fact.url)
    assert urls == [f"{ROOT}/Recordings/{OTHER}.wav", "https://u.wav"]


# --- commands -----------------------------------------------------------------------------------------------------


class Api:
    """Gives one answer, and keeps what it was asked."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.authorisation = ""

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        self.authorisation = request.headers["authorization"]
        form = dict(parse_qsl(request.content.decode(), keep_blank_values=True))
        self.asked.append((request.method, str(request.url), form))
        return self._answer

    def control(self) -> Any:
        return SignalWire(**SETTINGS).control(httpx.AsyncClient(transport=httpx.MockTransport(self)))


async def test_a_call_fetches_its_instructions() -> None:
    api = Api(httpx.Response(201, json={"sid": CALL}))

    assert await api.control().dial(LEG) == CALL

    [(method, url, form)] = api.asked
    assert (method, url) == ("POST", f"{ROOT}/Calls.json")
    assert form["Url"] == "https://v.example.com/signalwire/instructions/r1"
    assert "Twiml" not in form
    assert form["StatusCallback"] == "https://v.example.com/signalwire/status/r1"
    assert api.authorisation == httpx.BasicAuth(PROJECT, TOKEN)._auth_header


async def test_a_live_leg_fetches_what_it_shall_do_now() -> None:
    api = Api(httpx.Response(200))
    await api.control().instruct(CALL, DialTarget("+15005550009", "+15005550006"), URLS)
    assert api.asked == [
        (
            "POST",
            f"{ROOT}/Calls/{CALL}.json",
            {"Url": "https://v.example.com/signalwire/instructions/r1", "Method": "POST"},
        )
    ]


async def test_its_other_commands_are_twilios() -> None:
    api = Api(httpx.Response(201, json={"sid": OTHER}))
    control = api.control()
    await control.hang_up(CALL)
    assert await control.start_recording(CALL, URLS) == OTHER
    assert await control.send_message(NewMessage(to="+1", sender="+2", text="Hello")) == OTHER
    await control.point_number(PhoneNumber(number="+1", number_id=OTHER), URLS.base)
    assert await control.numbers() == []
    assert [url for _, url, _ in api.asked] == [
        f"{ROOT}/Calls/{CALL}.json",
        f"{ROOT}/Calls/{CALL}/Recordings.json",
        f"{ROOT}/Messages.json",
        f"{ROOT}/IncomingPhoneNumbers/{OTHER}.json",
        f"{ROOT}/IncomingPhoneNumbers.json?PageSize=100",
    ]
    assert control.authorisation("https://example.signalwire.com/x.wav") == (PROJECT, TOKEN)


async def test_its_errors_are_under_its_name_and_without_its_token() -> None:
    answer = httpx.Response(400, json={"code": "21211", "message": f"bad To for {TOKEN}"})
    with pytest.raises(CarrierError) as caught:
        await Api(answer).control().dial(LEG)
    assert str(caught.value) == "signalwire: bad To for *** (21211)"


async def test_a_name_cannot_lead_to_another_path() -> None:
    api = Api(httpx.Response(200))
    with pytest.raises(CarrierError):
        await api.control().hang_up(f"{CALL}/../{OTHER}")
    assert api.asked == []
