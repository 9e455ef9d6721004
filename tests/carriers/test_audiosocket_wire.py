"""AudioSocket's messages as bytes, and what they mean to a call."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.audio import AudioFormat
from callengine.carriers.audiosocket import AudioSocketCodec, wire
from callengine.carriers.audiosocket.codec import start_message
from callengine.ports import BadMessage, DtmfPressed, Ignored, MarkEchoed, StreamStarted, StreamStopped

NAME = uuid.UUID("40325ec2-5efd-4bd3-805f-53576e581d13")
FRAME = bytes(range(160)) * 2


def started(kind: int = 0x10) -> AudioSocketCodec:
    codec = AudioSocketCodec()
    codec.decode(True, start_message(kind, NAME.bytes))
    return codec


# --- the wire ---------------------------------------------------------------------------------------------------------


def test_a_message_is_kind_length_and_payload() -> None:
    assert wire.message(wire.HANG_UP) == b"\x00\x00\x00"
    assert wire.message(0x10, FRAME) == b"\x10\x01\x40" + FRAME
    assert wire.message(wire.UUID, NAME.bytes).hex() == "01001040325ec25efd4bd3805f53576e581d13"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 322, 323, 324, 10_000])
def test_the_network_may_cut_messages_anywhere(size) -> None:
    sent = [wire.message(wire.UUID, NAME.bytes), wire.message(0x10, FRAME), wire.message(wire.DTMF, b"5")] * 3
    stream, reader = b"".join(sent), wire.MessageReader()
    got = [m for start in range(0, len(stream), size) for m in reader.feed(stream[start : start + size])]
    assert [wire.message(m[0], m[1:]) for m in got] == sent
    assert not reader.within_message


@pytest.mark.parametrize("rest", [b"\x10", b"\x10\x01", b"\x10\x01\x40" + FRAME[:319]])
def test_half_a_message_is_known_as_such(rest) -> None:
    reader = wire.MessageReader()
    assert reader.feed(wire.message(wire.DTMF, b"1") + rest) == [b"\x031"]
    assert reader.within_message


@given(st.lists(st.binary(max_size=2000), max_size=30))
def test_any_bytes_are_read_in_bounded_memory(chunks) -> None:
    reader, codec, whole = wire.MessageReader(), started(), 0
    for chunk in chunks:
        for message in reader.feed(chunk):
            whole += len(message) + 2
            codec.decode(False, message)
        assert len(reader._buffer) <= 3 + wire.LONGEST
    assert whole + len(reader._buffer) == sum(map(len, chunks))


def test_the_longest_message_is_read() -> None:
    reader, codec = wire.MessageReader(), started()
    (message,) = reader.feed(wire.message(0x10, bytes(65_534)))
    assert codec.decode(False, message) == bytes(65_534)


def test_a_long_message_may_come_byte_by_byte() -> None:
    reader, message = wire.MessageReader(), wire.message(0x10, bytes(range(256)) * 255)
    got = [m for place in range(len(message)) for m in reader.feed(message[place : place + 1])]
    assert got == [b"\x10" + bytes(range(256)) * 255]


# --- the codec --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "rate"), [(0x10, 8000), (0x12, 16_000), (0x15, 44_100), (0x16, 48_000)])
def test_a_stream_is_named_by_its_uuid_and_has_the_rate_of_its_audio(kind, rate) -> None:
    codec = AudioSocketCodec()
    event = codec.decode(True, start_message(kind, NAME.bytes))
    assert event == StreamStarted(str(NAME), str(NAME), AudioFormat("l16", rate))
    assert codec.decode(False, bytes((kind,)) + FRAME) == FRAME


@pytest.mark.parametrize("key", "0123456789*#ABCD")
def test_keys_are_pressed(key) -> None:
    event = started().decode(False, b"\x03" + key.encode())
    assert event == DtmfPressed(key)
    assert key not in repr(event).removeprefix("DtmfPressed")


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (b"\x00", StreamStopped()),
        (b"\x00more", StreamStopped()),
        (b"\xff\x01", StreamStopped()),
        (b"\xff\x06", BadMessage("error", "a frame could not be passed on, out of memory")),
        (b"\xff\x40", BadMessage("error", "code 64")),
        (b"\xff", BadMessage("error", "code 0")),
        (b"\x03x", BadMessage("bad key", "1 bytes that are none of 0-9 * # A-D")),
        (b"\x03", BadMessage("bad key", "0 bytes that are none of 0-9 * # A-D")),
        (b"\x0312", BadMessage("bad key", "2 bytes that are none of 0-9 * # A-D")),
        (b"\x10\x00\x00\x00", BadMessage("half a sample", "3 bytes of audio")),
        (b"\x18" + FRAME, BadMessage("unusable rate", "192000 Hz")),
        (b"\x01" + NAME.bytes, Ignored("another UUID")),
        (b"\x02", Ignored("unknown message")),
        (b"\x42what", Ignored("unknown message")),
        (b"", Ignored("unknown message")),
        (b"\x10", b""),
    ],
)
def test_what_messages_mean(message, event) -> None:
    assert started().decode(False, message) == event


def test_audio_before_the_start_means_nothing() -> None:
    assert AudioSocketCodec().decode(False, b"\x10" + FRAME) == Ignored("audio before start")


def test_audio_that_comes_at_another_rate_is_resampled() -> None:
    codec, tone = started(0x10), np.sin(np.arange(16_000) * 2 * np.pi * 440 / 16_000) * 8000
    frames = tone.astype("<i2").reshape(-1, 320)
    heard = b"".join(codec.decode(False, b"\x12" + frame.tobytes()) for frame in frames)
    pcm = np.frombuffer(heard, "<i2").astype(float)
    assert len(pcm) == pytest.approx(8000, abs=20)
    assert np.abs(np.fft.rfft(pcm)).argmax() * 8000 / len(pcm) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("name", ["u1:1", "m3:good bye", "é", "\ud800"])
def test_the_sockets_own_messages(name) -> None:
    codec = started()
    assert codec.decode(True, b"e" + codec.mark(name)[1:]) == MarkEchoed(name)
    assert codec.decode(True, start_message(0x10, NAME.bytes)) == Ignored("unknown text")  # one start is enough
    assert codec.media(FRAME) == b"a" + FRAME
    assert codec.clear() == b"c"


@given(st.booleans(), st.binary(max_size=400), st.booleans())
def test_nothing_that_can_be_sent_raises(text, payload, begun) -> None:
    codec = started() if begun else AudioSocketCodec()
    codec.decode(text, payload)
