"""Synthesisers behind a WebSocket that is kept for the call: one driver, and a dialect for each vendor.

Each sentence is a *context* of its own, so that audio of one that was cut is never taken for the next one's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol, Unpack

import attrs
import trio

from callengine.audio.format import AudioFormat
from callengine.cleanup import bounded_cleanup
from callengine.errors import ProviderError
from callengine.ports import SessionContext, SpeechChunk, Usage, WordTime
from callengine.providers.conversing import BYE, Connecting, Sent, Talk, conversing
from callengine.wire import Failures, VendorSocket


@attrs.frozen
class Spoken:
    """Something of a context: audio, the times of its words (seconds from the context's start), that it is over, or
    why it failed. ``context`` is empty where the vendor's messages do not name it: it is then the present one's.

    A ``failure`` concerns this context alone; what ends the whole connection is raised by `Dialect.feed`.
    """

    context: str = ""
    audio: bytes = b""
    words: tuple[WordTime, ...] = ()
    done: bool = False
    failure: ProviderError | None = None


class Dialect(Talk, Protocol):
    """A vendor's protocol."""

    @property
    def audio_format(self) -> AudioFormat:
        """Of all audio."""

    @property
    def names_contexts(self) -> bool:
        """Whether the vendor's messages name their context. If not, nothing new may be begun before a context that was
        cut is over (`Spoken.done`): see `cancel`."""

    def begin(self, context: str, text: str) -> Sent:
        """Speak this, all of it, now."""

    def cancel(self, context: str) -> Sent:
        """It was cut: stop, where the vendor can. What still comes of it is dropped."""

    def cost(self, text: str) -> Usage | None:
        """What speaking this text costs; None where `feed` tells it from the vendor's own figures."""

    def feed(self, message: str | bytes) -> Sequence[Spoken | Usage]:
        """What a message of the vendor's means; nothing for one that it does not know. Raises the `ProviderError` that
        ends the connection."""


QUEUE = 1024
"""Pieces of a context that may wait to be taken: minutes of audio. Then the vendor waits."""

CUT = 2.0
"""Seconds in which a vendor that does not name its contexts must have ended one that was cut."""


class ContextSession:
    """One call's synthesiser behind a WebSocket (see `TtsSession`): a context a sentence, one at a time."""

    def __init__(self, dialect: Dialect, socket: VendorSocket, context: SessionContext, failures: Failures) -> None:
        self._dialect = dialect
        self._socket = socket
        self._context = context
        self._failures = failures
        self._number = 0
        self._current = ""
        """The context whose audio is wanted; empty where none is."""
        self._pieces: trio.MemorySendChannel[Spoken] | None = None
        self._cut: trio.Event | None = None
        """While a context that was cut goes on at a vendor that does not name them; set when it is over."""
        self._error: ProviderError | None = None

    @property
    def audio_format(self) -> AudioFormat:
        """See `TtsSession.audio_format`."""
        return self._dialect.audio_format

    @asynccontextmanager
    async def synthesise(self, text: str) -> AsyncIterator[AsyncIterator[SpeechChunk]]:
        """See `TtsSession.synthesise`. Of a text without anything to say, nothing comes."""
        if not text.strip():
            yield _Nothing()
            return
        await self._last_one_over()
        self._number += 1
        context = self._current = f"c{self._number}"
        pieces_in, pieces = trio.open_memory_channel[Spoken](QUEUE)
        self._pieces = pieces_in
        chunks = _Chunks(pieces, self._why)
        try:
            messages = self._dialect.begin(context, text)
            if (cost := self._dialect.cost(text)) is not None:
                self._context.meter(cost)
            await self._socket.send_all(messages)
            yield chunks
        finally:
            self._current, self._pieces = "", None
            pieces.close()
            if not chunks.over and self._error is None:
                if not self._dialect.names_contexts:
                    self._cut = trio.Event()
                with bounded_cleanup(BYE), suppress(ProviderError):
                    await self._socket.send_all(self._dialect.cancel(context))

    async def _last_one_over(self) -> None:
        if self._cut is None:
            return
        with trio.move_on_after(CUT) as waited:
            await self._cut.wait()
        if waited.cancelled_caught:
            raise self._failures.make(f"a sentence that was cut has not ended within {CUT:g} s")
        self._cut = None

    def _why(self) -> ProviderError:
        return self._error or self._failures.make("the connection was lost")

    async def read(self) -> None:
        """Take what the vendor sends, until cancelled. Raises `ProviderError` where the connection ends and nobody is
        there to be told: whoever holds the session opens another."""
        try:
            while True:
                for spoken in self._dialect.feed(await self._socket.receive()):
                    if isinstance(spoken, Usage):
                        self._context.meter(spoken)
                    else:
                        await self._take(spoken)
        except ProviderError as error:
            self._error = error
            if self._cut is not None:
                self._cut.set()
            if self._pieces is None:
                raise
            self._pieces.close()

    async def _take(self, spoken: Spoken) -> None:
        if self._cut is not None and not spoken.context:
            if spoken.done or spoken.failure is not None:
                self._cut.set()
        elif self._pieces is not None and spoken.context in ("", self._current):
            with suppress(trio.BrokenResourceError):  # it was cut while this waited
                await self._pieces.send(spoken)


class _Nothing:
    def __aiter__(self) -> AsyncIterator[SpeechChunk]:
        return self

    async def __anext__(self) -> SpeechChunk:
        await trio.lowlevel.checkpoint()
        raise StopAsyncIteration


class _Chunks:
    """The audio of one context, as it comes."""

    def __init__(self, pieces: trio.MemoryReceiveChannel[Spoken], why: Callable[[], ProviderError]) -> None:
        self.over = False
        self._pieces = pieces
        self._why = why

    def __aiter__(self) -> AsyncIterator[SpeechChunk]:
        return self

    async def __anext__(self) -> SpeechChunk:
        while not self.over:
            try:
                spoken = await self._pieces.receive()
            except trio.EndOfChannel:
                self.over = True
                raise self._why() from None
            self.over = spoken.done or spoken.failure is not None
            if spoken.failure is not None:
                raise spoken.failure
            if spoken.audio or spoken.words:
                return SpeechChunk(spoken.audio, spoken.words)
        raise StopAsyncIteration


@asynccontextmanager
async def open_contexts(
    context: SessionContext, dialect: Dialect, url: str, failures: Failures, **how: Unpack[Connecting]
) -> AsyncIterator[ContextSession]:
    """Connect, and speak this dialect.

    Raises `ProviderError`, also in the middle, where the connection ends while nothing is being spoken.
    """
    async with conversing(context, dialect, url, failures, **how) as (socket, nursery):
        session = ContextSession(dialect, socket, context, failures)
        nursery.start_soon(session.read)
        yield session
