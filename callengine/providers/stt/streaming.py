"""Recognisers behind a WebSocket: one driver, and a dialect for each vendor.

A dialect (`callengine.providers.stt.dialect`) is a vendor's protocol without I/O. The driver owns the connection, and
makes of what a dialect hears exactly one final for each utterance.
"""

from __future__ import annotations

import math
import unicodedata
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Unpack

import attrs
import trio

from callengine.audio.format import Pcm
from callengine.ports import HintKind, SessionContext, SttResult, Usage
from callengine.providers.conversing import Connecting, Sent, conversing
from callengine.providers.stt.dialect import Dialect, Finished, Heard, Reply, Whole
from callengine.wire import Failures, VendorSocket


@attrs.define
class _Utterance:
    """One that has no final yet."""

    number: int
    index: int = 0
    """How many began before it on this connection."""
    finals: list[str] = attrs.field(factory=list)
    interim: str = ""
    seconds: float = 0.0
    ended: bool = False

    @property
    def text(self) -> str:
        return joined(part for part in (*self.finals, self.interim) if part)


def joined(parts: Iterable[str]) -> str:
    """Segments of an utterance as one text: with spaces between, but for scripts that have none."""
    text = ""
    for part in parts:
        text += part if not text or (_close(text[-1]) and _close(part[0])) else f" {part}"
    return text


def _close(character: str) -> bool:
    """Whether it stands in Chinese or Japanese text. Korean, as wide, has spaces."""
    return unicodedata.east_asian_width(character) in "WF" and not "\uac00" <= character <= "\ud7a3"


class StreamingSession:
    """One call's recogniser behind a WebSocket (see `SttSession`)."""

    def __init__(self, dialect: Dialect, socket: VendorSocket, context: SessionContext, ahead: float) -> None:
        self._dialect = dialect
        self._ahead = ahead
        self._spoken_at = -math.inf
        """When the caller would have spoken all that was sent, had it been sent as he spoke."""
        self._socket = socket
        self._context = context
        self._open: deque[_Utterance] = deque()
        self._begun = 0
        self._results: deque[SttResult] = deque()
        self._receiving = trio.CancelScope()
        self._settles_at = math.inf
        self._unsent: deque[str | bytes] = deque()
        self._sending = trio.Lock()
        self._reply_due = False

    @property
    def hears_pauses(self) -> bool:
        """See `SttSession.hears_pauses`."""
        return self._dialect.hears_pauses

    async def start_utterance(self, utterance: int) -> None:
        """See `SttSession.start_utterance`."""
        self._open.append(_Utterance(utterance, self._begun))
        self._begun += 1
        await self._say(self._dialect.start())

    async def send(self, audio: Pcm) -> None:
        """See `SttSession.send`. What comes behind a turn that the vendor has judged to be over is not sent."""
        seconds = len(audio) / self._context.sample_rate
        if self._ahead < math.inf and self._open:
            self._spoken_at = max(self._spoken_at, trio.current_time()) + seconds
            await trio.sleep_until(self._spoken_at - self._ahead)
        if self._open and not self._open[-1].ended:
            self._open[-1].seconds += seconds
            await self._say(self._dialect.audio(audio))

    async def pause(self) -> None:
        """See `SttSession.pause`."""
        await self._say(self._dialect.pause())

    async def end_utterance(self) -> None:
        """See `SttSession.end_utterance`."""
        if not self._open or self._open[-1].ended:
            return
        self._open[-1].ended = True
        await self._say(self._dialect.end())
        self._settle_later()

    async def receive(self) -> SttResult:
        """See `SttSession.receive`."""
        while not self._results:
            if self._reply_due:
                await self._say(())
                self._reply_due = False
            message = None
            with trio.CancelScope(deadline=self._settles_at) as self._receiving:
                message = await self._socket.receive()
            if message is None:  # it has nothing to say of the oldest utterance
                self._finish(None)
                continue
            for heard in self._dialect.feed(message):
                self._take(heard)
        return self._results.popleft()

    async def _say(self, messages: Sent) -> None:
        """Send these, behind whatever the dialect wanted to be sent before, by whichever task."""
        self._unsent.extend(messages)
        async with self._sending:
            while self._unsent:
                await self._socket.send(self._unsent.popleft())

    def _take(self, heard: Heard) -> None:
        if isinstance(heard, Usage):
            self._context.meter(heard)
            return
        if isinstance(heard, Reply):
            self._unsent.extend(heard.messages)
            self._reply_due = True
            return
        whose = self._whose(heard.of)
        if whose is None:
            return  # late: of an utterance that has its final
        if isinstance(heard, Finished):
            if whose.ended or heard.hint is not None:
                while self._open[0] is not whose:  # the vendor had nothing to say of these
                    self._finish(None)
                self._finish(heard.hint)
            return
        before = whose.text
        if isinstance(heard, Whole):
            whose.finals, whose.interim = [], heard.text.strip()
        elif heard.final:
            whose.finals.append(heard.text.strip())
            whose.interim = ""
        else:
            whose.interim = heard.text.strip()
        hint = heard.hint if isinstance(heard, Whole) else None
        if whose.text != before or hint is not None:
            self._results.append(SttResult(whose.text, False, whose.number, hint))
        if whose.ended and whose is self._open[0]:
            self._settle_later()

    def _whose(self, index: int | None) -> _Utterance | None:
        if index is None:
            return self._open[0] if self._open else None
        return next((utterance for utterance in self._open if utterance.index == index), None)

    def _finish(self, hint: HintKind | None) -> None:
        done = self._open.popleft()
        self._results.append(SttResult(done.text, True, done.number, hint))
        self._tell_cost(done)
        self._settle_later()

    def _settle_later(self) -> None:
        """The oldest utterance has its final some time from now, if the vendor says nothing more of it."""
        waits = bool(self._open) and self._open[0].ended
        self._settles_at = trio.current_time() + self._dialect.settle if waits else math.inf
        self._receiving.deadline = self._settles_at

    def _tell_cost(self, utterance: _Utterance) -> None:
        if utterance.seconds and (cost := self._dialect.cost(utterance.seconds)) is not None:
            self._context.meter(cost)

    def close(self) -> None:
        """It is over: tell what was heard and not understood any more; it cost as much."""
        while self._open:
            self._tell_cost(self._open.popleft())


@asynccontextmanager
async def open_streaming(
    context: SessionContext,
    dialect: Dialect,
    url: str,
    failures: Failures,
    *,
    ahead: float = math.inf,
    **how: Unpack[Connecting],
) -> AsyncIterator[StreamingSession]:
    """Connect, and speak this dialect. ``ahead`` is how many seconds of audio may be sent faster than they were spoken,
    where the vendor has a limit.

    Raises `ProviderError`, also in the middle, where an idle connection cannot be kept.
    """
    async with conversing(context, dialect, url, failures, **how) as (socket, _):
        session = StreamingSession(dialect, socket, context, ahead)
        try:
            yield session
        finally:
            session.close()
