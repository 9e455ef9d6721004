"""The TwiML that legs are given."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.carriers.twilio.answers import answer
from callengine.carriers.twilio.twiml import NOTHING, twiml
from callengine.errors import ConfigurationError
from callengine.telephony import (
    CallbackUrls,
    ConnectStream,
    DialTarget,
    Instruction,
    JoinRoom,
    ReferTo,
    Refuse,
    Webhook,
    WebhookAnswer,
)

URLS = CallbackUrls("https://v.example.com/twilio", "r1")
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


def verb(instruction: Instruction, urls: CallbackUrls | None = URLS) -> ElementTree.Element:
    root = ElementTree.fromstring(twiml(instruction, urls))
    assert (root.tag, len(root)) == ("Response", 1)
    return root[0]


# --- streams ------------------------------------------------------------------------------------------------------


def test_a_stream() -> None:
    text = twiml(ConnectStream("wss://v.example.com/twilio/media/t0k", {"tenant": "a&b<c>\"d'"}), URLS)

    assert text.startswith(HEAD + "<Response>")
    [connect] = ElementTree.fromstring(text)
    [stream] = connect
    assert (connect.tag, connect.attrib) == ("Connect", {})
    assert (stream.tag, stream.attrib) == (
        "Stream",
        {
            "url": "wss://v.example.com/twilio/media/t0k",
            "statusCallback": "https://v.example.com/twilio/stream/r1",
        },
    )
    assert [(parameter.tag, parameter.attrib) for parameter in stream] == [
        ("Parameter", {"name": "tenant", "value": "a&b<c>\"d'"})
    ]


def test_a_stream_of_which_nobody_wants_to_hear() -> None:
    assert verb(ConnectStream("wss://h/p"), None)[0].attrib == {"url": "wss://h/p"}


def test_an_unencrypted_stream_for_development() -> None:
    assert verb(ConnectStream("ws://localhost:8000/m"), None)[0].attrib["url"] == "ws://localhost:8000/m"


@pytest.mark.parametrize(
    "url", ["wss://h/s3cret?x=1", "wss://h/p#f", "https://h/p", "/media", "wss://", "wss:///p", "wss://h/a b", ""]
)
def test_stream_urls_that_twilio_would_not_connect_to(url: str) -> None:
    with pytest.raises(ConfigurationError, match="wss") as caught:
        twiml(ConnectStream(url))
    assert "s3cret" not in str(caught.value)


def test_the_length_of_a_parameter() -> None:
    twiml(ConnectStream("wss://h/p", {"n": "v" * 498}))
    for parameters in ({"n": "v" * 499}, {"": "v"}):
        with pytest.raises(ConfigurationError, match="499"):
            twiml(ConnectStream("wss://h/p", parameters))


@pytest.mark.parametrize("value", ["\x00", "\x1b", "\ud800", "\uffff"])
def test_what_xml_cannot_hold(value: str) -> None:
    for instruction in (ConnectStream("wss://h/p", {"n": value}), JoinRoom(value)):
        with pytest.raises(ConfigurationError, match="control characters"):
            twiml(instruction)


# --- other people -------------------------------------------------------------------------------------------------


def test_a_cold_transfer() -> None:
    dial = verb(DialTarget("+15005550009", "+15005550006", 20.2))
    assert (dial.tag, dial.attrib) == (
        "Dial",
        {
            "callerId": "+15005550006",
            "timeout": "21",
            "answerOnBridge": "true",
            "action": "https://v.example.com/twilio/transfer/r1",
        },
    )
    assert [(noun.tag, noun.text) for noun in dial] == [("Number", "+15005550009")]


@pytest.mark.parametrize(("timeout", "expected"), [(0.0, "1"), (30.0, "30"), (900.0, "600")])
def test_how_long_a_target_rings(timeout: float, expected: str) -> None:
    assert verb(DialTarget("+15005550009", "+15005550006", timeout)).attrib["timeout"] == expected


@pytest.mark.parametrize(
    ("to", "noun", "text"),
    [
        ("sip:bob@pbx.example.com?X-A=1&X-B=2", "Sip", "sip:bob@pbx.example.com?X-A=1&X-B=2"),
        ("sips:bob@pbx.example.com", "Sip", "sips:bob@pbx.example.com"),
        ("client:bob", "Client", "bob"),
        ("911", "Number", "911"),
    ],
)
def test_targets_that_are_no_numbers(to: str, noun: str, text: str) -> None:
    target = verb(DialTarget(to, "+15005550006"))[0]
    assert (target.tag, target.text) == (noun, text)


@pytest.mark.parametrize(
    "to", ["", "+1", "+15005550009,+15005550010", "+15005550009</Number>", "https://h", "sip:a b", "tel:+15005550009"]
)
def test_targets_that_are_none(to: str) -> None:
    with pytest.raises(ConfigurationError, match="transfer") as caught:
        twiml(DialTarget(to, "+15005550006"))
    assert "0009" not in str(caught.value)


def test_a_referral() -> None:
    refer = verb(ReferTo("sip:bob@pbx.example.com"))
    assert (refer.tag, refer.attrib) == ("Refer", {"action": "https://v.example.com/twilio/transfer/r1"})
    assert [(noun.tag, noun.text) for noun in refer] == [("Sip", "sip:bob@pbx.example.com")]
    with pytest.raises(ConfigurationError, match="sip:"):
        twiml(ReferTo("+15005550009"))


def test_a_room_for_two_that_ends_with_either() -> None:
    dial = verb(JoinRoom("r<1>"))
    [conference] = dial
    assert (dial.tag, dial.attrib) == ("Dial", {})
    assert (conference.tag, conference.text) == ("Conference", "r<1>")
    assert conference.attrib == {
        "beep": "false",
        "startConferenceOnEnter": "true",
        "endConferenceOnExit": "true",
        "maxParticipants": "2",
    }


# --- refusals -----------------------------------------------------------------------------------------------------


def test_refusals() -> None:
    say = "<Response><Say>Sorry &amp; bye</Say><Hangup /></Response>"
    assert twiml(Refuse()) == HEAD + '<Response><Reject reason="busy" /></Response>'
    assert twiml(Refuse("Sorry & bye")) == HEAD + say
    assert twiml(Refuse("Sorry & bye"), live=True) == HEAD + say


def test_a_live_leg_cannot_be_rejected() -> None:
    assert twiml(Refuse(), live=True) == HEAD + "<Response><Hangup /></Response>"


@given(st.text(max_size=200))
def test_anything_can_be_said(text: str) -> None:
    root = ElementTree.fromstring(twiml(Refuse(text)).encode())
    assert [verb.tag for verb in root] == ["Say", "Hangup"]
    said = root[0].text or ""
    printable = "".join(character for character in text if character.isprintable())
    assert "".join(character for character in said if character.isprintable()) == printable


# --- answers ------------------------------------------------------------------------------------------------------


def test_only_legs_that_wait_are_told_what_to_do() -> None:
    stream = ConnectStream("wss://h/p")
    for what in ("voice", "instructions", "transfer"):
        assert answer(Webhook(what=what), stream, URLS) == WebhookAnswer(200, twiml(stream, URLS), "text/xml")
    for what in ("status", "amd", "stream", "recording", "message-status"):
        assert answer(Webhook(what=what), None, None) == WebhookAnswer(204)


def test_without_an_instruction_a_call_is_not_taken_and_a_leg_is_hung_up() -> None:
    assert answer(Webhook(what="voice"), None, None).body == twiml(Refuse())
    for what in ("instructions", "transfer"):
        assert answer(Webhook(what=what), None, None).body == twiml(Refuse(), live=True)


def test_a_message_is_taken_without_a_reply() -> None:
    assert answer(Webhook(what="message"), None, None) == WebhookAnswer(200, NOTHING, "text/xml")
