"""The vocabulary of a call's inside: facts, each with the moment it became known.

Facts go to the conductor, which feeds them to the pure turn-taker. Times are seconds on the engine's clock.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs


@attrs.frozen
class SpeechStarted:
    """The caller speaks. ``onset`` is when the speech began, which is before ``at``."""

    at: float
    utterance: int
    onset: float


@attrs.frozen
class SpeechPaused:
    """The caller fell silent a moment ago; the utterance is not over yet."""

    at: float
    utterance: int


@attrs.frozen
class SpeechResumed:
    """The caller goes on after a pause, in the same utterance."""

    at: float
    utterance: int


@attrs.frozen
class SpeechWavers:
    """The newest moment of the utterance was silent: the closure of a consonant, or the end of a cough."""

    at: float
    utterance: int


@attrs.frozen
class SpeechSteady:
    """The utterance sounds again."""

    at: float
    utterance: int


@attrs.frozen
class SpeechStopped:
    """The utterance is over. ``ended`` is when its last sound ended, which is before ``at``."""

    at: float
    utterance: int
    ended: float


@attrs.frozen
class Transcript:
    """Words of the caller. Each utterance has exactly one final, empty where nothing was understood."""

    at: float
    utterance: int
    text: str
    final: bool


@attrs.frozen
class ReplyOpened:
    """The agent sets out to say something; nothing of it is audible yet."""

    at: float
    reply: int
    interruptible: bool = True
    may_wait: bool = True
    """Whether it is held back while the caller is speaking. The greeting is not."""


@attrs.frozen
class ReplyText:
    """A sentence that the reply is going to say, behind the others."""

    at: float
    reply: int
    text: str


@attrs.frozen
class ReplyAudible:
    """The first audio of a reply left for the carrier."""

    at: float
    reply: int


@attrs.frozen
class ReplyClosed:
    """A reply is over: played out, cut, or it never had anything to say. ``unheard`` is what the caller missed."""

    at: float
    reply: int
    unheard: str = ""


@attrs.frozen
class TurnVerdict:
    """The end-of-turn model's answer about the turn that paused in ``utterance``.

    ``probability`` (0..1) is how sure it is that the caller has finished. It never comes once that speech has resumed.
    """

    at: float
    utterance: int
    probability: float


@attrs.frozen
class TurnHint:
    """A recogniser that judges turns itself says: the caller seems to be done (``eager``), is (``end``), or was not
    (``resumed``)."""

    at: float
    utterance: int
    kind: Literal["eager", "end", "resumed"]


@attrs.frozen
class KeyPressed:
    """The caller pressed a key; which one is nobody's business here."""

    at: float


@attrs.frozen
class InterruptionAsked:
    """The application wants what is being said to be cut."""

    at: float


Fact: TypeAlias = (
    SpeechStarted
    | SpeechPaused
    | SpeechResumed
    | SpeechStopped
    | SpeechWavers
    | SpeechSteady
    | Transcript
    | ReplyOpened
    | ReplyText
    | ReplyAudible
    | ReplyClosed
    | TurnVerdict
    | TurnHint
    | KeyPressed
    | InterruptionAsked
)

Trigger: TypeAlias = Literal["speech", "transcript", "dtmf", "application"]
"""What noticed an interruption."""
