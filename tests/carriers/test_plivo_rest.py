"""Plivo's commands: what is asked of its API, and what its answers mean."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from callengine.carriers.plivo import Plivo, PlivoControl
from callengine.errors import CarrierError, ConfigurationError, NotSupported
from callengine.telephony import (
    CallbackUrls,
    CarrierControl,
    ConnectStream,
    DialTarget,
    JoinRoom,
    NewLeg,
    NewMessage,
    PhoneNumber,
    ReferTo,
)

AUTH_ID = "MA0123456789ABCDEF01"
AUTH_TOKEN = "0123456789abcdefghijklmnopqrstuvwxyzABCD"
ACCOUNT = f"/v1/Account/{AUTH_ID}"
CALL = "f0d8e0c2-1111-2222-3333-444455556666"
OTHER = "aaaaaaaa-1111-2222-3333-444455556666"
REQUEST = "bbbbbbbb-1111-2222-3333-444455556666"
BASE = "https://voice.example.com/plivo"
URLS = CallbackUrls(BASE, "ref1")


class Api:
    """Plivo's API: answers by path (a list: one after the other, the last for ever), and keeps what it was asked."""

    def __init__(self, answers: dict[str, httpx.Response | list[httpx.Response]]) -> None:
        self._answers = answers
        self.asked: list[tuple[str, str, Any]] = []
        self.times: list[float] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == httpx.BasicAuth(AUTH_ID, AUTH_TOKEN)._auth_header
        assert request.url.host == "api.plivo.com"
        assert request.url.path.endswith("/")  # Plivo answers anything else with a redirect, which loses the body
        path = request.url.path.removeprefix(ACCOUNT)
        query = f"?{request.url.query.decode()}" if request.url.query else ""
        self.asked.append((request.method, path + query, json.loads(request.content) if request.content else None))
        self.times.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        answer = self._answers.get(f"{request.method} {path}{query}") or self._answers[f"{request.method} {path}"]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    def control(self, **settings: Any) -> PlivoControl:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        return Plivo(AUTH_ID, AUTH_TOKEN, **settings).control(http)


def fired() -> Api:
    return Api({"POST /Call/": answer(201, message="call fired", request_uuid=REQUEST, api_id=OTHER)})


def answer(status: int, **body: Any) -> httpx.Response:
    return httpx.Response(status, json=body) if body else httpx.Response(status)


def leg(**changes: Any) -> NewLeg:
    what = {"to": "+15005550001", "sender": "+15005550002", "stream": ConnectStream("wss://x/y"), "urls": URLS}
    return NewLeg(**{**what, **changes})


# --- calls --------------------------------------------------------------------------------------------------------


async def test_dialling_names_every_place_to_call_back() -> None:
    api = fired()
    control: CarrierControl = api.control()

    assert await control.dial(leg()) == REQUEST

    assert api.asked == [
        (
            "POST",
            "/Call/",
            {
                "from": "15005550002",
                "to": "15005550001",
                "answer_url": f"{BASE}/instructions/ref1",
                "answer_method": "POST",
                "ring_url": f"{BASE}/status/ref1",
                "ring_method": "POST",
                "hangup_url": f"{BASE}/status/ref1",
                "hangup_method": "POST",
                "ring_timeout": 30,
            },
        )
    ]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"ring_timeout": 12.3}, {"ring_timeout": 13}),
        ({"ring_timeout": 0.0}, {"ring_timeout": 1}),
        ({"max_duration": 600.5}, {"time_limit": 601}),
        ({"send_digits": "wW12#"}, {"send_digits": "wW12#"}),
        ({"to": "sip:ada@phone.example.com"}, {"to": "sip:ada@phone.example.com"}),
        (
            {"amd": "detect"},
            {
                "machine_detection": "true",
                "machine_detection_time": 5000,
                "machine_detection_url": f"{BASE}/amd/ref1",
                "machine_detection_method": "POST",
            },
        ),
        ({"amd": "message end"}, {"machine_detection": "true", "machine_detection_url": f"{BASE}/amd/ref1"}),
    ],
)
async def test_what_a_leg_may_want(changes: dict[str, Any], fields: dict[str, Any]) -> None:
    plain, api = fired(), fired()
    await plain.control().dial(leg())
    await api.control().dial(leg(**changes))

    body = api.asked[0][2]
    assert fields.items() <= body.items()
    assert fields.keys() - body.keys() == set()
    assert not {"time_limit", "send_digits", "machine_detection"} & plain.asked[0][2].keys()


async def test_the_time_for_machine_detection_is_a_setting() -> None:
    api = fired()
    await api.control(machine_detection_time=3.5).dial(leg(amd="detect"))
    assert api.asked[0][2]["machine_detection_time"] == 3500


@pytest.mark.parametrize("status", [500, 503])
async def test_a_call_is_never_dialled_twice(status: int, autojump_clock: trio.testing.MockClock) -> None:
    api = Api({"POST /Call/": answer(status, error="try again")})
    with pytest.raises(CarrierError) as raised:
        await api.control().dial(leg())
    assert raised.value.fault == "unavailable"
    assert len(api.asked) == 1


async def test_a_call_that_was_refused_for_its_rate_is_dialled_again(autojump_clock: trio.testing.MockClock) -> None:
    good = answer(201, message="call fired", request_uuid=REQUEST)
    slow = httpx.Response(429, json={"error": "slow down"}, headers={"retry-after": "2"})
    api = Api({"POST /Call/": [slow, good]})

    assert await api.control().dial(leg()) == REQUEST

    assert 2.0 <= api.times[1] - api.times[0] <= 2.5


@pytest.mark.parametrize("body", [{}, {"request_uuid": 5}, {"request_uuid": []}, {"request_uuid": "../x"}])
async def test_an_answer_without_a_name_is_an_error(body: dict[str, Any]) -> None:
    api = Api({"POST /Call/": httpx.Response(201, json=body)})
    with pytest.raises(CarrierError, match="request_uuid"):
        await api.control().dial(leg())


@pytest.mark.parametrize(
    ("status", "body", "fault", "words"),
    [
        (400, {"error": "to parameter is invalid", "api_id": OTHER}, "rejected", "to parameter is invalid"),
        (400, {"error": {"error": "insufficient balance"}}, "rejected", "insufficient balance"),
        (401, {"error": "bad credentials"}, "configuration", "auth id and auth token"),
        (404, {"error": "not found"}, "gone", "not found"),
        (400, {}, "rejected", "HTTP status 400"),
        (400, [1], "rejected", "HTTP status 400"),
    ],
)
async def test_errors_say_whose_fault_it_is(status: int, body: Any, fault: str, words: str) -> None:
    api = Api({"POST /Call/": httpx.Response(status, json=body)})
    with pytest.raises(CarrierError, match=words) as raised:
        await api.control().dial(leg())
    assert raised.value.fault == fault
    assert raised.value.carrier == "plivo"


async def test_an_error_page_and_numbers_and_keys_stay_out_of_errors() -> None:
    """R75."""
    page = Api({"POST /Call/": httpx.Response(400, text=f"<html>{AUTH_TOKEN}</html>")})
    with pytest.raises(CarrierError) as raised:
        await page.control().dial(leg())
    assert AUTH_TOKEN not in str(raised.value)

    chatty = Api({"POST /Call/": answer(400, error=f"no route to 15005550001 for {AUTH_TOKEN}\nsorry")})
    with pytest.raises(CarrierError) as raised:
        await chatty.control().dial(leg())
    assert "15005550001" not in str(raised.value)
    assert AUTH_TOKEN not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("instruction", [DialTarget("+15005550003", "+15005550002"), ConnectStream("wss://x/y")])
async def test_a_live_leg_is_sent_to_fetch_its_instructions(instruction: Any) -> None:
    api = Api({f"POST /Call/{CALL}/": answer(202, message="transfer executed", call_uuids=[CALL])})

    await api.control().instruct(CALL, instruction, URLS)

    body = {"legs": "aleg", "aleg_url": f"{BASE}/instructions/ref1", "aleg_method": "POST"}
    assert api.asked == [("POST", f"/Call/{CALL}/", body)]


async def test_a_refer_is_not_supported_and_capabilities_say_so() -> None:
    api = Api({})
    with pytest.raises(NotSupported):
        await api.control().instruct(CALL, ReferTo("sip:desk@pbx.example.com"), URLS)
    assert api.asked == []
    assert "refer" not in Plivo().capabilities.transfers


async def test_two_legs_are_joined_the_other_one_first() -> None:
    api = Api({f"POST /Call/{CALL}/": answer(202), f"POST /Call/{OTHER}/": answer(202)})
    await api.control().join(CALL, OTHER, JoinRoom("room"), URLS)
    assert [path for _, path, _ in api.asked] == [f"/Call/{OTHER}/", f"/Call/{CALL}/"]


async def test_a_caller_keeps_his_stream_when_the_other_one_is_gone() -> None:
    api = Api({f"POST /Call/{OTHER}/": answer(404, error="not found")})
    with pytest.raises(CarrierError) as raised:
        await api.control().join(CALL, OTHER, JoinRoom("room"), URLS)
    assert raised.value.fault == "gone"
    assert len(api.asked) == 1


async def test_hanging_up_a_leg() -> None:
    api = Api({f"DELETE /Call/{CALL}/": answer(204)})
    await api.control().hang_up(CALL)
    assert api.asked == [("DELETE", f"/Call/{CALL}/", None)]


async def test_hanging_up_a_request_that_has_no_leg_yet() -> None:
    """A ringing call is known by its request only: that is cancelled."""
    api = Api({f"DELETE /Call/{REQUEST}/": answer(404, error="no"), f"DELETE /Request/{REQUEST}/": answer(204)})
    await api.control().hang_up(REQUEST)
    assert [path for _, path, _ in api.asked] == [f"/Call/{REQUEST}/", f"/Request/{REQUEST}/"]


async def test_hanging_up_what_is_over_is_no_error() -> None:
    api = Api({f"DELETE /Call/{CALL}/": answer(404), f"DELETE /Request/{CALL}/": answer(404, error="no")})
    await api.control().hang_up(CALL)


async def test_hanging_up_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    api = Api({f"DELETE /Call/{CALL}/": [answer(500), answer(500), answer(204)]})
    await api.control().hang_up(CALL)
    assert len(api.asked) == 3


async def test_keys_on_a_leg_without_a_stream() -> None:
    api = Api({f"POST /Call/{CALL}/DTMF/": answer(202)})
    await api.control().send_dtmf(CALL, "12#")
    assert api.asked == [("POST", f"/Call/{CALL}/DTMF/", {"digits": "12#", "leg": "aleg"})]


# --- recordings -----------------------------------------------------------------------------------------------------


async def test_a_recording_is_stereo_and_longer_than_plivos_minute() -> None:
    api = Api({f"POST /Call/{CALL}/Record/": answer(202, recording_id=OTHER, url="https://media.plivo.com/x.wav")})

    assert await api.control().start_recording(CALL, URLS) == OTHER

    assert api.asked[0][2] == {
        "time_limit": 14_400,
        "file_format": "wav",
        "record_channel_type": "stereo",
        "callback_url": f"{BASE}/recording/ref1",
        "callback_method": "POST",
    }


@pytest.mark.parametrize("status", [204, 404])
async def test_a_recording_is_stopped_or_was_already(status: int) -> None:
    api = Api({f"DELETE /Call/{CALL}/Record/": answer(status)})
    await api.control().stop_recording(CALL, OTHER)
    assert [method for method, _, _ in api.asked] == ["DELETE"]


async def test_only_private_recordings_at_plivos_own_hosts_are_fetched_with_a_password() -> None:
    private = Api({}).control(private_recordings=True)
    assert private.authorisation("https://media.plivo.com/x.wav") == (AUTH_ID, AUTH_TOKEN)
    assert private.authorisation("https://plivo.com.example.com/x.wav") is None
    assert private.authorisation("http://media.plivo.com/x.wav") is None
    assert Api({}).control().authorisation("https://media.plivo.com/x.wav") is None


# --- messages -----------------------------------------------------------------------------------------------------


async def test_a_message() -> None:
    api = Api({"POST /Message/": answer(202, message="message(s) queued", message_uuid=[OTHER], api_id=CALL)})
    message = NewMessage(to="+15005550001", sender="+15005550002", text="Olá ✓", urls=URLS)

    assert await api.control().send_message(message) == OTHER

    body = {"src": "15005550002", "dst": "15005550001", "text": "Olá ✓", "type": "sms"}
    assert api.asked == [
        ("POST", "/Message/", body | {"url": f"{BASE}/message-status/ref1", "method": "POST"}),
    ]


async def test_a_message_whose_fate_nobody_wants_to_know() -> None:
    api = Api({"POST /Message/": answer(202, message_uuid=[OTHER])})
    await api.control().send_message(NewMessage(to="+15005550001", sender="+15005550002", text="Hi"))
    assert not {"url", "method"} & api.asked[0][2].keys()


# --- numbers --------------------------------------------------------------------------------------------------------

APPLICATION = {
    "app_id": "2029",
    "app_name": "mine",
    "answer_url": f"{BASE}/voice",
    "resource_uri": f"{ACCOUNT}/Application/2029/",
}


def page(entries: list[dict[str, Any]], following: str | None = None) -> httpx.Response:
    return answer(200, meta={"limit": 20, "next": following, "offset": 0}, objects=entries)


async def test_the_numbers_of_all_pages_with_where_they_point() -> None:
    first = [{"number": f"150055500{n:02}", "alias": None, "application": None} for n in range(20)]
    last = {"number": "4930123456", "alias": "Berlin", "application": f"{ACCOUNT}/Application/2029/"}
    api = Api(
        {
            "GET /Application/": page([APPLICATION]),
            "GET /Number/?limit=20&offset=0": page(first, f"{ACCOUNT}/Number/?limit=20&offset=20"),
            "GET /Number/?limit=20&offset=20": page([last]),
        }
    )

    numbers = await api.control().numbers()

    assert len(numbers) == 21
    assert numbers[0] == PhoneNumber(number="+15005550000", number_id="15005550000")
    assert numbers[20] == PhoneNumber(
        number="+4930123456", number_id="4930123456", voice_url=f"{BASE}/voice", label="Berlin"
    )


@pytest.mark.parametrize("body", [{}, {"objects": None}, [], 5])
async def test_a_list_that_is_none_is_an_error(body: Any) -> None:
    with pytest.raises(CarrierError, match="entries"):
        await Api({"GET /Application/": httpx.Response(200, json=body)}).control().numbers()


async def test_a_list_that_never_ends_ends() -> None:
    endless = Api({"GET /Application/": page([APPLICATION], "more"), "GET /Number/": page([])})
    assert await endless.control().numbers() == []
    assert len(endless.asked) == 501


NUMBER = PhoneNumber(number="+15005550002", number_id="15005550002")


async def test_a_number_is_pointed_at_an_application_with_our_urls() -> None:
    api = Api(
        {
            "GET /Application/": page([APPLICATION]),
            "POST /Application/": answer(201, message="created", app_id="4711"),
            "POST /Number/15005550002/": answer(202, message="changed"),
        }
    )

    await api.control().point_number(NUMBER, BASE)

    assert api.asked[1:] == [
        (
            "POST",
            "/Application/",
            {
                "app_name": "callengine-voice-example-com-plivo-e2848c58",
                "answer_url": f"{BASE}/voice",
                "answer_method": "POST",
                "hangup_url": f"{BASE}/status",
                "hangup_method": "POST",
                "message_url": f"{BASE}/message",
                "message_method": "POST",
            },
        ),
        ("POST", "/Number/15005550002/", {"app_id": "4711"}),
    ]


async def test_pointing_twice_makes_one_application() -> None:
    made = Api(
        {
            "GET /Application/": page([]),
            "POST /Application/": answer(201, app_id="4711"),
            "POST /Number/15005550002/": answer(202),
        }
    )
    await made.control().point_number(NUMBER, BASE)
    name = made.asked[1][2]["app_name"]
    api = Api(
        {
            "GET /Application/": page([APPLICATION, {"app_id": "4711", "app_name": name}]),
            "POST /Application/4711/": answer(202, message="changed"),
            "POST /Number/15005550002/": answer(202),
        }
    )

    await api.control().point_number(NUMBER, BASE)

    assert [path for _, path, _ in api.asked][1:] == ["/Application/4711/", "/Number/15005550002/"]
    assert "app_name" not in api.asked[1][2]
    assert api.asked[1][2]["answer_url"] == f"{BASE}/voice"


@pytest.mark.parametrize("base", ["", "voice.example.com", "https://voice.example.com/?x=1"])
async def test_a_number_is_pointed_at_a_url_only(base: str) -> None:
    with pytest.raises(ConfigurationError, match="https://"):
        await Api({}).control().point_number(NUMBER, base)


# --- ids ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evil", ["", "../Number", f"{CALL}/Record", "%2e%2e", "a?b", "a#b", "a b", "é", "-", "a" * 65])
async def test_what_is_no_id_never_stands_in_a_path(evil: str) -> None:
    """R74."""
    api = Api({"GET /Application/": page([]), "POST /Application/": answer(201, app_id="4711")})
    control = api.control()
    for command in (
        lambda: control.hang_up(evil),
        lambda: control.instruct(evil, ConnectStream("wss://x/y"), URLS),
        lambda: control.join(CALL, evil, JoinRoom("room"), URLS),
        lambda: control.send_dtmf(evil, "1"),
        lambda: control.start_recording(evil, URLS),
        lambda: control.stop_recording(evil, OTHER),
        lambda: control.stop_recording(CALL, evil),
        lambda: control.point_number(PhoneNumber(number="+15005550002", number_id=evil), BASE),
    ):
        with pytest.raises(CarrierError) as raised:
            await command()
        assert raised.value.fault == "rejected"
    assert {path.partition("?")[0] for _, path, _ in api.asked} == {"/Application/"}
