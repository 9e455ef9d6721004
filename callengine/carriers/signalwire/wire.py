"""SignalWire's media streams: Twilio's messages, with keys in both directions. No I/O.

Source: https://developer.signalwire.com/compatibility-api/cxml/voice/stream/. Its messages, but the start, need not
name their stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from callengine.carriers.twilio.wire import MAX_MESSAGE, TwilioCodec
from callengine.errors import CallEngineError

_KEYS = frozenset("0123456789*#ABCD")


class SignalWireCodec(TwilioCodec):
    """The wire protocol of one media stream; see `TwilioCodec` for what it makes of messages."""

    def __init__(self, *, tracks: Iterable[str] = ("inbound",), max_message: int = MAX_MESSAGE) -> None:
        super().__init__(tracks=tracks, max_message=max_message, streams_named=False)

    def dtmf(self, digits: str) -> bytes:
        """The message that presses one key (0-9, *, #, A-D) at the other end: SignalWire has one message a key."""
        if len(digits) != 1 or digits not in _KEYS:
            raise CallEngineError("a message presses one key of 0-9 * # A-D: send one for each key")
        return json.dumps({"event": "dtmf", "streamSid": self.stream_id("dtmf"), "dtmf": {"digit": digits}}).encode()
