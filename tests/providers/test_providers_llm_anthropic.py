"""Anthropic's Messages."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from cases import Told
from hypothesis import given
from hypothesis import strategies as st
from language_talk import ASKED, TOOLS, ask, read, words

from callengine.errors import ProviderError
from callengine.ports import LlmEvent, Message, SessionContext, TextDelta, ToolCall
from callengine.providers.llm.anthropic import Anthropic
from callengine.providers.llm.anthropic_wire import AnthropicStream
from callengine.providers.llm.tokens import Tokens
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.anthropic import FakeAnthropic, signature_of
from callengine.testing.vendors.language_models import Reply, sse
from callengine.wire import Failures, SseParser

RECORDED = b"""event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-5-5",\
"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":412,"cache_creation_input_tokens":0,\
"cache_read_input_tokens":256,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Let me look."}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"find_table",\
"input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"size\\": 2}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":61}}

event: message_stop
data: {"type":"message_stop"}

"""

CALL = ToolCall("toolu_1", "find_table", '{"size": 2}')


def stream(*messages: Message) -> AnthropicStream:
    return AnthropicStream(messages, Failures("test"))


@given(st.lists(st.integers(0, len(RECORDED) - 1), max_size=8))
def test_a_recorded_stream_however_it_is_cut(cuts: list[int]) -> None:
    reader = stream()
    events = read(reader, RECORDED, cuts)
    assert events == [TextDelta("Let me look."), CALL]
    assert reader.tokens == Tokens(input=668, cached=256, output=61)


def test_nothing_counts_behind_the_end() -> None:
    assert read(stream(), RECORDED + RECORDED) == [TextDelta("Let me look."), CALL]


def test_figures_are_totals_and_may_be_repeated_and_written_to_the_cache() -> None:
    repeated = RECORDED.replace(b'"cache_creation_input_tokens":0', b'"cache_creation_input_tokens":100').replace(
        b'{"output_tokens":61}',
        b'{"input_tokens":412,"output_tokens":61,"output_tokens_details":{"thinking_tokens":40}}',
    )
    reader = stream()
    read(reader, repeated)
    assert reader.tokens == Tokens(input=768, cached=256, cache_written=100, output=61, reasoning=40)


def test_the_request_has_its_instructions_apart_and_all_results_in_one_turn() -> None:
    """R40: the results of calls that were made at once go back in one message, first in it."""
    other = ToolCall("toolu_2", "opening_hours", "")
    history = [
        Message("system", "You answer calls for Acme."),
        Message("assistant", "Acme, hello."),
        Message("user", "Any table tonight?"),
        Message("assistant", "Let me look. ", (CALL, other)),
        Message("tool", '{"free":["19:00"]}', tool_call_id="toolu_1"),
        Message("tool", "calendar down", tool_call_id="toolu_2", failed=True),
        Message("user", "Hello?"),
    ]
    body = Anthropic(api_key="k").body(history, TOOLS)
    assert body["model"] == "claude-haiku-5-5"
    assert body["max_tokens"] == 1024
    assert body["thinking"] == {"type": "disabled"}
    assert body["system"] == [
        {
            "type": "text",
            "text": "You answer calls for Acme.",
            "cache_control": {"type": "ephemeral", "ttl": "5m"},
        }
    ]
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "(The phone call begins.)"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Acme, hello."}]},
        {"role": "user", "content": [{"type": "text", "text": "Any table tonight?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "toolu_1", "name": "find_table", "input": {"size": 2}},
                {"type": "tool_use", "id": "toolu_2", "name": "opening_hours", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": '{"free":["19:00"]}'},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "calendar down", "is_error": True},
                {"type": "text", "text": "Hello?"},
            ],
        },
    ]
    assert [tool["name"] for tool in body["tools"]] == ["find_table", "opening_hours"]
    assert body["tools"][0]["input_schema"]["required"] == ["size"]


async def test_a_history_with_calls_may_be_continued_without_tools(autojump_clock: trio.testing.MockClock) -> None:
    """The vendor wants to know the tools that were called, and may call none of them again."""
    history = [
        Message("user", "Is there a table?"),
        Message("assistant", "", (ToolCall("toolu_1", "find_table", "{}"),)),
        Message("tool", "yes", tool_call_id="toolu_1"),
    ]
    body = Anthropic(api_key="k").body(history)
    assert body["tool_choice"] == {"type": "none"}
    assert [tool["name"] for tool in body["tools"]] == ["find_table"]
    vendor = FakeAnthropic()
    vendor.replies("There is.")
    async with in_memory(vendor) as wire:
        async with Anthropic(api_key=vendor.key).open(SessionContext("CA1", wire=wire)) as session:
            assert words(await ask(session, history)) == "There is."


def test_what_is_cached_is_a_setting() -> None:
    def marks(recipe: Anthropic, messages: list[Message]) -> list[Any]:
        body = recipe.body(messages, TOOLS)
        return [block.get("cache_control") for block in [*body["tools"], *body.get("system", [])]]

    mark = {"type": "ephemeral", "ttl": "1h"}
    assert marks(Anthropic(api_key="k", cache="1h"), ASKED) == [None, None, mark]
    assert marks(Anthropic(api_key="k", cache="1h"), ASKED[1:]) == [None, mark]
    assert marks(Anthropic(api_key="k", cache=None), ASKED) == [None, None, None]


def test_thinking_is_not_said_where_a_model_refuses_it() -> None:
    assert "thinking" not in Anthropic("claude-opus-5-5", api_key="k", thinking=None).body(ASKED)


async def test_sealed_thoughts_go_back_with_the_call_that_followed_them(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeAnthropic()
    vendor.replies("Let me look.", CALL, thought="He wants a table.")
    recipe = Anthropic(api_key=vendor.key, thinking="adaptive")
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        events = await ask(session, ASKED, TOOLS)
        assert words(events) == "Let me look."  # thoughts are never spoken
        (call,) = (event for event in events if isinstance(event, ToolCall))
        history = [
            *ASKED,
            Message("assistant", "Let me look.", (call,)),
            Message("tool", "[]", tool_call_id=call.id),
        ]
        assert words(await ask(session, history, TOOLS))
    thought, text, use = vendor.asked[1]["messages"][1]["content"]
    assert thought == {
        "type": "thinking",
        "thinking": "He wants a table.",
        "signature": signature_of("He wants a table."),
    }
    assert (text["type"], use["type"]) == ("text", "tool_use")


def test_a_call_whose_arguments_are_whole_does_not_wait_for_the_end() -> None:
    reader, parser = stream(), SseParser()
    head = RECORDED.partition(b"event: message_delta")[0]
    assert [event for sse in parser.feed(head) for event in reader.feed(sse)][-1] == CALL


def reply(*parts: Any, finish: str = "") -> bytes:
    return b"".join(FakeAnthropic().events(Reply(parts, finish), {"model": "m"}))


def test_calls_without_arguments() -> None:
    empty, other = ToolCall("a", "opening_hours", ""), ToolCall("b", "opening_hours", "")
    assert read(stream(), reply(empty, other)) == [empty, other]


@pytest.mark.parametrize("arguments", ["", '{"size": '])
def test_a_call_that_the_token_limit_cut_is_never_made(arguments: str) -> None:
    with pytest.raises(ProviderError, match="the token limit cut the call of find_table: raise max_tokens") as caught:
        read(stream(), reply("Let me look.", ToolCall("a", "find_table", arguments), finish="max_tokens"))
    assert caught.value.fault == "fatal"


@pytest.mark.parametrize(
    ("finish", "words"),
    [
        ("max_tokens", "before the first word"),
        ("refusal", "withheld: refusal"),
        ("model_context_window_exceeded", "withheld"),
    ],
)
def test_a_reply_without_a_word_says_why(finish: str, words: str) -> None:
    with pytest.raises(ProviderError, match=words) as caught:
        read(stream(), reply(finish=finish))
    assert caught.value.fault == "fatal"
    assert read(stream(), reply("So far.", finish=finish)) == [TextDelta("So"), TextDelta(" far.")]


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("overloaded_error", "retry"),
        ("api_error", "retry"),
        ("rate_limit_error", "retry"),
        ("invalid_request_error", "fatal"),
        ("billing_error", "fatal"),
        ("request_too_large", "fatal"),
        ("new_error", "retry"),
    ],
)
async def test_an_error_in_the_stream_comes_behind_the_words_before_it(
    kind: str, fault: str, autojump_clock: trio.testing.MockClock
) -> None:
    vendor = FakeAnthropic()
    error = {"type": "error", "error": {"type": kind, "message": "The vendor's words."}}
    vendor.replies("One moment.", sse(error, "error"))
    heard: list[LlmEvent] = []
    async with in_memory(vendor) as wire, Anthropic(api_key=vendor.key).open(Told().context(wire)) as session:
        with pytest.raises(ProviderError, match="The vendor's words") as caught:
            await ask(session, heard=heard)
    assert words(heard) == "One moment."
    assert caught.value.fault == fault
