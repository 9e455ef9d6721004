"""An account's numbers, and where their calls and messages are announced.

Source: https://developers.telnyx.com/api-reference/phone-number-configurations,
https://developers.telnyx.com/api-reference/call-control-applications/update-a-call-control-application and
https://developers.telnyx.com/api-reference/profiles/update-a-messaging-profile.

With Telnyx a number has no URL of its own: it belongs to a connection (for an engine a Call Control application), and
that has one.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from callengine.carriers.rest import Rest
from callengine.carriers.telnyx.commands import data_of
from callengine.errors import CarrierError
from callengine.telephony import PhoneNumber

PAGE_SIZE = 100
MOST_PAGES = 1000
"""Pages read: a hundred thousand numbers."""


async def list_numbers(rest: Rest) -> list[PhoneNumber]:
    """All numbers, with the URL of the application that each belongs to."""
    applications = await _all(rest, "/call_control_applications")
    urls = {_text(entry, "id"): _text(entry, "webhook_event_url") for entry in applications}
    return [
        PhoneNumber(
            number=_text(entry, "phone_number"),
            number_id=_text(entry, "id"),
            voice_url=urls.get(_text(entry, "connection_id"), ""),
            label=_text(entry, "connection_name"),
        )
        for entry in await _all(rest, "/phone_numbers")
    ]


async def point(rest: Rest, number: PhoneNumber, url: str, connection_id: str, profile_id: str | None) -> None:
    """Give the application this webhook URL, and the number to the application; the same for messages, where there is
    a messaging profile. All numbers of the application, and of the profile, are announced there from then on."""
    application = f"/call_control_applications/{quote(connection_id, safe='')}"
    answer = await rest.request("GET", application, repeatable=True)
    name = _text(data_of(answer), "application_name")  # has to be repeated with every change
    change = {"application_name": name, "webhook_event_url": url, "webhook_api_version": "2"}
    await rest.request("PATCH", application, json=change, repeatable=True)
    path = f"/phone_numbers/{quote(number.number_id, safe='')}"
    await rest.request("PATCH", path, json={"connection_id": connection_id}, repeatable=True)
    if profile_id is not None:
        profile = f"/messaging_profiles/{quote(profile_id, safe='')}"
        await rest.request("PATCH", profile, json={"webhook_url": url, "webhook_api_version": "2"}, repeatable=True)
        await rest.request("PATCH", f"{path}/messaging", json={"messaging_profile_id": profile_id}, repeatable=True)


async def _all(rest: Rest, path: str) -> list[dict[str, Any]]:
    """The entries of every page."""
    entries: list[dict[str, Any]] = []
    for page in range(1, MOST_PAGES + 1):
        query = [("page[number]", str(page)), ("page[size]", str(PAGE_SIZE))]
        answer = await rest.request("GET", path, query=query, repeatable=True)
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, list):
            raise CarrierError("telnyx", "an answer without data", fault="unavailable")
        entries += [entry for entry in data if isinstance(entry, dict)]
        meta = answer.get("meta")
        pages = meta.get("total_pages") if isinstance(meta, dict) else None
        if not isinstance(pages, int) or page >= pages:
            break
    return entries


def _text(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    return str(value) if isinstance(value, str | int) else ""
