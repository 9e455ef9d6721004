"""The stream of a chat completion, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from language_talk import read

from callengine.errors import ProviderError
from callengine.ports import Message, TextDelta, ToolCall
from callengine.providers.llm.chat_stream import ChatStream
from callengine.providers.llm.tokens import Tokens
from callengine.wire import Failures, SseParser

RECORDED = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795280000,"model":"gpt-5.6-luna",'
    b'"service_tier":"default","system_fingerprint":null,"choices":[{"index":0,"delta":{"role":"assistant",'
    b'"content":""},"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795280000,"model":"gpt-5.6-luna",'
    b'"choices":[{"index":0,"delta":{"content":"Let me"},"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795280000,"model":"gpt-5.6-luna",'
    b'"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_9","type":"function","function":'
    b'{"name":"find_table","arguments":""}}]},"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795280000,"model":"gpt-5.6-luna",'
    b'"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"size\\":"}}]},'
    b'"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795280000,"model":"gpt-5.6-luna",'
    b'"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"2}"}}]},'
    b'"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795280000,"model":"gpt-5.6-luna",'
    b'"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795280000,"model":"gpt-5.6-luna",'
    b'"choices":[],"usage":{"prompt_tokens":412,"completion_tokens":18,"total_tokens":430,"prompt_tokens_details":'
    b'{"cached_tokens":256,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
    b'"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}\n\n'
    b"data: [DONE]\n\n"
)


def stream(*messages: Message) -> ChatStream:
    return ChatStream(messages, Failures("test"))


def deltas(*deltas: dict[str, Any], finish: str = "stop") -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def fragment(arguments: Any, name: str = "", **fields: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"tool_calls": [{**fields, "function": function}]}


@given(st.lists(st.integers(0, len(RECORDED) - 1), max_size=8))
def test_a_recorded_stream_however_it_is_cut(cuts: list[int]) -> None:
    reader = stream()
    events = read(reader, RECORDED, cuts)
    assert events == [TextDelta("Let me"), ToolCall("call_9", "find_table", '{"size":2}')]
    assert reader.tokens == Tokens(input=412, cached=256, output=18)


A, B = '{"a": 1}', '{"b": {"c": 2}}'

SHAPES: dict[str, list[dict[str, Any]]] = {
    "single characters": [
        fragment("", "f", index=0, id="1"),
        *(fragment(c, index=0) for c in A),
        fragment("", "g", index=1, id="2"),
        *(fragment(c, index=1) for c in B),
    ],
    "interleaved": [
        fragment("", "f", index=0, id="1"),
        fragment("", "g", index=1, id="2"),
        *(fragment(c, index=0) for c in A[:4]),
        *(fragment(c, index=1) for c in B[:4]),
        fragment(A[4:], index=0),
        fragment(B[4:], index=1),
    ],
    "whole": [fragment(A, "f", index=0, id="1"), fragment(B, "g", index=1, id="2")],
    "whole, in one chunk": [
        {
            "tool_calls": [
                *fragment(A, "f", index=0, id="1")["tool_calls"],
                *fragment(B, "g", index=1, id="2")["tool_calls"],
            ]
        }
    ],
    "whole, all with the index 0": [fragment(A, "f", index=0, id="1"), fragment(B, "g", index=0, id="2")],
    "without an index": [
        fragment(A[:3], "f", id="1"),
        fragment(A[3:]),
        fragment(B[:3], "g", id="2"),
        fragment(B[3:]),
    ],
    "without an index, the id repeated": [
        fragment(A[:3], "f", id="1"),
        fragment(A[3:], id="1"),
        fragment(B[:3], "g", id="2"),
        fragment(B[3:], id="2"),
    ],
    "an empty id later": [
        fragment(A[:3], "f", index=0, id="1"),
        fragment(A[3:], index=0, id=""),
        fragment(B[:3], "g", index=1, id="2"),
        fragment(B[3:], index=1, id=""),
    ],
    "the name repeated": [
        fragment(A[:3], "f", index=0, id="1"),
        fragment(A[3:], "f", index=0, id="1"),
        fragment("", "f", index=0, id="1"),
        fragment(B, "g", index=1, id="2"),
    ],
    "arguments as an object": [
        fragment(json.loads(A), "f", index=0, id="1"),
        fragment(json.loads(B), "g", index=1, id="2"),
    ],
}


@pytest.mark.parametrize("finish", ["tool_calls", "stop"])  # a named tool_choice ends with stop
@pytest.mark.parametrize("shape", SHAPES)
def test_calls_in_every_shape_that_servers_send(shape: str, finish: str) -> None:
    events = read(stream(), deltas(*SHAPES[shape], finish=finish))
    assert events == [ToolCall("1", "f", A), ToolCall("2", "g", B)]


def test_a_call_is_told_as_soon_as_its_arguments_are_whole() -> None:
    reader, parser = stream(), SseParser()
    data = deltas(fragment(A, "f", index=0, id="1"), {"content": "One moment."})
    assert [list(reader.feed(event)) for event in parser.feed(data)][:2] == [
        [ToolCall("1", "f", A)],
        [TextDelta("One moment.")],
    ]


def test_a_call_without_arguments_or_with_malformed_ones_is_told_at_the_end() -> None:
    events = read(stream(), deltas(fragment("", "f", index=0, id="1"), fragment('{"a": ', "g", index=1, id="2")))
    assert events == [ToolCall("1", "f", ""), ToolCall("2", "g", '{"a": ')]


def test_calls_without_arguments_may_all_have_the_index_0() -> None:
    events = read(stream(), deltas(fragment("", "f", index=0, id="1"), fragment("", "g", index=0, id="2")))
    assert events == [ToolCall("1", "f", ""), ToolCall("2", "g", "")]


@pytest.mark.parametrize("arguments", ["", '{"a": '])
def test_a_call_that_the_token_limit_cut_is_never_made(arguments: str) -> None:
    reader, parser = stream(), SseParser()
    data = deltas({"content": "Let me look."}, fragment(arguments, "book", index=0, id="1"), finish="length")
    events = [event for sse in parser.feed(data) for event in reader.feed(sse)]
    assert events == [TextDelta("Let me look.")]
    with pytest.raises(ProviderError, match="the token limit cut the call of book") as caught:
        reader.finish()
    assert caught.value.fault == "fatal"


def test_the_shape_from_before_there_were_tools_is_read() -> None:
    old = [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": A}}]
    assert read(stream(), deltas(*old, finish="function_call")) == [ToolCall("call_1", "f", A)]


def test_text_and_a_call_may_share_a_chunk_and_other_choices_are_ignored() -> None:
    both = {"content": "Yes.", **fragment(A, "f", index=0, id="1")}
    other = b'data: {"choices":[{"index":1,"delta":{"content":"No."}}]}\n\n'
    assert read(stream(), other + deltas(both)) == [TextDelta("Yes."), ToolCall("1", "f", A)]


def test_an_id_that_the_conversation_has_already_is_replaced() -> None:
    before = Message("assistant", "", (ToolCall("call_1", "f", "{}"),))
    events = read(stream(before), deltas(fragment(A, "f", index=0, id="call_1")))
    assert events == [ToolCall("call_2", "f", A)]
