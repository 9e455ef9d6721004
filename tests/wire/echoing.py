"""A vendor that says everything back, and the ways of the tests to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from callengine.errors import ProviderError
from callengine.testing.vendors import Answer, Request, Vendor, WebSocket, in_memory
from callengine.wire import Failures, Wire, open_socket
from callengine.wire.websocket import VendorSocket

KEY = "wire-test-key/with+signs"
FAILURES = Failures("echo", KEY)
URL = "wss://echo.test/v1/echo"


class Echo(Vendor):
    """Says everything back."""

    hosts = ("echo.test",)
    key = KEY

    def admit(self, request: Request) -> Answer | None:
        return None if request.path == "/v1/echo" else self.error(404, "no such path")

    def subprotocol(self, request: Request) -> str | None:
        offered = request.headers.get("sec-websocket-protocol")
        return offered.split(", ")[-1] if offered else None

    async def serve(self, socket: WebSocket, request: Request) -> None:  # noqa: ARG002 - the base's
        while True:
            await socket.send(await socket.receive())


@asynccontextmanager
async def echo(**settings: Any) -> AsyncIterator[tuple[Echo, VendorSocket]]:
    vendor = Echo()
    async with in_memory(vendor) as wire, open_socket(wire, URL, FAILURES, **settings) as socket:
        yield vendor, socket


async def opened(wire: Wire, url: str = URL, **settings: Any) -> None:
    async with open_socket(wire, url, FAILURES, **settings):
        pass


async def refusal(wire: Wire, url: str = URL, **settings: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await opened(wire, url, **settings)
    assert KEY not in str(caught.value)
    return caught.value
