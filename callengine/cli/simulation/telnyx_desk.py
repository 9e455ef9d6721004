"""As much of Telnyx as one incoming call needs: its signed events, and the API that takes the server's commands.

Source: https://developers.telnyx.com/api-reference/call-commands and the webhook pages beside it. The server under
test has to send its commands here: ``Telnyx(api_url="http://127.0.0.1:8090/v2")``.
"""

from __future__ import annotations

import base64
import json
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import attrs
import httpx
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypercorn.config import Config
from hypercorn.trio import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from callengine.cli.simulation.webhooks import Parties
from callengine.errors import ConfigurationError

WEBHOOK_TIMEOUT = 2.0
"""Seconds in which Telnyx wants a webhook answered
(https://developers.telnyx.com/development/api-fundamentals/webhooks/receiving-webhooks)."""
ANSWER_TIMEOUT = 20.0
"""Seconds that the caller lets it ring."""
_STREAMING = ("answer", "streaming_start")


@attrs.frozen
class Command:
    """What the server asked for."""

    name: str
    body: dict[str, Any] = attrs.field(repr=False)


def read_seed(text: str) -> bytes:
    """The 32 bytes of an Ed25519 seed, from hexadecimal digits. Raises `ConfigurationError`."""
    try:
        seed = bytes.fromhex(text)
    except ValueError:
        seed = b""
    if len(seed) != 32:
        raise ConfigurationError("--signing-seed wants 64 hexadecimal digits; 'openssl rand -hex 32' makes some")
    return seed


def public_key(seed: bytes) -> str:
    """What ``Telnyx(public_key=...)`` has to be, for events that are signed with this seed."""
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()).decode()


class TelnyxDesk:
    """One call's desk: `tell` sends events, `commands` receives what the server wants.

    ``complain`` is called with what Telnyx would log.
    """

    def __init__(
        self, http: httpx.AsyncClient, url: str, parties: Parties, seed: bytes, complain: Callable[[str], None]
    ) -> None:
        self._http = http
        self._url = url
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._complain = complain
        self._ids = {
            "call_control_id": parties.call_id,
            "call_leg_id": str(uuid.uuid4()),
            "call_session_id": str(uuid.uuid4()),
            "connection_id": "1700000000000000001",
            "client_state": None,
            "from": parties.caller,
            "to": parties.callee,
        }
        self._commands_in, self.commands = trio.open_memory_channel[Command](100)
        self.hung_up = trio.Event()
        """The server has ended the call by a command."""

    @asynccontextmanager
    async def open(self, port: int) -> AsyncIterator[None]:
        """Take commands on this port of the loopback interface, while the context lasts. Raises `ConfigurationError`
        where the port is taken."""
        app = Starlette(routes=[Route("/v2/calls/{call}/actions/{name}", self._command, methods=["POST"])])
        try:
            listener = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise ConfigurationError(f"--api-port {port} cannot be listened on: {error}") from error
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.loglevel = "ERROR"
        closing = trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(_serve, app, config, closing)
            yield
            closing.set()
            nursery.cancel_scope.deadline = trio.current_time() + 1.0

    async def tell(self, event: str, **payload: Any) -> float:
        """Send an event; returns the seconds until it was acknowledged."""
        data = {
            "record_type": "event",
            "event_type": event,
            "id": str(uuid.uuid4()),
            "occurred_at": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "payload": {**self._ids, **payload},
        }
        body = json.dumps({"data": data, "meta": {"attempt": 1, "delivered_to": self._url}}).encode()
        timestamp = str(int(time.time()))
        signature = self._key.sign(timestamp.encode() + b"|" + body)
        headers = {
            "content-type": "application/json",
            "telnyx-timestamp": timestamp,
            "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
        }
        began = trio.current_time()
        try:
            with trio.fail_after(WEBHOOK_TIMEOUT):
                response = await self._http.post(self._url, content=body, headers=headers)
            if not response.is_success:
                self._complain(f"{event} was answered {response.status_code}: Telnyx would repeat it")
        except (httpx.HTTPError, trio.TooSlowError) as error:
            self._complain(f"{event} was not answered within {WEBHOOK_TIMEOUT:g} s: {error or 'too slow'}")
        return trio.current_time() - began

    async def _command(self, request: Request) -> Response:
        name = request.path_params["name"]
        if not request.headers.get("authorization", "").startswith("Bearer "):
            return _problem(401, "10009", "Authentication failed")
        try:
            body = await request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return _problem(400, "10015", "Invalid JSON")
        if request.path_params["call"] != self._ids["call_control_id"]:
            return _problem(422, "90015", "Invalid Call Control ID")
        if self.hung_up.is_set():
            return _problem(422, "90018", "Call has already ended")
        if name in _STREAMING and body.get("stream_bidirectional_mode") != "rtp":
            self._complain("100004 invalid_media: raw audio needs stream_bidirectional_mode rtp")
        if name in ("hangup", "reject"):
            self.hung_up.set()
        try:
            self._commands_in.send_nowait(Command(name, body))
        except trio.WouldBlock:
            return _problem(429, "10011", "Too many requests")
        return JSONResponse({"data": {"result": "ok"}})


async def _serve(
    app: Starlette, config: Config, closing: trio.Event, *, task_status: trio.TaskStatus[list[str]]
) -> None:
    await serve(app, config, shutdown_trigger=closing.wait, task_status=task_status)  # type: ignore[arg-type] # ASGI


def _problem(status: int, code: str, title: str) -> Response:
    return JSONResponse({"errors": [{"code": code, "title": title}]}, status)
