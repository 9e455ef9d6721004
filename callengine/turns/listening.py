"""The caller's side: his utterances, each from its first sound to its final transcript."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from callengine.events import (
    Fact,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSteady,
    SpeechStopped,
    SpeechWavers,
    Transcript,
    TurnHint,
    TurnVerdict,
)
from callengine.ports import HintKind


@attrs.define
class Utterance:
    """One stretch of the caller's speech, until it is dealt with."""

    number: int
    onset: float
    since: float = attrs.field(init=False)
    """When that of it began which may be an interruption: its onset, or where it went on after it was let be."""
    over: int | None = None
    """The reply that sounded when it began."""
    into: float = 0.0
    """How many seconds of that reply could be heard by then."""
    stopped_at: float | None = None
    """When it was known to be over; None while it goes on."""
    ended: float | None = None
    """When its last sound ended; None where only a transcript tells of it."""
    interim: str = ""
    interim_at: float = math.inf
    """Since when the interim is the same; infinity where the caller has gone on since."""
    final: str | None = None
    quiet_since: float | None = None
    """Since when its newest moments are silent; None while it sounds."""
    paused_at: float | None = None
    """When its present pause was known; None while there is none."""
    hint: HintKind | None = None
    """What a recogniser that judges turns said of it last."""
    verdict: float | None = None
    """What the turn detector said of the pause that goes on."""
    let_be: tuple[int, str] | None = None
    """The reply of which it was found to be no interruption, and the words that it had by then."""

    @since.default
    def _from_the_start(self) -> float:
        return self.onset

    @property
    def speaking(self) -> bool:
        return self.stopped_at is None and self.hint != "end"

    @property
    def sounding(self) -> bool:
        """It goes on, and has not just fallen silent: a cough is over before it counts as stopped."""
        return self.speaking and self.quiet_since is None

    @property
    def paused(self) -> bool:
        return self.paused_at is not None

    @property
    def settled(self) -> bool:
        """Whether its words are those of all that sounded so far: final, or written behind the pause that goes on."""
        if self.final is not None:
            return True
        return self.paused_at is not None and self.paused_at <= self.interim_at < math.inf

    @property
    def text(self) -> str:
        """The words so far."""
        return self.interim if self.final is None else self.final

    def newest_sound(self, at: float) -> float:
        """When it sounded last."""
        until = self.ended if self.ended is not None else self.quiet_since
        return at if until is None else until


class Listening:
    """Keeps the utterances that were not dealt with, in the order of their numbers. ``place`` is told of each new one
    and notes what the agent was doing."""

    def __init__(self, final_timeout: float, place: Callable[[Utterance], None]) -> None:
        self._final_timeout = final_timeout
        self._place = place
        self.utterances: dict[int, Utterance] = {}
        self._done = 0
        """The highest number that was dealt with."""

    def take_in(self, fact: Fact) -> Utterance | None:
        """A fact about the caller's speech. Returns what it is about; None where that is past, or has its words."""
        match fact:
            case SpeechStarted():
                return self._begin(Utterance(fact.utterance, fact.onset))
            case Transcript():
                return self._transcript(fact)
            case (
                SpeechStopped()
                | SpeechPaused()
                | SpeechResumed()
                | SpeechWavers()
                | SpeechSteady()
                | TurnVerdict()
                | TurnHint()
            ):
                utterance = self.utterances.get(fact.utterance)
                if utterance is not None:
                    tell(utterance, fact)
                return utterance
        return None

    def _begin(self, utterance: Utterance) -> Utterance:
        self.utterances[utterance.number] = utterance
        self._place(utterance)
        return utterance

    def _transcript(self, fact: Transcript) -> Utterance | None:
        if fact.utterance <= self._done:
            return None
        utterance = self.utterances.get(fact.utterance)
        if utterance is None:  # a recogniser heard what the VAD did not
            utterance = self._begin(Utterance(fact.utterance, fact.at, stopped_at=fact.at))
        if utterance.final is not None:
            return None
        text = fact.text.strip() if any(map(str.isalnum, fact.text)) else ""
        if fact.final:
            utterance.final = text
        elif text != utterance.interim:
            utterance.interim, utterance.interim_at = text, fact.at
        return utterance

    @property
    def newest(self) -> Utterance | None:
        """The utterance that goes on, or waits for its words; None where all is said and known."""
        return next(reversed(self.utterances.values()), None)

    def overdue(self, at: float) -> list[Utterance]:
        """The utterances whose final has not come in time: their last interim counts as it."""
        late = [u for u in self.utterances.values() if u.final is None and at >= self._due(u)]
        for utterance in late:
            utterance.final = utterance.interim
        return late

    def _due(self, utterance: Utterance) -> float:
        return math.inf if utterance.stopped_at is None else utterance.stopped_at + self._final_timeout

    @property
    def next_check(self) -> float:
        """When the next final is overdue."""
        return min((self._due(u) for u in self.utterances.values() if u.final is None), default=math.inf)

    def settled(self) -> list[Utterance]:
        """What is over and has its words, oldest first: an utterance waits for the words of those before it. Each is
        returned once."""
        settled: list[Utterance] = []
        for number in sorted(self.utterances):
            utterance = self.utterances[number]
            if utterance.final is None or utterance.speaking:
                break
            settled.append(self.utterances.pop(number))
            self._done = number
        return settled


def tell(
    utterance: Utterance,
    fact: SpeechStopped | SpeechPaused | SpeechResumed | SpeechWavers | SpeechSteady | TurnVerdict | TurnHint,
) -> None:
    """What became known of an utterance."""
    match fact:
        case SpeechStopped():
            utterance.stopped_at, utterance.ended = fact.at, fact.ended
        case SpeechPaused():
            utterance.paused_at = fact.at
            utterance.quiet_since = fact.at if utterance.quiet_since is None else utterance.quiet_since
        case SpeechResumed():
            utterance.paused_at, utterance.quiet_since = None, None
            utterance.hint, utterance.verdict, utterance.interim_at = None, None, math.inf
            if utterance.let_be is not None:
                utterance.let_be, utterance.since = None, fact.at
        case SpeechWavers():
            utterance.quiet_since = fact.at
        case SpeechSteady():
            utterance.quiet_since = None
        case TurnVerdict():
            utterance.verdict = fact.probability
        case TurnHint():
            utterance.hint = fact.kind
