"""The journal files of the calls that are live.

`CallFiles.hand_over` and `CallFiles.close_soon` are for the event loop; the rest runs in one thread at a time.
"""

from __future__ import annotations

import re
from collections import deque
from contextlib import suppress
from io import FileIO
from itertools import count
from logging import getLogger
from pathlib import Path

from callengine.journal import Record

logger = getLogger(__name__)

MAX_NAME = 120
"""Characters of a file name that come from the call's id: with a number and the suffix well below the 255 bytes that
file systems allow."""


def file_name(call_id: str) -> str:
    """A call's id as a file name without its suffix: letters, digits, ``_`` and ``-``; the rest becomes ``_``."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", call_id)[:MAX_NAME] or "call"


class CallFiles:
    """One file a call in a directory, opened with its first record and closed after its ``call.ended``.

    A call whose file is taken (its id was used before) gets ``<call id>-2.jsonl`` and so on: nothing is overwritten.
    """

    def __init__(self, directory: Path) -> None:
        self.failed = 0
        """Calls whose file was given up."""
        self.lost = 0
        """Records that were not written because of that."""
        self._directory = directory
        self._inbox: deque[list[Record]] = deque()
        self._to_close: deque[str] = deque()
        self._open: dict[str, FileIO | None] = {}
        """By call id; None where the call's file was given up."""

    @property
    def open_count(self) -> int:
        """Files that are open."""
        return sum(file is not None for file in self._open.copy().values())

    def hand_over(self, batch: list[Record]) -> None:
        """Give the next batch to the thread; it stays here until a `write` takes it."""
        self._inbox.append(batch)

    def close_soon(self, call_id: str) -> None:
        """No ``call.ended`` will come for this call: close its file with the next batch."""
        self._to_close.append(call_id)

    def write(self) -> None:
        """Write what was handed over. Never raises: a file that fails is given up."""
        while self._inbox:
            self._write_batch(self._inbox.popleft())
        while self._to_close:
            self._close(self._to_close.popleft())

    def finish(self) -> None:
        """Write what was handed over, and close everything."""
        self.write()
        for call_id in list(self._open):
            self._close(call_id)

    def _write_batch(self, batch: list[Record]) -> None:
        by_call: dict[str, list[Record]] = {}
        for record in batch:
            by_call.setdefault(record.call_id, []).append(record)
            if record.kind == "call.ended":  # whatever follows under this id is another call
                self._append(record.call_id, by_call.pop(record.call_id))
                self._close(record.call_id)
        for call_id, records in by_call.items():
            self._append(call_id, records)

    def _append(self, call_id: str, records: list[Record]) -> None:
        try:
            if call_id not in self._open:
                self._open[call_id] = self._create(call_id, new=records[0].kind == "call.started")
            file = self._open[call_id]
            if file is not None:
                _write_all(file, b"".join(_line(record) for record in records))
                return
        except (OSError, TypeError, ValueError) as error:
            logger.error("the journal of call %s is given up: %s", call_id, error)
            self.failed += 1
            self._close(call_id)
            self._open[call_id] = None
        self.lost += len(records)

    def _create(self, call_id: str, *, new: bool) -> FileIO:
        name = file_name(call_id)
        if not new:  # a record that came late: behind the others
            return FileIO(self._directory / f"{name}.jsonl", "a")
        for number in count(1):
            with suppress(FileExistsError):
                return FileIO(self._directory / (f"{name}.jsonl" if number == 1 else f"{name}-{number}.jsonl"), "x")
        raise AssertionError("count() does not end")

    def _close(self, call_id: str) -> None:
        file = self._open.pop(call_id, None)
        if file is not None:
            with suppress(OSError):  # nothing is buffered: what was written is written
                file.close()


def _line(record: Record) -> bytes:
    # Half of a surrogate pair, as a model's stream may hold, is no UTF-8: it becomes a question mark.
    return (record.to_json() + "\n").encode("utf-8", "replace")


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
