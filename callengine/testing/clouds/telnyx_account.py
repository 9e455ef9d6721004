"""The simulated Telnyx's API, beside calls: text messages, numbers, applications and messaging profiles."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from callengine.testing.clouds.values import Text

if TYPE_CHECKING:
    from callengine.testing.clouds.telnyx import TelnyxCloud

Body: TypeAlias = Mapping[str, Any]
Handler: TypeAlias = Callable[[Request, Body], Response]

DESTINATION = re.compile(r"\+[0-9]{7,15}|sips?:\S+")


def account_routes(cloud: TelnyxCloud) -> list[tuple[str, str, Handler]]:
    """Methods, paths and handlers."""
    account = _Account(cloud)
    return [
        ("POST", "/messages", account.send_message),
        ("GET", "/phone_numbers", account.list_numbers),
        ("PATCH", "/phone_numbers/{number_id}", account.change_number),
        ("PATCH", "/phone_numbers/{number_id}/messaging", account.change_number),
        ("GET", "/call_control_applications", account.list_applications),
        ("GET", "/call_control_applications/{application_id}", account.show_application),
        ("PATCH", "/call_control_applications/{application_id}", account.change_application),
        ("PATCH", "/messaging_profiles/{profile_id}", account.change_profile),
    ]


class _Account:
    def __init__(self, cloud: TelnyxCloud) -> None:
        self._cloud = cloud

    def send_message(self, _: Request, body: Body) -> Response:
        """A text message goes out."""
        cloud = self._cloud
        if body.get("from") not in cloud.numbers:
            return cloud.error(400, "40305", "Invalid 'from' address")
        if not DESTINATION.fullmatch(str(body.get("to"))) or not body.get("text"):
            return cloud.error(400, "40310", "Invalid 'to' address or text")
        profile = cloud.numbers[body["from"]].messaging_profile_id
        text = Text(cloud.new_message_id(), body["from"], body["to"], body["text"], trio.current_time())
        text.states.append("queued")
        text.data["webhook_url"] = body.get("webhook_url", cloud.profiles.get(profile, ""))
        cloud.send_text(text, "sent", "delivery_failed" if body["to"] in cloud.text_fails else "delivered")
        to = [{"phone_number": body["to"], "status": "queued"}]
        return JSONResponse({"data": {"record_type": "message", "id": text.message_id, "to": to, "errors": []}})

    def list_numbers(self, request: Request, _: Body) -> Response:
        """A page of numbers."""
        entries = [
            {
                "record_type": "phone_number",
                "id": number.number_id,
                "phone_number": number.number,
                "connection_id": number.connection_id,
                "connection_name": self._cloud.applications[number.connection_id].name,
            }
            for number in self._cloud.numbers.values()
        ]
        return _page(request, entries)

    def change_number(self, request: Request, body: Body) -> Response:
        """A number gets another application, or messaging profile."""
        for number in self._cloud.numbers.values():
            if number.number_id == request.path_params["number_id"]:
                number.connection_id = body.get("connection_id", number.connection_id)
                number.messaging_profile_id = body.get("messaging_profile_id", number.messaging_profile_id)
                return JSONResponse({"data": {"id": number.number_id, "phone_number": number.number}})
        return self._cloud.missing()

    def _application(self, application_id: str) -> dict[str, Any]:
        application = self._cloud.applications[application_id]
        return {
            "record_type": "call_control_application",
            "id": application_id,
            "application_name": application.name,
            "webhook_event_url": application.webhook_url,
        }

    def list_applications(self, request: Request, _: Body) -> Response:
        """A page of applications."""
        return _page(request, [self._application(name) for name in self._cloud.applications])

    def show_application(self, request: Request, _: Body) -> Response:
        """One application."""
        name = request.path_params["application_id"]
        return (
            JSONResponse({"data": self._application(name)})
            if name in self._cloud.applications
            else self._cloud.missing()
        )

    def change_application(self, request: Request, body: Body) -> Response:
        """An application is announced elsewhere; name and URL must both be given."""
        application = self._cloud.applications.get(request.path_params["application_id"])
        if application is None:
            return self._cloud.missing()
        if not body.get("application_name") or not body.get("webhook_event_url"):
            return self._cloud.error(422, "10004", "Missing required parameter")
        application.name, application.webhook_url = body["application_name"], body["webhook_event_url"]
        return JSONResponse({"data": self._application(application.application_id)})

    def change_profile(self, request: Request, body: Body) -> Response:
        """A messaging profile's messages are announced elsewhere."""
        name = request.path_params["profile_id"]
        if name not in self._cloud.profiles:
            return self._cloud.missing()
        self._cloud.profiles[name] = body.get("webhook_url", self._cloud.profiles[name])
        return JSONResponse({"data": {"id": name}})


def _page(request: Request, entries: list[dict[str, Any]]) -> Response:
    query = request.query_params
    size, page = int(query.get("page[size]", "20")), int(query.get("page[number]", "1"))
    shown = entries[(page - 1) * size : page * size]
    meta = {"total_pages": max(1, -(-len(entries) // size)), "page_number": page, "page_size": size}
    return JSONResponse({"data": shown, "meta": meta | {"total_results": len(entries)}})
