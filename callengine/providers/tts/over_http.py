"""Synthesis by one HTTP request a sentence, whose answer is raw audio."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx

from callengine.errors import ProviderError
from callengine.ports import SpeechChunk
from callengine.wire import Failures, Patience, StreamedBody, streamed
from callengine.wire.failures import error_object
from callengine.wire.http import error_body


@asynccontextmanager
async def spoken_over_http(
    client: httpx.AsyncClient,
    request: httpx.Request,
    failures: Failures,
    meter: Callable[[], None],
    *,
    first_byte: float,
    between: float,
) -> AsyncIterator[AsyncIterator[SpeechChunk]]:
    """Send a sentence; the value iterates over its audio as it comes, cut anywhere.

    Entering waits for the answer's head. ``first_byte`` is the time in seconds for connection, head and first audio
    together; ``between`` the longest wait for more of it. Leaving before the end closes the connection at once, also
    when cancelled, and the vendor stops; after the end the connection is kept for the next sentence.

    ``meter`` is called once, on leaving: whatever was begun may be billed, also what was cut before it was answered.
    Only a request that was refused, or never arrived, costs nothing.

    Raises `ProviderError`, on entering and on iterating: for a status other than 200, for JSON or text where audio
    should be (whatever its status), for an answer without any audio, and for one that stalls or breaks off.
    """
    patience = Patience(first_byte)
    answered = refused = False

    def too_late() -> ProviderError:
        return failures.make(f"no audio within {first_byte:g} s")

    try:
        async with streamed(client, request, failures, patience, too_late) as body:
            kind = body.response.headers.get("content-type", "").lower()
            if "json" in kind or kind.startswith("text/"):
                raise _no_audio(failures, body.response, await error_body(body))
            answered = True
            yield _Audio(body, failures, between, unnamed=not kind)
    except ProviderError:
        refused = not answered
        raise
    finally:
        if not refused:
            meter()


async def nothing_spoken() -> AsyncIterator[SpeechChunk]:
    """What comes of a text in which there is nothing to say."""
    return
    yield


class _Audio:
    """The chunks of an answer's body."""

    def __init__(self, body: StreamedBody, failures: Failures, between: float, *, unnamed: bool) -> None:
        self._body = body
        self._failures = failures
        self._between = between
        self._unnamed = unnamed
        self._began = False

    def __aiter__(self) -> _Audio:
        return self

    async def __anext__(self) -> SpeechChunk:
        data = await self._body.read()
        while data == b"":
            data = await self._body.read()
        if data is None:
            if not self._began:
                raise self._failures.make("the answer has no audio in it")
            raise StopAsyncIteration
        if not self._began:
            if self._unnamed and data.startswith(b'{"'):
                raise _no_audio(self._failures, self._body.response, data + await error_body(self._body))
            self._began = True
            self._body.too_late = self._stalled
        self._body.patience.left = self._between
        return SpeechChunk(data)

    def _stalled(self) -> ProviderError:
        return self._failures.make(f"nothing more came for {self._between:g} s in the middle of a sentence")


def _no_audio(failures: Failures, response: httpx.Response, body: bytes) -> ProviderError:
    """What an answer says that is words instead of audio."""
    try:
        error = error_object(json.loads(body))
    except ValueError:
        error = None
    if error is not None:
        return failures.from_stream(error)
    kind = response.headers.get("content-type", "JSON")
    return failures.make(f"the answer is {kind}, not audio: is base_url right?", fault="fatal")
