"""Twilio's side of a media stream, without I/O: what it sends, and how it takes what it is sent.

Source of every field and rule: https://www.twilio.com/docs/voice/media-streams/websocket-messages.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from typing import Any

from callengine.testing.playout import PlayoutQueue
from callengine.testing.side import Reaction

FIRST_TIMESTAMP = 102
"""Milliseconds at which captured streams had their first frame; it is not 0."""


_NOTHING = Reaction()


class TwilioSide:
    """One stream, from the carrier's end; a `callengine.testing.side.Side`. Messages are JSON texts as bytes."""

    _bodies: Mapping[str, str | None] = {"media": "media", "mark": "mark", "clear": None}
    """The messages that an application may send, and where each has its content."""

    def __init__(self, call_id: str, stream_id: str, queue: PlayoutQueue, parameters: Mapping[str, str]) -> None:
        self.call_id = call_id
        self.stream_id = stream_id
        self.queue = queue
        self.pressed = ""
        self._parameters = dict(parameters)
        self._sequence = 0
        self._chunk = 0
        self._timestamp = FIRST_TIMESTAMP
        self.complaints: list[str] = []
        """What Twilio would have warned about (31950, 31951): an engine must not cause any."""
        self.received: list[tuple[float, str]] = []
        """When each of the engine's messages came, and its event."""

    @staticmethod
    def ids(number: int) -> tuple[str, str]:
        """SIDs: two capitals, 32 hexadecimal digits."""
        return f"CA{number:032x}", f"MZ{number:032x}"

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

    def media(self, audio: bytes) -> list[bytes]:
        """One frame of the caller's audio."""
        self._chunk += 1
        self._sequence += 1
        payload = binascii.b2a_base64(audio, newline=False).decode()
        message = (
            f'{{"event":"media","sequenceNumber":"{self._sequence}","media":{{"track":"inbound","chunk":"{self._chunk}",'
            f'"timestamp":"{self._timestamp}","payload":"{payload}"}},"streamSid":"{self.stream_id}"}}'
        )
        self._timestamp += 20
        return [message.encode()]

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

    def take(self, now: float, message: bytes | str) -> Reaction:
        """A message of the engine."""
        try:
            data = json.loads(message)
            event = data["event"]
            body = self._bodies[event]
        except (ValueError, KeyError, TypeError, RecursionError):
            self.complaints.append(f"31951: {message!r:.80}")
            return _NOTHING
        if data.get("streamSid") != self.stream_id:
            self.complaints.append("31951: wrong streamSid")
        elif set(data) - {"event", "streamSid"} != ({body} if body else set()):
            self.complaints.append(f"31951: fields {sorted(data)}")
        elif body and not isinstance(data[body], dict):
            self.complaints.append(f"31951: {body} is not an object")
        else:
            self.received.append((now, event))
            return self._carry_out(now, event, data)
        return _NOTHING

    def _carry_out(self, now: float, event: str, data: dict[str, Any]) -> Reaction:
        if event == "media":
            self._play(now, data["media"])
        elif event == "mark":
            name = data["mark"].get("name")
            if set(data["mark"]) == {"name"} and isinstance(name, str):
                self.queue.mark(now, name)
            else:
                self.complaints.append("31951: mark without a name")
        else:
            return Reaction(tuple(self.queue.clear(now)))
        return _NOTHING

    def _play(self, now: float, media: dict[str, Any]) -> None:
        if set(media) != {"payload"}:
            self.complaints.append("31951: media with other fields than payload")
            return
        try:
            self.queue.media(now, binascii.a2b_base64(media["payload"], strict_mode=True))
        except (binascii.Error, TypeError, ValueError):
            self.complaints.append("31951: bad base64")


def _dump(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
