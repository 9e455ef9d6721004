"""What the turn-taker wants done. Each says why, in one line for people."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from callengine.events import Trigger


@attrs.frozen
class Soften:
    """Somebody may be interrupting since ``onset``: pause the reply, or duck it."""

    reply: int
    onset: float
    how: Literal["pause", "duck"]
    reason: str


@attrs.frozen
class CarryOn:
    """Nobody was interrupting: the softened reply goes on."""

    reply: int
    reason: str


@attrs.frozen
class FalseInterruption:
    """What sounded like an interruption was none. ``backchannel`` says whether it was "mm-hm" or the like."""

    reply: int
    utterance: int
    onset: float
    backchannel: bool
    reason: str


@attrs.frozen
class Cut:
    """Silence the reply: the caller interrupted it at ``onset``."""

    reply: int
    onset: float
    trigger: Trigger
    reason: str


@attrs.frozen
class Drop:
    """Forget a reply of which nothing was heard: the caller said something new."""

    reply: int
    reason: str


@attrs.frozen
class Hold:
    """Keep replies that are not audible yet from starting."""

    reason: str


@attrs.frozen
class Release:
    """Let a held reply start."""

    reason: str


@attrs.frozen
class Guess:
    """The caller seems to be done: begin to answer, but so that nobody hears it."""

    text: str
    reason: str


@attrs.frozen
class TakeBack:
    """The guess was wrong: forget the answer to it."""

    reason: str


@attrs.frozen
class EndTurn:
    """The caller's turn is over: answer it."""

    utterance: int
    """The last one of the turn."""
    text: str
    speech_ended: float | None
    """When the caller's last sound ended; None where only a transcript told of it."""
    reason: str
    continues: bool = False
    """Whether this goes on with the turn before, whose answer nobody has heard, or hardly: both are answered as one."""
    guessed: bool = False
    """Whether the answer was begun already, by the last `Guess`."""


@attrs.frozen
class Discard:
    """What the caller's line brought is no turn."""

    utterance: int
    text: str
    kind: Literal["artefact", "backchannel", "duplicate", "echo", "late", "too short"]
    reason: str


@attrs.frozen
class SayRest:
    """Nothing was said after all: go on with what the caller has not heard."""

    unheard: str
    reason: str


@attrs.frozen
class AskAgain:
    """The caller spoke and could not be understood: say so."""

    reason: str


@attrs.frozen
class Complain:
    """A strategy or classifier of the user's raised: log it."""

    what: str
    error: Exception


Action: TypeAlias = (
    Soften
    | CarryOn
    | FalseInterruption
    | Cut
    | Drop
    | Hold
    | Release
    | Guess
    | TakeBack
    | EndTurn
    | Discard
    | SayRest
    | AskAgain
    | Complain
)
