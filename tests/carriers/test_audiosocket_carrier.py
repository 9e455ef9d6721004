"""AudioSocket as a carrier: its recipe, and the port that Asterisk connects to."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio
from audiosocket_streams import FRAME, HANG_UP, NAME, UUID_MESSAGE

from callengine.carriers.audiosocket import AudioSocket, wire
from callengine.errors import ConfigurationError, NotSupported, WebhookError
from callengine.telephony import CallbackUrls, Capabilities, JoinRoom, NewLeg, NewMessage, PhoneNumber, Webhook

OTHER = "11111111-2222-3333-4444-555555555555"


def hello(name: str = NAME) -> bytes:
    return wire.message(wire.UUID, uuid.UUID(name).bytes) + wire.message(0x10, FRAME)


class Pbx:
    """What the port led to: the calls, and a way to place another."""

    def __init__(self) -> None:
        self.port = 0
        self.calls: list[str] = []
        self.going_on = 0
        self.let_go = trio.Event()

    async def take(self, call, _) -> None:
        self.calls.append(call.call_id)
        self.going_on += 1
        try:
            await self.let_go.wait()
        finally:
            self.going_on -= 1

    @asynccontextmanager
    async def connect(self, *messages: bytes) -> AsyncIterator[trio.SocketStream]:
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            for message in messages:
                await stream.send_all(message)
            yield stream

    async def until(self, happens) -> None:
        with trio.fail_after(5):
            while not happens():
                await trio.sleep(0.002)


@asynccontextmanager
async def serving(take=None, **settings) -> AsyncIterator[Pbx]:
    pbx = Pbx()
    carrier = AudioSocket(port=0, **settings)
    async with trio.open_nursery() as nursery:
        ((_, pbx.port),) = await nursery.start(partial(carrier.serve, take or pbx.take))
        yield pbx
        nursery.cancel_scope.cancel()
    assert pbx.going_on == 0


async def ending(stream: trio.SocketStream) -> bytes:
    """What came until the engine closed."""
    with trio.fail_after(5):
        return b"".join([bytes(data) async for data in stream])


# --- the port ---------------------------------------------------------------------------------------------------------


async def test_a_connection_is_a_call_and_its_uuid_the_calls_id():
    async with serving() as pbx, pbx.connect(hello()) as stream:
        await pbx.until(lambda: pbx.calls)
        assert pbx.calls == [NAME]
        pbx.let_go.set()
        await pbx.until(lambda: not pbx.going_on)
        await stream.send_eof()
        assert await ending(stream) == HANG_UP


async def test_the_socket_that_is_taken_carries_the_call():
    heard = []

    async def echo(call, socket) -> None:
        codec = AudioSocket().codec()
        while len(heard) < 3:
            heard.extend(codec.decode(*message) for message in await socket.receive())
        socket.send_nowait(codec.media(heard[1]))
        socket.send_nowait(codec.mark("m"))
        while len(heard) < 4:
            heard.extend(codec.decode(*message) for message in await socket.receive())

    async with serving(echo) as pbx, pbx.connect(hello(), wire.message(wire.DTMF, b"7")) as stream:
        with trio.fail_after(5):
            assert bytes(await stream.receive_some(323)) == wire.message(0x10, FRAME)
            assert bytes(await stream.receive_some(323)) == HANG_UP
    assert [type(event).__name__ for event in heard] == ["StreamStarted", "bytes", "DtmfPressed", "MarkEchoed"]


@pytest.mark.parametrize(
    "known",
    [{NAME}, [uuid.UUID(NAME)], lambda name: name == NAME],
    ids=["texts", "UUIDs", "a function"],
)
async def test_only_known_uuids_are_calls(known, caplog):
    async with serving(known=known) as pbx, pbx.connect(hello(OTHER)) as stranger, pbx.connect(hello()):
        await pbx.until(lambda: pbx.calls)
        await stranger.send_eof()
        assert await ending(stranger) == HANG_UP
        assert pbx.calls == [NAME]
    assert "its UUID is not known" in caplog.text
    assert OTHER not in caplog.text


async def test_what_is_known_may_change_while_it_serves():
    known: set[str] = set()
    async with serving(known=known) as pbx:
        known.add(NAME)
        async with pbx.connect(hello()):
            await pbx.until(lambda: pbx.calls)


async def test_a_uuid_is_one_call_at_a_time():
    async with serving() as pbx, pbx.connect(hello()):
        await pbx.until(lambda: pbx.calls)
        async with pbx.connect(hello()) as second:
            await second.send_eof()
            assert await ending(second) == HANG_UP
        pbx.let_go.set()
        await pbx.until(lambda: not pbx.going_on)
        assert pbx.calls == [NAME]


@pytest.mark.parametrize("said", [b"", UUID_MESSAGE[:10], b"GET / HTTP/1.1\r\n\r\n" + bytes(20_000)])
async def test_who_does_not_say_whose_call_it_is_has_to_go(said, caplog):
    async with serving(opening_timeout=0.05) as pbx, pbx.connect(said) as stream:
        await stream.send_eof() if said and said[0] == 1 else None
        with suppress(trio.BrokenResourceError):  # closed with bytes of ours unread
            await ending(stream)
        assert not pbx.calls
    assert "is refused" in caplog.text


async def test_there_are_so_many_connections_in_all():
    async with serving(max_connections=1) as pbx, pbx.connect(hello()):
        await pbx.until(lambda: pbx.calls)
        async with pbx.connect() as second:
            assert await ending(second) == b""
        pbx.let_go.set()
        await pbx.until(lambda: not pbx.going_on)


async def test_there_are_so_many_of_one_address_that_have_no_name():
    async with serving(max_unnamed=2) as pbx, pbx.connect(hello()), pbx.connect(), pbx.connect():
        await pbx.until(lambda: pbx.calls)  # which does not count any more
        async with pbx.connect() as third:
            assert await ending(third) == b""


async def test_a_fault_in_one_call_harms_no_other(caplog):
    async def fall(call, socket) -> None:
        raise RuntimeError("oops")

    async with serving(fall) as pbx:
        for _ in range(2):
            async with pbx.connect(hello()) as stream:
                with suppress(trio.BrokenResourceError):
                    await ending(stream)
    assert caplog.text.count("RuntimeError: oops") == 2


async def test_a_port_that_is_taken_is_named():
    async with serving() as pbx:
        with pytest.raises(ConfigurationError, match=f"port {pbx.port}"):
            await AudioSocket(port=pbx.port).serve(pbx.take)


async def test_logs_have_no_keys_and_no_audio(caplog):
    caplog.set_level(logging.DEBUG)
    async with serving() as pbx, pbx.connect(hello(), wire.message(wire.DTMF, b"7")):
        await pbx.until(lambda: pbx.calls)
    assert "7" not in "".join(record.getMessage() for record in caplog.records if "callengine" in record.name)


# --- the recipe -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "8.8.8.8", "::ffff:8.8.8.8", "2a00:1450::1", "100.64.0.1"])
def test_strangers_reach_no_port_without_known_uuids(host) -> None:
    with pytest.raises(ConfigurationError, match="known="):
        AudioSocket(host=host)
    assert AudioSocket(host=host, known={NAME}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.0.0.5", "192.168.1.9", "172.17.0.1", "fd00::1", "localhost"])
def test_private_addresses_need_nothing(host) -> None:
    assert AudioSocket(host=host).host == host


async def test_a_name_is_looked_at_when_its_addresses_are_known(monkeypatch):
    async def resolved(port, *, host):
        return await original(port, host="0.0.0.0" if host == "everywhere.test" else host)

    original = trio.open_tcp_listeners
    monkeypatch.setattr(trio, "open_tcp_listeners", resolved)
    with pytest.raises(ConfigurationError, match=r"0\.0\.0\.0"):
        await AudioSocket(host="everywhere.test", port=0).serve(Pbx().take)


@pytest.mark.parametrize(
    "settings",
    [
        {"port": -1},
        {"port": 70_000},
        {"known": NAME},
        {"max_connections": 0},
        {"max_unnamed": 0},
        {"opening_timeout": 0},
    ],
    ids=str,
)
def test_bad_settings_are_refused(settings) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        AudioSocket(**settings)


def test_it_can_carry_audio_keys_and_marks_and_nothing_else() -> None:
    carrier = AudioSocket()
    assert carrier.capabilities == Capabilities(instructed="stream", marks=True, dtmf_in=True, dtmf_out="in-band")
    assert (carrier.name, carrier.port, carrier.webhooks, carrier.sender) == ("audiosocket", 9092, frozenset(), None)
    assert carrier.missing_configuration() is None
    assert "dialplan" in carrier.missing_for_commands()
    assert AudioSocket(name="office").name == "office"


def test_no_request_from_outside_is_genuine() -> None:
    carrier, webhook = AudioSocket(), Webhook(what="voice")
    assert not carrier.verify_webhook("POST", "https://x.test/audiosocket/voice", {}, b"", 0.0)
    assert not carrier.verify_upgrade("wss://x.test/audiosocket/media", {})
    assert carrier.answer(webhook, None, None).status == 404
    with pytest.raises(WebhookError):
        carrier.read_webhook(webhook)


async def test_commands_say_that_they_are_not_supported():
    control = AudioSocket(name="office").control(None)
    urls = CallbackUrls("https://x.test/office", "r")
    commands = {
        "dial": (NewLeg(to="1", sender="2", stream=None, urls=urls),),
        "instruct": ("c", JoinRoom("r"), urls),
        "join": ("c", "d", JoinRoom("r"), urls),
        "hang_up": ("c",),
        "send_dtmf": ("c", "1"),
        "start_recording": ("c", urls),
        "stop_recording": ("c", "r"),
        "send_message": (NewMessage(to="1", sender="2", text="x"),),
        "numbers": (),
        "point_number": (PhoneNumber(number="1", number_id="n"), "https://x.test/office"),
    }
    for name, arguments in commands.items():
        with pytest.raises(NotSupported, match="office cannot"):
            await getattr(control, name)(*arguments)
    assert control.authorisation("https://x.test/recording") is None
