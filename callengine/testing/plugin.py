"""The pytest plugin: `call_lab` for calls in virtual time, `live_call_lab` for calls over real sockets.

It needs no configuration: tests that use them are run by pytest-trio. Without pytest-trio it does nothing. With
``--carrier telnyx`` (or another) calls that name no carrier come by that one. A test marked
``@pytest.mark.carrier("twilio", "signalwire")`` is about those carriers, and no part of a run on another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from callengine.testing.lab import CallLab
    from callengine.testing.shelf import ModelShelf

HAVE_PYTEST_TRIO = find_spec("pytest_trio") is not None


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--carrier NAME``."""
    group = parser.getgroup("callengine")
    group.addoption("--carrier", default="twilio", help="the carrier of the call lab's calls (default: twilio)")


def pytest_configure(config: pytest.Config) -> None:
    """``@pytest.mark.carrier(...)``."""
    config.addinivalue_line("markers", "carrier(name, ...): about these carriers; not run when --carrier is another")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests about other carriers than the run's, and run the lab's tests on Trio: on a virtual clock, unless
    the sockets are real."""
    others = [item for item in items if not _about(item, config.getoption("carrier"))]
    if others:
        config.hook.pytest_deselected(items=others)
        left_out = set(others)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "call_lab" in fixtures or "live_call_lab" in fixtures:
            if not HAVE_PYTEST_TRIO:
                raise pytest.UsageError("the call lab needs pytest-trio: pip install 'callengine[testing]'")
            if "call_lab" in fixtures:
                from callengine.testing.virtual import run_virtual

                item.add_marker(pytest.mark.trio(run=run_virtual), append=False)
            else:
                item.add_marker(pytest.mark.trio, append=False)


def _about(item: pytest.Item, carrier: str) -> bool:
    """Whether a test belongs to a run on this carrier. Raises `pytest.UsageError` for a mark that names none."""
    named = [mark.args for mark in item.iter_markers("carrier")]
    if named:
        from callengine.testing.side import kinds

        for names in named:
            if not names or not set(names) <= set(kinds()):
                raise pytest.UsageError(f"{item.nodeid}: mark it with carrier(...) of {', '.join(kinds())}")
    return all(carrier in names for names in named)


@pytest.fixture(scope="session")
def _model_shelf() -> ModelShelf:
    from callengine.testing.shelf import ModelShelf

    return ModelShelf()


@pytest.fixture
async def call_lab(_model_shelf: ModelShelf, pytestconfig: pytest.Config) -> AsyncIterator[CallLab]:
    """A lab in memory, on the virtual clock. After the test it makes sure that nothing of its calls is left."""
    from callengine.testing.lab import CallLab

    lab = CallLab(shelf=_model_shelf, carrier=pytestconfig.getoption("carrier"))
    yield lab
    if lab.calls:
        lab.assert_nothing_left()


@pytest.fixture
async def live_call_lab(_model_shelf: ModelShelf, pytestconfig: pytest.Config) -> AsyncIterator[CallLab]:
    """A lab over real loopback sockets, on the real clock. After the test it makes sure that nothing is left."""
    from callengine.testing.lab import CallLab

    lab = CallLab(real_sockets=True, shelf=_model_shelf, carrier=pytestconfig.getoption("carrier"))
    yield lab
    if lab.calls:
        lab.assert_nothing_left()
