"""Google's Gemini (ai.google.dev, "generateContent"; the `google-genai` package 3.4.0)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import attrs

from callengine.errors import ProviderError
from callengine.ports import Message, ToolCall, ToolSpec
from callengine.providers.fields import key_field, positive, present, url_field
from callengine.providers.llm.conversation import arguments_of, instructions
from callengine.providers.llm.gemini_wire import VENDOR, GeminiStream, refusal
from callengine.providers.llm.http_model import HttpModel, Warming
from callengine.wire import Failures

ThinkingLevel: TypeAlias = Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"]

NO_SIGNATURE = "skip_thought_signature_validator"
"""Stands for the signature of a call that another vendor's model made: without any, Gemini refuses the conversation
(ai.google.dev/gemini-api/docs/thought-signatures)."""


def _least_thinking(model: str) -> ThinkingLevel | int | None:
    if model.startswith("gemini-2"):
        return 0 if "flash" in model else None
    return "MINIMAL"


@attrs.frozen
class Gemini(HttpModel):
    """A model of Google's. The key is ``GEMINI_API_KEY``, else ``GOOGLE_API_KEY``. Raises `ConfigurationError` for
    values that cannot work."""

    vendor: ClassVar[str] = VENDOR

    model: str = attrs.field(default="gemini-3.8-flash", validator=present)
    api_key: str = key_field("GEMINI_API_KEY", "GOOGLE_API_KEY")
    base_url: str = url_field("https://generativelanguage.googleapis.com")
    max_tokens: int | None = attrs.field(default=None, validator=positive, kw_only=True)
    """The longest reply, in tokens. Thoughts come out of it."""
    thinking: ThinkingLevel | int | None = attrs.field(
        default=attrs.Factory(lambda self: _least_thinking(self.model), takes_self=True), kw_only=True
    )
    """How much it thinks before it speaks, while the caller waits: a level, or (the 2.5 models) a number of tokens.
    The least that the model can, where it is not given. None: not said."""
    temperature: float | None = attrs.field(default=None, kw_only=True)
    """Not sent where None: the newest models ignore it."""

    @property
    def url(self) -> str:
        """Where a reply is asked for."""
        return f"{self.base_url}/v1beta/models/{self.model}:streamGenerateContent?alt=sse"

    @property
    def warming(self) -> Warming:
        """The list of models: free, and refused without a good key."""
        return Warming(f"{self.base_url}/v1beta/models?pageSize=1")

    def headers(self) -> dict[str, str]:
        """The key: in a header, because addresses are written into logs."""
        return {"x-goog-api-key": self.api_key}

    def body(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> dict[str, Any]:
        """The JSON of a request: instructions apart, a user's turn first and last, and all results of a turn's calls in
        the one turn behind it."""
        system, turns = instructions(messages)
        body: dict[str, Any] = {"contents": _contents(turns)}
        if system:
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if tools:
            declarations = [
                {"name": tool.name, "description": tool.description, "parametersJsonSchema": dict(tool.parameters)}
                for tool in tools
            ]
            body["tools"] = [{"functionDeclarations": declarations}]
        settings: dict[str, Any] = {}
        if self.max_tokens is not None:
            settings["maxOutputTokens"] = self.max_tokens
        if self.temperature is not None:
            settings["temperature"] = self.temperature
        if self.thinking is not None:
            level = isinstance(self.thinking, str)
            settings["thinkingConfig"] = {"thinkingLevel" if level else "thinkingBudget": self.thinking}
        if settings:
            body["generationConfig"] = settings
        return body

    def reader(self, messages: Sequence[Message], failures: Failures) -> GeminiStream:
        """Reads the answer."""
        return GeminiStream(messages, failures)

    def refusal(self, failures: Failures, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """What an answer with another status than 200 means."""
        return refusal(failures, status, headers, body)


def _contents(messages: Sequence[Message]) -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = []
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    answering = False
    for message in messages:
        if message.role == "tool":
            part = _response(message, names[message.tool_call_id])
            if answering:
                contents[-1]["parts"].append(part)
            else:
                contents.append({"role": "user", "parts": [part]})
        else:
            contents.append({"role": "model" if message.role == "assistant" else "user", "parts": _parts(message)})
        answering = message.role == "tool"
    return contents


def _parts(message: Message) -> list[dict[str, Any]]:
    text = message.content.strip()
    parts: list[dict[str, Any]] = [{"text": text}] if text else []
    foreign = not any(call.opaque is not None and call.opaque[0] == VENDOR for call in message.tool_calls)
    for number, call in enumerate(message.tool_calls):
        part = _call(call)
        if foreign and number == 0:
            part["thoughtSignature"] = NO_SIGNATURE
        parts.append(part)
    return parts


def _call(call: ToolCall) -> dict[str, Any]:
    part: dict[str, Any] = {"functionCall": {"id": call.id, "name": call.name, "args": arguments_of(call)}}
    if call.opaque is not None and call.opaque[0] == VENDOR:
        part["thoughtSignature"] = call.opaque[1]
    return part


def _response(message: Message, name: str) -> dict[str, Any]:
    try:
        result = json.loads(message.content)
    except ValueError:
        result = message.content
    if message.failed:
        result = {"error": message.content}
    elif not isinstance(result, dict):
        result = {"result": result}
    return {"functionResponse": {"id": message.tool_call_id, "name": name, "response": result}}
