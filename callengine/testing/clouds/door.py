"""The door of a simulated carrier's API: it writes down what was asked, and goes wrong as a test wants."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import attrs
import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Fields: TypeAlias = Mapping[str, Any]
"""A form (a repeated field has a list), a query, or a JSON object."""


@attrs.define
class Asked:
    """One request to the carrier's API. ``status`` is what it was answered; None while it is not."""

    at: float
    method: str
    path: str
    fields: Fields
    status: int | None = None


@attrs.define(kw_only=True)
class Fault:
    """What goes wrong with the next ``times`` requests whose path has ``path`` in it (and of this method)."""

    status: int | None = None
    """Answered instead of doing what was asked; None: it is done."""
    retry_after: str | None = None
    body: bytes | None = None
    """In place of the carrier's own error, such as a gateway's page."""
    delay: float = 0.0
    """Seconds that pass before it is done."""
    answer_delay: float = 0.0
    """Seconds that pass between doing it and the answer. Webhooks are on their way in the meantime."""
    path: str = ""
    method: str | None = None
    times: int = 1

    def meets(self, asked: Asked) -> bool:
        """Whether this request is to go wrong."""
        return self.times > 0 and self.path in asked.path and self.method in (None, asked.method)


class ApiDoor:
    """An ASGI application in front of the carrier's own. ``refuse`` writes the carrier's error of a status."""

    def __init__(self, app: ASGIApp, refuse: Callable[[int], Response]) -> None:
        self._app = app
        self._refuse = refuse
        self.requests: list[Asked] = []
        self.faults: list[Fault] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await Request(scope, receive).body()
        asked = Asked(trio.current_time(), scope["method"], scope["path"], _fields(scope, body))
        self.requests.append(asked)
        fault = next((fault for fault in self.faults if fault.meets(asked)), None) or Fault()
        fault.times -= 1
        await trio.sleep(fault.delay)
        app = self._app if fault.status is None else self._failure(fault)
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await app(scope, _replay(body), hold)
        asked.status = held[0]["status"]
        await trio.sleep(fault.answer_delay)
        for message in held:
            await send(message)

    def _failure(self, fault: Fault) -> Response:
        assert fault.status is not None
        response = self._refuse(fault.status) if fault.body is None else Response(fault.body, fault.status)
        if fault.retry_after is not None:
            response.headers["retry-after"] = fault.retry_after
        return response


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        await trio.lowlevel.checkpoint()
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _fields(scope: Scope, body: bytes) -> Fields:
    headers = dict(scope["headers"])
    if headers.get(b"content-type", b"").startswith(b"application/json"):
        try:
            data = json.loads(body)
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}
    pairs = parse_qsl((body if body else scope["query_string"]).decode(), keep_blank_values=True)
    return gathered(pairs)


def gathered(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Pairs as a mapping; the values of a repeated name as a list."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            fields[name] = [*(fields[name] if isinstance(fields[name], list) else [fields[name]]), value]
        else:
            fields[name] = value
    return fields
