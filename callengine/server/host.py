"""What the server needs of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import attrs

from callengine.ports import MediaSocket
from callengine.telephony import (
    CallbackUrls,
    Carrier,
    CarrierFact,
    IncomingCall,
    Instruction,
    InstructionsWanted,
    Refuse,
    TransferEnded,
)


@attrs.frozen
class Offer:
    """A call that may be connected: whose it is, and what it shall run.

    ``carrier`` is the route's name; the numbers are empty where they are not known; ``call_id`` is None where the
    carrier has not named the call yet. ``data`` is the host's own and comes back to it with the media socket.
    """

    carrier: str
    caller: str = attrs.field(default="", repr=False)
    callee: str = attrs.field(default="", repr=False)
    direction: Literal["inbound", "outbound"] = "inbound"
    call_id: str | None = None
    data: object = attrs.field(default=None, repr=False)
    start_within: float | None = None
    """Seconds that the stream has to start in; None: the usual ones."""


@attrs.frozen
class Told:
    """What a leg shall do, and where what comes of it is told."""

    instruction: Instruction
    urls: CallbackUrls


class Host(Protocol):
    """The engine, as the server sees it."""

    @property
    def carriers(self) -> Mapping[str, Carrier]:
        """The recipes, by the first part of their routes' paths."""

    @property
    def public_url(self) -> str | None:
        """The ``https://`` address at which the carriers reach this server, as they write it; None where unknown."""

    @property
    def insecure(self) -> bool:
        """Whether unsigned webhooks, and media sockets without a token, are taken too. For development only."""

    def is_ready(self) -> bool:
        """Whether calls can be served: models are loaded."""

    def is_draining(self) -> bool:
        """Whether no new calls are taken any more."""

    def unix_time(self) -> float:
        """The wall clock, to judge the age of signed requests."""

    async def offer(self, carrier: str, call: IncomingCall) -> Offer | Refuse:
        """Decide what an inbound call runs.

        An offer must reserve nothing: a caller who hangs up never comes with a media socket. Carriers repeat
        webhooks, so the same call may be offered again; and it is cancelled when it takes too long.
        """

    def instructions(self, carrier: str, fact: InstructionsWanted | TransferEnded) -> Told | None:
        """What a leg that the engine gave commands about shall do now; None where there is nothing for it."""

    def note(self, carrier: str, fact: CarrierFact) -> None:
        """Take note of what a carrier tells; it must not wait. Facts may be repeated, and may overtake each other.

        Calls of a carrier whose legs are told what to do by commands (`Capabilities.instructed`) come here too.
        """

    async def take(self, offer: Offer | None, carrier: str, socket: MediaSocket) -> object:
        """Run the whole call on this socket; the carrier's start message is still to be read.

        ``offer`` is None where a socket without a token was let in because of `insecure`. When this returns or raises,
        the socket is closed, if it was not before.
        """


def unavailable(host: Host) -> str | None:
    """Why no new call can be taken now; None if one can."""
    if host.is_draining():
        return "draining: no new calls are taken"
    if not host.is_ready():
        return "not ready: models are loading"
    return None
