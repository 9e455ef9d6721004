"""Any server that speaks OpenAI's Chat Completions.

That is OpenAI itself, Groq, Cerebras, Together, OpenRouter, Ollama, vLLM, llama.cpp's server and most others.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import attrs

from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Message, ToolCall, ToolSpec
from callengine.providers.fields import positive, present
from callengine.providers.llm.chat_stream import ChatStream
from callengine.providers.llm.conversation import CALL_BEGINS, arguments_of, tidy, whole
from callengine.providers.llm.http_model import HttpModel, Warming
from callengine.wire import Failures

PROVIDERS: Mapping[str, str] = MappingProxyType({
    "api.openai.com": "openai",
    "api.groq.com": "groq",
    "api.cerebras.ai": "cerebras",
    "api.together.ai": "together",
    "api.together.xyz": "together",
    "openrouter.ai": "openrouter",
})  # fmt: skip
"""The vendors by their hosts."""

# OpenAI deprecates ``max_tokens``, and its reasoning models refuse it; Groq and Cerebras follow (the request types of
# the packages `openai` 3.54.0, `groq` 1.7.0, `cerebras-cloud-sdk` 1.91.0). The other servers know only the older name.
_NEWER_LIMIT = frozenset({"openai", "groq", "cerebras"})


def provider_of(url: str) -> str:
    """Whose server this is: a vendor's name, ``ollama`` (by its port), ``local`` for one in the own network, else the
    host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""  # the validator says it better
    if host in PROVIDERS:
        return PROVIDERS[host]
    if port == 11434:
        return "ollama"
    try:
        own = ipaddress.ip_address(host).is_private
    except ValueError:
        own = "." not in host or host.endswith((".local", ".lan", ".internal"))
    return "local" if own else host


def clean_url(url: str) -> str:
    """Without white space around it, or a last slash."""
    return url.strip().rstrip("/")


def _clean_key(key: str | None) -> str | None:
    return (key.strip() or None) if key is not None else None


def _check_url(_: object, __: object, url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable or parts.username or parts.query or not url.isprintable():
        raise ConfigurationError(
            "base_url must look like https://api.example.com/v1 (http or https, a host, no user or query)"
        )


def _check_key(_: object, __: object, key: str | None) -> None:
    # The HTTP client would name the whole header in its error, so a bad key is refused here, unseen.
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigurationError(
            "api_key has characters that no key has (spaces, line breaks, non-ASCII): copy it again"
        )


@attrs.frozen
class OpenAICompatible(HttpModel):
    """The recipe of a language model behind a Chat Completions URL.

    ``base_url`` is what comes before ``/chat/completions``, as in ``https://api.openai.com/v1``. Raises
    `ConfigurationError` for values that cannot work.
    """

    base_url: str = attrs.field(converter=clean_url, validator=_check_url)
    model: str = attrs.field(validator=present)
    api_key: str | None = attrs.field(default=None, repr=False, converter=_clean_key, validator=_check_key)
    temperature: float | None = attrs.field(default=None, kw_only=True)
    """Not sent where None: reasoning models refuse it."""
    max_tokens: int | None = attrs.field(default=None, validator=positive, kw_only=True)
    """Sent as ``max_tokens`` or as ``max_completion_tokens``, whichever the vendor knows."""
    user_first: bool = attrs.field(default=False, kw_only=True)
    """Put a user's turn in front of a conversation that the assistant begins. The chat templates of some open models
    (Gemma, Mistral) refuse it otherwise."""
    provider: str = attrs.field(
        default=attrs.Factory(lambda self: provider_of(self.base_url), takes_self=True), kw_only=True
    )
    """Whose server it is, as a `Usage` names it: by its host, where it is not given."""

    @property
    def name(self) -> str:
        """Model and host, for logs and errors."""
        return f"{self.model} at {urlsplit(self.base_url).hostname}"

    @property
    def url(self) -> str:
        """Where a reply is asked for."""
        return f"{self.base_url}/chat/completions"

    @property
    def warming(self) -> Warming:
        """The list of models: free, and refused without a good key."""
        return Warming(f"{self.base_url}/models")

    def headers(self) -> dict[str, str]:
        """The key, where there is one."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def body(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> dict[str, Any]:
        """The JSON of a request."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": self._messages(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.provider == "openai":
            # Padding in every event that hides the length of the words in it, from others on the way.
            body["stream_options"]["include_obfuscation"] = False
        if tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": dict(tool.parameters),
                    },
                }
                for tool in tools
            ]
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.max_tokens is not None:
            body["max_completion_tokens" if self.provider in _NEWER_LIMIT else "max_tokens"] = self.max_tokens
        return body

    def _messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        tidied = tidy(messages)
        if self.user_first:
            first = 1 if tidied and tidied[0].role == "system" else 0
            if tidied[first:] and tidied[first].role == "assistant":
                tidied.insert(first, Message("user", CALL_BEGINS))
        return [_message(message) for message in tidied]

    def reader(self, messages: Sequence[Message], failures: Failures) -> ChatStream:
        """Reads the answer."""
        return ChatStream(messages, failures)

    def refusal(self, failures: Failures, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """What an answer with another status than 200 means."""
        error = failures.from_response(status, headers, body)
        # The model wrote a call that Groq could not read (its error codes page): the next try may be better.
        if status == 400 and b"tool_use_failed" in body:
            error.fault = "retry"
        return error

    def dispensable(self, status: int, body: bytes) -> str:
        """Some servers do not know how to report usage, and say so (400, or FastAPI's 422)."""
        asked = status in (400, 422) and (b"stream_options" in body or b"include_usage" in body)
        return "stream_options" if asked else ""


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        content = json.dumps({"error": message.content}) if message.failed else message.content
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": content}
    if not message.tool_calls:
        return {"role": message.role, "content": message.content}
    calls = [_call(call) for call in message.tool_calls]
    return {"role": message.role, "content": message.content.strip() or None, "tool_calls": calls}


def _call(call: ToolCall) -> dict[str, Any]:
    # Templates of local servers parse the arguments again, and fail where they are no object.
    arguments = call.arguments if whole(call.arguments) else json.dumps(arguments_of(call))
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
