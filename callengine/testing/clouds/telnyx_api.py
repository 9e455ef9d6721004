"""The simulated Telnyx's API: a bearer's key, strict bodies, commands that are given once."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from callengine.testing.accounts import TELNYX_KEY
from callengine.testing.clouds.legs import CloudLeg
from callengine.testing.clouds.phones import Ending
from callengine.testing.clouds.telnyx_account import DESTINATION, Body, Handler, account_routes

if TYPE_CHECKING:
    from callengine.testing.clouds.telnyx import TelnyxCloud

Command: TypeAlias = Callable[[CloudLeg, Body], Response | None]

REJECTED = Ending("busy", "rejected", 486)
MAX_SPEECH = 3000
_STREAM = {
    *("stream_url", "stream_track", "stream_codec", "stream_bidirectional_mode", "stream_bidirectional_codec"),
    *("stream_bidirectional_target_legs",),
}
_DIAL = {
    *("connection_id", "to", "from", "timeout_secs", "time_limit_secs", "webhook_url", "webhook_url_method"),
    *("answering_machine_detection", "send_digits_on_answer", "stream_bidirectional_sampling_rate"),
    *("send_silence_when_idle", *_STREAM),
}
_COMMANDS: Mapping[str, set[str]] = {
    "answer": {"webhook_url", "webhook_url_method", "send_silence_when_idle", *_STREAM},
    "hangup": set(),
    "reject": {"cause"},
    "streaming_start": {"stream_bidirectional_sampling_rate", "custom_parameters", *_STREAM},
    "streaming_stop": {"stream_id"},
    "transfer": {"to", "from", "timeout_secs", "target_leg_client_state", "webhook_url", "webhook_url_method"},
    "bridge": {"call_control_id"},
    "refer": {"sip_address"},
    "send_dtmf": {"digits", "duration_millis"},
    "record_start": {"format", "channels", "play_beep"},
    "record_stop": {"recording_id"},
    "speak": {"payload", "voice", "language", "payload_type"},
}
_BEFORE_ANSWER = {"answer", "hangup", "reject"}
_DETECTIONS = {"premium", "detect", "detect_beep", "detect_words", "greeting_end", "disabled"}


class TelnyxApi:
    """The routes of one cloud."""

    def __init__(self, cloud: TelnyxCloud) -> None:
        self._cloud = cloud
        self._done: dict[tuple[str, str], bytes] = {}
        """What commands were answered, by leg and ``command_id``: a repetition is not carried out."""

    def routes(self) -> list[Route]:
        """All of them. Anything else is not found."""
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/calls", self._dial),
            ("POST", "/calls/{call_id}/actions/{name}", self._command),
            *account_routes(self._cloud),
        ]
        routes = [Route("/v2" + path, self._guarded(handler), methods=[way]) for way, path, handler in table]
        return [*routes, Route("/{rest:path}", self._nowhere, methods=["GET", "POST", "PATCH"])]

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Authentication, then a JSON object."""

        async def handle(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {TELNYX_KEY}":
                return self._cloud.error(401, "10009", "Authentication failed")
            body: Any = {}
            if request.method != "GET":
                try:
                    body = json.loads(await request.body())
                except ValueError:
                    body = None
                if not isinstance(body, dict):
                    self._cloud.mistakes.append(f"{request.url.path}: the body is not a JSON object")
                    return self._cloud.error(400, "10015", "Bad Request")
            return handler(request, body)

        return handle

    async def _nowhere(self, _: Request) -> Response:
        return self._cloud.missing()

    # --- legs ---------------------------------------------------------------------------------------------------------

    def _dial(self, request: Request, body: Body) -> Response:
        del request
        cloud = self._cloud
        if (done := self._done.get(("", str(body.get("command_id"))))) is not None:
            return Response(done, media_type="application/json")
        self._check_fields("dial", body, _DIAL)
        if body.get("connection_id") not in cloud.applications:
            return cloud.error(422, "10015", "Invalid value for connection_id")
        if not DESTINATION.fullmatch(str(body.get("to"))):
            return cloud.error(422, "10016", "Phone number must be in +E164 format")
        if body.get("from") not in cloud.numbers:
            return cloud.error(403, "10010", "The from number is not verified")
        if not 5 <= body.get("timeout_secs", 30) <= 600 or not 1 <= body.get("time_limit_secs", 14_400) <= 14_400:
            return cloud.error(422, "10015", "Invalid value for a time")
        if body.get("answering_machine_detection", "disabled") not in _DETECTIONS:
            return cloud.error(422, "10015", "Invalid value for answering_machine_detection")
        data = {
            "webhook_url": body.get("webhook_url", cloud.applications[body["connection_id"]].webhook_url),
            "client_state": body.get("client_state"),
            "amd": body.get("answering_machine_detection", "disabled"),
            "send_digits": body.get("send_digits_on_answer", ""),
            "time_limit": body.get("time_limit_secs"),
            **self._stream(body),
        }
        leg = cloud.call(body["to"], body["from"], timeout=float(body.get("timeout_secs", 30)), **data)
        if "stream_url" in body:
            leg.next = partial(cloud.open_stream, leg)
        answer = JSONResponse({"data": {"record_type": "call", "call_control_id": leg.call_id, "is_alive": False}})
        self._done["", str(body.get("command_id"))] = bytes(answer.body)
        return answer

    def _command(self, request: Request, body: Body) -> Response:
        """A command for a leg. Most take effect at once; what comes of it, webhooks say."""
        cloud = self._cloud
        call_id, name = request.path_params["call_id"], request.path_params["name"]
        leg = cloud.leg(call_id)
        if name not in _COMMANDS:
            return self._cloud.missing()
        if leg is None:
            return cloud.error(422, "90015", "Invalid call control id")
        self._check_fields(name, body, _COMMANDS[name])
        command_id = str(body.get("command_id"))
        if (done := self._done.get((call_id, command_id))) is not None:
            return Response(done, media_type="application/json")
        if leg.over.is_set():
            return cloud.error(422, "90018", "Call has already ended")
        if name not in _BEFORE_ANSWER and not leg.answered.is_set():
            return cloud.error(422, "90034", "Call is not answered yet")
        if "client_state" in body:
            leg.data["client_state"] = body["client_state"]
        handler: Command = getattr(self, f"_{name}")
        answer = handler(leg, body) or JSONResponse({"data": {"result": "ok"}})
        if answer.status_code == 200:
            self._done[call_id, command_id] = bytes(answer.body)
        return answer

    def _check_fields(self, name: str, body: Body, known: set[str]) -> None:
        if unknown := set(body) - known - {"command_id", "client_state"}:
            self._cloud.mistakes.append(f"{name}: there is no {sorted(unknown)}")
        if "command_id" not in body:
            self._cloud.mistakes.append(f"{name}: without a command_id it is not safe to repeat")

    def _stream(self, body: Body) -> dict[str, Any]:
        """What a command says of a stream. A live agent's has to be raw audio, and of the codec that the simulated
        line has (`CarrierSettings.options`)."""
        if "stream_url" not in body:
            return {}
        codec = self._cloud.settings.options.get("codec", "PCMU")
        wanted = {
            "stream_bidirectional_mode": "rtp",
            "stream_bidirectional_codec": codec,
            "stream_track": "inbound_track",
            "stream_bidirectional_target_legs": "self",
        }
        if codec == "L16" and "stream_bidirectional_sampling_rate" in body:
            wanted["stream_bidirectional_sampling_rate"] = 16000
        for name, value in wanted.items():
            if body.get(name) != value:
                self._cloud.mistakes.append(f"{name} is {body.get(name)!r}, which lets nobody talk: {value!r} does")
        parameters = {entry["name"]: entry["value"] for entry in body.get("custom_parameters", ())}
        return {"stream_url": body["stream_url"], "parameters": parameters}

    def _answer(self, leg: CloudLeg, body: Body) -> Response | None:
        if leg.direction == "outbound":
            return self._cloud.error(422, "90102", "This command cannot be issued on outbound calls")
        if leg.answered.is_set():
            return self._cloud.error(422, "90010", "Call has already been answered")
        leg.data.update(self._stream(body))
        self._cloud.answer(leg)
        leg.instruct(partial(self._cloud.open_stream if "stream_url" in body else self._cloud.at_rest, leg))
        return None

    def _reject(self, leg: CloudLeg, body: Body) -> Response | None:
        if leg.answered.is_set() or leg.direction == "outbound":
            return self._cloud.error(422, "90102", "Only a ringing incoming call can be rejected")
        if body.get("cause") not in ("USER_BUSY", "CALL_REJECTED", "NOT_FOUND", "TEMPORARILY_UNAVAILABLE"):
            return self._cloud.error(422, "10015", "Invalid value for cause")
        self._cloud.end(leg, REJECTED)
        return None

    def _hangup(self, leg: CloudLeg, _: Body) -> None:
        self._cloud.hang_up(leg)

    def _streaming_start(self, leg: CloudLeg, body: Body) -> Response | None:
        if leg.stream is not None:
            return self._cloud.error(422, "90045", "Media streaming is already used")
        leg.data.update(self._stream(body))
        leg.instruct(partial(self._cloud.open_stream, leg))
        return None

    def _streaming_stop(self, leg: CloudLeg, _: Body) -> Response | None:
        if leg.stream is None:
            return self._cloud.error(422, "90048", "Media streaming is not used")
        leg.instruct(partial(self._cloud.at_rest, leg))
        return None

    # --- transfers ----------------------------------------------------------------------------------------------------

    def _transfer(self, leg: CloudLeg, body: Body) -> Response | None:
        cloud = self._cloud
        if not DESTINATION.fullmatch(str(body.get("to"))):
            return cloud.error(422, "10016", "Phone number must be in +E164 format")
        if body.get("from") not in cloud.numbers:
            return cloud.error(403, "10010", "The from number is not verified")
        if "webhook_url" in body:  # of the call: of both legs
            leg.data["webhook_url"] = body["webhook_url"]
        data = {"webhook_url": leg.data["webhook_url"], "client_state": body.get("target_leg_client_state")}
        timeout = float(body.get("timeout_secs", 30))
        leg.instruct(partial(cloud.transfer, leg, body["to"], body["from"], timeout, **data))
        return None

    def _bridge(self, leg: CloudLeg, body: Body) -> Response | None:
        other = self._cloud.leg(str(body.get("call_control_id")))
        if other is None or not other.answered.is_set() or other.over.is_set():
            return self._cloud.error(422, "90018", "The other call has already ended")
        leg.instruct(partial(self._cloud.bridge, leg, other))
        other.instruct(partial(self._cloud.bridge, other, leg))
        return None

    def _refer(self, leg: CloudLeg, body: Body) -> Response | None:
        if not str(body.get("sip_address")).startswith(("sip:", "sips:")):
            return self._cloud.error(422, "10015", "Invalid value for sip_address")
        leg.instruct(partial(self._cloud.refer, leg, body["sip_address"]))
        return None

    # --- keys, recordings, speech -------------------------------------------------------------------------------------

    def _send_dtmf(self, leg: CloudLeg, body: Body) -> Response | None:
        digits = str(body.get("digits"))
        if not re.fullmatch("[0-9A-D*#wW]+", digits):
            return self._cloud.error(422, "10015", "Invalid value for digits")
        leg.keys_heard += re.sub("[wW]", "", digits)
        return None

    def _record_start(self, leg: CloudLeg, body: Body) -> Response:
        if body.get("format") not in ("wav", "mp3") or body.get("channels") not in ("single", "dual"):
            return self._cloud.error(422, "10015", "Invalid value for format or channels")
        recording_id = self._cloud.new_uuid()
        self._cloud.start_recording(leg, recording_id, format=body["format"], channels=body["channels"])
        return JSONResponse({"data": {"result": "ok", "recording_id": recording_id}})

    def _record_stop(self, leg: CloudLeg, body: Body) -> Response | None:
        mine = [taken for taken in self._cloud.recordings.values() if taken.leg is leg and taken.ended is None]
        if "recording_id" in body:
            mine = [taken for taken in mine if taken.recording_id == body["recording_id"]]
        if not mine:
            return self._cloud.error(404, "10005", "Recording not found")
        for taken in mine:
            self._cloud.stop_recording(taken)
        return None

    def _speak(self, leg: CloudLeg, body: Body) -> Response | None:
        if not body.get("voice") or not 0 < len(body.get("payload", "")) <= MAX_SPEECH:
            return self._cloud.error(422, "10015", "Invalid value for voice or payload")
        leg.instruct(partial(self._cloud.speak, leg, body["payload"]))
        return None
