"""The simulated Telnyx stream: what the codec writes is to its taste, and what it sends is what the codec reads."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from telnyx_examples import media, start, wire

from callengine.audio.g711 import MULAW
from callengine.carriers.telnyx import TelnyxCodec
from callengine.ports import BadMessage, CarrierEvent, DtmfPressed, Ignored, MarkEchoed, StreamStarted, StreamStopped
from callengine.testing.playout import PlayoutQueue
from callengine.testing.telnyx import TelnyxSide

CALL, STREAM = TelnyxSide.ids(1)
VOICE = MULAW.encode((6000 * np.sin(np.arange(1600) * 0.3)).astype(np.int16))
FRAMES = [VOICE[at : at + 160] for at in range(0, len(VOICE), 160)]


def side(parameters: dict[str, str] | None = None, **options: Any) -> TelnyxSide:
    return TelnyxSide(CALL, STREAM, PlayoutQueue(), parameters or {}, **options)


def opened(carrier: TelnyxSide, **settings: Any) -> TelnyxCodec:
    codec = TelnyxCodec(**settings)
    for message in carrier.opening():
        codec.decode(True, message)
    return codec


def louder_than(audio: bytes, other: bytes) -> float:
    """The largest difference of two rows of samples, at 16 bits."""
    return float(np.abs(MULAW.decode(audio).astype(float) - MULAW.decode(other)).max())


def test_a_stream_from_the_carriers_end() -> None:
    carrier, codec = side({"tenant": "acme"}), TelnyxCodec()
    messages = [*carrier.opening(), *carrier.media(FRAMES[0]), carrier.dtmf("#"), carrier.mark("m"), carrier.stop()]

    events = [codec.decode(True, message) for message in messages]

    assert events[0] == Ignored("connected")
    assert isinstance(events[1], StreamStarted)
    assert (events[1].call_id, events[1].stream_id, events[1].parameters) == (CALL, STREAM, {"tenant": "acme"})
    assert events[2:] == [FRAMES[0], DtmfPressed("#"), MarkEchoed("m"), StreamStopped()]


def test_it_speaks_as_the_documentation_does() -> None:
    """Member for member what the examples have, which were written from it by themselves."""
    carrier = side()
    assert set(json.loads(carrier.opening()[1])["start"]) == set(start()["start"])
    assert list(json.loads(carrier.media(FRAMES[0])[0])) == list(media())
    assert set(json.loads(carrier.media(FRAMES[0])[0])["media"]) == set(media()["media"])


@pytest.mark.parametrize("sort", [False, True])
def test_every_other_message_out_of_order(sort: bool) -> None:
    carrier = side(shuffled=3, sort=sort)
    codec = opened(carrier)
    sent = [message for frame in FRAMES for message in carrier.media(frame)]
    chunks = [int(json.loads(message)["media"]["chunk"]) for message in sent]
    events = [codec.decode(True, message) for message in sent]

    assert chunks == [1, 2, 4, 3, 5, 7, 6, 8, 10, 9]
    assert b"".join(event for event in events if isinstance(event, bytes)) == VOICE


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, {}),
        ({"inbound": "PCMA"}, {}),
        ({"codec": "PCMA"}, {"codec": "PCMA"}),
        ({"codec": "L16"}, {"codec": "L16"}),
        ({"codec": "L16", "byte_order": "little"}, {"codec": "L16", "byte_order": "little"}),
        ({"codec": "L16", "inbound": "PCMU"}, {"codec": "L16"}),
    ],
)
def test_a_voice_survives_both_ways_in_every_format(options: dict[str, Any], settings: dict[str, Any]) -> None:
    """What the caller says is sent back to him."""
    carrier = side(**options)
    codec = opened(carrier, **settings)
    heard: list[CarrierEvent] = [codec.decode(True, message) for frame in FRAMES for message in carrier.media(frame)]
    carrier.take(0.0, codec.media(b"".join(event for event in heard if isinstance(event, bytes))))

    back = carrier.queue.played_audio(1.0)
    assert carrier.complaints == []
    assert len(VOICE) - 40 <= len(back) <= len(VOICE)
    assert louder_than(back[: len(back) - 100], VOICE[: len(back) - 100]) < 800


def test_marks_are_echoed_at_a_clear() -> None:
    carrier = side()
    codec = opened(carrier)
    for message in (codec.media(VOICE), codec.mark("one"), codec.media(VOICE), codec.mark("two")):
        assert carrier.take(0.0, message).echoes == ()

    assert carrier.queue.reached(0.2) == ["one"]
    assert carrier.take(0.3, codec.clear()).echoes == ("two",)
    assert [kind for _, kind in carrier.received] == ["media", "mark", "media", "mark", "clear"]
    assert carrier.complaints == []


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\xff", 100003),
        (b"{", 100003),
        (wire({"event": "weather"}), 100003),
        (wire({"event": ["clear"]}), 100003),
        (wire({"event": "clear", "stream_id": "other"}), 100003),
        (wire({"event": "clear", "clear": {}}), 100003),
        (wire({"event": "mark", "mark": {}}), 100003),
        (wire({"event": "mark", "mark": "m"}), 100003),
        (wire({"event": "media", "media": {"payload": "", "track": "inbound"}}), 100003),
        (wire({"event": "media", "media": {"payload": "!"}}), 100004),
        (wire({"event": "media", "media": {"payload": "QUFB"}}), 100004),
        (wire({"event": "media", "media": {"payload": "QUFB" * 81_000}}), 100004),
    ],
)
def test_it_is_strict_and_answers_what_is_wrong(message: bytes, code: int) -> None:
    carrier = side()
    codec = opened(carrier)

    [answer] = carrier.take(0.0, message).messages

    assert carrier.complaints[0].startswith(str(code))
    event = codec.decode(True, answer)
    assert isinstance(event, BadMessage)
    assert event.detail == f"code {code}"


def test_raw_audio_is_refused_where_mp3_was_asked_for() -> None:
    carrier = side(mode="mp3")
    carrier.take(0.0, opened(carrier).media(VOICE))
    assert carrier.complaints == ["100004: raw audio, but the stream's mode is mp3"]
