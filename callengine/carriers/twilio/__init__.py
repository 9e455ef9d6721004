"""Twilio Programmable Voice with bidirectional Media Streams."""

from callengine.carriers.twilio.carrier import Twilio
from callengine.carriers.twilio.wire import TwilioCodec

__all__ = ["Twilio", "TwilioCodec"]
