"""How long to wait behind the caller's last sound before it is the agent's turn."""

from __future__ import annotations

import attrs

from callengine.turns.entities import Expectation, progress
from callengine.turns.phrases import Phrases
from callengine.turns.settings import Endpointing
from callengine.turns.unfinished import unfinished

MARGIN = 0.1
"""Seconds by which a caller's pause may be longer than those he made before."""

STRETCH = 1.5
"""A caller who pauses in the middle of a sentence is given so many times what he took so far."""

LEAST = 0.7
"""Seconds that an unfinished sentence is waited for, whatever this caller's pauses were."""

FORGET = 0.5
"""What is left, after a turn that was over when it seemed so, of the extra time that an early answer had earned."""

BEGINNING = 4
"""Samples of a caller's pauses over which their mean adapts."""


@attrs.frozen
class Wait:
    """How long to wait, and why, for people."""

    delay: float
    reason: str
    finished: bool
    """Whether the words look like a whole turn."""


class Endpointer:
    """Decides for one call, and learns its caller's pauses."""

    def __init__(self, settings: Endpointing, phrases: Phrases) -> None:
        self._settings = settings
        self._phrases = phrases
        self._pauses = 0
        self._pause = 0.0
        """The mean of the pauses that this caller made in the middle of sentences."""
        self._extra = 0.0
        """What an answer that came too early has taught about finished sentences."""
        self._known: tuple[tuple[str, Expectation | None, float | None], Wait] | None = None
        """The last question and its answer: it is asked again for every fact, while the words stay the same."""

    def wait(self, text: str, expectation: Expectation | None, verdict: float | None) -> Wait:
        """How long to wait behind these words. ``verdict`` is the turn detector's probability that they are all."""
        question = text, expectation, verdict
        if self._known is None or self._known[0] != question:
            self._known = question, self._judge(text, expectation, verdict)
        return self._known[1]

    def _judge(self, text: str, expectation: Expectation | None, verdict: float | None) -> Wait:
        settings = self._settings
        if expectation is not None:
            far = progress(text, expectation, self._phrases)
            if far.state == "partial":
                return Wait(max(settings.entity_delay, settings.min_delay), far.reason, False)
            if far.state == "complete":
                return Wait(settings.min_delay, far.reason, True)
        why = unfinished(text, self._phrases)
        if why is not None:
            return Wait(self._unfinished(), why, False)
        if verdict is not None and verdict <= settings.threshold:
            return Wait(settings.max_delay, f"model {verdict:.2f} <= {settings.threshold:g}", False)
        sure = "finished sentence" if verdict is None else f"model {verdict:.2f} > {settings.threshold:g}"
        return Wait(min(settings.max_delay, settings.min_delay + self._extra), sure, True)

    def _unfinished(self) -> float:
        settings = self._settings
        if settings.mode == "fixed" or not self._pauses:
            return settings.max_delay
        return min(settings.max_delay, max(LEAST, settings.min_delay, self._pause * STRETCH))

    def went_on(self, pause: float, *, finished: bool) -> None:
        """The caller went on after so many seconds, behind words that looked finished or did not."""
        settings = self._settings
        if settings.mode == "fixed":
            return
        self._known = None
        if not finished:
            self._pauses = min(self._pauses + 1, BEGINNING)
            self._pause += (min(pause, settings.max_delay) - self._pause) / self._pauses
        elif pause <= settings.max_delay:  # a longer one is waited for behind no sentence
            self._extra = max(self._extra, min(pause + MARGIN, settings.max_delay) - settings.min_delay)

    def was_over(self) -> None:
        """A turn was over when it seemed so."""
        self._extra *= FORGET
        self._known = None
