"""Plivo's audio streaming protocol: what its messages mean and how ours are written. No I/O.

Source of the message formats: https://www.plivo.com/docs/voice-agents/audio-streaming/concepts/audio-streaming-reference

Two things differ from other carriers. There is no documented last message: the stream ends when the socket does (a
``stop`` is understood where one comes). And a checkpoint is acknowledged only when the audio before it was really
played: those that wait when the audio is cleared never are, one ``clearedAudio`` comes instead.
"""

from __future__ import annotations

import json
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import Any

from callengine.audio.format import TELEPHONE, AudioFormat, Encoding
from callengine.carriers.fields import Malformed, field, object_field, parse_frame, text_field
from callengine.carriers.plivo import extra_headers
from callengine.errors import CallEngineError
from callengine.ports import (
    BadMessage,
    CarrierEvent,
    DtmfPressed,
    Ignored,
    MarkEchoed,
    StreamStarted,
    StreamStopped,
)

MAX_MESSAGE = 65_536
"""Bytes: longest message understood. Plivo documents no limit; its media messages are under 1,500 bytes."""

CONTENT_TYPES = {
    "audio/x-mulaw;rate=8000": AudioFormat("mulaw", 8000),
    "audio/x-l16;rate=8000": AudioFormat("l16", 8000),
    "audio/x-l16;rate=16000": AudioFormat("l16", 16000),
}
"""The formats that a stream can be asked for (``contentType`` of ``<Stream>``). Linear audio is little-endian."""

_ENCODINGS: dict[str, Encoding] = {"audio/x-mulaw": "mulaw", "audio/x-l16": "l16"}
_NAMES = {encoding: name for name, encoding in _ENCODINGS.items()}
_EVENTS = frozenset({"media", "dtmf", "playedStream", "clearedAudio", "stop"})
_DIGITS = frozenset("0123456789*#ABCD")
_TAIL = re.compile(rb'"\}(?:,"extra_headers":"(?:[^"\\]|\\.)*")?\}')
"""What follows the audio in a media message as Plivo spells it; the same in all messages of a stream."""


class PlivoCodec:
    """The wire protocol of one media stream; a `callengine.ports.CarrierCodec` and `KeyCodec`.

    ``audio_format`` is what the stream was asked for: it holds where the start message announces none. ``max_message``
    is in bytes.

    Kinds of `BadMessage`: ``message too long``, ``binary message``, ``not UTF-8``, ``bad JSON``, ``nested too deep``,
    ``not an object``, ``missing field``, ``bad field``, ``bad base64``, ``wrong stream``, ``unsupported format``.
    Kinds of `Ignored`: ``cleared``, ``duplicate start``, ``other track``, ``unknown event``, and ``media``, ``dtmf``,
    ``playedStream``, ``clearedAudio`` or ``stop`` with `` before start``.
    """

    def __init__(self, audio_format: AudioFormat = TELEPHONE, *, max_message: int = MAX_MESSAGE) -> None:
        self._audio_format = audio_format
        self._max_message = max_message
        self._stream_id: str | None = None
        self._usual_beginning = re.compile(b"(?!)").match
        self._usual_end = b""
        self._media_prefix = self._checkpoint_prefix = self._clear_message = b""

    def decode(self, text: bool, payload: bytes) -> CarrierEvent:
        """Understand one message; see `callengine.ports.CarrierCodec`."""
        end = self._usual_end
        if end and text and payload.endswith(end) and len(payload) <= self._max_message:
            # Plivo's own spelling, key by key: nothing but the audio can stand between its beginning and its end.
            beginning = self._usual_beginning(payload)
            if beginning is not None and beginning.end() <= len(payload) - len(end):
                try:
                    return a2b_base64(payload[beginning.end() : -len(end)], strict_mode=True)
                except Base64Error:
                    pass  # escaped perhaps (``\/``): let the parser see
        try:
            event = self._understand(parse_frame(text, payload, self._max_message))
        except Malformed as problem:
            return BadMessage(problem.kind, problem.detail)
        if isinstance(event, bytes):
            self._learn(payload)
        return event

    def media(self, audio: bytes) -> bytes:
        """The message that makes Plivo play ``audio``, of any length, in the stream's format."""
        self._check_started("media")
        return self._media_prefix + b2a_base64(audio, newline=False) + b'"}}'

    def mark(self, name: str) -> bytes:
        """The message that asks for ``playedStream`` when everything before it was played."""
        self._check_started("mark")
        return self._checkpoint_prefix + json.dumps(name).encode() + b"}"

    def clear(self) -> bytes:
        """The message that makes Plivo forget what it has not played, and every checkpoint behind that."""
        self._check_started("clear")
        return self._clear_message

    def dtmf(self, digits: str) -> bytes:
        """The message that presses these keys (0-9, *, #, A-D) at the other end."""
        self._check_started("dtmf")
        if not digits or not _DIGITS.issuperset(digits):
            raise CallEngineError("keys are some of 0-9 * # A-D: take out everything else, pauses too")
        return b'{"event":"sendDTMF","dtmf":"' + digits.encode() + b'"}'

    def _check_started(self, what: str) -> None:
        if self._stream_id is None:
            raise CallEngineError(f"no {what} message can be written before the stream's start message was decoded")

    def _understand(self, message: dict[str, Any]) -> CarrierEvent:
        event = text_field(message, "event")
        if event == "start":
            return self._start(message)
        if event not in _EVENTS:
            return Ignored("unknown event")
        if self._stream_id is None:
            return Ignored(f"{event} before start")
        if message.get("streamId", self._stream_id) != self._stream_id:
            raise Malformed("wrong stream", f"{event}: streamId is another stream's")
        if event == "media":
            return _media(object_field(message, "media"))
        if event == "dtmf":
            return _digit(object_field(message, "dtmf"))
        if event == "playedStream":
            return MarkEchoed(text_field(message, "name"))
        return StreamStopped() if event == "stop" else Ignored("cleared")

    def _start(self, message: dict[str, Any]) -> CarrierEvent:
        if self._stream_id is not None:
            return Ignored("duplicate start")
        start = object_field(message, "start")
        event = StreamStarted(
            stream_id=text_field(start, "streamId"),
            call_id=text_field(start, "callId"),
            audio_format=self._announced(start),
            parameters=extra_headers.read(message.get("extra_headers", start.get("extra_headers"))),
        )
        self._prepare(event.stream_id, event.audio_format)
        return event

    def _announced(self, start: dict[str, Any]) -> AudioFormat:
        """What ``start.mediaFormat`` says; without one, what the stream was asked for."""
        if "mediaFormat" not in start:
            return self._audio_format
        announced = object_field(start, "mediaFormat")
        encoding, rate = text_field(announced, "encoding"), field(announced, "sampleRate")
        if type(rate) is not int:
            raise Malformed("bad field", "sampleRate is not a whole number")
        known = _ENCODINGS.get(encoding.partition(";")[0])
        if known is None or AudioFormat(known, rate) not in CONTENT_TYPES.values():
            raise Malformed("unsupported format", f"{encoding[:40]} at {str(rate)[:12]} Hz")
        return AudioFormat(known, rate)

    def _prepare(self, stream_id: str, audio_format: AudioFormat) -> None:
        self._stream_id = stream_id
        quoted = json.dumps(stream_id)
        number = "(?:0|[1-9][0-9]{0,19})"
        pattern = (
            f'{{"event":"media","sequenceNumber":{number},"streamId":{re.escape(quoted)},"media":'
            f'{{"track":"inbound","timestamp":"[0-9]{{1,20}}","chunk":{number},"payload":"'
        )
        self._usual_beginning = re.compile(pattern.encode()).match
        content_type, rate = _NAMES[audio_format.encoding], audio_format.sample_rate
        self._media_prefix = (
            f'{{"event":"playAudio","media":{{"contentType":"{content_type}","sampleRate":{rate},"payload":"'.encode()
        )
        self._checkpoint_prefix = f'{{"event":"checkpoint","streamId":{quoted},"name":'.encode()
        self._clear_message = f'{{"event":"clearAudio","streamId":{quoted}}}'.encode()

    def _learn(self, payload: bytes) -> None:
        """Remember how this stream's media messages end: its custom data are repeated in each."""
        beginning = self._usual_beginning(payload)
        if beginning is not None:
            end = payload[payload.index(b'"', beginning.end()) :]
            if _TAIL.fullmatch(end):
                self._usual_end = end


def _media(body: dict[str, Any]) -> CarrierEvent:
    track = body.get("track", "inbound")
    if not isinstance(track, str):
        raise Malformed("bad field", "track is not text")
    if track != "inbound":
        return Ignored("other track")
    try:
        return a2b_base64(text_field(body, "payload"), strict_mode=True)
    except ValueError as error:  # Base64Error is one; so is text that is not ASCII
        raise Malformed("bad base64", str(error)) from None


def _digit(body: dict[str, Any]) -> DtmfPressed:
    digit = text_field(body, "digit")
    if digit not in _DIGITS:
        raise Malformed("bad field", "digit is none of 0-9 * # A-D")
    return DtmfPressed(digit)
