"""From a media socket to a connection: the stream's first messages."""

from __future__ import annotations

import logging

import trio

from callengine.call.parts import Connection
from callengine.errors import SocketClosed
from callengine.ports import CarrierCodec, MediaSocket, StreamStarted, StreamStopped
from callengine.server.host import Offer

START_TIMEOUT = 5.0
"""Seconds that a carrier has to say what stream this is."""

MAX_NAME = 255
"""Characters of a call's name; the carriers' have 34 to about 100."""

log = logging.getLogger(__name__)


async def first_messages(socket: MediaSocket, codec: CarrierCodec, offer: Offer | None) -> Connection | None:
    """Read up to the stream's start; returns the connection, with the messages behind it that have already come.

    None, and the socket closed, where no stream starts in time, or another call's than was offered.
    """
    try:
        timeout = START_TIMEOUT if offer is None or offer.start_within is None else offer.start_within
        with trio.move_on_after(timeout):
            started = await _find_start(socket, codec)
            if started is None:
                await socket.aclose(1000, "no stream")
                return None
            name = started.stream.call_id
            if not (0 < len(name) <= MAX_NAME and name.isprintable()):  # it stands in logs and in file names
                log.warning("a media stream was refused: its call has no printable name")
                await socket.aclose(1008, "not the name of a call")
                return None
            if offer is not None and offer.call_id is not None and offer.call_id != started.stream.call_id:
                log.warning("a media stream was refused: it is not of the call that was offered")
                await socket.aclose(1008, "not the call that was offered")
                return None
            return started
        log.warning("a media stream was refused: no start within %g s", timeout)
        await socket.aclose(1008, "no start")
    except SocketClosed as closed:
        log.info("a media socket closed before its stream started: %s", closed)
    except trio.Cancelled:
        socket.close_nowait()
        raise
    return None


async def _find_start(socket: MediaSocket, codec: CarrierCodec) -> Connection | None:
    while True:
        messages = await socket.receive()
        for index, (text, payload) in enumerate(messages):
            event = codec.decode(text, payload)
            if isinstance(event, StreamStarted):
                return Connection(event, socket, codec, tuple(messages[index + 1 :]))
            if isinstance(event, StreamStopped):
                return None
