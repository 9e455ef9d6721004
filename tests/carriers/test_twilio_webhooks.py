"""What Twilio's forms say."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.carriers.twilio.dialect import TWILIO, WEBHOOKS
from callengine.carriers.twilio.webhooks import read_webhook
from callengine.errors import WebhookError
from callengine.telephony import (
    CallProgress,
    CarrierFact,
    GreetingEnded,
    IncomingCall,
    IncomingMessage,
    InstructionsWanted,
    MachineDetection,
    MessageProgress,
    RecordingReady,
    StreamFailed,
    TransferEnded,
    Unremarkable,
    Webhook,
)

CALL = "CA00000000000000000000000000000002"
ACCOUNT = "AC00000000000000000000000000000001"
RECORDING = "RE00000000000000000000000000000007"
MESSAGE = "SM00000000000000000000000000000003"
BASE = {"CallSid": CALL, "AccountSid": ACCOUNT, "From": "+15005550001", "To": "+15005550002"}
VOICE = {**BASE, "CallStatus": "ringing", "Direction": "inbound", "FromCity": ""}


def read(what: str, form: dict[str, str], reference: str | None = "ref") -> tuple[CarrierFact, ...]:
    webhook = Webhook(what=what, reference=reference, body=urlencode(form).encode())
    return read_webhook(webhook, TWILIO, "https://api.twilio.com")


# --- calls --------------------------------------------------------------------------------------------------------


def test_an_incoming_call() -> None:
    [call] = read("voice", VOICE, None)

    assert isinstance(call, IncomingCall)
    assert (call.call_id, call.caller, call.callee) == (CALL, "+15005550001", "+15005550002")
    assert call.parameters == {"AccountSid": ACCOUNT, "CallStatus": "ringing", "Direction": "inbound", "FromCity": ""}
    assert "1500555" not in repr(call)


def test_a_get_has_its_form_in_the_query() -> None:
    query = urlencode(VOICE).encode()
    [call] = read_webhook(Webhook(what="voice", method="GET", query=query, body=b"CallSid=x"), TWILIO, None)
    assert isinstance(call, IncomingCall)
    assert call.call_id == CALL


def test_a_withheld_number_is_a_caller_too() -> None:
    [call] = read("voice", {**VOICE, "From": "anonymous"}, None)
    assert isinstance(call, IncomingCall)
    assert call.caller == "anonymous"


@pytest.mark.parametrize("name", ["CallSid", "From", "To"])
def test_a_form_without_what_a_call_needs(name: str) -> None:
    with pytest.raises(WebhookError, match=name):
        read("voice", {key: value for key, value in VOICE.items() if key != name})


@pytest.mark.parametrize(
    "value",
    ["", "CA123", "ca" + "0" * 32, "CA" + "g" * 32, "CA" + "0" * 33, f"{CALL}\n", "../" + "0" * 31, "CA" + "٠" * 32],
)
@pytest.mark.parametrize("what", ["voice", "status", "amd", "stream", "transfer", "instructions", "recording"])
def test_a_call_id_that_is_none_gets_nowhere(what: str, value: str) -> None:
    form = {**VOICE, "AnsweredBy": "human", "StreamEvent": "stream-error", "DialCallStatus": "busy"}
    with pytest.raises(WebhookError, match="CallSid"):
        read(what, {**form, "RecordingStatus": "completed", "CallSid": value})


def test_a_leg_that_asks_what_to_do() -> None:
    assert read("instructions", VOICE) == (InstructionsWanted(CALL, "ref"),)


@pytest.mark.parametrize("what", ["instructions", "transfer"])
def test_what_is_asked_for_with_a_reference_does_not_come_without(what: str) -> None:
    with pytest.raises(WebhookError, match="reference"):
        read(what, {**VOICE, "DialCallStatus": "busy"}, None)


# --- progress -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "progress", "final"),
    [
        ("queued", "queued", False),
        ("initiated", "queued", False),
        ("ringing", "ringing", False),
        ("in-progress", "answered", False),
        ("completed", "completed", True),
        ("busy", "busy", True),
        ("no-answer", "no answer", True),
        ("failed", "failed", True),
        ("canceled", "canceled", True),
    ],
)
def test_how_far_a_call_is(status: str, progress: Any, final: bool) -> None:
    [fact] = read("status", {**BASE, "CallStatus": status, "SequenceNumber": "2"})
    assert fact == CallProgress(call_id=CALL, progress=progress, reference="ref", order=2, reason=status)
    assert fact.final is final


def test_a_final_status_says_how_it_went() -> None:
    form = {**BASE, "CallStatus": "busy", "SequenceNumber": "3", "CallDuration": "17", "SipResponseCode": "486"}
    [fact] = read("status", form, None)
    assert fact == CallProgress(call_id=CALL, progress="busy", order=3, reason="busy", sip_code=486, duration=17)


def test_a_status_without_a_number_in_line_is_one_too() -> None:
    [fact] = read("status", {**BASE, "CallStatus": "completed", "CallDuration": ""}, None)
    assert fact == CallProgress(call_id=CALL, progress="completed", reason="completed")


def test_a_final_status_repeats_who_answered() -> None:
    form = {**BASE, "CallStatus": "completed", "AnsweredBy": "machine_end_beep"}
    assert read("status", form)[0] == MachineDetection(CALL, "machine", "ref")
    assert len(read("status", {**form, "CallStatus": "in-progress"})) == 1
    assert len(read("status", {**form, "AnsweredBy": ""})) == 1


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"CallStatus": "dancing", "SequenceNumber": "0"}, "CallStatus"),
        ({"SequenceNumber": "0"}, "CallStatus"),
        ({"CallStatus": "ringing", "SequenceNumber": "-1"}, "SequenceNumber"),
        ({"CallStatus": "ringing", "SequenceNumber": "²"}, "SequenceNumber"),
        ({"CallStatus": "ringing", "SequenceNumber": "9" * 5000}, "SequenceNumber"),
        ({"CallStatus": "completed", "CallDuration": "long"}, "CallDuration"),
        ({"CallStatus": "completed", "SipResponseCode": "4e2"}, "SipResponseCode"),
    ],
)
def test_malformed_status_callbacks(form: dict[str, str], problem: str) -> None:
    with pytest.raises(WebhookError, match=problem):
        read("status", {**BASE, **form})


# --- machines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [("human", "human"), ("machine_start", "machine"), ("fax", "fax"), ("unknown", "unknown"), ("novelty", "unknown")],
)
def test_who_answered(verdict: str, kind: Any) -> None:
    form = {"CallSid": CALL, "AccountSid": ACCOUNT, "AnsweredBy": verdict, "MachineDetectionDuration": "2100"}
    assert read("amd", form) == (MachineDetection(CALL, kind, "ref"),)


@pytest.mark.parametrize(
    ("verdict", "beep"), [("machine_end_beep", True), ("machine_end_silence", False), ("machine_end_other", False)]
)
def test_the_end_of_a_greeting_says_that_it_is_a_machine_too(verdict: str, beep: bool) -> None:
    facts = read("amd", {"CallSid": CALL, "AnsweredBy": verdict})
    assert facts == (MachineDetection(CALL, "machine", "ref"), GreetingEnded(CALL, beep, "ref"))


# --- transfers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("completed", "completed"),
        ("answered", "completed"),
        ("busy", "busy"),
        ("no-answer", "no answer"),
        ("failed", "failed"),
        ("canceled", "canceled"),
    ],
)
def test_what_became_of_a_transfer(status: str, result: Any) -> None:
    form = {**BASE, "CallStatus": "in-progress", "DialCallStatus": status}
    assert read("transfer", form) == (TransferEnded(CALL, "ref", result, status, True),)


def test_nothing_waits_where_the_caller_is_gone_too() -> None:
    form = {**BASE, "CallStatus": "completed", "DialCallStatus": "no-answer"}
    assert read("transfer", form) == (TransferEnded(CALL, "ref", "no answer", "no-answer", False),)


@pytest.mark.parametrize(
    ("status", "accepted", "notified", "result", "reason"),
    [
        ("completed", "202", "200", "completed", "SIP 200"),
        ("in-progress", "202", None, "completed", "SIP 202"),
        ("novelty", "202", None, "completed", "SIP 202"),
        ("completed", "202", "486", "failed", "SIP 486"),
        ("busy", "202", "486", "busy", "SIP 486"),
        ("no-answer", "202", "408", "no answer", "SIP 408"),
        ("failed", "405", None, "failed", "SIP 405"),
        ("completed", None, None, "completed", "SIP completed"),
        ("novelty", None, None, "failed", "SIP novelty"),
    ],
)
def test_what_became_of_a_referral(
    status: str, accepted: str | None, notified: str | None, result: Any, reason: str
) -> None:
    codes = {"ReferSipResponseCode": accepted, "NotifySipResponseCode": notified}
    form = {**BASE, "CallStatus": "in-progress", "ReferCallStatus": status}
    form |= {name: code for name, code in codes.items() if code is not None}
    assert read("transfer", form) == (TransferEnded(CALL, "ref", result, reason, True),)


@pytest.mark.parametrize("form", [{}, {"DialCallStatus": "dancing"}])
def test_transfers_that_say_nothing(form: dict[str, str]) -> None:
    with pytest.raises(WebhookError, match="CallStatus"):
        read("transfer", {**BASE, **form})


# --- streams ------------------------------------------------------------------------------------------------------


def test_a_stream_that_failed_does_not_tell_its_token() -> None:
    error = "31920 - handshake to wss://voice.example.com/twilio/media/s3cret failed\r\nfor +15005550001"
    [fact] = read("stream", {"CallSid": CALL, "StreamEvent": "stream-error", "StreamError": error})
    assert fact == StreamFailed(CALL, "31920 - handshake to (URL) failed for +•••0001", "ref")


def test_other_stream_events() -> None:
    for event in ("stream-started", "stream-stopped"):
        [fact] = read("stream", {"CallSid": CALL, "StreamEvent": event})
        assert isinstance(fact, Unremarkable)
    [fact] = read("stream", {"CallSid": CALL, "StreamEvent": "stream-error"})
    assert fact == StreamFailed(CALL, "stream-error", "ref")


# --- recordings ---------------------------------------------------------------------------------------------------

RECORDED = {
    "CallSid": CALL,
    "AccountSid": ACCOUNT,
    "RecordingSid": RECORDING,
    "RecordingUrl": f"https://evil.example.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/{RECORDING}",
    "RecordingStatus": "completed",
    "RecordingDuration": "12",
    "RecordingChannels": "2",
}


def test_a_recording_is_fetched_from_the_api_and_nowhere_else() -> None:
    [fact] = read("recording", RECORDED)
    url = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/{RECORDING}.wav?RequestedChannels=2"
    assert fact == RecordingReady(call_id=CALL, recording_id=RECORDING, url=url, duration=12)


def test_a_recording_of_one_channel() -> None:
    [fact] = read("recording", {**RECORDED, "RecordingChannels": "1"})
    assert isinstance(fact, RecordingReady)
    assert fact.url.endswith(f"{RECORDING}.wav")


@pytest.mark.parametrize(
    ("status", "more", "reason"),
    [
        ("absent", {"ErrorCode": "16101"}, "the recording is empty (16101)"),
        ("absent", {}, "the recording is empty"),
        ("failed", {"ErrorCode": "0"}, "the recording failed"),
    ],
)
def test_there_may_be_no_recording(status: str, more: dict[str, str], reason: str) -> None:
    [fact] = read("recording", {**RECORDED, "RecordingStatus": status, **more})
    assert fact == RecordingReady(call_id=CALL, recording_id=RECORDING, url="", failed=reason)


def test_a_recording_that_goes_on() -> None:
    assert read("recording", {**RECORDED, "RecordingStatus": "in-progress"}) == (Unremarkable("recording in-progress"),)


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"RecordingSid": "../Calls"}, "RecordingSid"),
        ({"AccountSid": "../" + "0" * 31}, "AccountSid"),
        ({"RecordingStatus": "dancing"}, "RecordingStatus"),
    ],
)
def test_malformed_recordings(form: dict[str, str], problem: str) -> None:
    with pytest.raises(WebhookError, match=problem):
        read("recording", {**RECORDED, **form})


# --- messages -----------------------------------------------------------------------------------------------------

TEXT = {"MessageSid": MESSAGE, "From": "+15005550001", "To": "+15005550002", "Body": "Olá ✓", "NumMedia": "0"}


def test_an_incoming_message() -> None:
    [message] = read("message", TEXT, None)
    assert message == IncomingMessage(message_id=MESSAGE, sender="+15005550001", recipient="+15005550002", text="Olá ✓")
    assert "1500555" not in repr(message)
    assert "Olá" not in repr(message)


def test_a_message_with_pictures_and_no_text() -> None:
    pictures = {"MediaUrl0": "https://api.twilio.com/a", "MediaUrl1": "https://api.twilio.com/b"}
    [message] = read("message", {**TEXT, **pictures, "Body": "", "NumMedia": "2"}, None)
    assert isinstance(message, IncomingMessage)
    assert message.media == tuple(pictures.values())


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"NumMedia": "2", "MediaUrl0": "https://a"}, "MediaUrl1"),
        ({"NumMedia": "many"}, "NumMedia"),
        ({"NumMedia": "999999999"}, "MediaUrl0"),
        ({"MessageSid": "SM1"}, "MessageSid"),
    ],
)
def test_malformed_messages(form: dict[str, str], problem: str) -> None:
    with pytest.raises(WebhookError, match=problem):
        read("message", {**TEXT, **form}, None)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("accepted", "queued"),
        ("scheduled", "queued"),
        ("queued", "queued"),
        ("sending", "queued"),
        ("sent", "sent"),
        ("partially_delivered", "sent"),
        ("delivered", "delivered"),
        ("read", "delivered"),
    ],
)
def test_what_became_of_a_message(status: str, expected: Any) -> None:
    form = {"MessageSid": MESSAGE, "MessageStatus": status, "ErrorCode": "30001"}
    assert read("message-status", form) == (MessageProgress(message_id=MESSAGE, status=expected),)


@pytest.mark.parametrize("status", ["undelivered", "failed", "canceled"])
def test_why_a_message_was_not_delivered(status: str) -> None:
    form = {"MessageSid": MESSAGE, "MessageStatus": status, "ErrorCode": "30003"}
    assert read("message-status", form) == (
        MessageProgress(message_id=MESSAGE, status="failed", reason=f"{status} (30003)"),
    )


def test_a_message_status_that_is_none() -> None:
    with pytest.raises(WebhookError, match="MessageStatus"):
        read("message-status", {"MessageSid": MESSAGE, "MessageStatus": "dancing"})


# --- whatever else comes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"CallSid=%FF", b"\xff", b"&".join([b"a=1"] * 1001)])
def test_a_body_that_is_no_form(body: bytes) -> None:
    with pytest.raises(WebhookError, match="not a form"):
        read_webhook(Webhook(what="voice", body=body), TWILIO, None)


def test_a_webhook_that_there_is_not() -> None:
    with pytest.raises(WebhookError):
        read("dance", VOICE)


FIELDS = sorted(
    {*VOICE, *RECORDED, *TEXT, "SequenceNumber", "CallDuration", "SipResponseCode", "AnsweredBy", "DialCallStatus"}
    | {"ReferCallStatus", "NotifySipResponseCode", "StreamEvent", "StreamError", "MessageStatus", "ErrorCode"}
)
VALUES = st.text(max_size=20) | st.sampled_from(
    ["", "completed", "in-progress", "stream-error", "machine_end_beep", "busy", "2", "delivered", CALL, MESSAGE]
)


@given(st.sampled_from(sorted(WEBHOOKS)), st.dictionaries(st.sampled_from(FIELDS), VALUES), st.booleans())
def test_any_form_is_understood_or_refused_without_a_quote(what: str, changes: dict[str, str], named: bool) -> None:
    complaint = ""
    try:
        assert read(what, {**VOICE, **RECORDED, **TEXT, **changes}, "ref" if named else None)
    except WebhookError as error:
        complaint = str(error)
    assert not [value for value in changes.values() if len(value) > 3 and value in complaint]


@given(st.sampled_from(sorted(WEBHOOKS)), st.sampled_from(["GET", "POST", "PUT"]), st.binary(max_size=200))
def test_any_bytes_are_understood_or_refused(what: str, method: str, body: bytes) -> None:
    with pytest.raises(WebhookError):
        read_webhook(Webhook(what=what, method=method, query=body, body=body), TWILIO, None)
