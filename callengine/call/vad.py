"""VAD: probabilities of speech to facts about the caller.

The model runs in the shared bank; this is what the bank calls. A fact goes to the recogniser and to the conductor.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from callengine.call.tee import Listener
from callengine.call.turn_detection import TurnWatch
from callengine.events import (
    Fact,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSteady,
    SpeechStopped,
    SpeechWavers,
)
from callengine.journal import Journal
from callengine.turns.voice_activity import (
    VoiceActivity,
    VoicePaused,
    VoiceResumed,
    VoiceStarted,
    VoiceStopped,
)


class VoiceWatch:
    """The VAD child of a call. ``when`` gives the time at which a sample of the stream was spoken."""

    def __init__(
        self,
        activity: VoiceActivity,
        transcriber: Listener,
        journal: Journal,
        post: Callable[[Fact], None],
        when: Callable[[int], float],
        turns: TurnWatch | None = None,
        faint_counts: Callable[[], bool] = lambda: False,
    ) -> None:
        self._activity = activity
        self._transcriber = transcriber
        self._journal = journal
        self._post = post
        self._when = when
        self._turns = turns
        self._faint_counts = faint_counts
        self._turn_from: int | None = None
        """Where the caller's turn began, with its pre-roll; None before it."""
        self._utterance = 0
        self._wavering = False
        self._silent_since = 0
        """Where the last pause began."""

    def on_probability(self, probability: float, position: int) -> None:
        """The bank's answer for the window that ends at this sample."""
        if self._journal.settings.audio:
            self._journal.note("vad.probability", position=position, probability=round(float(probability), 3))
        fact = self._activity.feed(probability, position, faint_counts=self._faint_counts())
        now = trio.current_time()
        if fact is not None:
            self._tell(fact, position, now)
        wavering = self._activity.wavering
        if wavering != self._wavering:
            self._wavering = wavering
            if self._activity.speaking:
                fact_class = SpeechWavers if wavering else SpeechSteady
                self._post(fact_class(now, self._utterance))

    def turn_ended(self) -> None:
        """What the caller says next is another turn."""
        self._turn_from = None
        self._goes_on()

    def _begin(self, onset: int, audio_from: int, now: float) -> None:
        self._utterance += 1
        self._transcriber.start(self._utterance, audio_from)
        self._turn_from = audio_from if self._turn_from is None else self._turn_from
        self._goes_on()
        self._post(SpeechStarted(now, self._utterance, self._when(onset)))

    def _goes_on(self) -> None:
        if self._turns is not None:
            self._turns.resumed()

    def _tell(self, fact: VoiceStarted | VoicePaused | VoiceResumed | VoiceStopped, position: int, now: float) -> None:
        match fact:
            case VoiceStarted(onset=onset, audio_from=audio_from):
                self._begin(onset, audio_from, now)
            case VoicePaused(since=since):
                self._silent_since = since
                self._transcriber.pause(self._utterance)
                if self._turns is not None and self._turn_from is not None:
                    self._turns.paused(self._utterance, turn_from=self._turn_from, silent_since=since)
                self._post(SpeechPaused(now, self._utterance))
            case VoiceResumed() if not self._transcriber.waits_for(self._utterance):
                self._begin(position, self._silent_since, now)  # it had its words: what follows is another one
            case VoiceResumed():
                self._transcriber.resume(self._utterance)
                self._goes_on()
                self._post(SpeechResumed(now, self._utterance))
            case VoiceStopped(ended=ended):
                self._transcriber.end(self._utterance)
                self._post(SpeechStopped(now, self._utterance, self._when(ended)))
