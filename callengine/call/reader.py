"""The reader: everything that the carrier sends, decoded once and handed on without waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import trio

from callengine.audio.format import AudioFormat
from callengine.audio.ring import AudioRing
from callengine.journal import Journal
from callengine.ports import (
    BadMessage,
    CarrierCodec,
    DtmfPressed,
    Ignored,
    MarkEchoed,
    MediaSocket,
    StreamStarted,
    StreamStopped,
)

BAD_MESSAGES_NOTED = 20
"""Records of one kind of bad message; more are only counted."""


class Reader:
    """The carrier's side of a call, coming in. Nothing in here waits for anything but the socket.

    ``early`` are messages that had come already. ``on_audio`` gets each piece of audio, ``on_mark`` the name of each
    echoed mark.
    """

    def __init__(
        self,
        early: Sequence[tuple[bool, bytes]],
        *,
        socket: MediaSocket,
        codec: CarrierCodec,
        audio_format: AudioFormat,
        ring: AudioRing,
        journal: Journal,
        on_mark: Callable[[str], None],
        on_key: Callable[[str], None],
    ) -> None:
        self._early = early
        self._socket = socket
        self._codec = codec
        self._rate = audio_format.sample_rate
        self._ring = ring
        self._journal = journal
        self._width = audio_format.sample_width
        self._on_mark = on_mark
        self._on_key = on_key
        self.on_audio: Callable[[bytes], None] = lambda _: None
        self._received = 0
        self._arrived = trio.current_time()
        self.counters: Counter[str] = Counter()
        """Messages that meant nothing, by kind."""

    def when(self, position: int) -> float:
        """When the sample at this position of the stream was spoken, as far as arrival tells (engine time)."""
        return self._arrived - (self._ring.end - position) / self._rate

    async def run(self) -> str:
        """Read until the carrier says that the stream is over; returns how it said so.

        Raises `SocketClosed` when the socket ends first.
        """
        decode = self._codec.decode
        messages, self._early = self._early, ()
        while True:
            for text, payload in messages:
                event = decode(text, payload)
                if type(event) is bytes:
                    self._arrived = trio.current_time()
                    if self._journal.settings.audio:
                        self._journal.note("media.received", position=self._received, audio=event)
                    self._received += len(event) // self._width
                    self.on_audio(event)
                elif isinstance(event, StreamStopped):
                    return "the carrier stopped the stream"
                else:
                    self._on_event(event)
            messages = await self._socket.receive()

    def _on_event(self, event: object) -> None:
        match event:
            case MarkEchoed(name=name):
                self._on_mark(name)
            case DtmfPressed(digit=digit):
                self._journal.note("dtmf", digit=digit if self._journal.settings.digits else "•")
                self._on_key(digit)
            case Ignored(kind=kind):
                self.counters[f"ignored: {kind}"] += 1
            case StreamStarted():
                self.counters["ignored: another start"] += 1
            case BadMessage(kind=kind, detail=detail):
                self.counters[f"bad: {kind}"] += 1
                if self.counters[f"bad: {kind}"] <= BAD_MESSAGES_NOTED:
                    self._journal.note("media.bad", problem=kind, detail=detail)
