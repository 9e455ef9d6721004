"""From a media socket to a call: the stream's first messages, and the call that is made of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

import attrs
import trio

from callengine.brain.agent import Agent
from callengine.call.call import Call, CallInfo
from callengine.call.parts import CallParts, Services
from callengine.call.settings import CallSettings
from callengine.call.story import Story
from callengine.errors import SocketClosed
from callengine.journal import Journal, JournalSettings, Record
from callengine.ports import CarrierCodec, MediaSocket, StreamStarted, StreamStopped
from callengine.server.host import Offer

START_TIMEOUT = 5.0
"""Seconds that a carrier has to say what stream this is."""

log = logging.getLogger(__name__)


async def first_messages(
    socket: MediaSocket, codec: CarrierCodec, offer: Offer | None
) -> tuple[StreamStarted, list[tuple[bool, bytes]]] | None:
    """Read up to the stream's start; returns it and the messages behind it that have already come.

    None, and the socket closed, where no stream starts in time, or another call's than was offered.
    """
    try:
        with trio.move_on_after(START_TIMEOUT):
            started = await _find_start(socket, codec)
            if started is None:
                await socket.aclose(1000, "no stream")
                return None
            if offer is not None and offer.call_id is not None and offer.call_id != started[0].call_id:
                log.warning("a media stream was refused: it is not of the call that was offered")
                await socket.aclose(1008, "not the call that was offered")
                return None
            return started
        log.warning("a media stream was refused: no start within %g s", START_TIMEOUT)
        await socket.aclose(1008, "no start")
    except SocketClosed as closed:
        log.info("a media socket closed before its stream started: %s", closed)
    except trio.Cancelled:
        socket.close_nowait()
        raise
    return None


async def _find_start(
    socket: MediaSocket, codec: CarrierCodec
) -> tuple[StreamStarted, list[tuple[bool, bytes]]] | None:
    while True:
        messages = await socket.receive()
        for index, (text, payload) in enumerate(messages):
            event = codec.decode(text, payload)
            if isinstance(event, StreamStarted):
                return event, messages[index + 1 :]
            if isinstance(event, StreamStopped):
                return None


@attrs.frozen
class CallDraft:
    """A stream that has started, before it is a call."""

    stream: StreamStarted
    early: list[tuple[bool, bytes]]
    offer: Offer | None
    carrier: str
    socket: MediaSocket
    codec: CarrierCodec

    def make(
        self,
        *,
        agent: Agent,
        story: Story | None,
        parts: CallParts,
        services: Services,
        settings: CallSettings,
        journal_settings: JournalSettings,
        watchers: tuple[Callable[[Record], None], ...],
        interim: bool,
        today: Callable[[], datetime],
    ) -> Call:
        """The call, ready to run."""
        offer = self.offer or Offer(carrier=self.carrier)
        return Call(
            self.stream,
            CallInfo(carrier=self.carrier, direction=offer.direction, caller=offer.caller, callee=offer.callee),
            early=self.early,
            socket=self.socket,
            codec=self.codec,
            agent=agent,
            story=story,
            parts=parts,
            services=services,
            settings=settings,
            journal=Journal(self.stream.call_id, journal_settings, watchers=watchers),
            interim=interim,
            today=today,
        )
