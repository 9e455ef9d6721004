"""Whether the caller takes the floor from the reply on the line.

An interruption is pending from the moment that sound has lasted long enough, or that words were understood, until a
strategy confirms it or something dismisses it. There is one pending interruption at a time, whatever noticed it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from callengine.events import ReplyClosed, ReplyOpened, Trigger
from callengine.turns.actions import Action, CarryOn, Complain, Cut, FalseInterruption, SayRest, Soften
from callengine.turns.confirmation import Confirmation, Evidence
from callengine.turns.listening import Utterance
from callengine.turns.phrases import Phrases, is_backchannel, normal, stop_word
from callengine.turns.replies import Replies, Reply
from callengine.turns.settings import TurnSettings
from callengine.turns.sifting import Sieve

FALSE_ALARMS = 2
"""False interruptions after which sound alone does not disturb a reply any more, but words do: a line that echoes would
keep the agent from ever finishing its sentence."""

SPEAKING_RATE = 2.5
"""Words that the agent says in a second, where only the words are known: 150 a minute."""


@attrs.frozen
class _Pending:
    utterance: Utterance
    deadline: float


class Floor:
    """Decides for one call whether the reply on the line is interrupted."""

    def __init__(self, settings: TurnSettings, phrases: Phrases, sieve: Sieve, replies: Replies) -> None:
        self._settings = settings
        self._rules = settings.interruption
        self._strategies = settings.interruption.strategies
        self._phrases = phrases
        self._sieve = sieve
        self._replies = replies
        self._pending: _Pending | None = None
        self._softened = False
        self._unheard = ""
        """What the last cut withheld from the caller, until words or silence explain the cut."""
        self._judged: tuple[str, bool] = "", False
        """The last words that were looked at, and whether they are a backchannel."""
        self._counted: tuple[str, int, str | None] = "", 0, None
        """The last words that were looked at, their number, and the one that stops."""
        self._broken: set[str] = set()
        """What of the user's has raised: one complaint each is enough."""
        self._complaints: list[Action] = []

    def opened(self, fact: ReplyOpened) -> None:
        """The agent has moved on."""
        self._replies.opened(fact)
        self._pending, self._softened = None, False
        self._unheard = ""

    def closed(self, fact: ReplyClosed) -> Reply | None:
        """A reply is over; returns it."""
        reply = self._replies.closed(fact)
        if reply is not None:
            self._pending, self._softened = None, False
            if reply.cut and not reply.answered:
                self._unheard = fact.unheard
        return reply

    # --- what the caller's words are --------------------------------------------------------------------------------

    def words(self, utterance: Utterance) -> str:
        """The caller's words so far; empty where they are the agent's own, or the recogniser's."""
        if not utterance.text or self._replies.is_echo(utterance) or self._sieve.no_speech(utterance) is not None:
            return ""
        return utterance.text

    def is_backchannel(self, text: str) -> bool:
        """Whether these words mean "go on", said while the agent speaks."""
        if self._judged[0] != text:
            self._judged = text, self._means_go_on(text)
        return self._judged[1]

    def _means_go_on(self, text: str) -> bool:
        judge = self._rules.backchannels
        if not callable(judge):
            return judge and is_backchannel(text, self._phrases)
        try:
            return bool(judge(text))
        except Exception as error:  # the user's
            self._complain("backchannels", error)
            return False

    def _complain(self, what: str, error: Exception) -> None:
        if what not in self._broken:
            self._broken.add(what)
            self._complaints.append(Complain(what, error))

    def complaints(self) -> list[Action]:
        """What the user's strategies and classifier have raised, each of them once."""
        complaints, self._complaints = self._complaints, []
        return complaints

    def lets_pass(self, utterance: Utterance) -> bool:
        """Whether these words mean nothing but "go on", and the agent does: it plays on, or says the rest, or more."""
        if not self.is_backchannel(utterance.text) or utterance.over is None:
            return False
        reply, last = self._replies.reply, self._replies.last
        if reply is not None and reply.number == utterance.over:
            return not reply.cut or self._rest_is_wanted(reply, utterance)
        if last is None or last.number != utterance.over:
            return False
        if self._rest_is_wanted(last, utterance) and self._unheard:
            return not self.is_answer(utterance, last, self._unheard)
        return reply is not None and not reply.cut and not last.asks()

    def _rest_is_wanted(self, reply: Reply, utterance: Utterance) -> bool:
        return self._settings.resume and reply.cut_by == utterance.number and not reply.answered

    def is_answer(self, utterance: Utterance, reply: Reply, unheard: str) -> bool:
        """Whether "yes" over a reply that has closed answers it: a question, of which hardly more was to come."""
        if utterance.over != reply.number or not reply.asks():
            return False
        if unheard:
            left = len(unheard.split()) / SPEAKING_RATE
        else:
            assert reply.closed_at is not None
            left = reply.audible_for(reply.closed_at) - utterance.into
        return left <= self._rules.answer_overlap

    # --- interruption -----------------------------------------------------------------------------------------------

    @property
    def _can_be_cut(self) -> bool:
        reply = self._replies.speaking
        return self._settings.barge_in and reply is not None and reply.interruptible

    def next_check(self, utterances: Iterable[Utterance], at: float) -> float:
        """When, after ``at``, the passing of time alone could change something."""
        if not self._can_be_cut:
            return math.inf
        pending = self._pending
        if pending is None:
            return min((self._due(u) for u in utterances if not self._let_be(u)), default=math.inf)
        evidence = self._evidence(at, pending.utterance)
        return min([pending.deadline, *(self._next_look(strategy, evidence) for strategy in self._strategies)])

    def _next_look(self, strategy: Confirmation, evidence: Evidence) -> float:
        try:
            due = strategy.next_check(evidence)
            return due if due > evidence.at else math.inf
        except Exception as error:  # the user's
            self._complain(type(strategy).__name__, error)
            return math.inf

    def _let_be(self, utterance: Utterance) -> bool:
        """Whether it was found to be no interruption of this reply."""
        assert self._replies.reply is not None
        return utterance.let_be is not None and utterance.let_be[0] == self._replies.reply.number

    def _due(self, utterance: Utterance) -> float:
        """When its sound alone disturbs the reply: infinity where it is silent, or the words are not the caller's."""
        if not utterance.sounding or (utterance.text and not self.words(utterance)):
            return math.inf
        rules, reply = self._rules, self._replies.reply
        assert reply is not None
        assert reply.audible_at is not None
        if utterance.since < reply.audible_at:
            return reply.audible_at + max(rules.long_speech, rules.min_duration)
        if reply.false_alarms >= FALSE_ALARMS:
            return math.inf  # the line makes sounds of its own, or echoes
        return max(utterance.since, reply.audible_at + rules.guard) + rules.min_duration

    def heed(self, at: float, utterances: Iterable[Utterance]) -> list[Action]:
        """Look at what the caller is doing: soften, cut, or carry on."""
        actions: list[Action] = []
        for utterance in utterances:
            if not self._can_be_cut:
                break
            if self._pending is not None:
                if self._pending.utterance is utterance:
                    actions += self._judge(at, self._pending)
            elif self._let_be(utterance):
                actions += self._reconsider(at, utterance)
            elif self._disturbs(at, utterance):
                actions += self._suspect(at, utterance)
        return actions

    def _disturbs(self, at: float, utterance: Utterance) -> bool:
        words = self.words(utterance)
        if words and not self.is_backchannel(words) and not self._replies.repeats(utterance):
            return True
        return at >= self._due(utterance)

    def _suspect(self, at: float, utterance: Utterance) -> list[Action]:
        reply = self._replies.reply
        assert reply is not None
        self._pending = _Pending(utterance, at + self._rules.window)
        actions = self._judge(at, self._pending)
        mode = self._rules.mode
        if self._pending is None or mode == "cut":
            return actions
        self._softened = True
        if mode == "pause":
            reply.paused_at = at
        reason = f"caller has been sounding for {(at - utterance.since) * 1000:.0f} ms"
        return [*actions, Soften(reply.number, utterance.since, mode, reason)]

    def _judge(self, at: float, pending: _Pending) -> list[Action]:
        confirmed = self._confirmed(at, pending.utterance)
        if confirmed:
            return confirmed
        why_not = self._why_not(at, pending)
        return [] if why_not is None else self._dismiss(at, pending.utterance, *why_not)

    def _reconsider(self, at: float, utterance: Utterance) -> list[Action]:
        """It was no interruption; other words can make it one."""
        assert utterance.let_be is not None
        words = self.words(utterance)
        return self._confirmed(at, utterance) if words and words != utterance.let_be[1] else []

    def _confirmed(self, at: float, utterance: Utterance) -> list[Action]:
        evidence = self._evidence(at, utterance)
        if utterance.text and (not evidence.text or self._replies.repeats(utterance)):
            return []  # what sounds is not the caller, or need not be
        reason = next(filter(None, (self._ask(strategy, evidence) for strategy in self._strategies)), None)
        if reason is None:
            return []
        return [self._cut(utterance, "transcript" if evidence.text else "speech", reason)]

    def _ask(self, strategy: Confirmation, evidence: Evidence) -> str | None:
        try:
            return strategy.confirms(evidence)
        except Exception as error:  # the user's: the others are asked all the same
            self._complain(type(strategy).__name__, error)
            return None

    def _evidence(self, at: float, utterance: Utterance) -> Evidence:
        text = self.words(utterance)
        if self._counted[0] != text:
            self._counted = text, len(normal(text).split()), stop_word(text, self._phrases)
        return Evidence(
            at=at,
            onset=utterance.since,
            duration=max(0.0, utterance.newest_sound(at) - utterance.since),
            text=text,
            words=self._counted[1],
            final=utterance.final is not None,
            settled=utterance.settled,
            speaking=utterance.sounding,
            backchannel=bool(text) and self.is_backchannel(text),
            stop_word=self._counted[2],
            phrases=self._phrases,
        )

    def _why_not(self, at: float, pending: _Pending) -> tuple[bool, str] | None:
        """Why a pending interruption is none, if that is known by now; and whether it was a backchannel."""
        utterance = pending.utterance
        if utterance.final == "":
            return False, "sound without words"
        if utterance.text and (utterance.paused or not utterance.speaking):
            words = self.words(utterance)
            if not words:
                return False, "the words are not the caller's"
            if self.is_backchannel(words):
                return True, f"backchannel {words!r}"
        if utterance.final is not None and not utterance.speaking:
            return False, f"{utterance.final!r} is not enough to interrupt"
        if at >= pending.deadline:
            return False, f"nothing confirmed it within {self._rules.window:g} s"
        return None

    def _dismiss(self, at: float, utterance: Utterance, backchannel: bool, reason: str) -> list[Action]:
        reply = self._replies.reply
        assert reply is not None
        utterance.let_be = reply.number, utterance.text
        if not backchannel:
            reply.false_alarms += 1
        self._pending = None
        actions: list[Action] = []
        if self._softened:
            self._softened = False
            if reply.paused_at is not None:
                reply.hushed += at - reply.paused_at
                reply.paused_at = None
            actions.append(CarryOn(reply.number, reason))
        actions.append(FalseInterruption(reply.number, utterance.number, utterance.since, backchannel, reason))
        return actions

    def _cut(self, utterance: Utterance, trigger: Trigger, reason: str) -> Cut:
        reply = self._replies.reply
        assert reply is not None
        self._pending, self._softened = None, False
        reply.cut, reply.cut_by = True, utterance.number
        reply.cut_into = utterance.into if utterance.over == reply.number else 0.0
        return Cut(reply.number, utterance.since, trigger, reason)

    def interrupt(self, at: float, trigger: Trigger, reason: str) -> list[Action]:
        """Cut what is being said, for a key or because the application wants it; nobody says the rest of it."""
        reply = self._replies.reply
        if reply is None or reply.cut:
            return []
        if trigger == "dtmf" and not (self._can_be_cut and self._rules.dtmf):
            return []
        self._pending, self._softened = None, False
        reply.cut = reply.answered = True
        reply.cut_into = reply.audible_for(at)
        return [Cut(reply.number, at, trigger, reason)]

    # --- after it ---------------------------------------------------------------------------------------------------

    def explain(self) -> None:
        """The caller meant something by it: what a cut withheld is not said any more."""
        self._unheard = ""
        if self._replies.reply is not None and self._replies.reply.cut:
            self._replies.reply.answered = True

    def say_rest(self) -> list[Action]:
        """Once a cut is over and no words explain it: go on."""
        unheard = self._unheard
        if not unheard or self._replies.reply is not None:
            return []
        self._unheard = ""
        return [SayRest(unheard, "what cut it was no interruption")] if self._settings.resume else []
