"""Telnyx: Call Control v2 with bidirectional media streaming."""

from callengine.carriers.telnyx.carrier import Telnyx
from callengine.carriers.telnyx.rest import TelnyxControl
from callengine.carriers.telnyx.wire import TelnyxCodec

__all__ = ["Telnyx", "TelnyxCodec", "TelnyxControl"]
