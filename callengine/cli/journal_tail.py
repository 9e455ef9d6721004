"""Reading a call's journal while the engine writes it, and the time at which to show it."""

from __future__ import annotations

import json
from pathlib import Path

import trio

from callengine.journal import Record


class JournalTail:
    """The records of a journal file as they come. The file may not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._rest = b""

    def read(self) -> list[Record]:
        """The records that were written since the last time: whole lines only."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                data = file.read()
        except FileNotFoundError:
            return []
        self._position += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [_record(line) for line in lines]


def _record(line: bytes) -> Record:
    data = json.loads(line)
    del data["v"]
    return Record(data.get("call_id", ""), data.pop("t"), data.pop("kind"), data)


class Delayed:
    """A clock that follows the journal smoothly, as late as its records come in batches."""

    def __init__(self) -> None:
        self._started: float | None = None

    def follow(self, newest: float) -> float:
        """The journal time to show now, given the time of the newest record."""
        now = trio.current_time()
        if self._started is None or now - self._started > newest:
            self._started = now - newest
        return now - self._started
