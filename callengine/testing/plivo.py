"""Plivo's side of a media stream, without I/O: what it sends, and how it takes what it is sent.

Source of every field and rule: https://www.plivo.com/docs/voice-agents/audio-streaming/concepts/audio-streaming-reference
(checkpoints that are pending when the audio is cleared are never acknowledged; one ``clearedAudio`` comes instead).
"""

from __future__ import annotations

import binascii
import json
import uuid
from collections.abc import Mapping
from typing import Any

from callengine.audio.convert import ToCarrier
from callengine.audio.format import TELEPHONE
from callengine.carriers.plivo import extra_headers
from callengine.carriers.plivo.wire import CONTENT_TYPES
from callengine.testing.playout import PlayoutQueue
from callengine.testing.side import Reaction

FIRST_TIMESTAMP = 1_767_323_045_123
"""Milliseconds of Unix time at which streams begin here: Plivo's have the time of day."""

_NOTHING = Reaction()
_FIELDS: Mapping[str, frozenset[str]] = {
    "playAudio": frozenset({"event", "media"}),
    "checkpoint": frozenset({"event", "streamId", "name"}),
    "clearAudio": frozenset({"event", "streamId"}),
    "sendDTMF": frozenset({"event", "dtmf"}),
}
"""The messages that an application may send, and what each consists of; a ``streamId`` may stand in all."""
_KINDS = {"playAudio": "media", "checkpoint": "mark", "clearAudio": "clear", "sendDTMF": "dtmf"}


class PlivoSide:
    """One stream, from the carrier's end; a `callengine.testing.side.Side`. Messages are JSON texts as bytes.

    ``content_type`` is the line's audio, ``first_sequence`` the number of the first message (Plivo's pages show 0 and
    1), ``stop_frame`` has it announce its end by a ``stop``, which Plivo does not document.
    """

    def __init__(
        self,
        call_id: str,
        stream_id: str,
        queue: PlayoutQueue,
        parameters: Mapping[str, str],
        *,
        content_type: str = "audio/x-mulaw;rate=8000",
        first_sequence: int = 1,
        stop_frame: bool = False,
    ) -> None:
        self.call_id = call_id
        self.stream_id = stream_id
        self.queue = queue
        self.complaints: list[str] = []
        self.received: list[tuple[float, str]] = []
        self.pressed = ""
        self._encoding = content_type.partition(";")[0]
        self._format = CONTENT_TYPES[content_type]
        self._to_engine = ToCarrier(TELEPHONE, self._format)
        self._to_caller = ToCarrier(self._format, TELEPHONE)
        self._headers = extra_headers.write(parameters)
        self._sequence = first_sequence - 1
        self._chunk = 0
        self._stop_frame = stop_frame

    @staticmethod
    def ids(number: int) -> tuple[str, str]:
        """UUIDs."""
        return str(uuid.UUID(int=number)), str(uuid.UUID(int=number << 64))

    def opening(self) -> list[bytes]:
        """The first message."""
        start = {
            "callId": self.call_id,
            "streamId": self.stream_id,
            "accountId": "MA" + "0" * 18,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": self._encoding, "sampleRate": self._format.sample_rate},
        }
        self._sequence += 1
        message = {"event": "start", "sequenceNumber": self._sequence, "start": start}
        return [_dump(message | {"extra_headers": self._headers})]

    def media(self, audio: bytes) -> list[bytes]:
        """One frame of the caller's audio."""
        if self._format != TELEPHONE:
            audio = self._to_engine.push(audio)
        self._chunk += 1
        body = {
            "track": "inbound",
            "timestamp": str(FIRST_TIMESTAMP + 20 * self._chunk),
            "chunk": self._chunk,
            "payload": binascii.b2a_base64(audio, newline=False).decode(),
        }
        return [self._message("media", media=body, extra_headers=self._headers)]

    def dtmf(self, digit: str) -> bytes:
        """A key was pressed."""
        body = {"track": "inbound", "digit": digit, "timestamp": str(FIRST_TIMESTAMP + 20 * self._chunk)}
        return self._message("dtmf", dtmf=body, extra_headers=self._headers)

    def mark(self, name: str) -> bytes:
        """A checkpoint was played."""
        return self._message("playedStream", name=name)

    def stop(self) -> bytes | None:
        """Nothing, unless it was asked for: Plivo closes the socket."""
        return self._message("stop") if self._stop_frame else None

    def take(self, now: float, message: bytes | str) -> Reaction:
        """A message of the engine."""
        try:
            data = json.loads(message)
            event = data["event"]
            fields = _FIELDS[event]
        except (ValueError, KeyError, TypeError, RecursionError):
            self.complaints.append(f"not a message: {message!r:.80}")
            return _NOTHING
        if set(data) | {"streamId"} != fields | {"streamId"} or not fields <= set(data):
            self.complaints.append(f"{event}: fields {sorted(data)}")
        elif data.get("streamId", self.stream_id) != self.stream_id:
            self.complaints.append(f"{event}: wrong streamId")
        elif (problem := self._carry_out(now, event, data)) is not None:
            self.complaints.append(f"{event}: {problem}")
        else:
            self.received.append((now, _KINDS[event]))
            if event == "clearAudio":
                return Reaction(messages=(self._message("clearedAudio"),))
        return _NOTHING

    def _carry_out(self, now: float, event: str, data: dict[str, Any]) -> str | None:
        """Do it; says what is wrong with it, in which case nothing is done."""
        if event == "playAudio":
            return self._play(now, data["media"])
        if event == "checkpoint":
            if not (isinstance(data["name"], str) and data["name"]):
                return "without a name"
            self.queue.mark(now, data["name"])
        elif event == "sendDTMF":
            digits = data["dtmf"]
            if not (isinstance(digits, str) and digits and set(digits) <= set("0123456789*#ABCD")):
                return "without digits"
            self.pressed += digits
        else:
            self.queue.clear(now)
            self._to_caller = ToCarrier(self._format, TELEPHONE)
        return None

    def _play(self, now: float, media: Any) -> str | None:
        if not isinstance(media, dict) or set(media) != {"contentType", "sampleRate", "payload"}:
            return "media with other fields"
        if (media["contentType"], media["sampleRate"]) != (self._encoding, self._format.sample_rate):
            return "not in the stream's format"
        try:
            audio = binascii.a2b_base64(media["payload"], strict_mode=True)
        except (binascii.Error, TypeError, ValueError):
            return "bad base64"
        if audio.startswith(b"RIFF"):
            return "a WAV header, which is played as noise"
        if len(audio) % self._format.sample_width:
            return "half a sample"
        self.queue.media(now, audio if self._format == TELEPHONE else self._to_caller.push(audio))
        return None

    def _message(self, event: str, **data: Any) -> bytes:
        self._sequence += 1
        return _dump({"event": event, "sequenceNumber": self._sequence, "streamId": self.stream_id, **data})


def _dump(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
