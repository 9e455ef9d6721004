"""Twilio as a carrier: what an engine needs to know to take its calls."""

from __future__ import annotations

import os
from collections.abc import Mapping

import attrs

from callengine.carriers.twilio import signature
from callengine.carriers.twilio.wire import TwilioCodec

AUTH_TOKEN_VARIABLE = "TWILIO_AUTH_TOKEN"


def _from_environment() -> str | None:
    return os.environ.get(AUTH_TOKEN_VARIABLE)


def _empty_is_none(token: str | None) -> str | None:
    return token or None


@attrs.frozen
class Twilio:
    """The recipe: frozen configuration that every call shares.

    ``auth_token`` is the account's primary auth token (Twilio console, "Account info"), by default that of the
    environment when the recipe is made; without one nothing verifies. ``tracks`` are the audio tracks that calls get
    (see `TwilioCodec`).
    """

    auth_token: str | None = attrs.field(factory=_from_environment, converter=_empty_is_none, repr=False)
    name: str = "twilio"
    tracks: tuple[str, ...] = ("inbound",)

    def codec(self) -> TwilioCodec:
        """The wire protocol for one more media stream."""
        return TwilioCodec(tracks=self.tracks)

    def missing_configuration(self) -> str | None:
        """What has to be set before calls can be taken, and how; None where nothing is missing."""
        if self.auth_token is None:
            return f"set {AUTH_TOKEN_VARIABLE} to the account's auth token, or pass Twilio(auth_token=...)"
        return None

    def verify_webhook(self, method: str, public_url: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether Twilio signed this request to the public URL (scheme, host, path and query as Twilio knows them)."""
        return signature.verify_webhook(self.auth_token or "", method, public_url, headers, body)

    def verify_upgrade(self, public_url: str, headers: Mapping[str, str]) -> bool:
        """Whether Twilio signed this WebSocket upgrade of the public ``wss://`` URL."""
        return signature.verify_upgrade(self.auth_token or "", public_url, headers)
