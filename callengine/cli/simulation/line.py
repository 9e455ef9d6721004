"""The carrier's end of a connection, with the faults that a network or a carrier can have."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import attrs
import trio

from callengine.cli.simulation.wires import Wire
from callengine.testing.link import LinkClosed

MOST_UNSENT = 500
"""Messages that wait for a server that does not read; beyond it, what the caller says is thrown away and counted. The
carriers document that they do so, and no figure."""
CLOSE_TIMEOUT = 5.0
"""Seconds in which what waits must have left, and the connection be closed."""


@attrs.frozen(kw_only=True)
class LineFaults:
    """``delay`` is one way, in seconds; with ``burst`` the caller's messages are held back and delivered together, so
    many seconds at a time."""

    delay: float = 0.0
    burst: float = 0.0


class Line:
    """A `callengine.testing.link.Link` over a `Wire`. It works while `run` does.

    ``on_binary`` is told of binary messages (where the carrier has texts), which go no further; None: they are as good
    as texts.
    """

    def __init__(
        self, wire: Wire, faults: LineFaults = LineFaults(), *, on_binary: Callable[[bytes], None] | None = None
    ) -> None:
        self.wire = wire
        self.thrown_away = 0
        """Messages of the caller that were thrown away because the server did not read."""
        self._faults = faults
        self._on_binary = on_binary
        self._began = trio.current_time()
        self._unsent: deque[tuple[float, bytes]] = deque()
        self._news = trio.Event()
        self._closing = self._closed = False
        self._sends_from = self._reads_from = 0.0
        self._flushed = trio.Event()
        self._arrived_in, self._arrived = trio.open_memory_channel[tuple[float, bytes]](1000)

    async def run(self) -> None:
        """Carry messages both ways until the connection is over."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send)
            await self._receive()
            nursery.cancel_scope.cancel()

    # --- the link -----------------------------------------------------------------------------------------------------

    async def send(self, message: bytes) -> None:
        """Never waits for the server. What is sent to one that has gone is lost; `receive` says that it has."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            return
        if len(self._unsent) >= MOST_UNSENT:
            self.thrown_away += 1
            return
        self._unsent.append((self._leaves_at(), message))
        self._news.set()

    async def receive(self) -> bytes:
        """Raises `LinkClosed`."""
        try:
            due, message = await self._arrived.receive()
        except trio.EndOfChannel:
            raise LinkClosed from None
        await trio.sleep_until(max(due, self._reads_from))
        return message

    async def close(self) -> None:
        """Let what waits leave, then close the connection."""
        self._closing = True
        self._news.set()
        with trio.move_on_after(CLOSE_TIMEOUT):
            await self._flushed.wait()
            await self.wire.close()

    def stall(self, seconds: float, *, to_engine: bool = True, to_carrier: bool = True) -> None:
        until = trio.current_time() + seconds
        if to_engine:
            self._sends_from = until
        if to_carrier:
            self._reads_from = until

    def drop(self) -> None:
        self._closed = True
        self.wire.drop()

    # --- what carries it ----------------------------------------------------------------------------------------------

    def _leaves_at(self) -> float:
        now, burst = trio.current_time(), self._faults.burst
        if burst:
            now = self._began + math.ceil((now - self._began) / burst) * burst
        return now + self._faults.delay

    async def _send(self) -> None:
        try:
            while not (self._closing and not self._unsent):
                if not self._unsent:
                    self._news = trio.Event()
                    await self._news.wait()
                    continue
                due, message = self._unsent[0]
                await trio.sleep_until(max(due, self._sends_from))
                await self.wire.send(message)
                self._unsent.popleft()
        except LinkClosed:
            self._closed = True
        self._flushed.set()

    async def _receive(self) -> None:
        async with self._arrived_in:
            try:
                while True:
                    text, message = await self.wire.receive()
                    if not text and self._on_binary is not None:
                        self._on_binary(message)
                        continue
                    await self._arrived_in.send((trio.current_time() + self._faults.delay, message))
            except LinkClosed:
                self._closed = True
                self._flushed.set()
