"""What the server needs of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import attrs

from callengine.carriers.twilio import CallStatusUpdate, InboundCall, Twilio
from callengine.ports import MediaSocket


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


@attrs.frozen
class Refusal:
    """A call that is not taken. The carrier speaks ``words`` and hangs up; without any, the caller hears "busy"."""

    words: str | None = None


class Host(Protocol):
    """The engine, as the server sees it."""

    @property
    def carriers(self) -> Mapping[str, Twilio]:
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

    async def offer(self, carrier: str, call: InboundCall) -> Offer | Refusal:
        """Decide what an inbound call runs.

        An offer must reserve nothing: a caller who hangs up never comes with a media socket. Carriers repeat
        webhooks, so the same call may be offered again; and it is cancelled when it takes too long.
        """

    def status(self, carrier: str, update: CallStatusUpdate) -> None:
        """Take note of a call's progress. Updates may be repeated, and may overtake each other."""

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
