"""OpenAI's Responses."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing
from cases import Told
from hypothesis import given
from hypothesis import strategies as st
from language_talk import ASKED, TOOLS, ask, read, words

from callengine.errors import ProviderError
from callengine.ports import Message, TextDelta, ToolCall
from callengine.providers.llm.openai_responses import OpenAIResponses
from callengine.providers.llm.openai_responses_wire import ResponsesStream
from callengine.providers.llm.tokens import Tokens
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.language_models import Reply
from callengine.testing.vendors.openai_responses import FakeOpenAIResponses
from callengine.wire import Failures

RECORDED = b"""event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress",\
"model":"gpt-5.6-luna","output":[]}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"msg_1","type":"message",\
"role":"assistant","status":"in_progress","content":[]}}

event: response.content_part.added
data: {"type":"response.content_part.added","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,\
"part":{"type":"output_text","text":"","annotations":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,\
"delta":"Let me look."}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":8,"output_index":1,"item":{"id":"fc_1",\
"type":"function_call","call_id":"call_9","name":"find_table","arguments":"","status":"in_progress"}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":9,"item_id":"fc_1","output_index":1,\
"delta":"{\\"size\\":2}"}

event: response.function_call_arguments.done
data: {"type":"response.function_call_arguments.done","sequence_number":10,"item_id":"fc_1","output_index":1,\
"name":"find_table","arguments":"{\\"size\\":2}"}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":11,"output_index":1,"item":{"id":"fc_1",\
"type":"function_call","call_id":"call_9","name":"find_table","arguments":"{\\"size\\":2}","status":"completed"}}

event: response.completed
data: {"type":"response.completed","sequence_number":12,"response":{"id":"resp_1","status":"completed","output":[],\
"usage":{"input_tokens":412,"input_tokens_details":{"cached_tokens":256},"output_tokens":24,\
"output_tokens_details":{"reasoning_tokens":0},"total_tokens":436}}}

"""

CALL = ToolCall("call_9", "find_table", '{"size":2}')


def stream(*messages: Message) -> ResponsesStream:
    return ResponsesStream(messages, Failures("test"))


@given(st.lists(st.integers(0, len(RECORDED) - 1), max_size=8))
def test_a_recorded_stream_however_it_is_cut(cuts: list[int]) -> None:
    reader = stream()
    events = read(reader, RECORDED, cuts)
    assert events == [TextDelta("Let me look."), CALL]
    assert reader.tokens == Tokens(input=412, cached=256, output=24)


def test_nothing_counts_behind_the_end() -> None:
    assert read(stream(), RECORDED + RECORDED) == [TextDelta("Let me look."), CALL]


def test_the_request_is_made_of_items() -> None:
    history = [
        *ASKED,
        Message("assistant", "Let me look.", (CALL, ToolCall("call_10", "opening_hours", ""))),
        Message("tool", '{"free":["19:00"]}', tool_call_id="call_9"),
        Message("tool", "calendar down", tool_call_id="call_10", failed=True),
    ]
    body = OpenAIResponses(api_key="k").body(history, TOOLS)
    assert body["instructions"] == "You answer calls for Acme."
    assert body["input"] == [
        {"role": "user", "content": [{"type": "input_text", "text": "Any table tonight?"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}]},
        {"type": "function_call", "call_id": "call_9", "name": "find_table", "arguments": '{"size":2}'},
        {"type": "function_call", "call_id": "call_10", "name": "opening_hours", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_9", "output": '{"free":["19:00"]}'},
        {"type": "function_call_output", "call_id": "call_10", "output": '{"error": "calendar down"}'},
    ]
    assert (body["store"], body["reasoning"]) == (False, {"effort": "none"})
    assert "include" not in body
    assert body["tools"][0]["name"] == "find_table"
    assert body["tools"][0]["strict"] is False


def test_how_much_it_reasons_is_a_setting() -> None:
    body = OpenAIResponses(api_key="k", effort="low").body(ASKED)
    assert (body["reasoning"], body["include"]) == ({"effort": "low"}, ["reasoning.encrypted_content"])
    body = OpenAIResponses("gpt-4.1", api_key="k", effort=None).body(ASKED)
    assert not {"reasoning", "include"} & set(body)


async def test_sealed_reasoning_goes_back_in_front_of_the_call_that_followed_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = FakeOpenAIResponses()
    vendor.replies("Let me look.", CALL, thought="gAAAA")
    recipe = OpenAIResponses(api_key=vendor.key, effort="low")
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        events = await ask(session, ASKED, TOOLS)
        assert words(events) == "Let me look."
        (call,) = (event for event in events if isinstance(event, ToolCall))
        assert "gAAAA" not in repr(call)
        history = [*ASKED, Message("assistant", "Let me look.", (call,)), Message("tool", "[]", tool_call_id=call.id)]
        assert words(await ask(session, history, TOOLS))
    kinds = [item.get("type", item.get("role")) for item in vendor.asked[1]["input"]]
    assert kinds == ["user", "reasoning", "assistant", "function_call", "function_call_output"]
    assert vendor.asked[1]["input"][1]["encrypted_content"] == "gAAAA"


def reply(*parts: Any, finish: str = "") -> bytes:
    return b"".join(FakeOpenAIResponses().events(Reply(parts, finish), {"model": "m"}))


def test_a_refusal_is_spoken() -> None:
    refusal = b'data: {"type":"response.refusal.delta","delta":"I cannot help with that."}\n\n'
    assert read(stream(), reply(refusal)) == [TextDelta("I cannot help with that.")]


@pytest.mark.parametrize(
    ("finish", "parts", "words", "fault"),
    [
        ("max_output_tokens", (), "before the first word", "fatal"),
        ("max_output_tokens", (CALL,), "cut the call of find_table", "fatal"),
        ("content_filter", (), "content filter", "fatal"),
        ("failed:server_error", (), "The reply failed", "retry"),
        ("failed:rate_limit_exceeded", ("So far.",), "The reply failed", "retry"),
        ("failed:invalid_prompt", (), "The reply failed", "fatal"),
    ],
)
def test_a_reply_that_is_no_reply_says_why(finish: str, parts: tuple[Any, ...], words: str, fault: str) -> None:
    with pytest.raises(ProviderError, match=words) as caught:
        read(stream(), reply(*parts, finish=finish))
    assert caught.value.fault == fault


def test_a_reply_that_was_cut_by_the_limit_is_one() -> None:
    assert read(stream(), reply("So far.", finish="max_output_tokens")) == [TextDelta("So"), TextDelta(" far.")]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        ({"type": "error", "code": "server_error", "message": "The words.", "param": None}, "retry"),
        ({"type": "error", "code": "invalid_api_key", "message": "The words."}, "fatal"),
        ({"type": "error", "status": 429, "error": {"type": "tokens", "code": "x", "message": "The words."}}, "retry"),
        ({"type": "error", "error": {"code": "insufficient_quota", "message": "The words."}}, "fatal"),
    ],
)
def test_bare_errors(error: dict[str, Any], fault: str) -> None:
    with pytest.raises(ProviderError, match=r"The words\.") as caught:
        read(stream(), reply("So far.", b"data: " + json.dumps(error).encode() + b"\n\n"))
    assert caught.value.fault == fault
