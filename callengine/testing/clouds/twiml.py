"""A small TwiML interpreter: a simulated Twilio's legs do what the documents say.

Sources: https://www.twilio.com/docs/voice/twiml and the pages of its verbs. Verbs that it does not know, attributes
that the page of a verb does not have and values that Twilio would not take are written down as mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

import httpx
import trio

from callengine.testing.clouds.legs import CloudLeg
from callengine.testing.clouds.phones import Ending

DIAL_STATUS: Mapping[str, str] = {
    "completed": "completed",
    "busy": "busy",
    "no answer": "no-answer",
    "failed": "failed",
    "canceled": "canceled",
}

_ATTRIBUTES = {
    "Connect": {"action", "method"},
    "Stream": {"url", "name", "track", "statusCallback", "statusCallbackMethod"},
    "Parameter": {"name", "value"},
    "Say": {"voice", "language", "loop"},
    "Pause": {"length"},
    "Play": {"digits", "loop"},
    "Dial": {
        *("action", "method", "timeout", "timeLimit", "callerId", "hangupOnStar", "answerOnBridge", "ringTone"),
        *("record", "recordingTrack", "trim", "recordingStatusCallback", "sequential", "referUrl", "referMethod"),
    },
    "Number": {"sendDigits", "url", "method", "statusCallback", "statusCallbackEvent", "statusCallbackMethod"},
    "Sip": {"username", "password", "url", "method", "statusCallback", "statusCallbackEvent"},
    "Client": {"url", "method", "statusCallback", "statusCallbackEvent"},
    "Conference": {
        *("muted", "beep", "startConferenceOnEnter", "endConferenceOnExit", "waitUrl", "waitMethod"),
        *("maxParticipants", "record", "trim", "coach", "participantLabel", "jitterBufferSize"),
        *("statusCallback", "statusCallbackEvent", "statusCallbackMethod"),
    },
    "Refer": {"action", "method"},
    "Redirect": {"method"},
    "Hangup": set(),
    "Reject": {"reason"},
}
MAX_PARAMETER = 500
"""Characters that a parameter's name and value must stay below together."""


class Exchange(Protocol):
    """What the interpreter needs of the cloud."""

    mistakes: list[str]

    def answer(self, leg: CloudLeg) -> None: ...

    def end(self, leg: CloudLeg, ending: Ending) -> None: ...

    def hang_up(self, leg: CloudLeg) -> None: ...

    async def ask(self, leg: CloudLeg, url: str, **more: str) -> httpx.Response | None:
        """Request a document, with what is known about the leg."""

    async def stream(self, leg: CloudLeg, url: str, parameters: Mapping[str, str] | None = None) -> bool: ...

    async def say(self, leg: CloudLeg, text: str) -> None: ...

    async def dial_from(self, leg: CloudLeg, to: str, shown: str, *, timeout: float, **data: Any) -> CloudLeg: ...

    async def confer(self, leg: CloudLeg, name: str, *, starts: bool, ends: bool, maximum: int) -> bool: ...

    def refer_result(self, to: str) -> tuple[str, int]:
        """The status and the SIP code of a referral."""


class Interpreter:
    """Carries out documents on one leg, until one has no more verbs: then the leg is hung up."""

    def __init__(self, cloud: Exchange, leg: CloudLeg) -> None:
        self._cloud = cloud
        self._leg = leg

    async def run_from(self, url: str, **more: str) -> None:
        """The document that is fetched from here, and whatever follows."""
        await self.run(await self._fetch(url, **more), url)

    async def run(self, document: str | None, base: str = "") -> None:
        """This document, and whatever follows. ``base`` is where it came from."""
        while document is not None:
            following = None
            for verb in self._verbs(document):
                self._check(verb)
                following = await self._carry_out(verb, base)
                if following is not None or self._leg.over.is_set():
                    break
            if following is None:
                break
            base, document = following
        self._cloud.hang_up(self._leg)

    async def _fetch(self, url: str, **more: str) -> str | None:
        response = await self._cloud.ask(self._leg, url, **more)
        if response is None or response.status_code >= 400:
            status = "no answer" if response is None else response.status_code
            self._complain(f"11200: {urlsplit(url).path}: {status}")
            return None
        kind = response.headers.get("content-type", "").partition(";")[0]
        if response.content.strip() and kind not in ("text/xml", "application/xml"):
            self._complain(f"12300: a document of type {kind!r}")
            return None
        return response.text or "<Response/>"

    def _verbs(self, document: str) -> list[ElementTree.Element]:
        try:
            root = ElementTree.fromstring(document)
        except ElementTree.ParseError as error:
            self._complain(f"12100: {error}")
            return []
        if root.tag != "Response":
            self._complain(f"12102: the document's element is {root.tag}")
            return []
        return list(root)

    def _check(self, verb: ElementTree.Element) -> None:
        for element in verb.iter():
            known = _ATTRIBUTES.get(element.tag)
            if known is None:
                self._complain(f"12200: there is no {element.tag}")
            elif set(element.attrib) - known:
                self._complain(f"12200: {element.tag} has no {sorted(set(element.attrib) - known)}")

    async def _carry_out(self, verb: ElementTree.Element, base: str) -> tuple[str, str] | None:
        """Do one verb; returns the next document with its address, where there is another."""
        leg, cloud = self._leg, self._cloud
        match verb.tag:
            case "Reject":
                self._reject(verb)
                return None
            case "Hangup":
                cloud.hang_up(leg)
                return None
            case "Redirect":
                return await self._next(urljoin(base, verb.text or ""))
            case "Dial" if verb.get("answerOnBridge") == "true":
                pass
            case _:
                cloud.answer(leg)
        match verb.tag:
            case "Say":
                await cloud.say(leg, verb.text or "")
            case "Pause":
                await trio.sleep(float(verb.get("length", "1")))
            case "Play":
                await self._play(verb)
            case "Connect":
                return await self._connect(verb, base)
            case "Dial":
                return await self._dial(verb, base)
            case "Refer":
                return await self._refer(verb, base)
        return None

    def _reject(self, verb: ElementTree.Element) -> None:
        if self._leg.answered.is_set() or self._leg.direction != "inbound":
            self._complain("12200: Reject on a call that was answered")
            self._cloud.hang_up(self._leg)
        elif verb.get("reason") == "busy":
            self._cloud.end(self._leg, Ending("busy", "busy", 486))
        else:
            self._cloud.end(self._leg, Ending("no answer", "rejected", 603))

    async def _play(self, verb: ElementTree.Element) -> None:
        for digit in verb.get("digits", ""):
            if digit in "wW":
                await trio.sleep(0.5 if digit == "w" else 1.0)
            else:
                self._leg.keys_heard += digit
                await trio.sleep(0.2)

    async def _connect(self, verb: ElementTree.Element, base: str) -> tuple[str, str] | None:
        stream = verb.find("Stream")
        url = "" if stream is None else urljoin(base, stream.get("url", ""))
        scheme = urlsplit(url).scheme
        if stream is None or scheme not in ("wss", "ws"):
            self._complain("31922: the stream's URL is not wss")
        elif urlsplit(url).query:
            self._complain("31920: the stream's URL has a query")
        elif stream.get("track", "inbound_track") != "inbound_track":
            self._complain("31941: a bidirectional stream has the inbound track only")
        else:
            self._leg.data["stream_status"] = stream.get("statusCallback")
            await self._cloud.stream(self._leg, url, self._parameters(stream))
        action = verb.get("action")
        return None if action is None else await self._next(urljoin(base, action))

    def _parameters(self, stream: ElementTree.Element) -> dict[str, str]:
        parameters = {entry.get("name", ""): entry.get("value", "") for entry in stream.findall("Parameter")}
        for name, value in parameters.items():
            if not name or len(name) + len(value) >= MAX_PARAMETER:
                self._complain(f"12200: parameter {name[:40]!r} has {len(name) + len(value)} characters")
        return parameters

    async def _dial(self, verb: ElementTree.Element, base: str) -> tuple[str, str] | None:
        action = verb.get("action")
        room = verb.find("Conference")
        # Where the leg is hung up in the middle of it, the action is told all the same, and its answer not carried out.
        self._leg.data["dial_action"] = None if action is None else urljoin(base, action)
        result = await self._ring(verb) if room is None else await self._confer(room)
        self._leg.data["dial_action"] = None
        return None if action is None else await self._next(urljoin(base, action), **result)

    async def _confer(self, room: ElementTree.Element) -> dict[str, str]:
        self._cloud.answer(self._leg)
        came = await self._cloud.confer(
            self._leg,
            (room.text or "").strip(),
            starts=room.get("startConferenceOnEnter", "true") == "true",
            ends=room.get("endConferenceOnExit", "false") == "true",
            maximum=int(room.get("maxParticipants", "250")),
        )
        return {"DialCallStatus": "answered" if came else "failed"}

    async def _ring(self, verb: ElementTree.Element) -> dict[str, str]:
        target = next((noun for noun in verb if noun.tag in ("Number", "Sip", "Client")), None)
        to = (verb.text if target is None else target.text) or ""
        shown = verb.get("callerId", self._leg.line if self._leg.direction == "outbound" else self._leg.phone)
        ring = partial(self._cloud.dial_from, self._leg, to.strip(), shown)
        other = await ring(timeout=float(verb.get("timeout", "30")))
        assert other.ending is not None
        result = {"DialCallStatus": DIAL_STATUS[other.ending.progress], "DialCallSid": other.call_id}
        since = other.since("answered")
        result["DialBridged"] = "false" if since is None else "true"
        if since is not None:
            result["DialCallDuration"] = str(round(other.states[-1][0] - since))
        return result

    async def _refer(self, verb: ElementTree.Element, base: str) -> tuple[str, str] | None:
        to = verb.findtext("Sip", "").strip()
        if not self._leg.phone.startswith("sip:"):
            self._complain("13247: Refer on a leg that is not SIP")
            return None
        status, code = self._cloud.refer_result(to)
        action = verb.get("action")
        if action is None:
            return None
        return await self._next(urljoin(base, action), ReferCallStatus=status, ReferSipResponseCode=str(code))

    async def _next(self, url: str, **more: str) -> tuple[str, str] | None:
        document = await self._fetch(url, **more)
        return (url, document or "<Response/>")

    def _complain(self, mistake: str) -> None:
        self._cloud.mistakes.append(mistake)
