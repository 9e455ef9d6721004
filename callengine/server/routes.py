"""Which paths are ours."""

from __future__ import annotations

import re
from collections.abc import Container

import attrs

_CARRIER = re.compile(r"/([^/?]+)/(?:voice|status|media(?:/[^/?]+)?)")
_MEDIA = re.compile(r"/([^/?]+)/media(?:/([^/?]+))?(?:\?.*)?")
_HEALTH = frozenset({"/healthz", "/readyz"})


@attrs.frozen
class MediaRoute:
    """Where a media socket was asked for."""

    carrier: str
    token: str | None = attrs.field(repr=False)


def is_ours(path: str, carriers: Container[str]) -> bool:
    """Whether a path (without its query) is a route of the engine. What is not may be the user's."""
    match = _CARRIER.fullmatch(path)
    return path in _HEALTH or (match is not None and match[1] in carriers)


def media_route(target: str, carriers: Container[str]) -> MediaRoute | None:
    """What a request's target (its query is allowed) says about media; None where it is another route."""
    match = _MEDIA.fullmatch(target)
    return MediaRoute(match[1], match[2]) if match is not None and match[1] in carriers else None
