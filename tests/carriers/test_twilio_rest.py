"""Twilio's commands, against an API in memory that is strict about what it is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import attrs
import httpx
import pytest
import trio
import trio.testing

from callengine.carriers.twilio import Twilio
from callengine.carriers.twilio.rest import TwilioControl
from callengine.carriers.twilio.twiml import twiml
from callengine.errors import CarrierError, ConfigurationError, NotSupported
from callengine.telephony import (
    CallbackUrls,
    ConnectStream,
    DialTarget,
    Instruction,
    JoinRoom,
    NewLeg,
    NewMessage,
    PhoneNumber,
    ReferTo,
    Refuse,
)

TOKEN = "0123456789abcdef0123456789abcdef"
ACCOUNT = "AC00000000000000000000000000000001"
CALL = "CA00000000000000000000000000000002"
OTHER = "CA00000000000000000000000000000004"
RECORDING = "RE00000000000000000000000000000007"
MESSAGE = "SM00000000000000000000000000000003"
NUMBER = "PN00000000000000000000000000000009"
ROOT = f"/2010-04-01/Accounts/{ACCOUNT}"
URLS = CallbackUrls("https://v.example.com/twilio", "r1")
STREAM = ConnectStream("wss://v.example.com/twilio/media/t0k", {"n": "v"})
LEG = NewLeg(to="+15005550001", sender="+15005550006", stream=STREAM, urls=URLS)
TEXT = NewMessage(to="+15005550001", sender="+15005550006", text="Hello")


@attrs.frozen
class Asked:
    method: str
    path: str
    form: list[tuple[str, str]]

    @property
    def fields(self) -> dict[str, str]:
        return dict(self.form)


class Api:
    """Gives these answers, one after the other; the last one for ever."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = list(answers)
        self.asked: list[Asked] = []
        self.authorisation: set[str] = set()
        self.hosts: set[str] = set()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        self.authorisation.add(request.headers["authorization"])
        self.hosts.add(f"{request.url.scheme}://{request.url.host}")
        content = request.content.decode()
        if content:
            assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        form = parse_qsl(content, keep_blank_values=True, strict_parsing=bool(content))
        self.asked.append(Asked(request.method, request.url.raw_path.decode(), form))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def control(self, **settings: Any) -> TwilioControl:
        carrier = Twilio(TOKEN, ACCOUNT, **settings)
        return carrier.control(httpx.AsyncClient(transport=httpx.MockTransport(self)))

    @property
    def only(self) -> Asked:
        [asked] = self.asked
        return asked


def created(sid: str) -> httpx.Response:
    return httpx.Response(201, json={"sid": sid, "status": "queued"})


def refused(status: int, code: int, message: str = "No.") -> httpx.Response:
    return httpx.Response(status, json={"code": code, "message": message, "more_info": "https://...", "status": status})


GONE = refused(400, 21220, "Call is not in-progress. Cannot redirect.")
MISSING = refused(404, 20404, "The requested resource was not found")


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCOUNT_SID", "AUTH_TOKEN", "API_KEY", "API_SECRET", "PHONE_NUMBER"):
        monkeypatch.delenv(f"TWILIO_{name}", raising=False)


# --- who asks -----------------------------------------------------------------------------------------------------


async def test_the_accounts_token_is_the_password() -> None:
    api = Api(created(CALL))
    control = api.control()
    await control.dial(LEG)
    assert api.authorisation == {httpx.BasicAuth(ACCOUNT, TOKEN)._auth_header}
    assert control.authorisation("https://api.twilio.com/x.wav") == (ACCOUNT, TOKEN)
    for stranger in (
        "https://api.twilio.com@example.com/x.wav",
        "http://api.twilio.com/x.wav",
        "https://example.com/x",
    ):
        assert control.authorisation(stranger) is None


async def test_an_api_key_takes_its_place() -> None:
    api = Api(created(CALL))
    control = api.control(api_key="SK0001", api_secret="s3cret")
    await control.dial(LEG)
    assert api.authorisation == {httpx.BasicAuth("SK0001", "s3cret")._auth_header}
    assert api.only.path == f"{ROOT}/Calls.json"
    assert control.authorisation("https://api.twilio.com/x.wav") == ("SK0001", "s3cret")


async def test_another_regions_api() -> None:
    api = Api(created(CALL))
    await api.control(api_url="https://api.dublin.ie1.twilio.com").dial(LEG)
    assert api.hosts == {"https://api.dublin.ie1.twilio.com"}


# --- calling ------------------------------------------------------------------------------------------------------


async def test_a_call() -> None:
    api = Api(created(CALL))

    assert await api.control().dial(LEG) == CALL

    assert api.only == Asked(
        "POST",
        f"{ROOT}/Calls.json",
        [
            ("To", "+15005550001"),
            ("From", "+15005550006"),
            ("Twiml", twiml(STREAM, URLS)),
            ("StatusCallback", "https://v.example.com/twilio/status/r1"),
            ("StatusCallbackEvent", "initiated"),
            ("StatusCallbackEvent", "ringing"),
            ("StatusCallbackEvent", "answered"),
            ("StatusCallbackEvent", "completed"),
            ("Timeout", "30"),
        ],
    )


@pytest.mark.parametrize("amd", ["detect", "message end"])
async def test_looking_for_machines_does_not_hold_up_the_call(amd: Any) -> None:
    api = Api(created(CALL))
    await api.control().dial(attrs.evolve(LEG, amd=amd))
    fields = api.only.fields
    assert (fields["MachineDetection"], fields["AsyncAmd"]) == ("Enable", "true")
    assert fields["AsyncAmdStatusCallback"] == "https://v.example.com/twilio/amd/r1"


async def test_digits_are_sent_instead_of_looking_for_machines() -> None:
    api = Api(created(CALL))
    await api.control().dial(attrs.evolve(LEG, amd="detect", send_digits="wW12#*"))
    assert api.only.fields["SendDigits"] == "wW12#*"
    assert "MachineDetection" not in api.only.fields


@pytest.mark.parametrize("digits", ["A", "12,3", "1" * 33, "٣", "1\n"])
async def test_digits_that_twilio_does_not_send_make_no_call(digits: str) -> None:
    api = Api(created(CALL))
    with pytest.raises(CarrierError, match="digits") as caught:
        await api.control().dial(attrs.evolve(LEG, send_digits=digits))
    assert caught.value.fault == "rejected"
    assert digits not in str(caught.value)
    assert api.asked == []


@pytest.mark.parametrize(("seconds", "asked"), [(0.2, "1"), (12.5, "13"), (5000.0, "600")])
async def test_how_long_it_rings(seconds: float, asked: str) -> None:
    api = Api(created(CALL))
    await api.control().dial(attrs.evolve(LEG, ring_timeout=seconds))
    assert api.only.fields["Timeout"] == asked


async def test_how_long_it_may_last() -> None:
    api = Api(created(CALL))
    await api.control().dial(attrs.evolve(LEG, max_duration=90.5))
    assert api.only.fields["TimeLimit"] == "91"


async def test_instructions_that_are_too_long_are_fetched() -> None:
    api = Api(created(CALL))
    parameters = {f"name-{number}": "v" * 480 for number in range(8)}
    await api.control().dial(attrs.evolve(LEG, stream=ConnectStream(STREAM.url, parameters)))
    assert api.only.fields["Url"] == "https://v.example.com/twilio/instructions/r1"
    assert api.only.fields["Method"] == "POST"
    assert "Twiml" not in api.only.fields


async def test_a_call_is_never_made_twice(autojump_clock: trio.testing.MockClock) -> None:
    for answer in (httpx.Response(503, text="<html>"), httpx.Response(500)):
        api = Api(answer, created(CALL))
        with pytest.raises(CarrierError) as caught:
            await api.control().dial(LEG)
        assert caught.value.fault == "unavailable"
        assert len(api.asked) == 1


async def test_a_call_that_was_not_taken_for_its_rate_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    api = Api(refused(429, 20429), created(CALL))
    assert await api.control().dial(LEG) == CALL
    assert len(api.asked) == 2


@pytest.mark.parametrize("answer", [{}, {"sid": None}, {"sid": "../../x"}, [], None])
async def test_an_answer_without_the_calls_name_is_an_error(answer: Any) -> None:
    with pytest.raises(CarrierError) as caught:
        await Api(httpx.Response(201, json=answer)).control().dial(LEG)
    assert caught.value.fault == "unavailable"


# --- during a call ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "instruction",
    [
        STREAM,
        DialTarget("+15005550009", "+15005550006"),
        ReferTo("sip:bob@pbx.example.com"),
        JoinRoom("room"),
        Refuse("Bye"),
        Refuse(),
    ],
)
async def test_a_live_leg_is_told_something_else(instruction: Instruction) -> None:
    api = Api(httpx.Response(200, json={"sid": CALL}))
    await api.control().instruct(CALL, instruction, URLS)
    assert api.only == Asked("POST", f"{ROOT}/Calls/{CALL}.json", [("Twiml", twiml(instruction, URLS, live=True))])


async def test_a_leg_that_is_over_cannot_be_told_anything() -> None:
    for answer in (GONE, MISSING):
        with pytest.raises(CarrierError) as caught:
            await Api(answer).control().instruct(CALL, STREAM, URLS)
        assert caught.value.fault == "gone"


async def test_a_transfer_is_not_begun_twice(autojump_clock: trio.testing.MockClock) -> None:
    api = Api(httpx.Response(502), httpx.Response(200))
    with pytest.raises(CarrierError):
        await api.control().instruct(CALL, DialTarget("+15005550009", "+15005550006"), URLS)
    assert len(api.asked) == 1


async def test_two_legs_are_joined_the_other_one_first() -> None:
    api = Api(httpx.Response(200))
    await api.control().join(CALL, OTHER, JoinRoom("room"), URLS)
    assert [asked.path for asked in api.asked] == [f"{ROOT}/Calls/{OTHER}.json", f"{ROOT}/Calls/{CALL}.json"]
    assert {asked.fields["Twiml"] for asked in api.asked} == {twiml(JoinRoom("room"))}


async def test_where_the_other_leg_is_gone_the_first_keeps_its_stream() -> None:
    api = Api(GONE)
    with pytest.raises(CarrierError):
        await api.control().join(CALL, OTHER, JoinRoom("room"), URLS)
    assert api.only.path == f"{ROOT}/Calls/{OTHER}.json"


async def test_hanging_up() -> None:
    api = Api(httpx.Response(200))
    await api.control().hang_up(CALL)
    assert api.only == Asked("POST", f"{ROOT}/Calls/{CALL}.json", [("Status", "completed")])


@pytest.mark.parametrize("answer", [GONE, MISSING, httpx.Response(404, text="<html>")])
async def test_hanging_up_what_is_over_is_no_error(answer: httpx.Response) -> None:
    await Api(answer).control().hang_up(CALL)


async def test_hanging_up_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    api = Api(httpx.Response(500), httpx.Response(200))
    await api.control().hang_up(CALL)
    assert len(api.asked) == 2


async def test_there_is_no_command_for_keys() -> None:
    with pytest.raises(NotSupported, match="twilio") as caught:
        await Api(created(CALL)).control().send_dtmf(CALL, "1234")
    assert "1234" not in str(caught.value)


# --- recordings ---------------------------------------------------------------------------------------------------


async def test_a_recording_begins() -> None:
    api = Api(created(RECORDING))
    assert await api.control().start_recording(CALL, URLS) == RECORDING
    assert api.only == Asked(
        "POST",
        f"{ROOT}/Calls/{CALL}/Recordings.json",
        [
            ("RecordingChannels", "dual"),
            ("RecordingTrack", "both"),
            ("RecordingStatusCallback", "https://v.example.com/twilio/recording/r1"),
            ("RecordingStatusCallbackEvent", "completed absent"),
        ],
    )


async def test_a_recording_ends() -> None:
    api = Api(httpx.Response(200))
    await api.control().stop_recording(CALL, RECORDING)
    assert api.only == Asked("POST", f"{ROOT}/Calls/{CALL}/Recordings/{RECORDING}.json", [("Status", "stopped")])


@pytest.mark.parametrize("answer", [GONE, MISSING])
async def test_a_recording_that_is_over_already_is_no_error(answer: httpx.Response) -> None:
    await Api(answer).control().stop_recording(CALL, RECORDING)


# --- messages -----------------------------------------------------------------------------------------------------


async def test_a_text_message() -> None:
    api = Api(created(MESSAGE))
    assert await api.control().send_message(attrs.evolve(TEXT, urls=URLS)) == MESSAGE
    assert api.only == Asked(
        "POST",
        f"{ROOT}/Messages.json",
        [
            ("To", "+15005550001"),
            ("From", "+15005550006"),
            ("Body", "Hello"),
            ("StatusCallback", "https://v.example.com/twilio/message-status/r1"),
        ],
    )


async def test_a_text_message_of_which_nobody_wants_to_hear() -> None:
    api = Api(created(MESSAGE))
    await api.control().send_message(attrs.evolve(TEXT, text="x" * 1600))
    assert "StatusCallback" not in api.only.fields


@pytest.mark.parametrize("text", ["", "x" * 1601])
async def test_the_length_of_a_text_message(text: str) -> None:
    api = Api(created(MESSAGE))
    with pytest.raises(CarrierError, match="1600") as caught:
        await api.control().send_message(attrs.evolve(TEXT, text=text))
    assert caught.value.fault == "rejected"
    assert api.asked == []


async def test_a_text_message_is_never_sent_twice(autojump_clock: trio.testing.MockClock) -> None:
    api = Api(httpx.Response(500), created(MESSAGE))
    with pytest.raises(CarrierError):
        await api.control().send_message(TEXT)
    assert len(api.asked) == 1


# --- numbers ------------------------------------------------------------------------------------------------------


def page(numbers: list[Any], following: str | None) -> httpx.Response:
    return httpx.Response(200, json={"incoming_phone_numbers": numbers, "next_page_uri": following})


def entry(number: str, **more: Any) -> dict[str, Any]:
    return {"sid": NUMBER, "phone_number": number, "friendly_name": "Desk", "voice_url": "https://v", **more}


async def test_all_pages_of_the_numbers() -> None:
    following = f"{ROOT}/IncomingPhoneNumbers.json?PageSize=100&Page=1&PageToken=PAPN%2B1"
    api = Api(
        page([entry("+15005550001"), {"odd": 1}, 5], following),
        page([entry("+15005550002", voice_url=None, friendly_name="")], None),
    )

    numbers = await api.control().numbers()

    assert numbers == [
        PhoneNumber(number="+15005550001", number_id=NUMBER, voice_url="https://v", label="Desk"),
        PhoneNumber(number="+15005550002", number_id=NUMBER),
    ]
    assert [(asked.method, asked.path) for asked in api.asked] == [
        ("GET", f"{ROOT}/IncomingPhoneNumbers.json?PageSize=100"),
        ("GET", following),
    ]


async def test_the_password_goes_nowhere_else_for_the_next_page() -> None:
    api = Api(page([entry("+15005550001")], "https://evil.example.com/x?Page=1"), page([], ""))
    await api.control().numbers()
    assert api.hosts == {"https://api.twilio.com"}
    assert api.asked[1].path == f"{ROOT}/IncomingPhoneNumbers.json?Page=1"


async def test_a_list_that_does_not_end_is_an_error() -> None:
    api = Api(page([], "/x?Page=1"))
    with pytest.raises(CarrierError, match="100 pages"):
        await api.control().numbers()


async def test_a_number_is_pointed_at_an_engine() -> None:
    api = Api(httpx.Response(200))

    number = PhoneNumber(number="+15005550001", number_id=NUMBER)
    await api.control().point_number(number, "https://v.example.com/twilio")

    assert (api.only.method, api.only.path) == ("POST", f"{ROOT}/IncomingPhoneNumbers/{NUMBER}.json")
    assert api.only.fields == {
        "VoiceUrl": "https://v.example.com/twilio/voice",
        "VoiceMethod": "POST",
        "VoiceApplicationSid": "",
        "StatusCallback": "https://v.example.com/twilio/status",
        "StatusCallbackMethod": "POST",
        "SmsUrl": "https://v.example.com/twilio/message",
        "SmsMethod": "POST",
        "SmsApplicationSid": "",
    }


# --- names in paths -----------------------------------------------------------------------------------------------

COMMANDS: list[Callable[[TwilioControl, str], Awaitable[Any]]] = [
    lambda control, name: control.hang_up(name),
    lambda control, name: control.instruct(name, STREAM, URLS),
    lambda control, name: control.join(CALL, name, JoinRoom("room"), URLS),
    lambda control, name: control.start_recording(name, URLS),
    lambda control, name: control.stop_recording(name, RECORDING),
    lambda control, name: control.stop_recording(CALL, name),
    lambda control, name: control.point_number(PhoneNumber(number="+1", number_id=name), "https://v"),
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["", "../Messages", f"{CALL}/../{OTHER}", "CA%2e%2e", f"{CALL}?x", f"{CALL}\n", "CA1"])
async def test_a_name_cannot_lead_to_another_path(
    command: Callable[[TwilioControl, str], Awaitable[Any]], name: str
) -> None:
    api = Api(created(CALL))
    with pytest.raises(CarrierError) as caught:
        await command(api.control(), name)
    assert caught.value.fault == "rejected"
    assert api.asked == []


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "fault", "code"),
    [
        (refused(401, 20003), "configuration", "20003"),
        (refused(400, 21205), "configuration", "21205"),
        (refused(400, 21210), "configuration", "21210"),
        (refused(400, 21212), "configuration", "21212"),
        (refused(400, 21606), "configuration", "21606"),
        (refused(400, 21211), "rejected", "21211"),
        (refused(400, 21215), "rejected", "21215"),
        (refused(400, 21219), "rejected", "21219"),
        (refused(400, 21610), "rejected", "21610"),
        (httpx.Response(400, json={"code": "21210", "message": "No."}), "configuration", "21210"),
        (httpx.Response(503, json={"code": None, "message": None}), "unavailable", ""),
        (httpx.Response(401, text="<html>"), "configuration", ""),
        (httpx.Response(400, json={"code": {"a": 1}, "message": ["x"]}), "rejected", ""),
        (httpx.Response(400, json={"code": "²", "message": "No."}), "rejected", ""),
    ],
)
async def test_whose_fault_an_error_is(answer: httpx.Response, fault: str, code: str) -> None:
    with pytest.raises(CarrierError) as caught:
        await Api(answer).control().send_message(TEXT)
    assert (caught.value.fault, caught.value.code) == (fault, code)


async def test_wrong_credentials_say_what_to_check() -> None:
    with pytest.raises(CarrierError, match="auth token") as caught:
        await Api(refused(401, 20003, "Authenticate")).control().dial(LEG)
    assert TOKEN not in str(caught.value)


async def test_no_number_stands_in_an_error() -> None:
    message = "The number +15005550001 is unverified. Trial accounts cannot send to +15005550001."
    with pytest.raises(CarrierError) as caught:
        await Api(refused(400, 21608, message)).control().send_message(TEXT)
    assert "5550001" not in str(caught.value)
    assert "0001" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"account_sid": None}, "TWILIO_ACCOUNT_SID"),
        ({"account_sid": "AC123/../x"}, "TWILIO_ACCOUNT_SID"),
        ({"auth_token": None}, "TWILIO_AUTH_TOKEN"),
        ({"api_key": "SK0001"}, "TWILIO_API_SECRET"),
        ({"auth_token": None, "api_secret": "s3cret"}, "TWILIO_API_KEY"),
    ],
)
def test_without_credentials_there_are_no_commands(settings: dict[str, Any], problem: str) -> None:
    carrier = Twilio(**({"auth_token": TOKEN, "account_sid": ACCOUNT} | settings))
    assert problem in (carrier.missing_for_commands() or "")
    with pytest.raises(ConfigurationError, match=problem) as caught:
        carrier.control(httpx.AsyncClient())
    assert "s3cret" not in str(caught.value)


def test_an_api_key_is_enough_for_commands() -> None:
    carrier = Twilio(None, ACCOUNT, "SK0001", "s3cret")
    assert carrier.missing_for_commands() is None
    assert "TWILIO_AUTH_TOKEN" in (carrier.missing_configuration() or "")
