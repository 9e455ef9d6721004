"""Preemptive replies: when to guess that the caller is done, and whether the guess was right."""

from __future__ import annotations

import math

from callengine.turns.actions import Guess, TakeBack
from callengine.turns.listening import Utterance
from callengine.turns.phrases import normal
from callengine.turns.settings import Preemption

PAUSE_WORDS = 0.15
"""Seconds behind a pause in which a recogniser that writes at pauses has written: the embedded one takes 0.03 s and
0.027 s for each second of speech (``python -m benchmarks.turns --time-recogniser``)."""


class Guesser:
    """One call's guesses. At most one is out at a time."""

    def __init__(self, settings: Preemption) -> None:
        self._settings = settings
        self._tries = 0
        self.text: str | None = None
        """The guess that is out."""
        self._words = ""

    @property
    def ready(self) -> bool:
        """Whether another guess may be made in this turn."""
        return self._settings.enabled and self.text is None and self._tries < self._settings.tries

    def reason(self, at: float, began: float, utterance: Utterance | None, *, eager: bool) -> str | None:
        """Why the words so far may be the whole turn; None if they need not be.

        ``began`` is when the turn's first sound was, ``utterance`` the one that goes on (None: it has ended), ``eager``
        whether the recogniser thinks that the turn is over.
        """
        if at > began + self._settings.max_speech:
            return None
        if eager:
            return "the recogniser thinks that the turn is over"
        if utterance is None or utterance.settled or at >= self._told_by(utterance):
            return "a pause behind a whole sentence"
        if at >= utterance.interim_at + self._settings.stable:
            return f"the transcript has not changed for {self._settings.stable:g} s"
        return None

    def guess(self, text: str, reason: str) -> Guess:
        """That this is the whole turn."""
        self._tries += 1
        self.text, self._words = text, normal(text)
        return Guess(text, reason)

    def next_check(self, utterance: Utterance | None, at: float) -> float:
        """When, after ``at``, an interim has been stable for long enough."""
        if utterance is None:
            return math.inf
        moments = (self._told_by(utterance), utterance.interim_at + self._settings.stable)
        return min((due for due in moments if due > at), default=math.inf)

    def _told_by(self, utterance: Utterance) -> float:
        """When a recogniser that has more to say behind a pause has said it."""
        return math.inf if utterance.paused_at is None else utterance.paused_at + PAUSE_WORDS

    def disagrees(self, text: str) -> bool:
        """Whether a guess is out that is not these words."""
        return self.text is not None and text != self.text and normal(text) != self._words

    def take_back(self, reason: str) -> TakeBack:
        """The guess that is out was wrong."""
        self.text = None
        return TakeBack(reason)

    def right(self) -> bool:
        """The turn is over; returns whether it was guessed."""
        right, self.text = self.text is not None, None
        return right

    def forget_tries(self) -> None:
        """Nobody speaks: what comes next is another turn."""
        self._tries = 0
