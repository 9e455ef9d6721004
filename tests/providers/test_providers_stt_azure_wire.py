"""Azure's protocol, without I/O."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.providers.stt.azure_dialect import CLOSES, AzureDialect
from callengine.providers.stt.azure_wire import binary_frame, parse, text_frame, wav_header
from callengine.providers.stt.dialect import Finished, Reply, Words
from callengine.wire import Failures

ID = "0c623356f7924352aee9612a531c4a19"
STAMP = "2026-11-21T19:30:00.000Z"


def dialect(rate: int = 8000) -> AzureDialect:
    ids = iter([ID, *(f"{number:032x}" for number in range(1, 100))])
    settings = {"speech.config": {"context": {}}, "speech.context": {}}
    failures = Failures("azure", "k", closes=CLOSES)
    return AzureDialect(settings, rate, failures, model="", new_id=lambda: next(ids), timestamp=lambda: STAMP)


def said(path: str, body: object, request_id: str = f"{1:032x}") -> str:
    return f"X-RequestId:{request_id}\r\nContent-Type:application/json\r\nPath:{path}\r\n\r\n{json.dumps(body)}"


def test_the_first_message_byte_for_byte():
    assert list(dialect().opening()) == [
        f"Path: speech.config\r\nX-RequestId: {ID}\r\nX-Timestamp: {STAMP}\r\nContent-Type: application/json\r\n\r\n"
        '{"context":{}}'
    ]


def test_a_turns_messages_byte_for_byte():
    # given
    ours = dialect()
    ours.opening()
    assert ours.start() == ()
    # when
    context, header, audio = ours.audio(np.array([1, -2], np.int16))
    (end,) = ours.end()
    # then
    lines = f"X-RequestId: {1:032x}\r\nX-Timestamp: {STAMP}\r\n"
    assert context == f"Path: speech.context\r\n{lines}Content-Type: application/json\r\n\r\n{{}}"
    plain = f"Path: audio\r\n{lines}".encode()
    wav = plain + b"Content-Type: audio/x-wav\r\n"
    assert header == struct.pack(">H", len(wav)) + wav + wav_header(8000)
    assert audio == struct.pack(">H", len(plain)) + plain + b"\x01\x00\xfe\xff"
    assert end == struct.pack(">H", len(plain)) + plain


def test_the_wav_header():
    assert wav_header(8000) == bytes.fromhex(
        "52494646 00000000 57415645 666d7420 10000000 0100 0100 401f0000 803e0000 0200 1000 64617461 00000000"
    )


@pytest.mark.parametrize(
    ("path", "body", "heard"),
    [
        ("turn.start", {"context": {"serviceTag": "7B33613B91714B32817815DC89633AFA"}}, []),
        ("speech.startDetected", {"Offset": 700000}, []),
        (
            "speech.hypothesis",
            {"Id": "..", "Text": "i need a", "Offset": 700000, "Duration": 5400000, "Channel": 0},
            [Words("i need a", False, of=0)],
        ),
        ("Speech.Fragment", {"Text": "i need"}, [Words("i need", False, of=0)]),
        (
            "speech.phrase",
            {"RecognitionStatus": "Success", "DisplayText": "I need a refund.", "Offset": 700000, "Duration": 12300000},
            [Words("I need a refund.", True, of=0)],
        ),
        (
            "speech.phrase",
            {"RecognitionStatus": "Success", "NBest": [{"Confidence": 0.93, "Display": "I need a refund."}]},
            [Words("I need a refund.", True, of=0)],
        ),
        ("speech.phrase", {"RecognitionStatus": "NoMatch"}, [Words("", True, of=0)]),
        ("speech.phrase", {"RecognitionStatus": "InitialSilenceTimeout"}, [Words("", True, of=0)]),
        ("speech.phrase", {"RecognitionStatus": "BabbleTimeout"}, [Words("", True, of=0)]),
        ("speech.phrase", {"RecognitionStatus": "EndOfDictation"}, [Words("", True, of=0)]),
        ("speech.phrase", {"RecognitionStatus": "Success", "NBest": 7}, [Words("", True, of=0)]),
        ("speech.phrase", {"RecognitionStatus": {}}, [Words("", True, of=0)]),
        ("speech.hypothesis", {"Text": None}, []),
        ("speech.hypothesis", [], []),
        ("something.new", {}, []),
    ],
)
def test_frames(path, body, heard):
    ours = dialect()
    ours.opening()
    ours.start()
    ours.audio(np.zeros(800, np.int16))
    assert list(ours.feed(said(path, body))) == heard
    assert list(ours.feed(said(path, body, ID))) == []  # of no turn of ours


def test_what_was_not_understood_of_a_turn_is_sent_again_in_the_next():
    # given two seconds of audio, of which the service understood the first 1.23 and 0.07 s
    ours = dialect()
    ours.opening()
    ours.start()
    ours.audio(np.arange(16000, dtype=np.int16))
    phrase = {"RecognitionStatus": "Success", "DisplayText": "I.", "Offset": 700000, "Duration": 12300000}
    ours.feed(said("speech.phrase", phrase))
    # when
    (reply,) = ours.feed(said("turn.end", {}))
    # then
    assert isinstance(reply, Reply)
    context, header, audio = [parse(message) for message in reply.messages]
    assert (context.path, context.request_id) == ("speech.context", f"{2:032x}")
    assert header.headers["content-type"] == "audio/x-wav"
    assert audio.body == np.arange(10400, 16000, dtype="<i2").tobytes()
    # and its end is that of the utterance
    (end,) = ours.end()
    assert parse(end).request_id == f"{2:032x}"
    assert list(ours.feed(said("turn.end", {}, f"{2:032x}"))) == [Finished(of=0)]


def test_a_turn_that_begins_before_the_last_is_over_waits():
    ours = dialect()
    ours.opening()
    for _ in range(3):
        ours.start()
        first = ours.audio(np.zeros(800, np.int16))
        ours.end()
    assert first == ()
    finished, reply = ours.feed(said("turn.end", {}))
    assert finished == Finished(of=0)
    assert [parse(message).path for message in reply.messages] == ["speech.context", "audio", "audio", "audio"]
    finished, reply = ours.feed(said("turn.end", {}, f"{2:032x}"))
    assert (finished, len(reply.messages)) == (Finished(of=1), 4)
    assert list(ours.feed(said("turn.end", {}, f"{3:032x}"))) == [Finished(of=2)]


@given(st.one_of(st.binary(), st.text()))
def test_anything_may_come(message):
    ours = dialect()
    ours.start()
    ours.audio(np.zeros(800, np.int16))
    assert list(ours.feed(message)) == []


def test_frames_there_and_back():
    headers = {"Path": "audio", "X-RequestId": ID}
    for frame in (parse(text_frame(headers, '{"a":1}')), parse(binary_frame(headers, b'{"a":1}'))):
        assert (frame.path, frame.request_id, frame.json) == ("audio", ID, {"a": 1})
    assert parse(b"") is None
    assert parse(b"\xff\xffshort") is None
    assert parse("no headers") is None
