"""What passes between a call and its `AudioSocketMediaSocket`, and what it means. No I/O.

On this wire there are no marks and no clear: Asterisk plays a frame as it comes. The socket does what other carriers do
themselves, so it and the codec have messages of their own for that. Incoming ones are texts; those of the wire are
binary. Outgoing ones are told apart by their first byte.
"""

from __future__ import annotations

import uuid

from callengine.audio.convert import from_pcm, to_pcm
from callengine.audio.format import AudioFormat
from callengine.audio.resample import RATES as USABLE_RATES
from callengine.audio.resample import Resampler
from callengine.carriers.audiosocket import wire
from callengine.ports import (
    BadMessage,
    CarrierEvent,
    DtmfPressed,
    Ignored,
    MarkEchoed,
    StreamStarted,
    StreamStopped,
)

MEDIA, MARK, CLEAR = b"a", b"m", b"c"
"""First bytes of what a call hands to its socket: audio, a mark's name, nothing."""
START, ECHO = b"s", b"e"
"""First bytes of what the socket itself tells a call: the kind of its audio and its UUID, a mark's name."""

_DIGITS = frozenset(b"0123456789*#ABCD")
_HUNG_UP = 0x01
_ERRORS = {0x02: "a frame could not be passed on", 0x04: "out of memory"}


def start_message(kind: int, identifier: bytes) -> bytes:
    """What the socket tells first: the kind of the stream's audio, and whose it is (16 bytes)."""
    return START + bytes((kind,)) + identifier


class AudioSocketCodec:
    """One stream's messages; a `callengine.ports.CarrierCodec`.

    The stream's audio is ``l16`` at the rate of the caller's first audio. Should another come later, it is resampled.

    Kinds of `BadMessage`: ``bad key``, ``half a sample``, ``unusable rate``, ``error`` (of Asterisk's). Kinds of
    `Ignored`: ``another UUID``, ``unknown message``, ``unknown text``, and ``audio before start``.
    """

    def __init__(self) -> None:
        self._audio: int | None = None
        """The kind's byte of the stream's audio, once it has started."""
        self._resamplers: dict[int, Resampler] = {}

    def decode(self, text: bool, payload: bytes) -> CarrierEvent:
        """Understand one message; see `callengine.ports.CarrierCodec`."""
        if text:
            return self._of_the_socket(payload)
        kind, body = payload[0] if payload else -1, payload[1:]
        if kind in wire.RATES:
            return self._heard(kind, body)
        if kind == wire.HANG_UP:
            return StreamStopped()
        if kind == wire.DTMF:
            if len(body) != 1 or body[0] not in _DIGITS:
                return BadMessage("bad key", f"{len(body)} bytes that are none of 0-9 * # A-D")
            return DtmfPressed(body.decode("ascii"))
        if kind == wire.ERROR:
            return _error(body)
        return Ignored("another UUID" if kind == wire.UUID else "unknown message")

    def media(self, audio: bytes) -> bytes:
        """What makes the socket play ``audio``, in the stream's format."""
        return MEDIA + audio

    def mark(self, name: str) -> bytes:
        """What makes the socket give an echo when everything before it was played."""
        return MARK + name.encode("utf-8", "surrogatepass")

    def clear(self) -> bytes:
        """What makes the socket forget what it has not sent. It then echoes every pending mark."""
        return CLEAR

    def _of_the_socket(self, payload: bytes) -> CarrierEvent:
        first, body = payload[:1], payload[1:]
        if first == ECHO:
            return _mark(body)
        if first == START and len(body) == 17 and body[0] in wire.RATES and self._audio is None:
            self._audio = body[0]
            name = str(uuid.UUID(bytes=body[1:]))
            return StreamStarted(stream_id=name, call_id=name, audio_format=AudioFormat("l16", wire.RATES[body[0]]))
        return Ignored("unknown text")

    def _heard(self, kind: int, audio: bytes) -> CarrierEvent:
        if self._audio is None:
            return Ignored("audio before start")
        if len(audio) % 2:
            return BadMessage("half a sample", f"{len(audio)} bytes of audio")
        return audio if kind == self._audio else self._resampled(kind, self._audio, audio)

    def _resampled(self, kind: int, ours: int, audio: bytes) -> CarrierEvent:
        if wire.RATES[kind] not in USABLE_RATES:
            return BadMessage("unusable rate", f"{wire.RATES[kind]} Hz")
        if kind not in self._resamplers:
            self._resamplers[kind] = Resampler(wire.RATES[kind], wire.RATES[ours])
        return from_pcm(self._resamplers[kind].push(to_pcm(audio, "l16")), "l16")


def _mark(name: bytes) -> CarrierEvent:
    try:
        return MarkEchoed(name.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        return Ignored("unknown text")


def _error(body: bytes) -> CarrierEvent:
    bits = int.from_bytes(body[:1], "big")
    if bits & _HUNG_UP:
        return StreamStopped()
    return BadMessage("error", ", ".join(words for bit, words in _ERRORS.items() if bits & bit) or f"code {bits}")
