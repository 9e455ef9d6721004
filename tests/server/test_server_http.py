"""Hypercorn behind its wrapper, on real sockets."""

from __future__ import annotations

import ast
import inspect
import logging
import socket as stdlib_socket
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import version

import httpx
import hypercorn.trio.tcp_server
import pytest
import trio
import trio.testing
from fake_host import Door, open_door, read_all
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


def single_page(endpoint: Endpoint, *methods: str) -> ASGIApp:
    return Starlette(routes=[Route("/page", endpoint, methods=methods or ["GET", "POST"])])


async def hello(_: Request) -> Response:
    return PlainTextResponse("hello")


def unwilling(door: Door) -> stdlib_socket.socket:
    """A connection with a small receive buffer, from which nobody will read."""
    client = stdlib_socket.socket()
    client.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", door.port))
    return client


def test_hypercorn_asks_of_a_stream_only_what_the_wire_has() -> None:
    tree = ast.parse(inspect.getsource(hypercorn.trio.tcp_server))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self.stream"
    }
    tls = {"do_handshake", "selected_alpn_protocol", "transport_stream"}

    assert version("hypercorn") == "0.18.0"
    assert used - tls == {"socket", "receive_some", "send_all", "send_eof", "aclose"}


async def test_fifty_clients_keep_their_connections_for_many_requests() -> None:
    async with open_door(user_app=single_page(hello)) as door:

        async def browse() -> None:
            async with door.client(limits=httpx.Limits(max_connections=1)) as client:
                for _ in range(10):
                    assert (await client.get("/page")).text == "hello"
                    assert (await client.get("/healthz")).text == "ok"

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(browse)


async def test_a_connection_ends_when_its_client_leaves_not_when_keep_alive_does() -> None:
    async with open_door(max_connections=1) as door:
        for _ in range(2):
            async with door.client() as client:
                await until_served(client)


async def test_an_idle_connection_is_kept_for_a_while_only() -> None:
    async with open_door(keep_alive=0.05) as door:
        answer = await door.exchange(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.endswith(b"ok")


async def test_answers_do_not_tell_what_serves_them() -> None:
    async with open_door() as door, door.client() as client:
        assert "server" not in (await client.get("/healthz")).headers


async def test_requests_on_one_connection_may_come_all_at_once() -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with open_door() as door:
        answer = await door.exchange(request * 3 + last)

    assert answer.count(b"HTTP/1.1 200") == 4
    assert answer.endswith(b"ready")


@pytest.mark.parametrize("lingering", [True, False])
async def test_a_large_body_that_nobody_reads_leaves_no_connection_behind(lingering: bool) -> None:
    """Hypercorn alone waits for ever here: for room in the queue of an application that has already answered."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await trio.testing.wait_all_tasks_blocked(0.05)  # by then, as much was read as ever will be
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            if lingering:
                await trio.sleep(0.01)

    async with open_door(user_app=app, max_connections=1) as door:
        async with await door.connect() as stream:
            await stream.send_all(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n")
            with pytest.raises(trio.BrokenResourceError):
                await stream.send_all(bytes(90_000_000))
        async with door.client() as client:  # there is one seat, so the other connection has given it back
            await until_served(client)


async def until_served(client: httpx.AsyncClient) -> None:
    while True:
        try:
            assert (await client.get("/healthz")).text == "ok"
        except httpx.TransportError:
            await trio.lowlevel.checkpoint()
        else:
            return


async def test_an_application_that_reads_slowly_slows_its_client_down() -> None:
    reading = trio.Event()
    received = 0

    async def swallow(request: Request) -> Response:
        nonlocal received
        await reading.wait()
        async for chunk in request.stream():
            received += len(chunk)
        return PlainTextResponse(str(received))

    async with open_door(user_app=single_page(swallow)) as door, await door.connect() as stream:
        size, sent = 40_000_000, 0
        await stream.send_all(b"POST /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n")
        await stream.send_all(b"Content-Length: %d\r\n\r\n" % size)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def upload() -> None:
                nonlocal sent
                while sent < size:
                    sent += await stream.socket.send(bytes(min(65_536, size - sent)))

            await trio.testing.wait_all_tasks_blocked(0.05)
            assert sent < size / 2
            reading.set()
        assert (await read_all(stream)).endswith(str(size).encode())


async def test_an_application_sees_that_its_client_is_gone() -> None:
    asked, noticed = trio.Event(), trio.Event()

    async def watch(request: Request) -> Response:
        asked.set()
        while not await request.is_disconnected():
            await trio.sleep(0.01)
        noticed.set()
        return PlainTextResponse("too late")

    async with open_door(user_app=single_page(watch)) as door:
        async with await door.connect() as stream:
            await stream.send_all(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
            await asked.wait()
        await noticed.wait()


async def test_the_next_request_does_not_wait_for_work_behind_an_answer() -> None:

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await trio.testing.wait_all_tasks_blocked(0.05)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            await trio.sleep_forever()

    async with open_door(user_app=app) as door, await door.connect() as stream:
        await stream.send_all(b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked(0.01)
        await stream.send_all(b"1\r\nx\r\n" * 50 + b"0\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await read_all(stream)).endswith(b"ok")


async def endless(_: Request) -> Response:
    async def page() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100_000

    return StreamingResponse(page())


async def test_a_client_that_never_reads_is_dropped_after_the_send_timeout() -> None:
    async with open_door(user_app=single_page(endless), send_timeout=0.1, max_connections=1) as door:
        with unwilling(door) as stuck:
            stuck.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
            async with door.client() as client:
                await until_served(client)


async def test_clients_that_never_read_do_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async with open_door(user_app=single_page(endless)) as door:
        stuck = [unwilling(door) for _ in range(10)]
        for client in stuck:
            client.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked(0.05)
        began = trio.current_time()
        door.scope.cancel()
        await door.closed.wait()
        assert trio.current_time() - began < 1
        for client in stuck:
            client.close()

    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "request_head",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
        b"",
    ],
)
async def test_an_offer_to_speak_http2_is_ignored(request_head: bytes) -> None:
    first = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + request_head + b"\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with open_door() as door:
        answer = await door.exchange(first, last)

    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1 200") == 2


async def test_http2_with_prior_knowledge_is_refused() -> None:
    async with open_door() as door:
        assert (await door.exchange(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).startswith(b"HTTP/1.1 400")


async def test_garbage_on_a_kept_connection_ends_it_quietly(caplog: pytest.LogCaptureFixture) -> None:
    async with open_door() as door:
        answer = await door.exchange(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00\xff garbage\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 400" in answer
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_webhook_s_client_that_leaves_in_the_middle_of_its_body_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_door() as door:
        async with await door.connect() as stream:
            await stream.send_all(b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nCallSid=")
            await stream.send_eof()
            await read_all(stream)
        async with door.client() as client:
            assert (await client.get("/healthz")).text == "ok"

    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_page_that_fails_is_logged_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_: Request) -> Response:
        raise RuntimeError("the user's own mistake")

    async with open_door(user_app=single_page(fail)) as door, door.client() as client:
        assert (await client.get("/page")).status_code == 500
        assert (await client.get("/healthz")).text == "ok"

    assert "the user's own mistake" in caplog.text
