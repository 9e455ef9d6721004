"""WebSockets to vendors that are refused, late, or left in the middle of the handshake."""

from __future__ import annotations

import pytest
import trio
from echoing import KEY, Echo, opened, refusal
from testing.wires import wire_to

from callengine.testing.vendors import Answer, in_memory
from callengine.wire.websocket import GOODBYE


@pytest.mark.parametrize(
    ("status", "headers", "fault", "pause"),
    [
        (401, {}, "fatal", None),
        (402, {}, "fatal", None),
        (404, {}, "fatal", None),
        (408, {}, "retry", None),
        (429, {"retry-after": "7"}, "retry", 7.0),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, "retry", None),
        (429, {"retry-after": "86400"}, "retry", 60.0),
        (500, {}, "retry", None),
        (503, {"retry-after": "1.5"}, "retry", 1.5),
    ],
)
async def test_a_refused_handshake_is_the_vendor_s_error(autojump_clock, status, headers, fault, pause):
    vendor = Echo()
    vendor.refuse(status, f"we do not want {KEY}", **headers)
    async with in_memory(vendor) as wire:
        error = await refusal(wire)
    assert (error.fault, error.retry_after) == (fault, pause)
    assert f"HTTP {status}: we do not want [key]" in str(error)


async def test_a_redirect_is_no_connection(autojump_clock):
    vendor = Echo()
    vendor.faults.refusals.append(Answer(301, b"", {"location": "wss://elsewhere.test/"}))
    async with in_memory(vendor) as wire:
        assert (await refusal(wire)).fault == "fatal"


async def test_an_unknown_host_may_be_tried_again(autojump_clock):
    async with in_memory(Echo()) as wire:
        error = await refusal(wire, "wss://nowhere.test/")
    assert error.fault == "retry"
    assert "nowhere.test cannot be reached" in str(error)


async def test_a_refused_connection_may_be_tried_again_and_then_works(autojump_clock):
    vendor = Echo()
    vendor.faults.unreachable = 1
    async with in_memory(vendor) as wire:
        assert (await refusal(wire)).fault == "retry"
        await opened(wire)


@pytest.mark.parametrize("delay", ["connect_delay", "answer_delay"])
async def test_connection_and_handshake_have_a_bound_together(autojump_clock, delay):
    vendor = Echo()
    setattr(vendor.faults, delay, 60.0)
    async with in_memory(vendor) as wire:
        error = await refusal(wire, timeout=1.5)
        assert trio.current_time() == pytest.approx(1.5)
        assert error.fault == "retry"
        assert "no connection within 1.5 s" in str(error)


async def test_a_late_answer_is_still_an_answer(autojump_clock):
    vendor = Echo()
    vendor.faults.connect_delay = vendor.faults.answer_delay = 0.8
    async with in_memory(vendor) as wire:
        await opened(wire, timeout=2.0)
        assert trio.current_time() == pytest.approx(1.6)


ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
HALVES = {
    "nothing": b"",
    "a part of a line": b"HTTP/1.1 10",
    "a part of the head": ACCEPTED,
    "a head without the proof": ACCEPTED + b"\r\n",
    "a wrong proof": ACCEPTED + b"Sec-WebSocket-Accept: bm90IHRoaXMgb25l\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "a page": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "a refusal without its body": b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nso",
    "an endless refusal": b"HTTP/1.1 503 Busy\r\n\r\n",
}


@pytest.mark.parametrize("ends", ["closes", "breaks"])
@pytest.mark.parametrize("said", HALVES.values(), ids=HALVES)
async def test_a_peer_that_goes_in_the_middle_of_the_handshake_is_an_error_at_once(autojump_clock, said, ends):
    async def peer(stream: trio.abc.Stream) -> None:
        await stream.receive_some(65_536)
        if said:
            await stream.send_all(said)
        if ends == "closes":
            await stream.aclose()
        else:
            await trio.aclose_forcefully(stream)

    async with in_memory() as wire, wire_to(peer, wire) as to_peer:
        error = await refusal(to_peer)
        assert trio.current_time() <= GOODBYE
    assert error.fault == ("fatal" if b"200 OK" in said else "retry")


@pytest.mark.parametrize("said", HALVES.values(), ids=HALVES)
async def test_a_peer_that_falls_silent_in_the_middle_of_the_handshake_is_waited_for_as_long_as_was_said(
    autojump_clock, said
):
    async def peer(stream: trio.abc.Stream) -> None:
        await stream.receive_some(65_536)
        if said:
            await stream.send_all(said)

    async with in_memory() as wire, wire_to(peer, wire) as to_peer:
        await refusal(to_peer, timeout=2.0)
        assert trio.current_time() <= 2.0 + GOODBYE


async def test_a_refusal_that_ends_with_the_connection_keeps_its_status_and_its_words(autojump_clock):
    async def peer(stream: trio.abc.Stream) -> None:
        await stream.receive_some(65_536)
        await stream.send_all(
            b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
            b'{"error": {"message": "the key is wrong"}}'
        )
        await stream.aclose()

    async with in_memory() as wire, wire_to(peer, wire) as to_peer:
        error = await refusal(to_peer)
    assert error.fault == "fatal"
    assert "HTTP 401: the key is wrong" in str(error)
