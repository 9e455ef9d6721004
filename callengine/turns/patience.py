"""Patience with a silent caller, and with a call that goes on for ever: one call's pure state machine.

``handle`` takes a timestamped fact and returns what must be done, in order; ``next_check`` is the next moment at which
it wants to be asked again with ``tick``, or infinity.

The rules:

- The caller is away when he and the agent have both been silent for ``away_after``. He is asked up to ``prompts`` times
  in a row, each time after as much silence; then the agent says goodbye and the call ends.
- What he says, or a key, begins the count again. A sound without words does not, nor do words that are not his own (an
  echo of the question, something that the recogniser made up): they stop the clock while they last.
- Nobody is away while the agent has something to say or the program is at work (it thinks, it looks something up), nor
  while words are on their way from the recogniser or an entry is being keyed in.
- Some time before the longest duration of a call its end is announced; then the agent says goodbye and the call ends.
- Whatever falls due waits until nobody is speaking, and until the program has answered: the announcement waits for an
  answer, and the end for anything, no longer than `MAX_WAIT`.
- The goodbye is the last that is said, and is said once. The call ends when it has been said.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import attrs

from callengine.errors import ConfigurationError
from callengine.events import (
    Fact,
    KeyPressed,
    ReplyAudible,
    ReplyClosed,
    ReplyOpened,
    SpeechStarted,
    SpeechStopped,
    Transcript,
)

MAX_WAIT = 10.0
"""Seconds that the end of a call waits for anything, its announcement for an answer, and everything for a turn that
began with words and does not end: people seldom speak for longer without a pause, and a limit that anybody can talk
away is none."""


def _above_zero(_: Any, field: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise ConfigurationError(f"PatienceSettings.{field.name} is {value}: give seconds above 0, or None for never")


@attrs.frozen(kw_only=True)
class PatienceSettings:
    """How long a call may be silent, and how long it may last. Times in seconds.

    Raises `ConfigurationError` for what cannot work.
    """

    away_after: float | None = attrs.field(default=10.0, validator=_above_zero)
    """Silence of both after which the caller is asked whether he is there; None: he never is. Dialogues that wait for
    one short answer give up sooner (Nuance Recognizer after 7 s:
    https://docs.nuance.com/speech-suite/nr-config/cfg-timeout.html, Twilio's ``<Gather>`` after 5 s); in a free
    conversation people fetch a card or a calendar meanwhile, and being hurried is worse than three seconds more."""
    prompts: int = attrs.field(default=2)
    """Times in a row that he is asked before the goodbye: with the defaults he has 30 s of silence to come back in.
    0: goodbye at once."""
    max_duration: float | None = attrs.field(default=3600.0, validator=_above_zero)
    """How long a call may last; None for any time. An hour is longer than nearly every call, and a quarter of what
    Twilio's ``<Dial>`` allows (``timeLimit``, 14,400 s: https://www.twilio.com/docs/voice/twiml/dial): it bounds the
    bill for a line that somebody forgot."""
    warn_before: float = attrs.field(default=60.0)
    """How long before the end of the longest call it is announced: time to finish a question and its answer.
    0: not at all."""

    @prompts.validator
    def _not_negative(self, _: Any, value: int) -> None:
        if value < 0:
            raise ConfigurationError(f"PatienceSettings.prompts is {value}: give 0 or more")

    @warn_before.validator
    def _within_the_call(self, _: Any, value: float) -> None:
        if not 0 <= value < math.inf:
            raise ConfigurationError(f"PatienceSettings.warn_before is {value}: give seconds, 0 for no announcement")
        if self.max_duration is not None and value >= self.max_duration:
            raise ConfigurationError(
                f"PatienceSettings.warn_before is {value:g}: make it shorter than max_duration "
                f"({self.max_duration:g}), or 0 for no announcement"
            )


@attrs.frozen
class CallerSaid:
    """The caller said something, as far as turn-taking can tell: a turn of his has ended, or he said "mm-hm".

    A `Transcript` alone is no proof of that: its words may be the agent's, or nobody's.
    """

    at: float


@attrs.frozen
class EntryEnded:
    """No entry is under way any more: it is complete, or was taken back."""

    at: float


@attrs.frozen
class Working:
    """The program has something of the caller's to deal with, and does not wait for him. So it is before its first
    `Listening`."""

    at: float


@attrs.frozen
class Listening:
    """The program waits for what the caller says or keys in next."""

    at: float


PatienceFact: TypeAlias = Fact | CallerSaid | EntryEnded | Working | Listening


@attrs.frozen
class AskIfThere:
    """Ask the caller whether he is there: the ``number``-th time in a row, from 1."""

    number: int
    reason: str


@attrs.frozen
class WarnOfEnd:
    """Say that the call will end soon: in ``remaining`` seconds."""

    remaining: float
    reason: str


@attrs.frozen
class SayGoodbye:
    """Say goodbye in place of everything else."""

    reason: str


@attrs.frozen
class EndCall:
    """End the call: the goodbye was said, or has had its time."""

    reason: str


Action: TypeAlias = AskIfThere | WarnOfEnd | SayGoodbye | EndCall


@attrs.define
class _Utterance:
    """A stretch of the caller's sound that goes on, or whose words are on their way."""

    stopped_at: float | None = None
    words: bool = False
    """Whether anything was understood of it."""
    understood: bool = False
    """Whether its final is here."""


@attrs.define
class _Goodbye:
    """The end of the call, once it has begun."""

    deadline: float
    reason: str
    before: frozenset[int]
    """Replies that it replaces."""
    reply: int | None = None
    """The reply that says it, once it is audible: one that comes too late is cut before that."""


class Patience:
    """Decides, for one call that began at ``started_at``. See the module's text for the rules.

    ``final_timeout`` is how long after the end of speech its words may still come, ``last_words`` how long the goodbye
    may take, its synthesis included, before the call ends without its rest (seconds both).
    """

    def __init__(
        self,
        settings: PatienceSettings,
        started_at: float,
        *,
        final_timeout: float,
        last_words: float,
    ) -> None:
        self._settings = settings
        self._final_timeout = final_timeout
        self._last_words = last_words
        duration = settings.max_duration
        self._end_at = math.inf if duration is None else started_at + duration
        self._warn_at = self._end_at - settings.warn_before if settings.warn_before else math.inf
        """When the end is to be announced; infinity for never, or when it was."""
        self._utterances: dict[int, _Utterance] = {}
        self._replies: set[int] = set()
        self._working_since: float | None = started_at
        """None while the program listens."""
        self._turn_until = -math.inf
        """Until when the caller's words or keys may become a turn that the program has not been given yet."""
        self._keying = False
        self._silence = 0.0
        """Seconds that both were silent, up to ``_idle_since``."""
        self._idle_since: float | None = None
        """Since when the clock of silence runs; None while it stands."""
        self._asked = 0
        self._goodbye: _Goodbye | None = None
        self._over = False

    @property
    def next_check(self) -> float:
        """The next moment at which ``tick`` has something to do; infinity for never."""
        if self._over:
            return math.inf
        if self._goodbye is not None:
            return self._goodbye.deadline
        words = (u.stopped_at + self._final_timeout for u in self._utterances.values() if u.stopped_at is not None)
        return min(self._away_at, self._warning_due, self._end_due, *words)

    def handle(self, fact: PatienceFact) -> list[Action]:
        """Take in a fact; returns what must be done, in order."""
        match fact:
            case SpeechStarted():
                self._utterances[fact.utterance] = _Utterance()
            case SpeechStopped():
                if utterance := self._utterances.get(fact.utterance):
                    utterance.stopped_at = fact.at
                    if utterance.words:
                        self._turn_until = fact.at + MAX_WAIT
                    self._forget_if_done(fact.utterance, utterance)
            case Transcript():
                self._on_transcript(fact)
            case CallerSaid() | KeyPressed():
                self._keying |= isinstance(fact, KeyPressed)
                self._asked = 0
                self._begin_silence()
            case EntryEnded():
                self._keying = False
                self._turn_until = fact.at + MAX_WAIT
            case Working():
                self._working_since = fact.at
                self._turn_until = -math.inf
            case Listening():
                self._working_since = None
            case ReplyOpened():
                self._replies.add(fact.reply)
                self._begin_silence()
            case ReplyAudible():
                if self._goodbye is not None and fact.reply not in self._goodbye.before:
                    self._goodbye.reply = fact.reply
            case ReplyClosed():
                self._replies.discard(fact.reply)
                if self._goodbye is not None and self._goodbye.reply == fact.reply:
                    self._goodbye.deadline = fact.at
            case _:
                pass  # says nothing about silence
        return self.tick(fact.at)

    def tick(self, at: float) -> list[Action]:
        """Do what is due at this moment: at most one thing."""
        if self._over:
            return []
        if self._goodbye is not None:
            if at < self._goodbye.deadline:
                return []
            self._over = True
            return [EndCall(self._goodbye.reason)]
        self._give_up_words(at)
        self._watch_clock(at)
        if at >= self._end_at:
            self._warn_at = math.inf  # too late for that
        if at >= self._end_due:
            return [self._say_goodbye(at, f"the call has lasted {self._settings.max_duration:g} s, as long as it may")]
        if at >= self._warning_due:
            return [self._warn(at)]
        if at >= self._away_at:
            return [self._ask_or_leave(at)]
        return []

    # --- when ---------------------------------------------------------------------------------------------------------

    @property
    def _quiet(self) -> bool:
        """Whether neither says anything, nor keys anything in."""
        return not (self._utterances or self._replies or self._keying)

    @property
    def _idle(self) -> bool:
        """Whether it is the caller's turn to do something, and he does not."""
        return self._quiet and self._working_since is None

    @property
    def _away_at(self) -> float:
        if self._settings.away_after is None or self._idle_since is None:
            return math.inf
        return max(self._idle_since + max(0.0, self._settings.away_after - self._silence), self._turn_until)

    @property
    def _warning_due(self) -> float:
        if not self._quiet:
            return math.inf
        since = self._working_since
        return max(self._warn_at, self._turn_until) if since is None else max(self._warn_at, since) + MAX_WAIT

    @property
    def _end_due(self) -> float:
        latest = self._end_at + MAX_WAIT
        return min(max(self._end_at, self._turn_until), latest) if self._idle else latest

    def _watch_clock(self, at: float) -> None:
        """Let the clock of silence run, or stand, as things are now."""
        if self._idle and self._idle_since is None:
            self._idle_since = at
        elif not self._idle and self._idle_since is not None:
            self._silence += at - self._idle_since
            self._idle_since = None

    def _begin_silence(self) -> None:
        self._silence = 0.0
        self._idle_since = None

    # --- what the caller does -----------------------------------------------------------------------------------------

    def _on_transcript(self, fact: Transcript) -> None:
        words = bool(fact.text.strip())
        if words:
            self._turn_until = fact.at + MAX_WAIT
        if utterance := self._utterances.get(fact.utterance):
            utterance.words |= words
            utterance.understood |= fact.final
            self._forget_if_done(fact.utterance, utterance)

    def _forget_if_done(self, number: int, utterance: _Utterance) -> None:
        if utterance.understood and utterance.stopped_at is not None:
            del self._utterances[number]

    def _give_up_words(self, at: float) -> None:
        """A recogniser that is stuck must not make a silent caller a speaking one."""
        for number, utterance in list(self._utterances.items()):
            if utterance.stopped_at is not None and at >= utterance.stopped_at + self._final_timeout:
                del self._utterances[number]

    # --- what is done about it ----------------------------------------------------------------------------------------

    def _ask_or_leave(self, at: float) -> AskIfThere | SayGoodbye:
        reason = f"the caller was silent for {self._settings.away_after:.1f} s"
        if self._asked >= self._settings.prompts:
            times = "once" if self._asked == 1 else f"{self._asked} times"
            return self._say_goodbye(at, f"{reason}, after he was asked {times}" if self._asked else reason)
        self._asked += 1
        self._begin_silence()
        self._watch_clock(at)
        return AskIfThere(self._asked, reason)

    def _warn(self, at: float) -> WarnOfEnd:
        self._warn_at = math.inf
        self._begin_silence()
        self._watch_clock(at)
        remaining = self._end_at - at
        return WarnOfEnd(remaining, f"{remaining:.1f} s are left of {self._settings.max_duration:g} s")

    def _say_goodbye(self, at: float, reason: str) -> SayGoodbye:
        self._goodbye = _Goodbye(at + self._last_words, reason, frozenset(self._replies))
        return SayGoodbye(reason)
