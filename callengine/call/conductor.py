"""The conductor: facts in, decisions out. It asks the turn-taker, and carries out what that says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import attrs
import trio

from callengine.call.sender import Sender
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
)
from callengine.journal import Journal
from callengine.turns.settings import TurnSettings
from callengine.turns.turn_taking import Action, AskAgain, Cut, Drop, EndTurn, Hold, Release, SayRest, TurnTaker


@attrs.frozen
class CallerTurn:
    """What the caller said when it was his turn."""

    number: int
    """Counts the caller's turns from 1."""
    text: str
    speech_ended: float | None = None
    """When his last sound ended (engine time); None where only a transcript told of it."""


@attrs.frozen
class Unfinished:
    """Nothing was said after all: the agent should go on with this."""

    text: str


@attrs.frozen
class NotUnderstood:
    """The caller spoke, and no words came of it in time."""


Item: TypeAlias = CallerTurn | Unfinished | NotUnderstood
"""What a program has to deal with next."""


class Conductor:
    """The task between the children of a call.

    ``deliver`` takes what the program has to deal with next, and must not wait. ``on_partial`` may be set to hear
    interim transcripts.
    """

    def __init__(
        self,
        settings: TurnSettings,
        sender: Sender,
        journal: Journal,
        *,
        max_facts: int,
        deliver: Callable[[Item], None],
        overload: Callable[[], None],
    ) -> None:
        self._taker = TurnTaker(settings)
        self._sender = sender
        self._journal = journal
        self._deliver = deliver
        self._overload = overload
        self._facts_in, self._facts = trio.open_memory_channel[Fact](max_facts)
        self._turns = 0
        self.on_partial: Callable[[str], None] | None = None
        self.caller_quiet = trio.Event()
        """Set while the caller is not speaking and no words of his are waited for."""
        self.caller_quiet.set()

    @property
    def turn(self) -> int:
        """The number of the caller's newest turn; 0 before the first."""
        return self._turns

    def post(self, fact: Fact) -> None:
        """Tell it something. Facts are never dropped: when too many wait, the call is overloaded and ends."""
        try:
            self._facts_in.send_nowait(fact)
        except trio.WouldBlock:
            self._overload()

    async def run(self) -> None:
        """Conduct until the call ends."""
        while True:
            fact = await self._next_fact()
            if fact is None:
                actions = self._taker.tick(trio.current_time())
            else:
                self._note(fact)
                actions = self._taker.handle(fact)
            for action in actions:
                self._carry_out(action)
            self._watch_caller()

    async def _next_fact(self) -> Fact | None:
        """The next fact, or None when the turn-taker wants to be asked first."""
        moment = self._taker.next_check
        if moment == math.inf:
            return await self._facts.receive()
        with trio.CancelScope(deadline=moment):
            return await self._facts.receive()
        return None

    def _watch_caller(self) -> None:
        speaking = self._taker.caller_is_speaking
        if speaking and self.caller_quiet.is_set():
            self.caller_quiet = trio.Event()
        elif not speaking:
            self.caller_quiet.set()

    def _carry_out(self, action: Action) -> None:
        journal = self._journal
        match action:
            case Cut():
                onset = journal.time(action.onset)
                journal.note("barge_in", turn=self._turns, utterance=action.reply, onset=onset, trigger=action.trigger)
                journal.note("decision", what="cut", reason=action.reason)
                self._sender.cut("caller")
            case Drop():
                journal.note("decision", what="drop", reason=action.reason)
                self._sender.cut("caller")
            case Hold():
                self._sender.hold()
            case Release():
                self._sender.release()
            case EndTurn():
                self._turns += 1
                ended = None if action.speech_ended is None else journal.time(action.speech_ended)
                journal.note(
                    "turn.ended",
                    turn=self._turns,
                    utterance=action.utterance,
                    text=action.text,
                    speech_ended=ended,
                    reason=action.reason,
                )
                self._deliver(CallerTurn(self._turns, action.text, action.speech_ended))
            case SayRest():
                journal.note("decision", what="say the rest", reason=action.reason)
                self._deliver(Unfinished(action.unheard))
            case AskAgain():
                journal.note("decision", what="ask again", reason=action.reason)
                self._deliver(NotUnderstood())

    def _note(self, fact: Fact) -> None:
        journal = self._journal
        match fact:
            case SpeechStarted():
                journal.note("speech.started", utterance=fact.utterance, onset=journal.time(fact.onset))
            case SpeechPaused():
                journal.note("speech.paused", utterance=fact.utterance)
            case SpeechResumed():
                journal.note("speech.resumed", utterance=fact.utterance)
            case SpeechStopped():
                journal.note("speech.stopped", utterance=fact.utterance, ended=journal.time(fact.ended))
            case Transcript():
                journal.note("transcript", utterance=fact.utterance, text=fact.text, final=fact.final)
                if not fact.final and self.on_partial is not None:
                    self.on_partial(fact.text)
            case ReplyOpened():
                journal.note("reply.started", turn=self._turns, utterance=fact.reply)
            case ReplyAudible():
                journal.note("reply.audible", utterance=fact.reply)
            case SpeechWavers() | SpeechSteady():
                pass  # several in a second of speech
            case ReplyClosed():
                pass  # noted, with what was heard, by whoever spoke
