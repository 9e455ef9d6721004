"""The carrier's end of a media stream, without I/O: what every simulated carrier has in common.

A `Side` knows one carrier's messages, writes those that the carrier sends, takes those that the engine sends, and is
strict about them. The simulated leg around it (`callengine.testing.carrier.Leg`) works in mu-law at 8 kHz, in frames of
20 ms, whatever the carrier's line has: a side converts. Times are seconds of the engine's clock, and passed in.

A new carrier's side is a class with the methods of `Side`, made as ``cls(call_id, stream_id, queue, parameters,
**options)``, and a static method ``ids`` that numbers calls as the carrier does; name it in `_SIDES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol, cast

import attrs

from callengine.errors import ConfigurationError
from callengine.testing.playout import PlayoutQueue

FRAME = 0.02
SILENCE = b"\xff" * 160
"""20 ms of nothing in mu-law at 8 kHz."""

_SIDES = {
    "twilio": "callengine.testing.twilio:TwilioSide",
    "signalwire": "callengine.testing.signalwire:SignalWireSide",
    "telnyx": "callengine.testing.telnyx:TelnyxSide",
    "plivo": "callengine.testing.plivo:PlivoSide",
    "audiosocket": "callengine.testing.audiosocket:AudioSocketSide",
}


@attrs.frozen
class Reaction:
    """What a message of the engine leads to at once."""

    echoes: tuple[str, ...] = ()
    """Marks to acknowledge now. The leg does that by `Side.mark`, in the manner that a test asked for (late, twice)."""
    messages: tuple[bytes, ...] = ()
    """Messages to send now, such as a carrier's answer to a clear."""


class Side(Protocol):
    """One stream, from the carrier's end. Messages are bytes: texts in UTF-8 where the carrier has texts."""

    call_id: str
    stream_id: str
    queue: PlayoutQueue
    """What the caller hears, in mu-law at 8 kHz: `take` puts the engine's audio, marks and clears into it."""
    complaints: list[str]
    """What the carrier would have warned about: an engine must not cause any."""
    received: list[tuple[float, str]]
    """When each good message of the engine came, and its kind: ``media``, ``mark``, ``clear`` or ``dtmf``, whatever
    the carrier's own name for it."""
    pressed: str
    """Keys that the engine sent on the stream, where the carrier can take them."""

    @staticmethod
    def ids(number: int) -> tuple[str, str]:
        """The call's and the stream's names for the lab's call of this number (1, 2, ...)."""

    def opening(self) -> list[bytes]:
        """The first messages of the stream."""

    def media(self, audio: bytes) -> list[bytes]:
        """The messages of one more frame of the caller's audio (mu-law at 8 kHz, 160 bytes): usually one; none where
        the frame is held back, more where one held back comes behind it."""

    def dtmf(self, digit: str) -> bytes:
        """A key was pressed."""

    def mark(self, name: str) -> bytes:
        """A mark was reached."""

    def stop(self) -> bytes | None:
        """The last message; None where this carrier just closes the connection."""

    def take(self, now: float, message: bytes | str) -> Reaction:
        """A message of the engine. What the carrier would not take is added to ``complaints``; never raises."""


class SideClass(Protocol):
    """How sides are made. ``parameters`` are custom data to be sent with the stream's start; ``options`` are the
    class's own (`callengine.testing.carrier.CarrierSettings.options`)."""

    def __call__(
        self, call_id: str, stream_id: str, queue: PlayoutQueue, parameters: Mapping[str, str], **options: Any
    ) -> Side: ...

    def ids(self, number: int) -> tuple[str, str]: ...


def kinds() -> tuple[str, ...]:
    """The carriers that can be simulated."""
    return tuple(_SIDES)


def side_of(kind: str) -> SideClass:
    """The class of a carrier's sides. Raises `ConfigurationError` for a carrier that cannot be simulated."""
    if kind not in _SIDES:
        raise ConfigurationError(f"there is no simulated carrier {kind!r}: choose one of {', '.join(_SIDES)}")
    module, _, name = _SIDES[kind].partition(":")
    return cast(SideClass, getattr(import_module(module), name))
