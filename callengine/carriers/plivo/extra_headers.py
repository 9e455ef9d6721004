"""The custom data of a media stream: Plivo's ``extraHeaders``, which come back as ``extra_headers``.

Source: https://www.plivo.com/docs/voice/xml/the-stream-element: pairs ``name=value`` with commas between them, 512
bytes in all, letters and digits only. What has other characters is spelled ``0x`` and the hexadecimal digits of its
UTF-8 here, so that a telephone number or a name with an accent arrives as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from callengine.carriers.fields import is_unicode
from callengine.errors import ConfigurationError

MAX_LENGTH = 512
"""Bytes of all pairs together (Plivo's limit)."""
MAX_READ = 8192
"""Characters that are read of an ``extra_headers``; far beyond what Plivo lets through."""

_PLAIN = re.compile(r"(?!0x)[A-Za-z0-9]+")
_SPELLED = re.compile(r"0x((?:[0-9a-f]{2})*)")


def write(parameters: Mapping[str, str]) -> str:
    """These parameters as ``extraHeaders``. Raises `ConfigurationError` where they are too long, or have no name."""
    pairs = []
    for name, value in parameters.items():
        if not name:
            raise ConfigurationError("a stream parameter needs a name: give it letters and digits")
        pairs.append(f"{_spell(name)}={_spell(value)}")
    text = ",".join(pairs)
    if len(text) > MAX_LENGTH:
        raise ConfigurationError(
            f"the stream's parameters take {len(text)} bytes and Plivo carries {MAX_LENGTH}: keep the values in your "
            "application and send a short key for them (letters and digits take the least room)"
        )
    return text


def read(headers: object) -> dict[str, str]:
    """The parameters that ``extra_headers`` holds: pairs, a JSON object, or ``{name: value}`` text; else none.

    Pairs may be separated by commas or semicolons: Plivo's pages show both.
    """
    if isinstance(headers, str):
        pairs = _pairs(headers[:MAX_READ].strip())
    elif isinstance(headers, dict):
        pairs = _members(headers)
    else:
        return {}
    return {_unspell(name): _unspell(value) for name, value in pairs if is_unicode(name + value)}


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    equals = "="
    if text.startswith("{") and text.endswith("}"):
        try:
            yield from _members(json.loads(text))
            return
        except (ValueError, RecursionError):  # not JSON, then it has no quotes
            text, equals = text[1:-1], ":"
    for pair in re.split("[,;]", text):
        name, found, value = pair.partition(equals)
        if found and name.strip():
            yield name.strip(), value.strip()


def _members(members: dict[object, object]) -> Iterator[tuple[str, str]]:
    for name, value in members.items():
        if isinstance(name, str) and isinstance(value, str | int | float):
            yield name, value if isinstance(value, str) else json.dumps(value)


def _spell(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else "0x" + text.encode("utf-8", "replace").hex()


def _unspell(text: str) -> str:
    match = _SPELLED.fullmatch(text)
    if match is None:
        return text
    try:
        return bytes.fromhex(match[1]).decode("utf-8")
    except UnicodeDecodeError:
        return text
