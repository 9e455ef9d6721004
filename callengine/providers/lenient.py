"""Reading what vendors send without ever stumbling: a wrong type is as good as nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard


def compact(message: Mapping[str, Any]) -> str:
    """A JSON object, without spaces."""
    return json.dumps(message, separators=(",", ":"))


def json_object(message: str | bytes) -> Mapping[str, Any]:
    """A text message's JSON object; empty for anything else."""
    if isinstance(message, bytes):
        return {}
    try:
        return as_object(json.loads(message))
    except ValueError:
        return {}


def as_object(value: object) -> Mapping[str, Any]:
    """This, or nothing."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> Sequence[Any]:
    """This, or nothing."""
    return value if isinstance(value, list) else ()


def as_text(value: object) -> str:
    """This, or nothing."""
    return value if isinstance(value, str) else ""


def is_amount(value: object) -> TypeGuard[int | float]:
    """Whether it is a number from 0 up, and one of this world."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12


def as_base64(value: object) -> bytes:
    """The bytes that this text stands for, or nothing."""
    try:
        return base64.b64decode(as_text(value))
    except ValueError:  # `binascii.Error`, or characters beyond ASCII
        return b""
