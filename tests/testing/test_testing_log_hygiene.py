"""The watch over what the suite writes down: it sees what it should, and gives no false alarm."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from testing.log_hygiene import LogHygiene

from callengine.errors import CallEngineError

TESTS = Path(__file__).parents[1]
TOKEN = "Wm9vbSB6b29tIHpvb20gem9vbSB6b29tIHpvb20gem8"


def hygiene() -> LogHygiene:
    watched = LogHygiene()
    watched.begin("this test")
    watched.keep(TOKEN)
    watched.keep("short")
    watched.keep(None)
    watched.keep_entry("7093#")
    watched.keep_entry("12#")
    return watched


def written(message: str, *arguments: object, name: str = "callengine.some.module", error: object = None) -> list[str]:
    """What is found in a log record."""
    watched = hygiene()
    info = None if error is None else (type(error), error, None)
    watched.emit(logging.LogRecord(name, logging.DEBUG, "/x/module.py", 7, message, arguments, info))  # type: ignore[arg-type]
    return [leak.what for leak in watched.leaks]


@pytest.mark.parametrize(
    "text",
    [
        "a call from +15550100001",
        "15550100001",
        "to=5550100001;",
        "tel:+15005550006",
        "%2B15005550006",
        "sip:15551234567@pbx.example.com",
        "(5551234567)",
    ],
)
def test_a_phone_number_in_full_is_found(text):
    assert written(text) == ["a phone number in full"]
    assert written("from %s", text) == ["a phone number in full"]
    assert written("from %(number)s", {"number": text}) == ["a phone number in full"]


@pytest.mark.parametrize(
    "text",
    [
        "•••0001",
        "CA00000000000000000000015550100001",
        "15550100001abcdef",
        "155501000010",
        "550e8400-e29b-41d4-a716-446655440000",
        "port 45551, 5550 s, 2024-05-55",
        "a short word",
        "127.0.0.1:7093",
        "17093 70931 7093.5 x7093",
        "12",
    ],
)
def test_what_only_looks_like_one_is_not(text):
    assert written(text) == []


def test_keys_and_tokens_are_found():
    assert written(f"GET /twilio/media/{TOKEN}") == ["a key or token"]
    assert written("bad token 0123456789abcdef0123456789abcdef!") == ["a key or token"]


@pytest.mark.parametrize("text", ["keys: 7093", "7093", "'7093'", "entry=7093#"])
def test_what_a_caller_pressed_is_found_until_the_next_test(text):
    watched = hygiene()
    watched.look(text, "here")
    assert [str(leak) for leak in watched.leaks] == ["this test: the keys that a caller pressed in here"]

    watched.begin("the next test")
    watched.look(text, "there")
    assert len(watched.leaks) == 1


def test_an_exception_is_looked_through_with_what_it_came_from():
    def chained(*, group: bool = False, note: bool = False) -> Exception:
        inner = ValueError("nothing" if note else "no route to +15550100001")
        outer = RuntimeError("oops")
        outer.__cause__ = ExceptionGroup("several", [inner]) if group else inner
        if note:
            outer.add_note("while calling +15550100001")
        return outer

    for error in (chained(), chained(group=True), chained(note=True)):
        assert written("failed", error=error) == ["a phone number in full"]
    loop = RuntimeError("oops")
    loop.__context__ = KeyError("x")
    loop.__context__.__context__ = loop
    assert written("failed", error=loop) == []


def test_other_programs_logs_are_theirs():
    assert written("+15550100001", name="httpx") == []
    assert written("+15550100001", name="callengineering") == []


def test_the_line_that_wrote_it_is_named():
    watched = hygiene()
    watched.emit(logging.LogRecord("callengine.x", logging.INFO, "/x/module.py", 7, "+15550100001", (), None))
    assert str(watched.leaks[0]) == "this test: a phone number in full in the log of callengine.x, module.py:7"


def test_the_suite_s_own_watch_hears_everything_and_tests_may_make_errors(keep_secret):
    handlers = logging.getLogger("callengine").handlers
    [watched] = [handler for handler in handlers if type(handler).__name__ == "LogHygiene"]
    records, errors = watched.records, watched.errors

    logging.getLogger("callengine.anything").debug("nothing")
    CallEngineError("+15550100001 is in an error that the test itself made")

    assert (watched.records, watched.errors) == (records + 1, errors + 1)
    keep_secret("a secret of this test only, which nobody writes down")


LIBRARY = """
from callengine.errors import ConfigurationError

def fail(number):
    raise ConfigurationError(f"{number} is not a number")
"""
SUITE = """
import logging
import pytest
from library import fail
from callengine.errors import ConfigurationError

def test_log():
    logging.getLogger("callengine.a").debug("from %s", NUMBER)

def test_error():
    with pytest.raises(ConfigurationError):
        fail(NUMBER)
"""


@pytest.mark.parametrize(("number", "leaks"), [("+15550100001", True), ("•••0001", False)])
def test_a_run_that_writes_a_secret_down_fails_at_its_end(tmp_path, number, leaks):
    """The hooks of this suite, over a suite of two tests."""
    suite, library = tmp_path / "suite", tmp_path / "library"
    (suite / "testing").mkdir(parents=True)
    library.mkdir()
    for file in ("conftest.py", "testing/log_hygiene.py"):
        shutil.copy(TESTS / file, suite / file)
    (library / "library.py").write_text(LIBRARY, encoding="utf-8")
    (suite / "test_suite.py").write_text(f"NUMBER = {number!r}\n{SUITE}", encoding="utf-8")

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", suite, suite],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(library), str(TESTS.parent)])},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )

    assert "2 passed" in run.stdout, run.stdout + run.stderr
    assert run.returncode == leaks
    assert [line for line in run.stdout.splitlines() if line.startswith("LEAK")] == leaks * [
        "LEAK test_suite.py::test_log: a phone number in full in the log of callengine.a, test_suite.py:9",
        "LEAK test_suite.py::test_error: a phone number in full in a ConfigurationError of library.py:5",
    ]
