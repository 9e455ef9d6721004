"""The lifespan of the mounted application, on the virtual clock."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from callengine.cleanup import single
from callengine.errors import ConfigurationError
from callengine.server.lifespan import lifespan


class Database:
    def __init__(self, *, broken: bool = False, closing: float = 0.5) -> None:
        self.events: list[str] = []
        self._broken = broken
        self._closing = closing

    @asynccontextmanager
    async def open(self, _app: Starlette) -> AsyncIterator[dict[str, object]]:
        await trio.sleep(1)
        if self._broken:
            raise RuntimeError("no database at db.example.com")
        self.events.append("open")
        yield {"database": self}
        await trio.sleep(self._closing)
        self.events.append("closed")


async def test_it_starts_before_and_stops_after(autojump_clock: trio.testing.MockClock) -> None:
    database = Database()
    async with lifespan(Starlette(lifespan=database.open), shutdown_timeout=5) as state:
        assert database.events == ["open"]
        assert state == {"database": database}

    assert database.events == ["open", "closed"]


async def test_a_cancellation_leaves_time_to_shut_down(autojump_clock: trio.testing.MockClock) -> None:
    database = Database()
    with trio.move_on_after(10):
        async with lifespan(Starlette(lifespan=database.open), shutdown_timeout=5):
            await trio.sleep_forever()

    assert database.events == ["open", "closed"]
    assert trio.current_time() == pytest.approx(10.5)


@pytest.mark.parametrize("timeout", [0.5, 5.0])
async def test_but_not_for_ever(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture, timeout: float
) -> None:
    database = Database(closing=1000)
    with trio.move_on_after(10):
        async with lifespan(Starlette(lifespan=database.open), shutdown_timeout=timeout):
            await trio.sleep_forever()

    assert database.events == ["open"]
    assert trio.current_time() == pytest.approx(10 + timeout)
    assert "did not shut down in time" in caplog.text


async def test_a_failed_start_up_says_why(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(BaseExceptionGroup) as raised:
        async with lifespan(Starlette(lifespan=Database(broken=True).open), shutdown_timeout=5):
            pytest.fail("it was served all the same")

    error = single(raised.value)
    assert isinstance(error, ConfigurationError)
    assert "no database at db.example.com" in str(error)


async def test_applications_without_a_lifespan_are_served(caplog: pytest.LogCaptureFixture) -> None:
    async def returns(_scope: Scope, _receive: Receive, _send: Send) -> None:
        return

    async def asserts(scope: Scope, _receive: Receive, _send: Send) -> None:
        assert scope["type"] == "http"

    with caplog.at_level(logging.WARNING):
        for app in (returns, asserts):
            async with lifespan(app, shutdown_timeout=5) as state:
                assert state == {}

    assert not caplog.records


async def test_an_application_whose_lifespan_breaks_later_is_served_on(caplog: pytest.LogCaptureFixture) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise RuntimeError("later")

    async with lifespan(app, shutdown_timeout=5):
        await trio.testing.wait_all_tasks_blocked()

    assert "later" in caplog.text
