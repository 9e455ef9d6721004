"""Which carriers the environment has keys for."""

from __future__ import annotations

from callengine.carriers.plivo import Plivo
from callengine.carriers.signalwire import SignalWire
from callengine.carriers.telnyx import Telnyx
from callengine.carriers.twilio import Twilio
from callengine.telephony import Carrier


def candidates() -> tuple[Carrier, ...]:
    """The carriers that are configured by keys, with those of the environment."""
    return (Twilio(), SignalWire(), Telnyx(), Plivo())


def find_carriers() -> tuple[Carrier, ...]:
    """Those that can take calls with what is in the environment; Twilio, which then says what is missing, where none
    can."""
    known = candidates()
    return tuple(carrier for carrier in known if carrier.missing_configuration() is None) or known[:1]
