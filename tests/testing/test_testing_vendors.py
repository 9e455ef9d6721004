"""The simulated vendors' common ground: its faults do what they say, and it notices what a client does wrong."""

from __future__ import annotations

import httpx
import pytest
import trio
import trio.testing

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.errors import ProviderError
from callengine.testing.vendors import Answer, Request, Vendor, VendorClosed, WebSocket, in_memory, on_loopback
from callengine.wire import Failures, open_socket

FAILURES = Failures("shop")


class Shop(Vendor):
    """Echoes in a WebSocket, and answers every request with ten letters."""

    hosts = ("shop.test",)

    async def answer(self, request: Request) -> Answer:
        if request.path == "/json":
            return Answer.of(
                {"asked": request.json, "tags": request.query.get("tag"), "last": request.parameter("tag")}
            )

        async def letters():
            for letter in b"abcdefghij":
                yield bytes((letter,)) * 10

        return Answer(200, letters())

    def admit(self, request: Request) -> Answer | None:
        del request

    async def serve(self, socket: WebSocket, request: Request) -> None:
        del request
        while True:
            await socket.send(await socket.receive())


async def fetch(wire, pieces: list[tuple[float, bytes]] | None = None) -> bytes:
    body = b""
    async with wire.http.stream("GET", "https://shop.test/") as response:
        async for data in response.aiter_raw():
            body += data
            if pieces is not None:
                pieces.append((trio.current_time(), data))
    return body


WHOLE = b"".join(bytes((letter,)) * 10 for letter in b"abcdefghij")


async def test_requests_are_kept_as_they_came(autojump_clock):
    shop = Shop()
    async with in_memory(shop) as wire:
        answer = await wire.http.post("https://shop.test/json?tag=a&tag=b", json={"n": 1}, headers={"X-Thing": "7"})
    assert answer.json() == {"asked": {"n": 1}, "tags": ["a", "b"], "last": "b"}
    (request,) = shop.requests
    assert (request.method, request.host, request.path) == ("POST", "shop.test", "/json")
    assert request.headers["x-thing"] == "7"
    assert (shop.connected, shop.connections) == (1, 0)


async def test_a_body_that_is_no_json_is_none():
    assert Request(0.0, "GET", "", "/", {}, {}, b"{").json is None


async def test_connections_and_answers_take_their_time(autojump_clock):
    shop = Shop()
    shop.faults.connect_delay, shop.faults.answer_delay = 0.3, 0.5
    async with in_memory(shop) as wire:
        await fetch(wire)
        assert trio.current_time() == pytest.approx(0.8)
        async with open_socket(wire, "wss://shop.test/", FAILURES):
            assert trio.current_time() == pytest.approx(1.6)


async def test_bodies_are_cut_and_slowed(autojump_clock):
    shop = Shop()
    shop.faults.chunk, shop.faults.chunk_delay = 3, 0.1
    pieces: list[tuple[float, bytes]] = []
    async with in_memory(shop) as wire:
        assert await fetch(wire, pieces) == WHOLE
    assert {len(data) for _, data in pieces} == {1, 3}
    assert pieces[-1][0] == pytest.approx(0.1 * len(pieces))


async def test_messages_are_slowed(autojump_clock):
    shop = Shop()
    shop.faults.chunk_delay = 0.2
    async with in_memory(shop) as wire, open_socket(wire, "wss://shop.test/", FAILURES) as socket:
        await socket.send("a")
        await socket.send("b")
        assert [await socket.receive(), await socket.receive()] == ["a", "b"]
        assert trio.current_time() == pytest.approx(0.4)


async def test_so_many_connections_are_refused(autojump_clock):
    shop = Shop()
    shop.faults.unreachable = 2
    async with in_memory(shop) as wire:
        for _ in range(2):
            with pytest.raises(httpx.ConnectError):
                await fetch(wire)
        assert await fetch(wire) == WHOLE


async def test_so_many_requests_and_handshakes_are_refused_with_the_vendor_s_error(autojump_clock):
    shop = Shop()
    shop.refuse(503, "later", times=2, **{"retry-after": "3"})
    async with in_memory(shop) as wire:
        answer = await wire.http.get("https://shop.test/")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
        assert answer.json() == {"error": {"message": "later"}}
        with pytest.raises(ProviderError, match="later"):
            async with open_socket(wire, "wss://shop.test/", FAILURES):
                pass
        assert await fetch(wire) == WHOLE


@pytest.mark.parametrize("pieces", [0, 1, 4])
async def test_it_falls_mute_after_so_many_pieces_and_speaks_again(autojump_clock, pieces):
    shop = Shop()
    shop.faults.stall_after = pieces
    got: list[tuple[float, bytes]] = []
    async with in_memory(shop) as wire:
        with trio.move_on_after(30):
            await fetch(wire, got)
        assert len(got) == pieces
        assert trio.current_time() == pytest.approx(30)
        assert shop.faults.mute
        shop.faults.mute, shop.faults.stall_after = False, None
        assert await fetch(wire) == WHOLE


async def test_a_mute_socket_takes_everything_and_says_nothing(autojump_clock):
    shop = Shop()
    async with in_memory(shop) as wire, open_socket(wire, "wss://shop.test/", FAILURES) as socket:
        shop.faults.mute = True
        with trio.move_on_after(30) as waited:
            for _ in range(100):
                await socket.send("x" * 1000)
            await socket.receive()
        assert waited.cancelled_caught


@pytest.mark.parametrize("pieces", [0, 1, 4])
async def test_it_breaks_after_so_many_pieces_once(autojump_clock, pieces):
    shop = Shop()
    shop.faults.break_after = pieces
    got: list[tuple[float, bytes]] = []
    async with in_memory(shop) as wire:
        with pytest.raises(httpx.RemoteProtocolError):
            await fetch(wire, got)
        assert len(got) == pieces
        assert await fetch(wire) == WHOLE


async def test_every_socket_is_broken_or_closed_or_spoken_to(autojump_clock):
    shop = Shop()
    async with (
        in_memory(shop) as wire,
        open_socket(wire, "wss://shop.test/", FAILURES) as one,
        open_socket(wire, "wss://shop.test/", FAILURES) as other,
    ):
        await shop.say_all("hello")
        assert [await one.receive(), await other.receive()] == ["hello", "hello"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shop.close_all, 4001, "enough")
            for socket in (one, other):
                with pytest.raises(ProviderError, match="4001 enough"):
                    await socket.receive()
        async with open_socket(wire, "wss://shop.test/", FAILURES) as third:
            shop.break_all()
            with pytest.raises(ProviderError, match="1006"):
                await third.receive()
        async with open_socket(wire, "wss://shop.test/", FAILURES) as fourth:  # what opens later is not broken
            await fourth.send("a")
            assert await fourth.receive() == "a"


@pytest.mark.parametrize("where", ["memory", "loopback"])
async def test_a_complaint_fails_the_test(where):
    shop = Shop()
    with pytest.raises(AssertionError, match=r"shop\.test: no manners"):
        async with in_memory(shop) if where == "memory" else on_loopback(shop):
            shop.complain("no manners")


async def test_a_connection_left_open_fails_the_test(autojump_clock):
    shop = Shop()
    stream = None
    with pytest.raises(AssertionError, match="left open"):  # noqa: PT012 - it is raised where `in_memory` is left
        async with in_memory(shop) as wire:
            stream = await wire.network.connect("shop.test", 443, tls=True)
            await trio.testing.wait_all_tasks_blocked()
    await stream.aclose()


@pytest.mark.parametrize("audio_format", [TELEPHONE, AudioFormat("l16", 8000), AudioFormat("alaw", 8000)])
def test_what_it_speaks_can_be_read_back_at_8_khz(audio_format):
    shop = Shop()
    audio, words = shop.speech("a table for four", audio_format)
    if audio_format.encoding != "alaw":
        assert shop.understand(audio, audio_format) == "a table for four"
    assert [word.word for word in words] == ["a", "table", "for", "four"]
    assert words[-1].end == pytest.approx(audio_format.seconds(len(audio)))


def test_of_other_audio_it_says_what_was_recorded_one_an_utterance():
    shop = Shop()
    shop.recorded.extend(["one", "two"])
    wide = AudioFormat("l16", 16000)
    assert [shop.understand(bytes(6400), wide) for _ in range(3)] == ["one", "two", ""]
    shop.recorded.append("three")
    assert shop.understand(bytes(100), wide) == ""


async def test_a_vendor_without_answers_refuses_everything(autojump_clock):
    class Empty(Vendor):
        hosts = ("empty.test",)

    async with in_memory(Empty()) as wire:
        assert (await wire.http.get("https://empty.test/x")).status_code == 404
        with pytest.raises(ProviderError, match="404"):
            async with open_socket(wire, "wss://empty.test/", FAILURES):
                pass
    with pytest.raises(VendorClosed):
        await Empty().serve(None, None)
