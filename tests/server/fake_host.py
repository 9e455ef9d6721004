"""An engine that takes calls by echoing what they say, and the front door around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import attrs
import httpx
import trio
from starlette.types import ASGIApp

from callengine.carriers.twilio import Twilio
from callengine.carriers.twilio.signature import sign
from callengine.errors import SocketClosed
from callengine.ports import MediaSocket
from callengine.server.app import create_app
from callengine.server.front_door import serve_front_door
from callengine.server.host import Offer, Told
from callengine.server.tokens import TokenStore
from callengine.telephony import Carrier, CarrierFact, IncomingCall, InstructionsWanted, Refuse, TransferEnded

AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
PUBLIC = "voice.example.com"
CALLER = "+15005550001"
CALLEE = "+15005550002"
CALL_ID = "CA00000000000000000000000000000002"
VOICE_FORM = {"CallSid": CALL_ID, "From": CALLER, "To": CALLEE, "CallStatus": "ringing", "Direction": "inbound"}
PATIENCE = 10
"""Seconds after which a test on real sockets is stuck."""

NOW = 1_767_323_045.0
"""The host's wall clock: 2026-01-02T03:04:05Z."""

Decision = Callable[[str, IncomingCall], Awaitable[Offer | Refuse]]
Taking = Callable[[Offer | None, str, MediaSocket], Awaitable[None]]


async def accept(carrier: str, call: IncomingCall) -> Offer | Refuse:
    return Offer(carrier, call.caller, call.callee, "inbound", call.call_id, data="what the host wants back")


async def echo(_offer: Offer | None, _carrier: str, socket: MediaSocket) -> None:
    with suppress(SocketClosed):
        while True:
            for _, payload in await socket.receive():
                socket.send_nowait(payload)


@attrs.define
class FakeHost:
    carriers: Mapping[str, Carrier] = attrs.field(factory=lambda: {"twilio": Twilio(AUTH_TOKEN)})
    public_url: str | None = f"https://{PUBLIC}"
    insecure: bool = False
    ready: bool = True
    draining: bool = False
    decide: Decision = accept
    taking: Taking = echo
    told: Mapping[str, Told] = attrs.field(factory=dict)
    """What legs shall do, by reference."""
    offered: list[tuple[str, IncomingCall]] = attrs.field(factory=list)
    asked: list[tuple[str, InstructionsWanted | TransferEnded]] = attrs.field(factory=list)
    noted: list[tuple[str, CarrierFact]] = attrs.field(factory=list)
    taken: list[tuple[Offer | None, str]] = attrs.field(factory=list)

    def is_ready(self) -> bool:
        return self.ready

    def is_draining(self) -> bool:
        return self.draining

    def unix_time(self) -> float:
        return NOW

    async def offer(self, carrier: str, call: IncomingCall) -> Offer | Refuse:
        self.offered.append((carrier, call))
        return await self.decide(carrier, call)

    def instructions(self, carrier: str, fact: InstructionsWanted | TransferEnded) -> Told | None:
        self.asked.append((carrier, fact))
        return self.told.get(fact.reference)

    def note(self, carrier: str, fact: CarrierFact) -> None:
        self.noted.append((carrier, fact))

    async def take(self, offer: Offer | None, carrier: str, socket: MediaSocket) -> None:
        self.taken.append((offer, carrier))
        await self.taking(offer, carrier, socket)


def signature(target: str, form: Mapping[str, str] | None = None, *, scheme: str = "https") -> dict[str, str]:
    """The header with which Twilio signs a request to this path of the public URL."""
    return {"x-twilio-signature": sign(AUTH_TOKEN, f"{scheme}://{PUBLIC}{target}", (form or {}).items())}


@attrs.define
class Door:
    """A front door that is being served on loopback."""

    host: FakeHost
    tokens: TokenStore
    port: int
    scope: trio.CancelScope
    closed: trio.Event
    """Set when serving has ended."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **settings: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=PATIENCE, trust_env=False, verify=False, **settings)

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def exchange(self, *parts: bytes) -> bytes:
        """Send bytes on a connection of their own, and read all that comes back."""
        async with await self.connect() as stream:
            for part in parts:
                await stream.send_all(part)
            return await read_all(stream)


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """What comes until the connection ends, in whatever way."""
    received = bytearray()
    with suppress(trio.BrokenResourceError):
        while data := await stream.receive_some(65_536):
            received += data
    return bytes(received)


@asynccontextmanager
async def open_door(
    host: FakeHost | None = None, user_app: ASGIApp | None = None, *, tokens: TokenStore | None = None, **settings: Any
) -> AsyncIterator[Door]:
    """The front door on a free port; at the end it is cancelled, and must close within a second."""
    host = host or FakeHost()
    tokens = tokens or TokenStore()
    closed = trio.Event()

    async def serve(task_status: trio.TaskStatus[tuple[trio.CancelScope, list[tuple[str, int]]]]) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                app = create_app(host, tokens, user_app)
                serving = partial(serve_front_door, host, app, tokens, bind="127.0.0.1", port=0, **settings)
                task_status.started((scope, await nursery.start(serving)))
        closed.set()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            scope, addresses = await nursery.start(serve)
            yield Door(host, tokens, addresses[0][1], scope, closed)
            scope.cancel()
            with trio.fail_after(1):
                await closed.wait()
