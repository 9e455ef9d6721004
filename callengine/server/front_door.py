"""The public port: media upgrades stay here, every other connection goes to HTTP."""

from __future__ import annotations

import errno
import logging
from typing import NoReturn

import trio
from starlette.types import ASGIApp

from callengine.cleanup import single
from callengine.errors import ConfigurationError
from callengine.masking import scrub
from callengine.server.admission import admit
from callengine.server.head import read_head, refuse
from callengine.server.host import Host, Offer
from callengine.server.http import KEEP_ALIVE, HttpServer
from callengine.server.lifespan import lifespan
from callengine.server.routes import MediaRoute, media_route
from callengine.server.seats import Seat, Seats
from callengine.server.tokens import TokenStore
from callengine.server.trust import check_public_url
from callengine.server.wire import SEND_TIMEOUT
from callengine.services.handshake import MAX_HEAD, BadHandshake, RequestHead, accept_response, parse_head
from callengine.services.media_socket import WebSocketMediaSocket

_log = logging.getLogger(__name__)


async def serve_front_door(
    host: Host,
    app: ASGIApp,
    tokens: TokenStore,
    *,
    bind: str,
    port: int,
    handshake_timeout: float = 5.0,
    max_head: int = MAX_HEAD,
    max_connections: int = 2000,
    max_per_address: int = 200,
    send_timeout: float = SEND_TIMEOUT,
    keep_alive: float = KEEP_ALIVE,
    shutdown_timeout: float = 5.0,
    task_status: trio.TaskStatus[list[tuple[str, int]]] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Serve the public port until cancelled; ``task_status`` gets the addresses and ports that it listens on.

    ``bind`` is an address or a name of this machine, ``port`` 0 takes a free one. ``handshake_timeout`` (seconds)
    bounds reading the first request's head, and answering an upgrade; ``max_head`` (bytes, at most 16 KiB) is the
    longest head. There may be ``max_connections``, of which ``max_per_address`` from one address; media streams that
    were let in count for the first only. ``send_timeout`` (seconds) bounds each 64 KiB sent to an HTTP client,
    ``keep_alive`` (seconds) the time between two of its requests.

    Resources: everything is closed at the end, calls included. It takes the moment that calls need to end, and, where
    the application's lifespan has a shutdown, ``shutdown_timeout`` seconds for that at most.

    Errors: `ConfigurationError` where the port cannot be had, the public URL is malformed, or the application does not
    start. A connection's own errors are logged; the others never notice.
    """
    if not 0 < max_head <= MAX_HEAD:
        raise ConfigurationError(f"max_head must be 1 to {MAX_HEAD} bytes, not {max_head}")
    if host.public_url is not None:
        check_public_url(host.public_url)
    listeners = await _listen(bind, port)
    addresses = [listener.socket.getsockname()[:2] for listener in listeners]
    try:
        async with lifespan(app, shutdown_timeout=shutdown_timeout) as state, trio.open_nursery() as nursery:

            def takes_over(target: str) -> bool:
                return media_route(target, host.carriers) is not None

            http = HttpServer(
                app, state, takes_over, send_timeout=send_timeout, max_head=max_head, keep_alive=keep_alive
            )
            seats = Seats(max_connections, max_per_address)
            door = _FrontDoor(host, tokens, http, seats, handshake_timeout, max_head)
            await nursery.start(trio.serve_listeners, door.serve, listeners)
            task_status.started(addresses)
    except BaseExceptionGroup as group:
        raise single(group) from None
    finally:
        for listener in listeners:
            listener.socket.close()
    raise AssertionError("listeners are served until cancelled")


class _FrontDoor:
    """What happens to a connection."""

    def __init__(
        self, host: Host, tokens: TokenStore, http: HttpServer, seats: Seats, timeout: float, max_head: int
    ) -> None:
        self._host = host
        self._tokens = tokens
        self._http = http
        self._seats = seats
        self._timeout = timeout
        self._max_head = max_head

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve a connection from its first byte to its last. Raises nothing but what ends the program."""
        try:
            try:
                address = stream.socket.getpeername()[0]
            except OSError:  # gone before it began
                return
            with self._seats.take(address) as seat:
                if seat is not None:
                    await self._receive(stream, seat)
        except* Exception as group:
            _log.error("a connection failed", exc_info=group)

    async def _receive(self, stream: trio.SocketStream, seat: Seat) -> None:
        """Read the first request's head, and lead the connection to where it wants to go."""
        try:
            received = await read_head(stream, timeout=self._timeout, limit=self._max_head)
            head = None if received is None else parse_head(received)
        except BadHandshake as error:
            _log.debug("a request was refused with %d", error.status)
            await refuse(stream, error.response)
            return
        if received is None or head is None:
            return
        rest = b""
        if _wants_websocket(head) and media_route(head.path, self._host.carriers) is not None:
            rest = received.partition(b"\r\n\r\n")[2]
        else:
            head = await self._http.serve(stream, received)
        if head is not None and (route := media_route(head.path, self._host.carriers)) is not None:
            await self._media(stream, head, rest, route, seat)

    async def _media(
        self, stream: trio.SocketStream, head: RequestHead, rest: bytes, route: MediaRoute, seat: Seat
    ) -> None:
        """Answer a media upgrade, and have its call run."""
        try:
            response = accept_response(head)
            offer = admit(self._host, self._tokens, head.path, head.headers)
        except BadHandshake as error:
            level = logging.WARNING if error.status in (403, 503) else logging.DEBUG  # the others say nothing of us
            _log.log(level, "a media stream of %s was refused: %s", route.carrier, scrub(str(error)))
            await refuse(stream, error.response)
            return
        seat.leave_address()
        with trio.move_on_after(self._timeout) as bound:
            try:
                await stream.send_all(response)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
        if not bound.cancelled_caught:
            await self._call(WebSocketMediaSocket(stream, initial=rest), offer, route.carrier)

    async def _call(self, socket: WebSocketMediaSocket, offer: Offer | None, carrier: str) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(socket.run)
                await self._host.take(offer, carrier, socket)
                await socket.aclose()
                nursery.cancel_scope.cancel()
        finally:
            socket.close_nowait()


def _wants_websocket(head: RequestHead) -> bool:
    return head.headers.get("upgrade", "").strip().lower() == "websocket"


async def _listen(bind: str, port: int) -> list[trio.SocketListener]:
    if not 0 <= port <= 65_535:  # the system's resolver would take it modulo 65,536
        raise ConfigurationError(f"port must be 0 (takes a free one) to 65535, not {port}")
    try:
        return await trio.open_tcp_listeners(port, host=bind)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {bind}, port {port}: {_remedy(error, port)}") from error


def _remedy(error: OSError, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} is in use by another program: stop it, or choose another port (0 takes a free one)"
        case errno.EACCES:
            return "the system reserves low ports: choose one from 1024 up"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have that address: 127.0.0.1 is for itself, 0.0.0.0 for everybody"
        case _:
            return f"{error}: check the address"
