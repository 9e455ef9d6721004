"""The control plane as an ASGI application: carriers' webhooks, health, and the user's own routes beside them."""

from __future__ import annotations

import logging

import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from callengine.errors import WebhookError
from callengine.server.host import Host, Told, unavailable
from callengine.server.replays import Replays
from callengine.server.routes import MEDIA, is_ours
from callengine.server.tokens import TokenStore
from callengine.server.trust import (
    base_url,
    missing_configuration,
    stream_parameters,
    stream_url,
    webhook_is_genuine,
)
from callengine.telephony import (
    CallbackUrls,
    ConnectStream,
    IncomingCall,
    InstructionsWanted,
    Refuse,
    SignsTime,
    TransferEnded,
    Webhook,
    WebhookAnswer,
)

MAX_BODY = 65_536
"""Bytes of a webhook's body; Twilio's forms are about 2 kB."""
_DISCARDED = 1_048_576
"""Bytes of a larger one that are read and thrown away, so that the answer reaches a client that is still sending."""
BODY_TIMEOUT = 5.0
"""Seconds in which the whole body must have come."""
OFFER_TIMEOUT = 10.0
"""Seconds to decide about a call. Twilio waits 15 s for its answer
(https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides)."""

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
            Route(f"/{{carrier}}/{MEDIA}", _upgrade_required),
            Route(f"/{{carrier}}/{MEDIA}/{{token}}", _upgrade_required),
            Route("/{carrier}/{what}", webhooks.take, methods=["GET", "POST"]),
            Route("/{carrier}/{what}/{reference}", webhooks.take, methods=["GET", "POST"]),
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
        self._replays = Replays()

    async def take(self, request: Request) -> Response:
        """Read a webhook, have the host decide, and answer in the carrier's own words.

        While no call can be taken, one that comes in is answered 503. Carriers then ask the number's fallback URL, if
        it has one (https://www.twilio.com/docs/usage/security/availability-reliability), or ask again, and proxies with
        several servers ask another one, so the call may still be answered; 200 with a refusal would end it here. For
        whoever reads the body of such an answer, it says "busy".
        """
        carrier, webhook = await self._genuine(request)
        recipe = self._host.carriers[carrier]
        told: Told | None = None
        for fact in recipe.read_webhook(webhook):
            match fact:
                case IncomingCall():
                    reason = unavailable(self._host)
                    if reason is None and recipe.capabilities.instructed == "command":
                        self._host.note(carrier, fact)
                        continue
                    if reason is None:
                        told = await self._decide(carrier, fact, request.headers.get("host", ""))
                        reason = f"no decision about it within {OFFER_TIMEOUT:g} s"
                    if told is None:
                        _log.warning("a call from %s was not taken: %s", carrier, reason)
                        return _response(recipe.answer(webhook, Refuse(), None), 503)
                case InstructionsWanted():
                    told = self._host.instructions(carrier, fact)
                case TransferEnded():
                    self._host.note(carrier, fact)
                    left = fact.waiting and fact.result != "completed"  # a caller whom nobody took
                    if left and recipe.capabilities.instructed == "response":
                        told = self._host.instructions(carrier, fact)
                case _:
                    self._host.note(carrier, fact)
        if told is None:
            return _response(recipe.answer(webhook, None, None))
        return _response(recipe.answer(webhook, told.instruction, told.urls))

    async def _decide(self, carrier: str, call: IncomingCall, request_host: str) -> Told | None:
        """What an inbound call shall do; None where nobody could say in time."""
        with trio.move_on_after(OFFER_TIMEOUT):
            decision = await self._host.offer(carrier, call)
            urls = CallbackUrls(base_url(self._host, carrier, request_host), call.call_id)
            if isinstance(decision, Refuse):
                return Told(decision, urls)
            url = stream_url(self._host, carrier, self._tokens.issue(decision), request_host)
            return Told(ConnectStream(url, stream_parameters(call.caller, call.callee)), urls)
        return None

    async def _genuine(self, request: Request) -> tuple[str, Webhook]:
        """The carrier's name and what it sent, once it is sure that it did; else raises `HTTPException`."""
        carrier: str = request.path_params["carrier"]
        what: str = request.path_params["what"]
        if carrier not in self._host.carriers or what not in self._host.carriers[carrier].webhooks:
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
        recipe = self._host.carriers[carrier]
        signed = recipe.signed(request.headers, body) if isinstance(recipe, SignsTime) else None
        if signed is not None and not self._host.insecure and not self._replays.first(carrier, signed):
            _log.warning("a webhook of %s was refused: it came before", carrier)
            raise HTTPException(403, "this request came before")
        return carrier, Webhook(
            what=what,
            reference=request.path_params.get("reference"),
            method=request.method,
            query=query,
            headers=request.headers,
            body=body,
        )


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


def _response(answer: WebhookAnswer, status: int | None = None) -> Response:
    return Response(answer.body, status or answer.status, media_type=answer.media_type)


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok")


async def _upgrade_required(_: Request) -> Response:
    return PlainTextResponse("a media stream is a WebSocket", 426, {"upgrade": "websocket", "connection": "close"})


async def _bad_request(_: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 400)
