"""Whether a media socket may come in, and which call it is for."""

from __future__ import annotations

from collections.abc import Mapping

from callengine.server.host import Host, Offer, unavailable
from callengine.server.routes import media_route
from callengine.server.tokens import TokenStore
from callengine.server.trust import missing_configuration, upgrade_is_genuine
from callengine.services.handshake import BadHandshake


def admit(host: Host, tokens: TokenStore, target: str, headers: Mapping[str, str]) -> Offer | None:
    """The offer behind a media upgrade of this target; None where one without a token is let in (`Host.insecure`).

    Raises `BadHandshake`; a token is spent only if all else is right.
    """
    route = media_route(target, host.carriers)
    if route is None:
        raise BadHandshake(404, "this is no media route")
    if (reason := unavailable(host)) is not None:
        raise BadHandshake(503, reason)
    if (missing := missing_configuration(host, route.carrier)) is not None:
        raise BadHandshake(503, missing)
    if not upgrade_is_genuine(host, route.carrier, target, headers):
        raise BadHandshake(403, "the signature is not of the public URL and token")
    if route.token is None:
        if host.insecure:
            return None
        raise BadHandshake(403, "the path has no token")
    offer = tokens.spend(route.token)
    if offer is None or offer.carrier != route.carrier:
        raise BadHandshake(403, "the token is not known: it was used, or is too old")
    return offer
