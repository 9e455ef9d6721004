"""The frames of Azure Speech's WebSockets: headers inside of messages.

The vendor supports them in its own packages only. Read from the one for JavaScript
(`microsoft-cognitiveservices-speech-sdk`, ``src/common.speech`` and ``src/common``), which is plain code.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import attrs

_CRLF = "\r\n"


@attrs.frozen
class Frame:
    """A message: its headers, names in lower case, and its body."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """What it is about, in lower case: the service is not sure of the case."""
        return self.headers.get("path", "").lower()

    @property
    def request_id(self) -> str:
        """The turn that it belongs to."""
        return self.headers.get("x-requestid", "").lower().replace("-", "")

    @property
    def json(self) -> Mapping[str, Any]:
        """The body where it is a JSON object, else an empty one."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


def text_frame(headers: Mapping[str, str], body: str) -> str:
    """A text message: header lines, an empty line, the body."""
    return "".join(f"{name}: {value}{_CRLF}" for name, value in headers.items()) + _CRLF + body


def binary_frame(headers: Mapping[str, str], body: bytes) -> bytes:
    """A binary message: two bytes with the length of the header lines (big-endian), those lines, the body."""
    lines = "".join(f"{name}: {value}{_CRLF}" for name, value in headers.items()).encode("ascii")
    return struct.pack(">H", len(lines)) + lines + body


def parse(message: str | bytes) -> Frame | None:
    """A message of either kind, taken apart. None where it is not made like one."""
    if isinstance(message, str):
        head, found, body = message.partition(_CRLF + _CRLF)
        return Frame(_headers(head), body.encode("utf-8", "replace")) if found else None
    if len(message) < 2:
        return None
    (size,) = struct.unpack_from(">H", message)
    if len(message) < 2 + size:
        return None
    return Frame(_headers(message[2 : 2 + size].decode("latin-1")), message[2 + size :])


def _headers(lines: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines.split(_CRLF))
    return {name.strip().lower(): value.strip() for name, found, value in pairs if found}


def wav_header(sample_rate: int) -> bytes:
    """What a turn's audio begins with: mono, 16 bits, of a length that is not known."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 0, b"WAVE", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16, b"data", 0
    )
