"""Reads one streamed reply from an HTTP answer, with a bound on every wait."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import attrs

from callengine.errors import ProviderError
from callengine.ports import LlmEvent
from callengine.providers.llm.tokens import Bill, Tokens
from callengine.wire import Failures, SseError, SseEvent, SseParser, StreamedBody

_USAGE_PATIENCE = 1.0
"""Seconds to wait, once the model has ended its reply, for the usage and the end of the stream."""


class ReplyReader(Protocol):
    """A vendor's stream of one reply, without I/O: server-sent events in, text and calls out."""

    @property
    def tokens(self) -> Tokens:
        """What the vendor has told of the reply's cost so far."""

    @property
    def begun(self) -> bool:
        """Whether the model has said a word, or begun a call. Reasoning is neither."""

    @property
    def finished(self) -> bool:
        """Whether the model has ended its reply: at most the figures are still to come."""

    @property
    def done(self) -> bool:
        """Whether the vendor said that nothing follows."""

    def feed(self, event: SseEvent) -> list[LlmEvent]:
        """One event. Raises the `ProviderError` that it reports; what it does not know means nothing."""

    def finish(self) -> list[LlmEvent]:
        """The stream is over: what was held back. Raises `ProviderError` where it broke off, or the reply was
        withheld."""


@attrs.frozen
class Bounds:
    """How long a reply is waited for, in seconds."""

    first_token: float
    between_tokens: float


class ReplyStream:
    """The events of one reply. The body's patience holds what is left of the time for the first word."""

    def __init__(self, body: StreamedBody, reader: ReplyReader, bill: Bill, bounds: Bounds, failures: Failures) -> None:
        self._body = body
        self._reader = reader
        self._bill = bill
        self._bounds = bounds
        self._failures = failures
        self._parser = SseParser()
        self._ready: deque[LlmEvent] = deque()
        self._over = False
        self._error: ProviderError | None = None
        body.too_late = self._too_late

    def __aiter__(self) -> ReplyStream:
        return self

    async def __anext__(self) -> LlmEvent:
        while not self._ready:
            if self._error is not None:
                raise self._error
            if self._over:
                raise StopAsyncIteration
            try:
                self._take(await self._read())
            except ProviderError as error:
                # Text that came before it is handed out first.
                self._error = error
        return self._ready.popleft()

    async def _read(self) -> bytes | None:
        """The next bytes, or None at the end of the stream."""
        try:
            return await self._body.read()
        except ProviderError:
            if self._reader.finished:
                return None  # the reply is complete; only its figures are missing
            raise

    def _take(self, data: bytes | None) -> None:
        finishing = self._reader.finished
        try:
            events = self._parser.finish() if data is None else self._parser.feed(data)
        except SseError as error:
            raise self._failures.make(str(error)) from error
        events = [event for event in events if event.type != "ping"]  # Anthropic's way to keep a connection
        for event in events:
            self._hand_out(self._reader.feed(event))
        if self._reader.done or data is None:
            self._over = True
            self._body.complete = self._body.complete or self._reader.done
            self._hand_out(self._reader.finish())
        elif self._reader.finished and not finishing:
            self._body.patience.left = _USAGE_PATIENCE
        elif self._reader.begun and events and not finishing:
            self._body.patience.left = self._bounds.between_tokens

    def _hand_out(self, events: list[LlmEvent]) -> None:
        for event in events:
            self._bill.add(event)
            self._ready.append(event)

    def _too_late(self) -> ProviderError:
        if self._reader.begun:
            message = f"nothing more came for {self._bounds.between_tokens:g} s in the middle of the reply"
        else:
            message = f"no first word within {self._bounds.first_token:g} s"
        return self._failures.make(message)
