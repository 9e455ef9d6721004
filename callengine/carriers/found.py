"""Which carriers the environment has keys for."""

from __future__ import annotations

from callengine.carriers.plivo import Plivo
from callengine.carriers.telnyx import Telnyx
from callengine.carriers.twilio import Twilio
from callengine.telephony import Carrier


def find_carriers() -> tuple[Carrier, ...]:
    """Those that can take calls with what is in the environment; Twilio, which then says what is missing, where none
    can."""
    candidates: tuple[Carrier, ...] = (Twilio(), Telnyx(), Plivo())
    return tuple(carrier for carrier in candidates if carrier.missing_configuration() is None) or candidates[:1]
