"""The owner of a carrier's WebSocket, held against two clients: that of ``websockets`` (sans-IO) and trio-websocket.

Timing is tested on in-memory streams under the virtual clock; what the kernel does, on socket pairs and loopback.
"""

from __future__ import annotations

import gc
import os
import socket as stdlib_socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeAlias

import pytest
import trio
import trio.testing
from trio.testing import MemorySendStream
from trio_websocket import ConnectionClosed as ClientClosed
from trio_websocket import open_websocket
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from callengine.errors import SocketClosed
from callengine.ports import MediaSocket
from callengine.services.handshake import accept_response, parse_head
from callengine.services.media_socket import CLOSE_TIMEOUT, MAX_UNSENT, WebSocketMediaSocket
from callengine.services.websocket import MAX_MESSAGE

PATIENCE = 10
"""Seconds after which a test on real sockets is stuck; none needs a hundredth of it."""


class Peer:
    """A carrier's end of a stream."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.stream = stream
        self.protocol = ClientProtocol(parse_uri("ws://voice.example.com/media"), state=OPEN, max_size=None)
        self._events: list[Frame] = []

    async def send(self) -> None:
        """Send what was said to the protocol."""
        for data in self.protocol.data_to_send():
            if data:
                await self.stream.send_all(data)

    async def say(self, *messages: bytes) -> None:
        for message in messages:
            self.protocol.send_text(message)
        await self.send()

    async def frame(self) -> Frame | None:
        """The next frame; None at the end of the stream."""
        while not self._events:
            data = await self.stream.receive_some(65_536)
            if not data:
                return None
            self.protocol.receive_data(data)
            self._events += [event for event in self.protocol.events_received() if isinstance(event, Frame)]
        return self._events.pop(0)

    async def text(self) -> bytes:
        frame = await self.frame()
        assert frame is not None
        assert frame.opcode is Opcode.TEXT
        return bytes(frame.data)

    async def end(self) -> tuple[int, str] | None:
        """Answer a close frame and read to the end; what the close frame said, None where there was none."""
        while await self.frame() is not None:
            with suppress(trio.BrokenResourceError):
                await self.send()
        close = self.protocol.close_rcvd
        return None if close is None else (close.code, close.reason)


def memory() -> tuple[trio.StapledStream[MemorySendStream, trio.testing.MemoryReceiveStream], Peer]:
    ours, theirs = trio.testing.memory_stream_pair()
    return ours, Peer(theirs)


def pair() -> tuple[trio.SocketStream, Peer]:
    ours, theirs = trio.socket.socketpair()
    return trio.SocketStream(ours), Peer(trio.SocketStream(theirs))


Connect: TypeAlias = Callable[[], tuple[trio.abc.HalfCloseableStream, Peer]]


@asynccontextmanager
async def tcp() -> AsyncIterator[tuple[trio.SocketStream, Peer]]:
    """A loopback connection with small buffers, so that the kernel soon has enough."""
    with stdlib_socket.socket() as listening:
        listening.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        theirs = trio.SocketStream(trio.socket.socket())
        theirs.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_RCVBUF, 4096)
        await theirs.socket.connect(listening.getsockname())
        ours = trio.SocketStream(trio.socket.from_stdlib_socket(listening.accept()[0]))
    async with ours, theirs:
        with trio.fail_after(PATIENCE):
            yield ours, Peer(theirs)


@asynccontextmanager
async def running(socket: WebSocketMediaSocket) -> AsyncIterator[WebSocketMediaSocket]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(socket.run)
        yield socket
        socket.close_nowait()  # `run` returns then: the nursery needs no cancelling


async def closed(socket: WebSocketMediaSocket) -> tuple[int, str]:
    """Receive, expecting the end."""
    with pytest.raises(SocketClosed) as caught:
        await socket.receive()
    return caught.value.code, caught.value.reason


# --- one stalled peer ---------------------------------------------------------------------------------------------


async def test_a_peer_that_never_reads_leaves_fifty_others_on_time(autojump_clock: trio.testing.MockClock) -> None:
    arrivals: list[list[float]] = [[] for _ in range(50)]

    async def listen(peer: Peer, times: list[float]) -> None:
        for _ in range(100):
            await peer.text()
            times.append(autojump_clock.current_time())

    stalled_stream, _ = memory()
    stalled_stream.send_stream.send_all_hook = trio.sleep_forever
    stalled, lost = WebSocketMediaSocket(stalled_stream, max_unsent=10_000), []
    sockets = []
    begin = autojump_clock.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stalled.run)
        for times in arrivals:
            stream, peer = memory()
            sockets.append(WebSocketMediaSocket(stream))
            nursery.start_soon(sockets[-1].run)
            nursery.start_soon(listen, peer, times)
        for slot in range(100):
            await trio.sleep_until(begin + slot * 0.02)
            try:
                stalled.send_nowait(b"x" * 300)
            except SocketClosed as error:
                lost.append((slot, error.code, error.reason))
            for socket in sockets:
                socket.send_nowait(b"x" * 300)
        await trio.testing.wait_all_tasks_blocked()
        for socket in sockets:
            socket.close_nowait()

    assert all(times == [begin + slot * 0.02 for slot in range(100)] for times in arrivals)
    assert [slot for slot, _, _ in lost] == list(range(32, 100)), "33 frames of 304 bytes are more than 10,000"
    assert {(code, reason) for _, code, reason in lost} == {(1006, "peer does not read: 10032 bytes wait")}
    assert await closed(stalled) == (1006, "peer does not read: 10032 bytes wait")


async def test_a_stalled_kernel_socket_costs_a_bounded_buffer_and_nobody_else_a_message() -> None:
    message = b"x" * 2000
    async with tcp() as (stalled_stream, _), tcp() as (stream, peer):
        stalled, other = WebSocketMediaSocket(stalled_stream), WebSocketMediaSocket(stream)
        accepted = 0
        async with running(stalled), running(other):
            with suppress(SocketClosed):
                for number in range(100_000):
                    stalled.send_nowait(message)
                    accepted += len(message) + 4
                    other.send_nowait(b"%d" % number)
                    assert await peer.text() == b"%d" % number
            code, reason = await closed(stalled)
            assert stalled_stream.socket.fileno() == -1
    assert code == 1006
    assert reason.startswith("peer does not read")
    assert MAX_UNSENT < accepted < MAX_UNSENT + 8_000_000, "the bound, and what two kernels hold at the very most"


async def test_the_reader_learns_that_the_peer_does_not_read() -> None:
    stream, _ = memory()
    stream.send_stream.send_all_hook = trio.sleep_forever
    socket = WebSocketMediaSocket(stream, max_unsent=100)
    ends: list[tuple[int, str]] = []

    async def read() -> None:
        ends.append(await closed(socket))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(socket.run)
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(SocketClosed):
            socket.send_nowait(b"x" * 200)
    assert ends == [(1006, "peer does not read: 204 bytes wait")]


async def test_pings_from_a_peer_that_does_not_read_are_bounded_too() -> None:
    stream, peer = memory()
    stream.send_stream.send_all_hook = trio.sleep_forever
    async with running(WebSocketMediaSocket(stream, max_unsent=1000)) as socket:
        for _ in range(20):
            peer.protocol.send_ping(b"x" * 100)
        await peer.say(b"what was said before counts")
        assert await socket.receive() == [(True, b"what was said before counts")]
        assert (await closed(socket))[0] == 1006


# --- messages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connect", [memory, pair])
async def test_messages_both_ways(connect: Connect) -> None:
    stream, peer = connect()
    async with running(WebSocketMediaSocket(stream)) as owner:
        socket: MediaSocket = owner
        await peer.say(b"one", b"two")
        assert await socket.receive() == [(True, b"one"), (True, b"two")]
        socket.send_nowait(b"three")
        socket.send_nowait(b"x" * 70_000, discardable=True)
        assert await peer.text() == b"three"
        assert await peer.text() == b"x" * 70_000


async def test_what_came_with_the_request_is_received_first() -> None:
    stream, peer = pair()
    peer.protocol.send_text(b"early")
    early = b"".join(peer.protocol.data_to_send())
    socket = WebSocketMediaSocket(stream, initial=early + b"\x81")
    with trio.CancelScope() as scope:
        scope.cancel()
        await socket.receive()
    assert scope.cancelled_caught, "and cancelling loses nothing"
    assert await socket.receive() == [(True, b"early")]
    peer.protocol.send_text(b"later")
    await peer.stream.send_all(b"".join(peer.protocol.data_to_send())[1:])
    assert await socket.receive() == [(True, b"later")]
    socket.close_nowait()


async def test_half_frames_byte_by_byte() -> None:
    stream, peer = memory()
    socket = WebSocketMediaSocket(stream)
    peer.protocol.send_text(b"x" * 130)
    peer.protocol.send_binary(b"y")
    received: list[tuple[bool, bytes]] = []

    async def trickle() -> None:
        for byte in b"".join(peer.protocol.data_to_send()):
            await peer.stream.send_all(bytes((byte,)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trickle)
        while len(received) < 2:
            received += await socket.receive()
    assert received == [(True, b"x" * 130), (False, b"y")]


async def test_fragments_with_a_ping_between() -> None:
    stream, peer = pair()
    async with running(WebSocketMediaSocket(stream)) as socket:
        peer.protocol.send_text(b"to", fin=False)
        peer.protocol.send_ping(b"still there?")
        peer.protocol.send_continuation(b"gether", fin=True)
        await peer.send()
        assert await socket.receive() == [(True, b"together")]
        pong = await peer.frame()
        assert pong == Frame(Opcode.PONG, b"still there?")


async def test_two_tasks_cannot_receive_at_once() -> None:
    stream, _ = memory()
    async with running(WebSocketMediaSocket(stream)) as socket, trio.open_nursery() as nursery:
        nursery.start_soon(closed, socket)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await socket.receive()
        socket.close_nowait()


# --- what has not left --------------------------------------------------------------------------------------------


async def test_a_clear_follows_the_frame_that_is_partly_sent() -> None:
    async with tcp() as (stream, peer):
        socket = WebSocketMediaSocket(stream, max_unsent=10_000_000)
        sent = 40
        for number in range(sent):
            socket.send_nowait(bytes((number,)) * 50_000, discardable=True)
        async with running(socket):
            await trio.testing.wait_all_tasks_blocked()
            gone = socket.discard_unsent()
            socket.send_nowait(b"clear")
            heard = [await peer.text() for _ in range(sent - gone + 1)]

            assert 1 < gone < sent
            assert heard == [*(bytes((number,)) * 50_000 for number in range(sent - gone)), b"clear"]
            assert socket.discard_unsent() == 0


async def test_only_discardable_frames_that_have_not_begun_are_discarded() -> None:
    stream, peer = memory()
    gate = trio.Event()
    deliver = stream.send_stream.send_all_hook
    assert deliver is not None

    async def deliver_when_open() -> None:
        await gate.wait()
        await deliver()

    stream.send_stream.send_all_hook = deliver_when_open
    async with running(WebSocketMediaSocket(stream)) as socket:
        socket.send_nowait(b"begun", discardable=True)
        await trio.testing.wait_all_tasks_blocked()
        socket.send_nowait(b"audio 1", discardable=True)
        socket.send_nowait(b"mark 1")
        peer.protocol.send_ping(b"?")
        await peer.say(b"go on")
        await socket.receive()
        socket.send_nowait(b"audio 2", discardable=True)

        assert socket.discard_unsent() == 2
        socket.send_nowait(b"clear")
        gate.set()

        assert [await peer.text(), await peer.text()] == [b"begun", b"mark 1"]
        assert await peer.frame() == Frame(Opcode.PONG, b"?")
        assert await peer.text() == b"clear"


async def test_discarding_makes_room() -> None:
    stream, _ = memory()
    stream.send_stream.send_all_hook = trio.sleep_forever
    async with running(WebSocketMediaSocket(stream, max_unsent=1000)) as socket:
        socket.send_nowait(b"begun")
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(10):
            socket.send_nowait(b"x" * 400, discardable=True)
            socket.send_nowait(b"x" * 400, discardable=True)
            assert socket.discard_unsent() == 2
        socket.send_nowait(b"x" * 800)
        with pytest.raises(SocketClosed, match="1211 bytes"):
            socket.send_nowait(b"x" * 396)


# --- the close handshake ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connect", [memory, pair])
async def test_the_peer_closes(connect: Connect) -> None:
    stream, peer = connect()
    async with running(WebSocketMediaSocket(stream)) as socket:
        peer.protocol.send_text(b"stop")
        peer.protocol.send_close(1001, "hung up")
        await peer.send()

        assert await socket.receive() == [(True, b"stop")]
        assert await closed(socket) == (1001, "hung up")
        assert await closed(socket) == (1001, "hung up")
        with pytest.raises(SocketClosed, match="1001 hung up"):
            socket.send_nowait(b"too late")
        await socket.aclose()
        assert await peer.end() == (1001, "")


async def test_we_close_after_everything_was_sent(autojump_clock: trio.testing.MockClock) -> None:
    stream, peer = memory()
    ends: list[tuple[int, str] | None] = []

    async def answer() -> None:
        assert await peer.text() == b"goodbye"
        await trio.sleep(0.3)
        ends.append(await peer.end())

    socket = WebSocketMediaSocket(stream)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        socket.send_nowait(b"goodbye")
        begin = autojump_clock.current_time()
        await socket.aclose(1001, "drained")  # nobody runs `run`: closing sends by itself
        took = autojump_clock.current_time() - begin
        await socket.aclose()

    assert ends == [(1001, "drained")]
    assert took == pytest.approx(0.3)
    assert await closed(socket) == (1001, "drained")


@pytest.mark.parametrize("timeout", [CLOSE_TIMEOUT, 0.25])
async def test_a_peer_that_does_not_answer_delays_the_close_by_the_timeout(
    autojump_clock: trio.testing.MockClock, timeout: float
) -> None:
    for stuck in (False, True):
        stream, peer = memory()
        if stuck:
            stream.send_stream.send_all_hook = trio.sleep_forever
        async with running(WebSocketMediaSocket(stream, close_timeout=timeout)) as socket:
            begin = autojump_clock.current_time()
            await socket.aclose()
            assert autojump_clock.current_time() - begin == pytest.approx(timeout)
        assert await peer.end() == (1000, "") or stuck


async def test_closing_while_another_task_reads_lets_it_read_the_last_words() -> None:
    stream, peer = memory()
    heard: list[tuple[bool, bytes]] = []
    ends: list[int] = []

    async def read(socket: WebSocketMediaSocket) -> None:
        try:
            while True:
                heard.extend(await socket.receive())
        except SocketClosed as error:
            ends.append(error.code)

    async with running(WebSocketMediaSocket(stream)) as socket, trio.open_nursery() as nursery:
        nursery.start_soon(read, socket)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(socket.aclose)
        await trio.testing.wait_all_tasks_blocked()
        await peer.say(b"crossed")
        await trio.testing.wait_all_tasks_blocked()
        assert await peer.end() == (1000, "")
    assert heard == [(True, b"crossed")]
    assert ends == [1000]


async def test_two_tasks_close_as_one() -> None:
    stream, peer = memory()
    async with running(WebSocketMediaSocket(stream)) as socket, trio.open_nursery() as nursery:
        nursery.start_soon(socket.aclose)
        nursery.start_soon(socket.aclose)
        assert await peer.end() == (1000, "")


async def test_cancelled_it_closes_at_once(autojump_clock: trio.testing.MockClock) -> None:
    stream, peer = memory()
    socket = WebSocketMediaSocket(stream)
    begin = autojump_clock.current_time()
    with trio.CancelScope() as scope:
        scope.cancel()
        await socket.aclose()
    assert autojump_clock.current_time() == begin
    assert await peer.frame() is None


async def test_closing_at_once_wakes_everybody() -> None:
    connections: list[Connect] = [memory, pair]
    for connect in connections:
        stream, peer = connect()
        async with running(WebSocketMediaSocket(stream)) as socket, trio.open_nursery() as nursery:
            nursery.start_soon(closed, socket)
            await trio.testing.wait_all_tasks_blocked()
            socket.close_nowait()
            socket.close_nowait()
        assert await closed(socket) == (1006, "closed here")
        with pytest.raises(SocketClosed, match="closed here"):
            socket.send_nowait(b"x")
        assert await peer.frame() is None


async def test_a_code_that_must_not_be_sent_closes_all_the_same() -> None:
    stream, peer = memory()
    socket = WebSocketMediaSocket(stream)
    with pytest.raises(ValueError, match="1005"):
        await socket.aclose(1005)
    assert await peer.frame() is None


# --- peers that misbehave -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("connect", [memory, pair])
@pytest.mark.parametrize(
    ("sent", "end"),
    [
        (b"\x81\x01x", (1002, "frame not masked")),
        (b"\xc1\x81\x00\x00\x00\x00x", (1002, "reserved bit")),
        (b"\x88\x83\x00\x00\x00\x00\x03\xe8\xff", (1007, "close reason is not UTF-8")),
        (b"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x01", (1009, "message too big")),
    ],
)
async def test_a_peer_that_breaks_the_protocol_is_told_why(connect: Connect, sent: bytes, end: tuple[int, str]) -> None:
    stream, peer = connect()
    async with running(WebSocketMediaSocket(stream)) as socket:
        await peer.say(b"fine so far")
        await peer.stream.send_all(sent)
        assert await socket.receive() == [(True, b"fine so far")]
        assert await closed(socket) == end
        await peer.stream.send_all(b"more of it, which nobody will understand")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.aclose)
            assert await peer.end() == end
            await peer.stream.aclose()


async def test_the_size_limit_is_a_setting() -> None:
    for limit, fits in ((MAX_MESSAGE, True), (100, False)):
        stream, peer = memory()
        async with running(WebSocketMediaSocket(stream, max_message=limit)) as socket:
            await peer.say(b"x" * 101)
            if fits:
                assert await socket.receive() == [(True, b"x" * 101)]
            else:
                assert await closed(socket) == (1009, "message too big")


@pytest.mark.parametrize("connect", [memory, pair])
async def test_a_connection_that_ends_without_a_word(connect: Connect) -> None:
    stream, peer = connect()
    async with running(WebSocketMediaSocket(stream)) as socket:
        await peer.say(b"last")
        await peer.stream.aclose()
        assert await socket.receive() == [(True, b"last")]
        assert (await closed(socket))[0] == 1006
        with pytest.raises(SocketClosed, match="1006"):
            socket.send_nowait(b"x")
        await socket.aclose()


async def test_a_reset_connection_still_gives_its_reason() -> None:
    async with tcp() as (stream, peer):
        reset = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger: on, no time
        peer.stream.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, reset)  # type: ignore[attr-defined]  # a socket here
        await peer.stream.aclose()
        async with running(WebSocketMediaSocket(stream)) as socket:
            assert await closed(socket) == (1006, "connection lost: Connection reset by peer")


async def test_what_the_peer_said_before_it_vanished_is_read_although_sends_fail() -> None:
    stream, peer = pair()
    async with running(WebSocketMediaSocket(stream)) as socket:
        await peer.say(b"stop")
        await peer.stream.aclose()
        with pytest.raises(SocketClosed, match="1006 connection lost: Broken pipe"):
            socket.send_nowait(b"x")
        assert await socket.receive() == [(True, b"stop")]
        assert (await closed(socket))[0] == 1006


async def test_a_stream_closed_behind_our_back() -> None:
    stream, _ = pair()
    socket = WebSocketMediaSocket(stream)
    await stream.aclose()
    with pytest.raises(SocketClosed, match="closed here"):
        socket.send_nowait(b"x")
    assert await closed(socket) == (1006, "closed here")
    await socket.aclose()


def test_a_stream_that_only_closes_asynchronously_is_refused() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    wrapped = trio.StapledStream(trio.StapledStream(ours, theirs), ours)
    with pytest.raises(TypeError, match="SocketStream"):
        WebSocketMediaSocket(wrapped)


# --- a real client ------------------------------------------------------------------------------------------------


async def test_trio_websocket_talks_to_it() -> None:
    server_end: list[tuple[int, str]] = []

    async def serve(stream: trio.SocketStream) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += await stream.receive_some()
        head = parse_head(received)
        await stream.send_all(accept_response(head))
        socket = WebSocketMediaSocket(stream, initial=received.partition(b"\r\n\r\n")[2])
        async with running(socket):
            try:
                while True:
                    for _, message in await socket.receive():
                        socket.send_nowait(message)
            except SocketClosed as error:
                server_end.append((error.code, error.reason))
            await socket.aclose()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            listeners: list[trio.SocketListener] = await nursery.start(
                partial(trio.serve_tcp, serve, 0, host="127.0.0.1")
            )
            port = listeners[0].socket.getsockname()[1]
            async with open_websocket("127.0.0.1", port, "/media/twilio", use_ssl=False) as client:
                for size in (0, 1, 125, 126, 400, 65_535):
                    await client.send_message("x" * size)
                    assert await client.get_message() == "x" * size
                await client.ping(b"hello")
                await client.aclose(1000, "done")
            nursery.cancel_scope.cancel()
    assert server_end == [(1000, "done")]


async def test_trio_websocket_sees_our_close() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        head = parse_head(await stream.receive_some())
        await stream.send_all(accept_response(head))
        async with running(WebSocketMediaSocket(stream)) as socket:
            await socket.aclose(1001, "drained")

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            listeners: list[trio.SocketListener] = await nursery.start(
                partial(trio.serve_tcp, serve, 0, host="127.0.0.1")
            )
            port = listeners[0].socket.getsockname()[1]
            async with open_websocket("127.0.0.1", port, "/media/twilio", use_ssl=False) as client:
                with pytest.raises(ClientClosed) as caught:
                    await client.get_message()
                assert caught.value.reason is not None
                assert (caught.value.reason.code, caught.value.reason.reason) == (1001, "drained")
            nursery.cancel_scope.cancel()


# --- cancellation -------------------------------------------------------------------------------------------------


class CancelAfter(trio.abc.Instrument):
    """Cancels a scope before the n-th step that any task takes from now on."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self.left, self.scope = steps, scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002  # Trio's signature
        self.left -= 1
        if self.left == 0:
            self.scope.cancel()


async def test_cancelled_anywhere_it_leaves_no_descriptor_open() -> None:
    async def call(stream: trio.SocketStream) -> None:
        socket = WebSocketMediaSocket(stream, close_timeout=PATIENCE)
        async with trio.open_nursery() as nursery:
            try:
                nursery.start_soon(socket.run)
                await socket.receive()
                socket.send_nowait(b"x" * 200_000 if steps % 2 else b"short")
                await socket.receive()
            finally:
                await socket.aclose()

    async def carrier(peer: Peer) -> None:
        with suppress(trio.BrokenResourceError, InvalidState):  # our side was cancelled before, or is closing
            await peer.say(b"one")
            await peer.frame()
            await peer.say(b"two")
        with suppress(trio.BrokenResourceError):
            await peer.end()

    gc.collect()  # other tests' sockets
    before = len(os.listdir("/proc/self/fd"))
    steps, cancelled = 0, True
    with trio.fail_after(PATIENCE):
        while cancelled:
            steps += 1
            stream, peer = pair()
            async with peer.stream, trio.open_nursery() as nursery:
                nursery.start_soon(carrier, peer)
                with trio.CancelScope() as scope:
                    instrument = CancelAfter(steps, scope)
                    trio.lowlevel.add_instrument(instrument)
                    await call(stream)
                trio.lowlevel.remove_instrument(instrument)
                nursery.cancel_scope.cancel()
            cancelled = instrument.left <= 0
            assert stream.socket.fileno() == -1
    assert steps > 10
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_cancelled_writer_does_not_tear_a_frame() -> None:
    """On a socket the next writer goes on at the very byte."""
    async with tcp() as (stream, peer):
        socket = WebSocketMediaSocket(stream, max_unsent=10_000_000)
        socket.send_nowait(b"x" * 1_000_000)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(socket.run)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        socket.send_nowait(b"next")
        async with running(socket):
            assert await peer.text() == b"x" * 1_000_000
            assert await peer.text() == b"next"


async def test_after_a_send_that_may_have_torn_a_frame_nothing_more_is_sent(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """On a stream that is no socket, nobody knows what a cancelled send left behind."""
    memory_stream, memory_peer = memory()
    deliver = memory_stream.send_stream.send_all_hook
    assert deliver is not None

    async def deliver_and_stick() -> None:
        await deliver()
        await trio.sleep_forever()

    memory_stream.send_stream.send_all_hook = deliver_and_stick
    socket = WebSocketMediaSocket(memory_stream)
    socket.send_nowait(b"torn")
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.run)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    memory_stream.send_stream.send_all_hook = deliver
    begin = autojump_clock.current_time()
    await socket.aclose()
    assert autojump_clock.current_time() <= begin + CLOSE_TIMEOUT
    assert await memory_peer.text() == b"torn", "this stream had let it through"
    assert await memory_peer.frame() is None, "but nothing is sent behind it, not even a close frame"
