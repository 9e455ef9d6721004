"""SignalWire in front of the simulated network: Twilio's API under another root, with its own names and signature.

Source: https://developer.signalwire.com/compatibility-api/. Media upgrades are not signed, and a call is made and
changed with the URL of a document alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from callengine.telephony import Carrier
from callengine.testing.accounts import (
    SIGNALWIRE_PROJECT,
    SIGNALWIRE_SIGNING_KEY,
    SIGNALWIRE_SPACE,
    SIGNALWIRE_TOKEN,
    recipe,
)
from callengine.testing.clouds.twilio import TwilioCloud


class SignalWireCloud(TwilioCloud):
    """See `TwilioCloud`."""

    name = "signalwire"
    account = SIGNALWIRE_PROJECT
    auth = (SIGNALWIRE_PROJECT, SIGNALWIRE_TOKEN)
    signing_key = SIGNALWIRE_SIGNING_KEY
    signature_header = "x-signalwire-signature"
    root = "/api/laml/2010-04-01"
    api_url = f"https://{SIGNALWIRE_SPACE}"
    inline = False

    def recipe(self, api_url: str | None = None) -> Carrier:
        self.api_url = api_url or self.api_url
        return recipe(self.name, space=self.api_url)

    def sid(self, kind: str) -> str:
        """A new name: a UUID, whatever it is of."""
        return str(uuid.uuid5(uuid.UUID(SIGNALWIRE_PROJECT), super().sid(kind)))

    def upgrade_headers(self, url: str) -> Mapping[str, str]:
        del url
        return {}
