"""The simulated Plivo's API: Basic authentication, JSON, strict fields, paths that end with a slash.

Sources: https://www.plivo.com/docs/voice/api/, https://www.plivo.com/docs/messaging/api/message/,
https://www.plivo.com/docs/account/api/application/ and https://www.plivo.com/docs/numbers/api/account-phone-number/.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from callengine.carriers.plivo.numbers import bare, e164
from callengine.testing.clouds.legs import CloudLeg
from callengine.testing.clouds.plivo_xml import Interpreter
from callengine.testing.clouds.twilio_api import wav
from callengine.testing.clouds.values import Text

if TYPE_CHECKING:
    from callengine.testing.clouds.plivo import Application, PlivoCloud

Fields: TypeAlias = Mapping[str, Any]
Handler: TypeAlias = Callable[[Request, Fields], Response]

_URLS = ("answer", "ring", "hangup", "fallback", "machine_detection")
_CALL = {
    *("from", "to", "ring_timeout", "time_limit", "send_digits", "machine_detection", "machine_detection_time"),
    *(f"{name}_url" for name in _URLS),
    *(f"{name}_method" for name in _URLS),
    *("sip_headers", "caller_name", "send_on_preanswer"),
}
_TRANSFER = {"legs", "aleg_url", "aleg_method", "bleg_url", "bleg_method"}
_RECORD = {"time_limit", "file_format", "record_channel_type", "callback_url", "callback_method"}
_MESSAGE = {"src", "dst", "text", "type", "url", "method", "media_urls"}
_APPLICATION = {
    f"{name}_{part}" for name in ("answer", "hangup", "fallback_answer", "message") for part in ("url", "method")
}
_DESTINATION = re.compile(r"\+?[0-9]{7,15}|sips?:[^\s@]+@\S+")
MAX_PAGE = 20


class PlivoApi:
    """The routes of one cloud."""

    def __init__(self, cloud: PlivoCloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[Route]:
        """All of them. Anything else is not found."""
        pages = {"limit", "offset"}
        table: list[tuple[str, str, Handler, set[str]]] = [
            ("POST", "/Call/", self._create_call, _CALL),
            ("POST", "/Call/{id}/", self._transfer, _TRANSFER),
            ("DELETE", "/Call/{id}/", self._hang_up, set()),
            ("DELETE", "/Request/{id}/", self._cancel, set()),
            ("POST", "/Call/{id}/Record/", self._record, _RECORD),
            ("DELETE", "/Call/{id}/Record/", self._stop_recording, {"URL"}),
            ("POST", "/Call/{id}/DTMF/", self._press, {"digits", "leg"}),
            ("POST", "/Message/", self._create_message, _MESSAGE),
            ("GET", "/Application/", self._list_applications, pages),
            ("POST", "/Application/", self._create_application, _APPLICATION | {"app_name"}),
            ("POST", "/Application/{id}/", self._update_application, _APPLICATION),
            ("GET", "/Number/", self._list_numbers, pages),
            ("POST", "/Number/{id}/", self._update_number, {"app_id", "alias"}),
        ]
        root = self._cloud.root
        routes = [Route(root + path, self._guarded(take, known), methods=[way]) for way, path, take, known in table]
        fetch = Route(f"{root}/Recording/{{id}}.wav", self._fetch_recording)  # on another host, and public
        return [*routes, fetch, Route("/{rest:path}", self._nowhere, methods=["GET", "POST", "DELETE"])]

    def _guarded(self, handler: Handler, known: set[str]) -> Callable[[Request], Awaitable[Response]]:
        """Authentication, then known fields."""
        user, password = self._cloud.auth
        expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

        async def handle(request: Request) -> Response:
            if request.headers.get("authorization") != expected:
                return Response("Could not verify your access level for that URL.", 401)
            fields: Fields = dict(request.query_params)
            if request.method == "POST":
                body = await request.json() if await request.body() else {}
                if not isinstance(body, dict):
                    return self._cloud.error(400, "the body is not an object")
                fields = body
            if unknown := set(fields) - known:
                self._cloud.mistakes.append(f"{request.url.path}: there is no {sorted(unknown)}")
            return handler(request, fields)

        return handle

    async def _nowhere(self, _: Request) -> Response:
        return self._cloud.error(404, "not found")

    def _answer(self, status: int, **fields: Any) -> Response:
        return JSONResponse(fields | {"api_id": self._cloud.uuid()}, status)

    # --- calls --------------------------------------------------------------------------------------------------------

    def _create_call(self, _: Request, fields: Fields) -> Response:
        cloud = self._cloud
        to, shown = str(fields.get("to", "")), e164(str(fields.get("from", "")))
        if not _DESTINATION.fullmatch(to):
            return cloud.error(400, "to parameter is invalid")
        if shown not in cloud.numbers:
            return cloud.error(400, "from parameter is not one of the account's numbers")
        if not str(fields.get("answer_url", "")).startswith("http"):
            return cloud.error(400, "answer_url parameter not present")
        if fields.get("machine_detection", "true") not in ("true", "hangup"):
            return cloud.error(400, "machine_detection parameter is invalid")
        if not 2000 <= fields.get("machine_detection_time", 5000) <= 10_000:
            return cloud.error(400, "machine_detection_time parameter is invalid")
        timeout, request = float(fields.get("ring_timeout", 120)), cloud.uuid()
        leg = cloud.call(e164(bare(to)), shown, timeout=timeout, request=request)
        leg.data.update(fields)
        leg.next = partial(Interpreter(cloud, leg).run_from, fields["answer_url"], Event="StartApp")
        return self._answer(201, message="call fired", request_uuid=request)

    def _transfer(self, request: Request, fields: Fields) -> Response:
        leg = self._leg(request)
        if leg is None or leg.state != "answered":
            return self._cloud.error(404, "call not found")
        if fields.get("legs", "aleg") != "aleg" or not str(fields.get("aleg_url", "")).startswith("http"):
            return self._cloud.error(400, "aleg_url parameter not present")
        leg.instruct(partial(Interpreter(self._cloud, leg).run_from, fields["aleg_url"], Event="Redirect"))
        return self._answer(202, message="transfer executed", call_uuids=[leg.call_id])

    def _hang_up(self, request: Request, _: Fields) -> Response:
        return self._end(self._leg(request))

    def _cancel(self, request: Request, _: Fields) -> Response:
        wanted = request.path_params["id"]
        leg = next((leg for leg in self._cloud.legs if leg.data.get("request") == wanted), None)
        return self._end(None if leg is None or leg.answered.is_set() else leg)

    def _end(self, leg: CloudLeg | None) -> Response:
        if leg is None or leg.over.is_set():
            return self._cloud.error(404, "call not found")
        self._cloud.hang_up(leg)
        return Response(status_code=204)

    def _press(self, request: Request, fields: Fields) -> Response:
        leg, digits = self._leg(request), str(fields.get("digits", ""))
        if leg is None or leg.state != "answered":
            return self._cloud.error(404, "call not found")
        if not re.fullmatch(r"[0-9*#A-DwW]+", digits):
            return self._cloud.error(400, "digits parameter is invalid")
        leg.keys_heard += re.sub("[wW]", "", digits)
        return self._answer(202, message="digits sent")

    def _leg(self, request: Request) -> CloudLeg | None:
        return self._cloud.leg(request.path_params["id"])

    # --- recordings ---------------------------------------------------------------------------------------------------

    def _record(self, request: Request, fields: Fields) -> Response:
        cloud, leg = self._cloud, self._leg(request)
        if leg is None or leg.state != "answered":
            return cloud.error(404, "call not found")
        taken = cloud.start_recording(leg, cloud.uuid(), api_id=cloud.uuid(), url=fields.get("callback_url"))
        assert leg.nursery is not None
        leg.nursery.start_soon(cloud.limit_recording, taken, float(fields.get("time_limit", 60)))
        url = cloud.recording_url(taken.recording_id)
        return self._answer(202, message="call recording started", recording_id=taken.recording_id, url=url)

    def _stop_recording(self, request: Request, _: Fields) -> Response:
        taken = [recording for recording in self._cloud.recordings.values() if recording.leg is self._leg(request)]
        running = [recording for recording in taken if recording.ended is None]
        for recording in running:
            self._cloud.stop_recording(recording)
        return Response(status_code=204) if running else self._cloud.error(404, "no recording found")

    async def _fetch_recording(self, request: Request) -> Response:
        taken = self._cloud.recordings.get(request.path_params["id"])
        if taken is None or taken.ended is None:
            return self._cloud.error(404, "not found")
        return Response(wav(taken.audio, 2), media_type="audio/x-wav")

    # --- messages and numbers -----------------------------------------------------------------------------------------

    def _create_message(self, _: Request, fields: Fields) -> Response:
        cloud = self._cloud
        sender, to = e164(str(fields.get("src", ""))), e164(bare(str(fields.get("dst", ""))))
        if sender not in cloud.numbers:
            return cloud.error(400, "src parameter is not one of the account's numbers")
        if not (_DESTINATION.fullmatch(to) and fields.get("text")):
            return cloud.error(400, "dst or text parameter is invalid")
        message = Text(cloud.new_message_id(), sender, to, fields["text"], trio.current_time(), states=["queued"])
        message.data["url"] = fields.get("url")
        cloud.send_text(message, "sent", "undelivered" if to in cloud.text_fails else "delivered")
        return self._answer(202, message="message(s) queued", message_uuid=[message.message_id])

    def _list_applications(self, request: Request, fields: Fields) -> Response:
        return self._page(request, fields, [entry.resource(self._cloud.root) for entry in self._cloud.applications])

    def _create_application(self, _: Request, fields: Fields) -> Response:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", str(fields.get("app_name", ""))) or "answer_url" not in fields:
            return self._cloud.error(400, "app_name or answer_url parameter is invalid")
        if any(entry.name == fields["app_name"] for entry in self._cloud.applications):
            return self._cloud.error(400, "app_name is taken")
        return self._answer(201, message="created", app_id=self._cloud.application(fields["app_name"], fields).app_id)

    def _update_application(self, request: Request, fields: Fields) -> Response:
        entry = self._application(request.path_params["id"])
        if entry is None:
            return self._cloud.error(404, "not found")
        entry.urls.update(fields)
        return self._answer(202, message="changed")

    def _list_numbers(self, request: Request, fields: Fields) -> Response:
        numbers: list[dict[str, Any]] = []
        for number, entry in self._cloud.numbers.items():
            uri = None if entry is None else entry.resource(self._cloud.root)["resource_uri"]
            shared = {"alias": None, "voice_enabled": True, "sms_enabled": True}
            numbers.append({"number": bare(number), "application": uri, **shared})
        return self._page(request, fields, numbers)

    def _update_number(self, request: Request, fields: Fields) -> Response:
        number, entry = e164(request.path_params["id"]), self._application(str(fields.get("app_id", "")))
        if number not in self._cloud.numbers or entry is None:
            return self._cloud.error(404, "not found")
        self._cloud.numbers[number] = entry
        return self._answer(202, message="changed")

    def _application(self, app_id: str) -> Application | None:
        return next((entry for entry in self._cloud.applications if entry.app_id == app_id), None)

    def _page(self, request: Request, fields: Fields, entries: list[dict[str, Any]]) -> Response:
        limit, offset = int(fields.get("limit", MAX_PAGE)), int(fields.get("offset", 0))
        if not 0 < limit <= MAX_PAGE:
            return self._cloud.error(400, "limit parameter is invalid")
        more = offset + limit < len(entries)
        following = f"{request.url.path}?limit={limit}&offset={offset + limit}" if more else None
        meta = {"limit": limit, "offset": offset, "next": following, "previous": None, "total_count": len(entries)}
        return self._answer(200, meta=meta, objects=entries[offset : offset + limit])
