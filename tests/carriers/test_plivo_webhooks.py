"""What Plivo's webhooks say."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.carriers.plivo import Plivo
from callengine.errors import WebhookError
from callengine.telephony import (
    CallProgress,
    CarrierFact,
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

CALL = "f0d8e0c2-1111-2222-3333-444455556666"
RECORDING = "aaaaaaaa-1111-2222-3333-444455556666"
MESSAGE = "bbbbbbbb-1111-2222-3333-444455556666"
PLIVO = Plivo("MA0123456789ABCDEF01", "secret", "+15005550002")


def read(
    what: str, form: dict[str, str], reference: str | None = "ref1", *, method: str = "POST"
) -> tuple[CarrierFact, ...]:
    text = urlencode(form).encode()
    query, body = (text, b"") if method == "GET" else (b"", text)
    return PLIVO.read_webhook(Webhook(what=what, reference=reference, method=method, query=query, body=body))


def call(**fields: str) -> dict[str, str]:
    return {"CallUUID": CALL, "From": "15005550001", "To": "15005550002", "Direction": "inbound", **fields}


# --- calls --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_incoming_call_with_its_numbers_in_e164(method: str) -> None:
    form = call(CallStatus="ringing", Event="StartApp", CallerName="Ada")
    assert read("voice", form, None, method=method) == (IncomingCall(CALL, "+15005550001", "+15005550002", form),)


@pytest.mark.parametrize(
    ("spoken", "meant"),
    [
        ("15005550001", "+15005550001"),
        ("+15005550001", "+15005550001"),
        ("12345678", "+12345678"),
        ("123456789012345", "+123456789012345"),
        ("1234567", "1234567"),
        ("1234567890123456", "1234567890123456"),
        ("anonymous", "anonymous"),
        ("sip:ada@phone.example.com", "sip:ada@phone.example.com"),
        ("", ""),
        ("\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668", "\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668"),
    ],
)
def test_only_what_is_a_number_gets_its_plus(spoken: str, meant: str) -> None:
    [fact] = read("voice", call(From=spoken), None)
    assert isinstance(fact, IncomingCall)
    assert fact.caller == meant


def test_a_dialled_leg_that_asks_for_instructions_was_answered() -> None:
    form = call(Direction="outbound", CallStatus="in-progress", RequestUUID=MESSAGE, Event="StartApp")
    assert read("instructions", form) == (
        CallProgress(call_id=CALL, progress="answered", reference="ref1", order=2.0),
        InstructionsWanted(CALL, "ref1"),
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"Direction": "inbound", "CallStatus": "in-progress"},
        {"Direction": "outbound", "CallStatus": "in-progress", "Event": "Redirect"},
        {"Direction": "outbound", "CallStatus": "ringing"},
    ],
)
def test_a_transferred_leg_only_asks_for_instructions(fields: dict[str, str]) -> None:
    assert read("instructions", call(**fields)) == (InstructionsWanted(CALL, "ref1"),)


@pytest.mark.parametrize(
    ("status", "cause", "progress"),
    [
        ("queued", "", "queued"),
        ("initiated", "", "queued"),
        ("ringing", "", "ringing"),
        ("in-progress", "", "answered"),
        ("completed", "NORMAL_CLEARING", "completed"),
        ("completed", "USER_BUSY", "completed"),
        ("busy", "USER_BUSY", "busy"),
        ("failed", "USER_BUSY", "busy"),
        ("no-answer", "NO_ANSWER", "no answer"),
        ("failed", "NO_ANSWER", "no answer"),
        ("no-answer", "NORMAL_CLEARING", "no answer"),
        ("timeout", "", "no answer"),
        ("cancel", "ORIGINATOR_CANCEL", "canceled"),
        ("no-answer", "ORIGINATOR_CANCEL", "canceled"),
        ("busy", "CALL_REJECTED", "failed"),
        ("failed", "UNALLOCATED_NUMBER", "failed"),
        ("something-new", "NORMAL_CLEARING", "failed"),
    ],
)
def test_statuses_and_causes(status: str, cause: str, progress: str) -> None:
    [fact] = read("status", call(CallStatus=status) | ({"HangupCause": cause} if cause else {}))
    assert isinstance(fact, CallProgress)
    assert (fact.progress, fact.reason, fact.reference) == (progress, cause, "ref1")


def test_the_order_of_a_legs_life_tells_old_deliveries() -> None:
    facts = [read("status", call(CallStatus=status))[0] for status in ("queued", "ringing", "in-progress", "busy")]
    orders = [fact.order for fact in facts if isinstance(fact, CallProgress)]
    assert orders == [0, 1, 2, 3]


def test_a_final_status_has_its_duration_and_a_name_for_its_cause() -> None:
    form = call(CallStatus="completed", Event="Hangup", Duration="61", BillDuration="120", HangupCauseName="Normal")
    assert read("status", form, None) == (
        CallProgress(call_id=CALL, progress="completed", order=3.0, reason="Normal", duration=61.0),
    )
    [ringing] = read("status", call(CallStatus="ringing", Duration="0"))
    assert isinstance(ringing, CallProgress)
    assert ringing.duration is None


@pytest.mark.parametrize("duration", ["-1", "", "1.5", "x", "9" * 13, "\u0661"])
def test_a_strange_duration_does_not_lose_the_end_of_a_call(duration: str) -> None:
    [fact] = read("status", call(CallStatus="completed", Duration=duration))
    assert fact == CallProgress(call_id=CALL, progress="completed", reference="ref1", order=3.0)


def test_an_unknown_status_means_nothing_unless_it_is_the_end() -> None:
    assert read("status", call(CallStatus="humming")) == (Unremarkable("unknown status"),)
    [ended] = read("status", call(CallStatus="humming", Event="Hangup"))
    assert isinstance(ended, CallProgress)
    assert ended.progress == "failed"


def test_a_cause_is_one_line_of_bounded_length() -> None:
    """R76: nothing that a peer sends can start a new line in a log or prompt."""
    [fact] = read("status", call(CallStatus="failed", HangupCause="EVIL\r\n\u2028" + "x" * 500))
    assert isinstance(fact, CallProgress)
    assert fact.reason == "EVIL   " + "x" * 93


# --- what happens to calls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "answered_by"), [("true", "machine"), ("True", "machine"), ("false", "human"), ("maybe", "unknown")]
)
def test_machine_detection(machine: str, answered_by: Any) -> None:
    """R65, A50: the verdict has the reference of the call that was dialled, never another's."""
    form = call(Machine=machine, Event="MachineDetection", CallStatus="in-progress")
    assert read("amd", form, "refA") == (MachineDetection(CALL, answered_by, "refA"),)
    assert read("amd", form, "refB") == (MachineDetection(CALL, answered_by, "refB"),)


def test_a_dropped_stream_is_a_failure_and_the_others_are_not() -> None:
    [dropped] = read("stream", call(Event="DroppedStream", StreamID="s"))
    assert isinstance(dropped, StreamFailed)
    assert (dropped.call_id, dropped.reference) == (CALL, "ref1")
    assert read("stream", call(Event="StartStream")) == (Unremarkable("stream started"),)
    assert read("stream", call(Event="StopStream")) == (Unremarkable("stream stopped"),)
    assert read("stream", call(Event="PlayedStream")) == (Unremarkable("stream event"),)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("completed", "completed"),
        ("busy", "busy"),
        ("failed", "failed"),
        ("timeout", "no answer"),
        ("no-answer", "no answer"),
        ("cancel", "canceled"),
        ("ringing", "failed"),
        ("", "failed"),
    ],
)
def test_the_end_of_a_transfer(status: str, result: Any) -> None:
    form = call(CallStatus="in-progress", DialStatus=status, DialHangupCause="SOME_CAUSE", DialBLegUUID="")
    assert read("transfer", form) == (TransferEnded(CALL, "ref1", result, "SOME_CAUSE", True),)


def test_a_caller_who_hung_up_during_the_transfer_waits_for_nothing() -> None:
    [fact] = read("transfer", call(CallStatus="completed", DialStatus="no-answer"))
    assert fact == TransferEnded(CALL, "ref1", "no answer", "no-answer", False)


URL = "https://media.plivo.com/v1/Account/MA0123456789ABCDEF01/Recording/x.wav"


@pytest.mark.parametrize(
    "form",
    [
        {
            "call_uuid": CALL,
            "recording_id": RECORDING,
            "record_url": URL,
            "recording_duration": "12",
            "recording_duration_ms": "12340",
        },
        {"CallUUID": CALL, "RecordingID": RECORDING, "RecordUrl": URL, "RecordingDurationMs": "12340"},
        {
            "response": f'{{"call_uuid":"{CALL}","recording_id":"{RECORDING}","record_url":"{URL}",'
            '"recording_duration_ms":12340,"nothing":null}'
        },
    ],
)
def test_a_recording_is_ready(form: dict[str, str]) -> None:
    assert read("recording", form) == (
        RecordingReady(call_id=CALL, recording_id=RECORDING, url=URL, duration=pytest.approx(12.34)),
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("recording_id", "../x"), ("call_uuid", "a/b"), ("record_url", "file:///etc/passwd"), ("record_url", "")],
)
def test_a_recording_that_is_malformed(field: str, value: str) -> None:
    """R74: what stands in a path or is fetched is what Plivo's ids and URLs look like."""
    form = {"call_uuid": CALL, "recording_id": RECORDING, "record_url": URL, field: value}
    with pytest.raises(WebhookError):
        read("recording", form)


# --- messages -----------------------------------------------------------------------------------------------------


def test_a_text_message() -> None:
    form = {"MessageUUID": MESSAGE, "From": "15005550001", "To": "15005550002", "Text": "Olá café ✓", "Type": "sms"}
    assert read("message", form, None) == (
        IncomingMessage(message_id=MESSAGE, sender="+15005550001", recipient="+15005550002", text="Olá café ✓"),
    )


def test_a_message_with_pictures_in_their_order() -> None:
    form = {"MessageUUID": MESSAGE, "From": "15005550001", "To": "15005550002", "Body": "See", "Type": "mms"}
    media = {"Media10": "https://m.example.com/10", "Media2": "https://m.example.com/2", "Media0": "file:///etc/passwd"}
    [fact] = read("message", form | media | {"MediaCount": "2"})
    assert isinstance(fact, IncomingMessage)
    assert (fact.text, fact.media) == ("See", ("https://m.example.com/2", "https://m.example.com/10"))


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("queued", "queued"),
        ("sent", "sent"),
        ("delivered", "delivered"),
        ("read", "delivered"),
        ("failed", "failed"),
        ("undelivered", "failed"),
        ("rejected", "failed"),
    ],
)
def test_the_progress_of_a_message(said: str, status: Any) -> None:
    form = {"MessageUUID": MESSAGE, "Status": said, "ErrorCode": "420"}
    assert read("message-status", form) == (MessageProgress(message_id=MESSAGE, status=status, reason="420"),)


def test_an_unknown_progress_means_nothing() -> None:
    form = {"MessageUUID": MESSAGE, "Status": "pondering"}
    assert read("message-status", form) == (Unremarkable("unknown message status"),)


# --- what is malformed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "missing"),
    [
        ("voice", "CallUUID"),
        ("voice", "From"),
        ("voice", "To"),
        ("status", "CallStatus"),
        ("amd", "Machine"),
        ("stream", "Event"),
        ("recording", "CallUUID"),
        ("message", "MessageUUID"),
        ("message-status", "Status"),
    ],
)
def test_what_is_missing_is_named(what: str, missing: str) -> None:
    form = call(CallStatus="ringing", Machine="true", Event="StartStream", MessageUUID=MESSAGE, Status="sent")
    form |= {"RecordingID": RECORDING, "RecordUrl": URL}
    del form[missing]
    with pytest.raises(WebhookError, match=missing):
        read(what, form)


@pytest.mark.parametrize("what", ["instructions", "transfer"])
def test_some_callbacks_need_their_reference(what: str) -> None:
    with pytest.raises(WebhookError, match="reference"):
        read(what, call(CallStatus="in-progress"), None)


@pytest.mark.parametrize("call_id", ["", "../../Number", "a/b", "a" * 65, "-a", "é", "a\n"])
def test_a_call_id_that_could_be_a_path_is_refused_without_quoting_it(call_id: str) -> None:
    """R74."""
    with pytest.raises(WebhookError) as raised:
        read("voice", call(CallUUID=call_id), None)
    assert "Number" not in str(raised.value)


def test_what_is_no_form_or_no_webhook() -> None:
    with pytest.raises(WebhookError, match="form"):
        PLIVO.read_webhook(Webhook(what="voice", body=b"\xff=\xff"))
    with pytest.raises(WebhookError, match="none of those"):
        PLIVO.read_webhook(Webhook(what="weather", body=b""))
    assert "weather" not in PLIVO.webhooks


FIELDS = [
    "CallUUID", "From", "To", "CallStatus", "Direction", "Event", "HangupCause", "Duration", "Machine", "DialStatus",
    "RecordUrl", "RecordingID", "record_url", "recording_id", "call_uuid", "recording_duration_ms", "response",
    "MessageUUID", "Text", "Media1", "Status", "ErrorCode",
]  # fmt: skip
VALUES = st.sampled_from(
    [CALL, "15005550001", "in-progress", "outbound", "Hangup", "-1", "true", "{}", "[1]", '{"record_url":"\\ud800"}']
)


@given(
    st.sampled_from(sorted(PLIVO.webhooks)),
    st.sampled_from([None, "ref1"]),
    st.dictionaries(st.sampled_from(FIELDS), VALUES | st.text(max_size=20)),
)
def test_any_form_is_facts_or_a_webhook_error(what: str, reference: str | None, form: dict[str, str]) -> None:
    body = urlencode(form, errors="replace").encode()
    try:
        facts = PLIVO.read_webhook(Webhook(what=what, reference=reference, body=body))
    except WebhookError:
        return
    assert all(type(fact).__module__ == "callengine.telephony" for fact in facts)
    repr(facts).encode()


@given(st.sampled_from(sorted(PLIVO.webhooks)), st.binary(max_size=200))
def test_any_body_is_facts_or_a_webhook_error(what: str, body: bytes) -> None:
    with suppress(WebhookError):
        PLIVO.read_webhook(Webhook(what=what, reference="ref1", body=body))
