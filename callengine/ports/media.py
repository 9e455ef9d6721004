"""What a call knows of its carrier: a wire protocol without I/O, and the connection that it travels on."""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

import attrs

from callengine.audio.format import AudioFormat


@attrs.frozen
class StreamStarted:
    """A media stream begins: whose it is and what its audio is."""

    stream_id: str
    call_id: str
    audio_format: AudioFormat
    parameters: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class MarkEchoed:
    """The carrier reached (or threw away) everything that was sent before this mark."""

    name: str


@attrs.frozen
class DtmfPressed:
    """The caller pressed a key (0-9, *, #, A-D). Never log the digit."""

    digit: str = attrs.field(repr=False)


@attrs.frozen
class StreamStopped:
    """The carrier says that the stream is over."""


@attrs.frozen
class Ignored:
    """A message that is legal, or at least harmless, and means nothing to a call. ``kind`` names it."""

    kind: str


@attrs.frozen
class BadMessage:
    """A message that could not be understood. It never ends a call. ``kind`` is short and constant, for counting."""

    kind: str
    detail: str


CarrierEvent: TypeAlias = bytes | StreamStarted | MarkEchoed | DtmfPressed | StreamStopped | Ignored | BadMessage
"""What a carrier's message means. Plain ``bytes`` are the caller's audio of one media message, in the stream's format:
fifty of them a second and call, so they are not wrapped."""


class CarrierCodec(Protocol):
    """The wire protocol of one media stream, without any I/O."""

    def decode(self, text: bool, payload: bytes) -> CarrierEvent:
        """Understand one message. Never raises for anything a peer can send."""

    def media(self, audio: bytes) -> bytes:
        """The message that makes the carrier play ``audio``."""

    def mark(self, name: str) -> bytes:
        """The message that asks for an echo when everything before it was played."""

    def clear(self) -> bytes:
        """The message that makes the carrier forget what it has not played."""


@runtime_checkable
class KeyCodec(Protocol):
    """A codec whose carrier sends keys to the other end on the media socket."""

    def dtmf(self, digits: str) -> bytes:
        """The message that presses these keys (0-9, *, #, A-D)."""


class MediaSocket(Protocol):
    """The one owner of a carrier's media connection."""

    async def receive(self) -> list[tuple[bool, bytes]]:
        """Wait for messages: every complete one that has arrived, as (is text, payload).

        Raises `SocketClosed` when the peer is gone, once all earlier messages were handed out.
        """

    def send_nowait(self, message: bytes, *, discardable: bool = False) -> None:
        """Send a text message. Never blocks: what the kernel does not take waits in a bounded buffer.

        ``discardable`` messages that have not begun to leave can be thrown away again by `discard_unsent`.
        Raises `SocketClosed` when the socket is closed, or by then has more waiting than its limit.
        """

    def discard_unsent(self) -> int:
        """Throw away the discardable messages of which no byte has left; returns how many."""

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close politely: flush, close frame, wait for the peer's (bounded), then the connection. Idempotent."""

    def close_nowait(self) -> None:
        """Close the connection at once, without a word. Idempotent."""
