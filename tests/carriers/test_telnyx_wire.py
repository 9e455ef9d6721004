"""Telnyx's media streaming messages, both ways. The shapes are those of Telnyx's documentation."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telnyx_examples import AUDIO, CALL, STREAM, decode, media, start, wire

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.audio.g711 import ALAW, MULAW
from callengine.carriers.telnyx import TelnyxCodec
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


def by_name(value: Any) -> Any:
    """The same with every object's members sorted by name."""
    return {key: by_name(value[key]) for key in sorted(value)} if isinstance(value, dict) else value


def started(announced: dict[str, Any] | None = None, **settings: Any) -> TelnyxCodec:
    codec = TelnyxCodec(**settings)
    assert isinstance(decode(codec, start(**({"media_format": announced} if announced else {}))), StreamStarted)
    return codec


def kind(event: CarrierEvent) -> str:
    assert isinstance(event, BadMessage | Ignored)
    return event.kind


# --- a stream as Telnyx sends it ----------------------------------------------------------------------------------


def test_a_whole_stream() -> None:
    codec: CarrierCodec = TelnyxCodec()
    messages = [
        {"event": "connected", "version": "1.0.0"},
        start(),
        media(),
        {
            "event": "dtmf",
            "stream_id": STREAM,
            "occurred_at": "2026-01-02T03:04:09.170888Z",
            "sequence_number": "5",
            "dtmf": {"digit": "#"},
        },
        {"event": "mark", "stream_id": STREAM, "sequence_number": "6", "mark": {"name": "g1:u1:4"}},
        {"event": "stop", "sequence_number": "90", "stop": {"user_id": "9", "call_control_id": CALL}},
    ]

    assert [decode(codec, message) for message in messages] == [
        Ignored("connected"),
        StreamStarted(STREAM, CALL, TELEPHONE, {}),
        AUDIO,
        DtmfPressed("#"),
        MarkEchoed("g1:u1:4"),
        StreamStopped(),
    ]


def test_what_we_write_is_what_telnyx_documents() -> None:
    codec = started()

    assert json.loads(codec.media(AUDIO)) == {
        "event": "media",
        "media": {"payload": base64.b64encode(AUDIO).decode()},
    }
    assert json.loads(codec.mark('a "quoted" náme')) == {"event": "mark", "mark": {"name": 'a "quoted" náme'}}
    assert json.loads(codec.clear()) == {"event": "clear"}


def test_writing_before_the_start_is_an_error_of_ours() -> None:
    codec = TelnyxCodec()
    for write in (lambda: codec.media(b""), lambda: codec.mark("m"), codec.clear):
        with pytest.raises(CallEngineError, match="start message"):
            write()


@pytest.mark.parametrize(
    ("settings", "size", "padding"),
    [
        ({}, 7, b"\xff" * 153),
        ({}, 0, b"\xff" * 160),
        ({"codec": "PCMA"}, 7, b"\xd5" * 153),
        ({"codec": "L16"}, 14, bytes(626)),
    ],
)
def test_a_message_has_at_least_20_ms_of_audio(settings: dict[str, Any], size: int, padding: bytes) -> None:
    codec = started(**settings)
    sent = base64.b64decode(json.loads(codec.media(b"\x01" * size))["media"]["payload"])
    assert sent == b"\x01" * size + padding


def test_a_message_has_at_most_30_s_of_audio() -> None:
    codec = started()
    assert codec.media(bytes(240_000))
    with pytest.raises(CallEngineError, match="in pieces"):
        codec.media(bytes(240_001))


# --- media --------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=2000))
def test_audio_survives_every_spelling(audio: bytes) -> None:
    codec = started()
    spellings = (
        lambda message: wire(message),
        lambda message: wire(by_name(message)),
        lambda message: json.dumps(message, indent=1).encode(),
        lambda message: wire(message).replace(b"/", b"\\/"),
    )
    for number, spelling in enumerate(spellings * 2):  # the second time round a spelling may have been learnt
        assert codec.decode(True, spelling(media(audio, str(number)))) == audio


@given(st.binary(min_size=160, max_size=2000), st.text(max_size=50))
def test_our_messages_read_back(audio: bytes, name: str) -> None:
    codec = started()
    assert codec.decode(True, codec.media(audio)) == audio
    assert codec.decode(True, codec.mark(name)) == MarkEchoed(name)


@pytest.mark.parametrize("track", ["outbound", "outbound_track"])
def test_the_agents_own_voice_is_never_heard(track: str) -> None:
    codec = started()
    assert decode(codec, media(b"\x01", "1", track=track)) == Ignored("other track")
    assert decode(codec, media(AUDIO, "2")) == AUDIO


def test_with_two_tracks_counted_together_nothing_waits_for_the_other_one() -> None:
    codec = started()
    heard = [decode(codec, media(bytes([n]), str(n), track="outbound" if n % 2 else "inbound")) for n in range(1, 9)]
    assert [event for event in heard if isinstance(event, bytes)] == [b"\x02", b"\x04", b"\x06", b"\x08"]


def test_media_without_a_track_or_a_number_is_the_callers() -> None:
    message = media()
    del message["media"]["track"], message["media"]["chunk"], message["stream_id"]
    codec = started()
    assert [decode(codec, message), decode(codec, message)] == [AUDIO, AUDIO]


@pytest.mark.parametrize("event", ["media", "dtmf", "mark", "stop"])
def test_what_comes_before_the_start_is_ignored(event: str) -> None:
    codec = TelnyxCodec()
    message = {"event": event, "stream_id": STREAM, event: {"payload": "", "digit": "1", "name": "m"}}

    assert decode(codec, message) == Ignored(f"{event} before start")
    assert isinstance(decode(codec, start()), StreamStarted)


@pytest.mark.parametrize("payload", ["QQ", "QQ=", "QQ==QQ==", "Q Q=", "Q\nQ=", "é===", "=", "\ud800"])
def test_bad_base64(payload: str) -> None:
    message = media()
    message["media"]["payload"] = payload
    assert kind(decode(started(), message)) in ("bad base64", "bad field")


# --- the order of media -------------------------------------------------------------------------------------------


def heard(codec: TelnyxCodec, numbers: list[int], spelling: Any = wire) -> list[CarrierEvent]:
    return [codec.decode(True, spelling(media(bytes([number]), str(number)))) for number in numbers]


@pytest.mark.parametrize("spelling", [wire, lambda message: wire(by_name(message))])
def test_media_out_of_order_is_put_in_order(spelling: Any) -> None:
    assert heard(started(), [1, 2, 4, 3, 5, 7, 8, 6, 9], spelling) == [
        b"\x01",
        b"\x02",
        b"",
        b"\x03\x04",
        b"\x05",
        b"",
        b"",
        b"\x06\x07\x08",
        b"\x09",
    ]


def test_a_lost_message_is_given_up_after_four_later_ones() -> None:
    assert heard(started(), [1, 3, 4, 5, 6, 7]) == [b"\x01", b"", b"", b"", b"\x03\x04\x05\x06", b"\x07"]


def test_what_comes_too_late_or_twice_is_dropped() -> None:
    late = Ignored("late media")
    assert heard(started(), [1, 3, 4, 5, 6, 2, 7, 7, 9, 9, 8]) == [
        b"\x01",
        b"",
        b"",
        b"",
        b"\x03\x04\x05\x06",
        late,
        b"\x07",
        late,
        b"",
        late,
        b"\x08\x09",
    ]


def test_a_new_count_does_not_make_the_call_deaf() -> None:
    assert heard(started(), [100, 101, 1, 2]) == [b"d", b"e", b"\x01", b"\x02"]


def test_a_stream_may_begin_with_any_number_and_jump() -> None:
    assert heard(started(), [17, 18, 90, 91, 92, 93, 94]) == [b"\x11", b"\x12", b"", b"", b"", b"Z[\\]", b"^"]


@given(st.permutations(range(60)), st.integers(0, 255))
def test_whatever_the_order_nothing_is_heard_twice_and_little_is_held(order: list[int], first: int) -> None:
    codec = started()
    out = b"".join(event for event in heard(codec, order) if isinstance(event, bytes))
    assert len(set(out)) == len(out)


@given(st.lists(st.booleans(), min_size=40, max_size=40))
def test_neighbours_swapped_now_and_then_lose_nothing(swaps: list[bool]) -> None:
    order = list(range(1, 82))
    for place, swapped in enumerate(swaps):
        if swapped:
            order[2 * place + 1], order[2 * place + 2] = order[2 * place + 2], order[2 * place + 1]
    out = b"".join(event for event in heard(started(), order) if isinstance(event, bytes))
    assert out == bytes(range(1, 82))


# --- formats ------------------------------------------------------------------------------------------------------

EVERY = bytes(range(256))
TONE = (8000 * np.sin(np.arange(3200) * 2 * np.pi * 440 / 16000)).astype(np.int16)


@pytest.mark.parametrize(
    ("codec", "expected"),
    [("PCMU", TELEPHONE), ("PCMA", AudioFormat("alaw", 8000)), ("L16", AudioFormat("l16", 16000))],
)
@pytest.mark.parametrize("encoding", ["PCMU", "PCMA", "L16"])
def test_the_stream_has_the_format_that_was_asked_for_whatever_comes(
    codec: Any, expected: AudioFormat, encoding: str
) -> None:
    rate = 16000 if encoding == "L16" else 8000
    event = decode(TelnyxCodec(codec=codec), start(media_format={"encoding": encoding, "sample_rate": rate}))
    assert isinstance(event, StreamStarted)
    assert event.audio_format == expected


def test_alaw_that_comes_is_heard_as_mulaw_while_mulaw_goes() -> None:
    codec = started({"encoding": "PCMA", "sample_rate": 8000, "channels": 1})
    assert decode(codec, media(EVERY)) == MULAW.encode(ALAW.decode(EVERY))
    assert json.loads(codec.media(EVERY))["media"]["payload"] == base64.b64encode(EVERY).decode()


def test_mulaw_that_comes_is_heard_as_alaw() -> None:
    codec = started({"encoding": "PCMU", "sample_rate": 8000, "channels": 1}, codec="PCMA")
    assert decode(codec, media(EVERY)) == ALAW.encode(MULAW.decode(EVERY))


def test_audio_held_back_is_converted_too() -> None:
    codec = started({"encoding": "PCMA", "sample_rate": 8000, "channels": 1})
    decode(codec, media(b"\xd5", "1"))
    assert decode(codec, media(b"\xd5", "3")) == b""
    assert decode(codec, media(b"\xd5", "2")) == MULAW.encode(ALAW.decode(b"\xd5\xd5"))


@pytest.mark.parametrize(("byte_order", "dtype"), [("big", ">i2"), ("little", "<i2")])
def test_the_byte_order_of_l16_is_a_setting_both_ways(byte_order: Any, dtype: str) -> None:
    codec = started({"encoding": "L16", "sample_rate": 16000, "channels": 1}, codec="L16", byte_order=byte_order)
    ours, theirs = TONE.astype("<i2").tobytes(), TONE.astype(dtype).tobytes()

    assert decode(codec, media(theirs)) == ours
    assert base64.b64decode(json.loads(codec.media(ours))["media"]["payload"]) == theirs


def test_half_a_sample_does_not_put_l16_out_of_step() -> None:
    codec = started({"encoding": "L16", "sample_rate": 16000, "channels": 1}, codec="L16")
    assert decode(codec, media(b"\x00\x01\x02", "1")) == b"\x01\x00"
    assert decode(codec, media(b"\x00\x03", "2")) == b"\x03\x00"


def test_telephone_audio_is_resampled_where_l16_was_asked_for() -> None:
    codec = started({"encoding": "PCMU", "sample_rate": 8000, "channels": 1}, codec="L16")
    line = MULAW.encode(TONE[::2])
    parts = [decode(codec, media(line[at : at + 160], str(at // 160 + 1))) for at in range(0, len(line), 160)]

    samples = np.frombuffer(b"".join(part for part in parts if isinstance(part, bytes)), "<i2").astype(float)
    assert len(samples) > 3100
    assert np.abs(samples[500:3000] - TONE[500:3000]).max() < 400  # mu-law is good for 3 %


def test_l16_is_heard_as_mulaw_where_that_was_asked_for() -> None:
    codec = started({"encoding": "L16", "sample_rate": 16000, "channels": 1})
    event = decode(codec, media(TONE.astype(">i2").tobytes()))
    assert isinstance(event, bytes)
    assert 1580 <= len(event) <= 1600
    assert np.abs(MULAW.decode(event)[200:1500].astype(float) - TONE[::2][200:1500]).max() < 400


@pytest.mark.parametrize(
    ("announced", "problem"),
    [
        ({"encoding": "G722", "sample_rate": 8000}, "unsupported format"),
        ({"encoding": "OPUS", "sample_rate": 16000}, "unsupported format"),
        ({"encoding": "AMR-WB", "sample_rate": 16000}, "unsupported format"),
        ({"encoding": "PCMU", "sample_rate": 16000}, "unsupported format"),
        ({"encoding": "L16", "sample_rate": 11025}, "unsupported format"),
        ({"encoding": "PCMU", "sample_rate": 8000, "channels": 2}, "unsupported format"),
        ({"encoding": "PCMU", "sample_rate": "8000"}, "bad field"),
        ({"encoding": "PCMU", "sample_rate": True}, "bad field"),
        ({"encoding": "PCMU"}, "missing field"),
        ({"encoding": ["PCMU"], "sample_rate": 8000}, "bad field"),
        ("PCMU", "bad field"),
    ],
)
def test_a_format_we_cannot_use_does_not_start_the_stream(announced: Any, problem: str) -> None:
    codec = TelnyxCodec()
    assert kind(decode(codec, start(media_format=announced))) == problem
    assert kind(decode(codec, media())) == "media before start"


# --- the start ----------------------------------------------------------------------------------------------------


def test_without_a_format_it_is_what_was_asked_for() -> None:
    message = start()
    del message["start"]["media_format"]
    event = decode(TelnyxCodec(codec="PCMA"), message)
    assert isinstance(event, StreamStarted)
    assert event.audio_format == AudioFormat("alaw", 8000)


@pytest.mark.parametrize(
    "given_back", [{"tenant": "acme", "n": "1"}, [{"name": "tenant", "value": "acme"}, {"name": "n", "value": "1"}]]
)
def test_custom_parameters_in_either_shape(given_back: Any) -> None:
    event = decode(TelnyxCodec(), start(custom_parameters=given_back))
    assert isinstance(event, StreamStarted)
    assert event.parameters == {"tenant": "acme", "n": "1"}


def test_a_second_start_changes_nothing() -> None:
    codec = started()
    other = {**start(), "stream_id": "other"}
    assert decode(codec, other) == Ignored("duplicate start")
    assert decode(codec, media()) == AUDIO


def test_the_stream_id_may_stand_in_either_place_but_not_contradict() -> None:
    inner_only, both = start(stream_id=STREAM), start(stream_id="other")
    del inner_only["stream_id"]
    event = decode(TelnyxCodec(), inner_only)
    assert isinstance(event, StreamStarted)
    assert event.stream_id == STREAM
    assert kind(decode(TelnyxCodec(), both)) == "wrong stream"


@pytest.mark.parametrize(
    "changes",
    [
        {"call_control_id": 5},
        {"call_control_id": "\ud800"},
        {"custom_parameters": "a"},
        {"custom_parameters": {"a": 1}},
        {"custom_parameters": {"a": "\ud800"}},
        {"custom_parameters": [{"name": "a"}]},
    ],
)
def test_a_malformed_start(changes: dict[str, Any]) -> None:
    assert kind(decode(TelnyxCodec(), start(**changes))) == "bad field"


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
        (wire({"event": "media"}), "missing field"),
        (wire({"event": "media", "media": 5}), "bad field"),
        (wire({"event": "media", "media": {}}), "missing field"),
        (wire({"event": "media", "media": {"payload": 5}}), "bad field"),
        (wire({"event": "media", "media": {"track": 5, "payload": ""}}), "bad field"),
        (wire({"event": "mark", "mark": {}}), "missing field"),
        (wire({"event": "mark", "mark": {"name": 1}}), "bad field"),
        (wire({"event": "dtmf", "dtmf": {"digit": "12"}}), "bad field"),
        (wire({"event": "stop", "stream_id": 5}), "bad field"),
        (wire({"event": "error", "payload": 5}), "bad field"),
    ],
)
def test_bad_messages_have_a_constant_kind(payload: bytes, problem: str) -> None:
    codec = started()
    assert kind(codec.decode(True, payload)) == problem
    assert decode(codec, media()) == AUDIO


@pytest.mark.parametrize("event", ["media", "dtmf", "mark", "stop"])
def test_messages_of_another_stream(event: str) -> None:
    message = {**media(stream="other"), "event": event}
    assert kind(decode(started(), message)) == "wrong stream"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("100002", "refused: unknown error"),
        ("100003", "refused: malformed frame"),
        (100004, "refused: invalid media"),
        ("100005", "refused: rate limit reached"),
        ("999999", "refused: unknown error"),
        (None, "refused: unknown error"),
        ("9" * 500, "refused: unknown error"),
    ],
)
def test_what_telnyx_refuses_is_counted_and_the_stream_goes_on(code: Any, problem: str) -> None:
    codec = started()
    message = {"event": "error", "payload": {"code": code, "title": "t", "detail": "d"}, "stream_id": STREAM}
    event = decode(codec, message)
    assert kind(event) == problem
    assert len(repr(event)) < 100
    assert decode(codec, media()) == AUDIO


def test_binary_messages_are_bad_even_if_they_read_like_text() -> None:
    assert kind(started().decode(False, wire(media()))) == "binary message"


def test_the_limit_of_a_message() -> None:
    codec = started(max_message=700)
    assert decode(codec, media(AUDIO, "1")) == AUDIO
    assert kind(codec.decode(True, wire(media(bytes(1000), "2")))) == "message too long"


def test_unknown_events_and_keys_are_harmless() -> None:
    codec = started()
    assert decode(codec, {"event": "weather", "stream_id": STREAM}) == Ignored("unknown event")
    assert decode(codec, {**media(), "novelty": {"deep": [1, None]}}) == AUDIO


def test_a_problem_never_quotes_a_digit() -> None:
    assert "8642" not in repr(decode(started(), {"event": "dtmf", "dtmf": {"digit": "8642"}}))
    assert "7" not in repr(decode(started(), {"event": "dtmf", "dtmf": {"digit": "7"}}))


# --- nothing raises -----------------------------------------------------------------------------------------------

REAL = [
    wire(start()),
    wire(media()),
    wire(by_name(media())),
    wire(media(b"")),
    wire({"event": "mark", "stream_id": STREAM, "mark": {"name": "m"}}),
    wire({"event": "dtmf", "stream_id": STREAM, "dtmf": {"digit": "1"}}),
    wire({"event": "error", "stream_id": STREAM, "payload": {"code": "100003"}}),
    wire({"event": "stop", "stream_id": STREAM}),
]
EVENTS = (bytes, StreamStarted, MarkEchoed, DtmfPressed, StreamStopped, Ignored, BadMessage)
SETTINGS = st.sampled_from([{}, {"codec": "PCMA"}, {"codec": "L16"}, {"codec": "L16", "byte_order": "little"}])


@given(st.booleans(), st.booleans(), st.binary(max_size=300), SETTINGS)
def test_random_bytes_never_raise(ready: bool, text: bool, payload: bytes, settings: Any) -> None:
    codec = started(**settings) if ready else TelnyxCodec(**settings)
    assert isinstance(codec.decode(text, payload), EVENTS)


@given(st.booleans(), st.sampled_from(REAL), st.data(), SETTINGS)
def test_damaged_messages_never_raise(ready: bool, message: bytes, data: st.DataObject, settings: Any) -> None:
    codec = started(**settings) if ready else TelnyxCodec(**settings)
    at = data.draw(st.integers(0, len(message)))
    cut = data.draw(st.integers(0, 12))
    damaged = message[:at] + data.draw(st.binary(max_size=8)) + message[at + cut :]
    assert isinstance(codec.decode(True, damaged), EVENTS)


FIELDS = ["stream_id", "call_control_id", "media_format", "custom_parameters", "payload", "track", "chunk", "name"]
FIELDS += ["digit", "code"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.booleans(),
    st.sampled_from(["start", "media", "mark", "dtmf", "stop", "connected", "error"]),
    st.sampled_from(
        [
            "stream_id",
            "call_control_id",
            "media_format",
            "custom_parameters",
            "payload",
            "track",
            "chunk",
            "name",
            "digit",
            "code",
        ]
    ),
    JSON,
)
def test_wrong_types_in_any_field_never_raise(ready: bool, event: str, field: str, value: Any) -> None:
    codec = started() if ready else TelnyxCodec()
    body = {**start()["start"], **media()["media"], "name": "m", "digit": "1", field: value}
    for message in (
        {"event": event, event: body, "payload": body, "stream_id": STREAM},
        {"event": event, event: value, "payload": value, "stream_id": value},
        {"event": value},
    ):
        assert isinstance(codec.decode(True, json.dumps(message).encode()), EVENTS)


@given(st.sampled_from([media(AUDIO, "2"), by_name(media(b"\x00", "2"))]), st.integers(0, 400), st.integers(0, 255))
def test_the_short_way_says_what_the_parser_says(message: Any, at: int, byte: int) -> None:
    """A changed byte anywhere: the codec, which may take its short way, agrees with one that cannot."""
    short, long = started(), started()
    first = wire(media(AUDIO, "1") if list(message)[1] == "sequence_number" else by_name(media(AUDIO, "1")))
    for codec in (short, long):
        assert codec.decode(True, first) == AUDIO
    damaged = bytearray(wire(message))
    damaged[at % len(damaged)] = byte
    longer = bytes(damaged) + b" "  # a blank behind: the same JSON, but never the short way
    assert short.decode(True, bytes(damaged)) == long.decode(True, longer)
