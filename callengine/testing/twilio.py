"""Twilio's side of a media stream, without I/O: what it sends, and how it takes what it is sent.

Source of every field and rule: https://www.twilio.com/docs/voice/media-streams/websocket-messages.
"""

from __future__ import annotations

import binascii
import json
from typing import Any

from callengine.testing.playout import PlayoutQueue

FIRST_TIMESTAMP = 102
"""Milliseconds at which captured streams had their first frame; it is not 0."""


class TwilioSide:
    """One stream, from the carrier's end. Messages are JSON texts as bytes."""

    def __init__(self, call_id: str, stream_id: str, queue: PlayoutQueue, parameters: dict[str, str]) -> None:
        self.call_id = call_id
        self.stream_id = stream_id
        self.queue = queue
        self._parameters = parameters
        self._sequence = 0
        self._chunk = 0
        self._timestamp = FIRST_TIMESTAMP
        self.complaints: list[str] = []
        """What Twilio would have warned about (31950, 31951): an engine must not cause any."""
        self.received: list[tuple[float, str]] = []
        """When each of the engine's messages came, and its event."""

    def opening(self) -> list[bytes]:
        """The first two messages."""
        start = {
            "accountSid": "AC" + "0" * 32,
            "streamSid": self.stream_id,
            "callSid": self.call_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self._parameters,
        }
        connected = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        return [_dump(connected), self._message("start", start=start)]

    def media(self, audio: bytes) -> bytes:
        """One frame of the caller's audio."""
        self._chunk += 1
        self._sequence += 1
        payload = binascii.b2a_base64(audio, newline=False).decode()
        message = (
            f'{{"event":"media","sequenceNumber":"{self._sequence}","media":{{"track":"inbound","chunk":"{self._chunk}",'
            f'"timestamp":"{self._timestamp}","payload":"{payload}"}},"streamSid":"{self.stream_id}"}}'
        )
        self._timestamp += 20
        return message.encode()

    def dtmf(self, digit: str) -> bytes:
        """A key was pressed."""
        return self._message("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> bytes:
        """A mark's echo."""
        return self._message("mark", mark={"name": name})

    def stop(self) -> bytes:
        """The last message."""
        return self._message("stop", stop={"accountSid": "AC" + "0" * 32, "callSid": self.call_id})

    def _message(self, event: str, **data: Any) -> bytes:
        self._sequence += 1
        return _dump({"event": event, "sequenceNumber": str(self._sequence), **data, "streamSid": self.stream_id})

    def take(self, now: float, message: bytes | str) -> list[str]:
        """A message of the engine; returns the names of marks to echo at once."""
        try:
            data = json.loads(message)
            event = data["event"]
            keys = {"media": "media", "mark": "mark", "clear": None}[event]
        except (ValueError, KeyError, TypeError):
            self.complaints.append(f"31951: {message!r:.80}")
            return []
        if data.get("streamSid") != self.stream_id:
            self.complaints.append("31951: wrong streamSid")
            return []
        if set(data) - {"event", "streamSid"} != ({keys} if keys else set()):
            self.complaints.append(f"31951: fields {sorted(data)}")
            return []
        self.received.append((now, event))
        return self._carry_out(now, event, data)

    def _carry_out(self, now: float, event: str, data: dict[str, Any]) -> list[str]:
        if event == "media":
            if set(data["media"]) != {"payload"}:
                self.complaints.append("31951: media with other fields than payload")
                return []
            try:
                self.queue.media(now, binascii.a2b_base64(data["media"]["payload"], strict_mode=True))
            except binascii.Error:
                self.complaints.append("31951: bad base64")
        elif event == "mark":
            self.queue.mark(now, data["mark"]["name"])
        else:
            return self.queue.clear(now)
        return []


def _dump(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
