"""Plivo's audio streaming messages, both ways. The shapes are those of Plivo's documentation."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.carriers.plivo import PlivoCodec
from callengine.errors import CallEngineError
from callengine.ports import (
    BadMessage,
    CarrierCodec,
    CarrierEvent,
    DtmfPressed,
    Ignored,
    KeyCodec,
    MarkEchoed,
    StreamStarted,
    StreamStopped,
)

STREAM = "e155c595-3219-535a-9cd3-4d7be199fa4e"
CALL = "f0d8e0c2-1111-2222-3333-444455556666"
AUDIO = bytes(range(160))
HEADERS = "token=abc123,tenant=acme"


def start(**changes: Any) -> dict[str, Any]:
    body = {
        "callId": CALL,
        "streamId": STREAM,
        "accountId": "MA" + "X" * 18,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
    }
    body.update(changes)
    return {"event": "start", "sequenceNumber": 0, "start": body, "extra_headers": HEADERS}


def media(
    audio: bytes = AUDIO, *, track: str = "inbound", stream: str = STREAM, headers: str = HEADERS
) -> dict[str, Any]:
    payload = base64.b64encode(audio).decode()
    body = {"track": track, "timestamp": "1767323045123", "chunk": 1, "payload": payload}
    return {"event": "media", "sequenceNumber": 1, "streamId": stream, "media": body, "extra_headers": headers}


def dtmf(digit: Any) -> dict[str, Any]:
    body = {"track": "inbound", "digit": digit, "timestamp": "1767323047000"}
    return {"event": "dtmf", "sequenceNumber": 9, "streamId": STREAM, "dtmf": body, "extra_headers": HEADERS}


def wire(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def decode(codec: CarrierCodec, message: Any) -> CarrierEvent:
    return codec.decode(True, wire(message))


def started(**settings: Any) -> PlivoCodec:
    codec = PlivoCodec(**settings)
    assert isinstance(decode(codec, start()), StreamStarted)
    return codec


def practised(**settings: Any) -> PlivoCodec:
    """A codec that has seen a media message, and so knows the short way."""
    codec = started(**settings)
    assert decode(codec, media()) == AUDIO
    return codec


def kind(event: CarrierEvent) -> str:
    assert isinstance(event, BadMessage | Ignored)
    return event.kind


# --- a stream as Plivo sends it -----------------------------------------------------------------------------------


def test_a_whole_stream_without_connected_and_without_stop() -> None:
    codec: CarrierCodec = PlivoCodec()
    played = {"event": "playedStream", "sequenceNumber": 40, "streamId": STREAM, "name": "g1:u1:4"}
    cleared = {"event": "clearedAudio", "sequenceNumber": 41, "streamId": STREAM}

    events = [decode(codec, message) for message in (start(), media(), dtmf("1"), played, cleared)]

    assert events == [
        StreamStarted(STREAM, CALL, TELEPHONE, {"token": "abc123", "tenant": "acme"}),
        AUDIO,
        DtmfPressed("1"),
        MarkEchoed("g1:u1:4"),
        Ignored("cleared"),
    ]


@pytest.mark.parametrize("stop", [{"event": "stop", "streamId": STREAM}, {"event": "stop", "sequenceNumber": 5}])
def test_a_stop_is_understood_where_one_comes(stop: dict[str, Any]) -> None:
    assert decode(started(), stop) == StreamStopped()


def test_what_we_write_is_what_plivo_documents() -> None:
    codec = started()

    assert json.loads(codec.media(AUDIO)) == {
        "event": "playAudio",
        "media": {
            "contentType": "audio/x-mulaw",
            "sampleRate": 8000,
            "payload": base64.b64encode(AUDIO).decode(),
        },
    }
    assert json.loads(codec.mark('a "quoted" náme')) == {
        "event": "checkpoint",
        "streamId": STREAM,
        "name": 'a "quoted" náme',
    }
    assert json.loads(codec.clear()) == {"event": "clearAudio", "streamId": STREAM}
    assert isinstance(codec, KeyCodec)
    assert json.loads(codec.dtmf("123#")) == {"event": "sendDTMF", "dtmf": "123#"}


def test_writing_before_the_start_is_an_error_of_ours() -> None:
    codec = PlivoCodec()
    for write in (lambda: codec.media(b""), lambda: codec.mark("m"), codec.clear, lambda: codec.dtmf("1")):
        with pytest.raises(CallEngineError, match="start message"):
            write()


@pytest.mark.parametrize("digits", ["", "864w2", "E", "1 2", '"', "\u0661"])
def test_only_keys_can_be_pressed_and_an_error_does_not_quote_them(digits: str) -> None:
    with pytest.raises(CallEngineError, match="0-9") as raised:
        started().dtmf(digits)
    assert "864" not in str(raised.value)


# --- media --------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=2000))
def test_audio_survives_every_spelling(audio: bytes) -> None:
    message = media(audio)
    reordered = {key: message[key] for key in ("streamId", "media", "extra_headers", "event")}
    without = {key: message[key] for key in ("event", "sequenceNumber", "streamId", "media")}
    spaced = json.dumps(message, indent=1).encode()
    escaped = wire(message).replace(b"/", b"\\/")

    for codec in (started(), practised()):
        for payload in (wire(message), wire(reordered), wire(without), spaced, escaped, wire(message)):
            assert codec.decode(True, payload) == audio


def test_other_tracks_are_ignored() -> None:
    assert decode(practised(), media(track="outbound")) == Ignored("other track")


def test_media_without_a_track_is_the_callers() -> None:
    message = media()
    del message["media"]["track"]
    assert decode(started(), message) == AUDIO


@pytest.mark.parametrize("event", ["media", "dtmf", "playedStream", "clearedAudio", "stop"])
def test_what_comes_before_the_start_is_ignored(event: str) -> None:
    codec = PlivoCodec()
    message = {"event": event, "streamId": STREAM, event: {"payload": "", "digit": "1"}, "name": "m"}

    assert decode(codec, message) == Ignored(f"{event} before start")
    assert isinstance(decode(codec, start()), StreamStarted)


@pytest.mark.parametrize("payload", ["QQ", "QQ=", "QQ==QQ==", "Q Q=", "Q\nQ=", "é===", "=", "\ud800"])
def test_bad_base64(payload: str) -> None:
    message = media()
    message["media"]["payload"] = payload
    for codec in (started(), practised()):
        assert kind(decode(codec, message)) in ("bad base64", "bad field")


def test_audio_is_not_found_where_its_quote_is_shared() -> None:
    broken = wire(media(b"")).replace(b'"payload":""', b'"payload":"')
    assert kind(practised().decode(True, broken)) == "bad JSON"


# --- the start ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "rate", "expected"),
    [
        ("audio/x-mulaw", 8000, AudioFormat("mulaw", 8000)),
        ("audio/x-l16", 8000, AudioFormat("l16", 8000)),
        ("audio/x-l16", 16000, AudioFormat("l16", 16000)),
        ("audio/x-l16;rate=16000", 16000, AudioFormat("l16", 16000)),
    ],
)
def test_the_format_is_the_one_announced_and_is_answered_in(encoding: str, rate: int, expected: AudioFormat) -> None:
    codec = PlivoCodec()
    event = decode(codec, start(mediaFormat={"encoding": encoding, "sampleRate": rate}))

    assert isinstance(event, StreamStarted)
    assert event.audio_format == expected
    written = json.loads(codec.media(b"\0\0"))["media"]
    assert (written["contentType"], written["sampleRate"]) == (encoding.partition(";")[0], rate)


@pytest.mark.parametrize(
    ("announced", "problem"),
    [
        ({"encoding": "audio/opus", "sampleRate": 48000}, "unsupported format"),
        ({"encoding": "audio/x-mulaw", "sampleRate": 16000}, "unsupported format"),
        ({"encoding": "audio/x-l16", "sampleRate": 24000}, "unsupported format"),
        ({"encoding": "audio/x-mulaw", "sampleRate": "8000"}, "bad field"),
        ({"encoding": "audio/x-mulaw", "sampleRate": True}, "bad field"),
        ({"encoding": "audio/x-mulaw"}, "missing field"),
        ({"encoding": ["audio/x-mulaw"], "sampleRate": 8000}, "bad field"),
        ("audio/x-mulaw", "bad field"),
    ],
)
def test_a_format_we_cannot_use_does_not_start_the_stream(announced: Any, problem: str) -> None:
    codec = PlivoCodec()
    assert kind(decode(codec, start(mediaFormat=announced))) == problem
    assert kind(decode(codec, media())) == "media before start"


def test_without_a_format_it_is_the_one_asked_for() -> None:
    message = start()
    del message["start"]["mediaFormat"], message["extra_headers"]
    wide = AudioFormat("l16", 16000)

    assert decode(PlivoCodec(), message) == StreamStarted(STREAM, CALL, TELEPHONE, {})
    assert decode(PlivoCodec(wide), message) == StreamStarted(STREAM, CALL, wide, {})


def test_a_second_start_changes_nothing() -> None:
    codec = started()
    assert decode(codec, start(streamId="another")) == Ignored("duplicate start")
    assert decode(codec, media()) == AUDIO


@pytest.mark.parametrize(
    "headers",
    [
        "token=abc123,tenant=acme",
        "token=abc123;tenant=acme",
        " token = abc123 , tenant = acme , , nothing",
        '{"token":"abc123","tenant":"acme"}',
        "{token:abc123,tenant:acme}",
        "{token: abc123, tenant: acme}",
        {"token": "abc123", "tenant": "acme"},
    ],
)
def test_custom_data_arrive_in_every_spelling(headers: Any) -> None:
    event = decode(PlivoCodec(), start() | {"extra_headers": headers})
    assert isinstance(event, StreamStarted)
    assert event.parameters == {"token": "abc123", "tenant": "acme"}


@pytest.mark.parametrize("headers", [None, 5, [], "", "{", "}{", "{}", "=", "a", '{"a":[1]}', "{" * 9000, '"\ud800=1"'])
def test_custom_data_that_are_none_do_not_stop_a_stream(headers: Any) -> None:
    event = decode(PlivoCodec(), start() | {"extra_headers": headers})
    assert isinstance(event, StreamStarted)
    assert event.parameters == {}


@pytest.mark.parametrize("changes", [{"callId": 5}, {"streamId": None}, {"callId": "\ud800"}])
def test_a_malformed_start(changes: dict[str, Any]) -> None:
    assert kind(decode(PlivoCodec(), start(**changes))) == "bad field"


# --- what a peer should not send ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"", "bad JSON"),
        (b"{", "bad JSON"),
        (b"[1]", "not an object"),
        (b"null", "not an object"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"[" * 60_000, "nested too deep"),
        (b'{"event":' + b"9" * 5_000 + b"}", "bad JSON"),
        (b"{}", "missing field"),
        (b'{"event":null}', "bad field"),
        (wire({"event": "media", "streamId": STREAM}), "missing field"),
        (wire({"event": "media", "streamId": STREAM, "media": 5}), "bad field"),
        (wire({"event": "media", "streamId": STREAM, "media": {}}), "missing field"),
        (wire({"event": "media", "streamId": STREAM, "media": {"payload": 5}}), "bad field"),
        (wire({"event": "media", "streamId": STREAM, "media": {"track": 5, "payload": ""}}), "bad field"),
        (wire({"event": "playedStream", "streamId": STREAM}), "missing field"),
        (wire({"event": "playedStream", "streamId": STREAM, "name": 1}), "bad field"),
        (wire(dtmf("12")), "bad field"),
        (wire(dtmf("")), "bad field"),
        (wire(dtmf(1)), "bad field"),
    ],
)
def test_bad_messages_have_a_constant_kind(payload: bytes, problem: str) -> None:
    codec = practised()
    assert kind(codec.decode(True, payload)) == problem
    assert decode(codec, media()) == AUDIO


@pytest.mark.parametrize("event", ["media", "dtmf", "playedStream", "clearedAudio", "stop"])
def test_messages_of_another_stream(event: str) -> None:
    message = {**media(stream="another"), "event": event}
    assert kind(decode(practised(), message)) == "wrong stream"


def test_binary_messages_are_bad_even_if_they_read_like_text() -> None:
    assert kind(practised().decode(False, wire(media()))) == "binary message"


def test_the_limit_of_a_message() -> None:
    codec = practised(max_message=700)
    assert kind(decode(codec, media(bytes(1000)))) == "message too long"
    assert kind(codec.decode(True, json.dumps(media(bytes(1000))).encode())) == "message too long"


def test_unknown_events_and_keys_are_harmless() -> None:
    codec = started()
    assert decode(codec, {"event": "playFailed", "streamId": STREAM}) == Ignored("unknown event")
    assert decode(codec, {**media(), "novelty": {"deep": [1, None]}}) == AUDIO


def test_a_problem_never_quotes_a_digit() -> None:
    assert "8642" not in repr(decode(started(), dtmf("8642")))
    assert "7" not in repr(decode(started(), dtmf("7")))


# --- nothing raises -----------------------------------------------------------------------------------------------

REAL = [
    wire(start()),
    wire(media()),
    wire(media(b"")),
    wire({"event": "playedStream", "streamId": STREAM, "name": "m"}),
    wire(dtmf("1")),
    wire({"event": "clearedAudio", "sequenceNumber": 41, "streamId": STREAM}),
    wire({"event": "stop", "streamId": STREAM}),
]
EVENTS = (bytes, StreamStarted, MarkEchoed, DtmfPressed, StreamStopped, Ignored, BadMessage)


@given(st.booleans(), st.booleans(), st.binary(max_size=300))
def test_random_bytes_never_raise(ready: bool, text: bool, payload: bytes) -> None:
    codec = practised() if ready else PlivoCodec()
    assert isinstance(codec.decode(text, payload), EVENTS)


@given(st.booleans(), st.sampled_from(REAL), st.data())
def test_damaged_messages_never_raise(ready: bool, message: bytes, data: st.DataObject) -> None:
    codec = practised() if ready else PlivoCodec()
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
    st.sampled_from(["start", "media", "playedStream", "clearedAudio", "dtmf", "stop"]),
    st.sampled_from(["streamId", "callId", "mediaFormat", "extra_headers", "payload", "track", "name", "digit"]),
    JSON,
)
def test_wrong_types_in_any_field_never_raise(ready: bool, event: str, field: str, value: Any) -> None:
    codec = practised() if ready else PlivoCodec()
    body = {**start()["start"], **media()["media"], "name": "m", "digit": "1", field: value}
    for message in (
        {"event": event, event: body, "streamId": STREAM, "extra_headers": value},
        {"event": event, event: value, "streamId": value, "name": value},
        {"event": value},
    ):
        assert isinstance(codec.decode(True, json.dumps(message).encode()), EVENTS)


@given(
    st.sampled_from([wire(media()), wire(media(b"\x00")), wire(media(headers=""))]),
    st.integers(0, 420),
    st.integers(0, 255),
)
def test_the_short_way_says_what_the_parser_says(message: bytes, at: int, byte: int) -> None:
    """A changed byte anywhere: the codec, which may take its short way, agrees with one that cannot."""
    damaged = bytearray(message)
    damaged[at % len(message)] = byte
    longer = bytes(damaged) + b" "  # a blank behind: the same JSON, but never the short way
    assert practised().decode(True, bytes(damaged)) == practised().decode(True, longer)
