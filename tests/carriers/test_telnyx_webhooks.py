"""Telnyx's webhooks. The shapes are those of Telnyx's documentation."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.carriers.telnyx.state import LegState, read_state
from callengine.carriers.telnyx.webhooks import read_webhook
from callengine.errors import WebhookError
from callengine.telephony import (
    CallProgress,
    CarrierFact,
    GreetingEnded,
    IncomingCall,
    IncomingMessage,
    MachineDetection,
    MessageProgress,
    RecordingReady,
    StreamFailed,
    TransferEnded,
    Unremarkable,
    Webhook,
)

CALL = "v3:m2HY959tCRHyqqhXsf64oF6H2drCcwkRt4yYrwL-VxpjYWxsZW5naW4"
AT = 1767323045.678901
"""2026-01-02T03:04:05.678901Z"""
TARGET = LegState("target", "transfer-7", "v3:caller").encoded()
DIALLED = LegState("dialled", "dial-3").encoded()


def body(event: str, occurred_at: Any = "2026-01-02T03:04:05.678901Z", /, **payload: Any) -> bytes:
    about = {
        "call_control_id": CALL,
        "call_leg_id": "98836397-fc2b-5652-a698-96d08ec17195",
        "call_session_id": "3046d7fd-cc1c-5bf6-951c-9dd44ea50c28",
        "connection_id": "1700000000000000001",
        "client_state": None,
        "from": "+15005550001",
        "to": "+15005550002",
    }
    data = {"record_type": "event", "event_type": event, "id": "8840fbd9-69ce-51bf-a411-180990498187"}
    whole = {**data, "occurred_at": occurred_at, "payload": {**about, **payload}}
    return json.dumps({"data": whole, "meta": {"attempt": 1}}).encode()


def read(
    event: str,
    occurred_at: Any = "2026-01-02T03:04:05.678901Z",
    /,
    what: str = "events",
    reference: Any = None,
    **rest: Any,
) -> CarrierFact:
    [fact] = read_webhook(Webhook(what=what, reference=reference, body=body(event, occurred_at, **rest)))
    return fact


# --- calls --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["call.initiated", "call_initiated"])
def test_an_incoming_call(name: str) -> None:
    fact = read(name, direction="incoming", state="parked", caller_id_name="Ann")

    assert isinstance(fact, IncomingCall)
    assert (fact.call_id, fact.caller, fact.callee) == (CALL, "+15005550001", "+15005550002")
    assert fact.parameters["caller_id_name"] == "Ann"
    assert "client_state" not in fact.parameters
    assert "+1500" not in repr(fact)


def test_a_leg_that_the_engine_dials() -> None:
    expected = CallProgress(call_id=CALL, progress="ringing", reference="dial-3", order=AT)
    assert read("call.initiated", reference="dial-3", direction="outgoing", state="bridging") == expected
    assert read("call.initiated", direction="outgoing", client_state=DIALLED) == expected
    answered = CallProgress(call_id=CALL, progress="answered", reference="dial-3", order=AT)
    assert read("call.answered", reference="dial-3", state="answered") == answered


def test_the_reference_of_the_path_wins() -> None:
    fact = read("call.answered", reference="of-the-path", client_state=DIALLED)
    assert isinstance(fact, CallProgress)
    assert fact.reference == "of-the-path"


def test_what_is_no_state_of_ours_is_no_reference() -> None:
    for foreign in ("Y2FsbC0xMjM=", "not base64!", "", base64.b64encode(b"\xff").decode(), "é"):
        fact = read("call.answered", client_state=foreign)
        assert isinstance(fact, CallProgress)
        assert fact.reference is None


@pytest.mark.parametrize(
    ("cause", "progress"),
    [
        ("normal_clearing", "completed"),
        ("time_limit", "completed"),
        ("user_busy", "busy"),
        ("no_answer", "no answer"),
        ("timeout", "no answer"),
        ("originator_cancel", "canceled"),
        ("call_rejected", "failed"),
        ("not_found", "failed"),
        ("unspecified", "failed"),
        ("something_new", "failed"),
    ],
)
def test_how_a_leg_ends(cause: str, progress: Any) -> None:
    fact = read(
        "call.hangup",
        reference="dial-3",
        hangup_cause=cause,
        hangup_source="callee",
        sip_hangup_cause="486",
        start_time="2026-01-02T03:04:00.500000Z",
        end_time="2026-01-02T03:04:05.600000Z",
    )
    assert isinstance(fact, CallProgress)
    assert (fact.progress, fact.reason, fact.sip_code) == (progress, cause, 486)
    assert fact.duration == pytest.approx(5.1)
    assert fact.final


def test_what_a_hangup_lacks_is_unknown() -> None:
    assert read("call.hangup", "yesterday") == CallProgress(
        call_id=CALL, progress="failed", reason="unspecified", order=None
    )
    strange = read("call.hangup", hangup_cause="+15005550001 said\nno", sip_hangup_cause="0x1", start_time=5)
    assert isinstance(strange, CallProgress)
    assert (strange.reason, strange.sip_code, strange.duration) == ("unspecified", None, None)


def test_deliveries_that_overtake_each_other_can_be_ordered() -> None:
    early = read("call.answered", "2026-01-02T03:04:05Z")
    late = read("call.hangup", "2026-01-02T04:04:06.000001+01:00", hangup_cause="normal_clearing")
    assert isinstance(early, CallProgress)
    assert isinstance(late, CallProgress)
    assert early.order is not None
    assert late.order is not None
    assert late.order - early.order == pytest.approx(1.000001)


# --- transfers ----------------------------------------------------------------------------------------------------


def transfer(event: str, **rest: Any) -> CarrierFact:
    return read(event, what="transfer", reference="transfer-7", client_state=TARGET, **rest)


def test_a_transfer_is_completed_when_the_legs_are_bridged() -> None:
    assert [
        transfer("call.initiated", direction="outgoing"),
        transfer("call.answered"),
        transfer("call.bridged"),
    ] == [
        Unremarkable("call.initiated of a transfer"),
        Unremarkable("call.answered of a transfer"),
        TransferEnded("v3:caller", "transfer-7", "completed", waiting=False),
    ]


@pytest.mark.parametrize(
    ("cause", "result"),
    [
        ("user_busy", "busy"),
        ("timeout", "no answer"),
        ("call_rejected", "failed"),
        ("originator_cancel", "canceled"),
    ],
)
def test_a_target_that_hangs_up_before_leaves_the_caller_waiting(cause: str, result: Any) -> None:
    fact = transfer("call.hangup", hangup_cause=cause)
    assert fact == TransferEnded("v3:caller", "transfer-7", result, cause, waiting=True)


def test_a_hangup_after_the_bridge_is_no_failure_even_if_it_overtakes() -> None:
    fact = transfer("call.hangup", hangup_cause="normal_clearing")
    assert fact == TransferEnded("v3:caller", "transfer-7", "completed", "normal_clearing", waiting=False)


def test_a_transfers_target_is_known_by_its_state_wherever_it_is_told() -> None:
    fact = read("call.hangup", client_state=TARGET, hangup_cause="user_busy")
    assert fact == TransferEnded("v3:caller", "transfer-7", "busy", "user_busy", waiting=True)


def test_the_callers_own_leg_is_not_the_transfer() -> None:
    """His later webhooks may come where the transfer's do, with the transfer's reference in the path."""
    fact = read("call.hangup", what="transfer", reference="transfer-7", client_state=DIALLED, hangup_cause="timeout")
    assert isinstance(fact, CallProgress)
    assert (fact.call_id, fact.reference) == (CALL, "dial-3")
    bridged = read("call.bridged", what="transfer", reference="transfer-7")
    assert bridged == Unremarkable("call.bridged")


@pytest.mark.parametrize(
    ("name", "answer", "expected"),
    [
        ("call.refer.completed", 200, ("completed", "SIP 200", False)),
        ("call.refer.completed", "202", ("completed", "SIP 202", False)),
        ("call.refer.completed", None, ("completed", "", False)),
        ("call.refer.completed", 486, ("failed", "SIP 486", True)),
        ("call.refer.failed", 603, ("failed", "SIP 603", True)),
        ("call.refer.failed", "no number", ("failed", "", True)),
    ],
)
def test_what_becomes_of_a_refer(name: str, answer: Any, expected: tuple[Any, str, bool]) -> None:
    state = LegState("referred", "refer-1").encoded()
    fact = read(name, client_state=state, sip_notify_response=answer)
    assert fact == TransferEnded(CALL, "refer-1", expected[0], expected[1], expected[2])


def test_a_refer_of_somebody_else() -> None:
    assert read("call.refer.failed") == Unremarkable("call.refer.failed")


# --- machines, streams, recordings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "result", "answered_by"),
    [
        ("call.machine.detection.ended", "human", "human"),
        ("call.machine.detection.ended", "machine", "machine"),
        ("call.machine.detection.ended", "not_sure", "unknown"),
        ("call.machine.premium.detection.ended", "human_residence", "human"),
        ("call.machine.premium.detection.ended", "human_business", "human"),
        ("call.machine.premium.detection.ended", "machine", "machine"),
        ("call.machine.premium.detection.ended", "silence", "unknown"),
        ("call.machine.premium.detection.ended", "fax_detected", "fax"),
        ("call.machine.premium.detection.ended", "something_new", "unknown"),
        ("call_machine_premium_detection_ended", "machine", "machine"),
    ],
)
def test_who_answered(name: str, result: str, answered_by: Any) -> None:
    assert read(name, reference="dial-3", result=result) == MachineDetection(CALL, answered_by, "dial-3")


@pytest.mark.parametrize(
    ("name", "result", "beep"),
    [
        ("call.machine.greeting.ended", "beep_detected", True),
        ("call.machine.greeting.ended", "ended", False),
        ("call.machine.greeting.ended", "not_sure", False),
        ("call.machine.premium.greeting.ended", "beep_detected", True),
        ("call.machine.premium.greeting.ended", "no_beep_detected", False),
        ("call.machine.premium.greeting.ended", "prompt_ended", False),
    ],
)
def test_the_end_of_a_greeting(name: str, result: str, beep: bool) -> None:
    assert read(name, reference="dial-3", result=result) == GreetingEnded(CALL, beep, "dial-3")


def test_each_of_two_calls_gets_its_own_verdict() -> None:
    one = read("call.machine.detection.ended", client_state=LegState("dialled", "a").encoded(), result="human")
    other = read("call.machine.detection.ended", client_state=LegState("dialled", "b").encoded(), result="machine")
    assert (one, other) == (MachineDetection(CALL, "human", "a"), MachineDetection(CALL, "machine", "b"))


def test_a_stream_that_failed() -> None:
    assert read("streaming.failed", failure_reason="connection_failed") == StreamFailed(CALL, "connection_failed")
    assert read("streaming.failed", reference="r") == StreamFailed(CALL, "no reason given", "r")


def test_a_recording_that_can_be_fetched() -> None:
    recording: dict[str, Any] = {
        "recording_id": "r-1",
        "recording_started_at": "2026-01-02T03:04:05Z",
        "recording_ended_at": "2026-01-02T03:04:15.5Z",
        "recording_urls": {"mp3": None, "wav": "https://cdn.example.com/1.wav?secret"},
        "public_recording_urls": {"wav": "https://public.example.com/1.wav"},
    }
    fact = read("call.recording.saved", **recording)
    assert fact == RecordingReady(
        call_id=CALL, recording_id="r-1", url="https://cdn.example.com/1.wav?secret", duration=10.5
    )
    assert "secret" not in repr(fact)
    recording["recording_urls"] = {}
    other = read("call.recording.saved", **recording)
    assert isinstance(other, RecordingReady)
    assert other.url == "https://public.example.com/1.wav"


def test_a_recording_that_failed() -> None:
    fact = read("call.recording.error", reason="Storage failed")
    assert fact == RecordingReady(call_id=CALL, recording_id="", url="", failed="Storage failed")
    without = read("call.recording.saved", recording_id="r-1")
    assert isinstance(without, RecordingReady)
    assert without.failed


# --- messages -----------------------------------------------------------------------------------------------------


def test_a_text_message_that_came() -> None:
    fact = read(
        "message.received",
        id="m-1",
        text="Olá ✓",
        media=[{"url": "https://media.example.com/1.png", "content_type": "image/png"}],
        **{"from": {"phone_number": "+15005550001"}, "to": [{"phone_number": "+15005550002"}]},
    )
    assert fact == IncomingMessage(
        message_id="m-1",
        sender="+15005550001",
        recipient="+15005550002",
        text="Olá ✓",
        media=("https://media.example.com/1.png",),
    )
    assert "Olá" not in repr(fact)


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("message.sent", "queued", "queued"),
        ("message.sent", "sending", "queued"),
        ("message.sent", "sent", "sent"),
        ("message.finalized", "delivered", "delivered"),
        ("message.finalized", "delivery_unconfirmed", "sent"),
        ("message.finalized", "sending_failed", "failed"),
        ("message.finalized", "delivery_failed", "failed"),
    ],
)
def test_what_became_of_a_text_message(name: str, status: str, expected: Any) -> None:
    errors = [{"code": "40300", "title": "Blocked due to STOP message"}] if expected == "failed" else []
    fact = read(name, id="m-1", to=[{"phone_number": "+15005550002", "status": status}], errors=errors)
    reason = "40300: Blocked due to STOP message" if errors else ""
    assert fact == MessageProgress(message_id="m-1", status=expected, reason=reason)


# --- what means nothing, and what is wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "streaming.started",
        "streaming.stopped",
        "call.cost",
        "call.speak.ended",
        "call.machine.premium.call_screening.detected",
        "call.refer.started",
        "conference.floor.changed",
    ],
)
def test_events_that_mean_nothing(name: str) -> None:
    assert read(name) == Unremarkable(name)


def test_keys_are_taken_from_the_stream_alone() -> None:
    assert read("call.dtmf.received", digit="7") == Unremarkable("call.dtmf.received")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        b'{"data":5}',
        b'{"data":{}}',
        b'{"data":{"event_type":"call.initiated"}}',
        b'{"data":{"event_type":5,"payload":{}}}',
        b'{"data":{"event_type":"call.initiated\\nx","payload":{}}}',
        b"[" * 60_000,
        body("call.initiated", direction="sideways"),
        body("call.initiated", direction="incoming", **{"from": 5}),
        body("call.answered", call_control_id=None),
        body("call.answered", call_control_id=""),
        body("call.answered", call_control_id="../../accounts"),
        body("call.answered", call_control_id="a b"),
        body("call.answered", call_control_id="a\n"),
        body("call.answered", call_control_id="v3:" + "x" * 300),
        body("call.answered", client_state=5),
        body("call.machine.detection.ended"),
        body("message.received"),
        body("message.received", id="m", media="x", **{"from": {"phone_number": "+1"}, "to": []}),
        body("message.sent", id="m", to=[{"status": "lost"}]),
    ],
)
def test_what_is_malformed_is_refused_without_quoting_it(raw: bytes) -> None:
    with pytest.raises(WebhookError) as caught:
        read_webhook(Webhook(what="events", body=raw))
    assert len(str(caught.value)) < 120
    assert "accounts" not in str(caught.value)


NAMES = [
    "call.initiated",
    "call.answered",
    "call.bridged",
    "call.hangup",
    "call.machine.detection.ended",
    "call.machine.premium.greeting.ended",
    "streaming.failed",
    "call.refer.failed",
    "call.recording.saved",
    "call.recording.error",
    "message.received",
    "message.finalized",
    "call.cost",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = (
    "call_control_id", "client_state", "direction", "from", "to", "start_time", "end_time",
    "hangup_cause", "sip_hangup_cause", "result", "reason", "failure_reason", "sip_notify_response",
    "recording_id", "recording_urls", "recording_started_at", "id", "text", "media", "errors",
)  # fmt: skip


@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4), JSON, st.booleans())
def test_nothing_but_a_webhook_error_is_raised(name: str, changes: Any, time: Any, to_target: bool) -> None:
    state = {"client_state": TARGET} if to_target else {}
    raw = body(name, time, **{"direction": "incoming", "result": "human", "id": "m", **state, **changes})
    try:
        facts = read_webhook(Webhook(what="events", body=raw))
    except WebhookError:
        return
    assert len(facts) == 1


@given(st.binary(max_size=200))
def test_random_bodies_raise_nothing_else(raw: bytes) -> None:
    with pytest.raises(WebhookError):
        read_webhook(Webhook(what="events", body=raw))


@given(
    st.sampled_from(["dialled", "target", "referred"]),
    st.text("abcXYZ019-_", min_size=1),
    st.text("abcXYZ019-_:", max_size=80),
)
def test_a_state_reads_back(role: Any, reference: str, call_id: str) -> None:
    assert read_state(LegState(role, reference, call_id).encoded()) == LegState(role, reference, call_id)


@given(st.text(max_size=80))
def test_a_foreign_state_is_none(text: str) -> None:
    assert read_state(text) is None
    assert read_state(base64.b64encode(text.encode("utf-8", "replace")).decode()) is None
