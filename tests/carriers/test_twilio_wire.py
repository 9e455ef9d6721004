"""Twilio's Media Streams messages, both ways. The shapes are those of Twilio's documentation."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.carriers.twilio import TwilioCodec
from callengine.errors import CallEngineError
from callengine.ports import (
    BadMessage,
    CarrierCodec,
    CarrierEvent,
    DtmfPressed,
    Ignored,
    MarkEchoed,
    StreamStarted,
    StreamStopped,
)

STREAM = "MZ" + "0" * 31 + "3"
CALL = "CA" + "0" * 31 + "2"
AUDIO = bytes(range(160))


def start(**changes: Any) -> dict[str, Any]:
    body = {
        "accountSid": "AC" + "0" * 31 + "1",
        "streamSid": STREAM,
        "callSid": CALL,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "one-time-secret", "tenant": "acme"},
    }
    body.update(changes)
    return {"event": "start", "sequenceNumber": "1", "start": body, "streamSid": STREAM}


def media(audio: bytes = AUDIO, *, track: str = "inbound", stream: str = STREAM) -> dict[str, Any]:
    body = {"track": track, "chunk": "1", "timestamp": "102", "payload": base64.b64encode(audio).decode()}
    return {"event": "media", "sequenceNumber": "2", "media": body, "streamSid": stream}


def wire(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def decode(codec: CarrierCodec, message: Any) -> CarrierEvent:
    return codec.decode(True, wire(message))


def started(**settings: Any) -> TwilioCodec:
    codec = TwilioCodec(**settings)
    assert isinstance(decode(codec, start()), StreamStarted)
    return codec


def kind(event: CarrierEvent) -> str:
    assert isinstance(event, BadMessage | Ignored)
    return event.kind


# --- a stream as Twilio sends it ----------------------------------------------------------------------------------


def test_a_whole_stream() -> None:
    codec: CarrierCodec = TwilioCodec()
    connected = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    dtmf = {
        "event": "dtmf",
        "streamSid": STREAM,
        "sequenceNumber": "3",
        "dtmf": {"track": "inbound_track", "digit": "#"},
    }
    mark = {"event": "mark", "sequenceNumber": "4", "streamSid": STREAM, "mark": {"name": "g1:u1:4"}}
    stop = {"event": "stop", "sequenceNumber": "5", "stop": {"accountSid": "AC", "callSid": CALL}, "streamSid": STREAM}

    events = [decode(codec, message) for message in (connected, start(), media(), dtmf, mark, stop)]

    assert events == [
        Ignored("connected"),
        StreamStarted(STREAM, CALL, TELEPHONE, {"token": "one-time-secret", "tenant": "acme"}),
        AUDIO,
        DtmfPressed("#"),
        MarkEchoed("g1:u1:4"),
        StreamStopped(),
    ]


def test_what_we_write_is_what_twilio_documents() -> None:
    codec = started()

    assert json.loads(codec.media(AUDIO)) == {
        "event": "media",
        "streamSid": STREAM,
        "media": {"payload": base64.b64encode(AUDIO).decode()},
    }
    assert json.loads(codec.mark('a "quoted" náme')) == {
        "event": "mark",
        "streamSid": STREAM,
        "mark": {"name": 'a "quoted" náme'},
    }
    assert json.loads(codec.clear()) == {"event": "clear", "streamSid": STREAM}


def test_writing_before_the_start_is_an_error_of_ours() -> None:
    codec = TwilioCodec()
    with pytest.raises(CallEngineError, match="start message"):
        codec.media(b"")
    with pytest.raises(CallEngineError, match="start message"):
        codec.mark("m")
    with pytest.raises(CallEngineError, match="start message"):
        codec.clear()


# --- media --------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=2000), st.sampled_from(["inbound", "inbound_track"]))
def test_audio_survives_every_spelling(audio: bytes, track: str) -> None:
    codec = started()
    message = media(audio, track=track)
    reordered = {key: message[key] for key in ("streamSid", "media", "event")}
    spaced = json.dumps(message, indent=1).encode()
    escaped = wire(message).replace(b"/", b"\\/")

    for payload in (wire(message), wire(reordered), spaced, escaped):
        assert codec.decode(True, payload) == audio


@given(st.binary(max_size=2000), st.text(max_size=50))
def test_our_messages_read_back(audio: bytes, name: str) -> None:
    codec = started()
    assert codec.decode(True, codec.media(audio)) == audio
    assert codec.decode(True, codec.mark(name)) == MarkEchoed(name)


def test_other_tracks_are_ignored_unless_asked_for() -> None:
    inbound_only, both = started(), started(tracks=("inbound", "outbound_track"))
    theirs = media(b"\x01\x02", track="outbound")

    assert decode(inbound_only, theirs) == Ignored("other track")
    assert decode(inbound_only, media(track="outbound_track")) == Ignored("other track")
    assert decode(both, theirs) == b"\x01\x02"
    assert decode(both, media()) == AUDIO


def test_media_without_a_track_is_the_callers() -> None:
    message = media()
    del message["media"]["track"]
    assert decode(started(), message) == AUDIO


@pytest.mark.parametrize("event", ["media", "dtmf", "mark", "stop"])
def test_what_comes_before_the_start_is_ignored(event: str) -> None:
    codec = TwilioCodec()
    message = {"event": event, "streamSid": STREAM, event: {"payload": "", "digit": "1", "name": "m"}}

    assert decode(codec, message) == Ignored(f"{event} before start")
    assert isinstance(decode(codec, start()), StreamStarted)


@pytest.mark.parametrize("payload", ["QQ", "QQ=", "QQ==QQ==", "Q Q=", "Q\nQ=", "é===", "=", "\ud800"])
def test_bad_base64(payload: str) -> None:
    message = media()
    message["media"]["payload"] = payload
    assert kind(decode(started(), message)) in ("bad base64", "bad field")


# --- the start ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "rate", "expected"),
    [
        ("audio/x-mulaw", 8000, AudioFormat("mulaw", 8000)),
        ("audio/x-alaw", 8000, AudioFormat("alaw", 8000)),
        ("audio/x-L16", 8000, AudioFormat("l16", 8000)),
        ("audio/x-l16", 16000, AudioFormat("l16", 16000)),
        ("audio/x-l16", 24000, AudioFormat("l16", 24000)),
    ],
)
def test_the_format_is_the_one_announced(encoding: str, rate: int, expected: AudioFormat) -> None:
    event = decode(TwilioCodec(), start(mediaFormat={"encoding": encoding, "sampleRate": rate, "channels": 1}))
    assert isinstance(event, StreamStarted)
    assert event.audio_format == expected


@pytest.mark.parametrize(
    ("announced", "problem"),
    [
        ({"encoding": "audio/opus", "sampleRate": 48000}, "unsupported format"),
        ({"encoding": "audio/x-mulaw", "sampleRate": 16000}, "unsupported format"),
        ({"encoding": "audio/x-l16", "sampleRate": 11025}, "unsupported format"),
        ({"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 2}, "unsupported format"),
        ({"encoding": "audio/x-mulaw", "sampleRate": "8000"}, "bad field"),
        ({"encoding": "audio/x-mulaw", "sampleRate": True}, "bad field"),
        ({"encoding": "audio/x-mulaw"}, "missing field"),
        ({"encoding": ["audio/x-mulaw"], "sampleRate": 8000}, "bad field"),
        ("audio/x-mulaw", "bad field"),
    ],
)
def test_a_format_we_cannot_use_does_not_start_the_stream(announced: Any, problem: str) -> None:
    codec = TwilioCodec()
    assert kind(decode(codec, start(mediaFormat=announced))) == problem
    assert kind(decode(codec, media())) == "media before start"


def test_without_a_format_it_is_telephone_mulaw_and_without_parameters_none() -> None:
    message = start()
    del message["start"]["mediaFormat"], message["start"]["customParameters"]
    assert decode(TwilioCodec(), message) == StreamStarted(STREAM, CALL, TELEPHONE, {})


def test_a_second_start_changes_nothing() -> None:
    codec = started()
    other = start(streamSid="MZother")
    other["streamSid"] = "MZother"

    assert decode(codec, other) == Ignored("duplicate start")
    assert decode(codec, media()) == AUDIO


def test_the_stream_id_may_stand_in_either_place_but_not_contradict() -> None:
    inner_only, outer_only, both = start(), start(), start(streamSid="MZother")
    del inner_only["streamSid"], outer_only["start"]["streamSid"]

    for message in (inner_only, outer_only):
        event = decode(TwilioCodec(), message)
        assert isinstance(event, StreamStarted)
        assert event.stream_id == STREAM
    assert kind(decode(TwilioCodec(), both)) == "wrong stream"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"callSid": 5}, "bad field"),
        ({"customParameters": ["a"]}, "bad field"),
        ({"customParameters": {"a": 1}}, "bad field"),
        ({"customParameters": {"a": "\ud800"}}, "bad field"),
        ({"customParameters": {"\ud800": "a"}}, "bad field"),
    ],
)
def test_a_malformed_start(changes: dict[str, Any], problem: str) -> None:
    assert kind(decode(TwilioCodec(), start(**changes))) == problem


# --- what a peer should not send ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"", "bad JSON"),
        (b"{", "bad JSON"),
        (b"[1]", "not an object"),
        (b"null", "not an object"),
        (b'"text"', "not an object"),
        (b"\xff\xfe{}", "not UTF-8"),
        ('{"event":"stop"}'.encode("utf-16"), "not UTF-8"),
        (b"[" * 60_000, "nested too deep"),
        (b'{"a":' * 12_000, "nested too deep"),
        (b'{"event":' + b"9" * 5_000 + b"}", "bad JSON"),
        (b"{}", "missing field"),
        (b'{"event":null}', "bad field"),
        (b'{"event":["media"]}', "bad field"),
        (b'{"event":"media"}', "missing field"),
        (wire({"event": "media", "streamSid": STREAM}), "missing field"),
        (wire({"event": "media", "streamSid": STREAM, "media": 5}), "bad field"),
        (wire({"event": "media", "streamSid": STREAM, "media": {}}), "missing field"),
        (wire({"event": "media", "streamSid": STREAM, "media": {"payload": 5}}), "bad field"),
        (wire({"event": "media", "streamSid": STREAM, "media": {"track": 5, "payload": ""}}), "bad field"),
        (wire({"event": "mark", "streamSid": STREAM, "mark": {}}), "missing field"),
        (wire({"event": "mark", "streamSid": STREAM, "mark": {"name": 1}}), "bad field"),
        (wire({"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": "12"}}), "bad field"),
        (wire({"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": ""}}), "bad field"),
    ],
)
def test_bad_messages_have_a_constant_kind(payload: bytes, problem: str) -> None:
    codec = started()
    assert kind(codec.decode(True, payload)) == problem
    assert decode(codec, media()) == AUDIO


@pytest.mark.parametrize("event", ["media", "dtmf", "mark", "stop"])
def test_messages_of_another_stream(event: str) -> None:
    message = {**media(stream="MZother"), "event": event}
    assert kind(decode(started(), message)) == "wrong stream"


def test_binary_messages_are_bad_even_if_they_read_like_text() -> None:
    assert kind(started().decode(False, wire(media()))) == "binary message"


def test_the_limit_of_a_message() -> None:
    exact = len(wire(media()))
    assert decode(started(max_message=700), media()) == AUDIO
    codec = started(max_message=700)
    long = wire(media(bytes(1000)))
    assert exact <= 700 < len(long)
    assert kind(codec.decode(True, long)) == "message too long"
    assert kind(codec.decode(True, json.dumps(media(bytes(1000))).encode())) == "message too long"


def test_unknown_events_and_keys_are_harmless() -> None:
    codec = started()
    assert decode(codec, {"event": "weather", "streamSid": STREAM}) == Ignored("unknown event")
    assert decode(codec, {**media(), "novelty": {"deep": [1, None]}}) == AUDIO


def test_a_problem_never_quotes_a_digit() -> None:
    message = {"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": "8642"}}
    assert "8642" not in repr(decode(started(), message))
    assert "7" not in repr(decode(started(), {"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": "7"}}))


# --- nothing raises -----------------------------------------------------------------------------------------------

REAL = [
    wire(start()),
    wire(media()),
    wire(media(b"")),
    wire({"event": "mark", "streamSid": STREAM, "mark": {"name": "m"}}),
    wire({"event": "dtmf", "streamSid": STREAM, "dtmf": {"track": "inbound_track", "digit": "1"}}),
    wire({"event": "stop", "streamSid": STREAM}),
]
EVENTS = (bytes, StreamStarted, MarkEchoed, DtmfPressed, StreamStopped, Ignored, BadMessage)


@given(st.booleans(), st.booleans(), st.binary(max_size=300))
def test_random_bytes_never_raise(ready: bool, text: bool, payload: bytes) -> None:
    codec = started() if ready else TwilioCodec()
    assert isinstance(codec.decode(text, payload), EVENTS)


@given(st.booleans(), st.sampled_from(REAL), st.data())
def test_damaged_messages_never_raise(ready: bool, message: bytes, data: st.DataObject) -> None:
    codec = started() if ready else TwilioCodec()
    at = data.draw(st.integers(0, len(message)))
    cut = data.draw(st.integers(0, 12))
    damaged = message[:at] + data.draw(st.binary(max_size=8)) + message[at + cut :]
    assert isinstance(codec.decode(True, damaged), EVENTS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.booleans(),
    st.sampled_from(["start", "media", "mark", "dtmf", "stop", "connected"]),
    st.sampled_from(["streamSid", "callSid", "mediaFormat", "customParameters", "payload", "track", "name", "digit"]),
    JSON,
)
def test_wrong_types_in_any_field_never_raise(ready: bool, event: str, field: str, value: Any) -> None:
    codec = started() if ready else TwilioCodec()
    body = {**start()["start"], **media()["media"], "name": "m", "digit": "1", field: value}
    for message in (
        {"event": event, event: body, "streamSid": STREAM},
        {"event": event, event: value, "streamSid": value},
        {"event": value},
    ):
        assert isinstance(codec.decode(True, json.dumps(message).encode()), EVENTS)


@given(st.sampled_from([wire(media()), wire(media(b"\x00"))]), st.integers(0, 320), st.integers(0, 255))
def test_the_short_way_says_what_the_parser_says(message: bytes, at: int, byte: int) -> None:
    """A changed byte anywhere: the codec, which may take its short way, agrees with one that cannot."""
    damaged = bytearray(message)
    damaged[at % len(message)] = byte
    longer = bytes(damaged) + b" "  # a blank behind: the same JSON, but never the short way
    assert started().decode(True, bytes(damaged)) == started().decode(True, longer)


def test_a_payload_that_shares_its_quotation_mark_with_the_end_is_bad_json() -> None:
    codec = started()
    whole = wire(media(b""))
    assert codec.decode(True, whole) == b""

    assert kind(codec.decode(True, whole.replace(b'"payload":""}', b'"payload":"}'))) == "bad JSON"
