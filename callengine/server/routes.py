"""Which paths are ours."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

import attrs

from callengine.telephony import Carrier

MEDIA = "media"

_CARRIER = re.compile(r"/([^/?]+)/([^/?]+)(?:/([^/?]+))?")
_MEDIA = re.compile(rf"/([^/?]+)/{MEDIA}(?:/([^/?]+))?(?:\?.*)?")
_HEALTH = frozenset({"/healthz", "/readyz"})


@attrs.frozen
class MediaRoute:
    """Where a media socket was asked for."""

    carrier: str
    token: str | None = attrs.field(repr=False)


def is_ours(path: str, carriers: Mapping[str, Carrier]) -> bool:
    """Whether a path (without its query) is a route of the engine. What is not may be the user's."""
    if path in _HEALTH:
        return True
    match = _CARRIER.fullmatch(path)
    if match is None or match[1] not in carriers:
        return False
    return match[2] == MEDIA or match[2] in carriers[match[1]].webhooks


def media_route(target: str, carriers: Container[str]) -> MediaRoute | None:
    """What a request's target (its query is allowed) says about media; None where it is another route."""
    match = _MEDIA.fullmatch(target)
    return MediaRoute(match[1], match[2]) if match is not None and match[1] in carriers else None
