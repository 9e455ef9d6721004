"""Reading the first request's head, on in-memory streams under the virtual clock."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from callengine.server.head import read_head, refuse
from callengine.services.handshake import BadHandshake, refusal

HEAD = b"GET / HTTP/1.1\r\nHost: voice.example.com\r\n\r\n"


async def test_a_head_may_come_in_any_pieces_and_what_follows_is_kept() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def dribble() -> None:
            for at in range(len(HEAD)):
                await theirs.send_all(HEAD[at : at + 1])
                await trio.testing.wait_all_tasks_blocked()

        assert await read_head(ours, timeout=5, limit=100) == HEAD
    await theirs.send_all(HEAD + b"a body")

    assert await read_head(ours, timeout=5, limit=100) == HEAD + b"a body"


@pytest.mark.parametrize("timeout", [1.0, 5.0])
async def test_half_a_request_line_is_waited_for_only_so_long(
    autojump_clock: trio.testing.MockClock, timeout: float
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(b"GET /twi")
    began = trio.current_time()

    with pytest.raises(BadHandshake) as refused:
        await read_head(ours, timeout=timeout, limit=100)

    assert refused.value.status == 408
    assert trio.current_time() - began == pytest.approx(timeout)


async def test_a_slow_loris_gains_no_time_with_every_byte(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def dribble() -> None:
            for at in range(len(HEAD)):
                await theirs.send_all(HEAD[at : at + 1])
                await trio.sleep(0.9)

        with pytest.raises(BadHandshake) as refused:
            await read_head(ours, timeout=5, limit=100)
        assert trio.current_time() == pytest.approx(5, abs=0.01)
        nursery.cancel_scope.cancel()
    assert refused.value.status == 408


async def test_whoever_says_nothing_or_leaves_gets_no_answer(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    assert await read_head(ours, timeout=5, limit=100) is None
    await theirs.send_all(b"GET / HT")
    await theirs.send_eof()
    assert await read_head(ours, timeout=5, limit=100) is None


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client hello
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"\x00" * 50,
        b" GET / HTTP/1.1\r\n",
    ],
)
async def test_garbage_is_refused_without_waiting_for_more(
    autojump_clock: trio.testing.MockClock, garbage: bytes
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(garbage)

    with pytest.raises(BadHandshake) as refused:
        await read_head(ours, timeout=5, limit=100)

    assert refused.value.status == 400
    assert trio.current_time() == 0


@pytest.mark.parametrize("tail", [b"", b"\r\n\r\n"])
async def test_a_head_over_the_limit_is_refused_complete_or_not(tail: bytes) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(b"GET / HTTP/1.1\r\nCookie: " + b"x" * 100 + tail)

    with pytest.raises(BadHandshake) as refused:
        await read_head(ours, timeout=5, limit=100)

    assert refused.value.status == 431


async def test_a_large_body_behind_the_head_does_not_count() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(HEAD + b"x" * 1000)

    assert await read_head(ours, timeout=5, limit=100) is not None


async def test_a_refusal_is_sent_and_waits_only_a_moment_for_its_reader(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    await refuse(ours, refusal(400, "no"))

    assert trio.current_time() <= 1
    assert (await theirs.receive_some()).startswith(b"HTTP/1.1 400 ")
    assert await theirs.receive_some() == b""
