"""The turn-taker: facts in, actions out.

A pure state machine of one call. It owns the only answer to "whose turn is it": no other part keeps a flag for that.
``handle`` takes a timestamped fact and returns what must be done, in order; ``next_check`` is the next moment at which
it wants to be asked again with ``tick``, or infinity.

The rules:

- Every final transcript that has words is in exactly one turn, unmodified, in the order of the utterances. Dropped are
  a recogniser's artefacts, duplicates without new speech, the agent's echo, and backchannels over its words, each with
  its reason.
- The caller's turn ends when he has been silent for as long as his last words ask for: little behind a finished
  sentence, more behind one that is not, or in the middle of a number. What he says before that belongs to the turn.
- An audible reply is softened (paused or ducked) by sound that lasts, and cut when a strategy confirms that the caller
  means it. When none does, the agent carries on with the word that was not heard.
- A reply that nobody has heard yet is never cut by sound. It is held back while the caller is speaking; when words
  come of it they replace the reply, when none do it is released.
- When the caller goes on before his answer was audible for ``split`` seconds, both halves are answered as one.
- When a reply was cut by a sound without words, the agent says the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from callengine.events import (
    Fact,
    InterruptionAsked,
    KeyPressed,
    ReplyAudible,
    ReplyClosed,
    ReplyOpened,
    ReplyText,
    SpeechResumed,
    SpeechStarted,
    Transcript,
    TurnHint,
    TurnVerdict,
)
from callengine.turns.actions import Action, AskAgain, Discard, EndTurn, Hold, Release
from callengine.turns.endpointing import Endpointer, Wait
from callengine.turns.entities import Expectation
from callengine.turns.expectation import expected
from callengine.turns.floor import Floor
from callengine.turns.guessing import Guesser
from callengine.turns.last_turn import LastTurn
from callengine.turns.listening import Listening, Utterance, tell
from callengine.turns.phrases import phrases_for
from callengine.turns.replies import Replies
from callengine.turns.settings import TurnSettings
from callengine.turns.sifting import Sieve

VERDICT_PATIENCE = 0.2
"""Seconds beyond ``min_delay`` that a turn detector's verdict is waited for: it is asked after 0.2 s of silence
(`TurnDetectionSettings`), and smart-turn takes 35 ms of CPU, behind the questions of other calls."""


class TurnTaker:
    """Decides, for one call. See the module's text for the rules.

    ``detector`` says whether verdicts of a turn detector are to be expected.
    """

    def __init__(self, settings: TurnSettings, *, language: str = "en", detector: bool = False) -> None:
        phrases = settings.phrases or phrases_for(language)
        self._settings = settings
        self._infers = language.lower().startswith("en") and settings.endpointing.infer_entities
        self._detector = detector
        self._sieve = Sieve(settings.interruption, phrases)
        self._replies = Replies(settings.interruption.echo_guard)
        self._floor = Floor(settings, phrases, self._sieve, self._replies)
        self._listening = Listening(settings.final_timeout, self._replies.place)
        self._endpointer = Endpointer(settings.endpointing, phrases)
        self._guesser = Guesser(settings.preemption)
        self._parts: list[Utterance] = []
        """The turn in the making: utterances that are over, with words."""
        self._last_turn = LastTurn(settings.split, self._replies)
        self._let_pass: Utterance | None = None
        """The last backchannel: it is an answer after all if a question ends right behind it."""
        self._expectation: Expectation | None = None
        self._inferred: Expectation | None = None
        """What the agent's words have asked for."""
        self._held = False
        self._now = -math.inf
        """The time of the last fact or tick."""

    # --- for the conductor --------------------------------------------------------------------------------------------

    @property
    def next_check(self) -> float:
        """The next moment at which ``tick`` has something to do; infinity for never. Always later than the last fact or
        tick."""
        utterances = self._listening.utterances.values()
        moments = [self._listening.next_check, self._floor.next_check(utterances, self._now), self._turn_due()]
        if self._may_guess():
            moments.append(self._guesser.next_check(self._listening.newest, self._now))
        return min(moments)

    @property
    def caller_is_speaking(self) -> bool:
        """Whether an utterance of the caller is under way, waits for its words, or may be gone on with."""
        return bool(self._listening.utterances or self._parts)

    def expect(self, expectation: Expectation | None) -> None:
        """What the caller is expected to say next, until his next turn has ended; None for nothing in particular."""
        self._expectation = expectation

    def handle(self, fact: Fact) -> list[Action]:
        """Take in a fact; returns what must be done, in order."""
        actions = self._take_in(fact)
        return actions + self.tick(fact.at)

    def tick(self, at: float) -> list[Action]:
        """Do what is due at this moment."""
        self._now = at
        actions: list[Action] = []
        for utterance in self._listening.overdue(at):
            if not utterance.final:
                reason = f"no final within {self._settings.final_timeout:g} s of the end of speech"
                actions.append(AskAgain(reason))
                self._floor.explain()
        actions += self._floor.heed(at, self._listening.utterances.values())
        for utterance in self._listening.settled():
            actions += self._settle(at, utterance)
        if self._guesser.text is not None and self._guesser.disagrees(self._text()):
            actions += self._take_back("the caller's words are others")
        actions += self._end_turn() if at >= self._turn_due() else self._guess(at)
        if not self.caller_is_speaking:
            self._guesser.forget_tries()
            actions += self._floor.say_rest()
        return actions + self._hold_or_release() + self._floor.complaints()

    # --- facts --------------------------------------------------------------------------------------------------------

    def _take_in(self, fact: Fact) -> list[Action]:
        match fact:
            case ReplyOpened():
                self._floor.opened(fact)
                self._let_pass = None
            case ReplyText():
                self._replies.told(fact)
                self._infer(fact.text)
            case ReplyAudible():
                self._replies.audible(fact)
                if self._replies.reply is not None:
                    self._infer(self._replies.reply.text)
            case ReplyClosed():
                self._on_closed(fact)
            case KeyPressed():
                return self._floor.interrupt(fact.at, "dtmf", "caller pressed a key")
            case InterruptionAsked():
                reason = "the application asked for it"
                return [*self._take_back(reason), *self._floor.interrupt(fact.at, "application", reason)]
            case _:
                return self._on_speech(fact)
        return []

    def _on_speech(self, fact: Fact) -> list[Action]:
        utterance = self._listening.take_in(fact)
        match fact:
            case SpeechStarted() | SpeechResumed():
                return self._take_back("the caller goes on")
            case TurnHint(kind="resumed"):
                return self._take_back("the recogniser says that the caller goes on")
            case TurnVerdict() | TurnHint() if utterance is None and self._parts:
                if self._parts[-1].number == fact.utterance and not self._listening.utterances:
                    tell(self._parts[-1], fact)
            case Transcript(final=True) if utterance is None and fact.text.strip():
                return [Discard(fact.utterance, fact.text.strip(), "late", "this utterance has had its words")]
        return []

    def _infer(self, text: str) -> None:
        """What the agent's words ask for, once they can be heard."""
        speaking = self._replies.speaking
        if self._infers and speaking is not None:
            self._inferred = expected(text) or self._inferred

    def _on_closed(self, fact: ReplyClosed) -> None:
        reply = self._floor.closed(fact)
        passed, self._let_pass = self._let_pass, None
        if reply is None:
            return
        self._last_turn.closed(reply)
        if passed is not None and self._floor.is_answer(passed, reply, fact.unheard):
            self._floor.explain()
            self._parts.append(passed)

    # --- the turn in the making ---------------------------------------------------------------------------------------

    def _settle(self, at: float, utterance: Utterance) -> list[Action]:
        """An utterance is over and has its words, or none: it is part of a turn, or it is dropped with its reason."""
        if not utterance.final:
            return []
        if utterance.stopped_at is None:  # the recogniser knew before the VAD
            utterance.stopped_at, utterance.ended = at, utterance.newest_sound(at)
        discard = self._sieve.sift(at, utterance) or self._not_for_us(utterance)
        if discard is not None:
            return [discard]
        self._floor.explain()
        self._let_pass = None
        self._learn_pause(utterance)
        self._parts.append(utterance)
        return []

    def _not_for_us(self, utterance: Utterance) -> Discard | None:
        assert utterance.final
        if self._replies.is_echo(utterance):
            return Discard(utterance.number, utterance.final, "echo", "the agent's own words came back")
        if self._floor.lets_pass(utterance):
            self._let_pass = utterance
            return Discard(utterance.number, utterance.final, "backchannel", "said while the agent speaks")
        return None

    def _learn_pause(self, utterance: Utterance) -> None:
        """The caller has paused before this utterance, in the same turn."""
        if self._parts:
            before = self._parts[-1]
            wait = self._wait_behind(_joined(self._parts), before.verdict)
            if not wait.doubtful:  # it was waited for, so no answer came too early
                self._endpointer.went_on(utterance.onset - _ended(before), finished=wait.finished)

    def _text(self) -> str:
        return _joined([*self._parts, *self._listening.utterances.values()])

    def _wait(self) -> Wait:
        """How long to wait behind the words so far."""
        newest = self._listening.newest or self._parts[-1]
        return self._wait_behind(self._text(), newest.verdict)

    def _looks_finished(self) -> bool:
        wait = self._wait()
        return wait.finished and not wait.doubtful

    def _wait_behind(self, text: str, verdict: float | None) -> Wait:
        text, expectation = self._last_turn.with_it(text, self._expectation or self._inferred)
        return self._endpointer.wait(text, expectation, verdict)

    def _turn_due(self) -> float:
        """When the turn in the making is over, if the caller stays silent."""
        if not self._parts or self._listening.utterances:
            return math.inf
        last = self._parts[-1]
        if last.hint == "end":
            return _ended(last)
        wait = self._wait()
        delay = wait.delay
        if self._detector and wait.finished and last.verdict is None:
            delay = max(delay, self._settings.endpointing.min_delay + VERDICT_PATIENCE)
        return _ended(last) + delay

    def _end_turn(self) -> list[Action]:
        wait, text, first, last = self._wait(), self._text(), self._parts[0], self._parts[-1]
        self._parts = []
        why = "the recogniser says so" if last.hint == "end" else wait.reason
        since = "the words came" if last.ended is None else "the last sound"
        reason = f"{why}, {(self._now - _ended(last)) * 1000:.0f} ms after {since}"
        guessed, continues = self._guesser.right(), self._last_turn.goes_on
        self._last_turn.teach(self._endpointer, first.onset)
        expectation = self._expectation or self._inferred
        self._last_turn.becomes(text, expectation, ended=_ended(last), finished=wait.finished)
        self._expectation = self._inferred = None
        actions = [] if guessed else self._replies.overtaken("the caller said something new before it could be heard")
        return [*actions, EndTurn(last.number, text, last.ended, reason, continues, guessed)]

    # --- guesses ------------------------------------------------------------------------------------------------------

    def _take_back(self, reason: str) -> list[Action]:
        """The guess that is out, if one is, was wrong: nobody wants the answer to it."""
        if self._guesser.text is None:
            return []
        return [self._guesser.take_back(reason), *self._replies.drop("it answers a wrong guess")]

    def _may_guess(self) -> bool:
        return self._guesser.ready and self._replies.reply is None and len(self._listening.utterances) < 2

    def _guess(self, at: float) -> list[Action]:
        """Guess that the words so far are the whole turn, if they look like it and nothing else is being answered."""
        utterance = self._listening.newest
        if not (self._may_guess() and self.caller_is_speaking) or self._last_turn.goes_on:
            return []
        newest = utterance or self._parts[-1]
        began = self._parts[0].onset if self._parts else newest.onset
        eager = newest.hint == "eager"
        reason, text = self._guesser.reason(at, began, utterance, eager=eager), self._text()
        if reason is None or not text or not (eager or self._looks_finished()):
            return []
        if utterance is not None and utterance.text and not self._floor.words(utterance):
            return []
        if newest.over is not None and self._floor.is_backchannel(text):
            return []  # the agent may have more to say
        return [self._guesser.guess(text, reason)]

    # --- replies that are not audible ---------------------------------------------------------------------------------

    def _hold_or_release(self) -> list[Action]:
        waiting = self.caller_is_speaking
        if waiting == self._held:
            return []
        self._held = waiting
        if waiting:
            return [Hold("the caller is speaking")]
        return [Release("the caller is silent")]


def _joined(utterances: Iterable[Utterance]) -> str:
    return " ".join(utterance.text for utterance in utterances if utterance.text)


def _ended(utterance: Utterance) -> float:
    """When its last sound ended; where only a transcript told of it, when that came."""
    if utterance.ended is not None:
        return utterance.ended
    assert utterance.stopped_at is not None
    return utterance.stopped_at
