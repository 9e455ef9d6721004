"""Twilio's forms and the TwiML that answers them."""

from __future__ import annotations

from itertools import permutations
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.carriers.twilio.webhooks import (
    CallStatus,
    CallStatusUpdate,
    WebhookError,
    call_status_update,
    check_call_id,
    inbound_call,
    parse_webhook,
    reject_twiml,
    say_and_hangup_twiml,
    stream_twiml,
)
from callengine.errors import ConfigurationError

CALL = "CA00000000000000000000000000000002"
VOICE = {
    "CallSid": CALL,
    "AccountSid": "AC00000000000000000000000000000001",
    "From": "+15005550001",
    "To": "+15005550002",
    "CallStatus": "ringing",
    "Direction": "inbound",
    "FromCity": "",
}


# --- forms --------------------------------------------------------------------------------------------------------


def test_an_inbound_call() -> None:
    call = inbound_call(parse_webhook(urlencode(VOICE).encode()))

    assert (call.call_id, call.caller, call.callee) == (CALL, "+15005550001", "+15005550002")
    assert call.parameters == VOICE


def test_a_withheld_number_is_a_caller_too() -> None:
    assert inbound_call({**VOICE, "From": "anonymous"}).caller == "anonymous"


def test_numbers_do_not_appear_in_the_repr() -> None:
    assert "1500555" not in repr(inbound_call(VOICE))


@pytest.mark.parametrize("name", ["CallSid", "From", "To"])
def test_a_form_without_what_a_call_needs(name: str) -> None:
    form = {key: value for key, value in VOICE.items() if key != name}
    with pytest.raises(WebhookError, match=name):
        inbound_call(form)


def test_a_body_that_is_no_form() -> None:
    with pytest.raises(WebhookError, match="not a form"):
        parse_webhook(b"CallSid=%FF")


@pytest.mark.parametrize(
    "value",
    ["", "CA123", "ca" + "0" * 32, "CA" + "g" * 32, "CA" + "0" * 33, f"{CALL}\n", "../" + "0" * 31, "CA" + "٠" * 32],
)
def test_the_shape_of_a_call_id(value: str) -> None:
    assert check_call_id(CALL) == CALL
    with pytest.raises(WebhookError):
        check_call_id(value)


def status(status: str, sequence: str, **more: str) -> CallStatusUpdate:
    return call_status_update({**VOICE, "CallStatus": status, "SequenceNumber": sequence, **more})


def test_a_final_status_says_how_it_went() -> None:
    update = status("completed", "3", CallDuration="17", SipResponseCode="200")
    assert update == CallStatusUpdate(CALL, "completed", 3, duration=17, sip_code=200)
    assert update.final
    assert not status("in-progress", "2", CallDuration="").final


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"CallStatus": "dancing", "SequenceNumber": "0"}, "CallStatus"),
        ({"CallStatus": "ringing"}, "SequenceNumber"),
        ({"CallStatus": "ringing", "SequenceNumber": "-1"}, "SequenceNumber"),
        ({"CallStatus": "ringing", "SequenceNumber": "²"}, "SequenceNumber"),
        ({"CallStatus": "ringing", "SequenceNumber": "9" * 5000}, "SequenceNumber"),
        ({"CallStatus": "completed", "SequenceNumber": "1", "CallDuration": "long"}, "CallDuration"),
    ],
)
def test_malformed_status_callbacks(form: dict[str, str], problem: str) -> None:
    with pytest.raises(WebhookError, match=problem):
        call_status_update({**VOICE, **form})


def test_deliveries_in_any_order_and_twice_end_alike() -> None:
    events = [status("initiated", "0"), status("ringing", "1"), status("in-progress", "2"), status("completed", "3")]
    for order in permutations(events):
        state = CallStatus()
        for update in (*order, *order):
            state.apply(update)
        assert state.latest == events[-1]


def test_only_news_is_applied_and_nothing_after_a_final_status() -> None:
    state = CallStatus()
    assert state.apply(status("ringing", "1"))
    assert not state.apply(status("ringing", "1"))
    assert not state.apply(status("initiated", "0"))
    assert state.apply(status("busy", "2"))
    assert not state.apply(status("in-progress", "9"))
    assert state.latest is not None
    assert state.latest.status == "busy"


# --- TwiML --------------------------------------------------------------------------------------------------------


def test_a_stream() -> None:
    text = stream_twiml("wss://voice.example.com/media/twilio", {"token": "a&b<c>\"d'"}, "https://v.example.com/after")

    root = ElementTree.fromstring(text)
    connect = root[0]
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?><Response>')
    assert (connect.tag, connect.attrib) == ("Connect", {"action": "https://v.example.com/after"})
    stream = connect[0]
    assert (stream.tag, stream.attrib) == ("Stream", {"url": "wss://voice.example.com/media/twilio"})
    assert [(parameter.tag, parameter.attrib) for parameter in stream] == [
        ("Parameter", {"name": "token", "value": "a&b<c>\"d'"})
    ]


def test_without_action_there_is_none() -> None:
    assert ElementTree.fromstring(stream_twiml("wss://h/p"))[0].attrib == {}


@pytest.mark.parametrize(
    "url", ["wss://h/p?x=1", "wss://h/p#f", "https://h/p", "/media", "wss://", "wss:///p", "wss://h/a b", "ws://h/p"]
)
def test_stream_urls_that_twilio_would_not_connect_to(url: str) -> None:
    with pytest.raises(ConfigurationError, match="wss"):
        stream_twiml(url)


def test_an_unencrypted_stream_only_where_allowed() -> None:
    assert 'url="ws://localhost:8000/m"' in stream_twiml("ws://localhost:8000/m", allow_ws=True)
    with pytest.raises(ConfigurationError):
        stream_twiml("http://localhost:8000/m", allow_ws=True)


def test_the_length_of_a_parameter() -> None:
    stream_twiml("wss://h/p", {"n": "v" * 498})
    for parameters in ({"n": "v" * 499}, {"": "v"}):
        with pytest.raises(ConfigurationError, match="499"):
            stream_twiml("wss://h/p", parameters)


@pytest.mark.parametrize("value", ["\x00", "\x1b", "\ud800", "\uffff"])
def test_parameters_that_xml_cannot_hold(value: str) -> None:
    with pytest.raises(ConfigurationError, match="control characters"):
        stream_twiml("wss://h/p", {"n": value})


@given(st.text(max_size=200))
def test_anything_can_be_said(text: str) -> None:
    root = ElementTree.fromstring(say_and_hangup_twiml(text).encode())
    assert [verb.tag for verb in root] == ["Say", "Hangup"]
    said = root[0].text or ""
    printable = "".join(character for character in text if character.isprintable())
    assert "".join(character for character in said if character.isprintable()) == printable


def test_ends() -> None:
    for twiml, reason in ((reject_twiml(), "rejected"), (reject_twiml("busy"), "busy")):
        verb = ElementTree.fromstring(twiml)[0]
        assert (verb.tag, verb.attrib) == ("Reject", {"reason": reason})
