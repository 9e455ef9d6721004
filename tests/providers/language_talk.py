"""Language models and their simulated vendors, in pairs, for tests that must hold for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import attrs

from callengine.ports import LlmEvent, LlmSession, Message, TextDelta, ToolCall, ToolSpec
from callengine.providers.llm.anthropic import Anthropic
from callengine.providers.llm.gemini import Gemini
from callengine.providers.llm.http_model import HttpModel
from callengine.providers.llm.http_stream import ReplyReader
from callengine.providers.llm.openai_compatible import OpenAICompatible
from callengine.providers.llm.openai_responses import OpenAIResponses
from callengine.providers.llm.presets import Cerebras, Groq, Ollama, OpenAI, OpenRouter, Together
from callengine.testing.vendors.anthropic import FakeAnthropic
from callengine.testing.vendors.gemini import FakeGemini
from callengine.testing.vendors.language_models import FakeLanguageModel
from callengine.testing.vendors.openai_chat import FakeOpenAIChat
from callengine.testing.vendors.openai_responses import FakeOpenAIResponses
from callengine.wire import SseParser

ASKED = [Message("system", "You answer calls for Acme."), Message("user", "Any table tonight?")]

FIND_TABLE = ToolSpec(
    "find_table",
    "Look up free tables",
    {"type": "object", "properties": {"size": {"type": "integer"}, "day": {"type": "string"}}, "required": ["size"]},
)
OPENING_HOURS = ToolSpec("opening_hours", "When we are open", {"type": "object", "properties": {}})
TOOLS = [FIND_TABLE, OPENING_HOURS]


@attrs.frozen
class Pair:
    """A recipe, and the vendor that it talks to."""

    name: str
    vendor: Callable[..., FakeLanguageModel]
    recipe: Callable[..., HttpModel]


def _chat(style: Any) -> Callable[..., FakeLanguageModel]:
    return lambda vocabulary=None: FakeOpenAIChat(style, vocabulary)


def _local(port: int) -> Callable[..., HttpModel]:
    def make(model: str = "a-model", **settings: Any) -> HttpModel:
        return OpenAICompatible(**{"base_url": f"http://localhost:{port}/v1", "model": model, **settings})

    return make


def _ollama(**settings: Any) -> HttpModel:
    settings.pop("api_key", None)
    return Ollama(**settings)


PAIRS = (
    Pair("openai", _chat("openai"), OpenAI),
    Pair("groq", _chat("groq"), Groq),
    Pair("cerebras", _chat("cerebras"), Cerebras),
    Pair("together", _chat("together"), Together),
    Pair("openrouter", _chat("openrouter"), OpenRouter),
    Pair("ollama", _chat("ollama"), _ollama),
    Pair("vllm", _chat("vllm"), _local(8000)),
    Pair("llama.cpp", _chat("llama.cpp"), _local(8080)),
    Pair("responses", FakeOpenAIResponses, OpenAIResponses),
    Pair("anthropic", FakeAnthropic, Anthropic),
    Pair("gemini", FakeGemini, Gemini),
)

FOUR = tuple(pair for pair in PAIRS if pair.name in ("openai", "responses", "anthropic", "gemini"))
"""One of each protocol."""


def read(reader: ReplyReader, data: bytes, cuts: Sequence[int] = ()) -> list[LlmEvent]:
    """What a reader makes of a stream that comes in pieces."""
    parser = SseParser()
    edges = sorted({0, len(data), *cuts})
    events: list[LlmEvent] = []
    for start, end in pairwise(edges):
        for event in parser.feed(data[start:end]):
            events += reader.feed(event)
    return events + reader.finish()


async def ask(
    session: LlmSession,
    messages: Sequence[Message] = ASKED,
    tools: Sequence[ToolSpec] = (),
    *,
    heard: list[LlmEvent] | None = None,
) -> list[LlmEvent]:
    """A whole reply; ``heard`` has what came of one that fails."""
    events: list[LlmEvent] = [] if heard is None else heard
    async with session.reply(messages, tools) as reply:
        async for event in reply:
            events.append(event)
    return events


def words(events: Sequence[LlmEvent]) -> str:
    """The text of a reply."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls(events: Sequence[LlmEvent]) -> list[tuple[str, str]]:
    """Name and arguments of a reply's calls."""
    return [(event.name, event.arguments) for event in events if isinstance(event, ToolCall)]
