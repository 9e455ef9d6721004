"""The server's side of RFC 6455 after the handshake, as a state machine fed with bytes: no I/O, no clock.

Extensions and subprotocols are not negotiated, so every reserved bit is an error. Text is handed out as the bytes that
came: whether they are UTF-8 is for the one decoder behind to say, which looks at every byte anyway.
"""

from __future__ import annotations

from typing import TypeAlias

try:
    from websockets.speedups import apply_mask
except ImportError:  # the package was installed without its C extension
    from websockets.utils import apply_mask

MAX_MESSAGE = 65_536
"""Bytes: largest message taken. A carrier's media frame is about 400 (Twilio documents no cap for what it sends)."""

NO_STATUS = 1005
ABNORMAL = 1006
"""Close codes that are only ever reported, never sent (RFC 6455, section 7.4.1)."""
_PROTOCOL_ERROR, _INVALID_DATA, _TOO_BIG = 1002, 1007, 1009

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FIN = 0x80
_WHOLE_TEXT = _FIN | _TEXT
_MAX_REASON = 123
"""Bytes: a control frame holds 125, and the code takes two."""

Message: TypeAlias = tuple[bool, bytes]
"""Whether it is text, and the payload."""


class _Violation(Exception):
    def __init__(self, code: int, reason: str) -> None:
        self.code, self.reason = code, reason


def text_frame(payload: bytes) -> bytes:
    """A whole text message as a server sends it: one frame, not masked."""
    return _frame(_WHOLE_TEXT, payload)


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return bytes((first, 126, size >> 8, size & 0xFF)) + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def _may_be_sent(code: int) -> bool:
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


class ServerConnection:
    """One connection: turns received bytes into messages and into the frames to answer with.

    ``end`` is None while messages may come; then the close code and reason of the peer, or of the error that it made.
    ``failed`` says that it was an error: nothing the peer sends will be understood any more, not even a close frame.
    """

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self.end: tuple[int, str] | None = None
        self.failed = False
        self._max_message = max_message
        self._rest = bytearray()
        self._replies: list[bytes] = []
        self._close_sent = False
        self._partial: bytearray | None = None
        self._partial_is_text = False

    def feed(self, data: bytes) -> list[Message]:
        """Take what arrived; return the messages that it completes. Never raises. Look at `replies` and `end` then."""
        if self.end is not None:
            return []
        messages: list[Message] = []
        try:
            if self._rest:
                self._rest += data
                del self._rest[: self._parse(self._rest, messages)]
            elif (used := self._parse(data, messages)) < len(data):
                self._rest += data[used:]
        except _Violation as violation:
            self.failed = True
            self._finish(violation.code, violation.reason)
            self._answer_close(violation.code, violation.reason)
        return messages

    def replies(self) -> list[bytes]:
        """The frames that the last `feed` asks to be sent, once: pongs, and a close frame."""
        replies, self._replies = self._replies, []
        return replies

    def close(self, code: int, reason: str) -> bytes:
        """Our close frame: nothing may be sent after it. A long reason is cut to what a frame holds.

        Raises ValueError for a code that must not be sent.
        """
        if not _may_be_sent(code):
            raise ValueError(f"close code {code} must not be sent: use 1000 to 1003, 1007 to 1014 or 3000 to 4999")
        self._close_sent = True
        text = reason.encode("utf-8", "replace")[:_MAX_REASON].decode("utf-8", "ignore").encode()
        return _frame(_FIN | _CLOSE, code.to_bytes(2, "big") + text)

    def _parse(self, buffer: bytes | bytearray, messages: list[Message]) -> int:
        """Read whole frames from the buffer; return how many of its bytes they took."""
        at, size = 0, len(buffer)
        while size - at >= 2 and self.end is None:
            first, second = buffer[at], buffer[at + 1]
            length, start = second & 0x7F, at + 6
            if length == 126:
                if size < at + 4:
                    break
                length, start = buffer[at + 2] << 8 | buffer[at + 3], at + 8
            elif length == 127:
                if size < at + 10:
                    break
                length, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 14
            self._check(first, second, length)
            stop = start + length
            if size < stop:
                break
            payload = apply_mask(buffer[start:stop], buffer[start - 4 : start])
            at = stop
            if first == _WHOLE_TEXT:
                messages.append((True, payload))
            else:
                self._take(first & _FIN != 0, first & 0xF, payload, messages)
        return at

    def _check(self, first: int, second: int, length: int) -> None:
        """Refuse a frame by its header, before its payload is waited for."""
        if first & 0x70:
            raise _Violation(_PROTOCOL_ERROR, "reserved bit")
        if second < 0x80:
            raise _Violation(_PROTOCOL_ERROR, "frame not masked")
        form = second & 0x7F
        if (form == 126 and length < 126) or (form == 127 and not 65_536 <= length < 1 << 63):
            raise _Violation(_PROTOCOL_ERROR, "length not in its shortest form")
        opcode = first & 0xF
        if opcode in (_CLOSE, _PING, _PONG):
            if length > 125 or not first & _FIN:
                raise _Violation(_PROTOCOL_ERROR, "control frame too long or fragmented")
            return
        if opcode > _BINARY:
            raise _Violation(_PROTOCOL_ERROR, "unknown opcode")
        if (opcode == _CONTINUATION) != (self._partial is not None):
            raise _Violation(_PROTOCOL_ERROR, "fragment out of order")
        if length + len(self._partial or b"") > self._max_message:
            raise _Violation(_TOO_BIG, "message too big")

    def _take(self, final: bool, opcode: int, payload: bytes, messages: list[Message]) -> None:
        """A whole frame that is not simply a text message."""
        if opcode == _PING:
            if not self._close_sent:
                self._replies.append(_frame(_FIN | _PONG, payload))
        elif opcode == _CLOSE:
            self._peer_closes(payload)
        elif opcode != _PONG:
            if opcode != _CONTINUATION:
                self._partial, self._partial_is_text = bytearray(), opcode == _TEXT
            assert self._partial is not None  # `_check` saw to it
            self._partial += payload
            if final:
                messages.append((self._partial_is_text, bytes(self._partial)))
                self._partial = None

    def _peer_closes(self, payload: bytes) -> None:
        if not payload:
            self._finish(NO_STATUS, "")
            self._answer_close(None, "")
            return
        code = int.from_bytes(payload[:2], "big")
        if len(payload) == 1 or not _may_be_sent(code):
            raise _Violation(_PROTOCOL_ERROR, "bad close frame")
        try:
            reason = payload[2:].decode()
        except UnicodeDecodeError:
            raise _Violation(_INVALID_DATA, "close reason is not UTF-8") from None
        self._finish(code, reason)
        self._answer_close(code, "")

    def _finish(self, code: int, reason: str) -> None:
        self.end = (code, reason)
        self._rest, self._partial = bytearray(), None

    def _answer_close(self, code: int | None, reason: str) -> None:
        if self._close_sent:
            return
        if code is None:  # RFC 6455, section 7.4.1: no status came, so none is echoed
            self._close_sent = True
            self._replies.append(_frame(_FIN | _CLOSE, b""))
        else:
            self._replies.append(self.close(code, reason))
