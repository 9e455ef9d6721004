"""Telnyx's side of a media stream, without I/O: what it sends, and how it takes what it is sent.

Source of every field and rule: https://developers.telnyx.com/docs/voice/programmable-voice/media-streaming and
https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket.
"""

from __future__ import annotations

import binascii
import json
import uuid
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from callengine.audio.g711 import ALAW, MULAW
from callengine.carriers.telnyx.audio import FORMATS, ByteOrder, Codec
from callengine.testing.playout import PlayoutQueue
from callengine.testing.side import Reaction

SHORTEST, LONGEST = 0.02, 30.0
"""Seconds of audio that a message of the application has."""

_NOTHING = Reaction()
_BODIES: Mapping[str, str | None] = {"media": "media", "mark": "mark", "clear": None}
_TITLES = {100003: "malformed_frame", 100004: "invalid_media"}


class TelnyxSide:
    """One stream, from the carrier's end; a `callengine.testing.side.Side`. Messages are JSON texts as bytes.

    ``codec`` is what the application was to send, ``inbound`` what it gets (by default the same); L16 is in this
    ``byte_order``. In ``mode`` ``mp3`` no raw audio is taken. Every ``shuffled``-th message of audio comes after the
    one behind it (0: none). ``sort`` sorts the members of every message by name.
    """

    def __init__(
        self,
        call_id: str,
        stream_id: str,
        queue: PlayoutQueue,
        parameters: Mapping[str, str],
        *,
        codec: Codec = "PCMU",
        inbound: Codec | None = None,
        byte_order: ByteOrder = "big",
        mode: Literal["rtp", "mp3"] = "rtp",
        shuffled: int = 0,
        sort: bool = False,
    ) -> None:
        self.call_id = call_id
        self.stream_id = stream_id
        self.queue = queue
        self.pressed = ""
        self.complaints: list[str] = []
        """What Telnyx would have sent an error for: an engine must not cause any."""
        self.received: list[tuple[float, str]] = []
        self._parameters = dict(parameters)
        self._codec: Codec = codec
        self._inbound: Codec = inbound or codec
        self._dtype = ">i2" if byte_order == "big" else "<i2"
        self._mode = mode
        self._shuffled = shuffled
        self._sort = sort
        self._sequence = 0
        self._chunk = 0
        self._held: bytes | None = None
        self._errors: list[bytes] = []

    @staticmethod
    def ids(number: int) -> tuple[str, str]:
        """A ``call_control_id`` and a UUID."""
        return f"v3:{number:054x}", str(uuid.UUID(int=number))

    # --- what Telnyx sends --------------------------------------------------------------------------------------------

    def opening(self) -> list[bytes]:
        """The first two messages."""
        start: dict[str, Any] = {
            "user_id": str(uuid.UUID(int=0)),
            "call_control_id": self.call_id,
            "call_session_id": str(uuid.UUID(int=1)),
            "from": "+15550100001",
            "to": "+15550100000",
            "tags": [],
            "client_state": None,
            "media_format": {
                "encoding": self._inbound,
                "sample_rate": FORMATS[self._inbound].sample_rate,
                "channels": 1,
            },
        }
        if self._parameters:
            start["custom_parameters"] = self._parameters
        return [self._dump({"event": "connected", "version": "1.0.0"}), self._message("start", start=start)]

    def media(self, audio: bytes) -> list[bytes]:
        """One frame of the caller's audio."""
        self._chunk += 1
        payload = binascii.b2a_base64(self._spoken(audio), newline=False).decode()
        timestamp = str(20 * (self._chunk - 1))
        body = {"track": "inbound", "chunk": str(self._chunk), "timestamp": timestamp, "payload": payload}
        message = self._message("media", media=body)
        if self._shuffled and self._chunk % self._shuffled == 0:
            self._held = message
            return []
        held, self._held = self._held, None
        return [message] if held is None else [message, held]

    def dtmf(self, digit: str) -> bytes:
        """A key was pressed."""
        return self._message("dtmf", occurred_at="2026-01-02T03:04:09.170888Z", dtmf={"digit": digit})

    def mark(self, name: str) -> bytes:
        """A mark's echo."""
        return self._message("mark", mark={"name": name})

    def stop(self) -> bytes:
        """The last message."""
        return self._message("stop", stop={"user_id": str(uuid.UUID(int=0)), "call_control_id": self.call_id})

    def _spoken(self, audio: bytes) -> bytes:
        """The caller's frame as this line has it."""
        if self._inbound == "PCMU":
            return audio
        samples = MULAW.decode(audio)
        if self._inbound == "PCMA":
            return ALAW.encode(samples)
        return np.repeat(samples, 2).astype(self._dtype).tobytes()

    def _message(self, event: str, **data: Any) -> bytes:
        self._sequence += 1
        head = {"event": event, "sequence_number": str(self._sequence)}
        return self._dump({**head, **data, "stream_id": self.stream_id})

    def _dump(self, data: dict[str, Any]) -> bytes:
        return json.dumps(data, separators=(",", ":"), sort_keys=self._sort).encode()

    # --- what Telnyx is sent ------------------------------------------------------------------------------------------

    def take(self, now: float, message: bytes | str) -> Reaction:
        """A message of the engine. What is wrong with it is also answered, with an error message."""
        self._errors = []
        reaction = self._take(now, message)
        return Reaction(reaction.echoes, tuple(self._errors)) if self._errors else reaction

    def _take(self, now: float, message: bytes | str) -> Reaction:
        try:
            data = json.loads(message)
            event = data["event"]
            body = _BODIES[event]
        except (ValueError, KeyError, TypeError, RecursionError):
            return self._complain(100003, f"{message!r:.80}")
        if data.get("stream_id", self.stream_id) != self.stream_id:
            return self._complain(100003, "another stream's stream_id")
        if set(data) - {"event", "stream_id"} != ({body} if body else set()):
            return self._complain(100003, f"fields {sorted(data)}")
        if body and not isinstance(data[body], dict):
            return self._complain(100003, f"{body} is not an object")
        self.received.append((now, event))
        if event == "clear":
            return Reaction(tuple(self.queue.clear(now)))
        return self._play(now, data["media"]) if event == "media" else self._mark(now, data["mark"])

    def _mark(self, now: float, mark: dict[str, Any]) -> Reaction:
        name = mark.get("name")
        if set(mark) != {"name"} or not isinstance(name, str):
            return self._complain(100003, "mark without a name")
        self.queue.mark(now, name)
        return _NOTHING

    def _play(self, now: float, media: dict[str, Any]) -> Reaction:
        if set(media) != {"payload"}:
            return self._complain(100003, "media with other fields than payload")
        try:
            audio = binascii.a2b_base64(media["payload"], strict_mode=True)
        except (binascii.Error, TypeError, ValueError):
            return self._complain(100004, "bad base64")
        if self._mode == "mp3":
            return self._complain(100004, "raw audio, but the stream's mode is mp3")
        if not SHORTEST <= FORMATS[self._codec].seconds(len(audio)) <= LONGEST:
            return self._complain(100004, f"{len(audio)} bytes are not 20 ms to 30 s of {self._codec}")
        if len(audio) % FORMATS[self._codec].sample_width:
            return self._complain(100004, "half a sample")
        self.queue.media(now, self._played(audio))
        return _NOTHING

    def _played(self, audio: bytes) -> bytes:
        """The engine's audio as the caller's telephone has it."""
        if self._codec == "PCMU":
            return audio
        if self._codec == "PCMA":
            return MULAW.encode(ALAW.decode(audio))
        return MULAW.encode(np.frombuffer(audio, self._dtype)[::2].astype(np.int16))

    def _complain(self, code: int, detail: str) -> Reaction:
        self.complaints.append(f"{code}: {detail}")
        payload = {"code": str(code), "title": _TITLES[code], "detail": detail}
        self._errors.append(self._dump({"event": "error", "payload": payload, "stream_id": self.stream_id}))
        return _NOTHING
