"""Whether what sounds like an interruption is one: strategies that look at what is known of it so far.

A strategy is any object with the two methods of `Confirmation`; several can be combined, and one that says yes is
enough. They are asked again whenever something about the caller's speech changes.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import attrs

from callengine.errors import ConfigurationError
from callengine.turns.phrases import Phrases


@attrs.frozen(kw_only=True)
class Evidence:
    """What is known of a pending interruption."""

    at: float
    """Now, on the engine's clock."""
    onset: float
    """When the caller began to speak."""
    duration: float
    """Seconds that he has been sounding, pauses at the end not counted."""
    text: str
    """His words so far; empty where there are none, and where they are the agent's own coming back."""
    words: int
    """How many words that are, as `phrases.normal` counts them."""
    final: bool
    """Whether ``text`` will not change any more."""
    settled: bool
    """Whether ``text`` is what all of his speech so far says: final, or written since he paused."""
    speaking: bool
    """Whether he is sounding now."""
    backchannel: bool
    """Whether there are words, and they are nothing but "mm-hm" or the like."""
    stop_word: str | None
    """The one of his words that means "stop", if there is one."""
    phrases: Phrases
    """The words of turn-taking in the call's language."""


class Confirmation(Protocol):
    """Decides about a pending interruption. Called by the turn-taker, so it must not block; what it raises is logged,
    and counts as "no"."""

    def confirms(self, evidence: Evidence) -> str | None:
        """Why this is an interruption, in a few words for people; None if it is not, or not yet."""

    def next_check(self, evidence: Evidence) -> float:
        """When the passing of time alone could change the answer (engine time); infinity for never."""


@attrs.frozen
class MinWords:
    """Confirms when so many words were understood that are not just a backchannel. ``interim`` says whether words
    count while he speaks on and they may still change, ``speech`` for how many seconds he must have been sounding."""

    words: int = 1
    interim: bool = True
    speech: float = 0.0

    def __attrs_post_init__(self) -> None:
        _check(self.words >= 1, "MinWords.words", self.words, "1 or more")
        _check(self.speech >= 0, "MinWords.speech", self.speech, "0 or more")

    def confirms(self, evidence: Evidence) -> str | None:
        if not self._understood(evidence):
            return None
        if evidence.duration < self.speech and not (evidence.speaking and evidence.at >= self._due(evidence)):
            return None
        return f"caller said {evidence.text!r}"

    def next_check(self, evidence: Evidence) -> float:
        due = self._due(evidence)
        return due if evidence.speaking and due > evidence.at and self._understood(evidence) else math.inf

    def _understood(self, evidence: Evidence) -> bool:
        if evidence.words < self.words or evidence.backchannel:
            return False
        return evidence.settled or self.interim

    def _due(self, evidence: Evidence) -> float:
        return evidence.onset + self.speech


@attrs.frozen
class MinDuration:
    """Confirms when the caller has been sounding for so many seconds, and not just said "okay, okay"."""

    seconds: float = 1.4

    def __attrs_post_init__(self) -> None:
        _check(self.seconds > 0, "MinDuration.seconds", self.seconds, "more than 0")

    def confirms(self, evidence: Evidence) -> str | None:
        if evidence.at < evidence.onset + self.seconds or not evidence.speaking or evidence.backchannel:
            return None
        return f"caller has been speaking for {(evidence.at - evidence.onset) * 1000:.0f} ms"

    def next_check(self, evidence: Evidence) -> float:
        due = evidence.onset + self.seconds
        return due if evidence.speaking and due > evidence.at else math.inf


@attrs.frozen
class StopWords:
    """Confirms at once when the caller says a word that means "stop": "wait", "hold on"."""

    def confirms(self, evidence: Evidence) -> str | None:
        return None if evidence.stop_word is None else f"caller said {evidence.stop_word!r}, which stops"

    def next_check(self, evidence: Evidence) -> float:
        del evidence
        return math.inf


@attrs.frozen
class AnySound:
    """Confirms whatever has sounded for long enough: cutting at once is what was asked for."""

    def confirms(self, evidence: Evidence) -> str | None:
        if evidence.backchannel:
            return None
        if evidence.text:
            return f"caller said {evidence.text!r}"
        return f"caller has been speaking for {(evidence.at - evidence.onset) * 1000:.0f} ms"

    def next_check(self, evidence: Evidence) -> float:
        del evidence
        return math.inf


def _check(fine: bool, name: str, value: Any, wanted: str) -> None:
    if not fine:
        raise ConfigurationError(f"{name} is {value}: give {wanted}")
