# ruff: noqa: ARG002 - the protocol names the arguments
"""The commands of a carrier that has none."""

from __future__ import annotations

from typing import NoReturn

import attrs

from callengine.errors import NotSupported
from callengine.telephony import CallbackUrls, Instruction, JoinRoom, NewLeg, NewMessage, PhoneNumber


@attrs.frozen
class NoCommands:
    """A `callengine.telephony.CarrierControl` whose methods raise `NotSupported`."""

    carrier: str

    async def dial(self, leg: NewLeg) -> NoReturn:
        """Originate the call in the dialplan, with ``AudioSocket`` as what it runs."""
        raise NotSupported(self.carrier, "place calls")

    async def instruct(self, call_id: str, instruction: Instruction, urls: CallbackUrls) -> NoReturn:
        raise NotSupported(self.carrier, "transfer calls")

    async def join(self, call_id: str, other_id: str, room: JoinRoom, urls: CallbackUrls) -> NoReturn:
        raise NotSupported(self.carrier, "join calls")

    async def hang_up(self, call_id: str) -> NoReturn:
        """A call is hung up by closing its media socket."""
        raise NotSupported(self.carrier, "hang up by command")

    async def send_dtmf(self, call_id: str, digits: str) -> NoReturn:
        raise NotSupported(self.carrier, "press keys by command")

    async def start_recording(self, call_id: str, urls: CallbackUrls) -> NoReturn:
        raise NotSupported(self.carrier, "record")

    async def stop_recording(self, call_id: str, recording_id: str) -> NoReturn:
        raise NotSupported(self.carrier, "record")

    async def send_message(self, message: NewMessage) -> NoReturn:
        raise NotSupported(self.carrier, "send text messages")

    async def numbers(self) -> NoReturn:
        raise NotSupported(self.carrier, "list numbers")

    async def point_number(self, number: PhoneNumber, base: str) -> NoReturn:
        raise NotSupported(self.carrier, "point numbers")

    def authorisation(self, url: str) -> None:
        """It has nothing to fetch."""
