"""Telnyx in front of the simulated network: its API, its commands and its signed webhooks.

Sources: https://developers.telnyx.com/docs/voice/programmable-voice/voice-api-webhooks (events, deliveries),
https://developers.telnyx.com/api-reference/callbacks/call-hangup (causes),
https://developers.telnyx.com/development/api-fundamentals/webhooks/receiving-webhooks (signatures).
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import attrs
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from callengine.telephony import Carrier
from callengine.testing.accounts import SENDER, TELNYX_CONNECTION, TELNYX_SEED, recipe
from callengine.testing.clouds.base import Cloud
from callengine.testing.clouds.deliveries import Prepared
from callengine.testing.clouds.legs import Activity, CloudLeg
from callengine.testing.clouds.phones import Machine
from callengine.testing.clouds.telnyx_api import TelnyxApi
from callengine.testing.clouds.values import Recording, Text
from callengine.testing.telnyx import TelnyxSide

CAUSES = {
    "completed": "normal_clearing",
    "busy": "user_busy",
    "no answer": "timeout",
    "canceled": "originator_cancel",
    "failed": "not_found",
}
PREMIUM = {"human": "human_residence", "machine": "machine", "fax": "fax_detected", "unknown": "not_sure"}
STANDARD = {"human": "human", "machine": "machine", "fax": "not_sure", "unknown": "not_sure"}
WITH_GREETING = ("premium", "greeting_end", "detect_words")


@attrs.define
class Number:
    """One of the account's numbers, the application that its calls go to, and its messages' profile."""

    number: str
    number_id: str
    connection_id: str = TELNYX_CONNECTION
    messaging_profile_id: str = "profile"


@attrs.define
class Application:
    """A Call Control application: where its numbers' calls are announced."""

    application_id: str
    name: str = "voice agent"
    webhook_url: str = ""


class TelnyxCloud(Cloud):
    """See `Cloud`. ``text_fails`` are numbers to which no text message gets; ``refusals`` are SIP addresses that do not
    take a referral, with the SIP code; ``underscores`` spells the events' names with them."""

    name = "telnyx"
    webhook_timeout = 2.0
    webhook_pauses = (1.0, 2.0)

    def __init__(self, **settings: Any) -> None:
        self.numbers: dict[str, Number] = {}
        self.applications = {TELNYX_CONNECTION: Application(TELNYX_CONNECTION)}
        self.profiles = {"profile": ""}
        """The messaging profiles' webhook URLs."""
        self.text_fails: set[str] = set()
        self.refusals: dict[str, int] = {}
        self.underscores = False
        self._key = Ed25519PrivateKey.from_private_bytes(TELNYX_SEED)
        self._ids = 0
        super().__init__(**settings)
        self.own(SENDER)

    def own(self, number: str) -> Number:
        """The account has this number."""
        self.numbers[number] = Number(number, str(1_293_384_261_075_731_499 + len(self.numbers)))
        return self.numbers[number]

    def point_at(self, base: str) -> None:
        """All numbers announce what comes in at an engine; ``base`` ends in the carrier's name."""
        for application in self.applications.values():
            application.webhook_url = f"{base}/events"
        self.profiles = dict.fromkeys(self.profiles, f"{base}/events")

    def recipe(self, api_url: str | None = None) -> Carrier:
        line = self.settings.options
        settings = {"stream_codec": line.get("codec", "PCMU"), "l16_byte_order": line.get("byte_order", "big")}
        return recipe(self.name, **settings, **({} if api_url is None else {"api_url": f"{api_url}/v2"}))

    # --- the dress ----------------------------------------------------------------------------------------------------

    def api(self) -> ASGIApp:
        return Starlette(routes=TelnyxApi(self).routes())

    def refuse(self, status: int) -> Response:
        code = {401: "10009", 404: "10005", 429: "10011"}.get(status, "10007" if status >= 500 else "10015")
        return self.error(status, code, "Too many requests" if status == 429 else "The request failed")

    def error(self, status: int, code: str, title: str) -> Response:
        """An error as the API answers it."""
        meta = {"url": f"https://developers.telnyx.com/docs/overview/errors/{code}"}
        return JSONResponse({"errors": [{"code": code, "title": title, "detail": title, "meta": meta}]}, status)

    def missing(self) -> Response:
        """What is not there."""
        return self.error(404, "10005", "Resource not found")

    def webhook_again(self, status: int | None) -> bool:
        return status is None or status in (408, 429) or status >= 500

    def prepare(self, url: str, fields: Mapping[str, Any], attempt: int) -> Prepared:
        body = json.dumps({"data": fields, "meta": {"attempt": attempt, "delivered_to": url}}).encode()
        timestamp = str(int(self.unix_time()))
        headers = {
            "content-type": "application/json",
            "user-agent": "telnyx-webhooks",
            "telnyx-timestamp": timestamp,
            "telnyx-signature-ed25519": self.sign(timestamp, body),
        }
        return Prepared(url, fields, headers, body)

    def sign(self, timestamp: str, body: bytes) -> str:
        """The signature of a webhook."""
        return base64.b64encode(self._key.sign(timestamp.encode() + b"|" + body)).decode()

    def new_call_id(self) -> str:
        self._ids += 1
        return TelnyxSide.ids(self._ids)[0]

    def new_message_id(self) -> str:
        return self.new_uuid()

    def new_uuid(self) -> str:
        """A name for anything else."""
        self._ids += 1
        return str(uuid.UUID(int=self._ids << 32))

    async def announce(self, leg: CloudLeg) -> Activity | None:
        await trio.lowlevel.checkpoint()
        number = self.numbers.get(leg.line)
        application = None if number is None else self.applications.get(number.connection_id)
        if application is None or not application.webhook_url:
            self.mistakes.append(f"no application with a webhook URL has the number {leg.line}")
            return partial(self.at_rest, leg)
        leg.data["webhook_url"] = application.webhook_url
        self.emit(leg, "call.initiated", direction="incoming", state="parked", caller_id_name=leg.phone)
        return None

    def progressed(self, leg: CloudLeg) -> None:
        if leg.state == "initiated":
            self.emit(leg, "call.initiated", direction="outgoing", state="bridging")
        elif leg.state == "answered":
            self._answered(leg)
        elif leg.over.is_set() and leg.ending is not None:
            cause = "call_rejected" if leg.ending.reason == "declined" else CAUSES[leg.ending.progress]
            ended = {"state": "hangup", "end_time": self._time(trio.current_time()), "hangup_cause": cause}
            code = None if leg.ending.sip_code is None else str(leg.ending.sip_code)
            self.emit(leg, "call.hangup", **ended, hangup_source="unknown", sip_hangup_cause=code)

    async def at_rest(self, leg: CloudLeg) -> None:
        """A call that has nothing more to do stays up, silent: Telnyx has no document to go on with."""
        del leg
        await trio.sleep_forever()

    def streaming(self, leg: CloudLeg, event: Literal["started", "stopped"]) -> None:
        self.emit(leg, f"streaming.{event}", stream_url=leg.data.get("stream_url"))

    def stream_failed(self, leg: CloudLeg, reason: str) -> None:
        failed = {"failure_reason": reason, "stream_id": self.new_uuid(), "stream_type": "websocket"}
        self.emit(leg, "streaming.failed", **failed, stream_params={"stream_url": leg.data.get("stream_url")})

    def texted(self, message: Text) -> None:
        state = message.states[-1]
        resource = {
            "record_type": "message",
            "direction": "inbound" if state == "received" else "outbound",
            "id": message.message_id,
            "type": "SMS",
            "from": {"phone_number": message.sender, "carrier": "", "line_type": ""},
            "to": [{"phone_number": message.recipient, "status": "webhook_delivered", "carrier": "", "line_type": ""}],
            "text": message.text,
            "media": [{"url": url, "content_type": "image/png"} for url in message.media],
            "errors": [],
        }
        if state == "received":
            number = self.numbers.get(message.recipient)
            url = "" if number is None else self.profiles.get(number.messaging_profile_id, "")
            self._tell(url, "message.received", resource)
            return
        failed = state == "delivery_failed"
        resource["to"] = [{"phone_number": message.recipient, "status": state}]
        resource["errors"] = [{"code": "40300", "title": "Blocked due to STOP message"}] if failed else []
        self._tell(message.data["webhook_url"], "message.sent" if state == "sent" else "message.finalized", resource)

    def recorded(self, recording: Recording) -> None:
        assert recording.ended is not None
        kind = recording.data["format"]
        url = f"https://recordings.example.com/{recording.recording_id}.{kind}?signed=yes"
        self.emit(
            recording.leg,
            "call.recording.saved",
            recording_id=recording.recording_id,
            channels=recording.data["channels"],
            format=kind,
            recording_started_at=self._time(recording.started),
            recording_ended_at=self._time(recording.ended),
            recording_urls={kind: url},
            public_recording_urls={},
        )

    # --- what legs do -------------------------------------------------------------------------------------------------

    async def open_stream(self, leg: CloudLeg) -> None:
        """Stream to what the leg was last told."""
        await self.stream(leg, leg.data["stream_url"], leg.data.get("parameters"))

    async def transfer(self, leg: CloudLeg, to: str, shown: str, timeout: float, **data: Any) -> None:
        """Ring somebody, and connect him. The leg ends with him; where he did not answer, it stays up."""
        other = await self.dial_from(leg, to, shown, timeout=timeout, **data)
        if other.answered.is_set():
            self.hang_up(leg)

    async def bridge(self, leg: CloudLeg, other: CloudLeg) -> None:
        """Hear another leg until one of them hangs up, which ends both."""
        self.emit(leg, "call.bridged")
        await self.talk(leg, other)
        self.hang_up(leg)

    async def refer(self, leg: CloudLeg, to: str) -> None:
        """Hand the leg back; where that is taken, it is over."""
        self.emit(leg, "call.refer.started")
        await trio.sleep(self.network.ring_delay)
        code = self.refusals.get(to)
        if code is not None:
            self.emit(leg, "call.refer.failed", sip_notify_response=code)
            return
        self.emit(leg, "call.refer.completed", sip_notify_response=200)
        self.hang_up(leg)

    async def speak(self, leg: CloudLeg, words: str) -> None:
        """The carrier's own voice."""
        self.emit(leg, "call.speak.started")
        await self.say(leg, words)
        self.emit(leg, "call.speak.ended", status="completed")

    def _answered(self, leg: CloudLeg) -> None:
        self.emit(leg, "call.answered", state="answered")
        if leg.parent is not None:
            self.emit(leg, "call.bridged")
            self.emit(leg.parent, "call.bridged")
        leg.keys_heard += re.sub("[wW]", "", leg.data.get("send_digits", ""))
        assert leg.nursery is not None
        if (mode := leg.data.get("amd", "disabled")) != "disabled":
            leg.nursery.start_soon(self._detect, leg, mode)
        if (limit := leg.data.get("time_limit")) is not None:
            leg.nursery.start_soon(self._limit, leg, limit)

    async def _limit(self, leg: CloudLeg, seconds: float) -> None:
        await trio.sleep(seconds)
        self.hang_up(leg)

    async def _detect(self, leg: CloudLeg, mode: str) -> None:
        premium = "premium." if mode == "premium" else ""
        verdict = await self.detect(leg)
        results = PREMIUM if premium else STANDARD
        self.emit(leg, f"call.machine.{premium}detection.ended", result=results[verdict.answered_by])
        phone = self._phones.get(leg.phone)
        if verdict.answered_by == "machine" and mode in WITH_GREETING and isinstance(phone, Machine):
            await leg.greeting_over.wait()
            silent = "no_beep_detected" if premium else "ended"
            result = "beep_detected" if phone.beep else silent
            self.emit(leg, f"call.machine.{premium}greeting.ended", result=result)

    # --- webhooks -----------------------------------------------------------------------------------------------------

    def emit(self, leg: CloudLeg, event: str, **payload: Any) -> None:
        """Tell what happened to a leg."""
        calling, called = (leg.phone, leg.line) if leg.direction == "inbound" else (leg.line, leg.phone)
        session = leg if leg.parent is None else leg.parent
        about = {
            "call_control_id": leg.call_id,
            "call_leg_id": str(uuid.uuid5(uuid.NAMESPACE_URL, leg.call_id)),
            "call_session_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"session of {session.call_id}")),
            "connection_id": TELNYX_CONNECTION,
            "client_state": leg.data.get("client_state"),
            "from": calling,
            "to": called,
            "start_time": self._time(leg.started_at),
        }
        self._tell(leg.data.get("webhook_url", ""), event, about | payload)

    def _tell(self, url: str, event: str, payload: Mapping[str, Any]) -> None:
        if not url:
            return
        name = event.replace(".", "_") if self.underscores else event
        fields = {"record_type": "event", "event_type": name, "id": self.new_uuid()}
        self.tell(url, fields | {"occurred_at": self._time(trio.current_time()), "payload": payload})

    def _time(self, at: float) -> str:
        """A moment of the engine's clock on the wall's."""
        moment = datetime.fromtimestamp(self.unix_time() - trio.current_time() + at, UTC)
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
