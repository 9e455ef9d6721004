"""``callengine numbers``: what the accounts have, and where it is pointed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import attrs
import pytest
import trio
from served import environment, run

from callengine.cli.main import FAILED, OK, USAGE
from callengine.cli.numbers import list_numbers, point_number
from callengine.errors import CarrierError
from callengine.server.trust import PUBLIC_URL_VARIABLE
from callengine.telephony import PhoneNumber

URL = "https://voice.example.com"
FRONT = PhoneNumber(number="+15005550001", number_id="PN1", voice_url="https://old.example.com/voice", label="Front")
BACK = PhoneNumber(number="+15005550002", number_id="PN2")


@attrs.frozen
class FakeCarrier:
    """A carrier's account with these numbers; what is pointed is written down."""

    name: str
    owned: tuple[PhoneNumber, ...] = ()
    missing: str | None = None
    error: CarrierError | None = None
    pointed: list[tuple[PhoneNumber, str]] = attrs.field(factory=list)

    def missing_for_commands(self) -> str | None:
        return self.missing

    def control(self, http: Any) -> FakeCarrier:  # noqa: ARG002 - the protocol's
        return self

    async def numbers(self) -> list[PhoneNumber]:
        if self.error is not None:
            raise self.error
        return list(self.owned)

    async def point_number(self, number: PhoneNumber, base: str) -> None:
        self.pointed.append((number, base))


def recipes(*carriers: FakeCarrier) -> dict[str, Callable[[], Any]]:
    return {carrier.name: (lambda carrier=carrier: carrier) for carrier in carriers}


# --- list -------------------------------------------------------------------------------------------------------------


def test_the_numbers_of_every_carrier_with_credentials_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    twilio = FakeCarrier("twilio", (FRONT, BACK))
    plivo = FakeCarrier("plivo", (PhoneNumber(number="+442079460000", number_id="3", label="London"),))
    telnyx = FakeCarrier("telnyx", missing="set TELNYX_API_KEY")

    assert list_numbers(None, recipes(twilio, telnyx, plivo)) == OK

    assert capsys.readouterr().out.splitlines() == [
        "NUMBER         CARRIER  LABEL   CALLS GO TO",
        "+15005550001   twilio   Front   https://old.example.com/voice",
        "+15005550002   twilio           nowhere",
        "+442079460000  plivo    London  nowhere",
    ]


def test_carrier_lists_only_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_numbers("plivo", recipes(FakeCarrier("twilio", (FRONT,)), FakeCarrier("plivo", (BACK,)))) == OK
    output = capsys.readouterr().out
    assert BACK.number in output
    assert FRONT.number not in output


def test_an_account_without_numbers_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_numbers(None, recipes(FakeCarrier("twilio"))) == OK
    assert capsys.readouterr().out == "no numbers: the account of twilio has none; rent one from the carrier first\n"


def test_without_credentials_the_variables_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    twilio = FakeCarrier("twilio", missing="set TWILIO_ACCOUNT_SID to the account's SID")
    telnyx = FakeCarrier("telnyx", missing="set TELNYX_API_KEY")

    assert list_numbers(None, recipes(twilio, telnyx)) == FAILED
    errors = capsys.readouterr().err
    assert "twilio: set TWILIO_ACCOUNT_SID to the account's SID" in errors
    assert "telnyx: set TELNYX_API_KEY" in errors

    # and where one carrier is meant, only that one's
    assert list_numbers("telnyx", recipes(twilio, telnyx)) == FAILED
    assert "TWILIO" not in capsys.readouterr().err


def test_a_carrier_that_fails_does_not_hide_the_others_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    broken = FakeCarrier("telnyx", error=CarrierError("telnyx", "no answer", fault="unavailable"))
    assert list_numbers(None, recipes(broken, FakeCarrier("twilio", (FRONT,)))) == FAILED
    output = capsys.readouterr()
    assert FRONT.number in output.out
    assert output.err == "callengine: telnyx: no answer\n"


# --- point ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["+15005550002", "+1 (500) 555-0002"])
@pytest.mark.parametrize("url", [URL, f"{URL}/"])
def test_a_number_is_pointed_at_the_carriers_part_of_the_public_url(
    capsys: pytest.CaptureFixture[str], written: str, url: str
) -> None:
    twilio, plivo = FakeCarrier("twilio", (FRONT,)), FakeCarrier("plivo", (BACK,))

    assert point_number(written, url, None, recipes(twilio, plivo)) == OK

    assert plivo.pointed == [(BACK, f"{URL}/plivo")]
    assert twilio.pointed == []
    assert capsys.readouterr().out == f"+15005550002 (plivo): calls and messages go to {URL}/plivo\n"


def test_a_number_that_is_not_the_accounts_is_refused_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    twilio = FakeCarrier("twilio", (FRONT, BACK))
    assert point_number("+15005559999", URL, None, recipes(twilio)) == FAILED
    errors = capsys.readouterr().err
    assert errors == ("callengine: +15005559999 is not there: the account of twilio has +15005550001, +15005550002\n")
    assert twilio.pointed == []


def test_a_number_of_two_carriers_needs_the_carrier(capsys: pytest.CaptureFixture[str]) -> None:
    twilio, telnyx = FakeCarrier("twilio", (FRONT,)), FakeCarrier("telnyx", (FRONT,))
    both = recipes(twilio, telnyx)
    assert point_number(FRONT.number, URL, None, both) == USAGE
    assert "--carrier" in capsys.readouterr().err

    assert point_number(FRONT.number, URL, "telnyx", both) == OK
    assert (len(twilio.pointed), len(telnyx.pointed)) == (0, 1)


def test_a_carrier_that_fails_is_named_when_the_number_is_not_found(capsys: pytest.CaptureFixture[str]) -> None:
    broken = FakeCarrier("telnyx", error=CarrierError("telnyx", "no answer", fault="unavailable"))
    assert point_number(FRONT.number, URL, None, recipes(broken)) == FAILED
    assert capsys.readouterr().err == "callengine: telnyx: no answer\n"


@pytest.mark.parametrize(
    ("number", "url", "said"),
    [
        ("5550001", URL, "international"),
        (FRONT.number, "http://voice.example.com", "https://"),
        (FRONT.number, "voice.example.com", "https://"),
        (FRONT.number, f"{URL}/?key=1", "https://"),
        (FRONT.number, "", "--to"),
    ],
)
def test_what_makes_no_sense_is_refused(capsys: pytest.CaptureFixture[str], number: str, url: str, said: str) -> None:
    twilio = FakeCarrier("twilio", (FRONT,))
    assert point_number(number, url, None, recipes(twilio)) == USAGE
    assert said in capsys.readouterr().err
    assert twilio.pointed == []


# --- the command, over HTTP -------------------------------------------------------------------------------------------


@asynccontextmanager
async def an_api(answer: bytes) -> AsyncIterator[tuple[str, list[tuple[str, str, dict[str, str]]]]]:
    """An HTTP server on the loopback that gives every request this answer; and the requests."""
    requests: list[tuple[str, str, dict[str, str]]] = []

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await stream.receive_some()
            head, _, body = data.partition(b"\r\n\r\n")
            fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
            while len(body) < int(fields.get("content-length", 0)):
                body += await stream.receive_some()
            method, target, _ = head.decode().split("\r\n")[0].split(" ")
            requests.append((method, target, dict(parse_qsl(body.decode(), keep_blank_values=True))))
            answer_head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(answer)}\r\n"
            await stream.send_all(answer_head.encode() + b"connection: close\r\n\r\n" + answer)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}", requests
        nursery.cancel_scope.cancel()


async def test_the_command_lists_and_points_over_http(tmp_path: Path) -> None:
    # given an account at an API of our own
    page = (
        b'{"incoming_phone_numbers": [{"phone_number": "+15005550001", "sid": "PN' + b"0" * 32 + b'",'
        b' "friendly_name": "Front desk", "voice_url": ""}], "next_page_uri": null}'
    )
    variables: dict[str, str | None] = {
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "secret-of-the-account",
    }
    async with an_api(page) as (api, requests):
        (tmp_path / "at_ours.py").write_text(
            "import sys\n"
            "from callengine.carriers.twilio import Twilio\n"
            "from callengine.cli import numbers\n"
            "from callengine.cli.main import main\n"
            f"numbers.RECIPES['twilio'] = lambda: Twilio(api_url={api!r})\n"
            "sys.exit(main(sys.argv[1:]))\n"
        )

        async def command(*arguments: str, **more: str | None) -> trio.CompletedProcess[bytes] | Any:
            def work() -> Any:
                return run(*arguments, cwd=tmp_path, code=(tmp_path / "at_ours.py").read_text(), **variables, **more)

            return await trio.to_thread.run_sync(work)

        # when its numbers are listed, and one is pointed
        listed = await command("numbers")
        pointed = await command("numbers", "point", "+15005550001", "--carrier", "twilio", "--to", URL)
        by_variable = await command("numbers", "point", "+15005550001", **{PUBLIC_URL_VARIABLE: f"{URL}/b"})

    # then it is there, and its webhooks are ours
    assert (listed.status, listed.errors) == (OK, "")
    assert "+15005550001  twilio   Front desk  nowhere" in listed.output
    assert (pointed.status, pointed.errors) == (OK, "")
    method, target, form = requests[2]
    assert (method, target) == (
        "POST",
        f"/2010-04-01/Accounts/AC{'0' * 32}/IncomingPhoneNumbers/PN{'0' * 32}.json",
    )
    assert form["VoiceUrl"] == f"{URL}/twilio/voice"
    assert by_variable.status == OK
    assert requests[4][2]["VoiceUrl"] == f"{URL}/b/twilio/voice"
    assert "secret-of-the-account" not in listed.output + pointed.output + by_variable.output


def test_the_command_without_credentials_names_the_variables(tmp_path: Path) -> None:
    ours = {name: None for name in environment() if name.startswith(("TELNYX_", "PLIVO_", "SIGNALWIRE_"))}
    ran = run("numbers", cwd=tmp_path, **ours)
    assert ran.status == FAILED
    assert "TWILIO_ACCOUNT_SID" in ran.errors
    assert "Traceback" not in ran.errors
