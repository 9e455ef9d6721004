"""SignalWire's side of a media stream: Twilio's messages, with the differences of SignalWire's own documentation.

Source: https://developer.signalwire.com/compatibility-api/cxml/voice/stream/ (the ``<Stream>`` page and its message
samples). Nothing that the carrier sends has a ``streamSid`` of its own but the start, ids are UUIDs, and the
application may press keys.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from callengine.testing.side import Reaction
from callengine.testing.twilio import TwilioSide

DTMF_DURATION = 100
"""Milliseconds that a key is said to have been held."""


class SignalWireSide(TwilioSide):
    """One stream, from the carrier's end; a `callengine.testing.side.Side`."""

    _bodies: Mapping[str, str | None] = {"media": "media", "mark": "mark", "clear": None, "dtmf": "dtmf"}

    @staticmethod
    def ids(number: int) -> tuple[str, str]:
        """UUIDs."""
        return str(uuid.UUID(int=number)), str(uuid.UUID(int=number << 64))

    def opening(self) -> list[bytes]:
        """The first two messages."""
        start: dict[str, Any] = {
            "accountSid": str(uuid.UUID(int=0)),
            "streamSid": self.stream_id,
            "callSid": self.call_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        if self._parameters:
            start["customParameters"] = self._parameters
        connected = {"event": "connected", "protocol": "Call", "version": "0.2.0"}
        return [_dump(connected), self._message("start", start=start)]

    def media(self, audio: bytes) -> list[bytes]:
        """One frame of the caller's audio."""
        [message] = super().media(audio)
        return [message.removesuffix(f',"streamSid":"{self.stream_id}"}}'.encode()) + b"}"]

    def dtmf(self, digit: str) -> bytes:
        """A key was pressed."""
        key = {"track": "inbound_track", "digit": digit, "duration": DTMF_DURATION}
        return self._message("dtmf", streamSid=self.stream_id, dtmf=key)

    def mark(self, name: str) -> bytes:
        """A mark's echo, which has no number."""
        return _dump({"event": "mark", "mark": {"name": name}, "streamSid": self.stream_id})

    def stop(self) -> bytes:
        """The last message."""
        return self._message("stop")

    def _message(self, event: str, **data: Any) -> bytes:
        self._sequence += 1
        return _dump({"event": event, "sequenceNumber": str(self._sequence), **data})

    def _carry_out(self, now: float, event: str, data: dict[str, Any]) -> Reaction:
        if event != "dtmf":
            return super()._carry_out(now, event, data)
        digit = data["dtmf"].get("digit")
        if isinstance(digit, str) and len(digit) == 1 and digit in "0123456789*#ABCD":
            self.pressed += digit
        else:
            self.complaints.append("31951: dtmf without a digit")
        return Reaction()


def _dump(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
