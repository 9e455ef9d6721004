"""Telnyx's webhooks: what they say. No I/O.

Sources: https://developers.telnyx.com/docs/voice/programmable-voice/voice-api-webhooks (events and their fields),
https://developers.telnyx.com/api-reference/callbacks/call-hangup (causes),
https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks (messages).

Every webhook has the same shape, whatever it is about, so all may go to one URL. Names of events come with dots, and
have been seen with underscores. They may be repeated and overtake each other; ``occurred_at`` orders them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from callengine.carriers.fields import Malformed, clean, object_field, optional_text, parse, text_field
from callengine.carriers.telnyx.messages import message_progress, received_message
from callengine.carriers.telnyx.state import LegState, read_state
from callengine.errors import WebhookError
from callengine.telephony import (
    AnsweredBy,
    CallProgress,
    CarrierFact,
    GreetingEnded,
    IncomingCall,
    MachineDetection,
    Progress,
    RecordingReady,
    StreamFailed,
    TransferEnded,
    Unremarkable,
    Webhook,
)

EVENTS = "events"
"""The part of the path at which everything is told; with a reference, what a leg that the engine dialled does."""
TRANSFER = "transfer"
"""Where what a cold transfer brings about is told."""

_CAUSES: Mapping[str, Progress] = {
    "normal_clearing": "completed",
    "time_limit": "completed",
    "user_busy": "busy",
    "no_answer": "no answer",
    "timeout": "no answer",
    "originator_cancel": "canceled",
    "call_rejected": "failed",
    "not_found": "failed",
    "unspecified": "failed",
}
_RESULTS: Mapping[str, AnsweredBy] = {
    "human": "human",
    "human_residence": "human",
    "human_business": "human",
    "machine": "machine",
    "fax_detected": "fax",
    "silence": "unknown",
    "not_sure": "unknown",
}
_CALL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:.=+~/-]{0,254}")
"""``v3:`` and URL-safe text, as seen; it must not begin like a path."""
_CAUSE = re.compile(r"[A-Za-z_]{1,40}")
_EVENT = re.compile(r"[a-z][a-z_.]{1,63}")


@attrs.frozen
class _Event:
    """One webhook, taken apart."""

    name: str
    payload: dict[str, Any] = attrs.field(repr=False)
    occurred_at: float | None
    reference: str | None
    """Of the path, or else of the leg's own state: what the engine dialled."""
    state: LegState | None

    @property
    def call_id(self) -> str:
        return check_call_id(text_field(self.payload, "call_control_id"))

    @property
    def transfer(self) -> LegState | None:
        """The transfer whose target's leg this is about."""
        return self.state if self.state is not None and self.state.role == "target" else None


def read_webhook(webhook: Webhook) -> tuple[CarrierFact, ...]:
    """What a webhook says. Raises `WebhookError`, which quotes nothing."""
    try:
        event = _take_apart(webhook)
        read = _READERS.get(event.name)
        return (Unremarkable(event.name) if read is None else read(event),)
    except Malformed as problem:
        raise WebhookError(f"{problem.kind}: {problem.detail}") from None


def check_call_id(value: str) -> str:
    """The value, if it is shaped like a ``call_control_id``; else `WebhookError`."""
    if _CALL_ID.fullmatch(value) is None:
        raise WebhookError("call_control_id is not shaped like one")
    return value


def _take_apart(webhook: Webhook) -> _Event:
    data = object_field(parse(webhook.body), "data")
    name = text_field(data, "event_type")
    if "." not in name:
        name = name.replace("_", ".")
    if _EVENT.fullmatch(name) is None:
        raise Malformed("bad field", "event_type is not the name of an event")
    payload = object_field(data, "payload")
    state = read_state(optional_text(payload, "client_state"))
    reference = webhook.reference if webhook.what == EVENTS else None  # else it names a transfer, not this leg
    if reference is None and state is not None and state.role == "dialled":
        reference = state.reference
    return _Event(name, payload, _unix_time(data.get("occurred_at")), reference, state)


# --- calls ------------------------------------------------------------------------------------------------------------


def _initiated(event: _Event) -> CarrierFact:
    """Of an outgoing leg this is the last that is heard before somebody answers, or does not."""
    if event.transfer is not None:
        return Unremarkable("call.initiated of a transfer")
    direction = text_field(event.payload, "direction")
    if direction == "outgoing":
        return _progress(event, "ringing")
    if direction != "incoming":
        raise Malformed("bad field", "direction is neither incoming nor outgoing")
    return IncomingCall(
        call_id=event.call_id,
        caller=text_field(event.payload, "from"),
        callee=text_field(event.payload, "to"),
        parameters={clean(name): clean(value) for name, value in event.payload.items() if isinstance(value, str)},
    )


def _answered(event: _Event) -> CarrierFact:
    return _progress(event, "answered") if event.transfer is None else Unremarkable("call.answered of a transfer")


def _bridged(event: _Event) -> CarrierFact:
    transfer = event.transfer
    if transfer is None:
        return Unremarkable("call.bridged")
    return TransferEnded(transfer.call_id, transfer.reference, "completed", waiting=False)


def _hangup(event: _Event) -> CarrierFact:
    """The end of a leg.

    Of a transfer's target: where it had been answered, the transfer was completed, also if this overtook the news of
    that; the caller's leg ends with it. Otherwise the caller's leg waits.
    """
    cause = optional_text(event.payload, "hangup_cause") or "unspecified"
    result = _CAUSES.get(cause, "failed")
    reason = cause if _CAUSE.fullmatch(cause) else "unspecified"
    transfer = event.transfer
    if transfer is None:
        return _progress(event, result, reason)
    return TransferEnded(transfer.call_id, transfer.reference, result, reason, waiting=result != "completed")


def _progress(event: _Event, progress: Progress, reason: str = "") -> CallProgress:
    payload = event.payload
    start, end = _unix_time(payload.get("start_time")), _unix_time(payload.get("end_time"))
    code = optional_text(payload, "sip_hangup_cause") if reason else ""
    return CallProgress(
        call_id=event.call_id,
        progress=progress,
        reference=event.reference,
        order=event.occurred_at,
        reason=reason,
        sip_code=int(code) if re.fullmatch("[1-6][0-9]{2}", code) else None,
        duration=max(end - start, 0.0) if reason and start is not None and end is not None else None,
    )


def _detection(event: _Event) -> CarrierFact:
    result = text_field(event.payload, "result")
    return MachineDetection(event.call_id, _RESULTS.get(result, "unknown"), event.reference)


def _greeting(event: _Event) -> CarrierFact:
    return GreetingEnded(event.call_id, text_field(event.payload, "result") == "beep_detected", event.reference)


def _stream_failed(event: _Event) -> CarrierFact:
    reason = optional_text(event.payload, "failure_reason") or "no reason given"
    return StreamFailed(event.call_id, reason[:200], event.reference)


def _referred(event: _Event) -> CarrierFact:
    """What became of a SIP REFER: the PBX says so by a SIP status in a NOTIFY."""
    if event.state is None or event.state.role != "referred":
        return Unremarkable(event.name)
    status = str(event.payload.get("sip_notify_response"))
    reason = f"SIP {status}" if re.fullmatch("[1-6][0-9]{2}", status) else ""
    completed = event.name == "call.refer.completed" and not re.fullmatch("SIP [3-6]..", reason)
    result: Progress = "completed" if completed else "failed"
    return TransferEnded(event.call_id, event.state.reference, result, reason, waiting=not completed)


# --- recordings -------------------------------------------------------------------------------------------------------


def _recording_saved(event: _Event) -> CarrierFact:
    """The URL is signed, and good for ten minutes."""
    payload = event.payload
    started, ended = _unix_time(payload.get("recording_started_at")), _unix_time(payload.get("recording_ended_at"))
    url = ""
    for group in ("recording_urls", "public_recording_urls"):
        urls = payload.get(group)
        if isinstance(urls, dict) and not url:
            url = optional_text(urls, "wav") or optional_text(urls, "mp3")
    return RecordingReady(
        call_id=event.call_id,
        recording_id=optional_text(payload, "recording_id"),
        url=url,
        duration=max(ended - started, 0.0) if started is not None and ended is not None else None,
        failed="" if url else "no URL was given",
    )


def _recording_failed(event: _Event) -> CarrierFact:
    reason = optional_text(event.payload, "reason") or "no reason given"
    recording_id = optional_text(event.payload, "recording_id")
    return RecordingReady(call_id=event.call_id, recording_id=recording_id, url="", failed=reason[:200])


_READERS: Mapping[str, Callable[[_Event], CarrierFact]] = {
    "call.initiated": _initiated,
    "call.answered": _answered,
    "call.bridged": _bridged,
    "call.hangup": _hangup,
    "call.machine.detection.ended": _detection,
    "call.machine.premium.detection.ended": _detection,
    "call.machine.greeting.ended": _greeting,
    "call.machine.premium.greeting.ended": _greeting,
    "streaming.failed": _stream_failed,
    "call.refer.completed": _referred,
    "call.refer.failed": _referred,
    "call.recording.saved": _recording_saved,
    "call.recording.error": _recording_failed,
    "message.received": lambda event: received_message(event.payload),
    "message.sent": lambda event: message_progress(event.payload),
    "message.finalized": lambda event: message_progress(event.payload),
}
"""What means something. Keys also come on the media stream (``call.dtmf.received`` is not read here), and a ``stop``
there says that a stream has ended."""


def _unix_time(value: Any) -> float | None:
    """An ISO 8601 time as Unix time; None where there is none that can be read. Without a zone it is UTC."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
