"""Plivo Voice with bidirectional audio streams."""

from callengine.carriers.plivo.carrier import Plivo
from callengine.carriers.plivo.rest import PlivoControl
from callengine.carriers.plivo.wire import PlivoCodec

__all__ = ["Plivo", "PlivoCodec", "PlivoControl"]
