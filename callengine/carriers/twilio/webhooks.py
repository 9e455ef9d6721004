"""Twilio's webhooks: what its forms say. No I/O.

Sources: https://www.twilio.com/docs/voice/twiml (requests for instructions),
https://www.twilio.com/docs/voice/api/call-resource#statuscallback (call progress),
https://www.twilio.com/docs/voice/answering-machine-detection, https://www.twilio.com/docs/voice/api/recording,
https://www.twilio.com/docs/voice/twiml/refer, https://www.twilio.com/docs/messaging/guides/webhook-request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import attrs

from callengine.carriers.twilio.dialect import Dialect
from callengine.carriers.twilio.signature import parse_form
from callengine.errors import WebhookError
from callengine.masking import scrub
from callengine.telephony import (
    AnsweredBy,
    CallProgress,
    CarrierFact,
    GreetingEnded,
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

MAX_MEDIA = 10
"""Pictures and the like that one message can have (Twilio's page on media)."""

_PROGRESS: Mapping[str, Progress] = {
    "queued": "queued",
    "initiated": "queued",
    "ringing": "ringing",
    "in-progress": "answered",
    "completed": "completed",
    "busy": "busy",
    "no-answer": "no answer",
    "failed": "failed",
    "canceled": "canceled",
}
_ANSWERED_BY: Mapping[str, AnsweredBy] = {"human": "human", "fax": "fax"}
_TRANSFERS: Mapping[str, Progress] = {
    "answered": "completed",
    "completed": "completed",
    "busy": "busy",
    "no-answer": "no answer",
    "failed": "failed",
    "canceled": "canceled",
}
_MESSAGES: Mapping[str, Literal["queued", "sent", "delivered", "failed"]] = {
    "accepted": "queued",
    "scheduled": "queued",
    "queued": "queued",
    "sending": "queued",
    "sent": "sent",
    "partially_delivered": "sent",
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}
_NO_RECORDING = {"absent": "the recording is empty", "failed": "the recording failed"}
_WHOLE = re.compile(r"[0-9]{1,9}")
_URL = re.compile(r"\S+://\S+")

Form: TypeAlias = Mapping[str, str]


def read_webhook(webhook: Webhook, dialect: Dialect, api_url: str | None) -> tuple[CarrierFact, ...]:
    """What a webhook says. ``api_url`` is where recordings are fetched; None where it is not known. Raises
    `WebhookError`."""
    reader = _READERS.get(webhook.what)
    if reader is None:
        raise WebhookError("there is no such webhook")
    fields = parse_form(webhook.query if webhook.method in ("GET", "HEAD") else webhook.body)
    if fields is None:
        raise WebhookError("the request is not a form")
    return reader(_Told(dict(fields), webhook.reference, dialect, api_url))


@attrs.frozen
class _Told:
    """A form, and what is needed to understand it. Of a field that is repeated the last value counts."""

    form: Form = attrs.field(repr=False)
    reference: str | None
    dialect: Dialect
    api_url: str | None

    def text(self, name: str) -> str:
        if name not in self.form:
            raise WebhookError(f"{name} is missing")
        return self.form[name]

    def identifier(self, name: str) -> str:
        value = self.text(name)
        if self.dialect.identifier.fullmatch(value) is None:
            raise WebhookError(f"{name} is not shaped like the carrier's names")
        return value

    def number(self, name: str) -> int | None:
        """A field of decimal digits; None where it is missing or empty."""
        value = self.form.get(name, "")
        if not value:
            return None
        if _WHOLE.fullmatch(value) is None:
            raise WebhookError(f"{name} is not a whole number")
        return int(value)

    @property
    def call_id(self) -> str:
        return self.identifier("CallSid")

    @property
    def expected(self) -> str:
        """The reference, of webhooks that are only asked for with one."""
        if self.reference is None:
            raise WebhookError("the address has no reference in it")
        return self.reference


def _voice(told: _Told) -> tuple[CarrierFact, ...]:
    more = {name: value for name, value in told.form.items() if name not in ("CallSid", "From", "To")}
    return (IncomingCall(told.call_id, told.text("From"), told.text("To"), more),)


def _instructions(told: _Told) -> tuple[CarrierFact, ...]:
    return (InstructionsWanted(told.call_id, told.expected),)


def _status(told: _Told) -> tuple[CarrierFact, ...]:
    """Final statuses repeat who answered, in case the message about that was lost."""
    status = told.text("CallStatus")
    if status not in _PROGRESS:
        raise WebhookError("CallStatus is not a status that is documented")
    progress = CallProgress(
        call_id=told.call_id,
        progress=_PROGRESS[status],
        reference=told.reference,
        order=told.number("SequenceNumber"),
        reason=status,
        sip_code=told.number("SipResponseCode"),
        duration=told.number("CallDuration"),
    )
    if progress.final and told.form.get("AnsweredBy"):
        return (_detection(told), progress)
    return (progress,)


def _amd(told: _Told) -> tuple[CarrierFact, ...]:
    detection = _detection(told)
    verdict = told.text("AnsweredBy")
    if not verdict.startswith("machine_end"):
        return (detection,)
    return (detection, GreetingEnded(told.call_id, verdict == "machine_end_beep", told.reference))


def _detection(told: _Told) -> MachineDetection:
    verdict = told.text("AnsweredBy")
    kind = "machine" if verdict.startswith("machine_") else _ANSWERED_BY.get(verdict, "unknown")
    return MachineDetection(told.call_id, kind, told.reference)


def _stream(told: _Told) -> tuple[CarrierFact, ...]:
    event = told.text("StreamEvent")
    if event != "stream-error":
        return (Unremarkable("stream started or stopped"),)
    reason = _URL.sub("(URL)", told.form.get("StreamError", ""))  # the stream's has its token in it
    return (StreamFailed(told.call_id, scrub(reason) or "stream-error", told.reference),)


def _transfer(told: _Told) -> tuple[CarrierFact, ...]:
    """Where the caller's leg is over too, nothing waits for instructions."""
    if "DialCallStatus" in told.form:
        status = told.form["DialCallStatus"]
        if status not in _TRANSFERS:
            raise WebhookError("DialCallStatus is not a status that is documented")
        result, reason = _TRANSFERS[status], status
    else:
        result, reason = _referral(told)
    waiting = told.form.get("CallStatus", "in-progress") == "in-progress"
    return (TransferEnded(told.call_id, told.expected, result, reason, waiting),)


def _referral(told: _Told) -> tuple[Progress, str]:
    """What the SIP codes say counts; the values of ``ReferCallStatus`` are documented by example only."""
    status = told.text("ReferCallStatus")
    accepted, notified = told.number("ReferSipResponseCode"), told.number("NotifySipResponseCode")
    final = accepted if notified is None else notified
    if final is None:
        done = status in ("completed", "answered", "in-progress")
    else:
        done = 200 <= final < 300
    if done:
        return "completed", f"SIP {final or status[:20]}"
    result = _TRANSFERS.get(status, "failed")
    return ("failed" if result == "completed" else result), f"SIP {final or status[:20]}"


def _recording(told: _Told) -> tuple[CarrierFact, ...]:
    """The address is made here, not taken from the form, where the API's is known: whoever fetches it shows the
    account's password there."""
    status = told.text("RecordingStatus")
    if status in ("in-progress", "paused", "stopped", "processing"):
        return (Unremarkable(f"recording {status}"),)
    call_id, recording_id = told.call_id, told.identifier("RecordingSid")
    if status in _NO_RECORDING:
        code = told.number("ErrorCode")
        reason = _NO_RECORDING[status] + (f" ({code})" if code else "")
        return (RecordingReady(call_id=call_id, recording_id=recording_id, url="", failed=reason),)
    if status != "completed":
        raise WebhookError("RecordingStatus is not a status that is documented")
    if told.api_url is None:
        url = told.text("RecordingUrl")
    else:
        account = told.identifier("AccountSid")
        url = f"{told.api_url}{told.dialect.api}/Accounts/{account}/Recordings/{recording_id}"
    url += ".wav?RequestedChannels=2" if told.number("RecordingChannels") == 2 else ".wav"
    seconds = told.number("RecordingDuration")
    return (RecordingReady(call_id=call_id, recording_id=recording_id, url=url, duration=seconds),)


def _message(told: _Told) -> tuple[CarrierFact, ...]:
    count = min(told.number("NumMedia") or 0, MAX_MEDIA)
    message = IncomingMessage(
        message_id=told.identifier("MessageSid"),
        sender=told.text("From"),
        recipient=told.text("To"),
        text=told.form.get("Body", ""),
        media=tuple(told.text(f"MediaUrl{number}") for number in range(count)),
    )
    return (message,)


def _message_status(told: _Told) -> tuple[CarrierFact, ...]:
    status = told.text("MessageStatus")
    if status not in _MESSAGES:
        raise WebhookError("MessageStatus is not a status that is documented")
    progress = _MESSAGES[status]
    code = told.number("ErrorCode")
    reason = status + (f" ({code})" if code else "") if progress == "failed" else ""
    return (MessageProgress(message_id=told.identifier("MessageSid"), status=progress, reason=reason),)


_READERS: Mapping[str, Callable[[_Told], tuple[CarrierFact, ...]]] = {
    "voice": _voice,
    "instructions": _instructions,
    "status": _status,
    "amd": _amd,
    "stream": _stream,
    "transfer": _transfer,
    "recording": _recording,
    "message": _message,
    "message-status": _message_status,
}
