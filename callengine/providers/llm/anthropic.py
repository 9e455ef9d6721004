"""Anthropic's Messages (docs.anthropic.com, "Messages"; the `anthropic` package 2.12.0)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import attrs

from callengine.ports import Message, ToolCall, ToolSpec
from callengine.providers.fields import key_field, positive, present, url_field
from callengine.providers.llm.anthropic_wire import VENDOR, AnthropicStream
from callengine.providers.llm.conversation import arguments_of, instructions, thoughts_of
from callengine.providers.llm.http_model import HttpModel, Warming
from callengine.wire import Failures

VERSION = "2023-06-01"
"""Of the protocol: the ``anthropic-version`` header."""

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")

CacheTime: TypeAlias = Literal["5m", "1h"]


@attrs.frozen
class Anthropic(HttpModel):
    """A model of Anthropic's. Raises `ConfigurationError` for values that cannot work."""

    vendor: ClassVar[str] = VENDOR

    model: str = attrs.field(default="claude-haiku-5-5", validator=present)
    api_key: str = key_field("ANTHROPIC_API_KEY")
    base_url: str = url_field("https://api.anthropic.com")
    max_tokens: int = attrs.field(default=1024, validator=positive, kw_only=True)
    """The longest reply, in tokens: minutes of speech. Anthropic wants it said."""
    thinking: Literal["disabled", "adaptive"] | None = attrs.field(default="disabled", kw_only=True)
    """Whether it thinks before it speaks, while the caller waits. None: not said, for models that refuse the word (the
    largest ones always think)."""
    cache: CacheTime | None = attrs.field(default="5m", kw_only=True)
    """How long the tools and the instructions are kept in the vendor's cache after their last use: the next reply reads
    them from there, faster and at a tenth of the price; writing them costs a quarter more (twice as much for 1h).
    Short ones (under one to four thousand tokens, by the model) are never kept."""
    temperature: float | None = attrs.field(default=None, kw_only=True)
    """Not sent where None: newer models refuse it."""

    @property
    def url(self) -> str:
        """Where a reply is asked for."""
        return f"{self.base_url}/v1/messages"

    @property
    def warming(self) -> Warming:
        """The list of models: free, and refused without a good key."""
        return Warming(f"{self.base_url}/v1/models")

    def headers(self) -> dict[str, str]:
        """The key, and the protocol's version."""
        return {"x-api-key": self.api_key, "anthropic-version": VERSION}

    def body(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> dict[str, Any]:
        """The JSON of a request: instructions apart, a user's turn first and last, and all results of a turn's calls in
        the one user's turn behind it."""
        system, turns = instructions(messages)
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "stream": True,
            "messages": _turns(turns),
        }
        if self.thinking is not None:
            body["thinking"] = {"type": self.thinking}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if tools:
            body["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}
                for tool in tools
            ]
        elif called := sorted({call.name for message in messages for call in message.tool_calls}):
            # Calls that stand in the history are refused where no tool is declared: declare them, and allow none.
            body["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in called]
            body["tool_choice"] = {"type": "none"}
        if system:
            body["system"] = [{"type": "text", "text": system}]
        if self.cache is not None and (system or "tools" in body):
            # A mark covers all that stands before it, and the tools stand before the instructions.
            body["system" if system else "tools"][-1]["cache_control"] = {"type": "ephemeral", "ttl": self.cache}
        return body

    def reader(self, messages: Sequence[Message], failures: Failures) -> AnthropicStream:
        """Reads the answer."""
        return AnthropicStream(messages, failures)


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += _blocks(message)
        else:
            turns.append({"role": role, "content": _blocks(message)})
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": _id(message.tool_call_id)}
        if message.content.strip():
            result["content"] = message.content
        if message.failed:
            result["is_error"] = True
        return [result]
    text = message.content.strip()
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    for call in message.tool_calls:
        first, then = thoughts_of(call, VENDOR)
        blocks = [*first, *blocks, *then, _use(call)]
    return blocks


def _use(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": arguments_of(call)}


def _id(id: str) -> str:
    """Other vendors' ids may have characters that Anthropic refuses."""
    return _NOT_IN_IDS.sub("_", id)
