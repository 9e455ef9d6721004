"""A simulated telephone network with a carrier in front of it, on Trio's clock.

`Cloud` is the network: telephones that ring, people and machines at them, legs with their states, media streams to an
engine, people who hear each other. A carrier's *dress* is a subclass that gives it the carrier's API and webhooks. It
defines:

``name``
    The first part of its routes' paths at the engine, and the kind of its media streams (`callengine.testing.side`).
``webhook_timeout``, ``webhook_pauses``, ``webhook_again(status)``
    How long the carrier waits for an answer (seconds), the pauses before further attempts, and after which answers
    (None: none came) there is one.
``recipe(api_url)``, ``point_at(base)``
    The carrier's recipe for an engine, with the account of `callengine.testing.accounts`; and where the numbers' calls
    and messages are announced.
``api()``
    The REST API: an ASGI application. Its handlers run in the engine's own task when it asks in memory: let them only
    change legs and return; what takes time goes to ``leg.instruct``, `Cloud.call` or ``cloud.nursery``.
``refuse(status)``
    The carrier's error answer of this HTTP status.
``prepare(url, fields, attempt)``
    A webhook, spelled and signed.
``upgrade_headers(url)``
    What the carrier sends with a media upgrade, such as a signature.
``new_call_id()``, ``new_message_id()``
    Names for one more leg, and one more text message.
``announce(leg)``
    An incoming call rings: tell the engine. Returns what the leg does next (it calls `Cloud.answer` when it is to be
    answered), or None for nothing: ring on, until told otherwise.
``progressed(leg)``
    The leg is in another state: tell whoever wants to know, with `Cloud.tell`.
``at_rest(leg)``
    What an answered leg does when it has done what it was told: a carrier that hangs up calls `Cloud.end`.
``streaming(leg, event)``, ``stream_failed(leg, reason)``, ``texted(message)``, ``recorded(recording)``
    A media stream has started or stopped, or could not be opened; a text message came in, or moved on; a recording is
    ready.

What a leg can be told to do are `Activity` functions: they run until they are done, or until ``leg.instruct`` gives
another. `Cloud` has the usual ones: `stream`, `say`, `dial_from`, `talk`, `confer`, `detect`.

Example: inside ``api()``, a command that makes a leg stream is ``leg.instruct(partial(self.stream, leg, url))``.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import httpx
import trio
from starlette.responses import Response
from starlette.types import ASGIApp

from callengine.telephony import Carrier
from callengine.testing.carrier import CarrierSettings
from callengine.testing.clouds.deliveries import Delivered, Deliveries, Manners, Prepared
from callengine.testing.clouds.doings import Doings
from callengine.testing.clouds.door import ApiDoor, Asked, Fault
from callengine.testing.clouds.legs import CloudLeg
from callengine.testing.clouds.phones import HUNG_UP, Ending
from callengine.testing.clouds.values import NetworkSettings, Recording, Text
from callengine.testing.scripted import ScriptedStt
from callengine.testing.words import Vocabulary


class Cloud(Doings):
    """See the module. ``async with cloud.running(reach)`` runs it; ``settings`` is how its media streams behave."""

    name: str
    webhook_timeout = 15.0
    webhook_pauses: tuple[float, ...] = ()

    def __init__(
        self,
        *,
        settings: CarrierSettings = CarrierSettings(),
        network: NetworkSettings | None = None,
        webhooks: Manners | None = None,
        vocabulary: Vocabulary | None = None,
        stt: ScriptedStt | None = None,
    ) -> None:
        vocabulary = vocabulary or Vocabulary()
        super().__init__(settings, network or NetworkSettings(), vocabulary, stt or ScriptedStt(vocabulary))
        self.texts: list[Text] = []
        """Every text message, either way."""
        self.recordings: dict[str, Recording] = {}
        self.mistakes: list[str] = []
        """What the carrier's debugger would show: instructions or answers that it cannot use."""
        self.app = ApiDoor(self.api(), self.refuse)
        self._deliveries = Deliveries(
            lambda: self.reach,
            timeout=self.webhook_timeout,
            pauses=self.webhook_pauses,
            again=self.webhook_again,
            manners=webhooks or Manners(),
        )
        self.unix_time: Callable[[], float] = time.time
        """The wall clock by which webhooks are dated."""

    # --- what a test does and sees ------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Everybody hangs up, and the webhooks about it arrive."""
        await super().close()
        await self._deliveries.all_arrived()

    @property
    def requests(self) -> list[Asked]:
        """What the API was asked, in order."""
        return self.app.requests

    @property
    def webhooks(self) -> list[Delivered]:
        """What the engine was told and asked, in the order in which it came to an end."""
        return self._deliveries.sent

    def fault(self, **what: Any) -> Fault:
        """Something goes wrong with the next requests; see `Fault`."""
        fault = Fault(**what)
        self.app.faults.append(fault)
        return fault

    def text(self, to: str, sender: str, text: str, media: tuple[str, ...] = ()) -> Text:
        """Somebody sends a text message to one of the account's numbers."""
        message = Text(self.new_message_id(), sender, to, text, trio.current_time(), media, states=["received"])
        self.texts.append(message)
        self.texted(message)
        return message

    @property
    def complaints(self) -> list[str]:
        """What the carrier did not like about the engine, on streams and elsewhere."""
        sides = [complaint for leg in self.legs for stream in leg.streams for complaint in stream.side.complaints]
        return sides + self.mistakes

    # --- the dress ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def recipe(self, api_url: str | None = None) -> Carrier:
        """The carrier for an engine that has the lab's account; ``api_url`` is where its API is (None: the usual
        place)."""

    @abstractmethod
    def point_at(self, base: str) -> None:
        """All numbers announce what comes in at an engine; ``base`` ends in the carrier's name."""

    @abstractmethod
    def api(self) -> ASGIApp:
        """The REST API."""

    @abstractmethod
    def refuse(self, status: int) -> Response:
        """The carrier's error answer."""

    @abstractmethod
    def webhook_again(self, status: int | None) -> bool:
        """Whether the carrier tries once more."""

    @abstractmethod
    def prepare(self, url: str, fields: Mapping[str, Any], attempt: int) -> Prepared:
        """A webhook, spelled and signed."""

    @abstractmethod
    def new_message_id(self) -> str:
        """A name for one more text message."""

    @abstractmethod
    def texted(self, message: Text) -> None:
        """A text message came in, or has another state."""

    @abstractmethod
    def recorded(self, recording: Recording) -> None:
        """A recording can be fetched."""

    # --- webhooks -----------------------------------------------------------------------------------------------------

    def tell(self, url: str, fields: Mapping[str, Any]) -> None:
        """Send a webhook, in the background."""
        self._deliveries.tell(self.nursery, partial(self.prepare, url, fields))

    async def fetch(self, url: str, fields: Mapping[str, Any]) -> httpx.Response | None:
        """Send a webhook and wait for its answer; None where there was none."""
        return await self._deliveries.fetch(partial(self.prepare, url, fields))

    # --- recordings and messages --------------------------------------------------------------------------------------

    def end(self, leg: CloudLeg, ending: Ending = HUNG_UP) -> None:
        """The leg is over, and so are recordings of it. Idempotent."""
        for taken in self.recordings.values():
            if taken.leg is leg:
                self.stop_recording(taken)
        super().end(leg, ending)

    def start_recording(self, leg: CloudLeg, recording_id: str, **data: Any) -> Recording:
        """Record a leg until it is over, or `stop_recording`."""
        self.recordings[recording_id] = Recording(recording_id, leg, trio.current_time(), data)
        return self.recordings[recording_id]

    def stop_recording(self, taken: Recording) -> None:
        """It will be ready soon. Idempotent."""
        if taken.ended is None:
            taken.ended = trio.current_time()
            self.nursery.start_soon(self._finish_recording, taken)

    async def _finish_recording(self, taken: Recording) -> None:
        await trio.sleep(self.network.recording_ready)
        self.recorded(taken)

    def send_text(self, text: Text, *states: str) -> None:
        """A text message of the engine goes its way, through these states."""
        self.texts.append(text)
        self.nursery.start_soon(self._move_text, text, states)

    async def _move_text(self, text: Text, states: tuple[str, ...]) -> None:
        for state in states:
            await trio.sleep(self.network.message_sent)
            text.states.append(state)
            self.texted(text)
