"""LLM: the conversation so far to the text of a reply, as it is being written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from callengine.call.held import HeldSession, blame
from callengine.cleanup import single
from callengine.errors import ProviderError
from callengine.ports import LlmEvent, LlmSession, Message, TextDelta


class Writer:
    """Streams replies of the call's language model; a failure makes it open another session next time."""

    def __init__(self, held: HeldSession[LlmSession], *, timeout: float) -> None:
        self._held = held
        self._timeout = timeout
        self.pieces = 0
        """Pieces of text that were received so far: about as many tokens."""

    @asynccontextmanager
    async def reply(self, messages: Sequence[Message]) -> AsyncIterator[AsyncIterator[str]]:
        """The text of the next reply, piece by piece. Leaving the context closes the model's stream.

        Raises `ProviderError` from the stream, or here when there is no session.
        """
        session = await self._session()
        try:
            async with AsyncExitStack() as stack:
                with blame("llm"):
                    events = await stack.enter_async_context(session.reply(messages))
                yield _Texts(events, self._held, self._received)
        except BaseExceptionGroup as group:  # a model's own nursery
            raise single(group) from None

    def _received(self) -> None:
        self.pieces += 1

    async def _session(self) -> LlmSession:
        with trio.move_on_after(self._timeout):
            return await self._held.get()
        raise ProviderError(self._held.name, f"no session for {self._timeout:g} s")


class _Texts:
    """The texts among a stream's events. Not a generator: it can be left half read."""

    def __init__(
        self, events: AsyncIterator[LlmEvent], held: HeldSession[LlmSession], received: Callable[[], None]
    ) -> None:
        self._events = events
        self._held = held
        self._received = received

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        try:
            while True:
                with blame("llm"):
                    event = await anext(self._events)
                if isinstance(event, TextDelta) and event.text:
                    self._received()
                    return event.text
        except ProviderError as error:
            self._held.broken(error)
            raise
