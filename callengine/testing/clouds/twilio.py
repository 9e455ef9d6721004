"""Twilio in front of the simulated network: its API, its TwiML and its signed webhooks.

Sources: https://www.twilio.com/docs/voice/api/call-resource, /docs/voice/twiml (webhooks and verbs),
/docs/voice/answering-machine-detection, /docs/voice/api/recording, /docs/messaging/api/message-resource,
/docs/phone-numbers/api/incomingphonenumber-resource, /docs/usage/security (signatures).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import formatdate
from functools import partial
from typing import Any, Literal
from urllib.parse import urlencode

import attrs
import httpx
import trio
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from callengine.carriers.twilio.signature import sign
from callengine.telephony import Carrier
from callengine.testing.accounts import ACCOUNT_SID, AUTH_TOKEN, SENDER, recipe
from callengine.testing.clouds.base import Cloud
from callengine.testing.clouds.deliveries import Prepared
from callengine.testing.clouds.legs import Activity, CloudLeg
from callengine.testing.clouds.twilio_api import TwilioApi
from callengine.testing.clouds.twiml import DIAL_STATUS, Interpreter
from callengine.testing.clouds.values import Recording, Text, Verdict

STATUS: Mapping[str, str] = {
    "queued": "queued",
    "initiated": "initiated",
    "ringing": "ringing",
    "answered": "in-progress",
    **DIAL_STATUS,
}
_FORM = "application/x-www-form-urlencoded"
_EMPTY = ("FromCity", "FromState", "FromZip", "FromCountry", "ToCity", "ToState", "ToZip", "ToCountry")
"""Fields that come empty where nothing is known: they count in the signature."""


@attrs.define
class Number:
    """One of the account's numbers, and where its calls and messages are announced."""

    number: str
    sid: str
    account: str
    friendly_name: str = ""
    voice_url: str = ""
    status_callback: str = ""
    sms_url: str = ""

    @property
    def resource(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "sid": self.sid,
            "account_sid": self.account,
            "phone_number": self.number,
            "friendly_name": self.friendly_name,
            "voice_url": self.voice_url,
            "voice_method": "POST",
            "voice_application_sid": "",
            "status_callback": self.status_callback,
            "status_callback_method": "POST",
            "sms_url": self.sms_url,
            "sms_method": "POST",
            "capabilities": {"voice": True, "sms": True, "mms": True},
        }


class TwilioCloud(Cloud):
    """See `Cloud`. ``text_fails`` are numbers to which no text message gets, with the error that is told."""

    name = "twilio"
    account = ACCOUNT_SID
    auth = (ACCOUNT_SID, AUTH_TOKEN)
    signing_key = AUTH_TOKEN
    signature_header = "x-twilio-signature"
    root = "/2010-04-01"
    api_url = "https://api.twilio.com"
    inline = True
    """Whether calls can be made and changed with a document in the command."""
    webhook_timeout = 15.0
    webhook_pauses = (1.0,)

    def __init__(self, **settings: Any) -> None:
        self.numbers: dict[str, Number] = {}
        self.text_fails: dict[str, str] = {}
        self.refusals: dict[str, tuple[str, int]] = {}
        """SIP addresses that do not take a referral: the status, and the SIP code."""
        self._sids: dict[str, int] = {}
        super().__init__(**settings)
        self.own(SENDER)

    def own(self, number: str, **settings: str) -> Number:
        """The account has this number."""
        self.numbers[number] = Number(number, self.sid("PN"), self.account, friendly_name=number, **settings)
        return self.numbers[number]

    def recipe(self, api_url: str | None = None) -> Carrier:
        self.api_url = api_url or self.api_url
        return recipe(self.name, api_url=self.api_url)

    def point_at(self, base: str) -> None:
        for number in self.numbers.values():
            number.voice_url, number.sms_url = f"{base}/voice", f"{base}/message"
            number.status_callback = f"{base}/status"

    def sid(self, kind: str) -> str:
        """A new name."""
        self._sids[kind] = self._sids.get(kind, 0) + 1
        return f"{kind}{self._sids[kind]:032x}"

    # --- the dress ----------------------------------------------------------------------------------------------------

    def api(self) -> ASGIApp:
        return Starlette(routes=TwilioApi(self).routes())

    def refuse(self, status: int) -> Response:
        code = {401: 20003, 404: 20404, 429: 20429}.get(status, 20500 if status >= 500 else 20001)
        return self.error(status, code, "too many requests" if status == 429 else "the request failed")

    def error(self, status: int, code: int, message: str) -> Response:
        """An error as the API answers it."""
        more = f"https://www.twilio.com/docs/errors/{code}"
        return JSONResponse({"code": code, "message": message, "more_info": more, "status": status}, status)

    def webhook_again(self, status: int | None) -> bool:
        return status is None  # only where no connection came about, or no answer

    def prepare(self, url: str, fields: Mapping[str, Any], attempt: int) -> Prepared:
        form = [(name, str(value)) for name, value in fields.items()]
        headers = {
            "content-type": _FORM,
            "user-agent": "TwilioProxy/1.1",
            self.signature_header: self.sign(url, form),
            "i-twilio-idempotency-token": f"{fields.get('CallSid', '')}-{attempt}",
        }
        return Prepared(url, dict(form), headers, urlencode(form).encode())

    def sign(self, url: str, form: list[tuple[str, str]] | None = None) -> str:
        """The signature of a request to the engine."""
        return sign(self.signing_key, url, form or [])

    def upgrade_headers(self, url: str) -> Mapping[str, str]:
        return {self.signature_header: self.sign(url)}

    def new_call_id(self) -> str:
        return self.sid("CA")

    def new_message_id(self) -> str:
        return self.sid("SM")

    async def announce(self, leg: CloudLeg) -> Activity | None:
        number = self.numbers.get(leg.line)
        if number is None or not number.voice_url:
            self.mistakes.append(f"no voice URL is set for the number {leg.line}")
            return partial(Interpreter(self, leg).run, None)
        leg.data["status_url"], leg.data["status_events"] = number.status_callback, {"completed"}
        return partial(Interpreter(self, leg).run_from, number.voice_url)

    def progressed(self, leg: CloudLeg) -> None:
        if leg.state == "answered":
            self._answered(leg)
        event = "completed" if leg.over.is_set() else leg.state
        url, events = leg.data.get("status_url"), leg.data.get("status_events", {"completed"})
        if url and event in events and leg.since("initiated" if leg.direction == "outbound" else "ringing") is not None:
            leg.data["sequence"] = sequence = leg.data.get("sequence", -1) + 1
            self.tell(url, self.call_fields(leg) | self._progress_fields(leg, sequence))
        if leg.over.is_set() and (dial := leg.data.get("dial_action")) is not None:
            self.tell(dial, self.call_fields(leg) | {"DialCallStatus": self._status_of_dialled(leg)})

    async def at_rest(self, leg: CloudLeg) -> None:
        """A call that has nothing more to do is over. (An incoming one that was never answered as well.)"""
        await trio.lowlevel.checkpoint()
        self.hang_up(leg)

    def stream_failed(self, leg: CloudLeg, reason: str) -> None:
        if url := leg.data.get("stream_status"):
            error = f"31920: handshake failed: {reason}"
            self.tell(url, self._stream_fields(leg) | {"StreamEvent": "stream-error", "StreamError": error})

    def streaming(self, leg: CloudLeg, event: Literal["started", "stopped"]) -> None:
        if url := leg.data.get("stream_status"):
            self.tell(url, self._stream_fields(leg) | {"StreamEvent": f"stream-{event}"})

    def texted(self, message: Text) -> None:
        if message.states[-1] == "received":
            number = self.numbers.get(message.recipient)
            if number is not None and number.sms_url:
                self.tell(number.sms_url, self._incoming_text(message))
        elif url := message.data.get("status_url"):
            self.tell(url, self._text_fields(message))

    def recorded(self, recording: Recording) -> None:
        if (url := recording.data.get("url")) is None or recording.ended is None:
            return
        absent = not recording.leg.answered.is_set() or recording.ended - recording.started < 0.1
        status = "absent" if absent else "completed"
        if status not in recording.data["events"]:
            return
        fields = {
            "AccountSid": self.account,
            "CallSid": recording.leg.call_id,
            "RecordingSid": recording.recording_id,
            "RecordingUrl": self.recording_url(recording.recording_id),
            "RecordingStatus": status,
            "RecordingDuration": str(round(recording.ended - recording.started)),
            "RecordingChannels": recording.data["channels"],
            "RecordingStartTime": self.date(recording.started),
            "RecordingSource": "StartCallRecordingAPI",
            "RecordingTrack": recording.data["track"],
        }
        self.tell(url, fields | ({"ErrorCode": "16101"} if absent else {}))

    # --- what the interpreter and the API ask -------------------------------------------------------------------------

    def date(self, at: float) -> str:
        """A moment (engine time) as the API and the webhooks write it."""
        return formatdate(self.unix_time() - trio.current_time() + at).replace("-0000", "+0000")

    def recording_url(self, recording_id: str) -> str:
        """Where a recording is fetched, without its ending."""
        return f"{self.api_url}{self.root}/Accounts/{self.account}/Recordings/{recording_id}"

    async def ask(self, leg: CloudLeg, url: str, **more: str) -> httpx.Response | None:
        """Request a document, with what is known about the leg."""
        return await self.fetch(url, self.call_fields(leg) | more)

    def refer_result(self, to: str) -> tuple[str, int]:
        """The status and the SIP code of a referral."""
        return self.refusals.get(to, ("completed", 202))

    def call_fields(self, leg: CloudLeg) -> dict[str, str]:
        """What every webhook about a call says."""
        calling, called = (leg.phone, leg.line) if leg.direction == "inbound" else (leg.line, leg.phone)
        direction = "inbound" if leg.direction == "inbound" else "outbound-dial" if leg.parent else "outbound-api"
        fields = {
            "AccountSid": self.account,
            "ApiVersion": "2010-04-01",
            "CallSid": leg.call_id,
            "CallStatus": STATUS[leg.state],
            "Direction": direction,
            "From": calling,
            "To": called,
            "Caller": calling,
            "Called": called,
            **dict.fromkeys(_EMPTY, ""),
        }
        if leg.parent is not None:
            fields["ParentCallSid"] = leg.parent.call_id
        if domain := re.fullmatch(r"sips?:[^@]*@([^;>]+).*", calling):
            fields["SipDomain"] = domain[1]
        return fields

    async def run_answered(self, leg: CloudLeg, document: str | None, url: str | None) -> None:
        """What an outgoing leg does when it was answered. Without ``AsyncAmd``, detection comes first."""
        more = {}
        if leg.data.get("amd") and not leg.data.get("amd_url"):
            verdict = await self.detect(leg, until_end=leg.data["amd"] == "DetectMessageEnd")
            more = self._verdict_fields(leg, verdict)
        interpreter = Interpreter(self, leg)
        if url is not None:
            await interpreter.run_from(url, **more)
        else:
            await interpreter.run(document)

    # --- fields -------------------------------------------------------------------------------------------------------

    def _answered(self, leg: CloudLeg) -> None:
        leg.keys_heard += re.sub("[wW]", "", leg.data.get("send_digits", ""))
        assert leg.nursery is not None
        if leg.data.get("amd_url"):
            leg.nursery.start_soon(self._detect, leg)
        if limit := leg.data.get("time_limit"):
            leg.nursery.start_soon(self._limit, leg, limit)

    async def _limit(self, leg: CloudLeg, seconds: float) -> None:
        await trio.sleep(seconds)
        self.hang_up(leg)

    async def _detect(self, leg: CloudLeg) -> None:
        verdict = await self.detect(leg, until_end=leg.data["amd"] == "DetectMessageEnd")
        base = {"CallSid": leg.call_id, "AccountSid": self.account}
        self.tell(leg.data["amd_url"], base | self._verdict_fields(leg, verdict))

    def _verdict_fields(self, leg: CloudLeg, verdict: Verdict) -> dict[str, str]:
        answered_by: str = verdict.answered_by
        if answered_by == "machine":
            end = "machine_end_beep" if verdict.beep else "machine_end_silence"
            answered_by = end if verdict.ended else "machine_start"
        leg.data["answered_by"] = answered_by
        return {"AnsweredBy": answered_by, "MachineDetectionDuration": str(round(verdict.after * 1000))}

    def _progress_fields(self, leg: CloudLeg, sequence: int) -> dict[str, str]:
        fields = {
            "Timestamp": self.date(trio.current_time()),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(sequence),
        }
        if leg.ending is not None:
            since = leg.since("answered")
            duration = 0 if since is None else round(trio.current_time() - since)
            fields |= {"CallDuration": str(duration), "Duration": str(-(-duration // 60))}
            fields |= {} if leg.ending.sip_code is None else {"SipResponseCode": str(leg.ending.sip_code)}
            fields |= {"AnsweredBy": leg.data["answered_by"]} if "answered_by" in leg.data else {}
        return fields

    def _status_of_dialled(self, leg: CloudLeg) -> str:
        others = [other for other in self.legs if other.parent is leg]
        return "completed" if others and others[-1].answered.is_set() else "canceled"

    def _stream_fields(self, leg: CloudLeg) -> dict[str, str]:
        stream_id = leg.streams[-1].side.stream_id if leg.streams else self.sid("MZ")
        fields = {"AccountSid": self.account, "CallSid": leg.call_id, "StreamSid": stream_id, "StreamName": stream_id}
        return fields | {"Timestamp": self.date(trio.current_time())}

    def _incoming_text(self, message: Text) -> dict[str, str]:
        sid = dict.fromkeys(("MessageSid", "SmsSid", "SmsMessageSid"), message.message_id)
        fields = sid | {
            "AccountSid": self.account,
            "From": message.sender,
            "To": message.recipient,
            "Body": message.text,
            "NumMedia": str(len(message.media)),
            "NumSegments": "1",
            "FromCity": "",
        }
        for number, url in enumerate(message.media):
            fields |= {f"MediaUrl{number}": url, f"MediaContentType{number}": "image/jpeg"}
        return fields

    def _text_fields(self, message: Text) -> dict[str, str]:
        status = message.states[-1]
        fields = {
            "MessageSid": message.message_id,
            "SmsSid": message.message_id,
            "MessageStatus": status,
            "SmsStatus": status,
            "From": message.sender,
            "To": message.recipient,
            "AccountSid": self.account,
            "ApiVersion": "2010-04-01",
        }
        return fields | ({"ErrorCode": self.text_fails[message.recipient]} if status == "undelivered" else {})
