"""Reading JSON messages of a peer that may send anything."""

from __future__ import annotations

import json
from typing import Any


class Unusable(Exception):
    """Why a message cannot be used: becomes a `BadMessage`, so it must not quote the message (digits, tokens)."""

    def __init__(self, kind: str, detail: str) -> None:
        self.kind, self.detail = kind, detail


def parse(text: bool, payload: bytes, limit: int) -> dict[str, Any]:
    """The object of a text message of at most ``limit`` bytes. Raises `Unusable`."""
    if len(payload) > limit:
        raise Unusable("message too long", f"{len(payload)} bytes, at most {limit} are taken")
    if not text:
        raise Unusable("binary message", f"{len(payload)} bytes")
    try:
        message = json.loads(payload.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Unusable("not UTF-8", f"at byte {error.start}") from None
    except ValueError as error:  # JSONDecodeError, and integers beyond Python's limit of digits
        raise Unusable("bad JSON", getattr(error, "msg", "number too long")) from None
    except RecursionError:
        raise Unusable("nested too deep", f"{len(payload)} bytes") from None
    if not isinstance(message, dict):
        raise Unusable("not an object", f"a JSON {type(message).__name__}")
    return message


def field(message: dict[str, Any], name: str) -> Any:
    """A field that must be there."""
    if name not in message:
        raise Unusable("missing field", name)
    return message[name]


def text(message: dict[str, Any], name: str) -> str:
    """A field that must be text. Half surrogate pairs, which JSON can spell, no log or file can hold: refused."""
    value = field(message, name)
    if not isinstance(value, str):
        raise Unusable("bad field", f"{name} is not text")
    if not is_unicode(value):
        raise Unusable("bad field", "text that is not Unicode")
    return value


def members(message: dict[str, Any], name: str) -> dict[str, Any]:
    """A field that must be an object."""
    value = field(message, name)
    if not isinstance(value, dict):
        raise Unusable("bad field", f"{name} is not an object")
    return value


def is_unicode(value: str) -> bool:
    """Whether text is without half surrogate pairs."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
