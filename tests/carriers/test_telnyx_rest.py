"""Telnyx's commands: what is asked of its API, and what its answers come to."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from callengine.carriers.telnyx import Telnyx, TelnyxControl
from callengine.carriers.telnyx.state import LegState, read_state
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
    Refuse,
)

CALL = "v3:m2HY959tCRHyqqhXsf64oF6H2drCcwkRt4yYrwL-VxpjYWxsZW5naW4"
OTHER = "v3:other"
URLS = CallbackUrls("https://voice.example.com/telnyx", "ref-1")
STREAM = ConnectStream("wss://voice.example.com/telnyx/media/token")
KEY = "KEY0123456789ABCDEF"
OK = {"data": {"result": "ok"}}
INLINE = {
    "stream_url": STREAM.url,
    "stream_track": "inbound_track",
    "stream_codec": "PCMU",
    "stream_bidirectional_mode": "rtp",
    "stream_bidirectional_codec": "PCMU",
    "stream_bidirectional_target_legs": "self",
}


def refusal(code: str, status: int = 422, title: str = "Refused", detail: str = "") -> httpx.Response:
    return httpx.Response(status, json={"errors": [{"code": code, "title": title, "detail": detail}]})


@attrs.define
class Api:
    """A Telnyx that answers what a test says, and remembers what it was asked."""

    answers: dict[str, list[httpx.Response]] = attrs.field(factory=dict)
    """By the end of the path, in order; the last one stays. Others are answered "ok"."""
    asked: list[tuple[str, str, Any]] = attrs.field(factory=list)
    ids: list[str] = attrs.field(factory=list)
    times: list[float] = attrs.field(factory=list)
    authorisations: set[str] = attrs.field(factory=set)
    queries: list[str] = attrs.field(factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        body = json.loads(request.content) if request.content else None
        if isinstance(body, dict) and "command_id" in body:
            self.ids.append(body.pop("command_id"))
        self.asked.append((request.method, path, body))
        self.times.append(trio.current_time())
        self.authorisations.add(request.headers.get("authorization", ""))
        self.queries.append(unquote(request.url.query.decode()))
        for end, answers in self.answers.items():
            if path.endswith(end):
                answer = answers[0] if len(answers) == 1 else answers.pop(0)
                return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return httpx.Response(200, json=OK)

    @property
    def commands(self) -> list[tuple[str, Any]]:
        """Name and body of each, whatever the leg."""
        return [(path.rpartition("/")[2], body) for _, path, body in self.asked]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.commands]


def control(api: Callable[[httpx.Request], httpx.Response], **settings: Any) -> TelnyxControl:
    http = httpx.AsyncClient(transport=httpx.MockTransport(api))
    recipe = {"connection_id": "1700000000000000001", "sender": "+15005550006", **settings}
    return Telnyx(KEY, **recipe).control(http)


def leg(**changes: Any) -> NewLeg:
    return NewLeg(**{"to": "+15005550002", "sender": "+15005550006", "stream": STREAM, "urls": URLS, **changes})


def dialled(call_id: str = CALL) -> dict[str, list[httpx.Response]]:
    return {"/calls": [httpx.Response(200, json={"data": {"call_control_id": call_id, "is_alive": False}})]}


# --- dialling -----------------------------------------------------------------------------------------------------


async def test_dialling() -> None:
    api = Api(dialled())
    commands: CarrierControl = control(api)

    assert await commands.dial(leg()) == CALL

    [(method, path, body)] = api.asked
    assert (method, path) == ("POST", "/v2/calls")
    assert api.authorisations == {f"Bearer {KEY}"}
    assert read_state(body.pop("client_state")) == LegState("dialled", "ref-1")
    assert body == {
        "connection_id": "1700000000000000001",
        "to": "+15005550002",
        "from": "+15005550006",
        "timeout_secs": 30,
        "webhook_url": "https://voice.example.com/telnyx/events/ref-1",
        "webhook_url_method": "POST",
        "stream_bidirectional_sampling_rate": 8000,
        "send_silence_when_idle": True,
        **INLINE,
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ring_timeout": 1.0}, {"timeout_secs": 5}),
        ({"ring_timeout": 20.2}, {"timeout_secs": 21}),
        ({"ring_timeout": 9000.0}, {"timeout_secs": 600}),
        ({"max_duration": 90.5}, {"time_limit_secs": 91}),
        ({"max_duration": 1e6}, {"time_limit_secs": 14_400}),
        ({"amd": "detect"}, {"answering_machine_detection": "premium"}),
        ({"amd": "message end"}, {"answering_machine_detection": "premium"}),
        ({"send_digits": "WW12#"}, {"send_digits_on_answer": "WW12#"}),
        ({"to": "sip:bob@example.com"}, {"to": "sip:bob@example.com"}),
    ],
)
async def test_what_a_leg_can_ask_for(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    api = Api(dialled())
    await control(api).dial(leg(**changes))
    assert api.asked[0][2].items() >= expected.items()


async def test_without_them_nothing_is_said_of_machines_length_and_keys() -> None:
    api = Api(dialled())
    await control(api).dial(leg())
    assert not {"answering_machine_detection", "time_limit_secs", "send_digits_on_answer"} & set(api.asked[0][2])


@pytest.mark.parametrize(("amd", "expected"), [("detect", "detect"), ("message end", "greeting_end")])
async def test_the_kind_of_machine_detection_is_a_setting(amd: Any, expected: str) -> None:
    api = Api(dialled())
    await control(api, detection="standard").dial(leg(amd=amd))
    assert api.asked[0][2]["answering_machine_detection"] == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"stream_codec": "PCMA"}, {"stream_codec": "PCMA", "stream_bidirectional_codec": "PCMA"}),
        ({"stream_codec": "L16"}, {"stream_bidirectional_codec": "L16", "stream_bidirectional_sampling_rate": 16000}),
        ({"target_legs": "both"}, {"stream_bidirectional_target_legs": "both"}),
        ({"connection_id": "42"}, {"connection_id": "42"}),
    ],
)
async def test_settings_of_the_recipe(settings: dict[str, Any], expected: dict[str, Any]) -> None:
    api = Api(dialled())
    await control(api, **settings).dial(leg())
    assert api.asked[0][2].items() >= expected.items()


async def test_the_api_url_is_a_setting() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=OK)

    await control(answer, api_url="https://eu.example.com/v2/").hang_up(OTHER)
    assert asked == ["https://eu.example.com/v2/calls/v3%3Aother/actions/hangup"]


async def test_dialling_needs_a_connection() -> None:
    with pytest.raises(ConfigurationError, match="TELNYX_CONNECTION_ID"):
        await control(Api(), connection_id="").dial(leg())


@pytest.mark.parametrize("answer", [{}, {"data": []}, {"data": {}}, {"data": {"call_control_id": "../.."}}, [1]])
async def test_an_answer_without_the_legs_name_is_an_error(answer: Any) -> None:
    with pytest.raises(CarrierError):
        await control(Api({"/calls": [httpx.Response(200, json=answer)]})).dial(leg())


async def test_a_repeated_command_has_the_same_id_and_another_one_another(autojump_clock: MockClock) -> None:
    api = Api({**dialled(), "/hangup": [httpx.Response(503), refusal("10011", 429), httpx.Response(200, json=OK)]})
    commands = control(api)
    await commands.dial(leg())
    await commands.hang_up(CALL)
    await commands.send_dtmf(CALL, "1")

    assert api.names == ["calls", "hangup", "hangup", "hangup", "send_dtmf"]
    assert api.ids[1] == api.ids[2] == api.ids[3]
    assert len(set(api.ids)) == 3


# --- streams ------------------------------------------------------------------------------------------------------


async def test_a_leg_that_rings_is_answered_with_the_stream() -> None:
    api = Api()
    await control(api).instruct(CALL, STREAM, URLS)

    path = "/v2/calls/v3%3Am2HY959tCRHyqqhXsf64oF6H2drCcwkRt4yYrwL-VxpjYWxsZW5naW4/actions/answer"
    assert api.asked == [("POST", path, {**INLINE, "send_silence_when_idle": True})]


async def test_a_leg_that_is_up_gets_a_stream_started() -> None:
    api = Api(dialled())
    commands = control(api)
    await commands.instruct(OTHER, STREAM, URLS)
    await commands.dial(leg())
    for call_id in (OTHER, CALL):
        await commands.instruct(call_id, attrs.evolve(STREAM, parameters={"tenant": "acme"}), URLS)

    again = {
        **INLINE,
        "stream_bidirectional_sampling_rate": 8000,
        "custom_parameters": [{"name": "tenant", "value": "acme"}],
    }
    assert api.names == ["answer", "calls", "streaming_start", "streaming_start"]
    assert [body for _, body in api.commands[2:]] == [again, again]


@pytest.mark.parametrize("code", ["90102", "90010"])
async def test_a_leg_that_cannot_be_answered_is_up_already(code: str) -> None:
    """As one of an engine that has been restarted since."""
    api = Api({"/answer": [refusal(code)]})
    await control(api).instruct(CALL, STREAM, URLS)
    assert api.names == ["answer", "streaming_start"]


@pytest.mark.parametrize(("answer", "fault"), [(refusal("90018"), "gone"), (refusal("10009", 401), "configuration")])
async def test_a_leg_that_is_over_is_not_connected(answer: httpx.Response, fault: str) -> None:
    api = Api({"/answer": [answer]})
    with pytest.raises(CarrierError) as caught:
        await control(api).instruct(CALL, STREAM, URLS)
    assert caught.value.fault == fault
    assert api.names == ["answer"]


async def test_l16_is_started_when_the_leg_is_up_because_an_answer_cannot_name_its_rate(
    autojump_clock: MockClock,
) -> None:
    early = refusal("90034")
    api = Api({"/streaming_start": [early, early, httpx.Response(200, json=OK)]})
    await control(api, stream_codec="L16").instruct(CALL, STREAM, URLS)

    assert api.commands[0] == ("answer", {})
    assert api.names[1:] == ["streaming_start"] * 3
    assert api.commands[-1][1]["stream_bidirectional_sampling_rate"] == 16000
    assert [round(time - api.times[0], 2) for time in api.times] == [0, 0, 0.25, 0.5]


async def test_a_leg_that_never_comes_up_is_given_up(autojump_clock: MockClock) -> None:
    api = Api({"/streaming_start": [refusal("90034")]})
    with pytest.raises(CarrierError) as caught:
        await control(api, stream_codec="L16").instruct(CALL, STREAM, URLS)
    assert caught.value.code == "90034"
    assert api.times[-1] - api.times[0] == pytest.approx(5)


# --- transfers ----------------------------------------------------------------------------------------------------


async def test_a_cold_transfer_ends_the_stream_first() -> None:
    api = Api()
    await control(api).instruct(CALL, DialTarget("+15005550003", "+15005550006", timeout=12), URLS)

    assert api.names == ["streaming_stop", "transfer"]
    body = api.commands[1][1]
    assert read_state(body.pop("target_leg_client_state")) == LegState("target", "ref-1", CALL)
    assert body == {
        "to": "+15005550003",
        "from": "+15005550006",
        "timeout_secs": 12,
        "webhook_url": "https://voice.example.com/telnyx/transfer/ref-1",
        "webhook_url_method": "POST",
    }


async def test_a_caller_can_be_taken_back_after_a_transfer() -> None:
    api = Api()
    commands = control(api)
    await commands.instruct(CALL, STREAM, URLS)
    await commands.instruct(CALL, DialTarget("+15005550003", "+15005550006"), URLS)
    await commands.instruct(CALL, STREAM, URLS)
    assert api.names == ["answer", "streaming_stop", "transfer", "streaming_start"]


@pytest.mark.parametrize("code", ["90046", "90048"])
async def test_a_leg_without_a_stream_can_be_transferred_too(code: str) -> None:
    api = Api({"/streaming_stop": [refusal(code)]})
    await control(api).instruct(CALL, DialTarget("+15005550003", "+15005550006"), URLS)
    assert api.names == ["streaming_stop", "transfer"]


async def test_a_leg_that_has_ended_cannot() -> None:
    api = Api({"/streaming_stop": [refusal("90018")]})
    with pytest.raises(CarrierError):
        await control(api).instruct(CALL, DialTarget("+15005550003", "+15005550006"), URLS)
    assert api.names == ["streaming_stop"]


async def test_a_refer() -> None:
    api = Api()
    await control(api).instruct(CALL, ReferTo("sip:desk@pbx.example.com"), URLS)

    assert api.names == ["streaming_stop", "refer"]
    body = api.commands[1][1]
    assert body["sip_address"] == "sip:desk@pbx.example.com"
    assert read_state(body["client_state"]) == LegState("referred", "ref-1")


async def test_two_legs_are_joined_out_of_their_streams() -> None:
    api = Api({"v3%3Aother/actions/streaming_stop": [refusal("90048")]})
    await control(api).join(CALL, OTHER, JoinRoom("room"), URLS)

    assert api.names == ["streaming_stop", "streaming_stop", "bridge"]
    assert [path.count("other") for _, path, _ in api.asked] == [0, 1, 0]
    assert api.commands[-1][1] == {"call_control_id": OTHER}


async def test_a_leg_cannot_wait_in_a_room() -> None:
    with pytest.raises(NotSupported, match="join"):
        await control(Api()).instruct(CALL, JoinRoom("room"), URLS)


# --- refusing, hanging up -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [None, ""])
async def test_a_refused_caller_hears_busy(words: str | None) -> None:
    api = Api()
    await control(api).instruct(CALL, Refuse(words), URLS)
    assert api.commands == [("reject", {"cause": "USER_BUSY"})]


async def test_a_leg_that_is_up_cannot_be_rejected_but_hung_up() -> None:
    api = Api({"/reject": [refusal("90102")]})
    await control(api).instruct(CALL, Refuse(), URLS)
    assert api.names == ["reject", "hangup"]


async def test_a_refused_caller_is_told_why(autojump_clock: MockClock) -> None:
    words = "We are closed. Please call on Monday."
    api = Api({"/speak": [refusal("90034"), httpx.Response(200, json=OK)]})
    await control(api, voice="Polly.Joanna", language="en-GB").instruct(CALL, Refuse(words), URLS)

    assert api.names == ["answer", "speak", "speak", "hangup"]
    assert api.commands[0][1] == {}
    assert api.commands[2][1] == {"payload": words, "voice": "Polly.Joanna", "language": "en-GB"}
    assert api.times[3] - api.times[2] == pytest.approx(1.0 + 0.1 * len(words))


async def test_long_words_do_not_keep_the_line(autojump_clock: MockClock) -> None:
    api = Api()
    await control(api).instruct(CALL, Refuse("x" * 5000), URLS)
    assert len(api.commands[1][1]["payload"]) == 3000
    assert api.times[-1] - api.times[0] == pytest.approx(20)


@pytest.mark.parametrize("answer", [refusal("90018"), refusal("10005", 404), refusal("90015"), httpx.Response(404)])
async def test_hanging_up_what_is_over_is_no_error(answer: httpx.Response) -> None:
    await control(Api({"/hangup": [answer]})).hang_up(CALL)


async def test_other_errors_of_hanging_up_are_told() -> None:
    with pytest.raises(CarrierError) as caught:
        await control(Api({"/hangup": [refusal("10009", 401)]})).hang_up(CALL)
    assert caught.value.fault == "configuration"


# --- keys, recordings, messages -----------------------------------------------------------------------------------


async def test_keys_are_one_command() -> None:
    api = Api()
    await control(api).send_dtmf(CALL, "1w2W#*AD")
    assert api.commands == [("send_dtmf", {"digits": "1w2W#*AD"})]


@pytest.mark.parametrize("digits", ["", "12x", "8642 ", "٣", "8" * 65])
async def test_what_is_no_key_is_not_sent_and_not_quoted(digits: str) -> None:
    api = Api(dialled())
    for send in (control(api).send_dtmf(CALL, digits), control(api).dial(leg(send_digits=digits or "-"))):
        with pytest.raises(CarrierError) as caught:
            await send
        assert "8642" not in str(caught.value)
    assert not api.asked


async def test_recording() -> None:
    recording_id = "d7e9c1d4-8b2a-4b8f-b3a7-9a671c9e9b0a"
    named = httpx.Response(200, json={"data": {"result": "ok", "recording_id": recording_id}})
    api = Api({"/record_start": [named, httpx.Response(200, json=OK)], "/record_stop": [refusal("90018")]})
    commands = control(api)

    assert await commands.start_recording(CALL, URLS) == recording_id
    assert await commands.start_recording(CALL, URLS) == "ref-1"
    await commands.stop_recording(CALL, recording_id)
    await commands.stop_recording(CALL, "ref-1")

    assert api.commands == [
        ("record_start", {"format": "wav", "channels": "dual", "play_beep": False}),
        ("record_start", {"format": "wav", "channels": "dual", "play_beep": False}),
        ("record_stop", {"recording_id": recording_id}),
        ("record_stop", {}),
    ]
    assert commands.authorisation("https://api.telnyx.com/x") is None


async def test_a_text_message() -> None:
    api = Api({"/messages": [httpx.Response(200, json={"data": {"id": "m-1"}})]})
    message = NewMessage(to="+15005550002", sender="+15005550006", text="Olá ✓", urls=URLS)

    assert await control(api, messaging_profile_id="profile").send_message(message) == "m-1"
    assert await control(api).send_message(attrs.evolve(message, urls=None)) == "m-1"

    plain = {"from": "+15005550006", "to": "+15005550002", "text": "Olá ✓", "type": "SMS"}
    full = {"messaging_profile_id": "profile", "webhook_url": "https://voice.example.com/telnyx/events/ref-1"}
    assert [body for _, _, body in api.asked] == [{**plain, **full}, plain]


async def test_a_text_message_is_not_sent_twice(autojump_clock: MockClock) -> None:
    message = NewMessage(to="+15005550002", sender="+15005550006", text="once")
    api = Api({"/messages": [httpx.Response(500)]})
    with pytest.raises(CarrierError):
        await control(api).send_message(message)
    assert len(api.asked) == 1


# --- numbers ------------------------------------------------------------------------------------------------------


async def test_all_pages_of_numbers() -> None:
    def page(entries: list[dict[str, Any]], number: int) -> httpx.Response:
        return httpx.Response(200, json={"data": entries, "meta": {"total_pages": 2, "page_number": number}})

    api = Api(
        {
            "/call_control_applications": [
                page([{"id": "17", "webhook_event_url": "https://a.example.com/telnyx/events"}], 1),
                page([{"id": 18, "webhook_event_url": None}], 2),
            ],
            "/phone_numbers": [
                page([{"id": "1", "phone_number": "+15005550001", "connection_id": "17", "connection_name": "d"}], 1),
                page([{"id": "2", "phone_number": "+15005550002", "connection_id": None}], 2),
            ],
        }
    )
    assert await control(api).numbers() == [
        PhoneNumber(number="+15005550001", number_id="1", voice_url="https://a.example.com/telnyx/events", label="d"),
        PhoneNumber(number="+15005550002", number_id="2"),
    ]
    assert api.queries == [f"page[number]={n}&page[size]=100" for n in (1, 2)] * 2


async def test_an_answer_that_is_no_list_is_an_error() -> None:
    with pytest.raises(CarrierError):
        await control(Api()).numbers()


async def test_pointing_a_number_points_its_application() -> None:
    application = httpx.Response(200, json={"data": {"id": "17", "application_name": "desk"}})
    api = Api({"/call_control_applications/17": [application]})
    number = PhoneNumber(number="+15005550001", number_id="1293384261075731499")

    await control(api, connection_id="17").point_number(number, "https://voice.example.com/telnyx")

    there = {"webhook_event_url": "https://voice.example.com/telnyx/events", "webhook_api_version": "2"}
    assert api.asked == [
        ("GET", "/v2/call_control_applications/17", None),
        ("PATCH", "/v2/call_control_applications/17", {"application_name": "desk", **there}),
        ("PATCH", "/v2/phone_numbers/1293384261075731499", {"connection_id": "17"}),
    ]


async def test_pointing_a_number_points_its_messages_where_there_is_a_profile() -> None:
    api = Api()
    number = PhoneNumber(number="+15005550001", number_id="12")
    await control(api, messaging_profile_id="profile").point_number(number, "https://voice.example.com/telnyx")

    url = {"webhook_url": "https://voice.example.com/telnyx/events", "webhook_api_version": "2"}
    assert api.asked[-2:] == [
        ("PATCH", "/v2/messaging_profiles/profile", url),
        ("PATCH", "/v2/phone_numbers/12/messaging", {"messaging_profile_id": "profile"}),
    ]


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "fault", "code"),
    [
        (refusal("10009", 401), "configuration", "10009"),
        (refusal("10005", 404), "gone", "10005"),
        (refusal("90018"), "gone", "90018"),
        (refusal("90015"), "gone", "90015"),
        (refusal("90034"), "rejected", "90034"),
        (refusal("40318"), "rate", "40318"),
        (httpx.Response(422, text="<html>no</html>"), "rejected", ""),
        (httpx.Response(403, json={"errors": []}), "configuration", ""),
        (httpx.Response(400, json={"errors": ["x"]}), "rejected", ""),
        (httpx.Response(400, json=[1]), "rejected", ""),
        (httpx.Response(400, json={"errors": [{"code": 10015, "title": None}]}), "rejected", "10015"),
    ],
)
async def test_whose_fault_an_error_is(answer: httpx.Response, fault: str, code: str) -> None:
    with pytest.raises(CarrierError) as caught:
        await control(Api({"/send_dtmf": [answer]})).send_dtmf(CALL, "1")
    assert (caught.value.fault, caught.value.code) == (fault, code)


async def test_an_error_says_what_telnyx_says_without_numbers_and_keys() -> None:
    detail = f"+1 (500) 555-0002 is not verified for {KEY}"
    answer = refusal("10010", 422, "Not verified", detail)
    with pytest.raises(CarrierError, match="Not verified") as caught:
        await control(Api({"/calls": [answer]})).dial(leg())
    assert "555" not in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("call_id", ["", "..", "../../accounts", "/v2/messages", "a b", "a\n", "é", "x" * 300])
async def test_a_legs_name_cannot_lead_elsewhere(call_id: str) -> None:
    api = Api()
    commands = control(api)
    for command in (
        commands.hang_up(call_id),
        commands.send_dtmf(call_id, "1"),
        commands.instruct(call_id, STREAM, URLS),
        commands.start_recording(call_id, URLS),
    ):
        with pytest.raises(CarrierError, match="call_control_id"):
            await command
    assert not api.asked


async def test_legs_that_are_remembered_are_bounded() -> None:
    api = Api()
    commands = control(api)
    for number in range(10_001):
        commands._remember(f"v3:{number}")
    await commands.instruct("v3:0", STREAM, URLS)
    await commands.instruct("v3:10000", STREAM, URLS)
    assert api.names == ["answer", "streaming_start"]


def test_a_state_is_base64_as_telnyx_wants_it() -> None:
    assert base64.b64decode(LegState("dialled", "ref-1").encoded(), validate=True)
