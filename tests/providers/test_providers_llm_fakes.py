"""The simulated vendors are as strict as the real ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from language_talk import ASKED, FOUR, TOOLS, Pair

from callengine.ports import Message, ToolCall
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.openai_chat import FakeOpenAIChat

HISTORY = [
    *ASKED,
    Message("assistant", "Let me look.", (ToolCall("a", "find_table", "{}"), ToolCall("b", "opening_hours", "{}"))),
    Message("tool", "none", tool_call_id="a"),
    Message("tool", "9 to 5", tool_call_id="b"),
]


def without(path: str) -> Callable[[dict[str, Any]], None]:
    def change(body: dict[str, Any]) -> None:
        *way, last = path.split(".")
        there: Any = body
        for step in way:
            there = there[int(step)] if isinstance(there, list) else there[step]
        del there[int(last) if isinstance(there, list) else last]

    return change


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(body: dict[str, Any]) -> None:
        *way, last = path.split(".")
        there: Any = body
        for step in way:
            there = there[int(step)] if isinstance(there, list) else there[step]
        there[int(last) if isinstance(there, list) else last] = value

    return change


BROKEN: dict[str, list[tuple[Callable[[dict[str, Any]], None], str]]] = {
    "openai": [
        (without("messages.3"), "did not have response messages"),
        (without("messages.2"), "must follow the message with its tool_calls"),
        (put("messages.1.role", "human"), "role is 'human'"),
        (put("messages.1.content", None), "content is None"),
        (put("messages.2.tool_calls.1.id", "a"), "no id of its own"),
        (put("messages.2.tool_calls.1.function.arguments", {}), "no name or arguments"),
        (put("max_tokens", 9), "max_tokens"),
        (put("tools.0.function.name", "find table"), "name is 'find table'"),
        (put("tools.1.function.name", "find_table"), "two functions"),
        (put("tools.0.function.parameters", {"type": "array"}), "no schema of an object"),
        (put("stream", False), "stream"),
        (put("messages", []), "empty"),
    ],
    "responses": [
        (without("input.3"), "No tool call found"),
        (without("input.4"), "No tool output found"),
        (put("input.0.content.0.type", "output_text"), "input_text"),
        (put("input.0.type", "thing"), "thing"),
        (without("tools.0.strict"), "strict mode"),
        (put("messages", []), "messages"),
    ],
    "anthropic": [
        (without("messages.0"), "first message must use the user role"),
        (without("messages.2"), "immediately after"),
        (without("messages.2.content.1"), "immediately after"),
        (put("messages.0.content.0.text", " "), "non-empty"),
        (put("messages.1.content.1.id", "a:b"), "letters and digits"),
        (put("messages.1.content.1.id", "b"), "unique"),
        (without("max_tokens"), "max_tokens"),
        (put("messages.0.role", "system"), "messages"),
        (put("messages.2.content.1.tool_use_id", "c"), "unexpected tool_use_id"),
    ],
    "gemini": [
        (without("contents.0"), "begin with a user turn"),
        (without("contents.2"), "end with a user turn"),
        (without("contents.2.parts.1"), "must equal"),
        (without("contents.1.parts.1.thoughtSignature"), "missing a thought_signature"),
        (put("contents.0.role", "system"), "valid role"),
        (put("contents.0.parts.0.text", ""), "empty"),
        (put("contents.2.parts.0.functionResponse.response", []), "no object"),
        (put("generationConfig.thinkingConfig.thinkingBudget", 0), "only set one"),
        (put("messages", []), "messages"),
    ],
}


@pytest.mark.parametrize("pair", FOUR, ids=lambda pair: pair.name)
def test_a_request_against_the_protocol_is_refused(pair: Pair) -> None:
    vendor = pair.vendor()
    good = pair.recipe(api_key=vendor.key).body(HISTORY, TOOLS)
    assert list(vendor.problems(good)) == []
    for change, words in BROKEN[pair.name]:
        body = copy.deepcopy(good)
        change(body)
        assert words in " ".join(vendor.problems(body)), words


async def refused(vendor: FakeOpenAIChat) -> None:
    async with in_memory(vendor) as wire:
        response: httpx.Response = await wire.http.post(
            "https://api.openai.com/v1/chat/completions",
            headers={"Authorization": f"Bearer {vendor.key}"},
            json={"model": "m", "stream": True, "messages": []},
        )
        assert response.status_code == 400
        assert response.json()["error"]["type"] == "invalid_request_error"


async def test_a_refused_request_is_a_complaint(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(AssertionError, match="messages are empty"):
        await refused(FakeOpenAIChat())
