"""How long a vendor takes to connect, and to answer: measured beneath the recipe that asks it."""

from __future__ import annotations

from typing import Any

import attrs
import httpx
import trio

from callengine.wire import Network, Wire


@attrs.define
class Stopwatch:
    """What the first connection, and the first answer, took. Seconds; None for what did not happen."""

    connected: float | None = None
    """To connect: the name, TCP and TLS."""
    answered: float | None = None
    """From the request, on the open connection, to the first byte of its answer."""
    _since: float = 0.0

    def over(self, wire: Wire) -> Wire:
        """This way to vendors, measured. Requests of the given one are measured from now on as well."""
        wire.http.event_hooks = {"request": [self._on_request]}
        return Wire(wire.http, _Network(self, wire.network))

    def start(self) -> None:
        """A connection is being opened, or a request sent, now."""
        self._since = trio.current_time()

    def connection(self) -> None:
        """It is open."""
        if self.answered is None:
            self.connected = trio.current_time() - self._since

    def answer(self) -> None:
        """The first byte is here."""
        if self.answered is None:
            self.answered = trio.current_time() - self._since

    async def _on_request(self, request: httpx.Request) -> None:
        request.extensions["trace"] = self._trace

    async def _trace(self, event: str, _: dict[str, Any]) -> None:
        """Steps of the HTTP client: https://www.python-httpx.org/advanced/extensions/#trace."""
        match event:
            case "connection.connect_tcp.started" | "http11.send_request_headers.started":
                self.start()
            case "connection.connect_tcp.complete" | "connection.start_tls.complete":
                self.connection()
            case "http11.receive_response_headers.complete":
                self.answer()


@attrs.frozen
class _Network:
    """Opens measured connections, for WebSockets."""

    watch: Stopwatch
    network: Network

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        self.watch.start()
        stream = await self.network.connect(host, port, tls=tls)
        self.watch.connection()
        self.watch.start()
        return _Stream(self.watch, stream)


class _Stream(trio.abc.Stream):
    """A connection of which the first byte is timed."""

    def __init__(self, watch: Stopwatch, stream: trio.abc.Stream) -> None:
        self._watch = watch
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        if data:
            self._watch.answer()
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()
