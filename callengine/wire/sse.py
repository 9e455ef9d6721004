"""Server-sent events, without I/O: bytes in, events out.

Follows the parsing rules of the WHATWG HTML standard, section 9.2 "Server-sent events", but for two things: `finish`
hands out an event that was not closed by a blank line (some servers end their stream like that), and the fields ``id``
and ``retry`` are ignored, because nobody here reconnects.
"""

from __future__ import annotations

import re

import attrs

from callengine.errors import CallEngineError

MAX_EVENT_SIZE = 1_048_576
"""Bytes of one line, and of one event's data, by default: thousands of times the size of an ordinary token's event."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class SseError(CallEngineError):
    """A line or an event is larger than the limit."""


@attrs.frozen
class SseEvent:
    """One event: its type (``message`` where the server gave none) and its data, lines joined by newlines."""

    type: str
    data: str


class SseParser:
    """An incremental parser. How the bytes are cut into pieces makes no difference to the events.

    Bytes that are not UTF-8 become U+FFFD. A line or an event over ``max_size`` bytes raises `SseError`: events before
    it are still handed out, and the parser is of no use afterwards.
    """

    def __init__(self, max_size: int = MAX_EVENT_SIZE) -> None:
        self._max_size = max_size
        self._buffer = bytearray()
        self._first_line = True
        self._after_cr = False
        self._too_large = False
        self._type = ""
        self._data: list[bytes] = []
        self._data_size = 0

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take in bytes of any length; returns the events that they complete."""
        events: list[SseEvent] = []
        if not data and not self._too_large:
            return events  # and what is remembered of the last byte stays
        if self._after_cr:
            # A line that ended in CR was handed out at once; this LF, if it is one, belongs to it.
            data = data.removeprefix(b"\n")
            self._after_cr = False
        self._buffer += data
        start = 0
        for end in _LINE_END.finditer(self._buffer):
            if not self._too_large:
                self._line(bytes(self._buffer[start : end.start()]), events)
            start = end.end()
        self._after_cr = start == len(self._buffer) and self._buffer.endswith(b"\r")
        del self._buffer[:start]
        self._too_large = self._too_large or len(self._buffer) > self._max_size
        if self._too_large and not events:
            raise SseError(f"a server-sent event is larger than {self._max_size} bytes")
        return events

    def finish(self) -> list[SseEvent]:
        """The stream has ended: returns the event that was still open, if any."""
        return self.feed(b"\n\n" if not self._after_cr else b"\n\n\n")

    def _line(self, line: bytes, events: list[SseEvent]) -> None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if len(line) > self._max_size:
            self._too_large = True
            return
        if not line:
            self._dispatch(events)
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data_size += len(value) + 1
            if self._data_size > self._max_size:
                self._too_large = True
                return
            self._data.append(value)
        elif name == b"event":
            self._type = value.decode("utf-8", "replace")
        # Everything else is a comment (an empty name) or a field that means nothing here.

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._data:
            data = b"\n".join(self._data).decode("utf-8", "replace")
            events.append(SseEvent(self._type or "message", data))
        self._type, self._data, self._data_size = "", [], 0
