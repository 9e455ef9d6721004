"""One-time tokens that tie a media socket to the call for which it was asked."""

from __future__ import annotations

import hashlib
import hmac
import secrets

import attrs
import trio

from callengine.server.host import Offer


@attrs.frozen
class _Issued:
    digest: bytes = attrs.field(repr=False)
    expires: float
    offer: Offer


class TokenStore:
    """Tokens that were given out and not used yet.

    ``lifetime`` is in seconds, from `issue`: a carrier opens its media socket as soon as it has read the answer to its
    webhook, and then needs no more than the network's time. Of more than ``limit`` tokens the oldest is forgotten.

    Only digests are kept, so that nothing which is compared or looked up depends on the secret in a way that its time
    would tell, and no copy of a token stays here.
    """

    def __init__(self, lifetime: float = 60.0, limit: int = 10_000) -> None:
        if lifetime <= 0 or limit < 1:
            raise ValueError("lifetime must be positive and limit at least 1")
        self._lifetime = lifetime
        self._limit = limit
        self._issued: dict[bytes, _Issued] = {}  # oldest first

    def unspent(self) -> int:
        """How many tokens could be spent now."""
        self._forget_expired()
        return len(self._issued)

    def issue(self, offer: Offer, lifetime: float | None = None) -> str:
        """A new token for this offer: 43 characters that may stand in a URL's path.

        ``lifetime`` is in seconds, for a telephone that has to be answered first; None: the usual one.
        """
        self._forget_expired()
        while len(self._issued) >= self._limit:
            del self._issued[next(iter(self._issued))]
        token = secrets.token_urlsafe(32)
        digest = _digest(token)
        self._issued[digest] = _Issued(digest, trio.current_time() + (lifetime or self._lifetime), offer)
        return token

    def spend(self, token: str) -> Offer | None:
        """The token's offer, once; None if it was never issued, is spent, or has expired."""
        self._forget_expired()
        digest = _digest(token)
        issued = self._issued.get(digest)
        if issued is None or issued.expires <= trio.current_time() or not hmac.compare_digest(issued.digest, digest):
            return None
        del self._issued[digest]
        return issued.offer

    def _forget_expired(self) -> None:
        now = trio.current_time()
        for issued in [issued for issued in self._issued.values() if issued.expires <= now]:
            del self._issued[issued.digest]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
