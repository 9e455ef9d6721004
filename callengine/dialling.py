"""What an engine does for its application beside taking calls: it dials, and writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import httpx

from callengine.audio.clip import Clip
from callengine.brain.agent import Agent
from callengine.fetching import fetch
from callengine.hosting import Running
from callengine.observers import DeliveryListener, MessageListener, Observers, RecordingListener
from callengine.outbound.calls import OutboundCall
from callengine.outbound.outcomes import OnMachine
from callengine.programs import Program
from callengine.telephony import AnsweredBy, IncomingMessage, RecordingReady

MAX_RECORDING = 512 * 1024 * 1024
"""Bytes of a recording that are fetched: four hours, the carriers' longest call, in two channels of 8 kHz PCM."""
MAX_MEDIA = 16 * 1024 * 1024
"""Bytes of a message's picture that are fetched; carriers allow about 5 MB."""
FETCH_TIMEOUT = 120.0


class Dialling:
    """The part of `callengine.Engine` that calls and writes."""

    observers: Observers
    _http: httpx.AsyncClient | None

    if TYPE_CHECKING:

        def _run_time(self) -> Running: ...

    async def dial(
        self,
        to: str,
        program: Program | None = None,
        *,
        agent: Agent | None = None,
        sender: str | None = None,
        carrier: str | None = None,
        ring_timeout: float = 30.0,
        amd: bool = False,
        voicemail: str | Clip | None = None,
        on_machine: OnMachine = "hang up",
        on_answered_by: Callable[[AnsweredBy], None] | None = None,
        max_duration: float | None = None,
        send_digits: str = "",
        parameters: Mapping[str, str] | None = None,
    ) -> OutboundCall:
        """Call somebody. Returns at once; `OutboundCall.wait` says what became of it, and hangs up when cancelled.

        The call runs ``program`` (an agent or a story; ``agent`` alone is one too, or the parts of a story), or the
        engine's own. It shows ``sender``, by default the carrier's; ``carrier`` is its name, by default the first that
        can dial. It rings for ``ring_timeout`` seconds (5 to 600).

        ``amd`` asks the carrier whether a machine answers: then the call is hung up, or goes on (``on_machine``). With
        ``voicemail`` the program is dismissed, and the message is said when the machine records. ``on_answered_by`` is
        called with what was found. ``max_duration`` is the longest call in seconds, as far as the carrier keeps to it.
        ``send_digits`` are keys to press when it is answered (an extension). ``parameters`` come back as those of the
        call, for the program.

        Raises `ConfigurationError`; what the carrier says is in the outcome.
        """
        return await self._run_time().board.dial(
            to,
            program,
            agent=agent,
            sender=sender,
            carrier=carrier,
            ring_timeout=ring_timeout,
            amd=amd,
            voicemail=voicemail,
            on_machine=on_machine,
            on_answered_by=on_answered_by,
            max_duration=max_duration,
            send_digits=send_digits,
            parameters=parameters,
        )

    async def send_message(self, to: str, text: str, *, sender: str | None = None, carrier: str | None = None) -> str:
        """Send a text message (SMS); returns its name. Raises `CarrierError`, `ConfigurationError`."""
        return await self._run_time().board.messages.send(to, text, sender=sender, carrier=carrier)

    async def fetch_recording(self, recording: RecordingReady) -> bytes:
        """The audio of a recording that a carrier made. Raises `callengine.fetching.FetchRefused`, ``FetchFailed``."""
        return await self._fetch(recording.carrier, recording.url, MAX_RECORDING)

    async def fetch_media(self, message: IncomingMessage) -> list[bytes]:
        """The pictures and the like of a text message. Raises the same."""
        return [await self._fetch(message.carrier, url, MAX_MEDIA) for url in message.media]

    async def _fetch(self, carrier: str, url: str, max_bytes: int) -> bytes:
        auth = self._run_time().board.commands.control(carrier).authorisation(url)
        return await fetch(url, max_bytes=max_bytes, timeout=FETCH_TIMEOUT, auth=auth, http=self._http)

    def on_message(self, listener: MessageListener) -> MessageListener:
        """Tell this function, plain or async, of each text message that comes in; what it returns is sent as the
        answer. Usable as a decorator."""
        self.observers.message_listeners.append(listener)
        return listener

    def on_delivery(self, listener: DeliveryListener) -> DeliveryListener:
        """Tell this function, plain or async, what becomes of text messages that were sent; usable as a decorator."""
        self.observers.delivery_listeners.append(listener)
        return listener

    def on_recording(self, listener: RecordingListener) -> RecordingListener:
        """Tell this function, plain or async, of each recording that can be fetched (`fetch_recording`), or of which
        there is none after all; usable as a decorator."""
        self.observers.recording_listeners.append(listener)
        return listener
