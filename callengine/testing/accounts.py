"""The accounts that the lab's engines have with the simulated carriers. Their keys open nothing anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from callengine.errors import ConfigurationError
from callengine.telephony import Carrier

SENDER = "+15005550006"
"""The number that every account owns, and shows."""
ACCOUNT_SID = "AC" + "0" * 31 + "1"
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
SIGNALWIRE_SPACE = "example.signalwire.com"
SIGNALWIRE_PROJECT = "00000000-0000-4000-8000-000000000001"
SIGNALWIRE_TOKEN = "PT0123456789abcdef0123456789abcdef"
SIGNALWIRE_SIGNING_KEY = "PSK_0123456789abcdef0123456789abcdef"
TELNYX_KEY = "KEY0123456789ABCDEF0123456789ABCDEF"
TELNYX_SEED = bytes(range(32))
"""The Ed25519 private key with which the simulated Telnyx signs."""
TELNYX_PUBLIC_KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
TELNYX_CONNECTION = "1700000000000000001"
PLIVO_ID = "MA0123456789ABCDEF01"
PLIVO_TOKEN = "0123456789abcdefghijklmnopqrstuvwxyzABCD"

_RECIPES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "twilio": (
        "callengine.carriers.twilio:Twilio",
        {"auth_token": AUTH_TOKEN, "account_sid": ACCOUNT_SID, "sender": SENDER},
    ),
    "signalwire": (
        "callengine.carriers.signalwire:SignalWire",
        {
            "space": SIGNALWIRE_SPACE,
            "project": SIGNALWIRE_PROJECT,
            "token": SIGNALWIRE_TOKEN,
            "signing_key": SIGNALWIRE_SIGNING_KEY,
            "sender": SENDER,
        },
    ),
    "telnyx": (
        "callengine.carriers.telnyx:Telnyx",
        {
            "api_key": TELNYX_KEY,
            "public_key": TELNYX_PUBLIC_KEY,
            "connection_id": TELNYX_CONNECTION,
            "sender": SENDER,
        },
    ),
    "plivo": (
        "callengine.carriers.plivo:Plivo",
        {"auth_id": PLIVO_ID, "auth_token": PLIVO_TOKEN, "sender": SENDER},
    ),
    "audiosocket": ("callengine.carriers.audiosocket:AudioSocket", {"port": 0}),
}


_NAMES: Mapping[str, str] = {
    "twilio": "account_sid",
    "signalwire": "project",
    "telnyx": "api_key",
    "plivo": "auth_id",
}
"""The setting without which a carrier cannot be given commands."""


def recipe(kind: str, **changes: Any) -> Carrier:
    """A carrier's recipe with the lab's account; ``changes`` are its other settings. Raises `ConfigurationError`."""
    if kind not in _RECIPES:
        raise ConfigurationError(f"there is no simulated carrier {kind!r}: choose one of {', '.join(_RECIPES)}")
    where, settings = _RECIPES[kind]
    module, _, name = where.partition(":")
    return cast(Carrier, getattr(import_module(module), name)(**{**settings, **changes}))


def recipes(*, commands: bool) -> tuple[Carrier, ...]:
    """All carriers. Without ``commands`` an engine has none that it could give: it ends calls by closing their
    sockets, and asks nobody anything."""
    return tuple(recipe(kind, **({} if commands or kind not in _NAMES else {_NAMES[kind]: ""})) for kind in _RECIPES)
