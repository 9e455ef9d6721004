"""What stands in for an engine behind a simulated network: it answers webhooks by a script, and takes media streams."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from callengine.carriers.twilio import TwilioCodec
from callengine.carriers.twilio.signature import parse_form, verify_upgrade, verify_webhook
from callengine.errors import SocketClosed
from callengine.ports import DtmfPressed, StreamStarted, StreamStopped
from callengine.services.handshake import BadHandshake
from callengine.testing.accounts import ACCOUNT_SID, AUTH_TOKEN
from callengine.testing.clouds import Cloud, cloud_of
from callengine.testing.clouds.reach import Memory
from callengine.testing.words import Vocabulary, read_words

BASE = "https://voice.example.com/twilio"
STREAM = "wss://voice.example.com/twilio/media/token"
CONNECT = f'<Response><Connect><Stream url="{STREAM}"/></Connect></Response>'
ACCOUNT = f"/2010-04-01/Accounts/{ACCOUNT_SID}"


class FakeEngine:
    """``documents`` are the answers by the last part of the path, each a text or a function of the form."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.documents: dict[str, Any] = {}
        self.told: list[tuple[float, str, dict[str, str]]] = []
        self.greeting = "Good evening!"
        self.refuses = 0
        """The status that media upgrades are answered; 0: they are taken."""
        self.starts: list[StreamStarted] = []
        self.heard = ""
        self.keys = ""
        self.ended: list[str] = []
        self.hangs_up = trio.Event()
        self.delay = 0.0
        self.app = Starlette(routes=[Route("/{rest:path}", self._answer, methods=["POST"])])

    async def _answer(self, request: Any) -> Response:
        body = await request.body()
        assert verify_webhook(AUTH_TOKEN, "POST", str(request.url), request.headers, body)
        form = dict(parse_form(body) or ())
        self.told.append((trio.current_time(), request.url.path, form))
        await trio.sleep(self.delay)
        document = self.documents.get(request.url.path.rpartition("/")[2])
        if isinstance(document, Response):
            return document
        text = document(form) if callable(document) else document
        return Response(status_code=204) if text is None else Response(text, media_type="text/xml")

    def admit(self, target: str, headers: Any) -> str:
        assert verify_upgrade(AUTH_TOKEN, f"wss://voice.example.com{target}", headers)
        if self.refuses:
            raise BadHandshake(self.refuses, "not today")
        return target

    async def take(self, _offer: str, _name: str, socket: Any) -> None:
        """Greets, listens, and hangs up when it is told to."""
        codec = TwilioCodec()
        audio = bytearray()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._close, socket)
            try:
                while True:
                    for text, message in await socket.receive():
                        event = codec.decode(text, message)
                        if isinstance(event, StreamStarted):
                            self.starts.append(event)
                            spoken = b"".join(word.audio for word in self._vocabulary.speak(self.greeting))
                            socket.send_nowait(codec.media(spoken))
                        elif isinstance(event, bytes):
                            audio += event
                        elif isinstance(event, DtmfPressed):
                            self.keys += event.digit
                        elif isinstance(event, StreamStopped):
                            self.ended.append("stopped")
            except SocketClosed:
                self.ended.append("closed")
            nursery.cancel_scope.cancel()
        self.heard = f"{self.heard} {read_words(self._vocabulary, bytes(audio))}".strip()

    async def _close(self, socket: Any) -> None:
        await self.hangs_up.wait()
        await socket.aclose()

    def of(self, what: str) -> list[dict[str, str]]:
        """The forms that came to a path with this in it, in order."""
        return [form for _, path, form in self.told if what in path]


@asynccontextmanager
async def cloud(**settings: Any) -> AsyncIterator[tuple[Any, FakeEngine, httpx.AsyncClient]]:
    """A simulated Twilio, running, its engine, and a client of its API."""
    made: Cloud = cloud_of("twilio")(**settings)
    engine = FakeEngine(made.vocabulary)
    made.point_at(BASE)
    transport = httpx.ASGITransport(app=made.app)
    api = httpx.AsyncClient(transport=transport, base_url="https://api.twilio.com", auth=(ACCOUNT_SID, AUTH_TOKEN))
    async with api, made.running(Memory(engine)):
        yield made, engine, api


async def call(api: httpx.AsyncClient, to: str, **more: Any) -> str:
    """Have somebody called; returns the call's SID."""
    form = {"To": to, "From": "+15005550006", "Twiml": CONNECT, "StatusCallback": f"{BASE}/status"}
    events = {"StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"]}
    response = await api.post(f"{ACCOUNT}/Calls.json", data={**form, **events, **more})
    assert response.status_code == 201, response.text
    return json.loads(response.text)["sid"]


async def update(api: httpx.AsyncClient, sid: str, **form: str) -> httpx.Response:
    """Change a call."""
    return await api.post(f"{ACCOUNT}/Calls/{sid}.json", data=form)
