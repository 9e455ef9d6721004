"""Twilio Programmable Voice with bidirectional Media Streams."""

from callengine.carriers.twilio.carrier import Twilio
from callengine.carriers.twilio.webhooks import CallStatus, CallStatusUpdate, InboundCall, WebhookError
from callengine.carriers.twilio.wire import TwilioCodec

__all__ = ["CallStatus", "CallStatusUpdate", "InboundCall", "Twilio", "TwilioCodec", "WebhookError"]
