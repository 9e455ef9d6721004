"""Text messages (SMS) in Telnyx's webhooks.

Source: https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from callengine.carriers.fields import Malformed, field, object_field, optional_text, text_field
from callengine.telephony import IncomingMessage, MessageProgress

_Status: TypeAlias = Literal["queued", "sent", "delivered", "failed"]

_STATUSES: Mapping[str, _Status] = {
    "queued": "queued",
    "sending": "queued",
    "sent": "sent",
    "delivery_unconfirmed": "sent",
    "delivered": "delivered",
    "webhook_delivered": "delivered",
    "sending_failed": "failed",
    "delivery_failed": "failed",
    "expired": "failed",
}


def received_message(payload: dict[str, Any]) -> IncomingMessage:
    """A message that came. Raises `Malformed`."""
    media = payload.get("media") or ()
    if not isinstance(media, list | tuple):
        raise Malformed("bad field", "media is not a list")
    return IncomingMessage(
        message_id=text_field(payload, "id"),
        sender=text_field(object_field(payload, "from"), "phone_number"),
        recipient=text_field(_recipient(payload), "phone_number"),
        text=optional_text(payload, "text"),
        media=tuple(text_field(entry, "url") for entry in media if isinstance(entry, dict)),
    )


def message_progress(payload: dict[str, Any]) -> MessageProgress:
    """What became of a message that was sent. Raises `Malformed`."""
    status = text_field(_recipient(payload), "status")
    if status not in _STATUSES:
        raise Malformed("bad field", "status is none that Telnyx documents")
    return MessageProgress(message_id=text_field(payload, "id"), status=_STATUSES[status], reason=_reason(payload))


def _recipient(payload: dict[str, Any]) -> dict[str, Any]:
    """Messages of an engine have one."""
    recipients = field(payload, "to")
    first = recipients[0] if isinstance(recipients, list) and recipients else None
    if not isinstance(first, dict):
        raise Malformed("bad field", "to is not a list of recipients")
    return first


def _reason(payload: dict[str, Any]) -> str:
    """The code and title of the first error, such as ``40300: Blocked due to STOP message``."""
    errors = payload.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return ""
    parts = (optional_text(first, "code"), optional_text(first, "title"))
    return ": ".join(part for part in parts if part)[:200]
