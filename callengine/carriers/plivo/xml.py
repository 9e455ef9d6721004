"""What a leg shall do, as the XML that Plivo fetches. No I/O.

Source of the elements and attributes: https://www.plivo.com/docs/voice/xml/ (Stream, Dial, Conference, Speak, Hangup).
"""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

from callengine.carriers.plivo import extra_headers
from callengine.carriers.plivo.numbers import bare
from callengine.errors import ConfigurationError, NotSupported
from callengine.telephony import (
    CallbackUrls,
    ConnectStream,
    DialTarget,
    Instruction,
    JoinRoom,
    ReferTo,
    Refuse,
)

STREAM_TIMEOUT = 86_400
"""Seconds that a stream may last: a day, Plivo's default and the longest that its calls live."""

_STREAM_URL = re.compile(r"wss?://[^\s/?#]+[^\s#]*")
_NUMBER = re.compile(r"\+?[0-9]{2,15}")
_SIP = re.compile(r"sips?:[^\s<>\"]+")
_ROOM = re.compile(r"[A-Za-z0-9_-]{1,80}")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped."""

EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'


def instructions(
    instruction: Instruction | None, urls: CallbackUrls | None, *, content_type: str, answered: bool
) -> str:
    """The document for a leg. ``answered`` says whether it was picked up: only one that was not can be busy.

    Without an instruction the leg ends. Raises `ConfigurationError` for what Plivo would not take, `NotSupported` for
    what it cannot do.
    """
    response = ElementTree.Element("Response")
    if instruction is None:
        ElementTree.SubElement(response, "Hangup")
    elif isinstance(instruction, ConnectStream):
        _stream(response, instruction, urls, content_type)
    elif isinstance(instruction, DialTarget):
        _dial(response, instruction, urls)
    elif isinstance(instruction, JoinRoom):
        _conference(response, instruction)
    elif isinstance(instruction, Refuse):
        _refuse(response, instruction, answered=answered)
    else:
        raise refer_not_supported(instruction)
    return _document(response)


def refer_not_supported(instruction: ReferTo) -> NotSupported:
    """What `ReferTo` raises here: Plivo documents no SIP REFER."""
    del instruction
    return NotSupported("plivo", "hand a leg back by SIP REFER")


def _stream(response: ElementTree.Element, stream: ConnectStream, urls: CallbackUrls | None, content_type: str) -> None:
    """The stream's own end is the end of the call, unless the leg was told something else meanwhile."""
    if _STREAM_URL.fullmatch(stream.url) is None:
        raise ConfigurationError("the stream's URL must look like wss://host/path: set CALLENGINE_PUBLIC_URL")
    element = ElementTree.SubElement(
        response,
        "Stream",
        bidirectional="true",
        keepCallAlive="true",
        audioTrack="inbound",
        contentType=content_type,
        streamTimeout=str(STREAM_TIMEOUT),
    )
    if urls is not None:
        element.set("statusCallbackUrl", urls.to("stream"))
        element.set("statusCallbackMethod", "POST")
    if stream.parameters:
        element.set("extraHeaders", extra_headers.write(stream.parameters))
    element.text = stream.url


def _dial(response: ElementTree.Element, target: DialTarget, urls: CallbackUrls | None) -> None:
    dial = ElementTree.SubElement(
        response, "Dial", callerId=bare(target.caller_id), timeout=str(max(1, math.ceil(target.timeout)))
    )
    if urls is not None:
        dial.set("action", urls.to("transfer"))
        dial.set("method", "POST")
    if _SIP.fullmatch(target.to):
        ElementTree.SubElement(dial, "User").text = target.to
    elif _NUMBER.fullmatch(target.to):
        ElementTree.SubElement(dial, "Number").text = bare(target.to)
    else:
        raise ConfigurationError(
            "a transfer's target must be a number (E.164: a plus sign and its digits) or a sip: address"
        )


def _conference(response: ElementTree.Element, room: JoinRoom) -> None:
    """Silence instead of music for whoever is first, and no beeps: the two expect each other."""
    if _ROOM.fullmatch(room.room) is None:
        raise ConfigurationError(f"room {room.room[:40]!r}: use 1 to 80 letters, digits, hyphens and underscores")
    conference = ElementTree.SubElement(
        response,
        "Conference",
        startConferenceOnEnter="true",
        endConferenceOnExit="true",
        maxMembers="2",
        enterSound="",
        exitSound="",
    )
    conference.text = room.room


def _refuse(response: ElementTree.Element, refusal: Refuse, *, answered: bool) -> None:
    words = _NOT_XML.sub("", refusal.words or "").strip()
    if words:
        ElementTree.SubElement(response, "Speak").text = words
    hangup = ElementTree.SubElement(response, "Hangup")
    if not words and not answered:
        hangup.set("reason", "busy")


def _document(root: ElementTree.Element) -> str:
    text = ElementTree.tostring(root, encoding="unicode")
    if _NOT_XML.search(text):
        raise ConfigurationError("XML cannot hold control characters: remove them from URLs and numbers")
    return f'<?xml version="1.0" encoding="UTF-8"?>{text}'
