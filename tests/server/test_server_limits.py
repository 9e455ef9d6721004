"""What strangers can do at the public port, whichever carrier they pretend to be: nothing that costs."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
import httpx
import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from callengine.carriers.plivo.signature import sign_v3
from callengine.carriers.twilio.signature import sign
from callengine.errors import SocketClosed
from callengine.journal import Record
from callengine.ports import MediaSocket
from callengine.records.files import CallFiles, file_name
from callengine.server.admission import admit
from callengine.server.app import BODY_TIMEOUT, MAX_BODY, create_app
from callengine.server.front_door import serve_front_door
from callengine.server.host import Offer, Told
from callengine.server.tokens import TokenStore
from callengine.services.handshake import BadHandshake
from callengine.services.websocket import MAX_MESSAGE
from callengine.telephony import Carrier, CarrierFact, IncomingCall, InstructionsWanted, Refuse, TransferEnded
from callengine.testing import accounts

PUBLIC = "voice.example.com"
NOW = 1_767_323_045
CALLER, CALLEE = "+15005550001", "+15005550002"
SID = "CA00000000000000000000000000000002"
CARRIERS = ("twilio", "signalwire", "telnyx", "plivo")
VOICE = {
    "twilio": "voice",
    "signalwire": "voice",
    "telnyx": "events",
    "plivo": "voice",
}
UNCONFIGURED = {
    "twilio": {"auth_token": ""},
    "signalwire": {"signing_key": ""},
    "telnyx": {"public_key": ""},
    "plivo": {"auth_token": ""},
}
CALL_IDS = {
    "twilio": SID,
    "signalwire": "00000000-0000-4000-8000-000000000002",
    "telnyx": "v3:m2HY959tCRHyqqhXsf64oF6H2drCcwkRt4yYrwL",
    "plivo": "00000000-0000-4000-8000-000000000002",
}


@attrs.define
class House:
    """An engine as the server sees it, which notes whatever reaches it."""

    carriers: Mapping[str, Carrier] = attrs.field(
        factory=lambda: {kind: accounts.recipe(kind) for kind in CARRIERS},
    )
    public_url: str | None = f"https://{PUBLIC}"
    insecure: bool = False
    reached: list[object] = attrs.field(factory=list)

    def is_ready(self) -> bool:
        return True

    def is_draining(self) -> bool:
        return False

    def unix_time(self) -> float:
        return NOW

    async def offer(self, carrier: str, call: IncomingCall) -> Offer | Refuse:
        self.reached.append(call)
        return Offer(carrier, call.caller, call.callee, "inbound", call.call_id)

    def instructions(self, _carrier: str, fact: InstructionsWanted | TransferEnded) -> Told | None:
        self.reached.append(fact)
        return None

    def note(self, _carrier: str, fact: CarrierFact) -> None:
        self.reached.append(fact)

    async def take(self, offer: Offer | None, _carrier: str, socket: MediaSocket) -> None:
        self.reached.append(offer)
        with suppress(SocketClosed):
            while True:
                for _, payload in await socket.receive():
                    socket.send_nowait(payload)


@attrs.frozen
class Request:
    """A webhook that announces a call, as its carrier sends it."""

    carrier: str
    path: str
    body: bytes
    headers: dict[str, str]

    async def post(self, client: httpx.AsyncClient, **more: str) -> httpx.Response:
        return await client.post(self.path, content=self.body, headers={**self.headers, **more})


def announced(carrier: str, *, at: int = NOW, host: str = PUBLIC, padding: int = 0, **changes: str) -> Request:
    """The webhook of an incoming call, signed. ``changes`` are of ``call_id``, ``caller`` and ``callee``."""
    call = {"call_id": CALL_IDS[carrier], "caller": CALLER, "callee": CALLEE} | changes
    path = f"/{carrier}/{VOICE[carrier]}"
    if carrier == "telnyx":
        payload = {"call_control_id": call["call_id"], "from": call["caller"], "to": call["callee"]}
        payload |= {"direction": "incoming", "padding": "x" * padding}
        body = json.dumps({"data": {"event_type": "call.initiated", "payload": payload}}).encode()
        key = Ed25519PrivateKey.from_private_bytes(accounts.TELNYX_SEED)
        signature = base64.b64encode(key.sign(f"{at}|".encode() + body)).decode()
        headers = {"telnyx-timestamp": str(at), "telnyx-signature-ed25519": signature}
        return Request(carrier, path, body, headers | {"content-type": "application/json"})
    name = "CallUUID" if carrier == "plivo" else "CallSid"
    form = {name: call["call_id"], "From": call["caller"], "To": call["callee"], "Padding": "x" * padding}
    return Request(
        carrier,
        path,
        urlencode(form).encode(),
        _signed_form(carrier, f"https://{host}{path}", form) | {"content-type": "application/x-www-form-urlencoded"},
    )


def _signed_form(carrier: str, url: str, form: Mapping[str, str]) -> dict[str, str]:
    if carrier == "plivo":
        signature = sign_v3(accounts.PLIVO_TOKEN, "POST", url, "nonce", form.items())
        return {"x-plivo-signature-v3": signature, "x-plivo-signature-v3-nonce": "nonce"}
    key = accounts.AUTH_TOKEN if carrier == "twilio" else accounts.SIGNALWIRE_SIGNING_KEY
    return {f"x-{carrier}-signature": sign(key, url, form.items())}


@asynccontextmanager
async def asked(house: House, tokens: TokenStore | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the webhooks, in memory."""
    transport = httpx.ASGITransport(create_app(house, tokens or TokenStore()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        yield client


@asynccontextmanager
async def open_port(house: House, tokens: TokenStore | None = None, **settings: Any) -> AsyncIterator[int]:
    """The real port, on loopback."""
    tokens = tokens or TokenStore()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            app = create_app(house, tokens)
            [(_, port)] = await nursery.start(
                partial(serve_front_door, house, app, tokens, bind="127.0.0.1", port=0, **settings)
            )
            yield port
            nursery.cancel_scope.cancel()


async def exchange(port: int, sent: bytes) -> bytes:
    """All that comes back for these bytes, on a connection of their own."""
    received = bytearray()
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(sent)
            while data := await stream.receive_some():
                received += data
    return bytes(received)


def upgrade(carrier: str, token: str, **headers: str) -> bytes:
    """A media upgrade, signed where the carrier signs them."""
    path = f"/{carrier}/media/{token}" if token else f"/{carrier}/media"
    lines = {
        "Host": PUBLIC,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
        **upgrade_headers(carrier, path),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1")


def upgrade_headers(carrier: str, path: str) -> dict[str, str]:
    if carrier != "twilio":
        return {}
    return {"x-twilio-signature": sign(accounts.AUTH_TOKEN, f"wss://{PUBLIC}{path}")}


# --- who may speak ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_genuine_webhook_reaches_the_engine(carrier: str) -> None:
    """Else the tests below would show nothing."""
    house = House()
    async with asked(house) as client:
        assert (await announced(carrier).post(client)).is_success

    [call] = house.reached
    assert (call.call_id, call.caller, call.callee) == (CALL_IDS[carrier], CALLER, CALLEE)


def _forged(carrier: str) -> list[Request]:
    genuine = announced(carrier)
    [name] = [name for name in genuine.headers if name.endswith(("signature", "v3", "ed25519"))]
    others = [
        {},
        {**genuine.headers, name: ""},
        {**genuine.headers, name: "AAAA"},
        {**genuine.headers, name: base64.b64encode(bytes(64)).decode()},
        {**genuine.headers, name: genuine.headers[name][:-4] + "AAA="},
    ]
    forged = [attrs.evolve(genuine, headers={"content-type": genuine.headers["content-type"]} | h) for h in others]
    tampered = attrs.evolve(genuine, body=genuine.body.replace(b"5005550001", b"5005550009"))
    assert tampered.body != genuine.body
    elsewhere = announced(carrier, host="other.example.com")  # Telnyx does not sign the URL
    return [*forged, tampered, *([] if carrier == "telnyx" else [elsewhere])]


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_bad_signature_is_refused_and_nothing_runs(carrier: str) -> None:
    house, tokens = House(), TokenStore()
    async with asked(house, tokens) as client:
        for request in _forged(carrier):
            assert (await request.post(client)).status_code == 403

    assert house.reached == []
    assert tokens.unspent() == 0


@pytest.mark.parametrize(
    ("age", "status"), [(0, 204), (299, 204), (301, 403), (86_400, 403), (-29, 204), (-31, 403), (-86_400, 403)]
)
async def test_a_stale_or_future_webhook_is_refused_where_the_time_is_signed(age: int, status: int) -> None:
    house = House()
    async with asked(house) as client:
        assert (await announced("telnyx", at=NOW - age).post(client)).status_code == status

    assert len(house.reached) == (status == 204)


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_without_a_key_nothing_is_believed_whatever_is_signed(carrier: str) -> None:
    house = House(carriers={carrier: accounts.recipe(carrier, **UNCONFIGURED[carrier])})
    async with asked(house) as client:
        for what in sorted(house.carriers[carrier].webhooks):
            for request in (announced(carrier), *_forged(carrier)):
                answer = await attrs.evolve(request, path=f"/{carrier}/{what}").post(client)
                assert answer.status_code == 503

    assert house.reached == []


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_every_webhook_of_a_carrier_is_verified(carrier: str) -> None:
    """Signed for one path, it is not good for another; unsigned, it is good for none."""
    house = House()
    whats = house.carriers[carrier].webhooks
    async with asked(house) as client:
        for what in sorted(whats):
            for path in (f"/{carrier}/{what}", f"/{carrier}/{what}/reference"):
                for request in _forged(carrier)[:2]:
                    assert (await attrs.evolve(request, path=path).post(client)).status_code == 403
                assert (await client.get(path)).status_code in (403, 405)

    assert house.reached == []


async def test_one_carrier_s_signature_is_not_another_s() -> None:
    house = House()
    async with asked(house) as client:
        for carrier in CARRIERS:
            for other in CARRIERS:
                if other != carrier:
                    request = attrs.evolve(announced(carrier), path=f"/{other}/{VOICE[other]}")
                    assert (await request.post(client)).status_code == 403

    assert house.reached == []


FORWARDED = {
    "forwarded": 'for=192.0.2.1;host="other.example.com";proto=http',
    "x-forwarded-for": "192.0.2.1",
    "x-forwarded-host": "other.example.com",
    "x-forwarded-proto": "http",
    "x-forwarded-port": "8443",
    "x-forwarded-prefix": "/other",
    "x-real-ip": "192.0.2.1",
    "x-original-url": "/other",
    "x-rewrite-url": "/other",
    "x-http-method-override": "GET",
    "host": "other.example.com",
}


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_no_forwarded_header_changes_what_is_believed_or_answered(carrier: str) -> None:
    """Anybody can send them. The public URL is configuration; so there is no proxy that would have to be trusted."""
    house, tokens = House(), TokenStore()
    elsewhere = announced(carrier, host="other.example.com")
    async with asked(house, tokens) as client:
        plain = await announced(carrier).post(client)
        forwarded = await announced(carrier, at=NOW + 1).post(client, **FORWARDED)
        forged = None if carrier == "telnyx" else await elsewhere.post(client, **FORWARDED)

    assert forwarded.status_code == plain.status_code
    assert "other.example.com" not in forwarded.text
    assert len(forwarded.text) == len(plain.text)  # they differ in the token only
    assert forged is None or forged.status_code == 403


async def test_an_address_that_is_only_forwarded_does_not_count_as_another() -> None:
    house = House()
    async with open_port(house, max_per_address=1) as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as first:
            await first.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
            assert (await first.receive_some()).startswith(b"HTTP/1.1 200 ")
            request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.2\r\nConnection: close\r\n\r\n"
            assert await exchange(port, request) == b""


# --- media sockets ------------------------------------------------------------------------------------------------


def admitted(house: House, tokens: TokenStore, carrier: str, token: str) -> int:
    """The status with which a media socket is answered."""
    path = f"/{carrier}/media/{token}" if token else f"/{carrier}/media"
    try:
        admit(house, tokens, path, upgrade_headers(carrier, path))
    except BadHandshake as refused:
        return refused.status
    return 101


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_media_socket_without_the_call_s_token_is_refused_and_no_call_runs(carrier: str) -> None:
    """It is refused before the upgrade, so that there is no socket that would have to be closed with 1008."""
    house, tokens = House(), TokenStore()
    token = tokens.issue(Offer(carrier))
    wrong = ["", "AAAA", token[:-1], token + "A", token.swapcase(), "%00", "..", "x" * 4000]
    async with open_port(house, tokens) as port:
        for presented in wrong:
            assert (await exchange(port, upgrade(carrier, presented))).startswith(b"HTTP/1.1 403 ")

    assert house.reached == []
    assert tokens.unspent() == 1


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_token_opens_one_socket_of_its_carrier(carrier: str) -> None:
    house, tokens = House(), TokenStore()
    token = tokens.issue(Offer(carrier))
    [other, *_] = [name for name in CARRIERS if name != carrier]

    assert admitted(house, tokens, carrier, tokens.issue(Offer(other))) == 403
    assert [admitted(house, tokens, carrier, token) for _ in range(3)] == [101, 403, 403]


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_token_expires(carrier: str, autojump_clock: trio.testing.MockClock) -> None:
    house, tokens = House(), TokenStore(lifetime=60)
    first, second = tokens.issue(Offer(carrier)), tokens.issue(Offer(carrier))

    await trio.sleep(59.9)
    assert admitted(house, tokens, carrier, first) == 101
    await trio.sleep(0.1)
    assert admitted(house, tokens, carrier, second) == 403


async def test_nothing_that_is_compared_or_kept_is_the_token_itself() -> None:
    """What is looked up is a digest: its time says nothing about the token, and a dump of memory has none."""
    tokens = TokenStore()
    token = tokens.issue(Offer("twilio"))
    kept = list(tokens._issued)

    assert kept == [hashlib.sha256(token.encode()).digest()]
    assert token not in repr(tokens._issued)


async def test_a_frame_over_the_limit_ends_its_own_call_only() -> None:
    house, tokens = House(), TokenStore()
    async with open_port(house, tokens) as port:
        healthy, greedy = [
            await trio.open_tcp_stream("127.0.0.1", port),
            await trio.open_tcp_stream("127.0.0.1", port),
        ]
        async with healthy, greedy:
            for stream in (healthy, greedy):
                await stream.send_all(upgrade("twilio", tokens.issue(Offer("twilio"))))
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
            await greedy.send_all(b"\x81\xff" + (MAX_MESSAGE + 1).to_bytes(8, "big") + bytes(4))
            answer = b""
            while data := await greedy.receive_some():
                answer += data
            assert answer[:1] == b"\x88"
            assert int.from_bytes(answer[2:4], "big") == 1009
            await healthy.send_all(b"\x81\x85\x00\x00\x00\x00hello")
            assert await healthy.receive_some() == b"\x81\x05hello"


# --- sizes and times ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_body_over_the_limit_is_refused_unread(carrier: str) -> None:
    house = House()
    fits = announced(carrier, padding=MAX_BODY - 1000)
    large = announced(carrier, padding=MAX_BODY)
    assert len(fits.body) <= MAX_BODY < len(large.body)
    async with asked(house) as client:
        assert (await large.post(client)).status_code == 413
        assert house.reached == []
        assert (await fits.post(client)).is_success
    assert len(house.reached) == 1


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_body_has_its_time(carrier: str, autojump_clock: trio.testing.MockClock) -> None:
    house = House()
    request = announced(carrier)

    async def trickle() -> AsyncIterator[bytes]:
        for byte in request.body:
            yield bytes([byte])
            await trio.sleep(0.5)

    async with asked(house) as client:
        answer = await client.post(request.path, content=trickle(), headers=request.headers)

    assert answer.status_code == 408
    assert trio.current_time() == pytest.approx(BODY_TIMEOUT)
    assert house.reached == []


async def test_a_request_with_two_lengths_is_not_guessed_at() -> None:
    """Two servers that disagree about where a request ends let one slip in behind another."""
    house = House()
    request = b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345"
    async with open_port(house) as port:
        answer = await exchange(port, request + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert house.reached == []


# --- call ids and other names -------------------------------------------------------------------------------------

EVIL_IDS = [
    "",
    "..",
    "../../etc/passwd",
    "..\\..\\windows",
    "/etc/passwd",
    f"{SID}/../x",
    f"{SID}\n",
    f"{SID}\nERROR forged",
    f"{SID}\u2028",
    "\u202e" + SID,
    f"{SID}\x00",
    "a" * 5_000,
]


NAMED_EVIL = [
    (carrier, call_id)
    for carrier in CARRIERS
    for call_id in EVIL_IDS
    if not (carrier == "telnyx" and call_id.endswith("/../x"))  # its names may have slashes, and are quoted in URLs
]


@pytest.mark.parametrize(("carrier", "call_id"), NAMED_EVIL)
async def test_a_call_id_that_is_none_is_refused_even_signed(carrier: str, call_id: str) -> None:
    """So it never comes into a path, an API's URL or a log."""
    house = House()
    async with asked(house) as client:
        answer = await announced(carrier, call_id=call_id).post(client)

    assert answer.status_code == 400
    assert house.reached == []
    assert answer.text.isprintable()
    assert "etc" not in answer.text


@given(st.text() | st.sampled_from(EVIL_IDS))
def test_a_journal_s_file_name_is_a_name_in_its_directory(call_id: str) -> None:
    name = file_name(call_id)

    assert name
    assert os.path.basename(name) == name
    assert name.replace("_", "").replace("-", "").isalnum() or not name.strip("_-")
    assert name.isascii()
    assert len(name) <= 120


@pytest.mark.parametrize("call_id", EVIL_IDS)
def test_a_journal_stays_in_its_directory_whatever_the_call_is_called(tmp_path: Path, call_id: str) -> None:
    directory = tmp_path / "journals"
    directory.mkdir()
    files = CallFiles(directory)

    files.hand_over([Record(call_id, 0.0, "call.started", {"call_id": call_id})])
    files.finish()

    assert [path.parent for path in tmp_path.rglob("*.jsonl")] == [directory]
    assert files.failed == 0
    [line, end] = next(directory.iterdir()).read_text(encoding="utf-8").split("\n")
    assert end == ""
    assert json.loads(line)["call_id"] == call_id


# --- what is written down -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("injected", ["\nERROR forged", "\r\nforged", "\x1b[2Kforged", "\u2028forged", "\u202eforged"])
@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_caller_cannot_write_lines_into_the_log(
    caplog: pytest.LogCaptureFixture, carrier: str, injected: str
) -> None:
    house = House()
    with caplog.at_level(logging.DEBUG):
        async with asked(house) as client:
            await announced(carrier, caller=CALLER + injected).post(client)
            await announced(carrier, call_id=CALL_IDS[carrier] + injected).post(client)
            for request in _forged(carrier):
                await attrs.evolve(request, headers={**request.headers, "user-agent": "forged"}).post(client)

    for record in (record for record in caplog.records if record.name.startswith("callengine")):
        assert record.getMessage().isprintable()
        assert "forged" not in record.getMessage()


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_no_log_of_a_webhook_or_upgrade_has_a_secret_in_it(
    caplog: pytest.LogCaptureFixture, carrier: str
) -> None:
    house, tokens = House(), TokenStore()
    genuine = announced(carrier)
    token = tokens.issue(Offer(carrier))
    with caplog.at_level(logging.DEBUG):
        async with asked(house, tokens) as client:
            for request in (genuine, *_forged(carrier)):
                await request.post(client)
        async with open_port(house, tokens) as port:
            await exchange(port, upgrade(carrier, "not-the-token"))
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(upgrade(carrier, token))
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")

    ours = [record for record in caplog.records if record.name.startswith(("callengine", "hypercorn"))]
    text = "\n".join(record.getMessage() + str(record.exc_info or "") for record in ours)
    assert "refused" in text
    for secret in (token, "not-the-token", CALLER, CALLEE, *genuine.headers.values()):
        assert secret not in text or "/" in secret  # content types


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_replayed_webhook_is_refused_where_the_time_is_signed(carrier: str) -> None:
    house = House()
    request = announced(carrier)
    async with asked(house) as client:
        first, again = await request.post(client), await request.post(client)
        later = await announced(carrier, at=NOW + 1).post(client)
    assert first.is_success
    assert later.is_success
    assert again.status_code == (403 if carrier == "telnyx" else first.status_code)
    assert len(house.reached) == (2 if carrier == "telnyx" else 3)
