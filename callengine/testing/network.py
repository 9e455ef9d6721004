"""An engine and a simulated telephone network: what `CallLab.network` gives to a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from starlette.types import ASGIApp

from callengine.engine import Engine
from callengine.server.http import HttpServer
from callengine.testing.accounts import SENDER
from callengine.testing.caller import Caller
from callengine.testing.clouds import Cloud
from callengine.testing.clouds.legs import CloudLeg
from callengine.testing.clouds.phones import Phone
from callengine.testing.clouds.values import Text

PUBLIC_URL = "https://voice.example.com"
"""How the simulated carriers know the engine."""


class Network:
    """A running engine, and the network that it is connected to."""

    def __init__(self, engine: Engine, cloud: Cloud) -> None:
        self.engine = engine
        self.cloud = cloud

    def phone(self, number: str, phone: Phone) -> None:
        """There is this telephone. A number without one cannot be reached."""
        self.cloud.phone(number, phone)

    def rings(self, to: str = SENDER, caller: str = "+15550100001") -> Caller:
        """Somebody calls this number; returns him at once, with the telephone at his ear."""
        return self.cloud.rings(to, caller)

    async def answered(self, number: str, *, timeout: float = 60.0) -> Caller:
        """Wait until this telephone was answered; returns who (or what) is there. Each answered call is given once."""
        return await self.cloud.answered(number, timeout=timeout)

    async def ringing(self, number: str, *, timeout: float = 60.0) -> CloudLeg:
        """Wait until this telephone rings (or did)."""
        return await self.cloud.ringing(number, timeout=timeout)

    def text(self, text: str, to: str = SENDER, sender: str = "+15550100001", media: tuple[str, ...] = ()) -> Text:
        """Somebody sends a text message to one of the account's numbers."""
        return self.cloud.text(to, sender, text, media)

    async def settle(self, *, timeout: float = 10.0) -> None:
        """Everybody hangs up, the engine's calls end, and it hears of it."""
        with trio.move_on_after(timeout):
            await self.cloud.close()
            while self.engine.calls:  # noqa: ASYNC110 - the engine has no event for others
                await trio.sleep(0.005)


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The address of an application that is served on a port of this machine."""
    http = HttpServer(app, {}, lambda _: False)

    async def serve(stream: trio.SocketStream) -> None:
        await http.serve(stream, b"")

    async with trio.open_nursery() as nursery:
        listeners: Any = await nursery.start(trio.serve_tcp, serve, 0)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()
