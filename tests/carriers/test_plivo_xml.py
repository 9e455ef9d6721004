"""The XML that Plivo's legs follow."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.carriers.plivo import Plivo, PlivoCodec, extra_headers
from callengine.errors import ConfigurationError, NotSupported
from callengine.telephony import (
    CallbackUrls,
    ConnectStream,
    DialTarget,
    Instruction,
    JoinRoom,
    ReferTo,
    Refuse,
    Webhook,
)

URLS = CallbackUrls("https://voice.example.com/plivo", "ref1")
STREAM_URL = "wss://voice.example.com/plivo/media/token-1"


def answer(
    instruction: Instruction | None, what: str = "instructions", urls: CallbackUrls | None = URLS, **settings: Any
) -> ElementTree.Element:
    """The document that a webhook of this kind is answered with."""
    said = Plivo(auth_token="secret", **settings).answer(Webhook(what=what, reference="ref1"), instruction, urls)
    assert (said.status, said.media_type) == (200, "application/xml")
    root = ElementTree.fromstring(said.body)
    assert root.tag == "Response"
    return root


def only(root: ElementTree.Element) -> ElementTree.Element:
    [element] = root
    return element


# --- streams ------------------------------------------------------------------------------------------------------


def test_a_stream_is_bidirectional_keeps_the_call_and_names_its_format() -> None:
    stream = only(answer(ConnectStream(STREAM_URL), "voice"))

    assert stream.tag == "Stream"
    assert stream.text == STREAM_URL
    assert stream.attrib == {
        "bidirectional": "true",
        "keepCallAlive": "true",
        "audioTrack": "inbound",
        "contentType": "audio/x-mulaw;rate=8000",
        "streamTimeout": "86400",
        "statusCallbackUrl": "https://voice.example.com/plivo/stream/ref1",
        "statusCallbackMethod": "POST",
    }


def test_the_content_type_is_a_setting() -> None:
    stream = only(answer(ConnectStream(STREAM_URL), content_type="audio/x-l16;rate=16000"))
    assert stream.get("contentType") == "audio/x-l16;rate=16000"


def test_a_stream_without_callbacks_has_none() -> None:
    assert "statusCallbackUrl" not in only(answer(ConnectStream(STREAM_URL), urls=None)).attrib


@pytest.mark.parametrize("url", ["http://voice.example.com/x", "wss://", "wss://a b/", "wss://host/x#part", ""])
def test_a_stream_to_nowhere_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="wss://"):
        answer(ConnectStream(url))


def test_custom_parameters_come_back_as_they_were() -> None:
    """Custom data reach the call on every carrier: here numbers, accents and separators too."""
    parameters = {"caller": "+15005550001", "tenant": "acme", "naïve=key": "a,b;c=d", "empty": "", "hex": "0x41"}
    text = only(answer(ConnectStream(STREAM_URL, parameters))).get("extraHeaders", "")

    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=,")
    assert "tenant=acme" in text
    assert extra_headers.read(text) == parameters


@given(st.dictionaries(st.text(min_size=1, max_size=10), st.text(max_size=10), max_size=5))
def test_any_short_parameters_come_back(parameters: dict[str, str]) -> None:
    clean = {
        name.encode("utf-8", "replace").decode(): value.encode("utf-8", "replace").decode()
        for name, value in parameters.items()
    }
    assert extra_headers.read(extra_headers.write(clean)) == clean


def test_too_many_parameters_are_refused_with_a_remedy() -> None:
    fits = {"k": "v" * (512 - 2)}
    assert len(only(answer(ConnectStream(STREAM_URL, fits))).get("extraHeaders", "")) == 512
    with pytest.raises(ConfigurationError, match="512"):
        answer(ConnectStream(STREAM_URL, {"k": "v" * 511}))
    with pytest.raises(ConfigurationError, match="name"):
        answer(ConnectStream(STREAM_URL, {"": "v"}))


def test_the_codec_is_told_the_format_that_the_stream_is_asked_for() -> None:
    codec = Plivo(content_type="audio/x-l16;rate=8000").codec()
    assert isinstance(codec, PlivoCodec)
    codec.decode(True, b'{"event":"start","start":{"callId":"c","streamId":"s"}}')
    assert b'"contentType":"audio/x-l16","sampleRate":8000' in codec.media(b"\0\0")


# --- transfers ----------------------------------------------------------------------------------------------------


def test_a_cold_transfer_rings_the_number_and_says_how_it_ended() -> None:
    dial = only(answer(DialTarget("+15005550003", caller_id="+15005550002", timeout=25)))

    assert dial.tag == "Dial"
    assert dial.attrib == {
        "callerId": "15005550002",
        "timeout": "25",
        "action": "https://voice.example.com/plivo/transfer/ref1",
        "method": "POST",
    }
    assert [(child.tag, child.text) for child in dial] == [("Number", "15005550003")]


def test_a_cold_transfer_to_a_sip_address() -> None:
    dial = only(answer(DialTarget("sip:desk@pbx.example.com", caller_id="+15005550002")))
    assert [(child.tag, child.text) for child in dial] == [("User", "sip:desk@pbx.example.com")]


@pytest.mark.parametrize("target", ["", "desk", "+1500555000200000", "sip:", "sip:a b", "15005550003<15005550004"])
def test_a_target_that_is_no_address_is_refused_without_quoting_it(target: str) -> None:
    with pytest.raises(ConfigurationError, match="target") as raised:
        answer(DialTarget(target, caller_id="+15005550002"))
    assert "1500555000" not in str(raised.value)


def test_a_room_is_for_two_without_music_and_ends_with_either() -> None:
    conference = only(answer(JoinRoom("room-1")))

    assert (conference.tag, conference.text) == ("Conference", "room-1")
    assert conference.attrib == {
        "startConferenceOnEnter": "true",
        "endConferenceOnExit": "true",
        "maxMembers": "2",
        "enterSound": "",
        "exitSound": "",
    }


@pytest.mark.parametrize("room", ["", "a b", "a/b", "r" * 81])
def test_a_room_has_a_plain_name(room: str) -> None:
    with pytest.raises(ConfigurationError, match="room"):
        answer(JoinRoom(room))


def test_a_refer_is_not_supported() -> None:
    with pytest.raises(NotSupported, match="REFER"):
        answer(ReferTo("sip:desk@pbx.example.com"))


# --- refusals, and nothing -----------------------------------------------------------------------------------------


def test_a_refused_caller_hears_busy() -> None:
    hangup = only(answer(Refuse(), "voice"))
    assert (hangup.tag, hangup.attrib) == ("Hangup", {"reason": "busy"})


@pytest.mark.parametrize("what", ["instructions", "transfer"])
def test_a_leg_that_was_answered_cannot_be_busy(what: str) -> None:
    hangup = only(answer(Refuse(), what))
    assert (hangup.tag, hangup.attrib) == ("Hangup", {})


def test_a_refusal_in_words() -> None:
    root = answer(Refuse("Wir haben <geschlossen> & \x00ruhen."), "voice")
    assert [(child.tag, child.text, child.attrib) for child in root] == [
        ("Speak", "Wir haben <geschlossen> & ruhen.", {}),
        ("Hangup", None, {}),
    ]


@pytest.mark.parametrize("what", ["voice", "instructions", "transfer"])
def test_without_an_instruction_the_leg_ends(what: str) -> None:
    assert only(answer(None, what)).tag == "Hangup"


@pytest.mark.parametrize("what", ["status", "amd", "stream", "recording", "message", "message-status"])
def test_other_callbacks_are_answered_with_an_empty_document(what: str) -> None:
    assert len(answer(None, what)) == 0


def test_what_xml_cannot_hold_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="control characters"):
        answer(ConnectStream(STREAM_URL), urls=CallbackUrls("https://voice.example.com/\x01", "ref1"))
