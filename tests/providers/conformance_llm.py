"""How the suite asks a language model, and takes down its reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio
from cases import Case, Told

from callengine.ports import LlmEvent, LlmSession, Message, TextDelta, ToolCall, ToolSpec
from callengine.wire import Wire

MESSAGES = (Message("system", "You take bookings."), Message("user", "Any table tonight?"))
BOOK = ToolSpec(
    "book_table",
    "Book a table.",
    {
        "type": "object",
        "properties": {"people": {"type": "integer"}, "name": {"type": "string"}},
        "required": ["people"],
        "additionalProperties": False,
    },
)
WEATHER = ToolSpec("weather", "What the weather is like.", {"type": "object", "properties": {}})
REPLY = "Certainly, for how many people?"


async def ask(
    session: LlmSession, messages: Sequence[Message] = MESSAGES, tools: Sequence[ToolSpec] = ()
) -> list[LlmEvent]:
    """A whole reply."""
    events: list[LlmEvent] = []
    with trio.fail_after(120):
        async with session.reply(messages, tools) as stream:
            async for event in stream:
                events.append(event)
    return events


def text_of(events: Sequence[LlmEvent]) -> str:
    """Its words."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls_of(events: Sequence[LlmEvent]) -> list[ToolCall]:
    """Its calls."""
    return [event for event in events if isinstance(event, ToolCall)]


async def reply_of(
    case: Case, vendor: Any, wire: Wire | None, told: Told | None = None, wait: float = 0.0, **settings: Any
) -> str:
    """The words of one reply of a session of its own."""
    context = {name: settings.pop(name) for name in ("opening",) if name in settings}
    vendor.replies(REPLY)
    async with case.make(**settings).open((told or Told()).context(wire, **context)) as session:
        await trio.sleep(wait)
        return text_of(await ask(session))
