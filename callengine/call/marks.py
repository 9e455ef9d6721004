"""The marks of one line: those behind the slices, the program's own, and probes that measure the round trip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import trio

from callengine.call.utterance import Utterance
from callengine.ports import CarrierCodec
from callengine.turns.playout import MarkStatus, Playout

MarkOutcome: TypeAlias = Literal["played", "cleared", "lost"]


class ApplicationMark:
    """A mark of the program's own: an entry in the line's table, as long as somebody waits for it."""

    def __init__(self, name: str, wire_name: str, utterance: Utterance | None) -> None:
        self.name = name
        self.wire_name = wire_name
        """Another one each time that it is placed: an echo of its former place proves nothing."""
        self.utterance = utterance
        self.position = 0 if utterance is None else utterance.written
        """Samples of its utterance before it."""
        self.status: MarkOutcome = "lost"
        self.settled = trio.Event()

    def settle(self, status: MarkOutcome) -> None:
        """It is known what became of it. The first answer counts."""
        if not self.settled.is_set():
            self.status = status
            self.settled.set()


class Marks:
    """Sends marks and takes their echoes. ``write`` sends a message on the line, and is told whether it may be thrown
    away again."""

    def __init__(self, codec: CarrierCodec, playout: Playout, write: Callable[[bytes, bool], None]) -> None:
        self._codec = codec
        self._playout = playout
        self._write = write
        self._table: dict[str, ApplicationMark] = {}
        self._numbers = 0

    @property
    def waiting(self) -> list[str]:
        """The marks, by their names on the wire, that somebody waits for."""
        return list(self._table)

    def probe(self) -> None:
        """Send a mark behind nothing: its echo measures the round trip."""
        self._playout.forget("p")
        self._numbers += 1
        self.send(f"p{self._numbers}", None)

    @contextmanager
    def place(self, name: str, utterance: Utterance | None) -> Iterator[ApplicationMark]:
        """Place a mark behind everything that was said so far; its entry lives as long as the context."""
        mark = ApplicationMark(name, self._wire_name(name), utterance)
        self._table[mark.wire_name] = mark
        try:
            if utterance is None or not utterance.add_mark(mark.wire_name):
                self.send(mark.wire_name, None)
            yield mark
        finally:
            del self._table[mark.wire_name]  # which may be another one by now
            self._playout.forget(mark.wire_name)

    def send(self, name: str, position: int | None, *, discardable: bool = False) -> None:
        """Send a mark now; its echo confirms so many samples of the utterance, or nothing."""
        self._write(self._codec.mark(name), discardable)
        self._playout.mark_sent(trio.current_time(), name, position)

    def send_due(self, utterance: Utterance) -> None:
        """Send those of the program whose place in the utterance was reached."""
        for name in utterance.due_marks():
            if name in self._table:  # else nobody waits for it any more
                self.send(name, None)

    def echoed(self, name: str) -> MarkStatus:
        """A mark came back from the carrier; says what that proves."""
        status = self._playout.echoed(trio.current_time(), name)
        if name in self._table and status == "played":
            self._table[name].settle("played")
        return status

    def settle_sent(self, utterance: Utterance) -> None:
        """What was sent and did not come back was thrown away by a clear."""
        unsent = utterance.unsent_marks
        for name, mark in self._table.items():
            if name not in unsent:
                mark.settle("cleared")

    def settle_unsent(self, utterance: Utterance) -> None:
        """What has not been reached in the utterance never will be."""
        for name in utterance.unsent_marks & self._table.keys():
            self._table[name].settle("cleared")

    def take_back(self, utterance: Utterance) -> None:
        """What was sent and did not come back is placed again, where it was in the utterance, or at its start."""
        unsent = utterance.unsent_marks
        for name, mark in list(self._table.items()):
            if name not in unsent and not mark.settled.is_set():
                del self._table[name]
                mark.wire_name = self._wire_name(mark.name)
                self._table[mark.wire_name] = mark
                utterance.put_back_mark(mark.position if mark.utterance is utterance else 0, mark.wire_name)

    def _wire_name(self, name: str) -> str:
        self._numbers += 1
        return f"m{self._numbers}:{name}"
