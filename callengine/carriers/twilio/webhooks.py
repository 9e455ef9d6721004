"""Twilio's webhooks: what its forms say, and the TwiML that answers them. No I/O.

Sources: https://www.twilio.com/docs/voice/twiml (requests and verbs),
https://www.twilio.com/docs/voice/api/call-resource#statuscallback (call progress events).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal
from xml.etree import ElementTree

import attrs

from callengine.carriers.twilio.signature import parse_form
from callengine.errors import CallEngineError, ConfigurationError

FINAL_STATUSES = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
"""After which a call has no other status."""
_STATUSES = FINAL_STATUSES | {"queued", "initiated", "ringing", "in-progress"}

MAX_PARAMETER = 500
"""Characters: name and value of one ``<Parameter>`` together must stay below (Twilio's ``<Stream>`` page)."""

_CALL_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")
_STREAM_URL = re.compile(r"(wss?)://[^\s/?#]+(/[^\s?#]*)?")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped."""


class WebhookError(CallEngineError):
    """A webhook's form lacks something or is malformed: answer 400. The message does not quote the form."""


@attrs.frozen
class InboundCall:
    """A call that waits for instructions. Numbers are E.164, ``client:``, ``sip:``, or words such as ``anonymous``."""

    call_id: str
    caller: str = attrs.field(repr=False)
    callee: str = attrs.field(repr=False)
    parameters: Mapping[str, str] = attrs.field(repr=False)
    """The whole form, by field name: ``CallStatus``, ``Direction``, ``CallerName``, ..."""


@attrs.frozen
class CallStatusUpdate:
    """One call progress event. ``sequence`` counts a call's events from 0; deliveries may overtake each other."""

    call_id: str
    status: str
    sequence: int
    duration: int | None = None
    """Seconds the call lasted; only with a final status."""
    sip_code: int | None = None
    """The far end's SIP response (486 busy, 404 unreachable, ...); only with a final status."""

    @property
    def final(self) -> bool:
        return self.status in FINAL_STATUSES


class CallStatus:
    """The latest known status of one call, whatever the order and number of deliveries."""

    def __init__(self) -> None:
        self.latest: CallStatusUpdate | None = None

    def apply(self, update: CallStatusUpdate) -> bool:
        """Take an update if it is news: later than the latest, which must not be final. Returns whether it was."""
        if self.latest is not None and (self.latest.final or update.sequence <= self.latest.sequence):
            return False
        self.latest = update
        return True


def parse_webhook(body: bytes) -> dict[str, str]:
    """The fields of a webhook's form body (or query); of a repeated field the last value.

    Raises `WebhookError` for what is not a form.
    """
    fields = parse_form(body)
    if fields is None:
        raise WebhookError("the request's body is not a form")
    return dict(fields)


def inbound_call(form: Mapping[str, str]) -> InboundCall:
    """The call that a voice webhook announces. Raises `WebhookError`."""
    return InboundCall(
        call_id=check_call_id(_required(form, "CallSid")),
        caller=_required(form, "From"),
        callee=_required(form, "To"),
        parameters=dict(form),
    )


def call_status_update(form: Mapping[str, str]) -> CallStatusUpdate:
    """What a call status callback says. Raises `WebhookError`."""
    status = _required(form, "CallStatus")
    if status not in _STATUSES:
        raise WebhookError("CallStatus is not a status that Twilio documents")
    sequence = _number(form, "SequenceNumber")
    if sequence is None:
        raise WebhookError("SequenceNumber is missing: is this a call progress event?")
    return CallStatusUpdate(
        call_id=check_call_id(_required(form, "CallSid")),
        status=status,
        sequence=sequence,
        duration=_number(form, "CallDuration"),
        sip_code=_number(form, "SipResponseCode"),
    )


def check_call_id(value: str) -> str:
    """The value, if it is shaped like a call's SID (two capitals, 32 hexadecimal digits); else `WebhookError`."""
    if _CALL_SID.fullmatch(value) is None:
        raise WebhookError("CallSid is not two capitals and 32 hexadecimal digits")
    return value


def stream_twiml(
    url: str, parameters: Mapping[str, str] | None = None, action: str | None = None, *, allow_ws: bool = False
) -> str:
    """Connect the call to a bidirectional media stream.

    ``parameters`` arrive with the stream's start message; ``action`` is the URL that Twilio asks for more TwiML when
    the stream ends (without one the call ends then). ``allow_ws`` permits an unencrypted URL, for local development.

    Raises `ConfigurationError` for a URL with a query (Twilio does not connect to those: error 31920) or not absolute
    or not ``wss``, and for a parameter that is too long or that XML cannot hold.
    """
    match = _STREAM_URL.fullmatch(url)
    if match is None:
        raise ConfigurationError(f"stream URL {url!r} must be wss://host/path, without query: use parameters instead")
    if match[1] != "wss" and not allow_ws:
        raise ConfigurationError(f"stream URL {url!r} must be wss: Twilio connects to nothing else")
    root = ElementTree.Element("Response")
    connect = ElementTree.SubElement(root, "Connect")
    if action is not None:
        connect.set("action", action)
    stream = ElementTree.SubElement(connect, "Stream", url=url)
    for name, value in (parameters or {}).items():
        if not name or len(name) + len(value) >= MAX_PARAMETER:
            raise ConfigurationError(
                f"stream parameter {name[:40]!r}: name and value must have 1 to {MAX_PARAMETER - 1} characters together"
            )
        ElementTree.SubElement(stream, "Parameter", name=name, value=value)
    return _document(root)


def reject_twiml(reason: Literal["busy", "rejected"] = "rejected") -> str:
    """Do not answer the call: the caller hears a busy tone, or that the number is not in service."""
    root = ElementTree.Element("Response")
    ElementTree.SubElement(root, "Reject", reason=reason)
    return _document(root)


def say_and_hangup_twiml(text: str) -> str:
    """Let Twilio's own voice say something, then end the call. Characters that XML cannot hold are left out."""
    root = ElementTree.Element("Response")
    ElementTree.SubElement(root, "Say").text = _NOT_XML.sub("", text)
    ElementTree.SubElement(root, "Hangup")
    return _document(root)


def _document(root: ElementTree.Element) -> str:
    text = ElementTree.tostring(root, encoding="unicode")
    if _NOT_XML.search(text):
        raise ConfigurationError("TwiML cannot hold control characters: remove them from URLs and parameters")
    return f'<?xml version="1.0" encoding="UTF-8"?>{text}'


def _required(form: Mapping[str, str], name: str) -> str:
    if name not in form:
        raise WebhookError(f"{name} is missing")
    return form[name]


def _number(form: Mapping[str, str], name: str) -> int | None:
    """A field of decimal digits; None where it is missing or empty."""
    value = form.get(name, "")
    if not value:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) <= 9):
        raise WebhookError(f"{name} is not a whole number")
    return int(value)
