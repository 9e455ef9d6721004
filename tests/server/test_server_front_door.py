"""The public port on real sockets: media upgrades with trio-websocket's client, strangers with bare connections."""

from __future__ import annotations

import base64
import logging
import os
import socket as stdlib_socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from fake_host import AUTH_TOKEN, CALL_ID, CALLER, VOICE_FORM, Door, FakeHost, open_door, read_all, signature
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, open_websocket

from callengine.carriers.twilio import Twilio
from callengine.errors import ConfigurationError
from callengine.ports import MediaSocket
from callengine.server.app import create_app
from callengine.server.front_door import serve_front_door
from callengine.server.host import Offer
from callengine.server.tokens import TokenStore

OFFER = Offer("twilio", CALLER, "+15005550002", "inbound", CALL_ID)
INSECURE: dict[str, Any] = {"carriers": {"twilio": Twilio("")}, "public_url": None, "insecure": True}


@asynccontextmanager
async def media(door: Door, path: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[WebSocketConnection]:
    """A media socket as a carrier opens it: signed, unless headers are given."""
    headers = signature(path, scheme="wss") if headers is None else headers
    extra = [(name.encode(), value.encode()) for name, value in headers.items()]
    async with open_websocket("127.0.0.1", door.port, path, use_ssl=False, extra_headers=extra) as socket:
        yield socket


async def refused(door: Door, path: str, headers: Mapping[str, str] | None = None) -> int:
    """The status with which a media socket is refused."""
    with pytest.raises((ConnectionRejected, BaseExceptionGroup)) as raised:
        async with media(door, path, headers):
            pass
    error = raised.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ConnectionRejected)
    return error.status_code


def upgrade(path: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    signed = signature(path, scheme="wss")["x-twilio-signature"]
    lines = [f"GET {path} HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", f"X-Twilio-Signature: {signed}", "", ""]
    return "\r\n".join(lines).encode()


# --- media --------------------------------------------------------------------------------------------------------


async def test_a_call_goes_from_webhook_to_media_socket() -> None:
    async with open_door() as door:
        async with door.client() as client:
            answer = await client.post("/twilio/voice", data=VOICE_FORM, headers=signature("/twilio/voice", VOICE_FORM))
        path = answer.text.partition("wss://voice.example.com")[2].partition('"')[0]

        async with media(door, path) as socket:
            await socket.send_message("hello")
            assert await socket.get_message() == "hello"
            [(offer, carrier)] = door.host.taken
            assert offer is not None
            assert (offer.call_id, offer.caller, offer.data) == (CALL_ID, CALLER, "what the host wants back")
            assert carrier == "twilio"


async def test_a_token_opens_one_socket_only() -> None:
    async with open_door() as door:
        path = f"/twilio/media/{door.tokens.issue(OFFER)}"
        async with media(door, path):
            assert await refused(door, path) == 403
        assert await refused(door, path) == 403
        assert len(door.host.taken) == 1


async def test_a_socket_that_is_not_signed_is_refused_and_leaves_the_token_to_its_owner() -> None:
    async with open_door() as door:
        path = f"/twilio/media/{door.tokens.issue(OFFER)}"
        others = signature(path, scheme="https"), signature(path + "x", scheme="wss")
        for headers in ({}, {"x-twilio-signature": "AAAA"}, *others):
            assert await refused(door, path, headers) == 403
        async with media(door, path):
            pass


async def test_a_signed_path_with_no_token_or_a_wrong_one_is_refused() -> None:
    async with open_door() as door:
        for path in ("/twilio/media", "/twilio/media/AAAA"):
            assert await refused(door, path) == 403
        assert not door.host.taken


async def test_a_token_is_of_its_carrier() -> None:
    host = FakeHost(carriers={"twilio": Twilio(AUTH_TOKEN), "west": Twilio(AUTH_TOKEN)})
    async with open_door(host) as door:
        assert await refused(door, f"/west/media/{door.tokens.issue(OFFER)}") == 403
        assert await refused(door, f"/telnyx/media/{door.tokens.issue(OFFER)}") in (403, 404)
        assert not host.taken


@pytest.mark.parametrize(
    "state",
    [{"draining": True}, {"ready": False}, {"public_url": None}, {"carriers": {"twilio": Twilio("")}}],
)
async def test_no_stream_is_let_in_that_could_not_be_served_or_verified(state: dict[str, object]) -> None:
    async with open_door() as door:
        path = f"/twilio/media/{door.tokens.issue(OFFER)}"
        for name, value in state.items():
            setattr(door.host, name, value)
        assert await refused(door, path) == 503
        assert not door.host.taken
        assert door.tokens.unspent() == 1


async def test_insecure_takes_sockets_without_signature_and_token() -> None:
    async with open_door(FakeHost(**INSECURE)) as door:
        async with media(door, "/twilio/media", {}) as socket:
            await socket.send_message("hello")
            assert await socket.get_message() == "hello"
        async with media(door, f"/twilio/media/{door.tokens.issue(OFFER)}", {}):
            pass
        assert await refused(door, "/twilio/media/AAAA", {}) == 403
        assert door.host.taken == [(None, "twilio"), (OFFER, "twilio")]


async def test_a_proxy_may_use_a_kept_connection_for_the_media_socket() -> None:
    """Go's reverse proxies (tunnels among them) send an upgrade down any connection of their pool."""
    async with open_door() as door, await door.connect() as stream:
        path = f"/twilio/media/{door.tokens.issue(OFFER)}"
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"ok"):
            answer += await stream.receive_some()
        await stream.send_all(upgrade(path))
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        await stream.send_all(b"\x81\x85\x00\x00\x00\x00hello")  # a masked text message
        assert await stream.receive_some() == b"\x81\x05hello"
        assert door.host.taken == [(OFFER, "twilio")]


async def test_even_without_waiting_for_the_answer_before() -> None:
    async with open_door() as door, await door.connect() as stream:
        path = f"/twilio/media/{door.tokens.issue(OFFER)}"
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + upgrade(path))
        answer = b""
        while b"HTTP/1.1 101 " not in answer:
            answer += await stream.receive_some()
        assert answer.startswith(b"HTTP/1.1 200")


async def test_a_kept_connection_is_no_way_around_the_checks() -> None:
    async with open_door() as door:
        healthy = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = await door.exchange(healthy + upgrade("/twilio/media/AAAA"))
        assert b"HTTP/1.1 403 " in answer
        answer = await door.exchange(healthy + upgrade("/telnyx/media/AAAA"))
        assert b"HTTP/1.1 403 " in answer
        assert not door.host.taken


async def test_frames_that_came_with_the_upgrade_are_not_lost() -> None:
    async with open_door() as door, await door.connect() as stream:
        path = f"/twilio/media/{door.tokens.issue(OFFER)}"
        await stream.send_all(upgrade(path) + b"\x81\x85\x00\x00\x00\x00hello")
        answer = b""
        while not answer.endswith(b"\x81\x05hello"):
            answer += await stream.receive_some()


async def test_an_upgrade_that_is_none_is_told_why_and_spends_nothing() -> None:
    async with open_door() as door:
        path = f"/twilio/media/{door.tokens.issue(OFFER)}"
        request = upgrade(path)
        assert (await door.exchange(request.replace(b"GET", b"POST"))).startswith(b"HTTP/1.1 405 ")
        assert (await door.exchange(request.replace(b"Version: 13", b"Version: 12"))).startswith(b"HTTP/1.1 400 ")
        assert (await door.exchange(f"GET {path} HTTP/1.0\r\n\r\n".encode())).startswith(b"HTTP/1.1 426 ")
        assert door.tokens.unspent() == 1


async def test_a_call_that_fails_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_offer: Offer | None, _carrier: str, _socket: MediaSocket) -> None:
        raise RuntimeError("this call's own trouble")

    async with open_door() as door:
        async with media(door, f"/twilio/media/{door.tokens.issue(OFFER)}") as healthy:
            door.host.taking = fail
            async with media(door, f"/twilio/media/{door.tokens.issue(OFFER)}") as failing:
                with pytest.raises(ConnectionClosed):
                    await failing.get_message()
            await healthy.send_message("still here")
            assert await healthy.get_message() == "still here"

    assert "this call's own trouble" in caplog.text


async def test_the_socket_is_closed_politely_when_the_call_is_over() -> None:
    async def say_goodbye(_offer: Offer | None, _carrier: str, socket: MediaSocket) -> None:
        socket.send_nowait(b"goodbye")

    async with open_door(FakeHost(taking=say_goodbye)) as door:
        async with media(door, f"/twilio/media/{door.tokens.issue(OFFER)}") as socket:
            assert await socket.get_message() == "goodbye"
            with pytest.raises(ConnectionClosed) as closed:
                await socket.get_message()
    assert closed.value.reason is not None
    assert closed.value.reason.code == 1000


async def test_the_end_of_the_server_ends_its_calls() -> None:
    ended = trio.Event()

    async def talk(_offer: Offer | None, _carrier: str, _socket: MediaSocket) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with open_door(FakeHost(taking=talk)) as door, await door.connect() as stream:
        await stream.send_all(upgrade(f"/twilio/media/{door.tokens.issue(OFFER)}"))
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        door.scope.cancel()
        await door.closed.wait()
        assert ended.is_set()
        assert await read_all(stream) == b""


# --- strangers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /twi", b"408"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"408"),
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", b"431"),
    ],
)
async def test_strangers_are_refused_briefly_and_quietly(
    caplog: pytest.LogCaptureFixture, sent: bytes, status: bytes
) -> None:
    async with open_door(handshake_timeout=0.1) as door:
        answer = await door.exchange(sent)

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


async def test_a_client_that_expects_tls_gets_an_error_at_once() -> None:
    async with open_door() as door, await door.connect() as stream:
        with pytest.raises(trio.BrokenResourceError) as raised:
            await trio.SSLStream(stream, ssl.create_default_context(), server_hostname="localhost").do_handshake()
    assert isinstance(raised.value.__cause__, ssl.SSLError)


async def test_whoever_says_nothing_is_put_out() -> None:
    async with open_door(handshake_timeout=0.1) as door, await door.connect() as stream:
        assert await read_all(stream) == b""


@pytest.mark.parametrize(("limit", "status"), [(200, b"431"), (400, b"200")])
async def test_the_head_s_limit_is_a_setting(limit: int, status: bytes) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: " + b"x" * 200 + b"\r\nConnection: close\r\n\r\n"
    async with open_door(max_head=limit) as door:
        assert (await door.exchange(request)).startswith(b"HTTP/1.1 " + status)


async def test_it_holds_for_later_requests_too() -> None:
    async with open_door(max_head=200) as door:
        answer = await door.exchange(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"x" * 200)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"HTTP/1.1 431" in answer


@pytest.mark.parametrize("settings", [{"max_connections": 2}, {"max_per_address": 2}])
async def test_more_connections_than_allowed_are_closed_at_once(settings: dict[str, Any]) -> None:
    async with open_door(**settings) as door:
        async with await door.connect() as first, await door.connect() as second:
            for stream in (first, second):
                await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
            async with await door.connect() as third:
                assert await read_all(third) == b""
        async with door.client() as client:
            while True:
                try:
                    assert (await client.get("/healthz")).text == "ok"
                    break
                except httpx.TransportError:  # the seats are not free yet
                    await trio.lowlevel.checkpoint()


async def test_calls_behind_one_proxy_are_not_limited_by_its_address() -> None:
    async with open_door(max_per_address=1) as door:
        async with (
            media(door, f"/twilio/media/{door.tokens.issue(OFFER)}"),
            media(door, f"/twilio/media/{door.tokens.issue(OFFER)}"),
            door.client() as client,
        ):
            assert (await client.get("/healthz")).text == "ok"


# --- the user's own application -----------------------------------------------------------------------------------


class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_text(f"{websocket.state.greeting} {data}")


async def test_the_user_s_pages_websockets_and_lifespan_live_beside_the_calls() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, str]]:
        events.append("started")
        yield {"greeting": "hello"}
        events.append("stopped")

    async def page(request: Request) -> JSONResponse:
        return JSONResponse(request.state.greeting)

    shop = Starlette(routes=[Route("/shop", page), WebSocketRoute("/live", Echo)], lifespan=lifespan)
    async with open_door(user_app=shop) as door:
        assert events == ["started"]
        async with door.client() as client:
            assert (await client.get("/shop")).json() == "hello"
            assert (await client.get("/healthz")).text == "ok"
        async with media(door, "/live", {}) as live, media(door, f"/twilio/media/{door.tokens.issue(OFFER)}") as call:
            for socket, expected in ((live, "hello you"), (call, "you")):
                await socket.send_message("you")
                assert await socket.get_message() == expected

    assert events == ["started", "stopped"]


async def test_the_shutdown_of_an_application_has_its_time_and_no_more() -> None:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await trio.sleep_forever()

    async with open_door(user_app=Starlette(lifespan=lifespan), shutdown_timeout=0.1) as door:
        door.scope.cancel()
        with trio.fail_after(0.9):
            await door.closed.wait()


# --- starting -----------------------------------------------------------------------------------------------------


async def start(**settings: Any) -> None:
    host, tokens = FakeHost(), TokenStore()
    host.public_url = str(settings.pop("public_url", host.public_url))
    await serve_front_door(host, create_app(host, tokens), tokens, **{"bind": "127.0.0.1", "port": 0, **settings})


async def test_a_port_in_use_is_named_with_what_to_do() -> None:
    with stdlib_socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} is in use.*another port"):
            await start(port=port)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bind": "192.0.2.1"}, "does not have that address"),
        ({"bind": "no such host"}, "check the address"),
        ({"port": 70_000}, "to 65535"),
        ({"max_head": 0}, "max_head"),
        ({"max_head": 1_000_000}, "max_head"),
        ({"public_url": "http://voice.example.com"}, "CALLENGINE_PUBLIC_URL"),
    ],
)
async def test_other_settings_that_cannot_work_are_explained(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        await start(**settings)


async def test_an_application_that_does_not_start_lets_go_of_the_port() -> None:
    @asynccontextmanager
    async def broken(_app: Starlette) -> AsyncIterator[None]:
        raise RuntimeError("no database")
        yield

    host, tokens = FakeHost(), TokenStore()
    app = create_app(host, tokens, Starlette(lifespan=broken))
    with stdlib_socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="no database"):
            await serve_front_door(host, app, tokens, bind="127.0.0.1", port=port)


async def test_it_tells_where_it_listens_and_leaves_nothing_open() -> None:
    before = set(os.listdir("/proc/self/fd"))
    host, tokens = FakeHost(), TokenStore()
    async with trio.open_nursery() as nursery:
        serving = partial(serve_front_door, host, create_app(host, tokens), tokens, bind="127.0.0.1", port=0)
        addresses = await nursery.start(serving)
        assert [address for address, _ in addresses] == ["127.0.0.1"]
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://127.0.0.1:{addresses[0][1]}/healthz")).text == "ok"
        nursery.cancel_scope.cancel()

    assert set(os.listdir("/proc/self/fd")) == before


# --- logs ---------------------------------------------------------------------------------------------------------


async def test_logs_hold_no_token_signature_or_number(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with open_door() as door:
            path = f"/twilio/media/{door.tokens.issue(OFFER)}"
            signed = signature(path, scheme="wss")
            await refused(door, path, {"x-twilio-signature": "bm90IHRoaXM="})
            async with media(door, path) as socket:
                await socket.send_message("hello")
                await socket.get_message()
            await refused(door, path)

    ours = [record for record in caplog.records if record.name.startswith(("callengine", "hypercorn"))]
    text = "\n".join(record.getMessage() + str(record.exc_info or "") for record in ours)
    assert "was refused" in text
    for secret in (path.rpartition("/")[2], signed["x-twilio-signature"], "bm90IHRoaXM=", CALLER, AUTH_TOKEN):
        assert secret not in text
