"""The carriers' commands, and the URLs at which they call back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httpx

from callengine.errors import ConfigurationError
from callengine.reach import check_target
from callengine.server.trust import base_url
from callengine.switchboard.owner import Owner
from callengine.telephony import CallbackUrls, Carrier, CarrierControl


class Commands:
    """The commands of an engine's carriers, over one HTTP client that is made at the first need."""

    def __init__(self, owner: Owner, http: Callable[[], httpx.AsyncClient]) -> None:
        self._owner = owner
        self._http = http
        self._controls: dict[str, CarrierControl] = {}

    @property
    def carriers(self) -> Mapping[str, Carrier]:
        """The recipes, by their names."""
        return self._owner.carriers

    def urls(self, carrier: str, reference: str) -> CallbackUrls:
        """Where this carrier calls back about what the reference names. Raises `ConfigurationError`."""
        return CallbackUrls(base_url(self._owner, carrier, self._owner.address), reference)

    def control(self, carrier: str) -> CarrierControl:
        """A carrier's commands. Raises `ConfigurationError` where it cannot be given any."""
        if carrier not in self._controls:
            self._controls[carrier] = self.carriers[carrier].control(self._http())
        return self._controls[carrier]


def shown_number(carrier: Carrier, sender: str | None) -> str:
    """The number that a call or a message shows. Raises `ConfigurationError` where none is known."""
    shown = sender or carrier.sender
    if shown is None:
        raise ConfigurationError(
            f"whose number shall it show? Give the carrier {carrier.name!r} a sender, or pass sender="
        )
    return check_target(shown)
