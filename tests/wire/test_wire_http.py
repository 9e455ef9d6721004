"""Requests to vendors: streamed bodies, bounds on every wait, and connections that are kept or closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from testing.stages import cancelled_after, stages

from callengine.errors import ProviderError
from callengine.testing.vendors import Answer, Request, Vendor, in_memory, on_loopback
from callengine.wire import Failures, Patience, StreamedBody, Wire, asked, open_wire, shared_wire, streamed
from callengine.wire.http import MAX_ERROR_BODY, error_body, transport_errors

KEY = "http-test-key-0123456789"
FAILURES = Failures("books", KEY)
PIECES = [b"one ", b"two ", b"three ", b"four"]


class Books(Vendor):
    """Answers with a body that is made as it goes."""

    hosts = ("books.test",)
    key = KEY

    async def answer(self, request: Request) -> Answer:
        if request.path == "/large":
            return Answer(500, b"x" * (3 * MAX_ERROR_BODY))
        return Answer(200, _pieces(), {"content-type": "text/plain"})


async def _pieces() -> AsyncIterator[bytes]:
    for piece in PIECES:
        yield piece


def late() -> ProviderError:
    return FAILURES.make("too late")


@asynccontextmanager
async def book(
    wire: Wire, seconds: float = 5.0, path: str = "/", host: str = "books.test"
) -> AsyncIterator[StreamedBody]:
    request = wire.http.build_request("GET", f"http://{host}{path}", headers={"X-Key": KEY})
    async with streamed(wire.http, request, FAILURES, Patience(seconds), late) as body:
        yield body


async def read(wire: Wire, **settings: Any) -> bytes:
    async with book(wire, **settings) as body:
        whole = b""
        while (data := await body.read()) is not None:
            whole += data
        return whole


async def failure(wire: Wire, **settings: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await read(wire, **settings)
    assert KEY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("size", [None, 1, 3, 7])
async def test_a_body_comes_whole_however_it_is_cut(autojump_clock, size):
    vendor = Books()
    vendor.faults.chunk = size
    async with in_memory(vendor) as wire:
        assert await read(wire) == b"".join(PIECES)
    assert vendor.requests[0].headers["x-key"] == KEY


async def test_after_a_whole_answer_the_connection_is_kept(autojump_clock):
    vendor = Books()
    async with in_memory(vendor) as wire:
        for _ in range(3):
            await read(wire)
        assert (vendor.connected, vendor.connections) == (1, 1)


async def test_calls_at_the_same_time_share_the_pool(autojump_clock):
    vendor = Books()
    vendor.faults.chunk_delay = 0.1
    async with in_memory(vendor) as wire:
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(read, wire)
        assert vendor.connected == 5


async def test_leaving_in_the_middle_closes_the_connection_at_once(autojump_clock):
    vendor = Books()
    vendor.faults.chunk_delay = 0.5
    async with in_memory(vendor) as wire:
        async with book(wire) as body:
            assert await body.read() == PIECES[0]
            left = trio.current_time()
        assert trio.current_time() == left
        await trio.sleep(0.6)
        assert vendor.connections == 0


async def test_what_is_said_to_be_complete_is_kept_though_its_last_bytes_were_not_read(autojump_clock):
    vendor = Books()
    async with in_memory(vendor) as wire:
        async with book(wire) as body:
            await body.read()
            body.complete = True
        await read(wire)
        assert vendor.connected == 1


async def test_what_is_said_to_be_complete_is_not_waited_for_long(autojump_clock):
    vendor = Books()
    vendor.faults.chunk_delay = 3.0
    async with in_memory(vendor) as wire:
        async with book(wire) as body:
            await body.read()
            body.complete = True
            said = trio.current_time()
        assert trio.current_time() - said <= 0.1 + 1e-9


@pytest.mark.parametrize("fault", ["connect_delay", "answer_delay", "chunk_delay"])
async def test_all_waiting_is_one_budget(autojump_clock, fault):
    vendor = Books()
    setattr(vendor.faults, fault, 60.0)
    async with in_memory(vendor) as wire:
        error = await failure(wire, seconds=1.5)
        assert trio.current_time() == pytest.approx(1.5)
        assert (str(error), error.fault) == ("books: too late", "retry")


async def test_what_the_reader_does_in_between_costs_no_patience(autojump_clock):
    async with in_memory(Books()) as wire, book(wire, seconds=0.5) as body:
        while await body.read() is not None:
            await trio.sleep(10)


async def test_the_next_bytes_can_be_given_another_time(autojump_clock):
    vendor = Books()
    vendor.faults.chunk_delay = 1.0
    async with in_memory(vendor) as wire, book(wire, seconds=1.1) as body:
        while await body.read() is not None:
            body.patience.left = 1.1
    assert trio.current_time() >= 4.0


async def test_any_status_but_200_is_the_vendor_s_error(autojump_clock):
    vendor = Books()
    vendor.refuse(429, f"slow down, {KEY}", **{"retry-after": "7"})
    vendor.refuse(401, "who are you?")
    async with in_memory(vendor) as wire:
        error = await failure(wire)
        assert (error.fault, error.retry_after) == ("retry", 7.0)
        assert (await failure(wire)).fault == "fatal"
        assert await read(wire) == b"".join(PIECES)


async def test_asking_takes_any_status(autojump_clock):
    vendor = Books()
    vendor.refuse(404, "no such book")
    async with in_memory(vendor) as wire:
        request = wire.http.build_request("GET", "http://books.test/")
        async with asked(wire.http, request, FAILURES, Patience(1.0), late) as body:
            assert body.response.status_code == 404
            assert b"no such book" in await error_body(body)


async def test_of_an_endless_error_not_everything_is_read(autojump_clock):
    async with in_memory(Books()) as wire:
        assert len(str(await failure(wire, path="/large"))) < 600


@pytest.mark.parametrize("pieces", [0, 1, 3])
async def test_a_connection_that_breaks_may_be_tried_again(autojump_clock, pieces):
    vendor = Books()
    vendor.faults.break_after = pieces
    async with in_memory(vendor) as wire:
        assert (await failure(wire)).fault == "retry"
        assert await read(wire) == b"".join(PIECES)


async def test_a_vendor_that_cannot_be_reached_may_be_tried_again(autojump_clock):
    vendor = Books()
    vendor.faults.unreachable = 1
    async with in_memory(vendor) as wire:
        assert (await failure(wire)).fault == "retry"
        assert (await failure(wire, host="nowhere.test")).fault == "retry"
        assert await read(wire) == b"".join(PIECES)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ReadTimeout("slow"), "timed out"),
        (httpx.ConnectError("no route"), "failed: ConnectError no route"),
        (httpx.RemoteProtocolError(f"bad {KEY}"), "failed: RemoteProtocolError bad [key]"),
    ],
)
def test_what_the_client_raises_may_be_tried_again(error, words):
    with pytest.raises(ProviderError) as caught, transport_errors(FAILURES):
        raise error
    assert caught.value.fault == "retry"
    assert words in str(caught.value)


def test_what_is_no_trouble_on_the_way_is_not_touched():
    with pytest.raises(ZeroDivisionError), transport_errors(FAILURES):
        raise ZeroDivisionError


@pytest.mark.parametrize("delay", [0.0, 0.3])
async def test_cancelled_at_any_moment_nothing_is_left(autojump_clock, delay):
    for steps in stages(dense=40):
        vendor = Books()
        vendor.faults.connect_delay = vendor.faults.answer_delay = vendor.faults.chunk_delay = delay
        async with in_memory(vendor) as wire:

            async def work(wire: Wire = wire) -> None:
                await read(wire)

            if await cancelled_after(steps, work):
                break
            await trio.sleep(1.1)
            assert vendor.connections == 0
    assert steps > 10


async def test_over_the_loopback_and_a_way_of_one_s_own():
    vendor = Books()
    async with on_loopback(vendor) as address:
        async with open_wire() as wire:
            for _ in range(2):
                assert await read(wire, host=address) == b"".join(PIECES)
            assert vendor.connected == 1
            async with shared_wire(wire) as same:
                assert same is wire
        async with shared_wire(None) as own:
            assert await read(own, host=address) == b"".join(PIECES)
            assert own is not wire
    assert vendor.connected == 2
