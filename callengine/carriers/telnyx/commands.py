"""How Telnyx is commanded: one request, repeatable, for one leg; and what may stand in it.

Source: https://developers.telnyx.com/docs/voice/programmable-voice/sending-commands
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import trio

from callengine.carriers.rest import Rest
from callengine.carriers.telnyx.problems import NO_STREAM, NOT_ANSWERED_YET
from callengine.carriers.telnyx.webhooks import check_call_id
from callengine.errors import CarrierError, WebhookError

ANSWER_PATIENCE = 5.0
"""Seconds in which a leg that was told to answer must be up; until then commands are refused (90034)."""
ANSWER_PAUSE = 0.25
"""Seconds between two looks whether it is."""
RING_TIMEOUTS = (5, 600)
"""Seconds that Telnyx takes for ``timeout_secs``."""

_DIGITS = re.compile("[0-9A-D*#wW]{1,64}")
_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Commands:
    """Commands for legs. All methods raise `CarrierError`."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def send(self, call_id: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Give a command; returns the answer's data."""
        path = f"/calls/{quote(checked_leg(call_id), safe='')}/actions/{name}"
        command = {**body, "command_id": fresh_id()}
        return data_of(await self._rest.request("POST", path, json=command, repeatable=True))

    async def send_once_answered(self, call_id: str, name: str, body: Mapping[str, Any]) -> None:
        """Give a command to a leg that may just be about to be up."""
        deadline = trio.current_time() + ANSWER_PATIENCE
        while True:
            try:
                await self.send(call_id, name, body)
                return
            except CarrierError as error:
                if error.code != NOT_ANSWERED_YET or trio.current_time() + ANSWER_PAUSE > deadline:
                    raise
            await trio.sleep(ANSWER_PAUSE)

    async def send_unless_gone(self, call_id: str, name: str, body: Mapping[str, Any]) -> None:
        """Give a command that ends something; what has ended already is no error."""
        try:
            await self.send(call_id, name, body)
        except CarrierError as error:
            if error.fault != "gone":
                raise

    async def stop_stream(self, call_id: str) -> None:
        """End the leg's stream, so that nobody listens any more; one without a stream is no error."""
        try:
            await self.send(call_id, "streaming_stop", {})
        except CarrierError as error:
            if error.code not in NO_STREAM:
                raise


def fresh_id() -> str:
    """A new ``command_id``."""
    return str(uuid.uuid4())


def data_of(answer: Any) -> dict[str, Any]:
    """What an answer says, out of its envelope."""
    data = answer.get("data") if isinstance(answer, dict) else None
    return data if isinstance(data, dict) else {}


def ring_time(seconds: float) -> int:
    """Whole seconds, no fewer, within what Telnyx takes."""
    shortest, longest = RING_TIMEOUTS
    return max(shortest, min(math.ceil(seconds), longest))


def checked_leg(call_id: Any) -> str:
    """A leg's name that may stand in a path. Raises `CarrierError`."""
    try:
        return check_call_id(call_id if isinstance(call_id, str) else "")
    except WebhookError:
        raise CarrierError("telnyx", "that is not the name of a leg (call_control_id)", fault="rejected") from None


def checked_digits(digits: str) -> str:
    """Keys that can be pressed. Raises `CarrierError`, which does not quote them."""
    if _DIGITS.fullmatch(digits) is None:
        raise CarrierError("telnyx", "keys are 0-9 * # A-D, and w W to wait: 1 to 64 of them", fault="rejected")
    return digits


def recording_body(recording_id: str) -> dict[str, str]:
    """Which recording to stop: Telnyx's own names are UUIDs, and without one it stops them all."""
    return {"recording_id": recording_id} if _UUID.fullmatch(recording_id) else {}
