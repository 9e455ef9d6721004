"""The WebSocket upgrade: a request head as bytes in, the response as bytes out. No I/O."""

from __future__ import annotations

import http
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import attrs
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from callengine.errors import CallEngineError

MAX_HEAD = 16_384
"""Bytes of request line and headers together. Servers commonly allow 8 to 16 KiB; a carrier's upgrade is under 1."""

SUBPROTOCOLS = frozenset({"audio.plivo.com"})
"""What a carrier may ask for, without saying whether it goes on when it is not chosen."""

_REQUEST_LINE = re.compile(r"([!#-'*+.\-0-9A-Z^-z|~]+) ([!-~]+) HTTP/(1\.[01])")
_HEADER = re.compile(r"([!#-'*+.\-0-9A-Z^-z|~]+):[ \t]*([\t -~\x80-\xff]*)")


class BadHandshake(CallEngineError):
    """A request that cannot be upgraded. ``response`` is what to answer before closing the connection."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(f"WebSocket upgrade refused: {status} {problem}")
        self.status = status
        self.response = refusal(status, problem)


@attrs.frozen
class RequestHead:
    """A request without its body: ``path`` with its query as it was sent, header names in lower case.

    A header that came more than once has its values joined by ``", "`` (RFC 9110, section 5.2).
    """

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    version: str = "1.1"


def parse_head(head: bytes) -> RequestHead:
    """Understand a request head, up to its empty line; bytes behind that are not looked at.

    Raises `BadHandshake` (400; 431 over `MAX_HEAD`) for what is not an HTTP/1 request, and for obsolete forms that
    servers disagree about: folded headers, bare line feeds, blanks before the colon.
    """
    text, blank, _ = head.partition(b"\r\n\r\n")
    if len(text) + len(blank) > MAX_HEAD:
        raise BadHandshake(431, "request head too long")
    if not blank:
        raise BadHandshake(400, "request head incomplete")
    first, *lines = text.decode("latin-1").split("\r\n")
    request = _REQUEST_LINE.fullmatch(first)
    if request is None:
        raise BadHandshake(400, "malformed request line")
    headers: dict[str, str] = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise BadHandshake(400, "malformed header")
        name, value = match[1].lower(), match[2].rstrip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return RequestHead(request[1], request[2], MappingProxyType(headers), request[3])


def accept_response(head: RequestHead) -> bytes:
    """The 101 response to an upgrade request, without extensions; of the subprotocols that are offered, it chooses the
    carriers' own (`SUBPROTOCOLS`), and none where none of them is.

    Raises `BadHandshake`: 405 for a method other than GET, 505 for HTTP/1.0, 426 where no WebSocket is asked for, 400
    for the rest.
    """
    if head.method != "GET":
        raise BadHandshake(405, "a WebSocket is opened with GET")
    if head.version != "1.1":
        raise BadHandshake(505, "a WebSocket is opened with HTTP/1.1")
    if "transfer-encoding" in head.headers or head.headers.get("content-length", "0") != "0":
        raise BadHandshake(400, "an upgrade request has no body")
    protocol = ServerProtocol(select_subprotocol=_subprotocol)
    response = protocol.accept(Request(head.path, Headers(head.headers)))
    if response.status_code != 101:
        raise BadHandshake(response.status_code, str(protocol.handshake_exc))
    return response.serialize()


def _subprotocol(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((name for name in offered if name in SUBPROTOCOLS), None)


def refusal(status: int, text: str) -> bytes:
    """A response that ends the connection: ``text`` as plain UTF-8."""
    body = f"{text}\n".encode("utf-8", "replace")
    lines = [
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if status == http.HTTPStatus.UPGRADE_REQUIRED:
        lines.append("Upgrade: websocket")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
