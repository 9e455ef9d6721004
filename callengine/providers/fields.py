"""Fields that the recipes of vendors share: keys from the environment, addresses, numbers that must make sense."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import attrs

from callengine.errors import ConfigurationError

VARIABLE = "variable"
"""In a field's metadata: the environment variable that it is read from."""

OTHERS, OPTIONAL = "others", "optional"
"""In a key's metadata: variables that it may be in instead, and whether it may be missing."""

PATIENCE = 30.0
"""Seconds that an answer, and then more of it, may take where nobody else has a limit. A call has its own, which are
shorter: `CallSettings.reply_budget`, ``text_stall``, ``audio_stall``."""

NOTHING: Mapping[str, Any] = MappingProxyType({})


def key_field(variable: str, *others: str, optional: bool = False) -> Any:
    """A secret: an argument, or else this environment variable, read when the recipe is made. Never shown.

    ``others`` are variables that some have it in instead.

    Without either, making the recipe raises `ConfigurationError`; an ``optional`` one is empty then.
    """

    def check(recipe: object, attribute: attrs.Attribute[str], key: str) -> None:
        if not key and not optional:
            raise ConfigurationError(
                f"{type(recipe).__name__.lower()} needs a key: set {variable}, or pass {attribute.name}="
            )
        if not (key.isascii() and key.isprintable() and " " not in key):  # an HTTP client would quote it in its error
            raise ConfigurationError(
                f"{attribute.name} has characters that no key has (spaces, line breaks, non-ASCII): copy it again"
            )

    return attrs.field(
        factory=lambda: next(filter(None, (os.environ.get(name, "").strip() for name in (variable, *others))), ""),
        converter=lambda key: (key or "").strip(),
        validator=check,
        repr=False,
        metadata={VARIABLE: variable, OTHERS: others, OPTIONAL: optional},
    )


def variable_field(variable: str, default: str = "") -> Any:
    """An ordinary setting that may also come from this environment variable."""
    return attrs.field(
        factory=lambda: os.environ.get(variable, "").strip() or default, metadata={VARIABLE: variable}, kw_only=True
    )


def url_field(default: str) -> Any:
    """The vendor's address, without a path's last slash: for its other regions, a proxy, or a simulated vendor."""

    def check(_: object, attribute: attrs.Attribute[str], url: str) -> None:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https", "ws", "wss") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number
            usable = False
        if not usable or parts.username or parts.query or not url.isprintable():
            raise ConfigurationError(f"{attribute.name} must look like {default} (a scheme, a host, no user, no query)")

    return attrs.field(default=default, converter=lambda url: url.strip().rstrip("/"), validator=check)


def present(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    """A validator: not empty."""
    if not value.strip():
        raise ConfigurationError(f"{attribute.name} is empty")


def positive(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    """A validator: above 0, or not given."""
    if value is not None and not value > 0:
        raise ConfigurationError(f"{attribute.name} must be greater than 0, not {value}")


def extra_field() -> Any:
    """The vendor's own settings, put over everything that the recipe sends: what is new there needs no support here."""
    return attrs.field(default=NOTHING, kw_only=True)
