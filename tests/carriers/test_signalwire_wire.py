"""SignalWire's messages, where they differ from Twilio's."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.carriers.signalwire import SignalWireCodec
from callengine.errors import CallEngineError
from callengine.ports import (
    BadMessage,
    CarrierEvent,
    DtmfPressed,
    Ignored,
    KeyCodec,
    MarkEchoed,
    StreamStarted,
    StreamStopped,
)

STREAM = "2f0a1c9e-0000-4000-8000-000000000003"
CALL = "2f0a1c9e-0000-4000-8000-000000000002"
AUDIO = bytes(range(160))


def start(**changes: Any) -> dict[str, Any]:
    body = {
        "streamSid": STREAM,
        "accountSid": "2f0a1c9e-0000-4000-8000-000000000001",
        "callSid": CALL,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    }
    return {"event": "start", "sequenceNumber": "1", "start": body | changes}


def media(audio: bytes = AUDIO, track: str = "inbound") -> dict[str, Any]:
    body = {"track": track, "chunk": "1", "timestamp": "102", "payload": base64.b64encode(audio).decode()}
    return {"event": "media", "sequenceNumber": "2", "media": body}


def decode(codec: SignalWireCodec, message: Any) -> CarrierEvent:
    return codec.decode(True, json.dumps(message, separators=(",", ":")).encode())


def started(**settings: Any) -> SignalWireCodec:
    codec = SignalWireCodec(**settings)
    assert isinstance(decode(codec, start()), StreamStarted)
    return codec


def test_a_whole_stream_without_a_name_on_its_messages() -> None:
    codec = SignalWireCodec()
    messages = [
        {"event": "connected", "protocol": "Call", "version": "0.2.0"},
        start(),
        media(),
        {"event": "dtmf", "sequenceNumber": "3", "dtmf": {"digit": "5", "duration": 100}},
        {"event": "mark", "mark": {"name": "g1:u1:4"}},
        {"event": "stop", "sequenceNumber": "5"},
    ]

    assert [decode(codec, message) for message in messages] == [
        Ignored("connected"),
        StreamStarted(STREAM, CALL, TELEPHONE, {}),
        AUDIO,
        DtmfPressed("5"),
        MarkEchoed("g1:u1:4"),
        StreamStopped(),
    ]


@pytest.mark.parametrize("event", ["media", "dtmf", "mark", "stop"])
def test_a_name_that_is_there_must_be_the_streams(event: str) -> None:
    body = {"payload": "", "digit": "1", "name": "m"}
    named = {"event": event, event: body, "streamSid": STREAM}
    assert not isinstance(decode(started(), named), BadMessage)
    assert decode(started(), {**named, "streamSid": "other"}) == BadMessage(
        "wrong stream", f"{event}: streamSid is another stream's"
    )


@pytest.mark.parametrize("rate", [16000, 24000])
def test_wide_audio(rate: int) -> None:
    event = decode(SignalWireCodec(), start(mediaFormat={"encoding": "audio/x-L16", "sampleRate": rate, "channels": 1}))
    assert isinstance(event, StreamStarted)
    assert event.audio_format == AudioFormat("l16", rate)


@given(st.binary(max_size=2000))
def test_audio_survives_every_spelling(audio: bytes) -> None:
    codec = started()
    message = media(audio)
    short = json.dumps(message, separators=(",", ":")).encode()
    for payload in (short, json.dumps(message).encode(), short.replace(b"/", b"\\/")):
        assert codec.decode(True, payload) == audio


@given(st.integers(0, 320), st.integers(0, 255))
def test_the_short_way_says_what_the_parser_says(at: int, byte: int) -> None:
    damaged = bytearray(json.dumps(media(), separators=(",", ":")).encode())
    damaged[at % len(damaged)] = byte
    longer = bytes(damaged) + b" "  # a blank behind: the same JSON, but never the short way
    assert started().decode(True, bytes(damaged)) == started().decode(True, longer)


def test_other_tracks_and_long_messages() -> None:
    assert decode(started(), media(track="outbound")) == Ignored("other track")
    assert decode(started(tracks=("inbound", "outbound")), media(track="outbound")) == AUDIO
    event = decode(started(max_message=500), media(bytes(1000)))
    assert isinstance(event, BadMessage)
    assert event.kind == "message too long"


@pytest.mark.parametrize("key", "0123456789*#ABCD")
def test_a_key_is_pressed_on_the_socket(key: str) -> None:
    codec: KeyCodec = started()
    assert json.loads(codec.dtmf(key)) == {"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": key}}


@pytest.mark.parametrize("digits", ["", "12", "w", "a", "٣"])
def test_a_message_is_one_key(digits: str) -> None:
    with pytest.raises(CallEngineError, match="one key") as caught:
        started().dtmf(digits)
    assert "12" not in str(caught.value)


def test_what_we_write_names_the_stream() -> None:
    codec = started()
    messages = [codec.media(AUDIO), codec.mark("m"), codec.clear()]
    assert [(json.loads(message)["event"], json.loads(message)["streamSid"]) for message in messages] == [
        ("media", STREAM),
        ("mark", STREAM),
        ("clear", STREAM),
    ]


def test_writing_before_the_start_is_an_error_of_ours() -> None:
    codec = SignalWireCodec()
    for write in (lambda: codec.media(b""), lambda: codec.mark("m"), codec.clear, lambda: codec.dtmf("1")):
        with pytest.raises(CallEngineError, match="start message"):
            write()


@given(st.booleans(), st.booleans(), st.binary(max_size=300))
def test_random_bytes_never_raise(ready: bool, text: bool, payload: bytes) -> None:
    codec = started() if ready else SignalWireCodec()
    codec.decode(text, payload)
