"""The voice webhook as a carrier asks it, and the documents that answer it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

import httpx
import pytest
import trio

from callengine.carriers.plivo.signature import verify_webhook as plivo_signed
from callengine.carriers.twilio.signature import verify_upgrade, verify_webhook
from callengine.cli.simulation.address import Address
from callengine.cli.simulation.carriers import DIALECTS
from callengine.cli.simulation.documents import (
    BadDocument,
    End,
    Fetch,
    OpenStream,
    Pause,
    Skip,
    Speak,
    Step,
    check_stream,
    read_document,
)
from callengine.cli.simulation.signing import Signer
from callengine.cli.simulation.webhooks import TIMEOUT, Parties, Telephone
from callengine.errors import ConfigurationError

TOKEN = "0123456789abcdef0123456789abcdef"
PARTIES = Parties(call_id="CA" + "1" * 32, caller="+15550100001", callee="+15550100000")
LOCAL, PUBLIC = "http://127.0.0.1:8080/twilio/voice", "https://voice.example.com"
XML = {"content-type": "text/xml; charset=utf-8"}


def telephone(
    answer: Callable[[httpx.Request], httpx.Response], *, carrier: str = "twilio", public: str | None = None
) -> Telephone:
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return Telephone(http, DIALECTS[carrier], Address(LOCAL, public), PARTIES, Signer(carrier, TOKEN))


# --- asking -----------------------------------------------------------------------------------------------------------


async def test_twilio_signs_the_form_for_the_url_under_which_the_server_is_known() -> None:
    # given a server on this machine that calls itself something else
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, text="<Response/>", headers=XML)

    # when it is asked by that name
    await telephone(answer, public=PUBLIC).ask(f"{PUBLIC}/twilio/voice", "ringing")

    # then the machine is asked, and the name is signed, with fields that are empty too
    [request] = seen
    assert str(request.url) == LOCAL
    assert verify_webhook(TOKEN, "POST", f"{PUBLIC}/twilio/voice", request.headers, request.content)
    form = dict(parse_qsl(request.content.decode(), keep_blank_values=True))
    assert (form["CallSid"], form["From"], form["To"]) == (PARTIES.call_id, PARTIES.caller, PARTIES.callee)
    assert form["FromCity"] == ""


async def test_plivo_signs_in_its_own_way() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        good = plivo_signed(TOKEN, "POST", LOCAL, request.headers, request.content)
        return httpx.Response(200 if good else 403, text="<Response/>", headers=XML)

    answered = await telephone(answer, carrier="plivo").ask(LOCAL, "ringing")
    assert answered.steps == []


def test_twilio_alone_signs_upgrades_and_nobody_signs_without_a_key() -> None:
    url = "wss://voice.example.com/twilio/media/token"
    assert verify_upgrade(TOKEN, url, Signer("twilio", TOKEN).upgrade(url))
    assert Signer("signalwire", TOKEN).upgrade(url) == {}
    assert Signer("twilio").upgrade(url) == Signer("plivo").webhook(url, []) == {}
    assert list(Signer("signalwire", TOKEN).webhook(url, [])) == ["x-signalwire-signature"]


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (httpx.Response(403, text="the signature is missing or wrong"), "11200: .* answered 403: the signature is mis"),
        (httpx.Response(200, text="<Response/>", headers={"content-type": "text/html"}), "12300: .* is text/html"),
        (httpx.Response(200, text="<Response>", headers=XML), "12100: the document is no XML"),
    ],
)
async def test_a_bad_answer_is_what_twilio_would_log(response: httpx.Response, why: str) -> None:
    with pytest.raises(BadDocument, match=why):
        await telephone(lambda _: response).ask(LOCAL, "ringing")


async def test_an_answer_that_takes_too_long_is_none(autojump_clock: object) -> None:
    class Never(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await trio.sleep_forever()
            raise AssertionError(request)

    http = httpx.AsyncClient(transport=Never())
    began = trio.current_time()
    with pytest.raises(BadDocument, match="11200: no answer"):
        await Telephone(http, DIALECTS["twilio"], Address(LOCAL), PARTIES, Signer("twilio")).ask(LOCAL, "ringing")
    assert trio.current_time() - began == TIMEOUT


# --- documents --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verbs", "steps"),
    [
        (
            '<Connect action="/after"><Stream url="wss://h/p"><Parameter name="a" value="b"/></Stream></Connect>',
            [OpenStream("wss://h/p", {"a": "b"}, "http://127.0.0.1:8080/after")],
        ),
        ("<Say>We are closed.</Say><Hangup/>", [Speak("We are closed."), End("hung up")]),
        ('<Pause length="2"/><Pause/>', [Pause(2.0), Pause(1.0)]),
        ("<Redirect>/other</Redirect>", [Fetch("http://127.0.0.1:8080/other")]),
        ('<Reject reason="busy"/>', [End("rejected (busy)")]),
        ("<Dial>+15550100002</Dial>", [Skip("<Dial>")]),
        ("", []),
    ],
)
def test_twiml(verbs: str, steps: list[Step]) -> None:
    assert read_document(f"<Response>{verbs}</Response>", DIALECTS["twilio"], LOCAL) == steps


@pytest.mark.parametrize(
    ("verbs", "steps"),
    [
        (
            '<Stream bidirectional="true" extraHeaders="a=b,c=d">wss://h/p</Stream>',
            [OpenStream("wss://h/p", {"a": "b", "c": "d"})],
        ),
        ('<Speak>Sorry.</Speak><Wait length="3"/>', [Speak("Sorry."), Pause(3.0)]),
        ('<Hangup reason="busy"/>', [End("rejected (busy)")]),
        ("<Hangup/>", [End("hung up")]),
        ("<Redirect>http://x/y</Redirect>", [Fetch("http://x/y")]),
    ],
)
def test_plivo_xml(verbs: str, steps: list[Step]) -> None:
    assert read_document(f"<Response>{verbs}</Response>", DIALECTS["plivo"], LOCAL) == steps


@pytest.mark.parametrize(
    "text", ["", "<Answer/>", "not XML", '<!DOCTYPE a [<!ENTITY b "c">]><Response/>', "x" * 70_000]
)
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(BadDocument, match=r"^12100: "):
        read_document(text, DIALECTS["twilio"], LOCAL)


@pytest.mark.parametrize(
    ("carrier", "stream", "complaints"),
    [
        ("twilio", OpenStream("wss://h/p"), []),
        ("twilio", OpenStream("ws://h/p"), ["31922: a stream URL must be wss"]),
        ("twilio", OpenStream("wss://h/p?a=b"), ["31920: a stream URL with a query is not supported"]),
        ("plivo", OpenStream("wss://h/p?a=b"), []),
        ("twilio", OpenStream("/p"), ["31923: a malformed stream URL (/p)"]),
        ("twilio", OpenStream("wss://h/p", {"a": "b" * 499}), ["12200: the parameter a has 500 characters or more"]),
        ("twilio", OpenStream("wss://h/p", {"a": "b" * 498}), []),
    ],
)
def test_stream_urls(carrier: str, stream: OpenStream, complaints: list[str]) -> None:
    assert check_stream(stream, DIALECTS[carrier], insecure_allowed=False) == complaints


# --- addresses --------------------------------------------------------------------------------------------------------


def test_a_public_url_is_signed_and_its_streams_are_dialled_at_the_target() -> None:
    address = Address(LOCAL, PUBLIC)
    assert address.signed(LOCAL) == "https://voice.example.com/twilio/voice"
    assert address.dialled("wss://voice.example.com/twilio/media/t") == "ws://127.0.0.1:8080/twilio/media/t"
    assert address.signed("ws://127.0.0.1:8080/twilio/media/t") == "wss://voice.example.com/twilio/media/t"
    assert address.dialled("wss://elsewhere.example.com/t") == "wss://elsewhere.example.com/t"
    assert Address(LOCAL).signed(LOCAL) == LOCAL


@pytest.mark.parametrize(("target", "public"), [("ftp://h", None), ("8080", None), (LOCAL, "voice.example.com")])
def test_addresses_that_are_none_are_refused(target: str, public: str | None) -> None:
    with pytest.raises(ConfigurationError, match="give"):
        Address(target, public)
