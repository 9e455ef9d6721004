"""What telephones do when they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import attrs
import numpy as np

from callengine.audio.convert import from_pcm
from callengine.telephony import AnsweredBy, Progress

NEVER = float("inf")


@attrs.frozen
class Ending:
    """How a leg came to its end: how far it had come, why in a word, and the far end's SIP code (RFC 3261)."""

    progress: Progress
    reason: str = ""
    sip_code: int | None = None


NO_ANSWER = Ending("no answer", "timeout", 487)
CANCELED = Ending("canceled", "canceled", 487)
HUNG_UP = Ending("completed", "hung up", 200)


class Phone(Protocol):
    """A telephone's behaviour: data, which the network acts out."""

    @property
    def rings(self) -> bool:
        """Whether it rings at all."""

    @property
    def after(self) -> float:
        """Seconds until something happens, from its first ring, or where it does not ring, from the dialling."""

    @property
    def ending(self) -> Ending | None:
        """What then ends the call; None: it is answered."""


@attrs.frozen
class Answers:
    """Somebody answers, ``after`` seconds of ringing. ``taken_for`` is what machine detection makes of him."""

    after: float = 2.0
    taken_for: AnsweredBy = "human"
    rings: bool = attrs.field(default=True, init=False)
    ending: None = attrs.field(default=None, init=False)


@attrs.frozen
class Machine:
    """An answering machine: it says its greeting (words, or a WAV file), beeps, and records what it hears.

    ``pause`` is the silence before the beep (and before the greeting). ``taken_for`` is what machine detection makes of
    it.
    """

    after: float = 2.0
    greeting: str | Path = "Hello, we cannot take your call. Please leave a message after the tone."
    beep: bool = True
    pause: float = 0.5
    taken_for: AnsweredBy = "machine"
    rings: bool = attrs.field(default=True, init=False)
    ending: None = attrs.field(default=None, init=False)


@attrs.frozen
class Busy:
    """Somebody is on the telephone."""

    after: float = 1.0
    rings: bool = attrs.field(default=False, init=False)
    ending: Ending = attrs.field(default=Ending("busy", "busy", 486), init=False)


@attrs.frozen
class Declines:
    """It rings, and somebody refuses the call."""

    after: float = 2.0
    rings: bool = attrs.field(default=True, init=False)
    ending: Ending = attrs.field(default=Ending("busy", "declined", 603), init=False)


@attrs.frozen
class RingsOut:
    """It rings, and nobody answers."""

    after: float = attrs.field(default=NEVER, init=False)
    rings: bool = attrs.field(default=True, init=False)
    ending: Ending = attrs.field(default=NO_ANSWER, init=False)


@attrs.frozen
class Unreachable:
    """There is no such number, or no way to it."""

    after: float = 0.5
    rings: bool = attrs.field(default=False, init=False)
    ending: Ending = attrs.field(default=Ending("failed", "unreachable", 404), init=False)


def beep_tone(seconds: float = 0.4) -> bytes:
    """An answering machine's beep: 1 kHz, mu-law at 8 kHz."""
    wave = np.sin(np.arange(int(seconds * 8000)) * (2 * np.pi * 1000 / 8000)) * 8000
    return from_pcm(wave.astype(np.int16), "mulaw")
