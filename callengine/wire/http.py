"""Requests to vendors: streamed answers with a bound on every wait, and errors that say whose fault it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import httpx
import trio

from callengine.cleanup import bounded_cleanup
from callengine.errors import ProviderError
from callengine.wire.failures import Failures
from callengine.wire.network import CLOSE_PATIENCE

MAX_ERROR_BODY = 65_536
"""Bytes of an error's body that are read."""

_DRAIN_PATIENCE = 0.1
"""Seconds to wait for the last bytes of an answer that is complete: with them read, the connection serves the next
request, which saves its TCP and TLS handshakes. They usually come in the same packet."""


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
        raise failures.make(f"the connection {kind}: {detail}") from error


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


class StreamedBody:
    """The body of an answer, as it comes. Set ``patience.left`` to give the next bytes another time."""

    def __init__(
        self,
        response: httpx.Response,
        chunks: AsyncIterator[bytes],
        failures: Failures,
        patience: Patience,
        too_late: Callable[[], ProviderError],
    ) -> None:
        self.response = response
        self.patience = patience
        self.too_late = too_late
        self.complete = False
        """Set it when the vendor said that nothing more comes: the connection may then serve another request."""
        self._chunks = chunks
        self._failures = failures

    async def read(self) -> bytes | None:
        """The next bytes, or None at the end. Raises `ProviderError`."""
        with self.patience.waiting(self.too_late), transport_errors(self._failures):
            data = await anext(self._chunks, None)
        self.complete = self.complete or data is None
        return data

    async def drain(self) -> None:
        """Read what is left of a complete answer, if it is here already."""
        with trio.move_on_after(_DRAIN_PATIENCE), suppress(httpx.HTTPError):
            async for _ in self._chunks:
                pass


@asynccontextmanager
async def asked(
    client: httpx.AsyncClient,
    request: httpx.Request,
    failures: Failures,
    patience: Patience,
    too_late: Callable[[], ProviderError],
) -> AsyncIterator[StreamedBody]:
    """Send a request and wait for the answer's head, whatever its status. Leaving closes the connection at once, also
    when cancelled: the vendor stops working for it. After a complete answer the connection is kept.

    Raises `ProviderError` for what goes wrong on the way.
    """
    with patience.waiting(too_late), transport_errors(failures):
        response = await client.send(request, stream=True)
    chunks = response.aiter_bytes()
    body = StreamedBody(response, chunks, failures, patience, too_late)
    try:
        yield body
        if body.complete:
            await body.drain()
    finally:
        await close_response(response, chunks)


@asynccontextmanager
async def streamed(
    client: httpx.AsyncClient,
    request: httpx.Request,
    failures: Failures,
    patience: Patience,
    too_late: Callable[[], ProviderError],
) -> AsyncIterator[StreamedBody]:
    """Like `asked`, but any status other than 200 is raised as the `ProviderError` that it means."""
    async with asked(client, request, failures, patience, too_late) as body:
        if body.response.status_code != 200:
            raise failures.from_response(body.response.status_code, body.response.headers, await error_body(body))
        yield body


async def error_body(body: StreamedBody) -> bytes:
    """What an error's answer says, as far as it is worth reading."""
    data = bytearray()
    while len(data) < MAX_ERROR_BODY and (more := await body.read()) is not None:
        data += more
    return bytes(data)
