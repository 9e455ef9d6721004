"""Asterisk's AudioSocket protocol: its messages as bytes, and back. No I/O.

A message is one byte of kind, two bytes of length (big-endian), and so many bytes of payload.

Source: https://docs.asterisk.org/Configuration/Channel-Drivers/AudioSocket/ ("Protocol Documentation").
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

HANG_UP = 0x00
UUID = 0x01
"""The first message: 16 bytes that the dialplan chose for this call."""
DTMF = 0x03
ERROR = 0xFF

RATES: Mapping[int, int] = MappingProxyType(
    {
        0x10: 8000,
        0x11: 12_000,
        0x12: 16_000,
        0x13: 24_000,
        0x14: 32_000,
        0x15: 44_100,
        0x16: 48_000,
        0x17: 96_000,
        0x18: 192_000,
    }
)
"""Kinds of audio (signed linear, 16 bits, little-endian, mono) and their rates in Hz. Asterisk's older versions know
8 kHz only."""

_HEAD = 3
LONGEST = 0xFFFF
"""Bytes of payload."""


def message(kind: int, payload: bytes = b"") -> bytes:
    """One message, as it goes over the wire. The payload has at most `LONGEST` bytes."""
    return bytes((kind,)) + len(payload).to_bytes(2, "big") + payload


class MessageReader:
    """Cuts what arrives into messages. It keeps less than one message, 64 KiB at most, and never raises."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def within_message(self) -> bool:
        """Whether a message has begun, and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """More bytes; returns the messages that are whole now, each its kind's byte followed by its payload."""
        buffer = self._buffer
        buffer += data  # in place: a long message that comes byte by byte is not copied each time
        messages = []
        start, size = 0, len(buffer)
        while size - start >= _HEAD:
            end = start + _HEAD + (buffer[start + 1] << 8 | buffer[start + 2])
            if end > size:
                break
            messages.append(bytes(buffer[start : start + 1] + buffer[start + _HEAD : end]))
            start = end
        del buffer[:start]
        return messages
