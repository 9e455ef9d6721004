"""Turn detection: a model that listens is asked, whenever the caller falls silent, whether he has finished.

The audio is the call's, read from the ring: the turn so far, and as much of the silence as the model wants to hear. A
verdict is a fact about the pause that goes on; one that comes when the caller speaks again is none, and is not told.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
import trio

from callengine.audio.ring import AudioRing
from callengine.call.held import first_error
from callengine.errors import ConfigurationError, ProviderError
from callengine.events import Fact, TurnVerdict
from callengine.journal import Journal
from callengine.ports import EndOfTurn, EndOfTurnSession, SessionContext

ROLE = "turn_detection"
"""Of the provider, in the journal."""


def _not_negative(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value >= 0:
        raise ConfigurationError(f"{attribute.name} is {value}: give seconds, 0 or more")


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} is {value}: give a number above 0")


@attrs.frozen(kw_only=True)
class TurnDetectionSettings:
    """When an end-of-turn model is asked. Times in seconds."""

    silence: float = attrs.field(default=0.2, validator=_not_negative)
    """Silence that it hears after the speech. More of it makes any speech sound finished: of the callers' unfinished
    beginnings in the benchmark smart-turn takes 56 % for finished (above 0.5) with 0.2 s behind them, 75 % with 0.6 s;
    of their finished sentences 96 % and more with either."""
    timeout: float = attrs.field(default=0.5, validator=_positive)
    """How long an answer may take; later it would not shorten a pause that any agent waits for."""


@attrs.define(eq=False)
class _Question:
    utterance: int
    turn_from: int
    due: int
    """Position of the ring at which enough silence was heard."""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    withdrawn: bool = False


class TurnWatch:
    """The turn detection child of a call. It is told of the caller's pauses without waiting; verdicts go out as facts.

    One question at a time: the newest counts. A detector that fails is journaled once and asked no more in this call,
    which goes on without verdicts, as it does while one does not answer in time.
    """

    def __init__(
        self,
        recipe: EndOfTurn,
        context: SessionContext,
        ring: AudioRing,
        journal: Journal,
        post: Callable[[Fact], None],
        *,
        settings: TurnDetectionSettings = TurnDetectionSettings(),
    ) -> None:
        self._recipe = recipe
        self._context = context
        self._ring = ring
        self._journal = journal
        self._post = post
        self._settings = settings
        self._silence = round(settings.silence * context.sample_rate)
        self._newest: _Question | None = None
        """Asked, or about to be; None when the caller speaks or the verdict was told."""
        self._waits = False
        """Whether the newest has yet to be asked."""
        self._failed = False
        self._wake_up, self._woken = trio.open_memory_channel[None](1)
        self.asked = 0
        """Questions so far."""
        self.given_up = 0
        """Those of them that were not answered in time."""

    # --- what happens: synchronous, from the VAD and the reader -----------------------------------------------------

    def paused(self, utterance: int, *, turn_from: int, silent_since: int) -> None:
        """The caller fell silent in this utterance. Positions of the ring: where the turn began (with its pre-roll),
        and where the silence did. What has no speech in it is not asked about."""
        self.resumed()
        if self._failed or silent_since <= max(turn_from, self._ring.start):
            return
        self._newest = _Question(utterance, turn_from, silent_since + self._silence)
        self._waits = True
        self.audio_arrived()

    def resumed(self) -> None:
        """The caller speaks on, in the same utterance or a new one, or the turn was ended without a verdict: an answer
        that is on its way would be stale."""
        if self._newest is not None:
            self._newest.withdrawn = True
            self._newest.scope.cancel()
            self._newest = None
        self._waits = False

    def audio_arrived(self) -> None:
        """The ring has more audio. Costs nothing unless a question waits for it."""
        if self._waits and self._newest is not None and self._ring.end >= self._newest.due:
            with suppress(trio.WouldBlock):  # one wake is as good as two: the task looks at what is newest
                self._wake_up.send_nowait(None)

    # --- the task ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Hold a session, and ask it; until the call ends, or the detector fails."""
        try:
            async with self._recipe.open(self._context) as session:
                self._journal.note("provider.ready", role=ROLE, provider=self._recipe.name)
                while True:
                    await self._woken.receive()
                    question = self._newest
                    if question is not None and self._waits and self._ring.end >= question.due:
                        self._waits = False
                        await self._ask(session, question)
        except* ProviderError as group:
            self._failed = True
            self.resumed()
            message = str(first_error(group))
            self._journal.note("provider.failed", role=ROLE, provider=self._recipe.name, message=message)

    async def _ask(self, session: EndOfTurnSession, question: _Question) -> None:
        ring = self._ring
        audio = ring.read(max(question.turn_from, ring.start), ring.end)
        self.asked += 1
        probability: float | None = None
        question.scope.deadline = trio.current_time() + self._settings.timeout
        with question.scope:
            probability = await session.finished(audio)
        if question.withdrawn:
            return
        self._newest = None
        if probability is None:
            self.given_up += 1
            reason = f"no verdict within {self._settings.timeout:g} s of a pause"
            self._journal.note("decision", what="go on without the turn detector", reason=reason)
        else:
            self._post(TurnVerdict(trio.current_time(), question.utterance, probability))
