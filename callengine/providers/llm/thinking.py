"""Keeps a model's thoughts out of the caller's ear."""

from __future__ import annotations

_OPEN = "<think>"
_CLOSE = "</think>"


class ThinkFilter:
    """Drops one ``<think>…</think>`` block at the start of a streamed reply, and the white space around it.

    Local servers started without a reasoning parser send a model's thoughts that way. Only a reply that begins with
    the tag is touched, so ordinary text passes without delay; a block that never closes leaves nothing.
    """

    def __init__(self) -> None:
        self._held = ""
        self._state = "start"

    def push(self, text: str) -> str:
        """Some more of the reply; returns what of it may be spoken."""
        if self._state == "open":
            return text
        self._held += text
        if self._state == "start":
            self._held = self._held.lstrip()
            if len(self._held) < len(_OPEN) and _OPEN.startswith(self._held):
                return ""
            self._state = "thinking" if self._held.startswith(_OPEN) else "open"
        if self._state == "thinking":
            _, closed, rest = self._held.partition(_CLOSE)
            if not closed:
                self._held = self._held[-len(_CLOSE) :]  # may end with a part of the closing tag
                return ""
            self._state, self._held = "spoken", rest
        if self._state == "spoken":
            self._held = self._held.lstrip()
            self._state = "open" if self._held else "spoken"
        released, self._held = self._held, ""
        return released

    def finish(self) -> str:
        """The reply has ended: returns text that only looked like the beginning of the tag."""
        released = self._held if self._state == "start" else ""
        self._held = ""
        return released
