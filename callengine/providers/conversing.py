"""A conversation with a vendor over a WebSocket: what recognisers and voices have in common."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol, TypeAlias, TypedDict, Unpack

import trio

from callengine.cleanup import bounded_cleanup, single
from callengine.errors import ProviderError
from callengine.ports import SessionContext
from callengine.wire import Failures, VendorSocket, open_socket, shared_wire

BYE = 0.05
"""Seconds that the last messages of a session, or a cancellation, may take: less than a call's own clean-up."""

Sent: TypeAlias = Sequence[str | bytes]
"""Messages to send, in order."""


class Talk(Protocol):
    """What of a dialect is neither hearing nor speaking. Made anew for each connection; methods never block, and raise
    nothing but `ProviderError`."""

    @property
    def ready(self) -> bool:
        """Whether more may be sent: some vendors first answer what `opening` sent."""

    @property
    def keep_alive(self) -> float:
        """Seconds without a message of ours after which `still_here` is sent; infinity: never."""

    def opening(self) -> Sent:
        """What is sent first, once connected."""

    def still_here(self) -> Sent:
        """Keep an idle connection; where nothing is returned, a ping does."""

    def bye(self) -> Sent:
        """Said before closing; its answer is not waited for."""

    def feed(self, message: str | bytes) -> object:
        """Take a message of the vendor's. Raises the `ProviderError` that it reports; one that it does not know is
        nothing."""


class Connecting(TypedDict, total=False):
    """How to connect: see `callengine.wire.open_socket`. ``connect`` (5 by default) bounds the connection in seconds,
    and then the vendor's readiness."""

    headers: Mapping[str, str] | None
    subprotocols: Sequence[str]
    connect: float
    on_close: Callable[[int, str], ProviderError | None] | None


@asynccontextmanager
async def conversing(
    context: SessionContext, dialect: Talk, url: str, failures: Failures, **how: Unpack[Connecting]
) -> AsyncIterator[tuple[VendorSocket, trio.Nursery]]:
    """Connect, wait until the vendor is ready, and keep the connection alive; the nursery is for what belongs to it.

    Raises `ProviderError`, also in the middle, where the connection cannot be kept.
    """
    connect = how.get("connect", 5.0)
    try:
        async with (
            shared_wire(context.wire) as wire,
            open_socket(
                wire,
                url,
                failures,
                headers=how.get("headers"),
                subprotocols=how.get("subprotocols", ()),
                timeout=connect,
                on_close=how.get("on_close"),
            ) as socket,
        ):
            await socket.send_all(dialect.opening())
            with trio.move_on_after(connect) as waited:
                while not dialect.ready:
                    dialect.feed(await socket.receive())
            if waited.cancelled_caught:
                raise failures.make(f"connected, but not ready within {connect:g} s")
            async with trio.open_nursery() as nursery:
                if dialect.keep_alive < math.inf:
                    nursery.start_soon(socket.keep_alive, dialect.keep_alive, dialect.still_here)
                try:
                    yield socket, nursery
                finally:
                    with bounded_cleanup(BYE), suppress(ProviderError):
                        await socket.send_all(dialect.bye())
                    nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise single(group) from None
