"""What must never be written down, looked for in everything that a whole run of the suite writes.

Phone numbers of the suite, keys and tokens, and the keys that callers press: in the records of ``callengine``'s loggers
(message, arguments, exception) and in the texts of its errors.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from callengine.carriers.rest import Rest
from callengine.errors import CallEngineError
from callengine.server.tokens import TokenStore
from callengine.testing import accounts
from callengine.testing.caller import Caller
from callengine.wire.failures import Failures

_TESTS = str(Path(__file__).parents[1]) + os.sep

# The suite's telephone numbers: +1555..., +1500555... and +44... , with and without their country code.
_NUMBER = re.compile(r"(?:(?<![0-9A-Za-z])|(?<=%2B))1?(?:555\d{7}|500555\d{4})(?![0-9A-Za-z])")

SHORTEST_SECRET = 8
"""Characters; what is shorter stands in harmless texts as well."""
SHORTEST_ENTRY = 4
"""Keys of one entry that are looked for."""

KNOWN_SECRETS = frozenset({
    accounts.AUTH_TOKEN,  # of most tests
    accounts.SIGNALWIRE_TOKEN,
    accounts.SIGNALWIRE_SIGNING_KEY,
    accounts.TELNYX_KEY,
    accounts.TELNYX_SEED.hex(),
    b64encode(accounts.TELNYX_SEED).decode(),
    accounts.PLIVO_TOKEN,
})  # fmt: skip


@attrs.frozen
class Leak:
    """Something that was written down. It does not repeat the secret: the report is a text, too."""

    test: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.test}: {self.what} in {self.where}"


class LogHygiene(logging.Handler):
    """Looks through log records, and through other texts that it is given. `leaks` is what it found."""

    def __init__(self) -> None:
        super().__init__()
        self.leaks: list[Leak] = []
        self.records = 0
        """Log records that were looked through."""
        self.errors = 0
        """Errors that were looked through."""
        self._secrets = set(KNOWN_SECRETS)
        self._entries: set[str] = set()
        self._test = "before the first test"

    # --- what is looked for -----------------------------------------------------------------------------------------

    def begin(self, test: str) -> None:
        """From now on it is this test that writes; what callers pressed before does not count any more."""
        self._test = test
        self._entries.clear()

    def keep(self, secret: str | None) -> None:
        """Look for this key, token or the like from now on. Short ones are in harmless texts too, and left out."""
        if secret is not None and len(secret) >= SHORTEST_SECRET:
            self._secrets.add(secret)

    def keep_entry(self, keys: str) -> None:
        """Look for these keys, which a caller presses, until the next test begins."""
        digits = re.sub("[^0-9]", "", keys)
        if len(digits) >= SHORTEST_ENTRY:
            self._entries.add(digits)

    # --- where ------------------------------------------------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] != "callengine":
            return
        self.records += 1
        where = f"the log of {record.name}, {Path(record.pathname).name}:{record.lineno}"
        for text in _texts(record):
            self.look(text, where)

    def look_at_error(self, error: BaseException) -> None:
        """Look through an error that is being made, unless a test makes it itself."""
        self.errors += 1
        frame = sys._getframe(1)
        while frame.f_back is not None and (frame.f_code.co_name == "__init__" or frame.f_code.co_filename == __file__):
            frame = frame.f_back
        if not frame.f_code.co_filename.startswith(_TESTS):
            where = f"a {type(error).__name__} of {Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
            self.look(str(error), where)

    def look(self, text: str, where: str) -> None:
        """Look through one text."""
        what = _finding(text, self._secrets, self._entries)
        leak = None if what is None else Leak(self._test, where, what)
        if leak is not None and leak not in self.leaks:
            self.leaks.append(leak)


def watch(hygiene: LogHygiene) -> None:
    """From now on, have every error of the engine looked through, and every secret looked for as soon as it is made:
    stream tokens, the keys of REST APIs and language models, and what simulated callers press."""

    def rest(_: Rest, *_arguments: Any, auth: Any = None, headers: Any = None, **_settings: Any) -> None:
        hygiene.keep(None if auth is None else auth[1])
        hygiene.keep((headers or {}).get("Authorization", "").rpartition(" ")[2])

    _after(CallEngineError, "__init__", lambda _, error, *_arguments: hygiene.look_at_error(error))
    _after(TokenStore, "issue", lambda token, *_arguments: hygiene.keep(token))
    _after(Failures, "__init__", lambda _, _self, _provider, *keys, **_closes: [hygiene.keep(key) for key in keys])
    _after(Caller, "presses", lambda _, _self, keys: hygiene.keep_entry(keys))
    _after(Rest, "__init__", lambda _, *arguments, **settings: rest(*arguments, **settings))


def _after(kind: type, name: str, look: Callable[..., None]) -> None:
    """After each call of this method: ``look(result, self, *arguments)``."""
    method = getattr(kind, name)

    def wrapped(*arguments: Any, **settings: Any) -> Any:
        result = method(*arguments, **settings)
        look(result, *arguments, **settings)
        return result

    setattr(kind, name, wrapped)


def _finding(text: str, secrets: set[str], entries: set[str]) -> str | None:
    if _NUMBER.search(text):
        return "a phone number in full"
    if any(secret in text for secret in secrets):
        return "a key or token"
    if any(re.search(rf"(?<![0-9A-Za-z.:]){entry}(?![0-9A-Za-z.])", text) for entry in entries):
        return "the keys that a caller pressed"
    return None


def _texts(record: logging.LogRecord) -> Iterator[str]:
    yield record.getMessage()
    arguments = record.args.values() if isinstance(record.args, dict) else record.args or ()
    for argument in arguments:
        yield str(argument)
    error = record.exc_info[1] if record.exc_info else None
    yield from _error_texts(error, set())


def _error_texts(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    """What a traceback says, but for its lines of code: those of tests have the numbers in them."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield f"{error!s} {error!r}"
    yield from getattr(error, "__notes__", ())
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _error_texts(part, seen)
    yield from _error_texts(error.__cause__, seen)
    if not error.__suppress_context__:
        yield from _error_texts(error.__context__, seen)
