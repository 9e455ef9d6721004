"""How many connections may be open."""

from __future__ import annotations

import logging
from contextlib import ExitStack

import pytest

from callengine.server.seats import Seat, Seats


def fill(stack: ExitStack, seats: Seats, *addresses: str) -> list[Seat | None]:
    return [stack.enter_context(seats.take(address)) for address in addresses]


def test_a_seat_is_free_again_after_its_block() -> None:
    seats = Seats(1, 1)
    for _ in range(3):
        with seats.take("192.0.2.1") as seat:
            assert seat is not None
            with seats.take("192.0.2.2") as refused:
                assert refused is None


def test_one_address_gets_only_its_share() -> None:
    seats = Seats(10, 2)
    with ExitStack() as stack:
        first, second, third, other = fill(stack, seats, "192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2")

        assert first is not None
        assert second is not None
        assert third is None
        assert other is not None


def test_a_subscriber_s_ipv6_addresses_count_as_one() -> None:
    seats = Seats(10, 1)
    with ExitStack() as stack:
        first, same, other = fill(stack, seats, "2001:db8:1:2::3", "2001:db8:1:2:ffff::4", "2001:db8:1:3::3")

        assert first is not None
        assert same is None
        assert other is not None


def test_whoever_left_his_address_counts_for_the_total_only() -> None:
    seats = Seats(3, 1)
    with ExitStack() as stack:
        for _ in range(3):
            (seat,) = fill(stack, seats, "192.0.2.1")
            assert seat is not None
            seat.leave_address()
            seat.leave_address()

        assert fill(stack, seats, "192.0.2.1") == [None]
    with ExitStack() as stack:
        free, refused = fill(stack, seats, "192.0.2.1", "192.0.2.1")
        assert free is not None
        assert refused is None


def test_a_flood_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    seats = Seats(1, 1)
    with caplog.at_level(logging.WARNING), seats.take("192.0.2.1"):
        for _ in range(100):
            with seats.take("192.0.2.1"):
                pass

    assert len(caplog.records) == 1
