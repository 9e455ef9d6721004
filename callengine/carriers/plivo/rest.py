"""Plivo's commands, over its REST API.

Sources: https://www.plivo.com/docs/voice/api/call/, https://www.plivo.com/docs/messaging/api/message/,
https://www.plivo.com/docs/account/api/application/ and https://www.plivo.com/docs/numbers/api/account-phone-number/.
Everything is JSON with HTTP Basic authentication, and every path ends with a slash.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import httpx

from callengine.carriers.plivo.applications import application, application_id
from callengine.carriers.plivo.numbers import bare, e164
from callengine.carriers.plivo.webhooks import is_id
from callengine.carriers.plivo.xml import refer_not_supported
from callengine.carriers.rest import Problem, Rest, default_fault, error_object, is_at
from callengine.errors import CarrierError
from callengine.telephony import CallbackUrls, Instruction, JoinRoom, NewLeg, NewMessage, PhoneNumber, ReferTo

PAGE = 20
"""Entries of a list that one answer holds: the most that Plivo gives."""
MAX_PAGES = 500
MAX_RECORDING = 14_400
"""Seconds of a recording. Plivo stops after 60 unless it is told otherwise; four hours are what it transcribes."""


@attrs.frozen(kw_only=True)
class Account:
    """Whose commands they are, and what is the same for all of them."""

    name: str
    auth_id: str
    auth_token: str = attrs.field(repr=False)
    api_url: str
    machine_detection_time: float
    private_recordings: bool


class PlivoControl:
    """The commands of one account; a `callengine.telephony.CarrierControl`.

    A call that was dialled is known by Plivo's request until its first webhook, which has the name of the leg itself:
    `dial` returns the former, and only `hang_up` takes either.
    """

    def __init__(self, account: Account, http: httpx.AsyncClient) -> None:
        self._account = account
        self._rest = Rest(
            account.name,
            http,
            f"{account.api_url}/v1/Account/{account.auth_id}",
            read_problem=_problem,
            auth=(account.auth_id, account.auth_token),
        )

    async def dial(self, leg: NewLeg) -> str:
        """Call somebody; returns the name of the request.

        Plivo asks at ``urls.to("instructions")`` when the call is answered. It says whether a machine answered, but not
        when a greeting is over: ``amd="message end"`` brings no `GreetingEnded`.
        """
        body: dict[str, Any] = {
            "from": bare(leg.sender),
            "to": bare(leg.to),
            **_callback("answer", leg.urls, "instructions"),
            **_callback("ring", leg.urls, "status"),
            **_callback("hangup", leg.urls, "status"),
            "ring_timeout": max(1, math.ceil(leg.ring_timeout)),
        }
        if leg.amd != "off":
            body["machine_detection"] = "true"
            body["machine_detection_time"] = round(self._account.machine_detection_time * 1000)
            body.update(_callback("machine_detection", leg.urls, "amd"))
        if leg.max_duration is not None:
            body["time_limit"] = max(1, math.ceil(leg.max_duration))
        if leg.send_digits:
            body["send_digits"] = leg.send_digits
        return self._named(await self._rest.request("POST", "/Call/", json=body), "request_uuid")

    async def instruct(self, call_id: str, instruction: Instruction, urls: CallbackUrls) -> None:
        """Have Plivo fetch, at ``urls.to("instructions")``, what the leg does from now on."""
        if isinstance(instruction, ReferTo):
            raise refer_not_supported(instruction)
        body = {"legs": "aleg", **_callback("aleg", urls, "instructions")}
        await self._rest.request("POST", self._call(call_id), json=body)

    async def join(self, call_id: str, other_id: str, room: JoinRoom, urls: CallbackUrls) -> None:
        """Have both legs fetch the room, the other one first: the same URL is asked twice.

        Where that one is gone, ``call_id`` has not been touched and still has its stream. Where ``call_id`` is gone,
        the other waits in the room: hang it up.
        """
        for leg in (other_id, call_id):
            await self.instruct(leg, room, urls)

    async def hang_up(self, call_id: str) -> None:
        """End a leg, or a request of which no leg has come yet."""
        if await self._delete(self._call(call_id)):
            return
        await self._delete(f"/Request/{self._id(call_id)}/")

    async def send_dtmf(self, call_id: str, digits: str) -> None:
        """Press keys on a leg that has no media stream (on one that has, the stream is quicker)."""
        await self._rest.request("POST", self._call(call_id, "DTMF/"), json={"digits": digits, "leg": "aleg"})

    async def start_recording(self, call_id: str, urls: CallbackUrls) -> str:
        """Record a leg in stereo, as WAV, for at most four hours."""
        body = {
            "time_limit": MAX_RECORDING,
            "file_format": "wav",
            "record_channel_type": "stereo",
            **_callback("callback", urls, "recording"),
        }
        return self._named(await self._rest.request("POST", self._call(call_id, "Record/"), json=body), "recording_id")

    async def stop_recording(self, call_id: str, recording_id: str) -> None:
        """Stop every recording of the leg: Plivo cannot be told a recording's name, only its URL."""
        self._id(recording_id)
        await self._delete(self._call(call_id, "Record/"))

    async def send_message(self, message: NewMessage) -> str:
        """Send a text message; Plivo splits a long one."""
        body = {"src": bare(message.sender), "dst": bare(message.to), "text": message.text, "type": "sms"}
        if message.urls is not None:
            body.update({"url": message.urls.to("message-status"), "method": "POST"})
        return self._named(await self._rest.request("POST", "/Message/", json=body), "message_uuid")

    async def numbers(self) -> list[PhoneNumber]:
        """The account's numbers, with the ``answer_url`` of the applications that they point at."""
        urls: dict[str, str] = {}
        for entry in await self._all("/Application/"):
            urls[str(entry.get("app_id", ""))] = str(entry.get("answer_url") or "")
        found = []
        for entry in await self._all("/Number/"):
            number = str(entry.get("number", ""))
            url = urls.get(application_id(entry.get("application")), "")
            label = str(entry.get("alias") or "")
            found.append(PhoneNumber(number=e164(number), number_id=number, voice_url=url, label=label))
        return found

    async def point_number(self, number: PhoneNumber, base: str) -> None:
        """Have the number's calls and messages announced at ``base``.

        On Plivo a number points at an *application*, which has the URLs. There is one for each base, named after it;
        one that is there already is brought up to date.
        """
        wanted = application(base)
        existing = [entry for entry in await self._all("/Application/") if entry.get("app_name") == wanted["app_name"]]
        if existing:
            app_id = self._id(str(existing[0].get("app_id", "")))
            del wanted["app_name"]  # it cannot be changed
            await self._rest.request("POST", f"/Application/{app_id}/", json=wanted, repeatable=True)
        else:
            app_id = self._named(await self._rest.request("POST", "/Application/", json=wanted), "app_id")
        path = f"/Number/{self._id(number.number_id)}/"
        await self._rest.request("POST", path, json={"app_id": app_id}, repeatable=True)

    def authorisation(self, url: str) -> tuple[str, str] | None:
        """The account's own, where its recordings are private, and at Plivo's hosts only."""
        if not self._account.private_recordings or not is_at(url, "plivo.com"):
            return None
        return self._account.auth_id, self._account.auth_token

    async def _delete(self, path: str) -> bool:
        """Delete something; says whether it was there."""
        try:
            await self._rest.request("DELETE", path, repeatable=True)
        except CarrierError as error:
            if error.fault != "gone":
                raise
            return False
        return True

    async def _all(self, path: str) -> list[Mapping[str, Any]]:
        """The entries of a list, all pages."""
        found: list[Mapping[str, Any]] = []
        for page in range(MAX_PAGES):
            query = [("limit", str(PAGE)), ("offset", str(page * PAGE))]
            answer = await self._rest.request("GET", path, query=query, repeatable=True)
            entries = answer.get("objects") if isinstance(answer, dict) else None
            if not isinstance(entries, list):
                raise CarrierError(self._account.name, "a list without its entries", fault="unavailable")
            found += [entry for entry in entries if isinstance(entry, dict)]
            meta = answer.get("meta")
            if not entries or not (isinstance(meta, dict) and meta.get("next")):
                break
        return found

    def _call(self, call_id: str, rest: str = "") -> str:
        return f"/Call/{self._id(call_id)}/{rest}"

    def _id(self, value: str) -> str:
        """The value, if it may stand in a path."""
        if not is_id(value):
            raise CarrierError(self._account.name, "that is not an id of Plivo's", fault="rejected")
        return value

    def _named(self, answer: Any, name: str) -> str:
        value = answer.get(name) if isinstance(answer, dict) else None
        if isinstance(value, list) and value:
            value = value[0]
        if not (isinstance(value, str) and is_id(value)):
            raise CarrierError(self._account.name, f"an answer without {name}", fault="unavailable")
        return value


def _callback(prefix: str, urls: CallbackUrls, what: str) -> dict[str, str]:
    """The two fields of one callback."""
    return {f"{prefix}_url": urls.to(what), f"{prefix}_method": "POST"}


def _problem(response: httpx.Response) -> Problem:
    """What an error's body says: ``error`` is text, or an object that has the text under the same name."""
    said = error_object(response).get("error")
    if isinstance(said, dict):
        said = said.get("error") or said.get("message")
    text = said if isinstance(said, str) and said.strip() else f"HTTP status {response.status_code}"
    fault = default_fault(response.status_code)
    if fault == "configuration":
        text += ": check the account's auth id and auth token"
    return Problem(fault, text)
