"""What Plivo's webhooks say. No I/O.

Sources: https://www.plivo.com/docs/voice/xml/request/ (fields of calls),
https://www.plivo.com/docs/voice/api/call/asynchronous-machine-detection/,
https://www.plivo.com/docs/voice/xml/dial/ (the ``action`` URL), https://www.plivo.com/docs/voice/xml/the-stream-element
(``statusCallbackUrl``), https://www.plivo.com/docs/voice/api/call/record-calls/ (``callback_url``), and the pages on
incoming messages and message status below https://www.plivo.com/docs/messaging/api/message/.

Plivo numbers no deliveries: the order of a leg's states is the only order there is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Literal

from callengine.carriers.plivo.numbers import e164
from callengine.carriers.plivo.signature import parse_form
from callengine.errors import WebhookError
from callengine.telephony import (
    FINAL,
    CallProgress,
    CarrierFact,
    IncomingCall,
    IncomingMessage,
    InstructionsWanted,
    MachineDetection,
    MessageProgress,
    Progress,
    RecordingReady,
    StreamFailed,
    TransferEnded,
    Unremarkable,
    Webhook,
)

Form = Mapping[str, str]

_STATUSES: dict[str, Progress] = {
    "queued": "queued",
    "initiated": "queued",
    "ringing": "ringing",
    "in-progress": "answered",
    "completed": "completed",
    "busy": "busy",
    "failed": "failed",
    "timeout": "no answer",
    "no-answer": "no answer",
    "cancel": "canceled",
    "canceled": "canceled",
}
_CAUSES: dict[str, Progress] = {
    "USER_BUSY": "busy",
    "NO_ANSWER": "no answer",
    "NO_USER_RESPONSE": "no answer",
    "ORIGINATOR_CANCEL": "canceled",
    "CALL_REJECTED": "failed",
}
"""Causes that say more than the status of a leg that was never answered."""
_ORDER: dict[Progress, float] = {"queued": 0, "ringing": 1, "answered": 2}
_LAST = 3.0

_MESSAGES: dict[str, Literal["queued", "sent", "delivered", "failed"]] = {
    "queued": "queued",
    "sent": "sent",
    "delivered": "delivered",
    "read": "delivered",
    "failed": "failed",
    "undelivered": "failed",
    "rejected": "failed",
}

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
_URL = re.compile(r"https?://[!-~]+")
_MEDIA = re.compile(r"Media([0-9]{1,2})")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def read(webhook: Webhook) -> tuple[CarrierFact, ...]:
    """The facts of one delivery. Raises `WebhookError` for what is malformed."""
    reader = _READERS.get(webhook.what)
    if reader is None:
        raise WebhookError("this URL is none of those at which Plivo is told to call back")
    fields = parse_form(webhook.query if webhook.method.upper() == "GET" else webhook.body)
    if fields is None:
        raise WebhookError("the request's body is not a form")
    return reader(dict(fields), webhook.reference)


def is_id(value: str) -> bool:
    """Whether this can be Plivo's name for something (they are UUIDs), and so may stand in a path."""
    return _ID.fullmatch(value) is not None


def _voice(form: Form, reference: str | None) -> tuple[CarrierFact, ...]:
    del reference
    caller, callee = e164(_required(form, "From")), e164(_required(form, "To"))
    return (IncomingCall(_call_id(form), caller, callee, dict(form)),)


def _instructions(form: Form, reference: str | None) -> tuple[CarrierFact, ...]:
    """Plivo has no callback of its own for an answer: fetching the instructions of a leg that was dialled is it."""
    call_id, wanted = _call_id(form), _needed(reference)
    asked = InstructionsWanted(call_id, wanted)
    dialled = form.get("Direction") == "outbound" and form.get("Event") != "Redirect"
    if dialled and form.get("CallStatus") == "in-progress":
        return (CallProgress(call_id=call_id, progress="answered", reference=wanted, order=_ORDER["answered"]), asked)
    return (asked,)


def _status(form: Form, reference: str | None) -> tuple[CarrierFact, ...]:
    call_id, status, cause = _call_id(form), _required(form, "CallStatus"), form.get("HangupCause", "")
    progress = _STATUSES.get(status)
    over = form.get("Event") == "Hangup" or bool(cause)
    if progress is None and not over:
        return (Unremarkable("unknown status"),)
    if progress is None:
        progress = "failed"
    if progress in FINAL and progress != "completed":
        progress = _CAUSES.get(cause, progress)
    return (
        CallProgress(
            call_id=call_id,
            progress=progress,
            reference=reference,
            order=_ORDER.get(progress, _LAST),
            reason=_short(cause or form.get("HangupCauseName", "")),
            duration=_seconds(form.get("Duration", "")) if progress in FINAL else None,
        ),
    )


def _machine(form: Form, reference: str | None) -> tuple[CarrierFact, ...]:
    verdict = _required(form, "Machine").lower()
    answered_by: Literal["machine", "human", "unknown"] = "unknown"
    if verdict in ("true", "false"):
        answered_by = "machine" if verdict == "true" else "human"
    return (MachineDetection(_call_id(form), answered_by, reference),)


def _stream(form: Form, reference: str | None) -> tuple[CarrierFact, ...]:
    event = _required(form, "Event")
    if event == "DroppedStream":
        return (StreamFailed(_call_id(form), "Plivo could not connect the stream, or lost it", reference),)
    return (Unremarkable({"StartStream": "stream started", "StopStream": "stream stopped"}.get(event, "stream event")),)


def _transfer(form: Form, reference: str | None) -> tuple[CarrierFact, ...]:
    status = form.get("DialStatus", "")
    result = _STATUSES.get(status, "failed")
    if result not in FINAL:
        result = "failed"
    reason = _short(form.get("DialHangupCause", "") or status)
    waiting = form.get("CallStatus", "in-progress") == "in-progress"
    return (TransferEnded(_call_id(form), _needed(reference), result, reason, waiting),)


def _recording(form: Form, reference: str | None) -> tuple[CarrierFact, ...]:
    """The API's callback has names such as ``record_url``, that of the XML element ``RecordUrl``."""
    del reference
    form = {**form, **_nested(form.get("response", ""))}
    call_id = form.get("call_uuid") or _required(form, "CallUUID")
    recording_id = form.get("recording_id") or _required(form, "RecordingID")
    url = form.get("record_url") or _required(form, "RecordUrl")
    if not (is_id(call_id) and is_id(recording_id) and _URL.fullmatch(url)):
        raise WebhookError("the recording has a malformed id or URL")
    duration = _seconds(form.get("recording_duration_ms") or form.get("RecordingDurationMs", ""), 0.001)
    if duration is None:
        duration = _seconds(form.get("recording_duration") or form.get("RecordingDuration", ""))
    return (RecordingReady(call_id=call_id, recording_id=recording_id, url=url, duration=duration),)


def _message(form: Form, reference: str | None) -> tuple[CarrierFact, ...]:
    del reference
    media = sorted((int(match[1]), url) for name, url in form.items() if (match := _MEDIA.fullmatch(name)))
    return (
        IncomingMessage(
            message_id=_identity(form, "MessageUUID"),
            sender=e164(_required(form, "From")),
            recipient=e164(_required(form, "To")),
            text=form.get("Text") or form.get("Body", ""),
            media=tuple(url for _, url in media if _URL.fullmatch(url)),
        ),
    )


def _message_status(form: Form, reference: str | None) -> tuple[CarrierFact, ...]:
    del reference
    message_id, status = _identity(form, "MessageUUID"), _MESSAGES.get(_required(form, "Status"))
    if status is None:
        return (Unremarkable("unknown message status"),)
    return (MessageProgress(message_id=message_id, status=status, reason=_short(form.get("ErrorCode", ""))),)


_READERS: dict[str, Callable[[Form, str | None], tuple[CarrierFact, ...]]] = {
    "voice": _voice,
    "instructions": _instructions,
    "status": _status,
    "amd": _machine,
    "stream": _stream,
    "recording": _recording,
    "message": _message,
    "message-status": _message_status,
    "transfer": _transfer,
}
WHATS = frozenset(_READERS)
"""The webhooks that can be read."""


def _required(form: Form, name: str) -> str:
    if name not in form:
        raise WebhookError(f"{name} is missing")
    return form[name]


def _needed(reference: str | None) -> str:
    if reference is None:
        raise WebhookError("the URL lacks its reference")
    return reference


def _identity(form: Form, name: str) -> str:
    value = _required(form, name)
    if not is_id(value):
        raise WebhookError(f"{name} is not an id of Plivo's")
    return value


def _call_id(form: Form) -> str:
    return _identity(form, "CallUUID")


def _short(reason: str) -> str:
    """The carrier's own words in one line that a log can hold."""
    return _UNPRINTABLE.sub(" ", reason)[:100]


def _seconds(value: str, unit: float = 1.0) -> float | None:
    """A count of seconds (or of another unit); None where it is missing, or the -1 of what is not over yet."""
    return int(value) * unit if re.fullmatch(r"[0-9]{1,12}", value) else None


def _nested(text: str) -> dict[str, str]:
    """The members of a JSON object in a form field: how some callbacks of the API wrap what they say."""
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(members, dict):
        return {}
    return {name: str(value) for name, value in members.items() if isinstance(value, str | int | float)}
