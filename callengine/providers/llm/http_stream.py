"""Reads one streamed reply from an HTTP response, with a bound on every wait."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import trio

from callengine.cleanup import bounded_cleanup
from callengine.errors import ProviderError
from callengine.ports import LlmEvent
from callengine.providers.llm.chat_stream import ChatStream
from callengine.providers.llm.failures import Failures
from callengine.providers.llm.sse import SseError, SseParser

_USAGE_PATIENCE = 1.0
"""Seconds to wait, once the model has ended its reply, for the usage and the end of the stream."""

_DRAIN_PATIENCE = 0.1
"""Seconds to wait after ``[DONE]`` for the last bytes of the response: with them read, the connection serves the next
reply, which saves its TCP and TLS handshakes. They usually come in the same packet."""

CLOSE_PATIENCE = 1.0
"""Seconds that closing a stream or a client may take. Nothing is sent or awaited; this is only a bound."""


class Patience:
    """A budget of waiting time. Only waiting inside `waiting` spends it, not what the caller does in between."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    @contextmanager
    def waiting(self, too_late: Callable[[], ProviderError]) -> Iterator[None]:
        """Bound a wait by what is left; raises the error that ``too_late`` makes when that is not enough."""
        started = trio.current_time()
        with trio.move_on_after(max(self.left, 0.0)) as scope:
            yield
        self.left -= trio.current_time() - started
        if scope.cancelled_caught:
            raise too_late()


@contextmanager
def transport_errors(failures: Failures) -> Iterator[None]:
    """Turn what the HTTP client raises into a `ProviderError` that may be retried."""
    try:
        yield
    except httpx.HTTPError as error:
        kind = "timed out" if isinstance(error, httpx.TimeoutException) else "failed"
        detail = f"{type(error).__name__} {error}".strip()
        raise failures.make(f"the connection {kind}: {detail}", retryable=True) from error


async def close_response(response: httpx.Response, chunks: AsyncIterator[bytes]) -> None:
    """Close a response's connection (or give it back, where the body was read to its end), also when cancelled.

    ``chunks`` is the iterator that was reading it. The HTTP client nests six generators under it and closes only the
    outermost; reading once more from the closed connection makes each of them end here, instead of in the garbage
    collector.
    """
    with bounded_cleanup(CLOSE_PATIENCE):
        await response.aclose()
        with suppress(httpx.HTTPError, httpx.StreamError):
            async for _ in chunks:
                pass


class ReplyStream:
    """The events of one reply. ``patience`` holds what is left of the time for the first word."""

    def __init__(
        self,
        response: httpx.Response,
        patience: Patience,
        first_token: float,
        between_tokens: float,
        failures: Failures,
    ) -> None:
        self._response = response
        self._chunks = response.aiter_bytes()
        self._patience = patience
        self._first_token = first_token
        self._between_tokens = between_tokens
        self._failures = failures
        self._parser = SseParser()
        self._chat = ChatStream(failures)
        self._ready: deque[LlmEvent] = deque()
        self._over = False
        self._error: ProviderError | None = None

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

    async def aclose(self) -> None:
        """Close at once; after a complete reply, keep the connection for the next one if its end is already here."""
        try:
            if self._over:
                with trio.move_on_after(_DRAIN_PATIENCE), suppress(httpx.HTTPError):
                    async for _ in self._chunks:
                        pass
        finally:
            await close_response(self._response, self._chunks)

    async def _read(self) -> bytes | None:
        """The next bytes, or None at the end of the stream."""
        try:
            with self._patience.waiting(self._too_slow), transport_errors(self._failures):
                return await anext(self._chunks, None)
        except ProviderError:
            if self._chat.finished:
                return None  # the reply is complete; only its figures are missing
            raise

    def _take(self, data: bytes | None) -> None:
        finishing = self._chat.finished
        try:
            events = self._parser.finish() if data is None else self._parser.feed(data)
        except SseError as error:
            raise self._failures.make(str(error), retryable=True) from error
        for event in events:
            self._ready += self._chat.feed(event.data)
        if self._chat.done or data is None:
            self._over = True
            self._ready += self._chat.finish()
        elif self._chat.finished and not finishing:
            self._patience.left = _USAGE_PATIENCE
        elif self._chat.spoke and events and not finishing:
            self._patience.left = self._between_tokens

    def _too_slow(self) -> ProviderError:
        if self._chat.spoke:
            message = f"nothing more came for {self._between_tokens:g} s in the middle of the reply"
        else:
            message = f"no first word within {self._first_token:g} s"
        return self._failures.make(message, retryable=True)
