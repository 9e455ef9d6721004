"""The whole suite under one rule: no key, token, number in full, or key that a caller pressed is written down.

What breaks it fails the run at its end, by the name of the test and the line that wrote it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from testing.log_hygiene import LogHygiene, watch

_hygiene = LogHygiene()


@pytest.fixture
def keep_secret() -> Callable[[str], None]:
    """Tell the watch of one more secret, which no log or error may show from now on."""
    return _hygiene.keep


def pytest_sessionstart() -> None:
    logger = logging.getLogger("callengine")
    logger.addHandler(_hygiene)
    logger.setLevel(logging.DEBUG)  # what nobody asked to see must be clean, too
    watch(_hygiene)


def pytest_runtest_logstart(nodeid: str) -> None:
    _hygiene.begin(nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _hygiene.leaks and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _hygiene.leaks:
        terminalreporter.section("secrets that were written down", red=True)
        for leak in _hygiene.leaks:
            terminalreporter.write_line(f"LEAK {leak}")
    elif terminalreporter.verbosity > 0:
        seen = f"{_hygiene.records} log records and {_hygiene.errors} errors"
        terminalreporter.write_line(f"no secret in {seen}")
