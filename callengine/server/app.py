"""The control plane as an ASGI application: carriers' webhooks, health, and the user's own routes beside them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from callengine.carriers.twilio import InboundCall, WebhookError
from callengine.carriers.twilio.webhooks import (
    MAX_PARAMETER,
    call_status_update,
    inbound_call,
    parse_webhook,
    reject_twiml,
    say_and_hangup_twiml,
    stream_twiml,
)
from callengine.server.host import Host, Offer, Refusal, unavailable
from callengine.server.routes import is_ours
from callengine.server.tokens import TokenStore
from callengine.server.trust import missing_configuration, stream_url, webhook_is_genuine

MAX_BODY = 65_536
"""Bytes of a webhook's body; Twilio's forms are about 2 kB."""
_DISCARDED = 1_048_576
"""Bytes of a larger one that are read and thrown away, so that the answer reaches a client that is still sending."""
BODY_TIMEOUT = 5.0
"""Seconds in which the whole body must have come."""
OFFER_TIMEOUT = 10.0
"""Seconds to decide about a call. Twilio waits 15 s for its answer
(https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides)."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

_log = logging.getLogger(__name__)


def create_app(host: Host, tokens: TokenStore, user_app: ASGIApp | None = None) -> ASGIApp:
    """The application: our routes, and ``user_app`` for everything else.

    The user's application gets requests, WebSockets and the lifespan as if it were alone. Without one, everything else
    is not found. It must be served on Trio.
    """
    webhooks = _Webhooks(host, tokens)

    async def ready(_: Request) -> Response:
        reason = unavailable(host)
        return PlainTextResponse("ready" if reason is None else reason, 200 if reason is None else 503)

    ours = Starlette(
        routes=[
            Route("/healthz", _healthy),
            Route("/readyz", ready),
            Route("/{carrier}/voice", webhooks.voice, methods=["GET", "POST"]),
            Route("/{carrier}/status", webhooks.status, methods=["POST"]),
            Route("/{carrier}/media", _upgrade_required),
            Route("/{carrier}/media/{token}", _upgrade_required),
        ],
        exception_handlers={WebhookError: _bad_request},
    )
    ours.router.redirect_slashes = False  # a signature would not survive it
    return ours if user_app is None else _Beside(host, ours, user_app)


class _Beside:
    """The user's application, with our routes in front of it.

    Not a mount: Starlette does not pass a lifespan on to mounts, and leaves its own marks in the scopes of requests.
    """

    def __init__(self, host: Host, ours: ASGIApp, theirs: ASGIApp) -> None:
        self._host = host
        self._ours = ours
        self._theirs = theirs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] != "lifespan" and is_ours(scope["path"], self._host.carriers)
        await (self._ours if ours else self._theirs)(scope, receive, send)


class _Webhooks:
    """What the carriers ask of us over HTTP."""

    def __init__(self, host: Host, tokens: TokenStore) -> None:
        self._host = host
        self._tokens = tokens

    async def voice(self, request: Request) -> Response:
        """What to do with an inbound call.

        While no call can be taken the status is 503. Twilio then asks the number's fallback URL, if it has one
        (https://www.twilio.com/docs/usage/security/availability-reliability), and proxies with several servers ask
        another one, so the call may still be answered; 200 with a refusal would end it here. For whoever reads the
        body of such an answer, it says "busy".
        """
        carrier, form = await self._genuine_form(request)
        call = inbound_call(form)
        reason = unavailable(self._host)
        decision: Offer | Refusal | None = None
        if reason is None:
            with trio.move_on_after(OFFER_TIMEOUT):
                decision = await self._host.offer(carrier, call)
            reason = f"no decision about it within {OFFER_TIMEOUT:g} s"
        if decision is None:
            _log.warning("a call from %s was not taken: %s", carrier, reason)
            return _twiml(reject_twiml("busy"), 503)
        if isinstance(decision, Refusal):
            return _twiml(reject_twiml("busy") if decision.words is None else say_and_hangup_twiml(decision.words))
        url = stream_url(self._host, carrier, self._tokens.issue(decision), request.headers.get("host", ""))
        return _twiml(stream_twiml(url, _parameters(call), allow_ws=self._host.insecure))

    async def status(self, request: Request) -> Response:
        """How a call goes on."""
        carrier, form = await self._genuine_form(request)
        self._host.status(carrier, call_status_update(form))
        return Response(status_code=204)

    async def _genuine_form(self, request: Request) -> tuple[str, Mapping[str, str]]:
        """The carrier's name and the form that it sent, once it is sure that it did; else raises `HTTPException`."""
        carrier: str = request.path_params["carrier"]
        if carrier not in self._host.carriers:
            raise HTTPException(404)
        if (missing := missing_configuration(self._host, carrier)) is not None:
            _log.warning("a webhook of %s was refused: %s", carrier, missing)
            raise HTTPException(503, f"calls of {carrier} cannot be taken: {missing}")
        body = await _body(request)
        query: bytes = request.scope["query_string"]
        target = (request.scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1")
        if not webhook_is_genuine(self._host, carrier, request.method, target, request.headers, body):
            _log.warning("a webhook of %s was refused: its signature is not of the public URL and token", carrier)
            raise HTTPException(403, "the signature is missing or wrong")
        return carrier, parse_webhook(body if request.method == "POST" else query)


async def _body(request: Request) -> bytes:
    """The request's body. Raises `HTTPException`: 413 where it is too large, 408 too slow, 400 if the client left."""
    body, size = bytearray(), 0
    with trio.move_on_after(BODY_TIMEOUT) as bound:
        while size <= _DISCARDED:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise HTTPException(400)
            size += len(message.get("body", b""))
            if size <= MAX_BODY:
                body += message.get("body", b"")
            if not message.get("more_body", False):
                break
    if bound.cancelled_caught:
        raise HTTPException(408, headers={"connection": "close"})
    if size > MAX_BODY:
        raise HTTPException(413, headers={"connection": "close"})
    return bytes(body)


def _parameters(call: InboundCall) -> dict[str, str]:
    """What the stream's start message will repeat, as far as a parameter can hold it."""
    values = {"caller": call.caller, "callee": call.callee}
    return {
        name: value
        for name, value in values.items()
        if len(name) + len(value) < MAX_PARAMETER and not _UNPRINTABLE.search(value)
    }


def _twiml(text: str, status: int = 200) -> Response:
    return Response(text, status, media_type="text/xml")


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok")


async def _upgrade_required(_: Request) -> Response:
    return PlainTextResponse("a media stream is a WebSocket", 426, {"upgrade": "websocket", "connection": "close"})


async def _bad_request(_: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 400)
