"""The conductor: facts in, decisions out. It asks the turn-taker, and carries out what that says."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import trio

from callengine.call.attendant import Attendant, Host
from callengine.call.items import CallerTurn, NotUnderstood, OpenTurn, Unfinished
from callengine.call.noting import note_fact
from callengine.call.sender import Sender
from callengine.events import InterruptionAsked, Transcript
from callengine.journal import Journal
from callengine.turns.actions import (
    Action,
    AskAgain,
    CarryOn,
    Complain,
    Cut,
    Discard,
    Drop,
    EndTurn,
    FalseInterruption,
    Guess,
    Hold,
    Release,
    SayRest,
    Soften,
    TakeBack,
)
from callengine.turns.digits import DigitCollector, DigitsEntered, DigitSettings
from callengine.turns.entities import Expectation
from callengine.turns.patience import CallerSaid, EntryEnded, Listening, Patience, PatienceFact, Working
from callengine.turns.turn_taking import TurnTaker

log = logging.getLogger(__name__)


class Conductor:
    """The task between the children of a call.

    ``host`` takes what the program has to deal with next, and must not wait. ``on_partial`` may be set to hear interim
    transcripts.
    """

    def __init__(
        self,
        taker: TurnTaker,
        sender: Sender,
        journal: Journal,
        keys: DigitCollector,
        patience: Patience,
        host: Host,
        *,
        max_facts: int,
        overload: Callable[[], None],
    ) -> None:
        self._taker = taker
        self._sender = sender
        self._journal = journal
        self._deliver = host.deliver
        self._overload = overload
        self._facts_in, self._facts = trio.open_memory_channel[PatienceFact](max_facts)
        self._attendant = Attendant(keys, patience, journal, host, post=self.post, entered=self._entered)
        self._turns = 0
        self._open: OpenTurn | None = None
        """The newest turn that was delivered."""
        self.counters: Counter[str] = Counter()
        self.on_partial: Callable[[str], None] | None = None
        self.on_turn_end: Callable[[], None] = lambda: None
        """Called when the caller's turn is over."""
        self.caller_quiet = trio.Event()
        """Set while the caller is not speaking and no words of his are waited for."""
        self.caller_quiet.set()

    @property
    def turn(self) -> int:
        """The number of the caller's newest turn; 0 before the first."""
        return self._turns

    def post(self, fact: PatienceFact) -> None:
        """Tell it something. Facts are never dropped: when too many wait, the call is overloaded and ends."""
        try:
            self._facts_in.send_nowait(fact)
        except trio.WouldBlock:
            self._overload()

    def expect(self, expectation: Expectation | None) -> None:
        """What the caller is expected to say next."""
        self._taker.expect(expectation)

    def expect_digits(self, settings: DigitSettings | None) -> None:
        """What the next entry of keys is; None for what the agent's settings say."""
        self._attendant.expect(settings)

    def key_pressed(self, digit: str) -> None:
        """The caller pressed a key."""
        self._attendant.pressed(digit)
        self._watch_caller()

    def interrupt(self) -> None:
        """Cut what is being said, now, because the application wants it."""
        with suppress(trio.WouldBlock):  # what is known already comes first
            while True:
                self._take(self._facts.receive_nowait())
        self._take(InterruptionAsked(trio.current_time()))

    async def run(self) -> None:
        """Conduct until the call ends."""
        while True:
            fact = await self._next_fact()
            if fact is not None:
                self._take(fact)
                continue
            now = trio.current_time()
            self._carry_out(self._taker.tick(now))
            self._attendant.tick(now)
            self._watch_caller()

    async def _next_fact(self) -> PatienceFact | None:
        """The next fact, or None when somebody wants to be asked first."""
        moment = min(self._taker.next_check, self._attendant.next_check)
        if moment == math.inf:
            return await self._facts.receive()
        with trio.CancelScope(deadline=moment):
            return await self._facts.receive()
        return None

    def _take(self, fact: PatienceFact) -> None:
        if not isinstance(fact, CallerSaid | Working | Listening | EntryEnded):
            note_fact(self._journal, fact, self._turns)
            if isinstance(fact, Transcript) and not fact.final and self.on_partial is not None:
                self.on_partial(fact.text)
            self._carry_out(self._taker.handle(fact))
        self._attendant.handle(fact)
        self._watch_caller()

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Hold():
                    self._sender.hold()
                case Release():
                    self._sender.release()
                case Guess() | TakeBack() | EndTurn():
                    self._turn(action)
                case SayRest():
                    self._decide("say the rest", action.reason)
                    self._deliver(Unfinished(action.unheard))
                case AskAgain():
                    self._decide("ask again", action.reason)
                    self._deliver(NotUnderstood())
                case Discard():
                    self.counters[f"transcripts dropped: {action.kind}"] += 1
                    self._decide(f"no turn: {action.kind}", f"{action.reason}: {action.text!r}")
                    if action.kind == "backchannel":
                        self.post(CallerSaid(trio.current_time()))
                case Complain():
                    log.warning("a strategy of turn-taking raised: %s", action.what, exc_info=action.error)
                    self._decide("ask the other strategies", f"{action.what} raised {action.error!r}")
                case _:
                    self._interruption(action)

    def _interruption(self, action: Soften | CarryOn | FalseInterruption | Cut | Drop) -> None:
        journal, sender = self._journal, self._sender
        match action:
            case Soften(how=how):
                self._decide(how, action.reason)
                sender.pause() if how == "pause" else sender.duck()
            case CarryOn():
                self._decide("carry on", action.reason)
                sender.resume()
            case FalseInterruption():
                self.counters["backchannels" if action.backchannel else "false interruptions"] += 1
                journal.note(
                    "false_interruption",
                    turn=self._turns,
                    utterance=action.reply,
                    onset=journal.time(action.onset),
                    backchannel=action.backchannel,
                    reason=action.reason,
                )
            case Cut(trigger=trigger):
                if trigger != "application":
                    onset = journal.time(action.onset)
                    journal.note("barge_in", turn=self._turns, utterance=action.reply, onset=onset, trigger=trigger)
                self._decide("cut", action.reason)
                sender.cut("application" if trigger == "application" else "caller")
            case Drop():
                self._decide("drop", action.reason)
                sender.cut("caller")

    def _turn(self, action: Guess | TakeBack | EndTurn) -> None:
        match action:
            case Guess():
                self.counters["guesses"] += 1
                self._decide("guess", f"{action.reason}: {action.text!r}")
                self._open = OpenTurn(CallerTurn(self._turns + 1, action.text), guess=True)
                self._deliver(self._open)
            case TakeBack():
                self.counters["guesses taken back"] += 1
                self._decide("take back the guess", action.reason)
                self._withdraw()
            case EndTurn():
                self._end_turn(action)

    def _end_turn(self, action: EndTurn) -> None:
        journal = self._journal
        self.on_turn_end()
        self.post(CallerSaid(trio.current_time()))
        self._turns += 1
        ended = None if action.speech_ended is None else journal.time(action.speech_ended)
        journal.note(
            "turn.ended",
            turn=self._turns,
            utterance=action.utterance,
            text=action.text,
            speech_ended=ended,
            continues=action.continues,
            guessed=action.guessed,
            reason=action.reason,
        )
        turn = CallerTurn(self._turns, action.text, action.speech_ended, action.continues)
        if action.guessed and self._open is not None:
            self._open.turn = turn
            self._open.certain.set()
            return
        if action.continues:
            self._withdraw()
        self._open = OpenTurn(turn)
        self._deliver(self._open)

    def _entered(self, entry: DigitsEntered) -> None:
        self._turns += 1
        self._journal.note(
            "turn.ended",
            turn=self._turns,
            utterance=None,
            text="•" * len(entry.digits),
            speech_ended=None,
            keyed=True,
            reason=entry.reason,
        )
        self._open = OpenTurn(CallerTurn(self._turns, entry.digits, keyed=True))
        self._deliver(self._open)

    def _withdraw(self) -> None:
        if self._open is not None:
            self._open.withdrawn.set()

    def _decide(self, what: str, reason: str) -> None:
        self._journal.note("decision", what=what, reason=reason)

    def _watch_caller(self) -> None:
        speaking = self._taker.caller_is_speaking or self._attendant.entry_under_way
        if speaking and self.caller_quiet.is_set():
            self.caller_quiet = trio.Event()
        elif not speaking:
            self.caller_quiet.set()
