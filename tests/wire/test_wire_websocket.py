"""WebSockets to vendors: opening, speaking, closing, and every way in which that goes wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing
from echoing import FAILURES, KEY, URL, Echo, echo, opened, refusal
from testing.stages import cancelled_after, stages
from testing.wires import chopped

from callengine.errors import ProviderError, ProviderFault
from callengine.testing.vendors import Request, VendorClosed, WebSocket, in_memory, on_loopback
from callengine.wire import Failures, Wire, open_socket, open_wire
from callengine.wire.websocket import GOODBYE, MAX_MESSAGE, QUEUE

# --- ordinary life ----------------------------------------------------------------------------------------------------


async def test_text_and_bytes_go_there_and_come_back(autojump_clock):
    async with echo() as (_, socket):
        await socket.send("grüße")
        await socket.send(b"\x00\xff")
        await socket.send_json({"a": [1]})
        assert await socket.receive() == "grüße"
        assert await socket.receive() == b"\x00\xff"
        assert await socket.receive() == '{"a":[1]}'
        assert socket.alive


async def test_the_vendor_sees_path_query_headers_and_the_offered_protocols(autojump_clock):
    vendor = Echo()
    async with (
        in_memory(vendor) as wire,
        open_socket(
            wire,
            "wss://echo.test/v1/echo?model=nova%203&tag=a&tag=b",
            FAILURES,
            headers={"Authorization": f"Token {KEY}"},
            subprotocols=("token", "second"),
        ),
    ):
        pass
    (request,) = vendor.requests
    assert request.path == "/v1/echo"
    assert request.query == {"model": ["nova 3"], "tag": ["a", "b"]}
    assert request.headers["authorization"] == f"Token {KEY}"
    assert request.headers["sec-websocket-protocol"] == "token, second"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("wss://echo.test/v1/echo", "echo.test"),
        ("wss://echo.test:443/v1/echo", "echo.test"),
        ("ws://echo.test/v1/echo", "echo.test"),
        ("ws://echo.test:8080/v1/echo", "echo.test:8080"),
        ("wss://echo.test:80/v1/echo", "echo.test:80"),
    ],
)
async def test_the_host_has_its_port_where_that_is_not_the_scheme_s_own(autojump_clock, url, host):
    vendor = Echo()
    async with in_memory(vendor) as wire:
        await opened(wire, url)
    assert vendor.requests[0].host == host


async def test_what_is_no_json_object_is_passed_over(autojump_clock):
    async with echo() as (_, socket):
        for slip in ("", "not json", "[1]", "null", "7", '"text"', "{", '{"a":1}'):
            await socket.send(slip)
        assert await socket.receive_json() == {"a": 1}
        await socket.send(b"audio")
        assert await socket.receive_json() == b"audio"


async def test_leaving_closes_politely_and_at_once(autojump_clock):
    vendor = Echo()
    async with in_memory(vendor) as wire:
        async with open_socket(wire, URL, FAILURES):
            assert (vendor.connections, len(vendor.sockets)) == (1, 1)
        assert trio.current_time() == 0.0
        await trio.testing.wait_all_tasks_blocked()
        assert (vendor.connections, vendor.sockets) == (0, [])


async def test_an_error_of_the_user_s_own_comes_out_as_it_is():
    with pytest.raises(ZeroDivisionError):
        async with echo():
            _ = 1 / 0


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
async def test_how_the_network_cuts_frames_makes_no_difference(autojump_clock, size):
    vendor = Echo()
    long = "word " * 300  # longer than the frame's short length
    async with in_memory(vendor) as wire, open_socket(chopped(wire, size), URL, FAILURES) as socket:
        for message in ("", "a", long, b"\x00" * 127):
            await socket.send(message)
            assert await socket.receive() == message


async def test_a_slow_reader_loses_nothing_and_is_waited_for(autojump_clock):
    class Flood(Echo):
        sent = 0

        async def serve(self, socket: WebSocket, request: Request) -> None:  # noqa: ARG002 - the base's
            for number in range(10 * QUEUE):
                await socket.send(str(number))
                self.sent += 1
            await socket.receive()

    vendor = Flood()
    async with in_memory(vendor) as wire, open_socket(wire, URL, FAILURES) as socket:
        await trio.sleep(1)
        got = [await socket.receive() for _ in range(10 * QUEUE)]
    assert got == [str(number) for number in range(10 * QUEUE)]


async def test_waiting_for_a_message_can_be_cancelled_without_losing_it(autojump_clock):
    async with echo() as (vendor, socket):
        vendor.faults.chunk_delay = 1.0
        await socket.send("one")
        for _ in range(9):
            with trio.move_on_after(0.1) as waited:
                await socket.receive()
            assert waited.cancelled_caught
        assert await socket.receive() == "one"


async def test_over_the_loopback():
    vendor = Echo()
    async with (
        on_loopback(vendor) as address,
        open_wire() as wire,
        open_socket(wire, f"ws://{address}/v1/echo", FAILURES) as socket,
    ):
        await socket.send(b"\x00" * 100_000)
        assert await socket.receive() == b"\x00" * 100_000


async def test_nobody_listens_on_the_loopback():
    async with open_wire() as wire:
        error = await refusal(wire, "ws://127.0.0.1:1/v1/echo")
    assert error.fault == "retry"
    assert "127.0.0.1 cannot be reached" in str(error)


# --- over -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (1000, "reopen"), (1001, "reopen"), (1003, "fatal"), (1007, "fatal"), (1008, "fatal"), (1011, "retry"),
        (1012, "retry"), (1013, "retry"), (3000, "retry"), (4999, "retry"), (4001, "fatal"), (4008, "reopen"),
    ],
)  # fmt: skip
async def test_a_close_has_the_fault_of_its_code(autojump_clock, code, fault):
    vendor = Echo()
    failures = Failures("echo", KEY, closes={4001: "fatal", 4008: "reopen"})
    async with in_memory(vendor) as wire, open_socket(wire, URL, failures) as socket, trio.open_nursery() as nursery:
        nursery.start_soon(vendor.close_all, code, f"because of {KEY}")
        with pytest.raises(ProviderError) as caught:
            await socket.receive()
        assert not socket.alive
    assert caught.value.fault == fault
    assert str(caught.value) == f"echo: the connection was closed: {code} because of [key]"


async def test_a_vendor_s_own_meaning_of_a_close_comes_first(autojump_clock):
    def meaning(code: int, reason: str) -> ProviderError | None:
        return FAILURES.make(f"{reason} seconds", fault="fatal") if code == 1011 else None

    vendor = Echo()
    for code, expected in ((1011, "fatal"), (1000, "reopen")):
        async with (
            in_memory(vendor) as wire,
            open_socket(wire, URL, FAILURES, on_close=meaning) as socket,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(vendor.close_all, code, "90")
            with pytest.raises(ProviderError) as caught:
                await socket.receive()
        assert caught.value.fault == expected


async def test_a_broken_connection_may_be_tried_again(autojump_clock):
    async with echo() as (vendor, socket):
        vendor.break_all()
        with pytest.raises(ProviderError, match="1006") as caught:
            await socket.receive()
        assert caught.value.fault == "retry"


async def test_messages_before_the_end_are_still_given_and_then_every_call_says_how_it_ended(autojump_clock):
    async with echo() as (vendor, socket):
        await socket.send("last words")
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(vendor.close_all, 4000, "enough")
            await trio.testing.wait_all_tasks_blocked()
            assert await socket.receive() == "last words"
            for attempt in (socket.receive, lambda: socket.send("x"), lambda: socket.ping(1.0), socket.receive):
                with pytest.raises(ProviderError, match="4000 enough"):
                    await attempt()


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xff\xff\xff", b"\x83\x00", b"\xc1\x01a", b"\x81\x02\xff\xfe", b"\x88\x01\x00", b"\x80\x01a",
        b"\x81\x85abcd",
    ],
    ids=["noise", "opcode", "reserved bit", "not UTF-8", "half a code", "no beginning", "masked"],
)  # fmt: skip
async def test_a_frame_against_the_protocol_ends_the_connection_and_nothing_else(autojump_clock, frame):
    class Rude(Echo):
        async def serve(self, socket: WebSocket, request: Request) -> None:  # noqa: ARG002 - the base's
            await socket._stream.send_all(frame)  # type: ignore[attr-defined]
            await socket.receive()

    vendor = Rude()
    async with in_memory(vendor) as wire:
        async with open_socket(wire, URL, FAILURES) as socket:
            with trio.fail_after(GOODBYE), pytest.raises(ProviderError):
                await socket.receive()
        vendor.break_all()


async def test_a_message_beyond_all_measure_ends_the_connection(autojump_clock):
    class Endless(Echo):
        async def serve(self, socket: WebSocket, request: Request) -> None:  # noqa: ARG002 - the base's
            await socket.send(b"\x00" * (MAX_MESSAGE + 1))
            await socket.receive()

    async with in_memory(Endless()) as wire, open_socket(wire, URL, FAILURES) as socket:
        with pytest.raises(ProviderError):
            await socket.receive()


async def test_a_vendor_that_does_not_answer_the_goodbye_is_left_without_it(autojump_clock):
    class Deaf(Echo):
        async def serve(self, socket: WebSocket, request: Request) -> None:  # noqa: ARG002 - the base's
            await trio.sleep_forever()

    vendor = Deaf()
    async with in_memory(vendor) as wire:
        await opened(wire)
        assert trio.current_time() == pytest.approx(GOODBYE)
        vendor.break_all()


# --- alive ------------------------------------------------------------------------------------------------------------


async def test_keeping_alive_speaks_only_when_nothing_else_was_said(autojump_clock):
    said: list[tuple[float, Any]] = []

    class Listens(Echo):
        async def serve(self, socket: WebSocket, request: Request) -> None:  # noqa: ARG002 - the base's
            while True:
                message = await socket.receive()
                said.append((round(trio.current_time(), 3), message))

    async with in_memory(Listens()) as wire, open_socket(wire, URL, FAILURES) as socket:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.keep_alive, 5.0, lambda: ["still here"])
            await trio.sleep(3.0)
            await socket.send("words")
            await trio.sleep(11.0)
            nursery.cancel_scope.cancel()
    assert said == [(3.0, "words"), (8.0, "still here"), (13.0, "still here")]


async def test_keeping_alive_by_nothing_at_all_does_not_spin(autojump_clock):
    asked = []
    async with echo() as (_, socket):
        with trio.move_on_after(11):
            await socket.keep_alive(5.0, lambda: asked.append(1) or [])
    assert len(asked) == 2


async def test_keeping_a_dead_connection_alive_is_an_error(autojump_clock):
    async with echo() as (vendor, socket):
        vendor.break_all()
        with pytest.raises(ProviderError):
            await socket.keep_alive(5.0, lambda: ["still here"])
        assert trio.current_time() <= 5.0


async def test_a_ping_is_answered(autojump_clock):
    async with echo() as (_, socket):
        await socket.ping(1.0)
        assert trio.current_time() == 0.0


async def test_a_ping_without_an_answer_is_an_error_that_may_be_tried_again(autojump_clock):
    class Deaf(Echo):
        async def serve(self, socket: WebSocket, request: Request) -> None:  # noqa: ARG002 - the base's
            await trio.sleep_forever()

    vendor = Deaf()
    async with in_memory(vendor) as wire:
        async with open_socket(wire, URL, FAILURES) as socket:
            with pytest.raises(ProviderError, match="no answer to a ping for 1 s") as caught:
                await socket.ping(1.0)
            assert trio.current_time() == pytest.approx(1.0)
            assert caught.value.fault == "retry"
        vendor.break_all()


# --- cancelled --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manner", ["at once", "slow", "silent"])
async def test_cancelled_at_any_moment_nothing_is_left_within_the_clean_up(autojump_clock, manner):
    for steps in stages():
        vendor = Echo()
        if manner == "slow":
            vendor.faults.connect_delay = vendor.faults.answer_delay = vendor.faults.chunk_delay = 0.3
        async with in_memory(vendor) as wire:

            async def work(vendor: Echo = vendor, wire: Wire = wire) -> None:
                async with open_socket(wire, URL, FAILURES) as socket:
                    vendor.faults.mute = manner == "silent"
                    await socket.send(json.dumps({"n": 1}))
                    with trio.move_on_after(1):
                        await socket.receive()

            finished = await cancelled_after(steps, work)
        assert vendor.connections == 0
        if finished:
            break
    assert steps > 20


@pytest.mark.parametrize("code", [1000, 4000])
async def test_a_vendor_that_closes_while_we_leave_is_no_error(autojump_clock, code):
    class Leaves(Echo):
        async def serve(self, socket: WebSocket, request: Request) -> None:  # noqa: ARG002 - the base's
            try:
                await socket.receive()
            except VendorClosed:
                raise
            await socket.close(code)

    async with in_memory(Leaves()) as wire, open_socket(wire, URL, FAILURES) as socket:
        await socket.send("go")


def test_the_faults_of_the_parameters_are_those_of_the_port():
    assert {"fatal", "retry", "reopen"} == set(ProviderFault.__args__)
