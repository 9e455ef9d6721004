"""Plivo in front of the simulated network: its API, its XML and its signed webhooks.

Sources: https://www.plivo.com/docs/voice/xml/request/ (webhooks), /docs/voice/api/call/ (calls, machine detection,
recordings), /docs/messaging/api/message/, /docs/voice/troubleshooting/hangup-causes, /docs/voice/concepts/
signature-validation and /docs/messaging/concepts/signature-validation.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal
from urllib.parse import urlencode

import attrs
import httpx
import trio
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from callengine.carriers.plivo.numbers import bare
from callengine.carriers.plivo.signature import sign_v2, sign_v3
from callengine.telephony import Carrier
from callengine.testing.accounts import PLIVO_ID, PLIVO_TOKEN, SENDER, recipe
from callengine.testing.clouds.base import Cloud
from callengine.testing.clouds.deliveries import Prepared
from callengine.testing.clouds.legs import Activity, CloudLeg
from callengine.testing.clouds.phones import Ending
from callengine.testing.clouds.plivo_api import PlivoApi
from callengine.testing.clouds.plivo_xml import STATUS, Interpreter, dialled_fields, hangup_cause
from callengine.testing.clouds.values import Recording, Text

_CODES = {
    "completed": ("4000", "Normal Hangup"),
    "busy": ("3010", "Busy Line"),
    "no answer": ("3000", "No Answer"),
    "failed": ("2000", "Invalid Destination Address"),
    "canceled": ("1000", "Cancelled"),
}


@attrs.define
class Application:
    """What numbers point at, and where their calls and messages are announced."""

    app_id: str
    name: str
    urls: dict[str, Any]

    def resource(self, root: str) -> dict[str, Any]:
        """As the API shows it."""
        shared = {"app_id": self.app_id, "app_name": self.name, "enabled": True}
        return {**self.urls, **shared, "resource_uri": f"{root}/Application/{self.app_id}/"}


class PlivoCloud(Cloud):
    """See `Cloud`.

    ``numbers`` are the account's, each with its application; ``text_fails`` are numbers to which no text message gets,
    with the error that is told; ``message_signature`` is how webhooks of text messages are signed.
    """

    name = "plivo"
    auth = (PLIVO_ID, PLIVO_TOKEN)
    root = f"/v1/Account/{PLIVO_ID}"
    webhook_timeout = 15.0
    webhook_pauses = (1.0,)

    def __init__(self, *, message_signature: Literal["v2", "v3"] = "v2", **settings: Any) -> None:
        self.numbers: dict[str, Application | None] = {SENDER: None}
        self.applications: list[Application] = []
        self.text_fails: dict[str, str] = {}
        self.message_signature = message_signature
        self._api_url: str | None = None
        self._uuids = 0
        super().__init__(**settings)

    def own(self, number: str) -> None:
        """The account has this number."""
        self.numbers[number] = None

    def application(self, name: str, urls: Mapping[str, Any]) -> Application:
        """One more application."""
        self.applications.append(Application(str(20_000 + len(self.applications)), name, dict(urls)))
        return self.applications[-1]

    def recipe(self, api_url: str | None = None) -> Carrier:
        self._api_url = api_url
        return recipe(self.name, **({} if api_url is None else {"api_url": api_url}))

    def point_at(self, base: str) -> None:
        urls = {"answer_url": f"{base}/voice", "hangup_url": f"{base}/status", "message_url": f"{base}/message"}
        self.numbers = dict.fromkeys(self.numbers, self.application("lab", urls))

    def uuid(self) -> str:
        """A new name."""
        self._uuids += 1
        return str(uuid.UUID(int=self._uuids << 96 | 0x8000_0000_0000_0000))

    # --- the dress ----------------------------------------------------------------------------------------------------

    def api(self) -> ASGIApp:
        app = Starlette(routes=PlivoApi(self).routes())
        app.router.redirect_slashes = False
        return app

    def refuse(self, status: int) -> Response:
        return self.error(status, "too many requests" if status == 429 else "the request failed")

    def error(self, status: int, message: str) -> Response:
        """An error as the API answers it."""
        return JSONResponse({"api_id": self.uuid(), "error": message}, status)

    def webhook_again(self, status: int | None) -> bool:
        return status is None  # only where no connection came about, or no answer

    def prepare(self, url: str, fields: Mapping[str, Any], attempt: int) -> Prepared:
        form = [(name, str(value)) for name, value in fields.items()]
        nonce = f"{attempt}{uuid.uuid5(uuid.NAMESPACE_URL, url + repr(form)).int % 10**19:019d}"
        version = self.message_signature if "MessageUUID" in fields else "v3"
        token = self.auth[1]
        signature = sign_v2(token, url, nonce) if version == "v2" else sign_v3(token, "POST", url, nonce, form)
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            f"x-plivo-signature-{version}": signature,
            f"x-plivo-signature-ma-{version}": signature,
            f"x-plivo-signature-{version}-nonce": nonce,
        }
        return Prepared(url, dict(form), headers, urlencode(form).encode())

    def new_call_id(self) -> str:
        return self.uuid()

    def new_message_id(self) -> str:
        return self.uuid()

    async def announce(self, leg: CloudLeg) -> Activity | None:
        application = self.numbers.get(leg.line)
        if application is None or "answer_url" not in application.urls:
            self.mistakes.append("an incoming call's number points at no application")
            self.end(leg, Ending("failed", "rejected", 603))
            return None
        leg.data["hangup_url"] = application.urls.get("hangup_url", application.urls["answer_url"])
        return partial(Interpreter(self, leg).run_from, application.urls["answer_url"], Event="StartApp")

    def progressed(self, leg: CloudLeg) -> None:
        if leg.state == "answered":
            self._answered(leg)
        elif leg.state == "ringing" and (url := leg.data.get("ring_url")):
            self.tell(url, self.call_fields(leg) | {"Event": "Ring"})
        elif leg.over.is_set():
            if action := leg.data.get("dial_action"):
                others = [other for other in self.legs if other.parent is leg]
                self.tell(action, self.call_fields(leg) | dialled_fields(leg, others[-1]))
            if url := leg.data.get("hangup_url"):
                self.tell(url, self.call_fields(leg) | self._ending_fields(leg))

    async def at_rest(self, leg: CloudLeg) -> None:
        """A call that has nothing more to do is over."""
        await trio.lowlevel.checkpoint()
        self.hang_up(leg)

    def stream_failed(self, leg: CloudLeg, reason: str) -> None:
        del reason
        self._tell_of_stream(leg, "DroppedStream")

    def streaming(self, leg: CloudLeg, event: Literal["started", "stopped"]) -> None:
        self._tell_of_stream(leg, "StartStream" if event == "started" else "StopStream")

    def texted(self, message: Text) -> None:
        numbers = {"From": bare(message.sender), "To": bare(message.recipient), "MessageUUID": message.message_id}
        status = message.states[-1]
        if status == "received":
            application = self.numbers.get(message.recipient)
            if application is not None and (url := application.urls.get("message_url")):
                media = {f"Media{number}": url for number, url in enumerate(message.media)}
                kind = {"Type": "mms", "Body": message.text, "MediaCount": len(media)} if media else {"Type": "sms"}
                self.tell(url, {**numbers, **kind, **media} | ({} if media else {"Text": message.text}))
        elif url := message.data.get("url"):
            failed = {"ErrorCode": self.text_fails[message.recipient]} if status == "undelivered" else {}
            self.tell(url, {**numbers, "Status": status, "Units": "1", **failed})

    def recorded(self, recording: Recording) -> None:
        if (url := recording.data["url"]) is None or recording.ended is None:
            return
        seconds = recording.ended - recording.started
        fields = {
            "api_id": recording.data["api_id"],
            "call_uuid": recording.leg.call_id,
            "recording_id": recording.recording_id,
            "record_url": self.recording_url(recording.recording_id),
            "recording_duration": round(seconds),
            "recording_duration_ms": round(seconds * 1000),
        }
        self.tell(url, fields)

    # --- what the interpreter and the API ask -------------------------------------------------------------------------

    def recording_url(self, recording_id: str) -> str:
        """Where a recording is fetched."""
        return f"{self._api_url or 'https://media.plivo.com'}{self.root}/Recording/{recording_id}.wav"

    async def limit_recording(self, recording: Recording, seconds: float) -> None:
        """Stop it after so long."""
        await trio.sleep(seconds)
        self.stop_recording(recording)

    def speaks(self, content_type: str) -> None:
        """The next streams have this audio."""
        self.settings = attrs.evolve(self.settings, options={**self.settings.options, "content_type": content_type})

    async def ask(self, leg: CloudLeg, url: str, **more: str) -> httpx.Response | None:
        """Request a document, with what is known about the leg."""
        return await self.fetch(url, self.call_fields(leg) | more)

    def call_fields(self, leg: CloudLeg) -> dict[str, str]:
        """What every webhook about a call says."""
        calling, called = (leg.phone, leg.line) if leg.direction == "inbound" else (leg.line, leg.phone)
        fields = {
            "CallUUID": leg.call_id,
            "CallStatus": STATUS[leg.state],
            "Direction": leg.direction,
            "From": bare(calling),
            "To": bare(called),
            "ParentAuthID": self.auth[0],
        }
        if (request := leg.data.get("request")) is not None:
            fields |= {"RequestUUID": request, "ALegRequestUUID": request, "ALegUUID": leg.call_id}
        return fields

    # --- fields -------------------------------------------------------------------------------------------------------

    def _answered(self, leg: CloudLeg) -> None:
        assert leg.nursery is not None
        leg.keys_heard += leg.data.get("send_digits", "").replace("w", "").replace("W", "")
        if leg.data.get("machine_detection"):
            leg.nursery.start_soon(self._detect, leg)
        if limit := leg.data.get("time_limit"):
            leg.nursery.start_soon(self._limit, leg, float(limit))

    async def _limit(self, leg: CloudLeg, seconds: float) -> None:
        await trio.sleep(seconds)
        self.hang_up(leg)

    async def _detect(self, leg: CloudLeg) -> None:
        verdict = await self.detect(leg)
        machine = "true" if verdict.answered_by == "machine" else "false"
        if url := leg.data.get("machine_detection_url"):
            self.tell(url, self.call_fields(leg) | {"Event": "MachineDetection", "Machine": machine})

    def _ending_fields(self, leg: CloudLeg) -> dict[str, str]:
        assert leg.ending is not None
        since = leg.since("answered")
        duration = 0 if since is None else round(trio.current_time() - since)
        code, name = _CODES[leg.ending.progress]
        return {
            "Event": "Hangup",
            "HangupCause": hangup_cause(leg.ending),
            "HangupCauseCode": code,
            "HangupCauseName": name,
            "HangupSource": "Callee" if since is None else "Caller",
            "Duration": str(duration),
            "BillDuration": str(-(-duration // 60) * 60),
        }

    def _tell_of_stream(self, leg: CloudLeg, event: str) -> None:
        if url := leg.data.get("stream_status"):
            stream_id = leg.streams[-1].side.stream_id if leg.streams else ""
            self.tell(url, self.call_fields(leg) | {"Event": event, "StreamID": stream_id})
