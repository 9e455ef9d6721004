"""Simulated carriers, with everybody's telephones behind them; `callengine.testing.clouds.base` explains them."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from callengine.errors import ConfigurationError
from callengine.testing.clouds.base import Cloud
from callengine.testing.clouds.deliveries import Manners
from callengine.testing.clouds.phones import Answers, Busy, Declines, Machine, RingsOut, Unreachable
from callengine.testing.clouds.values import NetworkSettings

__all__ = [
    "Answers",
    "Busy",
    "Cloud",
    "Declines",
    "Machine",
    "Manners",
    "NetworkSettings",
    "RingsOut",
    "Unreachable",
    "cloud_of",
]

_CLOUDS = {
    "twilio": "callengine.testing.clouds.twilio:TwilioCloud",
    "signalwire": "callengine.testing.clouds.signalwire:SignalWireCloud",
    "telnyx": "callengine.testing.clouds.telnyx:TelnyxCloud",
    "plivo": "callengine.testing.clouds.plivo:PlivoCloud",
}


def cloud_of(kind: str) -> type[Cloud]:
    """The class of a carrier's simulated network. Raises `ConfigurationError` for a carrier that has none."""
    if kind not in _CLOUDS:
        raise ConfigurationError(f"there is no simulated network of {kind!r}: choose one of {', '.join(_CLOUDS)}")
    module, _, name = _CLOUDS[kind].partition(":")
    return cast(type[Cloud], getattr(import_module(module), name))
