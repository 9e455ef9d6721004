"""Language models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol, TypeAlias

import attrs

from callengine.ports.session import SessionContext

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@attrs.frozen
class ToolSpec:
    """A function that a model may call. ``parameters`` is a JSON schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any] = attrs.field(eq=False)


@attrs.frozen
class ToolCall:
    """A model wants a function to be called.

    ``arguments`` is what the model wrote: usually, but not surely, a JSON object. ``opaque`` is what a vendor wants to
    see again together with the call (a thought's signature), as (vendor, value); other vendors leave it out.
    """

    id: str
    name: str
    arguments: str
    opaque: tuple[str, Any] | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Message:
    """One entry of a conversation as a language model sees it.

    ``tool_calls`` are those of an assistant's message, in order; each is answered by a message of the role ``tool``
    right behind it, whose ``content`` is the result (or the error, where it ``failed``) of the call ``tool_call_id``.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    failed: bool = False


@attrs.frozen
class TextDelta:
    """Some more text of a reply."""

    text: str


LlmEvent: TypeAlias = TextDelta | ToolCall
"""A `ToolCall` comes when its arguments are complete; a reply may have text, calls, or both."""


class LlmSession(Protocol):
    """One call's language model."""

    def reply(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AbstractAsyncContextManager[AsyncIterator[LlmEvent]]:
        """Stream the next assistant message. Leaving the context closes the stream, so that billing stops.

        What it cost is told to ``context.meter`` when it ends or is left. Raises `ProviderError`.
        """


class LanguageModel(Protocol):
    """A language model's recipe."""

    @property
    def name(self) -> str: ...

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[LlmSession]: ...
