"""Twilio's Media Streams protocol: what its messages mean and how ours are written. No I/O.

Source of the message formats: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import json
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable
from typing import Any

from callengine.audio.format import TELEPHONE, AudioFormat, Encoding
from callengine.carriers.fields import Malformed, clean, field, object_field, parse_frame, text_field
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
"""Bytes: longest message understood. Twilio documents no limit; its media messages are about 400 bytes."""

_ENCODINGS: dict[str, Encoding] = {"audio/x-mulaw": "mulaw", "audio/x-alaw": "alaw", "audio/x-l16": "l16"}
_LINEAR_RATES = frozenset({8000, 16000, 24000, 48000})
_DIGITS = frozenset("0123456789*#ABCD")


class TwilioCodec:
    """The wire protocol of one media stream; a `callengine.ports.CarrierCodec`.

    ``tracks`` are those whose audio is wanted: ``inbound`` is the caller, ``outbound`` (on two-track forks) what the
    caller hears; audio of other tracks is `Ignored`. ``max_message`` is in bytes. ``streams_named`` says whether every
    message must name its stream, as Twilio's do (SignalWire's need not); a wrong name is never taken.

    Kinds of `BadMessage`: ``message too long``, ``binary message``, ``not UTF-8``, ``bad JSON``, ``nested too deep``,
    ``not an object``, ``missing field``, ``bad field``, ``bad base64``, ``wrong stream``, ``unsupported format``.
    Kinds of `Ignored`: ``connected``, ``duplicate start``, ``other track``, ``unknown event``, and ``media``, ``dtmf``,
    ``mark`` or ``stop`` with `` before start``.
    """

    def __init__(
        self, *, tracks: Iterable[str] = ("inbound",), max_message: int = MAX_MESSAGE, streams_named: bool = True
    ) -> None:
        self._tracks = frozenset(track.removesuffix("_track") for track in tracks)
        self._max_message = max_message
        self._streams_named = streams_named
        self._stream_id: str | None = None
        self._usual_media = _usual_media(self._tracks)
        self._usual_end = b""
        self._media_prefix = self._mark_prefix = self._clear_message = b""

    def decode(self, text: bool, payload: bytes) -> CarrierEvent:
        """Understand one message; see `callengine.ports.CarrierCodec`."""
        if text and self._usual_end and payload.endswith(self._usual_end) and len(payload) <= self._max_message:
            # The usual spelling, key by key: nothing but the payload can stand between its beginning and its end.
            beginning = self._usual_media(payload)
            end = len(payload) - len(self._usual_end)
            if beginning is not None and beginning.end() <= end:  # else they share a quotation mark
                try:
                    return a2b_base64(payload[beginning.end() : end], strict_mode=True)
                except Base64Error:
                    pass  # escaped perhaps (``\/``): let the parser see
        try:
            return self._understand(parse_frame(text, payload, self._max_message))
        except Malformed as problem:
            return BadMessage(problem.kind, problem.detail)

    def media(self, audio: bytes) -> bytes:
        """The message that makes Twilio play ``audio``, of any length, in the stream's format."""
        self.stream_id("media")
        return self._media_prefix + b2a_base64(audio, newline=False) + b'"}}'

    def mark(self, name: str) -> bytes:
        """The message that asks for an echo when everything before it was played."""
        self.stream_id("mark")
        return self._mark_prefix + json.dumps(name).encode() + b"}}"

    def clear(self) -> bytes:
        """The message that makes Twilio forget what it has not played. It then echoes every pending mark."""
        self.stream_id("clear")
        return self._clear_message

    def stream_id(self, what: str) -> str:
        """The name of the stream, for a message of this kind. Raises `CallEngineError` before its start was decoded."""
        if self._stream_id is None:
            raise CallEngineError(f"no {what} message can be written before the stream's start message was decoded")
        return self._stream_id

    def _understand(self, message: dict[str, Any]) -> CarrierEvent:
        event = text_field(message, "event")
        if event == "start":
            return self._start(message)
        if event in ("media", "dtmf", "mark", "stop"):
            if self._stream_id is None:
                return Ignored(f"{event} before start")
            if (self._streams_named or "streamSid" in message) and text_field(message, "streamSid") != self._stream_id:
                raise Malformed("wrong stream", f"{event}: streamSid is another stream's")
            if event == "stop":
                return StreamStopped()
            body = object_field(message, event)
            if event == "media":
                return self._media(body)
            return _digit(body) if event == "dtmf" else MarkEchoed(text_field(body, "name"))
        return Ignored("connected" if event == "connected" else "unknown event")

    def _media(self, body: dict[str, Any]) -> CarrierEvent:
        track = body.get("track", "inbound")
        if not isinstance(track, str):
            raise Malformed("bad field", "track is not text")
        if track.removesuffix("_track") not in self._tracks:
            return Ignored("other track")
        try:
            return a2b_base64(text_field(body, "payload"), strict_mode=True)
        except ValueError as error:  # Base64Error is one; so is text that is not ASCII
            raise Malformed("bad base64", str(error)) from None

    def _start(self, message: dict[str, Any]) -> CarrierEvent:
        if self._stream_id is not None:
            return Ignored("duplicate start")
        start = object_field(message, "start")
        stream_id = text_field(message if "streamSid" in message else start, "streamSid")
        if start.get("streamSid", stream_id) != stream_id:
            raise Malformed("wrong stream", "start names two streams")
        parameters = object_field(start, "customParameters") if "customParameters" in start else {}
        event = StreamStarted(
            stream_id=stream_id,
            call_id=text_field(start, "callSid"),
            audio_format=_audio_format(start),
            parameters={clean(name): text_field(parameters, name) for name in parameters},
        )
        self._prepare(stream_id)
        return event

    def _prepare(self, stream_id: str) -> None:
        self._stream_id = stream_id
        quoted = json.dumps(stream_id).encode()
        self._usual_end = b'"},"streamSid":' + quoted + b"}" if self._streams_named else b'"}}'
        self._media_prefix = b'{"event":"media","streamSid":' + quoted + b',"media":{"payload":"'
        self._mark_prefix = b'{"event":"mark","streamSid":' + quoted + b',"mark":{"name":'
        self._clear_message = b'{"event":"clear","streamSid":' + quoted + b"}"


def _usual_media(tracks: Iterable[str]) -> Callable[[bytes], re.Match[bytes] | None]:
    """The matcher of a media message as Twilio spells it, up to its audio."""
    names = "|".join(f"{re.escape(track)}(?:_track)?" for track in sorted(tracks)) or "(?!)"
    number = '"[0-9]{1,20}"'
    pattern = (
        f'{{"event":"media","sequenceNumber":{number},"media":'
        f'{{"track":"(?:{names})","chunk":{number},"timestamp":{number},"payload":"'
    )
    return re.compile(pattern.encode()).match


def _digit(body: dict[str, Any]) -> DtmfPressed:
    digit = text_field(body, "digit")
    if digit not in _DIGITS:
        raise Malformed("bad field", "digit is none of 0-9 * # A-D")
    return DtmfPressed(digit)


def _audio_format(start: dict[str, Any]) -> AudioFormat:
    """What ``start.mediaFormat`` announces; without one, the only format that Twilio documents."""
    if "mediaFormat" not in start:
        return TELEPHONE
    announced = object_field(start, "mediaFormat")
    encoding, rate, channels = (
        text_field(announced, "encoding").lower(),
        field(announced, "sampleRate"),
        announced.get("channels", 1),
    )
    if type(rate) is not int or type(channels) is not int:
        raise Malformed("bad field", "sampleRate and channels are not whole numbers")
    known = _ENCODINGS.get(encoding)
    rates = _LINEAR_RATES if known == "l16" else {TELEPHONE.sample_rate}
    if known is None or rate not in rates or channels != 1:
        raise Malformed("unsupported format", f"{encoding[:40]} at {str(rate)[:12]} Hz, {str(channels)[:12]} channels")
    return AudioFormat(known, rate)
