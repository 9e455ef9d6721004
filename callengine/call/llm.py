"""LLM: the conversation so far to a reply as it is being written, by whichever model of the chain can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio

from callengine.call.budget import Budget
from callengine.call.chain import Chain
from callengine.call.held import HeldSession, blame
from callengine.call.race import Won, first_good
from callengine.errors import ProviderError
from callengine.ports import LlmEvent, LlmSession, Message, TextDelta, ToolCall, ToolSpec


@attrs.frozen(eq=False)
class _Stream:
    """A reply that is being written."""

    events: AsyncIterator[LlmEvent]

    async def __anext__(self) -> LlmEvent:
        with blame("llm"):
            return await anext(self.events)


class Writer:
    """Streams replies of the call's language model.

    Where one fails before its first word, the next one of the chain is asked. Of one that has begun, nothing may be
    missing for longer than ``stall`` seconds.
    """

    def __init__(self, chain: Chain[LlmSession], *, stall: float) -> None:
        self._chain = chain
        self._stall = stall
        self.pieces = 0
        """Pieces of text that were received so far: about as many tokens."""

    @asynccontextmanager
    async def reply(
        self, messages: Sequence[Message], budget: Budget, tools: Sequence[ToolSpec] = ()
    ) -> AsyncIterator[AsyncIterator[LlmEvent]]:
        """The next reply, event by event; no text in it is empty. Leaving the context closes the model's stream.

        Raises `ProviderError` here where nobody answers, and from the stream where it breaks off.
        """
        contenders = self._chain.contenders(partial(self._ask, messages, tools))
        async with first_good(contenders, budget, _says_something) as won:
            held = self._chain.took(won.contender, won.seconds)
            yield _Events(won, self._stall, self._received, partial(self._chain.failed, held))

    @asynccontextmanager
    async def _ask(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], held: HeldSession[LlmSession]
    ) -> AsyncIterator[_Stream]:
        session = await held.get()
        with blame("llm"):
            async with session.reply(messages, tools) as events:
                yield _Stream(events)

    def _received(self) -> None:
        self.pieces += 1


class _Events:
    """The events of a stream that has begun. Not a generator: it can be left half read."""

    def __init__(
        self,
        won: Won[_Stream, LlmEvent],
        stall: float,
        received: Callable[[], None],
        failed: Callable[[ProviderError], None],
    ) -> None:
        self._won = won
        self._stall = stall
        self._received = received
        self._failed = failed

    def __aiter__(self) -> AsyncIterator[LlmEvent]:
        return self

    async def __anext__(self) -> LlmEvent:
        try:
            while True:
                event = await self._next()
                if _says_something(event):
                    self._received()
                    return event
        except ProviderError as error:
            self._failed(error)
            raise

    async def _next(self) -> LlmEvent:
        with trio.move_on_after(self._stall):
            return await self._won.__anext__()
        raise ProviderError(self._won.contender.name, f"no more text for {self._stall:g} s")


def _says_something(event: LlmEvent) -> bool:
    return isinstance(event, ToolCall) or (isinstance(event, TextDelta) and bool(event.text))
