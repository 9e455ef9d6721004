"""TwiML: what a leg is told to do, as XML. No I/O.

Sources: https://www.twilio.com/docs/voice/twiml and the pages of its verbs (``<Stream>``, ``<Dial>``, ``<Conference>``,
``<Refer>``, ``<Reject>``); https://developer.signalwire.com/compatibility-api/cxml/ has the same verbs.
"""

from __future__ import annotations

import math
import re
from typing import assert_never
from xml.etree import ElementTree

from callengine.errors import ConfigurationError
from callengine.telephony import CallbackUrls, ConnectStream, DialTarget, Instruction, JoinRoom, ReferTo, Refuse

MAX_PARAMETER = 500
"""Characters: name and value of one ``<Parameter>`` together must stay below (Twilio's ``<Stream>`` page)."""
MAX_RING = 600
"""Seconds: the longest ``timeout`` of ``<Dial>``, and of a call that is made."""
NOTHING = '<?xml version="1.0" encoding="UTF-8"?><Response />'
"""Do nothing: a call ends, a message is not answered."""

_STREAM_URL = re.compile(r"wss?://[^\s/?#]+(/[^\s?#]*)?")
_NUMBER = re.compile(r"\+?[0-9]{2,15}")
_SIP = re.compile(r"sips?:[^\s<>]+")
_CLIENT = re.compile(r"client:(\S+)")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped."""


def twiml(instruction: Instruction, urls: CallbackUrls | None = None, *, live: bool = False) -> str:
    """The document that makes a leg do this; ``urls`` is where Twilio says what became of it, None where nobody asks.

    A ``live`` leg was answered before: it can be hung up, but not be refused as busy.
    Raises `ConfigurationError` for what Twilio would not take.
    """
    root = ElementTree.Element("Response")
    match instruction:
        case ConnectStream():
            _connect(root, instruction, urls)
        case DialTarget():
            _dial(root, instruction, urls)
        case ReferTo():
            _refer(root, instruction, urls)
        case JoinRoom():
            _join(root, instruction)
        case Refuse():
            _refuse(root, instruction, live)
        case _:
            assert_never(instruction)
    text = ElementTree.tostring(root, encoding="unicode")
    if _NOT_XML.search(text):
        raise ConfigurationError("TwiML cannot hold control characters: remove them from URLs, names and parameters")
    return f'<?xml version="1.0" encoding="UTF-8"?>{text}'


def _connect(root: ElementTree.Element, instruction: ConnectStream, urls: CallbackUrls | None) -> None:
    """When the stream ends, the call does: there is no verb behind, and no ``action``.

    An unencrypted URL is for development; Twilio itself connects to ``wss`` alone.
    """
    if _STREAM_URL.fullmatch(instruction.url) is None:  # with a query: error 31920. The URL itself holds a token
        raise ConfigurationError("a stream's URL must be wss://host/path, without query: use parameters instead")
    stream = ElementTree.SubElement(ElementTree.SubElement(root, "Connect"), "Stream", url=instruction.url)
    if urls is not None:
        stream.set("statusCallback", urls.to("stream"))
    for name, value in instruction.parameters.items():
        if not name or len(name) + len(value) >= MAX_PARAMETER:
            raise ConfigurationError(
                f"stream parameter {name[:40]!r}: name and value must have 1 to {MAX_PARAMETER - 1} characters together"
            )
        ElementTree.SubElement(stream, "Parameter", name=name, value=value)


def _dial(root: ElementTree.Element, instruction: DialTarget, urls: CallbackUrls | None) -> None:
    """``answerOnBridge``: a caller who was not answered before is answered when the target is."""
    dial = ElementTree.SubElement(
        root,
        "Dial",
        callerId=instruction.caller_id,
        timeout=str(min(max(1, math.ceil(instruction.timeout)), MAX_RING)),
        answerOnBridge="true",
    )
    if urls is not None:
        dial.set("action", urls.to("transfer"))
    if _SIP.fullmatch(instruction.to):
        ElementTree.SubElement(dial, "Sip").text = instruction.to
    elif client := _CLIENT.fullmatch(instruction.to):
        ElementTree.SubElement(dial, "Client").text = client[1]
    elif _NUMBER.fullmatch(instruction.to):
        ElementTree.SubElement(dial, "Number").text = instruction.to
    else:
        raise ConfigurationError("the target of a transfer must be a number in E.164, sip:user@host or client:name")


def _refer(root: ElementTree.Element, instruction: ReferTo, urls: CallbackUrls | None) -> None:
    if _SIP.fullmatch(instruction.to) is None:
        raise ConfigurationError("a call can only be referred to an address such as sip:user@host")
    refer = ElementTree.SubElement(root, "Refer")
    if urls is not None:
        refer.set("action", urls.to("transfer"))
    ElementTree.SubElement(refer, "Sip").text = instruction.to


def _join(root: ElementTree.Element, instruction: JoinRoom) -> None:
    """Whoever leaves ends the room for both, and with nothing behind it their legs."""
    conference = ElementTree.SubElement(
        ElementTree.SubElement(root, "Dial"),
        "Conference",
        beep="false",
        startConferenceOnEnter="true",
        endConferenceOnExit="true",
        maxParticipants="2",
    )
    conference.text = instruction.room


def _refuse(root: ElementTree.Element, instruction: Refuse, live: bool) -> None:
    """``<Reject>`` is for calls that nobody answered. Of the words, what XML cannot hold is left out."""
    if instruction.words is not None:
        ElementTree.SubElement(root, "Say").text = _NOT_XML.sub("", instruction.words)
    elif not live:
        ElementTree.SubElement(root, "Reject", reason="busy")
        return
    ElementTree.SubElement(root, "Hangup")
