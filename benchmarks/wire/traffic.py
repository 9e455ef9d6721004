"""One media stream of a simulated carrier, as the engine's codec of that carrier gets its messages."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import TypeAlias

from callengine.carriers.audiosocket.codec import ECHO, start_message
from callengine.ports import CarrierCodec
from callengine.testing.accounts import recipe
from callengine.testing.playout import PlayoutQueue
from callengine.testing.side import Side, side_of

Message: TypeAlias = tuple[bool, bytes]
"""Whether it is text, and its payload: what `callengine.ports.CarrierCodec.decode` takes."""

FRAME = bytes(range(0x80, 0x80 + 16)) * 10
"""20 ms of the caller in mu-law at 8 kHz, that survive every encoding."""


class Traffic:
    """What the carrier sends on one stream, in order, and the codec that it is for."""

    def __init__(self, kind: str, parameters: Mapping[str, str] | None = None) -> None:
        cls = side_of(kind)
        self.kind = kind
        self.side: Side = cls(*cls.ids(7), PlayoutQueue(), parameters or {})
        self.codec: CarrierCodec = recipe(kind).codec()

    @property
    def json(self) -> bool:
        """Whether the messages are JSON texts."""
        return self.opening()[0][1].startswith(b"{")

    def opening(self) -> list[Message]:
        """Up to the start of the stream."""
        return [(True, message) for message in self.side.opening()]

    def media(self, audio: bytes = FRAME) -> list[Message]:
        """A frame of the caller's audio (mu-law at 8 kHz)."""
        return [(True, message) for message in self.side.media(audio)]

    def dtmf(self, digit: str) -> Message:
        """A key was pressed."""
        return True, self.side.dtmf(digit)

    def mark(self, name: str) -> Message:
        """A mark was reached."""
        return True, self.side.mark(name)

    def stop(self) -> Message | None:
        """The last message, where the carrier has one."""
        last = self.side.stop()
        return None if last is None else (True, last)

    def started(self) -> CarrierCodec:
        """The codec, with the opening behind it."""
        for message in self.opening():
            self.codec.decode(*message)
        return self.codec

    def samples(self) -> list[Message]:
        """One of each of the carrier's messages, for a stream that has started; media outnumber the rest."""
        last = self.stop()
        media = [message for _ in range(6) for message in self.media()]
        return [*self.opening(), *media, self.dtmf("5"), self.mark("u1:1"), *([] if last is None else [last])]


class AudioSocketTraffic(Traffic):
    """AudioSocket's: what its media socket passes on, which cuts the bytes into messages and keeps the marks."""

    def opening(self) -> list[Message]:
        kind = self.side.media(FRAME)[0][0]
        return [(True, start_message(kind, uuid.UUID(self.side.call_id).bytes))]

    def media(self, audio: bytes = FRAME) -> list[Message]:
        return [_cut(message) for message in self.side.media(audio)]

    def dtmf(self, digit: str) -> Message:
        return _cut(self.side.dtmf(digit))

    def mark(self, name: str) -> Message:
        return True, ECHO + name.encode()

    def stop(self) -> Message:
        return False, b"\0"


def traffic(kind: str, parameters: Mapping[str, str] | None = None) -> Traffic:
    """A stream of this carrier."""
    return (AudioSocketTraffic if kind == "audiosocket" else Traffic)(kind, parameters)


def payload_of(message: bytes) -> str:
    """The audio in a carrier's JSON message, still in base64."""
    payload: str = json.loads(message)["media"]["payload"]
    return payload


def _cut(message: bytes) -> Message:
    """A message of the wire without its length."""
    return False, message[:1] + message[3:]
