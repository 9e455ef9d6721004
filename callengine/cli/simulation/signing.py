"""How a carrier signs what it asks of a server."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import attrs

from callengine.carriers.plivo.signature import sign_v3
from callengine.carriers.twilio.signature import sign


@attrs.frozen
class Signer:
    """Signs for one carrier with ``token``; without one nothing is signed."""

    carrier: str
    token: str | None = attrs.field(default=None, repr=False)

    def webhook(self, url: str, form: Sequence[tuple[str, str]]) -> dict[str, str]:
        """The headers of a form that is posted to this URL (as the carrier knows it)."""
        if self.token is None:
            return {}
        if self.carrier == "plivo":
            nonce = "".join(secrets.choice("0123456789") for _ in range(20))
            signature = sign_v3(self.token, "POST", url, nonce, form)
            return {"x-plivo-signature-v3": signature, "x-plivo-signature-v3-nonce": nonce}
        return {f"x-{self.carrier}-signature": sign(self.token, url, form)}

    def upgrade(self, url: str) -> dict[str, str]:
        """The headers of a media socket's upgrade; Twilio alone signs those."""
        if self.token is None or self.carrier != "twilio":
            return {}
        return {"x-twilio-signature": sign(self.token, url)}
