"""The webhooks and health routes, and the user's application beside them: called as ASGI, on the virtual clock."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import attrs
import httpx
import pytest
import trio
import trio.testing
from fake_host import CALL_ID, CALLEE, CALLER, PUBLIC, VOICE_FORM, FakeHost, signature
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from callengine.carriers.twilio import Twilio
from callengine.server.app import BODY_TIMEOUT, MAX_BODY, OFFER_TIMEOUT, create_app
from callengine.server.host import Offer, Told
from callengine.server.tokens import TokenStore
from callengine.telephony import CallbackUrls, CallProgress, ConnectStream, DialTarget, IncomingCall, Refuse

LIVE_FORM = VOICE_FORM | {"CallStatus": "in-progress"}
STATUS_FORM = {"CallSid": CALL_ID, "CallStatus": "completed", "SequenceNumber": "3", "CallDuration": "12"}


def serving(host: FakeHost, tokens: TokenStore | None = None, user_app: ASGIApp | None = None) -> httpx.AsyncClient:
    app = create_app(host, tokens or TokenStore(), user_app)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")


async def post(
    host: FakeHost, target: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Post a form: signed, unless headers are given."""
    headers = signature(target, form) if headers is None else headers
    async with serving(host) as client:
        return await client.post(target, data=dict(form), headers=headers)


def stream(answer: httpx.Response) -> tuple[str, dict[str, str]]:
    """The media stream's URL and parameters in an answer."""
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    element = ElementTree.fromstring(answer.text).find("Connect/Stream")
    assert element is not None
    return element.attrib["url"], {found.attrib["name"]: found.attrib["value"] for found in element}


# --- calls come in ------------------------------------------------------------------------------------------------


async def test_a_signed_webhook_is_answered_with_a_stream_of_its_own() -> None:
    host, tokens = FakeHost(), TokenStore()
    async with serving(host, tokens) as client:
        answer = await client.post("/twilio/voice", data=VOICE_FORM, headers=signature("/twilio/voice", VOICE_FORM))

    url, parameters = stream(answer)
    prefix, _, token = url.rpartition("/")
    assert prefix == f"wss://{PUBLIC}/twilio/media"
    assert parameters == {"caller": CALLER, "callee": CALLEE}
    [(carrier, call)] = host.offered
    assert (carrier, call.call_id, call.caller, call.callee) == ("twilio", CALL_ID, CALLER, CALLEE)
    assert call.parameters["Direction"] == "inbound"
    offer = tokens.spend(token)
    assert offer is not None
    assert (offer.call_id, offer.data) == (CALL_ID, "what the host wants back")


async def test_a_webhook_may_be_a_get() -> None:
    target = "/twilio/voice?" + urlencode(VOICE_FORM)
    async with serving(FakeHost()) as client:
        url, _ = stream(await client.get(target, headers=signature(target)))
        forged = await client.get(target + "0", headers=signature(target))

    assert url.startswith(f"wss://{PUBLIC}/twilio/media/")
    assert forged.status_code == 403


async def test_the_signature_covers_the_query_as_it_was_sent() -> None:
    target = "/twilio/voice?tenant=a%20b&x="

    assert (await post(FakeHost(), target, VOICE_FORM)).status_code == 200
    assert (await post(FakeHost(), target, VOICE_FORM, signature("/twilio/voice", VOICE_FORM))).status_code == 403


@pytest.mark.parametrize("headers", [{}, {"x-twilio-signature": "AAAA"}, signature("/twilio/voice", {"From": CALLER})])
@pytest.mark.parametrize("route", ["/twilio/voice", "/twilio/status"])
async def test_what_is_not_signed_is_refused_and_offered_to_nobody(route: str, headers: dict[str, str]) -> None:
    host = FakeHost()

    answer = await post(host, route, VOICE_FORM | STATUS_FORM, headers)

    assert answer.status_code == 403
    assert not host.offered
    assert not host.noted


@pytest.mark.parametrize(
    ("host", "missing"),
    [
        (FakeHost(carriers={"twilio": Twilio("")}), "TWILIO_AUTH_TOKEN"),
        (FakeHost(public_url=None), "CALLENGINE_PUBLIC_URL"),
    ],
)
@pytest.mark.parametrize("route", ["/twilio/voice", "/twilio/status"])
async def test_without_configuration_webhooks_are_refused_and_say_what_is_missing(
    host: FakeHost, missing: str, route: str
) -> None:
    answer = await post(host, route, VOICE_FORM)

    assert answer.status_code == 503
    assert missing in answer.text
    assert not host.offered


@pytest.mark.parametrize("state", [{"ready": False}, {"draining": True}])
async def test_while_no_call_can_be_taken_the_answer_lets_another_server_take_it(state: dict[str, Any]) -> None:
    host = FakeHost(**state)

    answer = await post(host, "/twilio/voice", VOICE_FORM)

    assert answer.status_code == 503
    assert ElementTree.fromstring(answer.text).find("Reject[@reason='busy']") is not None
    assert not host.offered


@pytest.mark.parametrize(("words", "tag", "text"), [(None, "Reject", None), ("Call <later>", "Say", "Call <later>")])
async def test_a_refused_caller_hears_it(words: str | None, tag: str, text: str | None) -> None:
    async def decide(_carrier: str, _call: IncomingCall) -> Refuse:
        return Refuse(words)

    answer = await post(FakeHost(decide=decide), "/twilio/voice", VOICE_FORM)

    assert answer.status_code == 200
    first = ElementTree.fromstring(answer.text)[0]
    assert (first.tag, first.text) == (tag, text)


async def test_a_host_that_does_not_decide_is_not_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    async def decide(_carrier: str, _call: IncomingCall) -> Offer:
        await trio.sleep(OFFER_TIMEOUT + 0.1)
        return Offer("twilio")

    answer = await post(FakeHost(decide=decide), "/twilio/voice", VOICE_FORM)

    assert answer.status_code == 503
    assert trio.current_time() == pytest.approx(OFFER_TIMEOUT)


async def test_numbers_that_a_parameter_cannot_hold_are_left_out_of_it() -> None:
    form = VOICE_FORM | {"From": "sip:" + "x" * 600, "To": "a\x07b"}
    host = FakeHost()

    _, parameters = stream(await post(host, "/twilio/voice", form))

    assert parameters == {}
    assert host.offered[0][1].caller == form["From"]


@pytest.mark.parametrize("field", ["CallSid", "From", "To"])
async def test_a_signed_form_that_lacks_something_is_a_bad_request(field: str) -> None:
    form = {name: value for name, value in VOICE_FORM.items() if name != field}

    answer = await post(FakeHost(), "/twilio/voice", form)

    assert answer.status_code == 400
    assert field in answer.text
    assert CALLER not in answer.text


async def test_unknown_carriers_and_paths_are_not_found() -> None:
    async with serving(FakeHost()) as client:
        for path in ("/telnyx/voice", "/telnyx/status", "/", "/twilio", "/twilio/voice/", "/healthz/"):
            answer = await client.post(path, data=VOICE_FORM, headers=signature(path, VOICE_FORM))
            assert answer.status_code == 404, path


async def test_a_media_route_without_an_upgrade_says_what_it_wants() -> None:
    async with serving(FakeHost()) as client:
        assert (await client.get("/twilio/media")).status_code == 426
        assert (await client.get("/twilio/media/abc")).status_code == 426


# --- development --------------------------------------------------------------------------------------------------


async def test_insecure_takes_unsigned_webhooks_and_streams_come_back_to_the_same_host() -> None:
    host = FakeHost(carriers={"twilio": Twilio("")}, public_url=None, insecure=True)

    url, _ = stream(await post(host, "/twilio/voice", VOICE_FORM, {}))
    malformed = await post(host, "/twilio/voice", {}, {})

    assert url.startswith("ws://127.0.0.1:8080/twilio/media/")
    assert malformed.status_code == 400


async def test_a_body_that_is_no_form_is_a_bad_request() -> None:
    host = FakeHost(public_url=None, insecure=True)
    async with serving(host) as client:
        answer = await client.post("/twilio/voice", content=b"CallSid=%ff%fe\xff")

    assert answer.status_code == 400


# --- calls go on --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [{}, {"draining": True}, {"ready": False}])
async def test_a_status_callback_reaches_the_host_at_any_time(state: dict[str, Any]) -> None:
    host = FakeHost(**state)

    answer = await post(host, "/twilio/status", STATUS_FORM)

    assert answer.status_code == 204
    [(carrier, update)] = host.noted
    assert carrier == "twilio"
    assert update == CallProgress(call_id=CALL_ID, progress="completed", order=3, reason="completed", duration=12)


async def test_a_status_that_twilio_does_not_have_is_a_bad_request() -> None:
    answer = await post(FakeHost(), "/twilio/status", STATUS_FORM | {"CallStatus": "dreaming"})

    assert answer.status_code == 400


async def test_the_reference_in_the_path_comes_with_the_fact() -> None:
    host = FakeHost()

    answer = await post(host, "/twilio/status/abc", STATUS_FORM)

    assert answer.status_code == 204
    assert host.noted[0][1].reference == "abc"


async def test_a_leg_that_asks_for_instructions_gets_those_of_its_reference() -> None:
    urls = CallbackUrls(f"https://{PUBLIC}/twilio", "abc")
    host = FakeHost(told={"abc": Told(DialTarget("+15005550009", CALLEE, 20), urls)})

    known = await post(host, "/twilio/instructions/abc", VOICE_FORM)
    unknown = await post(host, "/twilio/instructions/xyz", VOICE_FORM)

    dial = ElementTree.fromstring(known.text).find("Dial")
    assert dial is not None
    assert (dial.attrib["timeout"], dial.attrib["callerId"]) == ("20", CALLEE)
    assert dial.attrib["action"] == f"https://{PUBLIC}/twilio/transfer/abc"
    assert ElementTree.fromstring(unknown.text)[0].tag == "Hangup"


@pytest.mark.parametrize(("result", "comes_back"), [("busy", True), ("no-answer", True), ("completed", False)])
async def test_a_caller_whose_transfer_failed_comes_back(result: str, comes_back: bool) -> None:
    url = f"wss://{PUBLIC}/twilio/media/token"
    back = Told(ConnectStream(url), CallbackUrls(f"https://{PUBLIC}/twilio", CALL_ID))
    host = FakeHost(told={"abc": back})

    answer = await post(host, "/twilio/transfer/abc", LIVE_FORM | {"DialCallStatus": result})

    assert host.noted[0][1].result == {"no-answer": "no answer"}.get(result, result)
    if comes_back:
        assert stream(answer)[0] == url
    else:
        assert "Stream" not in answer.text


# --- bodies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY, 200), (MAX_BODY + 1, 413), (4 * 2**20, 413)])
async def test_a_body_has_a_limit(size: int, status: int) -> None:
    form = VOICE_FORM | {"Padding": ""}
    form["Padding"] = "x" * (size - len(urlencode(form)))

    assert (await post(FakeHost(), "/twilio/voice", form)).status_code == status


async def test_a_body_that_trickles_in_is_not_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        for byte in urlencode(VOICE_FORM).encode():
            yield bytes([byte])
            await trio.sleep(0.1)

    async with serving(FakeHost()) as client:
        answer = await client.post(
            "/twilio/voice",
            content=trickle(),
            headers=signature("/twilio/voice", VOICE_FORM) | {"content-type": "application/x-www-form-urlencoded"},
        )

    assert answer.status_code == 408
    assert trio.current_time() == pytest.approx(BODY_TIMEOUT, abs=0.2)


# --- health -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status", "word"),
    [
        (FakeHost(), 200, "ready"),
        (FakeHost(carriers={"twilio": Twilio("")}, public_url=None), 200, "ready"),
        (FakeHost(ready=False), 503, "loading"),
        (FakeHost(draining=True), 503, "draining"),
    ],
)
async def test_readiness_follows_the_host_and_health_does_not(host: FakeHost, status: int, word: str) -> None:
    async with serving(host) as client:
        ready, health = await client.get("/readyz"), await client.get("/healthz")

    assert (ready.status_code, health.status_code) == (status, 200)
    assert word in ready.text


# --- the user's own application -----------------------------------------------------------------------------------


@attrs.define
class Shop:
    """A user's application, which looks at what it is given."""

    started: bool = False

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self.started = True
        yield

    def app(self) -> Starlette:
        async def page(request: Request) -> JSONResponse:
            links = [str(request.url_for("page", name="x")), request.scope["root_path"]]
            return JSONResponse([request.path_params["name"], dict(request.query_params), *links])

        return Starlette(routes=[Route("/shop/{name}", page, name="page")], lifespan=self.lifespan)


async def test_routes_that_are_not_ours_are_the_user_s_as_if_he_were_alone() -> None:
    async with serving(FakeHost(), user_app=Shop().app()) as client:
        page = await client.get("/shop/voice?size=2")
        assert page.json() == ["voice", {"size": "2"}, "http://127.0.0.1:8080/shop/x", ""]
        assert (await client.get("/shop/status")).json()[0] == "status"
        assert (await client.get("/else")).status_code == 404
        assert (await client.get("/healthz")).text == "ok"
        assert (await client.post("/twilio/voice")).status_code == 403


async def test_the_lifespan_is_the_user_s() -> None:
    shop = Shop()
    app = create_app(FakeHost(), TokenStore(), shop.app())
    sent: list[str] = []
    events = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, str]:
        return {"type": next(events)}

    async def send(message: Mapping[str, object]) -> None:
        sent.append(str(message["type"]))

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

    assert shop.started
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


# --- logs ---------------------------------------------------------------------------------------------------------


async def test_logs_hold_neither_numbers_nor_signatures_nor_tokens(caplog: pytest.LogCaptureFixture) -> None:
    host, tokens = FakeHost(), TokenStore()
    header = signature("/twilio/voice", VOICE_FORM)
    with caplog.at_level(logging.DEBUG):
        async with serving(host, tokens) as client:
            url, _ = stream(await client.post("/twilio/voice", data=VOICE_FORM, headers=header))
            await client.post("/twilio/voice", data=VOICE_FORM | {"Digits": "12"}, headers=header)
            host.draining = True
            await client.post("/twilio/voice", data=VOICE_FORM, headers=header)

    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("callengine"))
    assert "signature" in ours
    assert "draining" in ours
    for secret in (CALLER, CALLEE, header["x-twilio-signature"], url.rpartition("/")[2]):
        assert secret not in caplog.text
