"""What a media message costs, against the plain way in the same run."""

from __future__ import annotations

import base64
import json

import attrs

from benchmarks.micro.timing import each
from benchmarks.wire.traffic import FRAME, payload_of, traffic
from callengine.audio.convert import from_pcm, to_pcm
from callengine.ports import StreamStarted

SLICE = FRAME * 5
"""100 ms, which is what the engine sends at once."""


@attrs.frozen
class Speed:
    """Microseconds of CPU a message, and those of ``json`` and ``base64`` for the same."""

    carrier: str
    decode: float
    plain_decode: float
    encode: float
    plain_encode: float

    @property
    def decode_ratio(self) -> float:
        return self.decode / self.plain_decode

    @property
    def encode_ratio(self) -> float:
        return self.encode / self.plain_encode


def speed(kind: str) -> Speed:
    """A frame of 20 ms in, a slice of 100 ms out.

    A wire without JSON is compared with the same audio in a small JSON message.
    """
    stream = traffic(kind)
    started = [stream.codec.decode(*message) for message in stream.opening()]
    [audio_format] = [event.audio_format for event in started if isinstance(event, StreamStarted)]
    codec = stream.codec
    for _ in range(3):  # some codecs learn how a stream spells its messages
        [message] = stream.media()
        codec.decode(*message)
    sound = from_pcm(to_pcm(SLICE, "mulaw"), audio_format.encoding)
    frame, out = (message[1], codec.media(sound)) if stream.json else (_json(message[1][1:]), _json(sound))
    shape = json.loads(out)

    def plain_decode() -> bytes:
        return base64.b64decode(payload_of(frame))

    def plain_encode() -> str:
        return json.dumps({**shape, "media": {**shape["media"], "payload": base64.b64encode(sound).decode()}})

    return Speed(
        carrier=kind,
        decode=each(lambda: codec.decode(*message)),
        plain_decode=each(plain_decode),
        encode=each(lambda: codec.media(sound)),
        plain_encode=each(plain_encode),
    )


def _json(audio: bytes) -> bytes:
    return json.dumps({"event": "media", "media": {"payload": base64.b64encode(audio).decode()}}).encode()
