"""One-time tokens, on the virtual clock."""

from __future__ import annotations

import re

import pytest
import trio
import trio.testing

from callengine.server.host import Offer
from callengine.server.tokens import TokenStore

OFFER = Offer("twilio", "+15005550001", "+15005550002", "inbound", "CA1")


async def test_a_token_gives_its_own_offer_back_once() -> None:
    store = TokenStore()
    other = Offer("twilio", call_id="CA2")
    first, second = store.issue(OFFER), store.issue(other)

    assert store.spend(second) is other
    assert store.spend(first) is OFFER
    assert store.spend(first) is None
    assert store.spend(second) is None


async def test_tokens_can_stand_in_a_path_and_are_never_alike() -> None:
    store = TokenStore()
    tokens = {store.issue(OFFER) for _ in range(1000)}

    assert len(tokens) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in tokens)


@pytest.mark.parametrize("token", ["", "x", "é", "\ud800", "A" * 10_000])
async def test_what_was_never_issued_gives_nothing(token: str) -> None:
    store = TokenStore()
    store.issue(OFFER)

    assert store.spend(token) is None


@pytest.mark.parametrize("lifetime", [5.0, 60.0])
async def test_a_token_lives_for_its_lifetime(autojump_clock: trio.testing.MockClock, lifetime: float) -> None:
    store = TokenStore(lifetime=lifetime)
    early, late = store.issue(OFFER), store.issue(OFFER)

    await trio.sleep(lifetime - 0.001)
    assert store.spend(early) is OFFER
    await trio.sleep(0.001)
    assert store.spend(late) is None


async def test_tokens_that_nobody_spends_do_not_pile_up(autojump_clock: trio.testing.MockClock) -> None:
    store = TokenStore(lifetime=10)
    for _ in range(100):
        store.issue(OFFER)
        await trio.sleep(1)

    assert store.unspent() == 9


async def test_beyond_the_limit_the_oldest_is_forgotten() -> None:
    store = TokenStore(limit=3)
    tokens = [store.issue(OFFER) for _ in range(4)]

    assert store.unspent() == 3
    assert [store.spend(token) for token in tokens] == [None, OFFER, OFFER, OFFER]


@pytest.mark.parametrize("settings", [{"lifetime": 0}, {"limit": 0}])
def test_a_store_that_could_hold_nothing_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        TokenStore(**settings)


async def test_a_token_may_live_as_long_as_a_telephone_rings(autojump_clock: trio.testing.MockClock) -> None:
    tokens = TokenStore(lifetime=60)
    long, usual = tokens.issue(OFFER, 120), tokens.issue(OFFER)

    await trio.sleep(60)
    assert tokens.unspent() == 1
    assert tokens.spend(usual) is None
    assert tokens.spend(long) == OFFER
