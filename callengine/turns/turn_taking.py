"""The turn-taker: facts in, actions out.

A pure state machine of one call. It owns the only answer to "whose turn is it": no other part keeps a flag for that.
``handle`` takes a timestamped fact and returns what must be done, in order; ``next_check`` is the next moment at which
it wants to be asked again with ``tick``, or infinity.

The rules:

- The caller's turn ends when an utterance has ended and its final transcript is here. Every final that has words
  yields exactly one turn, unmodified, in the order of the utterances.
- An audible reply is cut when the caller has been speaking for ``min_interruption`` and still is, or has been
  understood.
- A reply that nobody has heard yet is never cut by sound. It is held back while the caller is speaking; when words
  come of it they replace the reply, when none do it is released.
- When a reply was cut by a sound without words, the agent says the rest.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import attrs

from callengine.events import (
    Fact,
    ReplyAudible,
    ReplyClosed,
    ReplyOpened,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSteady,
    SpeechStopped,
    SpeechWavers,
    Transcript,
    Trigger,
)
from callengine.turns.settings import TurnSettings


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
class EndTurn:
    """The caller's turn is over: answer it."""

    utterance: int
    text: str
    speech_ended: float | None
    """When the caller's last sound ended; None where only a transcript told of it."""
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


Action: TypeAlias = Cut | Drop | Hold | Release | EndTurn | SayRest | AskAgain


@attrs.define
class _Utterance:
    """One stretch of the caller's speech, until it is answered or found empty."""

    number: int
    onset: float
    stopped_at: float | None = None
    ended: float | None = None
    interim: str = ""
    final: str | None = None
    wavering: bool = False

    @property
    def speaking(self) -> bool:
        return self.stopped_at is None


@attrs.define
class _Reply:
    number: int
    interruptible: bool
    may_wait: bool
    audible: bool = False
    cut: bool = False
    """Cut or dropped, and on its way out."""
    answered: bool = False
    """Whether the caller's words came, so that nobody wants the rest of it."""


class TurnTaker:
    """Decides, for one call. See the module's text for the rules."""

    def __init__(self, settings: TurnSettings) -> None:
        self._settings = settings
        self._utterances: dict[int, _Utterance] = {}
        """In the order of their numbers; an utterance leaves when its final was dealt with."""
        self._done = 0
        """The highest utterance number that was dealt with: its late duplicates mean nothing."""
        self._reply: _Reply | None = None
        self._held = False
        self._unheard = ""
        """What the last cut withheld from the caller, until words or silence explain the cut."""

    @property
    def next_check(self) -> float:
        """The next moment at which ``tick`` has something to do; infinity for never."""
        moments = [
            u.stopped_at + self._settings.final_timeout
            for u in self._utterances.values()
            if u.stopped_at is not None and u.final is None
        ]
        if self._can_be_cut():
            moments += [u.onset + self._settings.min_interruption for u in self._sounding()]
        return min(moments, default=math.inf)

    @property
    def caller_is_speaking(self) -> bool:
        """Whether an utterance of the caller is under way, or waits for its words."""
        return bool(self._utterances)

    def handle(self, fact: Fact) -> list[Action]:
        """Take in a fact; returns what must be done, in order."""
        match fact:
            case SpeechStarted():
                self._utterances[fact.utterance] = _Utterance(fact.utterance, fact.onset)
            case SpeechStopped():
                if utterance := self._utterances.get(fact.utterance):
                    utterance.stopped_at, utterance.ended = fact.at, fact.ended
                    return [*self._deal_with_finals(), *self.tick(fact.at)]  # a final may have come before
            case Transcript():
                return self._on_transcript(fact)
            case ReplyOpened():
                self._reply = _Reply(fact.reply, fact.interruptible, fact.may_wait)
                self._unheard = ""  # the agent has moved on
            case ReplyAudible():
                if self._reply is not None and self._reply.number == fact.reply:
                    self._reply.audible = True
            case ReplyClosed():
                if self._reply is not None and self._reply.number == fact.reply:
                    if self._reply.cut and not self._reply.answered:
                        self._unheard = fact.unheard
                    self._reply = None
                return [*self._say_rest(), *self.tick(fact.at)]
            case SpeechWavers() | SpeechSteady():
                if utterance := self._utterances.get(fact.utterance):
                    utterance.wavering = isinstance(fact, SpeechWavers)
            case SpeechPaused() | SpeechResumed():
                pass
        return self.tick(fact.at)

    def tick(self, at: float) -> list[Action]:
        """Do what is due at this moment."""
        actions: list[Action] = []
        for utterance in list(self._utterances.values()):
            due = utterance.stopped_at is not None and at >= utterance.stopped_at + self._settings.final_timeout
            if due and utterance.final is None:
                utterance.final = utterance.interim
                if not utterance.interim:
                    actions.append(AskAgain(f"no final within {self._settings.final_timeout:g} s of the end of speech"))
                    self._explain()
                actions += self._deal_with_finals()
        if self._can_be_cut():
            for utterance in self._sounding():
                if at >= utterance.onset + self._settings.min_interruption:
                    spoken = at - utterance.onset
                    reason = f"caller has been speaking for {spoken * 1000:.0f} ms"
                    actions.append(self._cut(utterance, "speech", reason))
                    break
        return [*actions, *self._hold_or_release()]

    # --- inside ---------------------------------------------------------------------------------------------------

    def _sounding(self) -> list[_Utterance]:
        """The utterance that goes on, unless it has just fallen silent: a cough is over before it counts as stopped."""
        return [u for u in self._utterances.values() if u.speaking and not u.wavering]

    def _can_be_cut(self) -> bool:
        reply = self._reply
        return self._settings.barge_in and reply is not None and reply.audible and reply.interruptible and not reply.cut

    def _cut(self, utterance: _Utterance, trigger: Trigger, reason: str) -> Cut:
        assert self._reply is not None
        self._reply.cut = True
        return Cut(self._reply.number, utterance.onset, trigger, reason)

    def _on_transcript(self, fact: Transcript) -> list[Action]:
        text = fact.text.strip()
        if fact.utterance <= self._done:
            return []
        utterance = self._utterances.get(fact.utterance)
        if utterance is None:  # a recogniser heard what the VAD did not
            utterance = self._utterances[fact.utterance] = _Utterance(fact.utterance, fact.at, fact.at)
        actions: list[Action] = []
        if text and self._can_be_cut():
            actions.append(self._cut(utterance, "transcript", f"caller said {text!r}"))
        if not fact.final:
            utterance.interim = text
            return [*actions, *self.tick(fact.at)]
        utterance.final = text
        return [*actions, *self._deal_with_finals(), *self.tick(fact.at)]

    def _deal_with_finals(self) -> list[Action]:
        """Answer what can be answered, oldest first: an utterance waits for the words of those before it."""
        actions: list[Action] = []
        for number in sorted(self._utterances):
            utterance = self._utterances[number]
            if utterance.final is None or utterance.speaking:
                break
            del self._utterances[number]
            self._done = number
            actions += self._answer(utterance) if utterance.final else self._say_rest()
        return actions

    def _answer(self, utterance: _Utterance) -> list[Action]:
        assert utterance.final
        actions: list[Action] = []
        reply = self._reply
        if reply is not None and not reply.cut and not reply.audible and reply.may_wait:
            reply.cut = True
            actions.append(Drop(reply.number, "the caller said something new before it could be heard"))
        self._explain()
        ended = utterance.ended
        waited = "" if ended is None or utterance.stopped_at is None else f" after {utterance.stopped_at - ended:.2f} s"
        actions.append(EndTurn(utterance.number, utterance.final, ended, f"end of speech{waited} and final transcript"))
        return actions

    def _explain(self) -> None:
        """The caller meant something by it: what a cut withheld is not said any more."""
        self._unheard = ""
        if self._reply is not None and self._reply.cut:
            self._reply.answered = True

    def _say_rest(self) -> list[Action]:
        """Once a cut is over and no speech explains it: go on."""
        unheard = self._unheard
        if not unheard or self._utterances or self._reply is not None:
            return []
        self._unheard = ""
        if not self._settings.resume:
            return []
        return [SayRest(unheard, "the interruption had no words")]

    def _hold_or_release(self) -> list[Action]:
        waiting = bool(self._utterances)
        if waiting == self._held:
            return []
        self._held = waiting
        if waiting:
            return [Hold("the caller is speaking")]
        return [Release("the caller is silent")]
