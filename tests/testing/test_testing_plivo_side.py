"""Plivo's end of a media stream, as the simulator plays it: what it sends, and what it does not take."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from callengine.audio.format import AudioFormat
from callengine.carriers.plivo import PlivoCodec
from callengine.ports import DtmfPressed, Ignored, MarkEchoed, StreamStarted, StreamStopped
from callengine.testing.playout import PlayoutQueue
from callengine.testing.plivo import PlivoSide
from callengine.testing.side import Reaction, Side, side_of

CALL, STREAM = PlivoSide.ids(1)
FRAME = bytes(range(160))


def made(**options: Any) -> PlivoSide:
    return PlivoSide(CALL, STREAM, PlayoutQueue(), {"caller": "+15005550001"}, **options)


def talking(**options: Any) -> tuple[PlivoSide, PlivoCodec]:
    """A side, and a codec that has read its opening."""
    side, codec = made(**options), PlivoCodec()
    for message in side.opening():
        codec.decode(True, message)
    return side, codec


def told(event: str, **fields: Any) -> bytes:
    return json.dumps({"event": event, **fields}).encode()


def playing(audio: bytes, /, **changes: Any) -> bytes:
    media = {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": base64.b64encode(audio).decode()}
    return told("playAudio", media=media | changes)


def test_it_is_the_side_of_that_name() -> None:
    side: Side = side_of("plivo")(CALL, STREAM, PlayoutQueue(), {})
    assert isinstance(side, PlivoSide)


def test_the_codec_reads_all_of_it() -> None:
    side, codec = made(stop_frame=True), PlivoCodec()
    stop = side.stop()
    assert stop is not None

    messages = [*side.opening(), *side.media(FRAME), *side.media(FRAME), side.dtmf("#"), side.mark("m"), stop]

    assert [codec.decode(True, message) for message in messages] == [
        StreamStarted(STREAM, CALL, AudioFormat("mulaw", 8000), {"caller": "+15005550001"}),
        FRAME,
        FRAME,
        DtmfPressed("#"),
        MarkEchoed("m"),
        StreamStopped(),
    ]


def test_a_stream_just_ends() -> None:
    assert made().stop() is None


@pytest.mark.parametrize("first", [0, 1])
def test_the_first_number_is_an_option(first: int) -> None:
    side = made(first_sequence=first)
    numbers = [json.loads(message)["sequenceNumber"] for message in [*side.opening(), *side.media(FRAME)]]
    assert numbers == [first, first + 1]


def test_it_takes_what_the_codec_writes() -> None:
    side, codec = talking()

    for message in (codec.media(FRAME), codec.mark("m"), codec.dtmf("12#")):
        assert side.take(1.0, message) == Reaction()

    assert side.complaints == []
    assert side.received == [(1.0, "media"), (1.0, "mark"), (1.0, "dtmf")]
    assert side.pressed == "12#"
    assert side.queue.next_mark == pytest.approx(1.02)
    assert side.queue.played_audio(2.0) == FRAME


def test_a_clear_is_answered_once_and_the_checkpoints_behind_it_never_are() -> None:
    side, codec = talking()
    for message in (codec.media(FRAME * 50), codec.mark("one"), codec.mark("two")):
        side.take(0.0, message)

    reaction = side.take(0.5, codec.clear())

    assert reaction.echoes == ()
    assert [codec.decode(True, message) for message in reaction.messages] == [Ignored("cleared")]
    assert side.queue.next_mark is None
    assert not side.queue.playing(0.6)


@pytest.mark.parametrize("content_type", ["audio/x-l16;rate=8000", "audio/x-l16;rate=16000"])
def test_a_linear_line_carries_the_same_sound(content_type: str) -> None:
    side, codec = talking(content_type=content_type)
    wide = 2 if content_type.endswith("16000") else 1

    frames = [codec.decode(True, message) for _ in range(10) for message in side.media(b"\xff" * 160)]
    side.take(0.0, codec.media(bytes(3200 * wide)))

    assert sum(len(frame) for frame in frames if isinstance(frame, bytes)) == pytest.approx(3200 * wide, abs=80)
    assert set(side.queue.played_audio(1.0)) == {0xFF}
    assert len(side.queue.played_audio(1.0)) == pytest.approx(1600, abs=40)
    assert side.complaints == []


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        told("media", media={}),
        told("mark", name="m"),
        told("playAudio"),
        told("playAudio", media=5),
        told("playAudio", media={"payload": ""}),
        playing(FRAME, contentType="audio/x-mulaw;rate=8000"),
        playing(FRAME, sampleRate="8000"),
        playing(FRAME, sampleRate=16000),
        playing(FRAME, payload="Q"),
        playing(FRAME, payload=5),
        playing(b"RIFF....WAVE"),
        told("playAudio", media={}, streamId="another"),
        told("checkpoint", name="m"),
        told("checkpoint", streamId=STREAM),
        told("checkpoint", streamId=STREAM, name=""),
        told("checkpoint", streamId=STREAM, name=5),
        told("checkpoint", streamId="another", name="m"),
        told("clearAudio"),
        told("clearAudio", streamId=STREAM, extra=1),
        told("sendDTMF", dtmf=""),
        told("sendDTMF", dtmf="1w"),
        told("sendDTMF", dtmf=5),
    ],
)
def test_it_complains_of_everything_else_and_does_nothing(message: bytes) -> None:
    side, _ = talking()
    assert side.take(0.0, message) == Reaction()
    assert len(side.complaints) == 1
    assert side.received == []
    assert side.pressed == ""
    assert side.queue.next_mark is None


def test_half_a_sample_is_noise_on_a_linear_line() -> None:
    side, _ = talking(content_type="audio/x-l16;rate=8000")
    side.take(0.0, playing(b"\0\0\0", contentType="audio/x-l16"))
    assert side.complaints == ["playAudio: half a sample"]
