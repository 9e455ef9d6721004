"""The files of a campaign: the list of people that comes in, and the report that goes out, both CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from callengine.errors import ConfigurationError
from callengine.outbound.contacts import Contact, normalised
from callengine.outbound.results import ContactResult

NUMBER = "number"
COLUMNS = (NUMBER, "result", "reason", "answered_by", "attempts", "seconds", "ended")
"""Of a report. ``seconds`` is how long the last attempt took, ringing included; ``ended`` is the wall clock's time."""

FLAWS = ("invalid", "duplicate")


def read_contacts(path: Path) -> list[Contact]:
    """The people in a CSV file (UTF-8, commas or semicolons): the column ``number``; the others are their data.

    Raises `ConfigurationError` where it cannot be read or has no such column.
    """
    with _reading(path) as rows:
        header = [name.strip() for name in next(rows, [])]
        places = [place for place, name in enumerate(header) if name.lower() == NUMBER]
        if not places:
            there = f"there are: {', '.join(header)}" if any(header) else "it is empty"
            raise ConfigurationError(f"{path} has no column {NUMBER!r} in its first line ({there}): name one so")
        return [_contact(header, row, places[0]) for row in rows if any(cell.strip() for cell in row)]


def _contact(header: list[str], row: list[str], place: int) -> Contact:
    cells = dict(enumerate(row))
    data = {name: cells.get(at, "").strip() for at, name in enumerate(header) if at != place and name}
    return Contact(cells.get(place, "").strip(), data=data)


@contextmanager
def _reading(path: Path) -> Iterator[Iterator[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = ";" if _semicolons(file.readline()) else ","
            file.seek(0)
            yield csv.reader(file, delimiter=delimiter)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8: save it as 'CSV UTF-8'") from None
    except csv.Error as error:
        raise ConfigurationError(f"{path} is not CSV: {error}") from None


def _semicolons(line: str) -> bool:
    """Whether a first line is separated so, as spreadsheets do where the comma is in decimal numbers."""
    return line.count(";") > line.count(",")


class Report:
    """Where the results go, one line each, as they come. A file that is there already is gone on with.

    ``done`` are the numbers that need not be called again.
    """

    def __init__(self, path: Path) -> None:
        """Raises `ConfigurationError` where the file cannot be written, or is not a report."""
        self._path = path
        self.done: set[str] = set()
        self._flaws: set[tuple[str, str]] = set()
        self._file: IO[str] | None = None
        if path.exists():
            self._read()

    def _read(self) -> None:
        with _reading(self._path) as rows:
            header = next(rows, None)
            if header is not None and tuple(header) != COLUMNS:
                raise ConfigurationError(
                    f"{self._path} is there, and not a campaign's report: give --report another name"
                )
            for row in rows:
                if len(row) != len(COLUMNS):
                    continue  # cut off in the middle of a line: that contact is called again
                if row[1] in FLAWS:
                    self._flaws.add((row[0], row[1]))
                else:
                    self.done.add(row[0])

    def open(self) -> None:
        """Begin to write. Raises `ConfigurationError`."""
        try:
            self._file = self._path.open("a+", encoding="utf-8", newline="")
            if self._file.tell() == 0:
                self._write(COLUMNS)
            elif not self._ends_with_a_line():
                self._file.write("\r\n")
        except OSError as error:
            raise ConfigurationError(f"{self._path} cannot be written: {error.strerror}") from None

    def _ends_with_a_line(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, 2)
            return file.read() == b"\n"

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def left(self, contacts: list[Contact]) -> list[Contact]:
        """Those who are not done."""
        return [contact for contact in contacts if normalised(contact.number) not in self.done]

    def write(self, result: ContactResult) -> None:
        """One line more, which is in the file on return. Raises `OSError`."""
        if result.result in FLAWS and (result.number, result.result) in self._flaws:
            return  # said by an earlier run
        last = result.attempts[-1] if result.attempts else None
        seconds = "" if last is None else f"{last.ended_at - last.started_at:.1f}"
        answered_by = "" if last is None or last.answered_by is None else last.answered_by
        ended = datetime.now().astimezone().isoformat(timespec="seconds")
        self._write(
            (result.number, result.result, result.reason, answered_by, str(len(result.attempts)), seconds, ended)
        )

    def _write(self, cells: tuple[str, ...]) -> None:
        assert self._file is not None
        csv.writer(self._file).writerow(cells)
        self._file.flush()
