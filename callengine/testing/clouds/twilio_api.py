"""The simulated Twilio's API: Basic authentication, strict forms, resources as JSON."""

from __future__ import annotations

import base64
import io
import re
import wave
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

import numpy as np
import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from callengine.audio.convert import to_pcm
from callengine.testing.clouds.door import gathered
from callengine.testing.clouds.legs import CloudLeg
from callengine.testing.clouds.twiml import DIAL_STATUS, Interpreter
from callengine.testing.clouds.values import Recording, Text

if TYPE_CHECKING:
    from callengine.testing.clouds.twilio import TwilioCloud

Form: TypeAlias = Mapping[str, Any]
Handler: TypeAlias = Callable[[Request, Form], Response]

_STATUS = {"queued": "queued", "initiated": "queued", "ringing": "ringing", "answered": "in-progress", **DIAL_STATUS}
_CALL = {
    *("To", "From", "Url", "Twiml", "Method", "FallbackUrl", "FallbackMethod"),
    *("StatusCallback", "StatusCallbackMethod", "StatusCallbackEvent", "Timeout", "TimeLimit", "SendDigits"),
    *("MachineDetection", "MachineDetectionTimeout", "AsyncAmd", "AsyncAmdStatusCallback"),
    *("AsyncAmdStatusCallbackMethod", "MachineDetectionSpeechThreshold", "MachineDetectionSpeechEndThreshold"),
    "MachineDetectionSilenceTimeout",
}
_UPDATE = {"Status", "Url", "Method", "Twiml", "FallbackUrl", "StatusCallback", "StatusCallbackMethod", "TimeLimit"}
_RECORDING = {
    *("RecordingChannels", "RecordingTrack", "Trim", "RecordingStatusCallback"),
    *("RecordingStatusCallbackMethod", "RecordingStatusCallbackEvent"),
}
_MESSAGE = {"To", "From", "Body", "MediaUrl", "StatusCallback"}
_NUMBER = {
    *("FriendlyName", "VoiceUrl", "VoiceMethod", "VoiceApplicationSid", "StatusCallback"),
    *("StatusCallbackMethod", "SmsUrl", "SmsMethod", "SmsApplicationSid"),
}
_DESTINATION = re.compile(r"\+[0-9]{7,15}|sips?:[^\s@]+@\S+|client:\S+")
MAX_TWIML = 4000
MAX_TEXT = 1600
MAX_TIMEOUT = 600


class TwilioApi:
    """The routes of one cloud."""

    def __init__(self, cloud: TwilioCloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[Route]:
        """All of them. Anything else is not found."""
        root = f"{self._cloud.root}/Accounts/{self._cloud.account}"
        table: list[tuple[str, str, Handler, set[str]]] = [
            ("POST", "/Calls.json", self._create_call, _CALL),
            ("GET", "/Calls/{sid}.json", self._show_call, set()),
            ("POST", "/Calls/{sid}.json", self._update_call, _UPDATE),
            ("POST", "/Calls/{sid}/Recordings.json", self._create_recording, _RECORDING),
            ("POST", "/Calls/{sid}/Recordings/{recording}.json", self._update_recording, {"Status"}),
            ("GET", "/Recordings/{recording}.wav", self._fetch_recording, {"RequestedChannels"}),
            ("POST", "/Messages.json", self._create_message, _MESSAGE),
            ("GET", "/IncomingPhoneNumbers.json", self._list_numbers, {"PageSize", "Page", "PageToken", "PhoneNumber"}),
            ("POST", "/IncomingPhoneNumbers/{sid}.json", self._update_number, _NUMBER),
        ]
        routes = [Route(root + path, self._guarded(take, known), methods=[way]) for way, path, take, known in table]
        return [*routes, Route("/{rest:path}", self._nowhere)]

    def _guarded(self, handler: Handler, known: set[str]) -> Callable[[Request], Awaitable[Response]]:
        """Authentication, then a form of known fields."""
        user, password = self._cloud.auth
        expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

        async def handle(request: Request) -> Response:
            if request.headers.get("authorization") != expected:
                return self._cloud.error(401, 20003, "Authenticate")
            if request.method == "POST":
                kind = request.headers.get("content-type", "")
                if kind.partition(";")[0] != "application/x-www-form-urlencoded":
                    self._cloud.mistakes.append(f"{request.url.path}: a body of type {kind!r}")
                    return self._cloud.error(400, 20001, "the body is not a form")
                pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True)
            else:
                pairs = list(request.query_params.multi_items())
            form = gathered(pairs)
            if unknown := set(form) - known:
                self._cloud.mistakes.append(f"{request.url.path}: there is no {sorted(unknown)}")
            return handler(request, form)

        return handle

    async def _nowhere(self, request: Request) -> Response:
        return self._cloud.error(404, 20404, f"The requested resource {request.url.path} was not found")

    # --- calls --------------------------------------------------------------------------------------------------------

    def _create_call(self, _: Request, form: Form) -> Response:
        cloud = self._cloud
        if not _DESTINATION.fullmatch(form.get("To", "")):
            return cloud.error(400, 21211, "The phone number you are attempting to call is not valid.")
        if form.get("From", "") not in cloud.numbers:
            return cloud.error(400, 21210, "The source phone number provided is not yet verified for your account.")
        if problem := self._instructions_problem(form):
            return problem
        timeout = form.get("Timeout", "60")
        if not timeout.isdecimal() or not 0 < int(timeout) <= MAX_TIMEOUT:
            return cloud.error(400, 21222, "Timeout is not valid")
        if form.get("MachineDetection", "Enable") not in ("Enable", "DetectMessageEnd"):
            return cloud.error(400, 21226, "MachineDetection is not valid")
        leg = cloud.call(form["To"], form["From"], timeout=float(timeout), **self._call_data(form))
        leg.next = partial(cloud.run_answered, leg, form.get("Twiml"), form.get("Url"))
        return JSONResponse(self._call(leg), 201)

    def _instructions_problem(self, form: Form) -> Response | None:
        if "Url" not in form and not ("Twiml" in form and self._cloud.inline):
            return self._cloud.error(400, 21201, "No Url, Twiml or ApplicationSid")
        if len(form.get("Twiml", "")) > MAX_TWIML:
            return self._cloud.error(400, 21620, "Twiml is too long")
        return None

    def _call_data(self, form: Form) -> dict[str, Any]:
        events = form.get("StatusCallbackEvent", "completed")
        data: dict[str, Any] = {
            "status_url": form.get("StatusCallback"),
            "status_events": {events} if isinstance(events, str) else set(events),
            "send_digits": form.get("SendDigits", ""),
        }
        if "TimeLimit" in form:
            data["time_limit"] = float(form["TimeLimit"])
        if "MachineDetection" in form and "SendDigits" not in form:
            data["amd"] = form["MachineDetection"]
            data["amd_url"] = form.get("AsyncAmdStatusCallback") if form.get("AsyncAmd") == "true" else None
        return data

    def _show_call(self, request: Request, _: Form) -> Response:
        leg = self._cloud.leg(request.path_params["sid"])
        return self._missing(request) if leg is None else JSONResponse(self._call(leg))

    def _update_call(self, request: Request, form: Form) -> Response:
        cloud = self._cloud
        leg = cloud.leg(request.path_params["sid"])
        if leg is None:
            return self._missing(request)
        status = form.get("Status")
        if status is not None and status not in ("completed", "canceled"):
            return cloud.error(400, 21218, "Invalid status")
        if leg.over.is_set():
            return cloud.error(400, 21220, "Call is not in-progress. Cannot redirect.")
        if status == "completed" or (status == "canceled" and not leg.answered.is_set()):
            cloud.hang_up(leg)
        elif status is None:
            if problem := self._instructions_problem(form):
                return problem
            if not leg.answered.is_set():
                return cloud.error(400, 21220, "Call is not in-progress. Cannot redirect.")
            interpreter = Interpreter(cloud, leg)
            url, document = form.get("Url"), form.get("Twiml")
            leg.instruct(partial(interpreter.run, document) if url is None else partial(interpreter.run_from, url))
        return JSONResponse(self._call(leg))

    def _call(self, leg: CloudLeg) -> dict[str, Any]:
        fields = self._cloud.call_fields(leg)
        uri = f"{self._cloud.root}/Accounts/{self._cloud.account}/Calls/{leg.call_id}"
        since, ended = leg.since("answered"), leg.states[-1][0] if leg.over.is_set() else None
        return {
            "sid": leg.call_id,
            "account_sid": self._cloud.account,
            "parent_call_sid": fields.get("ParentCallSid"),
            "to": fields["To"],
            "to_formatted": fields["To"],
            "from": fields["From"],
            "from_formatted": fields["From"],
            "phone_number_sid": getattr(self._cloud.numbers.get(leg.line), "sid", None),
            "status": _STATUS[leg.state],
            "start_time": None if since is None else self._cloud.date(since),
            "end_time": None if ended is None else self._cloud.date(ended),
            "duration": None if ended is None else str(0 if since is None else round(ended - since)),
            "price": None,
            "price_unit": "USD",
            "direction": fields["Direction"],
            "answered_by": leg.data.get("answered_by"),
            "api_version": "2010-04-01",
            "forwarded_from": None,
            "group_sid": None,
            "caller_name": None,
            "queue_time": "0",
            "trunk_sid": None,
            "date_created": None,
            "date_updated": None,
            "uri": f"{uri}.json",
            "subresource_uris": {"recordings": f"{uri}/Recordings.json", "streams": f"{uri}/Streams.json"},
        }

    def _missing(self, request: Request) -> Response:
        return self._cloud.error(404, 20404, f"The requested resource {request.url.path} was not found")

    # --- recordings ---------------------------------------------------------------------------------------------------

    def _create_recording(self, request: Request, form: Form) -> Response:
        leg = self._cloud.leg(request.path_params["sid"])
        if leg is None:
            return self._missing(request)
        if leg.state != "answered":
            return self._cloud.error(400, 21220, "Requested resource is not eligible for recording")
        taken = self._cloud.start_recording(
            leg,
            self._cloud.sid("RE"),
            url=form.get("RecordingStatusCallback"),
            events=form.get("RecordingStatusCallbackEvent", "completed").split(),
            channels="2" if form.get("RecordingChannels") == "dual" else "1",
            track=form.get("RecordingTrack", "both"),
        )
        return JSONResponse(self._recording(taken), 201)

    def _update_recording(self, request: Request, form: Form) -> Response:
        taken = self._cloud.recordings.get(request.path_params["recording"])
        if taken is None or taken.leg.call_id != request.path_params["sid"]:
            return self._missing(request)
        if form.get("Status") != "stopped":
            return self._cloud.error(400, 21218, "Invalid status")
        if taken.ended is not None:
            return self._cloud.error(400, 21220, "Recording is not in-progress")
        self._cloud.stop_recording(taken)
        return JSONResponse(self._recording(taken))

    def _recording(self, taken: Recording) -> dict[str, Any]:
        return {
            "sid": taken.recording_id,
            "account_sid": self._cloud.account,
            "call_sid": taken.leg.call_id,
            "conference_sid": None,
            "status": "in-progress" if taken.ended is None else "processing",
            "channels": int(taken.data["channels"]),
            "source": "StartCallRecordingAPI",
            "track": taken.data["track"],
            "duration": None,
            "error_code": None,
        }

    def _fetch_recording(self, request: Request, form: Form) -> Response:
        taken = self._cloud.recordings.get(request.path_params["recording"])
        if taken is None or taken.ended is None:
            return self._missing(request)
        return Response(wav(taken.audio, int(form.get("RequestedChannels", "1"))), media_type="audio/x-wav")

    # --- messages and numbers -----------------------------------------------------------------------------------------

    def _create_message(self, _: Request, form: Form) -> Response:
        cloud = self._cloud
        if not _DESTINATION.fullmatch(form.get("To", "")):
            return cloud.error(400, 21211, "The 'To' number is not a valid phone number.")
        if form.get("From", "") not in cloud.numbers:
            return cloud.error(400, 21606, "The 'From' phone number provided is not a valid message-capable number.")
        body = form.get("Body", "")
        if not 0 < len(body) <= MAX_TEXT:
            return cloud.error(400, 21617, "The message body has no, or more than 1600 characters.")
        message = Text(cloud.new_message_id(), form["From"], form["To"], body, trio.current_time(), states=["queued"])
        message.data["status_url"] = form.get("StatusCallback")
        cloud.send_text(message, "sent", "undelivered" if form["To"] in cloud.text_fails else "delivered")
        resource = {
            "sid": message.message_id,
            "account_sid": cloud.account,
            "status": "queued",
            "body": body,
            "num_segments": "1",
            "num_media": "0",
            "direction": "outbound-api",
            "error_code": None,
            "error_message": None,
            "from": form["From"],
            "to": form["To"],
        }
        return JSONResponse(resource, 201)

    def _list_numbers(self, request: Request, form: Form) -> Response:
        size, page = int(form.get("PageSize", "50")), int(form.get("Page", "0"))
        numbers = [number.resource for number in self._cloud.numbers.values()]
        more = len(numbers) > (page + 1) * size
        path = request.url.path
        following = f"{path}?PageSize={size}&Page={page + 1}&PageToken=PA{self._cloud.account}" if more else None
        return JSONResponse(
            {
                "incoming_phone_numbers": numbers[page * size : (page + 1) * size],
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": min(len(numbers), (page + 1) * size) - 1,
                "first_page_uri": f"{path}?PageSize={size}&Page=0",
                "next_page_uri": following,
                "previous_page_uri": None,
                "uri": f"{path}?PageSize={size}&Page={page}",
            }
        )

    def _update_number(self, request: Request, form: Form) -> Response:
        sid = request.path_params["sid"]
        number = next((number for number in self._cloud.numbers.values() if number.sid == sid), None)
        if number is None:
            return self._missing(request)
        number.voice_url = form.get("VoiceUrl", number.voice_url)
        number.status_callback = form.get("StatusCallback", number.status_callback)
        number.sms_url = form.get("SmsUrl", number.sms_url)
        number.friendly_name = form.get("FriendlyName", number.friendly_name)
        return JSONResponse(number.resource)


def wav(audio: bytes, channels: int = 1) -> bytes:
    """Mu-law at 8 kHz as a WAV file; of two channels the second has it, as the person's own is the first."""
    pcm = to_pcm(audio, "mulaw")
    if channels == 2:
        pcm = np.column_stack([np.zeros_like(pcm), pcm])
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(pcm.astype("<i2").tobytes())
    return file.getvalue()
