"""Twilio's commands: requests to its API, and to those that are made like it.

Sources: https://www.twilio.com/docs/voice/api/call-resource, /docs/voice/api/recording,
/docs/messaging/api/message-resource, /docs/phone-numbers/api/incomingphonenumber-resource and
/docs/api/errors (error codes).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from callengine.carriers.rest import Problem, Rest, default_fault, error_object, is_at
from callengine.carriers.twilio.dialect import Dialect
from callengine.carriers.twilio.twiml import MAX_RING, twiml
from callengine.errors import CarrierError, CarrierFault, NotSupported
from callengine.telephony import (
    CallbackUrls,
    Instruction,
    JoinRoom,
    NewLeg,
    NewMessage,
    PhoneNumber,
)

MAX_TEXT = 1600
"""Characters of a text message."""
PAGE = 100
"""Numbers a page; Twilio's limit is 1,000."""
MAX_PAGES = 100
"""Pages after which a list that does not end is an error."""

_DIGITS = re.compile(r"[0-9*#wW]{1,32}")
_FAULTS: Mapping[str, CarrierFault] = {
    "20003": "configuration",  # authentication
    "20005": "configuration",  # account not active
    "20404": "gone",
    "20429": "rate",
    "21205": "configuration",  # a URL of ours
    "21210": "configuration",  # From is not the account's
    "21212": "configuration",  # From is no number
    "21220": "gone",  # the call is not in progress
    "21606": "configuration",  # From cannot send messages
}


class TwilioControl:
    """A `callengine.telephony.CarrierControl`.

    ``name`` is the carrier's in errors, ``account`` stands in every path, ``auth`` is the user and password of every
    request. Nothing that acts is repeated but after 429: Twilio has no key by which it would know a repetition.
    """

    def __init__(
        self, name: str, dialect: Dialect, api_url: str, account: str, auth: tuple[str, str], http: httpx.AsyncClient
    ) -> None:
        self._name = name
        self._dialect = dialect
        self._auth = auth
        self._host = urlsplit(api_url).hostname or ""
        self._account = f"{dialect.api}/Accounts/{account}"
        self._rest = Rest(name, http, api_url, read_problem=read_problem, auth=auth)

    async def dial(self, leg: NewLeg) -> str:
        """Call somebody; returns the call's SID.

        With ``send_digits`` Twilio does not look for machines, so ``amd`` is not asked for then. Digits are at most 32
        of 0-9 * # w W. Rings for whole seconds, at most 600; Twilio may add up to five.

        Twilio tells either that a machine answered, as soon as it knows, or, once its greeting is over, both: the first
        is asked for, so that nobody talks to the greeting meanwhile. ``amd="message end"`` brings no `GreetingEnded`.
        """
        form = [("To", leg.to), ("From", leg.sender), *self._instructions(leg.stream, leg.urls)]
        form += [("StatusCallback", leg.urls.to("status"))]
        form += [("StatusCallbackEvent", event) for event in ("initiated", "ringing", "answered", "completed")]
        form += [("Timeout", str(min(max(1, math.ceil(leg.ring_timeout)), MAX_RING)))]
        if leg.max_duration is not None:
            form += [("TimeLimit", str(max(1, math.ceil(leg.max_duration))))]
        if leg.send_digits:
            if _DIGITS.fullmatch(leg.send_digits) is None:
                raise self._rejected("digits to send at first must be 1 to 32 of 0-9 * # w W")
            form += [("SendDigits", leg.send_digits)]
        elif leg.amd != "off":
            form += [("MachineDetection", "Enable")]
            form += [("AsyncAmd", "true"), ("AsyncAmdStatusCallback", leg.urls.to("amd"))]
        return await self._create(f"{self._account}/Calls.json", form)

    async def instruct(self, call_id: str, instruction: Instruction, urls: CallbackUrls) -> None:
        """Make a live leg do this now. Its media stream, or whatever else it did, ends."""
        form = self._instructions(instruction, urls, live=True)
        await self._rest.request("POST", self._call(call_id), form=form)

    async def join(self, call_id: str, other_id: str, room: JoinRoom, urls: CallbackUrls) -> None:
        """Put two live legs into one room, the other one first.

        Where that one is gone, ``call_id`` has not been touched and still has its stream. Where ``call_id`` is gone,
        the other waits in the room: hang it up.
        """
        for leg in (other_id, call_id):
            await self.instruct(leg, room, urls)

    async def hang_up(self, call_id: str) -> None:
        """End a leg, ringing or not."""
        path = self._call(call_id)
        with _over_already_is_fine():
            await self._rest.request("POST", path, form=[("Status", "completed")], repeatable=True)

    async def send_dtmf(self, call_id: str, digits: str) -> None:  # noqa: ARG002 - the protocol's
        """There is no such command: raises `NotSupported`."""
        raise NotSupported(self._name, "press keys by a command")

    async def start_recording(self, call_id: str, urls: CallbackUrls) -> str:
        """Record a live leg: one channel is the person's, the other what he hears. Returns the recording's SID."""
        form = [
            ("RecordingChannels", "dual"),
            ("RecordingTrack", "both"),
            ("RecordingStatusCallback", urls.to("recording")),
            ("RecordingStatusCallbackEvent", "completed absent"),
        ]
        return await self._create(f"{self._call(call_id, '')}/Recordings.json", form)

    async def stop_recording(self, call_id: str, recording_id: str) -> None:
        """Stop a recording."""
        path = f"{self._call(call_id, '')}/Recordings/{self._checked(recording_id)}.json"
        with _over_already_is_fine():
            await self._rest.request("POST", path, form=[("Status", "stopped")], repeatable=True)

    async def send_message(self, message: NewMessage) -> str:
        """Send a text message of 1 to 1,600 characters; returns its SID."""
        if not 0 < len(message.text) <= MAX_TEXT:
            raise self._rejected(f"a message has 1 to {MAX_TEXT} characters: shorten or split it")
        form = [("To", message.to), ("From", message.sender), ("Body", message.text)]
        if message.urls is not None:
            form += [("StatusCallback", message.urls.to("message-status"))]
        return await self._create(f"{self._account}/Messages.json", form)

    async def numbers(self) -> list[PhoneNumber]:
        """The account's numbers, all pages."""
        found: list[PhoneNumber] = []
        query: list[tuple[str, str]] | None = [("PageSize", str(PAGE))]
        for _ in range(MAX_PAGES):
            answer = await self._rest.request(
                "GET", f"{self._account}/IncomingPhoneNumbers.json", query=query, repeatable=True
            )
            entries, following = _list_of_numbers(answer)
            found += [entry for entry in map(_phone_number, entries) if entry is not None]
            # Of the next page's address only the query is used, so that passwords go nowhere else.
            query = parse_qsl(urlsplit(following).query)
            if not query:
                return found
        raise CarrierError(self._name, f"a list of numbers longer than {MAX_PAGES} pages", fault="unavailable")

    async def point_number(self, number: PhoneNumber, base: str) -> None:
        """Have the number's calls and messages announced at ``base``. An application that it had loses it."""
        form = [
            ("VoiceUrl", f"{base}/voice"),
            ("VoiceMethod", "POST"),
            ("VoiceApplicationSid", ""),  # as long as one is set, the URLs are not asked
            ("StatusCallback", f"{base}/status"),
            ("StatusCallbackMethod", "POST"),
            ("SmsUrl", f"{base}/message"),
            ("SmsMethod", "POST"),
            ("SmsApplicationSid", ""),
        ]
        path = f"{self._account}/IncomingPhoneNumbers/{self._checked(number.number_id)}.json"
        await self._rest.request("POST", path, form=form, repeatable=True)

    def authorisation(self, url: str) -> tuple[str, str] | None:
        """The same user and password as for commands, at the API's own host."""
        return self._auth if is_at(url, self._host) else None

    async def _create(self, path: str, form: list[tuple[str, str]]) -> str:
        """Make something, at most once; returns its SID."""
        answer = await self._rest.request("POST", path, form=form)
        sid = answer.get("sid") if isinstance(answer, dict) else None
        if not isinstance(sid, str) or self._dialect.identifier.fullmatch(sid) is None:
            raise CarrierError(self._name, "an answer without the new name in it", fault="unavailable")
        return sid

    def _instructions(
        self, instruction: Instruction, urls: CallbackUrls, *, live: bool = False
    ) -> list[tuple[str, str]]:
        text = twiml(instruction, urls, live=live)
        if len(text) <= self._dialect.longest_instruction:
            return [("Twiml", text)]
        return [("Url", urls.to("instructions")), ("Method", "POST")]

    def _call(self, call_id: str, ending: str = ".json") -> str:
        return f"{self._account}/Calls/{self._checked(call_id)}{ending}"

    def _checked(self, identifier: str) -> str:
        """The name, if it is shaped like one: it stands in a path, and `../` would make it another's."""
        if self._dialect.identifier.fullmatch(identifier) is None:
            raise self._rejected("that is not a name that the carrier gives to calls, recordings or numbers")
        return identifier

    def _rejected(self, problem: str) -> CarrierError:
        return CarrierError(self._name, problem, fault="rejected")


def read_problem(response: httpx.Response) -> Problem:
    """What an error's body says: JSON with ``code`` and ``message``, or anything, where a gateway made it."""
    body = error_object(response)
    code = body.get("code")
    named = str(code) if isinstance(code, int | str) and str(code).isascii() and str(code).isdecimal() else ""
    message = body.get("message")
    text = message if isinstance(message, str) and message.strip() else f"HTTP status {response.status_code}"
    fault = _FAULTS.get(named, default_fault(response.status_code))
    if fault == "configuration" and response.status_code in (401, 403):
        text += ": check the account's SID and its auth token, or the API key and its secret"
    return Problem(fault, text, named[:9])


@contextmanager
def _over_already_is_fine() -> Iterator[None]:
    try:
        yield
    except CarrierError as error:
        if error.fault != "gone":
            raise


def _list_of_numbers(answer: Any) -> tuple[list[Any], str]:
    """A page's entries, and the address of the next page (empty: this is the last)."""
    if not isinstance(answer, dict):
        return [], ""
    entries, following = answer.get("incoming_phone_numbers"), answer.get("next_page_uri")
    return entries if isinstance(entries, list) else [], following if isinstance(following, str) else ""


def _phone_number(entry: Any) -> PhoneNumber | None:
    if not isinstance(entry, dict):
        return None
    number, number_id = entry.get("phone_number"), entry.get("sid")
    if not isinstance(number, str) or not isinstance(number_id, str):
        return None
    return PhoneNumber(
        number=number,
        number_id=number_id,
        voice_url=str(entry.get("voice_url") or ""),
        label=str(entry.get("friendly_name") or ""),
    )
