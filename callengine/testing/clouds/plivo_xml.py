"""A small interpreter of Plivo's XML: a simulated Plivo's legs do what the documents say.

Source: https://www.plivo.com/docs/voice/xml/ and the pages of its elements. Elements that it does not know, attributes
that the page of an element does not have and values that Plivo would not take are written down as mistakes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlsplit
from xml.etree import ElementTree

import httpx
import trio

from callengine.carriers.plivo import extra_headers
from callengine.carriers.plivo.numbers import e164
from callengine.carriers.plivo.wire import CONTENT_TYPES
from callengine.testing.clouds.legs import CloudLeg
from callengine.testing.clouds.phones import Ending

STATUS: Mapping[str, str] = {
    "queued": "queued",
    "initiated": "initiated",
    "ringing": "ringing",
    "answered": "in-progress",
    "completed": "completed",
    "busy": "busy",
    "no answer": "no-answer",
    "failed": "failed",
    "canceled": "cancel",
}
_CAUSES = {
    "completed": "NORMAL_CLEARING",
    "busy": "USER_BUSY",
    "no answer": "NO_ANSWER",
    "failed": "UNALLOCATED_NUMBER",
    "canceled": "ORIGINATOR_CANCEL",
}
_ATTRIBUTES = {
    "Stream": {
        *("bidirectional", "audioTrack", "streamTimeout", "statusCallbackUrl", "statusCallbackMethod"),
        *("contentType", "extraHeaders", "keepCallAlive"),
    },
    "Speak": {"voice", "language", "loop"},
    "Wait": {"length", "silence", "minSilence", "beep"},
    "Dial": {
        *("action", "method", "hangupOnStar", "timeLimit", "timeout", "callerId", "callerName", "confirmSound"),
        *("confirmKey", "dialMusic", "callbackUrl", "callbackMethod", "redirect", "digitsMatch", "sipHeaders"),
    },
    "Number": {"sendDigits", "sendOnPreanswer"},
    "User": {"sendDigits", "sendOnPreanswer", "sipHeaders"},
    "Conference": {
        *("muted", "enterSound", "exitSound", "startConferenceOnEnter", "endConferenceOnExit", "stayAlone"),
        *("waitSound", "maxMembers", "record", "recordFileFormat", "timeLimit", "hangupOnStar", "action", "method"),
        *("callbackUrl", "callbackMethod", "digitsMatch", "floorEvent", "redirect", "relayDTMF"),
    },
    "Redirect": {"method"},
    "Hangup": {"reason", "schedule"},
}
MAX_MEMBERS = 20


def hangup_cause(ending: Ending) -> str:
    """The telephone network's word for how a leg came to its end."""
    return "CALL_REJECTED" if ending.reason in ("declined", "rejected") else _CAUSES[ending.progress]


class Exchange(Protocol):
    """What the interpreter needs of the cloud."""

    mistakes: list[str]

    def answer(self, leg: CloudLeg) -> None: ...

    def end(self, leg: CloudLeg, ending: Ending) -> None: ...

    def hang_up(self, leg: CloudLeg) -> None: ...

    async def ask(self, leg: CloudLeg, url: str, **more: str) -> httpx.Response | None:
        """Request a document, with what is known about the leg."""

    def speaks(self, content_type: str) -> None:
        """The next streams have this audio."""

    async def stream(self, leg: CloudLeg, url: str, parameters: Mapping[str, str] | None = None) -> bool: ...

    async def say(self, leg: CloudLeg, text: str) -> None: ...

    async def dial_from(self, leg: CloudLeg, to: str, shown: str, *, timeout: float, **data: Any) -> CloudLeg: ...

    async def confer(self, leg: CloudLeg, name: str, *, starts: bool, ends: bool, maximum: int) -> bool: ...


class Interpreter:
    """Carries out documents on one leg, until one has no more elements: then the leg is hung up."""

    def __init__(self, cloud: Exchange, leg: CloudLeg) -> None:
        self._cloud = cloud
        self._leg = leg

    async def run_from(self, url: str, **more: str) -> None:
        """The document that is fetched from here, and whatever follows."""
        document = await self._fetch(url, **more)
        while document is not None and not self._leg.over.is_set():
            following = None
            for element in self._elements(document):
                self._check(element)
                following = await self._carry_out(element)
                if following is not None or self._leg.over.is_set():
                    break
            document = following
        self._cloud.hang_up(self._leg)

    async def _fetch(self, url: str, **more: str) -> str | None:
        response = await self._cloud.ask(self._leg, url, **more)
        if response is None or response.status_code >= 400:
            status = "no answer" if response is None else response.status_code
            self._complain(f"{urlsplit(url).path}: {status}")
            return None
        kind = response.headers.get("content-type", "").partition(";")[0]
        if kind not in ("text/xml", "application/xml"):
            self._complain(f"{urlsplit(url).path}: a document of type {kind!r}")
            return None
        return response.text

    def _elements(self, document: str) -> list[ElementTree.Element]:
        try:
            root = ElementTree.fromstring(document)
        except ElementTree.ParseError as error:
            self._complain(f"not XML: {error}")
            return []
        if root.tag != "Response":
            self._complain(f"the document's element is {root.tag}")
            return []
        return list(root)

    def _check(self, element: ElementTree.Element) -> None:
        for part in element.iter():
            known = _ATTRIBUTES.get(part.tag)
            if known is None:
                self._complain(f"there is no {part.tag}")
            elif set(part.attrib) - known:
                self._complain(f"{part.tag} has no {sorted(set(part.attrib) - known)}")

    async def _carry_out(self, element: ElementTree.Element) -> str | None:
        """Do one element; returns the next document, where there is another."""
        leg, cloud = self._leg, self._cloud
        if element.tag == "Hangup":
            self._hang_up(element.get("reason"))
            return None
        cloud.answer(leg)
        match element.tag:
            case "Speak":
                await cloud.say(leg, element.text or "")
            case "Wait":
                await trio.sleep(float(element.get("length", "1")))
            case "Stream":
                await self._stream(element)
            case "Conference":
                await self._confer(element)
            case "Dial":
                return await self._dial(element)
            case "Redirect":
                return await self._next((element.text or "").strip(), Event="Redirect")
        return None

    def _hang_up(self, reason: str | None) -> None:
        if self._leg.answered.is_set() or self._leg.direction != "inbound" or reason is None:
            self._cloud.hang_up(self._leg)
        elif reason == "busy":
            self._cloud.end(self._leg, Ending("busy", "busy", 486))
        elif reason == "rejected":
            self._cloud.end(self._leg, Ending("failed", "rejected", 603))
        else:
            self._complain(f"Hangup has no reason {reason!r}")
            self._cloud.hang_up(self._leg)

    async def _stream(self, stream: ElementTree.Element) -> None:
        url, headers = (stream.text or "").strip(), stream.get("extraHeaders", "")
        content_type = stream.get("contentType", "audio/x-l16;rate=8000")
        if urlsplit(url).scheme not in ("wss", "ws"):
            self._complain("the stream's URL is not wss")
        elif content_type not in CONTENT_TYPES:
            self._complain(f"there is no contentType {content_type!r}")
        elif stream.get("bidirectional") != "true" or stream.get("audioTrack", "inbound") != "inbound":
            self._complain("the stream is not bidirectional, or not of the inbound track")
        elif len(headers) > extra_headers.MAX_LENGTH or re.search("[^A-Za-z0-9=,]", headers):
            self._complain("extraHeaders are too long, or not of letters and digits")
        elif stream.get("keepCallAlive") != "true":
            self._complain("without keepCallAlive the document ends, and with it the call")
        else:
            self._leg.data["stream_status"] = stream.get("statusCallbackUrl")
            self._cloud.speaks(content_type)
            await self._cloud.stream(self._leg, url, extra_headers.read(headers))

    async def _confer(self, room: ElementTree.Element) -> None:
        await self._cloud.confer(
            self._leg,
            (room.text or "").strip(),
            starts=room.get("startConferenceOnEnter", "true") == "true",
            ends=room.get("endConferenceOnExit", "false") == "true",
            maximum=int(room.get("maxMembers", MAX_MEMBERS)),
        )

    async def _dial(self, dial: ElementTree.Element) -> str | None:
        target = next((part for part in dial if part.tag in ("Number", "User")), None)
        if target is None:
            self._complain("Dial has nobody to call")
            return None
        action, leg = dial.get("action"), self._leg
        # Where the leg is hung up in the middle of it, the action is told all the same, and its answer not carried out.
        leg.data["dial_action"] = action
        shown = dial.get("callerId", leg.line if leg.direction == "outbound" else leg.phone)
        ring = partial(self._cloud.dial_from, leg, e164((target.text or "").strip()), e164(shown))
        other = await ring(timeout=float(dial.get("timeout", "120")))
        leg.data["dial_action"] = None
        return None if action is None else await self._next(action, **dialled_fields(leg, other), Event="Redirect")

    async def _next(self, url: str, **more: str) -> str | None:
        return await self._fetch(url, **more) or "<Response/>"

    def _complain(self, mistake: str) -> None:
        self._cloud.mistakes.append(mistake)


def dialled_fields(leg: CloudLeg, other: CloudLeg) -> dict[str, str]:
    """What a ``<Dial>``'s action is told."""
    ending = other.ending or Ending("canceled")
    answered = other.answered.is_set()
    return {
        "DialStatus": "completed" if answered else STATUS[ending.progress],
        "DialRingStatus": "true" if other.since("ringing") is not None else "false",
        "DialHangupCause": "NORMAL_CLEARING" if answered else hangup_cause(ending),
        "DialALegUUID": leg.call_id,
        "DialBLegUUID": other.call_id if answered else "",
    }
