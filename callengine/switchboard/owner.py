"""What travels with a call, and what the switchboard needs of its engine."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import attrs

from callengine.call.call import Call
from callengine.call.prewarm import Prewarm
from callengine.outbound.calls import OutboundCall
from callengine.outcome import Turn
from callengine.programs import Cast
from callengine.server.host import Host

DECIDE = 10.0
"""Seconds in which an incoming call is decided about, and a message's listener has answered."""


@attrs.frozen
class Plan:
    """What a call runs, and how it came about. Travels with the call, from its offer on."""

    cast: Cast
    outbound: OutboundCall | None = None
    came_back: str = ""
    """Why the caller is back from a transfer."""
    before: tuple[Turn, ...] = attrs.field(default=(), repr=False)
    """What was said before that."""
    parameters: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """The application's own, for the program."""


class Owner(Host, Protocol):
    """The engine, as its switchboard sees it."""

    @property
    def address(self) -> str:
        """Its own host and port, for development without a public URL."""

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that are going on."""

    @property
    def places(self) -> int:
        """How many calls more there may be."""

    async def load(self, cast: Cast) -> None:
        """Load what a call of this cast needs. Raises `ConfigurationError`."""

    def prewarmed(self, carrier: str, cast: Cast, reference: str) -> AbstractAsyncContextManager[Prewarm | None]:
        """While in here, what a call of this carrier and cast will need is made ready; None where nothing is.

        ``reference`` names the call to providers as long as it has no other name.
        """
