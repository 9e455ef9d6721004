"""Reading fields of JSON that somebody else wrote: what is not as expected is a `Malformed`, which quotes nothing."""

from __future__ import annotations

import json
from typing import Any


class Malformed(Exception):
    """Why a message cannot be used. ``kind`` is short and constant; neither quotes the message (digits, tokens)."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail = kind, detail


def parse(payload: bytes) -> dict[str, Any]:
    """The JSON object in these bytes. Kinds of `Malformed`: ``not UTF-8``, ``bad JSON``, ``nested too deep``,
    ``not an object``."""
    try:
        message = json.loads(payload.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Malformed("not UTF-8", f"at byte {error.start}") from None
    except ValueError as error:  # JSONDecodeError, and integers beyond Python's limit of digits
        raise Malformed("bad JSON", getattr(error, "msg", "number too long")) from None
    except RecursionError:
        raise Malformed("nested too deep", f"{len(payload)} bytes") from None
    if not isinstance(message, dict):
        raise Malformed("not an object", f"a JSON {type(message).__name__}")
    return message


def parse_frame(text: bool, payload: bytes, limit: int) -> dict[str, Any]:
    """The JSON object in a text message of at most ``limit`` bytes. More kinds: ``message too long``,
    ``binary message``."""
    if len(payload) > limit:
        raise Malformed("message too long", f"{len(payload)} bytes, at most {limit} are taken")
    if not text:
        raise Malformed("binary message", f"{len(payload)} bytes")
    return parse(payload)


def field(message: dict[str, Any], name: str) -> Any:
    """A field that must be there."""
    if name not in message:
        raise Malformed("missing field", name)
    return message[name]


def object_field(message: dict[str, Any], name: str) -> dict[str, Any]:
    """A field that must be an object."""
    value = field(message, name)
    if not isinstance(value, dict):
        raise Malformed("bad field", f"{name} is not an object")
    return value


def text_field(message: dict[str, Any], name: str) -> str:
    """A field that must be text."""
    value = field(message, name)
    if not isinstance(value, str):
        raise Malformed("bad field", f"{name} is not text")
    return clean(value)


def optional_text(message: dict[str, Any], name: str) -> str:
    """A field that is text, or missing or null: then it is empty."""
    return "" if message.get(name) is None else text_field(message, name)


def clean(value: str) -> str:
    """Refuse half surrogate pairs, which JSON can spell and no log or file can hold."""
    if not is_unicode(value):
        raise Malformed("bad field", "text that is not Unicode")
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
