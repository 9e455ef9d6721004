"""HTTP on a connection: Hypercorn's Trio server, kept in bounds.

Hypercorn is pinned: `TCPServer` and the few names used here are only half public. A test holds what it asks of a
stream.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, cast

import trio
from hypercorn.config import Config
from hypercorn.protocol import ProtocolWrapper
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callengine.server.wire import SEND_TIMEOUT, Wire
from callengine.services.handshake import MAX_HEAD, RequestHead

KEEP_ALIVE = 75.0
"""Seconds that an idle connection stays open. Longer than the proxies in front keep theirs (60 s: nginx's upstream
``keepalive_timeout``, AWS load balancers' idle timeout), so that none sends a request down a connection that just
closed."""

_log = logging.getLogger(__name__)


class HttpServer:
    """Serves an ASGI application on connections that others accepted.

    ``state`` is what the application's lifespan gave to its requests. ``takes_over`` says of a WebSocket upgrade's
    target whether it is the front door's. ``send_timeout`` (seconds) bounds every 64 KiB sent, ``max_head`` (bytes)
    the head of each request, ``keep_alive`` (seconds) the time between two.
    """

    def __init__(
        self,
        app: ASGIApp,
        state: dict[str, Any],
        takes_over: Callable[[str], bool],
        *,
        send_timeout: float = SEND_TIMEOUT,
        max_head: int = MAX_HEAD,
        keep_alive: float = KEEP_ALIVE,
    ) -> None:
        self._app = app
        self._state = state
        self._takes_over = takes_over
        self._send_timeout = send_timeout
        self._config = _config(max_head, keep_alive)

    async def serve(self, stream: trio.SocketStream, initial: bytes) -> RequestHead | None:
        """Serve requests until the connection is over, or one of them is an upgrade that the front door wants.

        That happens on connections which a proxy keeps open and uses again. The upgrade's head is returned then, the
        stream still open; else None, and the stream is closed. ``initial`` was already read. Cancelled, it ends at
        once, whatever the client does.
        """
        wire = Wire(stream, initial, self._send_timeout)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_abort_when_cancelled, wire)
            requests = _Requests(self._app, wire, self._takes_over)
            state = ConnectionState(self._state)
            await _Http1Server(requests, self._config, WorkerContext(None), state, cast(Any, wire)).run()
            nursery.cancel_scope.cancel()
        return wire.handed_back


class _Requests:
    """What Hypercorn runs for every request of one connection."""

    def __init__(self, app: ASGIApp, wire: Wire, takes_over: Callable[[str], bool]) -> None:
        self._app = app
        self._wire = wire
        self._takes_over = takes_over

    async def __call__(self, scope: Any, receive: Any, send: Any, sync_spawn: object, call_soon: object) -> None:
        del sync_spawn, call_soon  # for applications that are not ASGI
        if scope["type"] == "websocket" and self._takes_over(_target(scope)):
            self._wire.hand_back(_head(scope))
            while (await receive())["type"] != "websocket.disconnect":
                pass
        else:
            queue = receive.__self__  # what Hypercorn hands out is this channel's method
            self._wire.throttle(queue)
            await self._app(scope, _receiver(queue, self._wire), _sender(send, queue, self._wire))


def _receiver(queue: trio.MemoryReceiveChannel[Message], wire: Wire) -> Receive:
    async def receive() -> Message:
        # Without a checkpoint where something waits: Starlette asks in a cancelled scope whether the client is gone.
        try:
            message = queue.receive_nowait()
        except trio.WouldBlock:
            message = await queue.receive()
        wire.made_room()
        return message

    return receive


def _sender(send: Send, queue: trio.MemoryReceiveChannel[Message], wire: Wire) -> Send:
    async def sender(message: Message) -> None:
        await send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            wire.release(queue)  # the next request must be read, even while the application still works for this one

    return sender


class _Http1Server(TCPServer):
    """Hypercorn's connection, with two corrections.

    It has no HTTP/2, which only widens what a stranger can do on a port without TLS; an ``Upgrade: h2c`` is ignored, as
    RFC 9110 (7.8) allows. And when the client has left, nothing waits for the keep-alive time to pass.
    """

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()

    @property
    def protocol(self) -> ProtocolWrapper:
        return self._protocol

    @protocol.setter
    def protocol(self, protocol: ProtocolWrapper) -> None:
        cast(Any, protocol.protocol)._check_protocol = _stay_with_http1
        self._protocol = protocol


async def _stay_with_http1(request: object) -> None:
    """Hypercorn's hook that would switch the connection to HTTP/2."""


async def _abort_when_cancelled(wire: Wire) -> None:
    try:
        await trio.sleep_forever()
    finally:
        wire.abort()


def _config(max_head: int, keep_alive: float) -> Config:
    config = Config()
    config.accesslog = None  # paths hold tokens
    config.errorlog = _log
    config.include_server_header = False
    config.h11_max_incomplete_size = max_head
    config.keep_alive_timeout = cast(Any, keep_alive)  # annotated as int, used as a number of seconds
    config.max_app_queue_size = sys.maxsize  # see `Wire`
    return config


def _target(scope: Scope) -> str:
    path: bytes = scope["raw_path"]
    query: bytes = scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")


def _head(scope: Scope) -> RequestHead:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return RequestHead("GET", _target(scope), MappingProxyType(headers), scope["http_version"])
