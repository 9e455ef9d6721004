"""AudioSocket's media socket: it paces, gives marks back, hangs up, and outlives bad peers. On the virtual clock."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
import trio
from audiosocket_streams import FRAME, HANG_UP, NAME, UUID_MESSAGE, connected, events
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, lockstep_stream_pair

from callengine.audio import AudioFormat
from callengine.carriers.audiosocket import AudioSocketCodec, AudioSocketMediaSocket, wire
from callengine.errors import CallEngineError, SocketClosed
from callengine.ports import DtmfPressed, MarkEchoed, StreamStarted, StreamStopped

CODEC = AudioSocketCodec()
SECOND = FRAME * 50


async def until_closed(socket: AudioSocketMediaSocket) -> list:
    """Receive to the end; returns what came, understood."""
    codec, got = AudioSocketCodec(), []
    with suppress(SocketClosed):
        while True:
            got += await events(socket, codec)
    return got


# --- the beginning ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "rate"), [(0x10, 8000), (0x12, 16_000), (0x16, 48_000)])
async def test_the_first_audio_says_at_what_rate_the_call_runs(autojump_clock, kind, rate):
    audio = bytes(2 * rate // 50)
    async with connected(opening=UUID_MESSAGE + wire.message(kind, audio)) as (socket, asterisk):
        codec = AudioSocketCodec()
        assert await socket.open() == NAME
        assert await events(socket, codec) == [StreamStarted(NAME, NAME, AudioFormat("l16", rate)), audio]
        socket.send_nowait(codec.media(audio))
        await trio.sleep(0.001)
    assert asterisk.came == [(0.0, wire.message(kind, audio))]


async def test_a_silent_telephone_keeps_the_call_waiting_for_half_a_second(autojump_clock):
    async with connected(opening=UUID_MESSAGE + wire.message(wire.DTMF, b"1")) as (socket, _):
        codec = AudioSocketCodec()
        assert await events(socket, codec) == [  # receive opens it, where nobody has
            StreamStarted(NAME, NAME, AudioFormat("l16", 8000)),
            DtmfPressed("1"),
        ]
        assert trio.current_time() == 0.5


@pytest.mark.parametrize(
    "opening",
    [
        b"GET / HTTP/1.1\r\n\r\n" + bytes(40_000),
        wire.message(0x10, FRAME),
        wire.message(wire.UUID, b"short"),
        UUID_MESSAGE + wire.message(0x18, bytes(7680)),
    ],
    ids=["HTTP", "audio first", "no UUID", "192 kHz"],
)
async def test_who_does_not_speak_the_protocol_is_refused(autojump_clock, opening):
    async with connected(opening=opening) as (socket, asterisk):
        with pytest.raises(SocketClosed) as closed:
            await socket.open()
        assert closed.value.code == 1002
        await trio.sleep(0.001)
        assert asterisk.gone == 0.0


async def test_nothing_can_be_sent_before_the_rate_is_known(autojump_clock):
    async with connected() as (socket, _):
        with pytest.raises(CallEngineError, match="before the stream has started"):
            socket.send_nowait(CODEC.media(FRAME))
        await socket.open()
        with pytest.raises(CallEngineError, match="none of AudioSocketCodec's"):
            socket.send_nowait(b"{}")


# --- playing ----------------------------------------------------------------------------------------------------------


async def test_frame_n_leaves_at_n_times_20_ms_for_a_minute(autojump_clock):
    async with connected(max_queued=60.0) as (socket, asterisk):
        await socket.open()
        await trio.sleep(0.1)
        for _ in range(60):
            socket.send_nowait(CODEC.media(SECOND))
        await trio.sleep(61)
    assert asterisk.frames == pytest.approx([0.1 + n * 0.02 for n in range(3000)], abs=1e-9)
    assert {message for _, message in asterisk.came} == {wire.message(0x10, FRAME)}


async def test_marks_come_back_when_what_was_before_them_has_sounded(autojump_clock):
    async with connected() as (socket, _):
        await socket.open()
        await socket.receive()
        for name in ("20 ms", "40 ms"):
            socket.send_nowait(CODEC.media(FRAME))
            socket.send_nowait(CODEC.mark(name))
        got = []
        while len(got) < 2:
            got += [(round(trio.current_time(), 6), event) for event in await events(socket, CODEC)]
    assert got == [(0.02, MarkEchoed("20 ms")), (0.04, MarkEchoed("40 ms"))]


async def test_a_mark_behind_nothing_comes_back_at_once(autojump_clock):
    async with connected() as (socket, _):
        await socket.open()
        await socket.receive()
        socket.send_nowait(CODEC.mark("probe"))
        assert await events(socket, CODEC) == [MarkEchoed("probe")]
        assert trio.current_time() == 0.0


async def test_a_clear_silences_within_a_frame_and_gives_its_marks_back(autojump_clock):
    async with connected() as (socket, asterisk):
        await socket.open()
        await socket.receive()
        socket.send_nowait(CODEC.media(SECOND))
        socket.send_nowait(CODEC.mark("never played"))
        await trio.sleep(0.105)
        assert socket.discard_unsent() == 0
        socket.send_nowait(CODEC.clear())
        assert await events(socket, CODEC) == [MarkEchoed("never played")]
        assert trio.current_time() == pytest.approx(0.105)
        await trio.sleep(1)
        assert asterisk.frames == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08, 0.1])
        socket.send_nowait(CODEC.media(FRAME))
        await trio.sleep(0.001)
        assert asterisk.frames[-1] == pytest.approx(1.105)


async def test_the_caller_is_heard_while_marks_come_back(autojump_clock):
    """Given marks every 20 ms and the caller's frames in between, nothing of either is lost."""
    async with connected(opening=UUID_MESSAGE + wire.message(0x10, FRAME)) as (socket, asterisk):
        await socket.open()
        await socket.receive()
        for number in range(50):
            socket.send_nowait(CODEC.media(FRAME))
            socket.send_nowait(CODEC.mark(str(number)))
        got: list = []
        async with trio.open_nursery() as nursery:

            async def speak() -> None:
                for number in range(100):
                    await trio.sleep_until(number * 0.01)
                    await asterisk.stream.send_all(wire.message(0x99, bytes((number,))))

            nursery.start_soon(speak)
            while len(got) < 150:
                got += await socket.receive()
    assert [p[1] for text, p in got if not text] == list(range(100))
    assert [p[1:].decode() for text, p in got if text] == [str(n) for n in range(50)]


async def test_a_stalled_program_makes_no_burst(autojump_clock):
    """Given a stall of half a second in the middle of speech, then one frame goes out, and the rest in its time."""
    async with connected() as (socket, asterisk):
        await socket.open()
        socket.send_nowait(CODEC.media(SECOND))
        await trio.sleep(0.11)
        autojump_clock.jump(0.5)
        await trio.sleep(2)
    times = asterisk.frames
    assert len(times) == 50
    late = next(at for at in times if at > 0.11)
    assert times[-1] == pytest.approx(late + 0.02 * (50 - 1 - times.index(late)))
    assert all(b - a > 0.019 for a, b in pairwise(times))


async def test_more_than_its_bound_ends_the_socket(autojump_clock):
    async with connected(max_queued=1.0) as (socket, _):
        await socket.open()
        socket.send_nowait(CODEC.media(SECOND))
        with pytest.raises(SocketClosed, match=r"1\.0 s of audio wait"):
            socket.send_nowait(CODEC.media(FRAME))
        with pytest.raises(SocketClosed):
            socket.send_nowait(CODEC.mark("m"))


@pytest.mark.parametrize("timeout", [0.3, 5.0])
async def test_a_peer_that_does_not_read_ends_the_socket(autojump_clock, timeout):
    ours, theirs = lockstep_stream_pair()  # a send ends when it is read
    socket = AudioSocketMediaSocket(ours, send_timeout=timeout)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(socket.run)
        nursery.start_soon(theirs.send_all, UUID_MESSAGE + wire.message(0x10, FRAME))
        await socket.open()
        await socket.receive()
        socket.send_nowait(CODEC.media(SECOND))
        with pytest.raises(SocketClosed, match="does not read"):
            await socket.receive()
        assert trio.current_time() == pytest.approx(timeout)


async def test_a_slow_peer_gets_the_rest_in_its_time_and_no_burst(autojump_clock):
    """Given a peer that takes the third frame half a second late, what follows comes one frame every 20 ms."""
    ours, theirs = lockstep_stream_pair()
    socket, reader, came = AudioSocketMediaSocket(ours), wire.MessageReader(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(socket.run)
        nursery.start_soon(theirs.send_all, UUID_MESSAGE + wire.message(0x10, FRAME))
        await socket.open()
        socket.send_nowait(CODEC.media(SECOND))
        while len(came) < 50:
            if len(came) == 2:
                await trio.sleep_until(0.54)
            came += [trio.current_time() for _ in reader.feed(bytes(await theirs.receive_some()))]
        socket.close_nowait()
    assert came[:3] == pytest.approx([0.0, 0.02, 0.54])
    assert came[3:] == pytest.approx([0.54 + n * 0.02 for n in range(47)], abs=1e-6)


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [HANG_UP, b""], ids=["says so", "just closes"])
async def test_asterisk_hangs_up(autojump_clock, last):
    async with connected() as (socket, asterisk):
        await socket.open()
        await socket.receive()
        await asterisk.stream.send_all(wire.message(0x10, FRAME) + last)
        await asterisk.stream.send_eof()
        assert (await until_closed(socket))[-1] == StreamStopped()
        with pytest.raises(SocketClosed) as closed:
            await socket.receive()
        assert closed.value.code == 1006
        with pytest.raises(SocketClosed):
            socket.send_nowait(CODEC.media(FRAME))


async def test_an_end_within_a_message_is_no_hang_up(autojump_clock):
    async with connected() as (socket, asterisk):
        await socket.open()
        await socket.receive()
        await asterisk.stream.send_all(wire.message(0x10, FRAME)[:100])
        await asterisk.stream.send_eof()
        with pytest.raises(SocketClosed):
            await socket.receive()


async def test_hanging_up_is_a_message_and_what_was_not_played_is_not_sent(autojump_clock):
    async with connected() as (socket, asterisk):
        await socket.open()
        socket.send_nowait(CODEC.media(SECOND))
        await trio.sleep(0.05)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.aclose)
            nursery.start_soon(socket.aclose)  # idempotent
            await trio.sleep(0.2)
            assert [message[0] for _, message in asterisk.came] == [0x10] * 3 + [wire.HANG_UP]
            assert asterisk.came[-1] == (pytest.approx(0.05), HANG_UP)
            await asterisk.stream.send_eof()  # its own close is waited for
        assert trio.current_time() == pytest.approx(0.25)
        with pytest.raises(SocketClosed):
            socket.send_nowait(CODEC.mark("m"))
        with pytest.raises(SocketClosed):
            await socket.receive()


@pytest.mark.parametrize("timeout", [0.2, 1.0])
async def test_a_peer_that_does_not_close_is_not_waited_for(autojump_clock, timeout):
    async with connected(close_timeout=timeout) as (socket, asterisk):
        await socket.open()
        await socket.aclose()
        assert trio.current_time() == pytest.approx(timeout)
        assert asterisk.gone is not None


async def test_hanging_up_wakes_who_is_receiving(autojump_clock):
    async with connected() as (socket, asterisk):
        await socket.open()
        await socket.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.aclose)
            await trio.sleep(0.1)
            nursery.start_soon(asterisk.stream.send_eof)
            await until_closed(socket)
        assert trio.current_time() == pytest.approx(0.1)


async def test_closed_at_once_it_says_nothing_and_runs_no_longer(autojump_clock):
    async with connected() as (socket, asterisk):
        await socket.open()
        socket.send_nowait(CODEC.media(SECOND))
        socket.close_nowait()
        socket.close_nowait()
        with trio.fail_after(0.1):
            await socket.run()
        await socket.aclose()
        with pytest.raises(SocketClosed, match="closed here"):
            socket.send_nowait(CODEC.media(FRAME))
        await trio.sleep(0.01)
        assert not asterisk.came


async def test_only_one_task_receives(autojump_clock):
    async with connected() as (socket, _):
        await socket.open()
        await socket.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.receive)
            await trio.sleep(0.001)
            with pytest.raises(trio.BusyResourceError):
                await socket.receive()
            nursery.cancel_scope.cancel()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=700), max_size=12), st.booleans())
def test_any_bytes_end_it_or_are_understood(chunks, named) -> None:
    """Fuzz: whatever a peer sends, the only error is `SocketClosed`, and the connection ends when the peer does."""

    async def converse() -> None:
        async with connected(opening=UUID_MESSAGE if named else b"") as (socket, asterisk):
            codec = AudioSocketCodec()
            with trio.fail_after(30):
                try:
                    for chunk in chunks:
                        await asterisk.stream.send_all(chunk)
                    await asterisk.stream.send_eof()
                    while True:
                        await events(socket, codec)
                except (SocketClosed, trio.BrokenResourceError):
                    pass

    trio.run(converse, clock=MockClock(autojump_threshold=0))
