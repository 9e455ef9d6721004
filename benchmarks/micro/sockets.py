"""A media socket on loopback: one message at a time, as a carrier sends them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial

import trio
from trio_websocket import WebSocketConnection, wrap_server_stream

from benchmarks.calls_per_core import wire
from benchmarks.micro.timing import ROUNDS, Row
from callengine.services.media_socket import WebSocketMediaSocket

MESSAGE = b"x" * 380
"""Bytes: a media message of 160 samples."""
MASKED = wire.client_frame(MESSAGE)
TIMES = 2000


def media_socket() -> list[Row]:
    """Microseconds of CPU a message, both ends' kernel work included; each message wakes the reader by itself."""
    return trio.run(_media_socket)


async def _media_socket() -> list[Row]:
    floor = await _best(_floor)
    received, sent = await _best(_receive), await _best(_send)
    return [
        Row("receive a message", received, "us", "write + read on a bare socket", floor),
        Row("receive a message", received, "us", "trio-websocket", await _best(partial(_by_peer, _peer_receive))),
        Row("send a message", sent, "us", "write + read on a bare socket", floor),
        Row("send a message", sent, "us", "trio-websocket", await _best(partial(_by_peer, _peer_send))),
    ]


async def _best(work: Callable[[], Awaitable[float]]) -> float:
    return min([await work() for _ in range(ROUNDS)]) / TIMES * 1e6


def _pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


async def _floor() -> float:
    near, far = _pair()
    with near, far:
        await trio.lowlevel.checkpoint()
        before = time.thread_time()
        for _ in range(TIMES):
            os.write(far.fileno(), MASKED)
            os.read(near.fileno(), 16_384)
        return time.thread_time() - before


async def _receive() -> float:
    near, far = _pair()
    with far:
        ours = WebSocketMediaSocket(trio.SocketStream(trio.socket.from_stdlib_socket(near)))
        before = time.thread_time()
        for _ in range(TIMES):
            os.write(far.fileno(), MASKED)
            await ours.receive()
        took = time.thread_time() - before
        ours.close_nowait()
        return took


async def _send() -> float:
    near, far = _pair()
    with far:
        ours = WebSocketMediaSocket(trio.SocketStream(trio.socket.from_stdlib_socket(near)))
        await trio.lowlevel.checkpoint()
        before = time.thread_time()
        for _ in range(TIMES):
            ours.send_nowait(MESSAGE)
            os.read(far.fileno(), 16_384)
        took = time.thread_time() - before
        ours.close_nowait()
        return took


async def _peer_receive(peer: WebSocketConnection, far: int) -> None:
    for _ in range(TIMES):
        os.write(far, MASKED)
        await peer.get_message()


async def _peer_send(peer: WebSocketConnection, far: int) -> None:
    text = MESSAGE.decode()
    for _ in range(TIMES):
        await peer.send_message(text)
        os.read(far, 16_384)


async def _by_peer(work: Callable[[WebSocketConnection, int], Awaitable[None]]) -> float:
    """The same with a server's end of trio-websocket."""
    near, far = _pair()
    with far:
        async with trio.open_nursery() as nursery:
            os.write(far.fileno(), wire.REQUEST)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(near))
            peer = await (await wrap_server_stream(nursery, stream)).accept()
            os.read(far.fileno(), 16_384)
            before = time.thread_time()
            await work(peer, far.fileno())
            took = time.thread_time() - before
            nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(stream)
    return took
