"""What a carrier does with the document that a voice webhook answers: TwiML and its relatives, and Plivo's XML.

Sources: https://www.twilio.com/docs/voice/twiml, https://www.plivo.com/docs/voice/xml/. Twilio's codes:
https://www.twilio.com/docs/api/errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

import attrs

from callengine.cli.simulation.carriers import Dialect

MAX_PARAMETER = 500
"""Characters of a stream parameter's name and value together: Twilio takes less than that
(https://www.twilio.com/docs/voice/twiml/stream)."""
LONGEST_DOCUMENT = 65_536
"""Characters of a document that are read; Twilio takes 64 kB (error 11750)."""


class BadDocument(Exception):
    """The carrier would not carry this document out; the message is what it would log."""


@attrs.frozen
class OpenStream:
    """Open a media stream; when the server ends it, ask ``then`` (a URL) what to do, if there is one."""

    url: str
    parameters: Mapping[str, str] = attrs.field(factory=dict)
    then: str | None = None


@attrs.frozen
class Speak:
    """The carrier's own voice says something."""

    text: str


@attrs.frozen
class Pause:
    """The carrier says nothing for so long."""

    seconds: float


@attrs.frozen
class Fetch:
    """Another document takes over."""

    url: str


@attrs.frozen
class End:
    """The call is over."""

    why: str


@attrs.frozen
class Skip:
    """Something that a simulation has no use for."""

    what: str


Step: TypeAlias = OpenStream | Speak | Pause | Fetch | End | Skip


def read_document(text: str, dialect: Dialect, base: str) -> list[Step]:
    """The steps of a document that was answered at the URL ``base``. Raises `BadDocument`."""
    code = "12100: " if dialect.name == "twilio" else ""
    if len(text) > LONGEST_DOCUMENT or "<!" in text.replace("<!--", "").replace("<![CDATA[", ""):
        raise BadDocument(f"{code}a document that is too long, or has a document type")
    try:
        root = ElementTree.fromstring(text.strip().encode())
    except (ElementTree.ParseError, ValueError) as error:
        raise BadDocument(f"{code}the document is no XML: {error}") from None
    if root.tag != "Response":
        raise BadDocument(f"{code}the document is a <{root.tag}>, not a <Response>")
    read = _plivo if dialect.name == "plivo" else _twiml
    return [step for element in root for step in read(element, dialect, base)]


def check_stream(step: OpenStream, dialect: Dialect, *, insecure_allowed: bool) -> list[str]:
    """What the carrier has against a stream's URL and parameters, in its own terms."""
    parts = urlsplit(step.url)
    complaints = []
    if not parts.netloc or parts.scheme not in ("ws", "wss"):
        complaints.append(dialect.says("address", step.url[:80]))
    elif parts.scheme != "wss" and not insecure_allowed:
        complaints.append(dialect.says("scheme"))
    if parts.query and not dialect.query_allowed:
        complaints.append(dialect.says("query"))
    for name, value in step.parameters.items():
        if dialect.name == "twilio" and len(name) + len(value) >= MAX_PARAMETER:
            complaints.append(f"12200: the parameter {name[:40]} has {MAX_PARAMETER} characters or more")
    return complaints


def _twiml(element: ElementTree.Element, _: Dialect, base: str) -> Iterator[Step]:
    stream = element.find("Stream") if element.tag == "Connect" else None
    if stream is not None:
        parameters = {each.get("name", ""): each.get("value", "") for each in stream.findall("Parameter")}
        action = element.get("action")
        yield OpenStream(stream.get("url", ""), parameters, None if action is None else urljoin(base, action))
    elif element.tag == "Say":
        yield Speak((element.text or "").strip())
    elif element.tag == "Pause":
        yield Pause(_seconds(element.get("length"), 1.0))
    elif element.tag == "Redirect":
        yield Fetch(urljoin(base, (element.text or "").strip()))
    elif element.tag == "Reject":
        yield End(f"rejected ({element.get('reason', 'rejected')})")
    elif element.tag == "Hangup":
        yield End("hung up")
    else:
        yield Skip(f"<{element.tag}>")


def _plivo(element: ElementTree.Element, _: Dialect, base: str) -> Iterator[Step]:
    text = (element.text or "").strip()
    if element.tag == "Stream":
        yield OpenStream(text, _extra_headers(element.get("extraHeaders", "")))
    elif element.tag == "Speak":
        yield Speak(text)
    elif element.tag == "Wait":
        yield Pause(_seconds(element.get("length"), 1.0))
    elif element.tag == "Redirect":
        yield Fetch(urljoin(base, text))
    elif element.tag == "Hangup":
        reason = element.get("reason")
        yield End("hung up" if reason is None else f"rejected ({reason})")
    else:
        yield Skip(f"<{element.tag}>")


def _extra_headers(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _seconds(text: str | None, otherwise: float) -> float:
    try:
        return min(60.0, max(0.0, float(text))) if text is not None else otherwise
    except ValueError:
        return otherwise
