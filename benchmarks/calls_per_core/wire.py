"""Twilio's frames as bytes, as lean as can be: the load must not be what is measured."""

from __future__ import annotations

from binascii import b2a_base64

from callengine.testing.playout import PlayoutQueue
from callengine.testing.twilio import TwilioSide

_MASK = bytes(4)
"""A client has to mask; with zeros it costs nothing here, and the engine just as much."""

REQUEST = (
    b"GET /twilio/media HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def client_frame(payload: bytes) -> bytes:
    """A whole text message of less than 64 KiB, as a client sends it."""
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else bytes((0x81, 0xFE, size >> 8, size & 0xFF))
    return head + _MASK + payload


def base64(audio: bytes) -> bytes:
    """A frame's payload."""
    return b2a_base64(audio, newline=False)


def opening(call_id: str, stream_id: str) -> bytes:
    """The first two messages of a stream."""
    return b"".join(map(client_frame, TwilioSide(call_id, stream_id, PlayoutQueue(), {}).opening()))


def stop(call_id: str, stream_id: str) -> bytes:
    """The last one."""
    return client_frame(TwilioSide(call_id, stream_id, PlayoutQueue(), {}).stop())


def media_head(number: int) -> bytes:
    """A media message up to its payload."""
    return (
        b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"'
        % (number + 1, number, 82 + 20 * number)
    )


def messages(buffer: bytearray) -> list[bytes]:
    """Take the whole messages of a server out of a buffer."""
    found: list[bytes] = []
    at, size = 0, len(buffer)
    while size - at >= 2:
        length, start = buffer[at + 1], at + 2
        if length == 126:
            if size < at + 4:
                break
            length, start = buffer[at + 2] << 8 | buffer[at + 3], at + 4
        elif length == 127:
            if size < at + 10:
                break
            length, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
        if size < start + length:
            break
        found.append(bytes(buffer[start : start + length]))
        at = start + length
    del buffer[:at]
    return found
