"""What a reply costs: the vendor's figures, and ours where it has not said them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from callengine.ports import LlmEvent, Message, TextDelta, ToolSpec, Usage

CHARACTERS_PER_TOKEN = 4
"""Of English, as a rule of thumb (help.openai.com, "What are tokens and how to count them?")."""


@attrs.frozen(kw_only=True)
class Tokens:
    """The vendor's figures of one reply, as far as it told them; None: not told."""

    input: int | None = None
    """All of the prompt, cached or not."""
    cached: int = 0
    cache_written: int = 0
    output: int | None = None
    """All that was generated, with the reasoning."""
    reasoning: int = 0


def number(figures: object, *names: str) -> int | None:
    """The count that is found in a JSON object by this path of names; None for anything that is no count."""
    value: Any = figures
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


class Bill:
    """Counts along while a reply is made, for the case that the vendor never says what it cost."""

    def __init__(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> None:
        self._asked = sum(map(_size, messages)) + sum(
            len(str(tool.parameters)) + len(tool.description) for tool in tools
        )
        self._answered = 0

    def add(self, event: LlmEvent) -> None:
        """The model wrote this."""
        self._answered += len(event.text) if isinstance(event, TextDelta) else len(event.name) + len(event.arguments)

    def usage(self, provider: str, model: str, told: Tokens, *, complete: bool) -> Usage:
        """What it cost. Estimated where a figure was not told, or the reply was left before it was ``complete``: what
        the vendor had told by then may be too little, and is never undercut."""
        estimated = not complete or told.input is None or told.output is None
        given, made = told.input, told.output
        if given is None:
            given = _tokens(self._asked)
        if made is None or not complete:
            made = max(made or 0, _tokens(self._answered))
        return Usage(
            provider=provider,
            model=model,
            input_tokens=given,
            cached_tokens=told.cached,
            cache_write_tokens=told.cache_written,
            output_tokens=made,
            reasoning_tokens=told.reasoning,
            estimated=estimated,
        )


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)


def _size(message: Message) -> int:
    return len(message.content) + sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
