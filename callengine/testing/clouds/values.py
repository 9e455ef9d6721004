"""What a simulated network is told, and what it keeps."""

from __future__ import annotations

from typing import Any

import attrs
import trio

from callengine.telephony import AnsweredBy
from callengine.testing.clouds.legs import CloudLeg


@attrs.frozen(kw_only=True)
class NetworkSettings:
    """Times in seconds."""

    dialling: float = 0.1
    """From the request for a call to the network's being asked."""
    ring_delay: float = 0.2
    """From then to the first ring."""
    human: float = 1.5
    """Machine detection's verdict about a person comes so long after the answer."""
    machine: float = 3.0
    """And about a machine."""
    message_sent: float = 0.3
    """From the request for a text message to its being sent, and from there to its delivery."""
    recording_ready: float = 1.0
    """From the end of a recording to its being there to be fetched."""


@attrs.frozen
class Verdict:
    """What machine detection found out. ``ended`` where it has waited for the end of a machine's greeting."""

    answered_by: AnsweredBy
    after: float
    ended: bool = False
    beep: bool = False


@attrs.define
class Text:
    """A text message."""

    message_id: str
    sender: str
    recipient: str
    text: str
    at: float
    media: tuple[str, ...] = ()
    data: dict[str, Any] = attrs.field(factory=dict)
    states: list[str] = attrs.field(factory=list)


@attrs.define
class Recording:
    """A recording of what a leg's person heard, in mu-law at 8 kHz."""

    recording_id: str
    leg: CloudLeg
    started: float
    data: dict[str, Any] = attrs.field(factory=dict)
    ended: float | None = None

    @property
    def audio(self) -> bytes:
        """All of it, pauses included."""
        until = trio.current_time() if self.ended is None else self.ended
        audio = bytearray(b"\xff" * round((until - self.started) * 8000))
        for stretch in self.leg.queue.played(until):
            start = round((stretch.start - self.started) * 8000)
            audio[max(start, 0) : start + len(stretch.audio)] = stretch.audio[max(-start, 0) :]
        return bytes(audio)
