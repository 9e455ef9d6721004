"""SignalWire's cXML, which is made like Twilio's TwiML, with bidirectional media streams."""

from callengine.carriers.signalwire.carrier import SignalWire
from callengine.carriers.signalwire.wire import SignalWireCodec

__all__ = ["SignalWire", "SignalWireCodec"]
