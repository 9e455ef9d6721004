"""Telnyx's media streaming protocol: what its messages mean and how ours are written. No I/O.

Source of the message formats: https://developers.telnyx.com/docs/voice/programmable-voice/media-streaming and
https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket
"""

from __future__ import annotations

import json
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from typing import Any

from callengine.audio.convert import SILENCE
from callengine.audio.format import AudioFormat
from callengine.carriers.fields import (
    Malformed,
    clean,
    field,
    object_field,
    optional_text,
    parse_frame,
    text_field,
)
from callengine.carriers.telnyx.audio import (
    FORMATS,
    ByteOrder,
    Codec,
    Converter,
    announced_format,
    converter,
    swap,
)
from callengine.carriers.telnyx.reorder import Reorder
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
"""Bytes: longest message understood. Telnyx documents no limit; a frame of L16 at 16 kHz makes about 1,000."""
SHORTEST = 0.02
"""Seconds of audio that one of our media messages has at least (Telnyx: 20 ms to 30 s)."""
LONGEST = 30.0

_DIGITS = frozenset("0123456789*#ABCD")
_REFUSALS = {
    "100002": "refused: unknown error",
    "100003": "refused: malformed frame",
    "100004": "refused: invalid media",
    "100005": "refused: rate limit reached",
}
"""What Telnyx did not like about a message of ours; the stream goes on."""

_NUMBER = rb'"[0-9]{1,18}"'
_CHUNK = rb'"chunk":"([0-9]{1,18})"'
_PAYLOAD = rb'"payload":"([^"]*)"'
_SPELLINGS = (  # the same members in two orders: that of the documentation, and sorted by name
    rb'{"event":"media","sequence_number":%b,"media":{"track":"inbound",%b,"timestamp":%b,%b},"stream_id":%%b}'
    % (_NUMBER, _CHUNK, _NUMBER, _PAYLOAD),
    rb'{"event":"media","media":{%b,%b,"timestamp":%b,"track":"inbound"},"sequence_number":%b,"stream_id":%%b}'
    % (_CHUNK, _PAYLOAD, _NUMBER, _NUMBER),
)
_OF_ANY_STREAM = tuple(re.compile(spelling % rb'"[^"]*"').fullmatch for spelling in _SPELLINGS)


class TelnyxCodec:
    """The wire protocol of one media stream; a `callengine.ports.CarrierCodec`.

    ``codec`` is the one that was asked for: audio is written in it, and what comes is converted to it, so that the
    stream has one format. ``byte_order`` is that of L16 on the wire, which Telnyx does not document. Only the
    ``inbound`` track is heard. ``max_message`` is in bytes.

    While a message is missing, `decode` returns ``b""`` for those that came before their turn, and with the missing
    one (or when it is given up) all of them joined. Audio of less than 20 ms, the end of an utterance, is written with
    silence behind it.

    Kinds of `BadMessage`: ``message too long``, ``binary message``, ``not UTF-8``, ``bad JSON``, ``nested too deep``,
    ``not an object``, ``missing field``, ``bad field``, ``bad base64``, ``wrong stream``, ``unsupported format``, and
    ``refused: ...`` where Telnyx did not take a message of ours. Kinds of `Ignored`: ``connected``,
    ``duplicate start``, ``other track``, ``late media``, ``unknown event``, and ``media``, ``dtmf``, ``mark`` or
    ``stop`` with `` before start``.
    """

    def __init__(self, *, codec: Codec = "PCMU", byte_order: ByteOrder = "big", max_message: int = MAX_MESSAGE) -> None:
        self._format: AudioFormat = FORMATS[codec]
        self._byte_order: ByteOrder = byte_order
        self._swapped = self._format.encoding == "l16" and byte_order == "big"
        self._bounds = tuple(
            round(seconds * self._format.sample_rate) * self._format.sample_width for seconds in (SHORTEST, LONGEST)
        )
        self._max_message = max_message
        self._stream_id: str | None = None
        self._convert: Converter | None = None
        self._order: Reorder | None = Reorder()
        self._usual: Callable[[bytes], re.Match[bytes] | None] = re.compile(b"(?!)").fullmatch
        """The matcher of a media message as this stream's are spelt; of nothing before the first."""

    def decode(self, text: bool, payload: bytes) -> CarrierEvent:
        """Understand one message; see `callengine.ports.CarrierCodec`."""
        if text and len(payload) <= self._max_message:
            usual = self._usual(payload)
            if usual is not None:
                try:
                    audio = a2b_base64(usual[2], strict_mode=True)
                except Base64Error:
                    pass  # escaped perhaps (``\/``): let the parser see
                else:
                    return self._in_order(int(usual[1]), audio)
        try:
            event = self._understand(parse_frame(text, payload, self._max_message))
        except Malformed as problem:
            return BadMessage(problem.kind, problem.detail)
        if type(event) is bytes:
            self._learn_spelling(payload)
        return event

    def media(self, audio: bytes) -> bytes:
        """The message that makes Telnyx play ``audio``, up to 30 s in the stream's format."""
        self._check_started("media")
        shortest, longest = self._bounds
        if len(audio) < shortest:
            audio += SILENCE[self._format.encoding] * ((shortest - len(audio)) // self._format.sample_width)
        elif len(audio) > longest:
            raise CallEngineError(f"Telnyx takes at most {LONGEST:g} s of audio in a message: send it in pieces")
        if self._swapped:
            audio = swap(audio)
        return b'{"event":"media","media":{"payload":"' + b2a_base64(audio, newline=False) + b'"}}'

    def mark(self, name: str) -> bytes:
        """The message that asks for an echo when everything before it was played."""
        self._check_started("mark")
        return b'{"event":"mark","mark":{"name":' + json.dumps(name).encode() + b"}}"

    def clear(self) -> bytes:
        """The message that makes Telnyx forget what it has not played. It then echoes every pending mark."""
        self._check_started("clear")
        return b'{"event":"clear"}'

    def _check_started(self, what: str) -> None:
        if self._stream_id is None:
            raise CallEngineError(f"no {what} message can be written before the stream's start message was decoded")

    def _understand(self, message: dict[str, Any]) -> CarrierEvent:
        event = text_field(message, "event")
        if event == "start":
            return self._start(message)
        if event in ("media", "dtmf", "mark", "stop"):
            if self._stream_id is None:
                return Ignored(f"{event} before start")
            if "stream_id" in message and text_field(message, "stream_id") != self._stream_id:
                raise Malformed("wrong stream", f"{event}: stream_id is another stream's")
            if event == "stop":
                return StreamStopped()
            body = object_field(message, event)
            if event == "media":
                return self._media(body)
            return _digit(body) if event == "dtmf" else MarkEchoed(text_field(body, "name"))
        if event == "error":
            raise _refusal(message)
        return Ignored("connected" if event == "connected" else "unknown event")

    # --- the caller's audio -------------------------------------------------------------------------------------------

    def _media(self, body: dict[str, Any]) -> CarrierEvent:
        track = optional_text(body, "track") or "inbound"
        if track.removesuffix("_track") != "inbound":
            return self._of_other_track()
        try:
            audio = a2b_base64(text_field(body, "payload"), strict_mode=True)
        except ValueError as error:  # Base64Error is one; so is text that is not ASCII
            raise Malformed("bad base64", str(error)) from None
        return self._in_order(_count(body.get("chunk")), audio)

    def _in_order(self, number: int | None, audio: bytes) -> CarrierEvent:
        if number is not None and self._order is not None:
            ordered = self._order.take(number, audio)
            if ordered is None:
                return Ignored("late media")
            audio = ordered
        return audio if self._convert is None else self._convert(audio)

    def _of_other_track(self) -> CarrierEvent:
        """The agent's own voice: never heard. Its messages may be counted together with the caller's, whose numbers
        then have gaps where nothing is missing: they are taken as they come from here on."""
        order, self._order = self._order, None
        rest = b"" if order is None else order.rest()
        if rest:
            return rest if self._convert is None else self._convert(rest)
        return Ignored("other track")

    # --- the start ----------------------------------------------------------------------------------------------------

    def _start(self, message: dict[str, Any]) -> CarrierEvent:
        if self._stream_id is not None:
            return Ignored("duplicate start")
        start = object_field(message, "start")
        stream_id = text_field(message if "stream_id" in message else start, "stream_id")
        if start.get("stream_id", stream_id) != stream_id:
            raise Malformed("wrong stream", "start names two streams")
        announced = self._announced(start)
        event = StreamStarted(
            stream_id=stream_id,
            call_id=text_field(start, "call_control_id"),
            audio_format=self._format,
            parameters=_parameters(start.get("custom_parameters")),
        )
        self._convert = converter(announced, self._format, self._byte_order)
        self._stream_id = stream_id
        return event

    def _announced(self, start: dict[str, Any]) -> AudioFormat:
        """What ``start.media_format`` announces; without one, what was asked for."""
        if "media_format" not in start:
            return self._format
        announced = object_field(start, "media_format")
        encoding, rate, channels = (
            text_field(announced, "encoding"),
            field(announced, "sample_rate"),
            announced.get("channels", 1),
        )
        if type(rate) is not int or type(channels) is not int:
            raise Malformed("bad field", "sample_rate and channels are not whole numbers")
        known = announced_format(encoding, rate, channels)
        if known is None:
            detail = f"{encoding[:40]} at {str(rate)[:12]} Hz, {str(channels)[:12]} channels"
            raise Malformed("unsupported format", detail)
        return known

    def _learn_spelling(self, payload: bytes) -> None:
        """Take the short way with messages that are spelt like this one."""
        if self._usual(payload):
            return  # it was another thing that was unusual
        stream_id = re.escape(json.dumps(self._stream_id).encode())
        for matches, spelling in zip(_OF_ANY_STREAM, _SPELLINGS, strict=True):
            if matches(payload):
                self._usual = re.compile(spelling % stream_id).fullmatch


def _count(value: Any) -> int | None:
    """A message's number, as text or not; None for what is none: then it is taken as it comes."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 18:
        return int(value)
    return value if type(value) is int and 0 <= value < 10**18 else None


def _digit(body: dict[str, Any]) -> DtmfPressed:
    digit = text_field(body, "digit")
    if digit not in _DIGITS:
        raise Malformed("bad field", "digit is none of 0-9 * # A-D")
    return DtmfPressed(digit)


def _parameters(value: Any) -> dict[str, str]:
    """Custom parameters: Telnyx documents how they are given, not how they come back, so either shape is taken."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = [(entry.get("name"), entry.get("value")) for entry in value if isinstance(entry, dict)]
    elif value is not None:
        raise Malformed("bad field", "custom_parameters are neither an object nor a list")
    if not all(isinstance(name, str) and isinstance(text, str) for name, text in pairs):
        raise Malformed("bad field", "a custom parameter is not text")
    return {clean(name): clean(text) for name, text in pairs}


def _refusal(message: dict[str, Any]) -> Malformed:
    body = object_field(message, "payload") if "payload" in message else message
    code = body.get("code")
    known = str(code)[:12] if isinstance(code, str | int) else ""
    return Malformed(_REFUSALS.get(known, "refused: unknown error"), f"code {known}" if known.isdecimal() else "")
