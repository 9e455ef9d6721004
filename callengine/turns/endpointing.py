"""How long to wait behind the caller's last sound before it is the agent's turn."""

from __future__ import annotations

from collections import deque

import attrs

from callengine.turns.entities import Expectation, progress
from callengine.turns.phrases import Phrases
from callengine.turns.settings import Endpointing
from callengine.turns.unfinished import doubtful, unfinished

MARGIN = 0.1
"""Seconds by which a caller's pause may be longer than those he made before."""

ENOUGH, REMEMBERED = 6, 12
"""Pauses in the middle of sentences after which a caller's longest one says how long to wait, and that count."""

SLACK = 0.4
"""Seconds that he is given beyond it."""

LEAST = 0.9
"""Seconds that an unfinished sentence is waited for, whatever this caller's pauses were."""

FORGET = 0.5
"""What is left, after a turn that was over when it seemed so, of the extra time that an early answer had earned."""


@attrs.frozen
class Wait:
    """How long to wait, and why, for people."""

    delay: float
    reason: str
    finished: bool
    """Whether the words can be a whole turn."""
    doubtful: bool = False
    """Whether something all the same speaks for more to come."""


class Endpointer:
    """Decides for one call, and learns its caller's pauses."""

    def __init__(self, settings: Endpointing, phrases: Phrases) -> None:
        self._settings = settings
        self._phrases = phrases
        self._pauses: deque[float] = deque(maxlen=REMEMBERED)
        """What this caller paused in the middle of sentences, last."""
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
        delay = min(settings.max_delay, settings.min_delay + self._extra)
        doubtfully = max(min(settings.doubt_delay, settings.max_delay), delay)
        if verdict is not None:
            if verdict > settings.threshold:
                return Wait(delay, f"model {verdict:.2f} > {settings.threshold:g}", True)
            return Wait(doubtfully, f"model {verdict:.2f} <= {settings.threshold:g}", True, doubtful=True)
        why = doubtful(text, self._phrases)
        return Wait(delay, "finished sentence", True) if why is None else Wait(doubtfully, why, True, doubtful=True)

    def _unfinished(self) -> float:
        settings = self._settings
        if settings.mode == "fixed" or len(self._pauses) < ENOUGH:
            return settings.max_delay
        return min(settings.max_delay, max(LEAST, settings.doubt_delay, max(self._pauses) + SLACK))

    def went_on(self, pause: float, *, finished: bool) -> None:
        """The caller went on after so many seconds, behind words that looked finished or did not."""
        settings = self._settings
        if settings.mode == "fixed":
            return
        self._known = None
        if not finished:
            self._pauses.append(pause)
        elif pause <= settings.max_delay:  # a longer one is waited for behind no sentence
            self._extra = max(self._extra, min(pause + MARGIN, settings.max_delay) - settings.min_delay)

    def was_over(self) -> None:
        """A turn was over when it seemed so."""
        self._extra *= FORGET
        self._known = None
