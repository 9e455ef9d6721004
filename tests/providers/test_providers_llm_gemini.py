"""Google's Gemini."""

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

from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Message, TextDelta, ToolCall
from callengine.providers.llm.gemini import NO_SIGNATURE, Gemini
from callengine.providers.llm.gemini_wire import GeminiStream
from callengine.providers.llm.tokens import Tokens
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.gemini import SIGNATURE, FakeGemini
from callengine.testing.vendors.language_models import Reply
from callengine.wire import Failures

RECORDED = b"""data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Let me look."}]},"index":0}],\
"usageMetadata":{"promptTokenCount":41,"totalTokenCount":41},"modelVersion":"gemini-3.8-flash","responseId":"r1"}

data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"id":"fc1","name":"find_table",\
"args":{"size":2}},"thoughtSignature":"<opaque>"}]},"index":0}],"modelVersion":"gemini-3.8-flash","responseId":"r1"}

data: {"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP","index":0}],\
"usageMetadata":{"promptTokenCount":41,"candidatesTokenCount":19,"thoughtsTokenCount":12,"cachedContentTokenCount":0,\
"totalTokenCount":72},"modelVersion":"gemini-3.8-flash","responseId":"r1"}

"""

CALL = ToolCall("fc1", "find_table", '{"size": 2}', ("gemini", "<opaque>"))


def stream(*messages: Message) -> GeminiStream:
    return GeminiStream(messages, Failures("test"))


@given(st.lists(st.integers(0, len(RECORDED) - 1), max_size=8))
def test_a_recorded_stream_however_it_is_cut(cuts: list[int]) -> None:
    reader = stream()
    events = read(reader, RECORDED, cuts)
    assert events == [TextDelta("Let me look."), CALL]
    assert reader.tokens == Tokens(input=41, output=31, reasoning=12)


def test_the_request_has_one_turn_with_all_results() -> None:
    """R40: the results of calls that were made at once go back in one turn, one for each."""
    history = [
        Message("system", "You answer calls for Acme."),
        Message("assistant", "Acme, hello."),
        Message("user", "Any table tonight?"),
        Message("assistant", "Let me look.", (CALL, ToolCall("fc2", "opening_hours", "{}"))),
        Message("tool", '{"free":["19:00"]}', tool_call_id="fc1"),
        Message("tool", "calendar down", tool_call_id="fc2", failed=True),
        Message("user", "Hello?"),
    ]
    body = Gemini(api_key="k").body(history, TOOLS)
    assert body["systemInstruction"] == {"parts": [{"text": "You answer calls for Acme."}]}
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "(The phone call begins.)"}]},
        {"role": "model", "parts": [{"text": "Acme, hello."}]},
        {"role": "user", "parts": [{"text": "Any table tonight?"}]},
        {
            "role": "model",
            "parts": [
                {"text": "Let me look."},
                {
                    "functionCall": {"id": "fc1", "name": "find_table", "args": {"size": 2}},
                    "thoughtSignature": "<opaque>",
                },
                {"functionCall": {"id": "fc2", "name": "opening_hours", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "fc1", "name": "find_table", "response": {"free": ["19:00"]}}},
                {"functionResponse": {"id": "fc2", "name": "opening_hours", "response": {"error": "calendar down"}}},
            ],
        },
        {"role": "user", "parts": [{"text": "Hello?"}]},
    ]
    declared = body["tools"][0]["functionDeclarations"]
    assert [tool["name"] for tool in declared] == ["find_table", "opening_hours"]
    assert declared[0]["parametersJsonSchema"]["required"] == ["size"]


@pytest.mark.parametrize(("content", "response"), [("[7]", {"result": [7]}), ("seven", {"result": "seven"})])
def test_a_result_that_is_no_object_is_put_into_one(content: str, response: Any) -> None:
    history = [*ASKED, Message("assistant", "", (CALL,)), Message("tool", content, tool_call_id="fc1")]
    contents = Gemini(api_key="k").body(history)["contents"]
    assert contents[-1]["parts"][0]["functionResponse"]["response"] == response


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("gemini-3.8-flash", {"thinkingLevel": "MINIMAL"}),
        ("gemini-2.5-flash", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", None),
    ],
)
def test_it_thinks_as_little_as_it_can_unless_told(model: str, thinking: Any) -> None:
    settings = Gemini(model, api_key="k").body(ASKED).get("generationConfig", {})
    assert settings.get("thinkingConfig") == thinking
    told = Gemini(model, api_key="k", thinking="HIGH").body(ASKED)["generationConfig"]
    assert told["thinkingConfig"] == {"thinkingLevel": "HIGH"}
    assert "generationConfig" not in Gemini(model, api_key="k", thinking=None).body(ASKED)


def test_the_key_has_two_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="gemini needs a key: set GEMINI_API_KEY"):
        Gemini()
    monkeypatch.setenv("GOOGLE_API_KEY", "the-second-key")
    assert Gemini().api_key == "the-second-key"
    monkeypatch.setenv("GEMINI_API_KEY", "the-first-key")
    assert Gemini().api_key == "the-first-key"


async def test_a_seal_goes_back_where_it_came_and_a_foreign_call_gets_a_stand_in(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = FakeGemini()
    vendor.replies("Let me look.", ToolCall("", "find_table", '{"size": 2}'), thought="He wants a table.")
    recipe = Gemini(api_key=vendor.key)
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        events = await ask(session, ASKED, TOOLS)
        assert words(events) == "Let me look."  # thoughts are never spoken
        (call,) = (event for event in events if isinstance(event, ToolCall))
        assert call.opaque == ("gemini", SIGNATURE)
        assert call.id  # the model gave none
        foreign = ToolCall("toolu_7", "opening_hours", "{}", ("anthropic", {"first": [], "then": []}))
        history = [
            *ASKED,
            Message("assistant", "Let me look.", (call,)),
            Message("tool", "[]", tool_call_id=call.id),
            Message("assistant", "", (foreign,)),
            Message("tool", "9 to 5", tool_call_id="toolu_7"),
        ]
        assert words(await ask(session, history, TOOLS))
    parts = [part for content in vendor.asked[1]["contents"] for part in content["parts"]]
    signed = [part["thoughtSignature"] for part in parts if "functionCall" in part]
    assert signed == [SIGNATURE, NO_SIGNATURE]


def reply(*parts: Any, finish: str = "") -> bytes:
    return b"".join(FakeGemini().events(Reply(parts, finish), {}))


@pytest.mark.parametrize(
    ("finish", "parts", "words", "fault"),
    [
        ("blocked:SAFETY", (), "refused: SAFETY", "fatal"),
        ("SAFETY", (), "withheld: SAFETY", "fatal"),
        ("PROHIBITED_CONTENT", ("So far.",), "withheld: PROHIBITED_CONTENT", "fatal"),
        ("MISSING_THOUGHT_SIGNATURE", (), "withheld: MISSING_THOUGHT_SIGNATURE", "fatal"),
        ("MAX_TOKENS", (), "before the first word", "fatal"),
        ("MALFORMED_FUNCTION_CALL", ("So far.",), "went wrong: MALFORMED_FUNCTION_CALL", "retry"),
        ("STOP", (), "the reply is empty: STOP", "retry"),
        ("SOMETHING_NEW", (), "the reply is empty: SOMETHING_NEW", "retry"),
    ],
)
def test_a_reply_that_is_no_reply_says_why(finish: str, parts: tuple[Any, ...], words: str, fault: str) -> None:
    with pytest.raises(ProviderError, match=words) as caught:
        read(stream(), reply(*parts, finish=finish))
    assert caught.value.fault == fault


@pytest.mark.parametrize("finish", ["STOP", "MAX_TOKENS", "SOMETHING_NEW"])
def test_everything_else_is_a_reply(finish: str) -> None:
    assert read(stream(), reply("So far.", finish=finish)) == [TextDelta("So"), TextDelta(" far.")]


@pytest.mark.parametrize(
    ("code", "status", "fault"),
    [
        (503, "UNAVAILABLE", "retry"),
        (429, "RESOURCE_EXHAUSTED", "retry"),
        (400, "INVALID_ARGUMENT", "fatal"),
        (402, "RESOURCE_EXHAUSTED", "fatal"),
    ],
)
def test_errors_in_the_stream(code: int, status: str, fault: str) -> None:
    error = json.dumps({"error": {"code": code, "message": "The words.", "status": status}}).encode()
    with pytest.raises(ProviderError, match=r"The words\.") as caught:
        read(stream(), reply("So far.", b"data: " + error + b"\n\n"))
    assert caught.value.fault == fault


def test_a_refusal_may_come_in_an_array() -> None:
    body = b'[{"error": {"code": 404, "message": "No such model.", "status": "NOT_FOUND"}}]'
    error = Gemini(api_key="k").refusal(Failures("test"), 404, {}, body)
    assert "HTTP 404: No such model." in str(error)
    assert error.fault == "fatal"


@pytest.mark.parametrize(
    ("settings", "fault", "pause"),
    [
        ({}, "retry", 27.0),
        ({"delay": "1.5s"}, "retry", 1.5),
        ({"delay": "9000s"}, "retry", 60.0),
        ({"delay": "soon"}, "retry", None),
        ({"quota": "PerDay"}, "fatal", 27.0),
    ],
)
async def test_the_pause_that_a_quota_wants(
    settings: dict[str, str], fault: str, pause: float | None, autojump_clock: trio.testing.MockClock
) -> None:
    vendor = FakeGemini()
    vendor.faults.refusals.append(vendor.exhausted(**settings))
    async with in_memory(vendor) as wire, Gemini(api_key=vendor.key).open(Told().context(wire)) as session:
        with pytest.raises(ProviderError, match="HTTP 429: Quota exceeded") as caught:
            await ask(session)
    assert (caught.value.fault, caught.value.retry_after) == (fault, pause)
