"""What is remembered of requests that came before."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from callengine.carriers.telnyx.signature import FUTURE_TOLERANCE, TOLERANCE
from callengine.server.replays import LIFETIME, Replays


async def test_the_same_request_of_the_same_carrier_comes_first_only_once() -> None:
    replays = Replays()

    assert replays.first("telnyx", b"1700000000|{}")
    assert not replays.first("telnyx", b"1700000000|{}")
    assert replays.first("telnyx", b"1700000001|{}")
    assert replays.first("second", b"1700000000|{}")


@pytest.mark.parametrize("lifetime", [60.0, LIFETIME])
async def test_it_is_remembered_for_its_lifetime(autojump_clock: trio.testing.MockClock, lifetime: float) -> None:
    replays = Replays(lifetime=lifetime)
    replays.first("telnyx", b"a")

    await trio.sleep(lifetime - 0.001)
    assert not replays.first("telnyx", b"a")
    await trio.sleep(0.001)
    assert replays.first("telnyx", b"a")


async def test_the_oldest_is_forgotten_beyond_the_limit() -> None:
    replays = Replays(limit=2)
    for signed in (b"a", b"b", b"c"):
        replays.first("telnyx", signed)

    assert not replays.first("telnyx", b"b")
    assert not replays.first("telnyx", b"c")
    assert replays.first("telnyx", b"a")


def test_it_is_longer_than_a_signature_is_good_for() -> None:
    assert LIFETIME > TOLERANCE + FUTURE_TOLERANCE
