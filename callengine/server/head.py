"""Reading a request's head from a stranger."""

from __future__ import annotations

import re
from contextlib import suppress

import trio

from callengine.services.handshake import BadHandshake

_LINGER = 1.0
"""Seconds for a client to read why it was refused, before the connection is closed."""

_BEGINNING = re.compile(rb"[A-Za-z]{1,20}(?: |\Z)")
"""What every request begins with: a method (the longest registered one, UPDATEREDIRECTREF, has 17 letters)."""

_END = b"\r\n\r\n"
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)


async def read_head(stream: trio.abc.ReceiveStream, *, timeout: float, limit: int) -> bytes | None:
    """What the client sent, its first request's head complete; more may follow behind that.

    None where the client left, or said nothing in time. Raises `BadHandshake`: 400 for what cannot become a request,
    408 where the rest does not come within ``timeout`` seconds, 431 where the head is longer than ``limit`` bytes.
    """
    received = bytearray()
    with trio.move_on_after(timeout) as bound:
        while not _complete(received, limit):
            try:
                data = await stream.receive_some(limit)
            except _BROKEN:
                return None
            if not data:
                return None
            received += data
    if not bound.cancelled_caught:
        return bytes(received)
    if received:
        raise BadHandshake(408, "the request's head did not come in time")
    return None


async def refuse(stream: trio.abc.HalfCloseableStream, response: bytes) -> None:
    """Answer, and give the client a moment to read it: closing over its unread bytes would reset the connection."""
    with trio.move_on_after(_LINGER), suppress(*_BROKEN):
        await stream.send_all(response)
        await stream.send_eof()
        while await stream.receive_some():
            pass


def _complete(received: bytearray, limit: int) -> bool:
    end = received.find(_END)
    if (end + len(_END) if end >= 0 else len(received)) > limit:
        raise BadHandshake(431, "request head too long")
    line, newline, _ = received.partition(b"\n")
    if received and (_BEGINNING.match(received) is None or (newline and not line.endswith(b"\r"))):
        raise BadHandshake(400, "this is not an HTTP request")
    return end >= 0
