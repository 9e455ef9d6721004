"""The pool of HTTP connections: used again, given to one request each, let go of in time, cheap when many are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpcore
import httpx
import pytest
import trio

from callengine.testing.vendors import Answer, Request, Vendor, on_loopback
from callengine.wire.network import tls_context
from callengine.wire.pool import LOOKED_AT, Pool, http_client

MANY = 12


class Desk(Vendor):
    """Answers nobody before ``waited_for`` requests are there."""

    hosts = ("desk.test",)

    def __init__(self) -> None:
        super().__init__()
        self.waited_for = 1
        self._here = 0
        self._all = trio.Event()

    async def answer(self, request: Request) -> Answer:
        del request
        self._here += 1
        if self._here >= self.waited_for:
            self._all.set()
        await self._all.wait()
        return Answer.of({})

    def expect(self, requests: int) -> None:
        self.waited_for, self._here, self._all = requests, 0, trio.Event()


@asynccontextmanager
async def desk(max_idle: int = 64) -> AsyncIterator[tuple[Desk, httpx.AsyncClient, str]]:
    vendor = Desk()
    async with (
        on_loopback(vendor) as address,
        http_client(tls_context(), keep_alive=60.0, max_idle=max_idle) as client,
    ):
        yield vendor, client, f"http://{address}/"


def kept(client: httpx.AsyncClient) -> list[httpcore.AsyncConnectionInterface]:
    return client._transport._pool.connections


async def ask(client: httpx.AsyncClient, url: str) -> None:
    with trio.fail_after(5.0):
        assert (await client.get(url)).status_code == 200


async def ask_at_once(vendor: Desk, client: httpx.AsyncClient, url: str, requests: int) -> None:
    """All are answered together: each must have a connection of its own."""
    vendor.expect(requests)
    async with trio.open_nursery() as nursery:
        for _ in range(requests):
            nursery.start_soon(ask, client, url)


async def gone(vendor: Desk, left: int) -> None:
    with trio.fail_after(5.0):
        while vendor.connections > left:
            await trio.lowlevel.checkpoint()


async def test_one_request_after_the_other_uses_one_connection():
    async with desk() as (vendor, client, url):
        for _ in range(3):
            await ask(client, url)
        assert vendor.connected == 1


async def test_requests_of_a_moment_have_a_connection_each_and_use_the_same_ones_again():
    async with desk() as (vendor, client, url):
        for _ in range(3):
            await ask_at_once(vendor, client, url, MANY)
        assert vendor.connected == MANY


async def test_no_more_idle_connections_are_kept_than_may_be():
    async with desk(max_idle=3) as (vendor, client, url):
        await ask_at_once(vendor, client, url, MANY)
        await gone(vendor, left=3)
        assert len(kept(client)) == 3


async def test_a_connection_that_the_server_has_closed_is_not_given_to_a_request():
    async with desk() as (vendor, client, url):
        await ask(client, url)
        vendor.break_all()
        await gone(vendor, left=0)
        await ask(client, url)
        assert vendor.connected == 2


async def test_connections_that_the_server_has_closed_are_let_go_of_in_their_turn():
    async with desk() as (vendor, client, url):
        await ask_at_once(vendor, client, url, MANY)
        vendor.break_all()
        await gone(vendor, left=0)
        for _ in range(MANY // LOOKED_AT):
            await ask(client, url)
        assert len(kept(client)) == 1


async def test_a_request_looks_at_a_few_of_many_connections(monkeypatch):
    async with desk() as (vendor, client, url):
        await ask_at_once(vendor, client, url, MANY)
        looks = []
        real = httpcore.AsyncHTTPConnection.has_expired

        def has_expired(connection):
            looks.append(connection)
            return real(connection)

        monkeypatch.setattr(httpcore.AsyncHTTPConnection, "has_expired", has_expired)
        await ask(client, url)
        # Twice: when it is given a connection, and when it gives it back.
        assert 0 < len(looks) <= 2 * LOOKED_AT + 1


@pytest.mark.parametrize("other_host", [False, True])
async def test_where_connections_are_limited_a_request_waits_or_takes_an_idle_one_s_place(other_host):
    first, second = Desk(), Desk()
    async with (
        on_loopback(first) as address,
        on_loopback(second) as other,
        httpx.AsyncClient(timeout=None) as client,
    ):
        client._transport._pool = Pool(max_connections=1)
        where = other if other_host else address
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, client, f"http://{address}/")
            nursery.start_soon(ask, client, f"http://{where}/")
        assert first.connected + second.connected == 1 + other_host
        assert len(kept(client)) == 1


async def test_a_connection_that_could_not_be_made_is_forgotten():
    async with desk() as (vendor, client, url):
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1/")
        await ask(client, url)
        assert len(kept(client)) == vendor.connected == 1


async def test_a_request_that_is_given_up_leaves_nothing():
    async with desk() as (vendor, client, url):
        vendor.expect(2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.get, url)
            with trio.fail_after(5.0):
                while not vendor.requests:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert kept(client) == []
