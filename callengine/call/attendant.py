"""The attendant: what a call decides beside turns. Keys become entries, and a caller who has gone is not waited for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

import trio

from callengine.call.items import Away, EndsSoon, Item
from callengine.events import KeyPressed
from callengine.journal import Journal
from callengine.turns.digits import Action as DigitAction
from callengine.turns.digits import DigitCollector, DigitsCleared, DigitsEntered, DigitSettings, KeyIgnored
from callengine.turns.patience import Action as PatienceAction
from callengine.turns.patience import AskIfThere, EndCall, EntryEnded, Patience, PatienceFact, SayGoodbye, WarnOfEnd


class Host(Protocol):
    """The call, as its attendant sees it."""

    def deliver(self, item: Item) -> None:
        """Something that the program has to deal with."""

    def say_goodbye(self, reason: str) -> None:
        """Say goodbye in place of everything else, and end the call."""

    def hung_up(self, reason: str) -> None:
        """End the call now."""


class Attendant:
    """Gathers keys and keeps an eye on the clock, for one call.

    ``post`` takes the facts for the conductor, ``entered`` what the caller keyed in.
    """

    def __init__(
        self,
        keys: DigitCollector,
        patience: Patience,
        journal: Journal,
        host: Host,
        *,
        post: Callable[[PatienceFact], None],
        entered: Callable[[DigitsEntered], None],
    ) -> None:
        self._keys = keys
        self._patience = patience
        self._journal = journal
        self._host = host
        self._post = post
        self._entered = entered
        self.counters: Counter[str] = Counter()

    @property
    def next_check(self) -> float:
        """The next moment at which it wants to be asked."""
        return min(self._keys.next_check, self._patience.next_check)

    @property
    def entry_under_way(self) -> bool:
        """Whether the caller is keying something in."""
        return self._keys.pending

    def handle(self, fact: PatienceFact) -> None:
        """A fact of the call."""
        self._be_patient(self._patience.handle(fact))

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._gather(self._keys.tick(now), now)
        self._be_patient(self._patience.tick(now))

    def pressed(self, digit: str) -> None:
        """The caller pressed a key."""
        now = trio.current_time()
        actions = self._keys.pressed(now, digit)
        if not any(isinstance(action, KeyIgnored) for action in actions):
            self._post(KeyPressed(now))
        self._gather(actions, now)

    def expect(self, settings: DigitSettings | None) -> None:
        """Gather the next entry by these settings; None for the agent's."""
        self._gather(self._keys.expect(settings), trio.current_time())

    def _gather(self, actions: list[DigitAction], now: float) -> None:
        for action in actions:
            match action:
                case DigitsEntered():
                    self._post(EntryEnded(now))
                    self._entered(action)
                case DigitsCleared():
                    self._post(EntryEnded(now))
                    self._journal.note("decision", what="begin the entry again", reason=action.reason)
                case KeyIgnored():
                    self.counters["keys that meant nothing"] += 1

    def _be_patient(self, actions: list[PatienceAction]) -> None:
        for action in actions:
            match action:
                case AskIfThere():
                    self._decide("ask whether the caller is there", action.reason)
                    self._host.deliver(Away(action.number))
                case WarnOfEnd():
                    self._decide("announce the end", action.reason)
                    self._host.deliver(EndsSoon(action.remaining))
                case SayGoodbye():
                    self._decide("say goodbye", action.reason)
                    self._host.say_goodbye(action.reason)
                case EndCall():
                    self._host.hung_up(action.reason)

    def _decide(self, what: str, reason: str) -> None:
        self._journal.note("decision", what=what, reason=reason)
