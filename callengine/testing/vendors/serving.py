"""HTTP/1.1 and WebSockets for simulated vendors, on any stream."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    TextMessage,
)
from wsproto.events import (
    Request as Upgrade,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from callengine.testing.vendors.base import Answer, Request, Vendor, VendorClosed

_READ = 65_536
_GOODBYE = 1.0
"""Seconds that a client has to answer a close frame."""


async def serve_stream(vendor: Vendor, stream: trio.abc.Stream, gone: trio.Event | None = None) -> None:
    """Serve one connection until it ends, or the vendor breaks it. ``gone`` is set when the client has closed it: a
    vendor that reads nothing at that time (it sleeps, or is mute) ends a second later."""
    vendor.connections += 1
    vendor.connected += 1
    try:
        async with trio.open_nursery() as nursery:

            async def break_it(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            async def give_up(event: trio.Event) -> None:
                await event.wait()
                await trio.sleep(_GOODBYE)
                nursery.cancel_scope.cancel()

            nursery.start_soon(break_it, vendor.broken)
            if gone is not None:
                nursery.start_soon(give_up, gone)
            try:
                await _Connection(vendor, stream).run()
            except* (VendorClosed, trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # of one task or of several: whoever serves a socket may be speaking in many contexts
            nursery.cancel_scope.cancel()
    finally:
        vendor.connections -= 1
        await trio.aclose_forcefully(stream)


class _Connection:
    def __init__(self, vendor: Vendor, stream: trio.abc.Stream) -> None:
        self._vendor = vendor
        self._stream = stream

    async def run(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = bytes(await self._stream.receive_some(_READ))
            if not data:
                return
            head += data
        if b"upgrade: websocket" in head.split(b"\r\n\r\n", 1)[0].lower():
            await self._upgrade(head)
        else:
            await self._requests(head)

    # --- requests -----------------------------------------------------------------------------------------------------

    async def _requests(self, data: bytes) -> None:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(data)
        while True:
            request = await self._request(connection)
            if request is None:
                return
            await self._answer(connection, request)
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _request(self, connection: h11.Connection) -> Request | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError:
                raise VendorClosed from None  # the client went away in the middle of its request
            if event is h11.NEED_DATA:
                data = bytes(await self._stream.receive_some(_READ))
                if not data and head is None:
                    return None
                connection.receive_data(data)
            elif isinstance(event, h11.Request):
                head = event
                if connection.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    await self._stream.send_all(_bytes(connection, go_on))
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                headers = {name.decode().lower(): value.decode("latin-1") for name, value in head.headers}
                return _asked(head.method.decode(), head.target.decode(), headers, bytes(body))
            else:
                return None

    async def _answer(self, connection: h11.Connection, request: Request) -> None:
        vendor = self._vendor
        vendor.requests.append(request)
        await trio.sleep(vendor.faults.answer_delay)
        refused = vendor.faults.refusals.popleft() if vendor.faults.refusals else None
        answer = refused or await vendor.answer(request)
        await self._mute()
        whole = isinstance(answer.body, bytes)
        headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        if isinstance(answer.body, bytes):
            headers.append((b"content-length", str(len(answer.body)).encode()))
        await self._stream.send_all(_bytes(connection, h11.Response(status_code=answer.status, headers=headers)))
        pieces = self._pieces(_one(answer.body) if isinstance(answer.body, bytes) else aiter(answer.body))
        async for piece in pieces:
            if not whole:
                await self._pace()
            await self._stream.send_all(_bytes(connection, h11.Data(data=piece)))
        await self._stream.send_all(_bytes(connection, h11.EndOfMessage()))

    async def _pieces(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for part in body:
            size = self._vendor.faults.chunk or max(1, len(part))
            for start in range(0, len(part), size):
                yield part[start : start + size]

    async def _pace(self) -> None:
        await pace(self._vendor)
        await self._mute()

    async def _mute(self) -> None:
        """While the vendor says nothing, it still sees that the client goes away."""
        while self._vendor.faults.mute:
            if not await self._stream.receive_some(_READ):
                raise VendorClosed

    # --- WebSockets ---------------------------------------------------------------------------------------------------

    async def _upgrade(self, data: bytes) -> None:
        vendor = self._vendor
        connection = WSConnection(ConnectionType.SERVER)
        connection.receive_data(data)
        upgrade = next(connection.events())
        assert isinstance(upgrade, Upgrade)
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in upgrade.extra_headers}
        headers["host"] = upgrade.host
        if upgrade.subprotocols:
            headers["sec-websocket-protocol"] = ", ".join(upgrade.subprotocols)
        request = _asked("GET", upgrade.target, headers, b"")
        vendor.requests.append(request)
        await trio.sleep(vendor.faults.answer_delay)
        refused = vendor.faults.refusals.popleft() if vendor.faults.refusals else vendor.admit(request)
        if refused is not None:
            assert isinstance(refused.body, bytes)
            names = [(name.encode(), value.encode()) for name, value in refused.headers.items()]
            head = RejectConnection(status_code=refused.status, headers=names, has_body=True)
            await self._stream.send_all(connection.send(head) + connection.send(RejectData(data=refused.body)))
            return
        await self._stream.send_all(connection.send(AcceptConnection(subprotocol=vendor.subprotocol(request))))
        socket = ServerSocket(vendor, self._stream, connection)
        vendor.sockets.append(socket)
        try:
            await vendor.serve(socket, request)
            await socket.close()
        finally:
            vendor.sockets.remove(socket)


class ServerSocket:
    """The vendor's end of a WebSocket."""

    def __init__(self, vendor: Vendor, stream: trio.abc.Stream, connection: WSConnection) -> None:
        self._vendor = vendor
        self._stream = stream
        self._connection = connection
        self._events = connection.events()
        self._parts: list[Any] = []
        self._closed = trio.Event()
        self._sending = trio.Lock()
        """A vendor may speak in several contexts at once, and answer a ping meanwhile."""
        self.pinged_at = trio.current_time()

    async def receive(self) -> str | bytes:
        """The client's next message."""
        while True:
            for event in self._connection.events():
                match event:
                    case TextMessage() | BytesMessage():
                        self._parts.append(event.data)
                        if event.message_finished:
                            empty: Any = "" if isinstance(event, TextMessage) else b""
                            whole, self._parts = empty.join(self._parts), []
                            return whole  # type: ignore[no-any-return]  # of str or of bytes
                    case Ping():
                        self.pinged_at = trio.current_time()
                        await self._send(event.response())
                    case CloseConnection():
                        if self._connection.state is ConnectionState.REMOTE_CLOSING:
                            await self._send(event.response())
                        self._closed.set()
                        raise VendorClosed
                    case _:
                        pass
            try:
                data = bytes(await self._stream.receive_some(_READ))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if not data:
                self._closed.set()
                raise VendorClosed
            try:
                self._connection.receive_data(data)
            except RemoteProtocolError as error:
                self._vendor.complain(f"the client broke the WebSocket protocol: {error}")
                raise VendorClosed from error

    async def send(self, message: str | bytes) -> None:
        """Send text or bytes."""
        await pace(self._vendor)
        if self._vendor.faults.mute:
            return
        await self._send(TextMessage(message) if isinstance(message, str) else BytesMessage(message))

    async def send_json(self, message: Mapping[str, Any]) -> None:
        """Send a JSON object."""
        await self.send(json.dumps(message))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it."""
        if self._connection.state is not ConnectionState.OPEN:
            return
        with suppress(VendorClosed):
            await self._send(CloseConnection(code, reason))
        with trio.move_on_after(_GOODBYE):
            await self._gone()
        await trio.aclose_forcefully(self._stream)

    async def _gone(self) -> None:
        """Wait until the client has answered our close: whoever serves the socket may be reading it."""
        try:
            while True:
                await self.receive()
        except VendorClosed:
            return
        except trio.BusyResourceError:
            await self._closed.wait()

    async def _send(self, event: Any) -> None:
        try:
            async with self._sending:
                await self._stream.send_all(self._connection.send(event))
        except (trio.BrokenResourceError, trio.ClosedResourceError, LocalProtocolError) as error:
            raise VendorClosed from error


async def pace(vendor: Vendor) -> None:
    """What the vendor's faults do to the next piece of a body, or message."""
    faults = vendor.faults
    await trio.sleep(faults.chunk_delay)
    if faults.break_after is not None:
        faults.break_after -= 1
        if faults.break_after < 0:
            faults.break_after = None
            raise VendorClosed
    if faults.stall_after is not None:
        faults.stall_after -= 1
        if faults.stall_after < 0:
            faults.mute = True


def _asked(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
    parts = urlsplit(target)
    query = parse_qs(parts.query, keep_blank_values=True)
    return Request(trio.current_time(), method, headers.get("host", ""), parts.path, query, headers, body)


async def _one(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body


def _bytes(connection: h11.Connection, event: Any) -> bytes:
    return connection.send(event) or b""


__all__ = ["Answer", "ServerSocket", "serve_stream"]
