"""OpenAI's Responses, over server-sent events (platform.openai.com, "Responses"; the `openai` package 3.54.0)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import attrs

from callengine.ports import Message, ToolCall, ToolSpec
from callengine.providers.fields import key_field, positive, present, url_field
from callengine.providers.llm.conversation import arguments_of, thoughts_of, tidy, whole
from callengine.providers.llm.http_model import HttpModel, Warming
from callengine.providers.llm.openai_responses_wire import VENDOR, ResponsesStream
from callengine.wire import Failures


@attrs.frozen
class OpenAIResponses(HttpModel):
    """A model of OpenAI's, by its newer interface. Nothing is kept at the vendor: every request has all of the
    conversation. Raises `ConfigurationError` for values that cannot work."""

    vendor: ClassVar[str] = VENDOR

    model: str = attrs.field(default="gpt-6-luna", validator=present)
    api_key: str = key_field("OPENAI_API_KEY")
    base_url: str = url_field("https://api.openai.com/v1")
    effort: str | None = attrs.field(default="none", kw_only=True)
    """How much it reasons before it speaks, while the caller waits. None: not said, for models that do not reason. With
    another than ``none``, its sealed reasoning goes back to it together with its calls."""
    max_tokens: int | None = attrs.field(default=None, validator=positive, kw_only=True)
    """The longest reply, in tokens, with its reasoning."""
    temperature: float | None = attrs.field(default=None, kw_only=True)
    """Not sent where None: reasoning models refuse it."""

    @property
    def url(self) -> str:
        """Where a reply is asked for."""
        return f"{self.base_url}/responses"

    @property
    def warming(self) -> Warming:
        """The list of models: free, and refused without a good key."""
        return Warming(f"{self.base_url}/models")

    def headers(self) -> dict[str, str]:
        """The key."""
        return {"Authorization": f"Bearer {self.api_key}"}

    def body(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> dict[str, Any]:
        """The JSON of a request: instructions apart, the rest as items."""
        tidied = tidy(messages)
        instructions = tidied.pop(0).content if tidied and tidied[0].role == "system" else ""
        body: dict[str, Any] = {
            "model": self.model,
            "stream": True,
            "store": False,
            "input": [item for message in tidied for item in _items(message)],
        }
        if instructions:
            body["instructions"] = instructions
        if tools:
            body["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                    "strict": False,  # it is True here unless said, and refuses schemas with optional parameters
                }
                for tool in tools
            ]
        if self.effort is not None:
            body["reasoning"] = {"effort": self.effort}
            if self.effort != "none":
                body["include"] = ["reasoning.encrypted_content"]
        if self.max_tokens is not None:
            body["max_output_tokens"] = self.max_tokens
        if self.temperature is not None:
            body["temperature"] = self.temperature
        return body

    def reader(self, messages: Sequence[Message], failures: Failures) -> ResponsesStream:
        """Reads the answer."""
        return ResponsesStream(messages, failures)


def _items(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        output = json.dumps({"error": message.content}) if message.failed else message.content
        return [{"type": "function_call_output", "call_id": message.tool_call_id, "output": output}]
    text = message.content.strip()
    kind = "output_text" if message.role == "assistant" else "input_text"
    items: list[dict[str, Any]] = []
    if text:
        items.append({"role": message.role, "content": [{"type": kind, "text": text}]})
    for call in message.tool_calls:
        first, then = thoughts_of(call, VENDOR)
        items = [*first, *items, *then, _call(call)]
    return items


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = call.arguments if whole(call.arguments) else json.dumps(arguments_of(call))
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments}
