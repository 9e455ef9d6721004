"""Asterisk's AudioSocket as a carrier: a PBX of one's own, no cloud, no webhooks."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn, TypeAlias

import attrs
import trio

from callengine.carriers.audiosocket.codec import AudioSocketCodec
from callengine.carriers.audiosocket.commands import NoCommands
from callengine.carriers.audiosocket.listener import Door, Take, check_exposure
from callengine.errors import ConfigurationError, WebhookError
from callengine.telephony import CallbackUrls, Capabilities, CarrierFact, Instruction, Webhook, WebhookAnswer

PORT = 9092
"""The port of Asterisk's own examples."""

Known: TypeAlias = Collection[str] | Collection[uuid.UUID] | Callable[[str], bool]


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} is {value}: give a number above 0")


@attrs.frozen
class AudioSocket:
    """The recipe: frozen configuration that every call shares. `serve` waits for Asterisk.

    Asterisk connects to ``host`` and ``port`` (0 takes a free one) when its dialplan says ``AudioSocket(uuid,
    host:port)``, and the UUID is the call's id. There are no passwords: ``known`` says which UUIDs are calls, either a
    function of the UUID (as ``str(uuid.UUID)`` writes it), or a collection, which may change while it serves. Without
    it every UUID is one, and ``host`` must be an address that strangers do not reach.

    There may be ``max_connections``, of which ``max_unnamed`` from one address that have not sent their UUID yet; each
    has ``opening_timeout`` seconds to do so.
    """

    host: str = "127.0.0.1"
    port: int = attrs.field(default=PORT)
    known: Known | None = attrs.field(default=None, repr=False, eq=False)
    name: str = "audiosocket"
    max_connections: int = attrs.field(default=1000, validator=_positive)
    max_unnamed: int = attrs.field(default=50, validator=_positive)
    opening_timeout: float = attrs.field(default=5.0, validator=_positive)

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigurationError(f"port is {self.port}: give 0 (takes a free one) to 65535")
        if isinstance(self.known, str | bytes):
            raise ConfigurationError("known is one text: give a collection of UUIDs, or a function of one")
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return  # a name: its addresses are looked at when they are known
        check_exposure(self.host, self.known is not None)

    @property
    def capabilities(self) -> Capabilities:
        """Audio, keys, and (by this side's own clock) marks; all else is the dialplan's."""
        return Capabilities(instructed="stream")

    @property
    def webhooks(self) -> frozenset[str]:
        """None."""
        return frozenset()

    @property
    def sender(self) -> None:
        """The dialplan shows the numbers."""

    def codec(self) -> AudioSocketCodec:
        """What the messages of one more media stream mean."""
        return AudioSocketCodec()

    async def serve(
        self, take: Take, *, task_status: trio.TaskStatus[list[tuple[str, int]]] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Have each of Asterisk's calls taken, until cancelled; ``task_status`` gets the bound addresses and ports.

        Resources: ``take`` runs inside; when it returns, the call is hung up. Raises `ConfigurationError` where the
        port cannot be had, or strangers could reach it.
        """
        door = Door(
            host=self.host,
            port=self.port,
            known=None if self.known is None else self._knows,
            max_connections=self.max_connections,
            max_unnamed=self.max_unnamed,
            opening_timeout=self.opening_timeout,
        )
        await door.serve(take, task_status=task_status)

    def _knows(self, name: str) -> bool:
        assert self.known is not None
        if callable(self.known):
            return self.known(name)
        return name in self.known or uuid.UUID(name) in self.known

    def missing_configuration(self) -> None:
        """Nothing has to be set."""

    def missing_for_commands(self) -> str:
        """There are no commands."""
        return "AudioSocket carries audio only: have the dialplan, or Asterisk's REST interface, do the rest"

    def verify_webhook(self, method: str, public_url: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
        """Asterisk sends none, so none is genuine."""
        del method, public_url, headers, body, now
        return False

    def verify_upgrade(self, public_url: str, headers: Mapping[str, str]) -> bool:
        """Its streams come to a port of their own, so no upgrade is genuine."""
        del public_url, headers
        return False

    def read_webhook(self, webhook: Webhook) -> tuple[CarrierFact, ...]:
        """Raises `WebhookError`: there are none."""
        del webhook
        raise WebhookError(f"{self.name} has no webhooks")

    def answer(self, webhook: Webhook, instruction: Instruction | None, urls: CallbackUrls | None) -> WebhookAnswer:
        """There is nothing here."""
        del webhook, instruction, urls
        return WebhookAnswer(404)

    def control(self, http: Any) -> NoCommands:
        """Commands that all raise `NotSupported`."""
        del http
        return NoCommands(self.name)
