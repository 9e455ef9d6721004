"""Vendors that speak Chat Completions, each with its own ways."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
import trio.testing
from cases import Told
from language_talk import ASKED, TOOLS, ask, words

from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Message
from callengine.providers.fields import VARIABLE
from callengine.providers.llm.openai_compatible import OpenAICompatible, provider_of
from callengine.providers.llm.presets import WITH_KEYS, Cerebras, Groq, Ollama, OpenAI, OpenRouter, Together
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.openai_chat import FakeOpenAIChat

PRESETS: list[tuple[Any, str, str, dict[str, Any]]] = [
    (OpenAI, "OPENAI_API_KEY", "gpt-6-luna", {"reasoning_effort": "none"}),
    (Groq, "GROQ_API_KEY", "openai/gpt-oss-20b", {"reasoning_effort": "low"}),
    (OpenRouter, "OPENROUTER_API_KEY", "openai/gpt-6-luna", {"reasoning": {"effort": "none"}}),
    (Cerebras, "CEREBRAS_API_KEY", "gpt-oss-120b", {"reasoning_effort": "low"}),
    (Together, "TOGETHER_API_KEY", "openai/gpt-oss-20b", {"reasoning_effort": "low"}),
]


@pytest.mark.parametrize(("preset", "variable", "model", "fitting"), PRESETS)
def test_a_key_in_the_environment_is_enough(
    preset: Any, variable: str, model: str, fitting: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigurationError, match=f"{preset.__name__.lower()} needs a key: set {variable}"):
        preset()
    monkeypatch.setenv(variable, " the-key-of-this-test ")
    recipe = preset()
    assert (recipe.model, recipe.api_key) == (model, "the-key-of-this-test")
    assert recipe.headers() == {"Authorization": "Bearer the-key-of-this-test"}
    assert attrs.fields_dict(preset)["api_key"].metadata[VARIABLE] == variable
    assert preset in WITH_KEYS
    # settings that fit this model are not sent to another, and one's own go over them
    assert recipe.body(ASKED).items() >= fitting.items()
    assert not set(preset("other").body(ASKED)) & set(fitting)


async def test_ones_own_settings_go_over_those_that_fit(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeOpenAIChat()
    recipe = OpenAI(api_key=vendor.key, extra={"reasoning_effort": "high", "verbosity": "low"})
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        await ask(session)
    assert (vendor.asked[0]["reasoning_effort"], vendor.asked[0]["verbosity"]) == ("high", "low")


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.together.xyz/v1", "together"),
        ("http://127.0.0.1:8000/v1", "local"),
        ("http://10.1.2.3:8000/v1", "local"),
        ("http://gpu:8000/v1", "local"),
        ("http://gpu.lan/v1", "local"),
        ("http://gpu.lan:11434/v1", "ollama"),
        ("https://api.example.com/v1", "api.example.com"),
    ],
)
def test_whose_server_it_is_is_told_by_its_address(url: str, provider: str) -> None:
    assert provider_of(url) == OpenAICompatible(url, "m").provider == provider
    assert OpenAICompatible(url, "m", provider="mine").provider == "mine"


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        (OpenAI(api_key="k", max_tokens=9), "max_completion_tokens"),
        (Groq(api_key="k", max_tokens=9), "max_completion_tokens"),
        (Cerebras(api_key="k", max_tokens=9), "max_completion_tokens"),
        (Together(api_key="k", max_tokens=9), "max_tokens"),
        (OpenRouter(api_key="k", max_tokens=9), "max_tokens"),
        (Ollama(max_tokens=9), "max_tokens"),
    ],
)
def test_the_limit_has_the_name_that_the_vendor_knows(recipe: OpenAICompatible, name: str) -> None:
    assert {key: value for key, value in recipe.body(ASKED).items() if "max" in key} == {name: 9}


def test_only_openai_is_asked_to_leave_out_its_padding() -> None:
    assert OpenAI(api_key="k").body(ASKED)["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert Groq(api_key="k").body(ASKED)["stream_options"] == {"include_usage": True}


def test_tools_are_functions() -> None:
    assert "tools" not in OpenAI(api_key="k").body(ASKED)
    (tool, _) = OpenAI(api_key="k").body(ASKED, TOOLS)["tools"]
    assert tool["type"] == "function"
    assert tool["function"]["name"] == "find_table"
    assert tool["function"]["description"] == "Look up free tables"
    assert tool["function"]["parameters"]["required"] == ["size"]


def test_a_conversation_that_the_agent_begins_can_begin_with_the_user() -> None:
    history = [Message("system", "Be brief."), Message("assistant", "Hello."), Message("user", "Hi.")]
    server = OpenAICompatible("http://localhost:8000/v1", "gemma")
    roles = [message["role"] for message in server.body(history)["messages"]]
    assert roles == ["system", "assistant", "user"]
    strict = attrs.evolve(server, user_first=True)
    assert [m["role"] for m in strict.body(history)["messages"]] == ["system", "user", "assistant", "user"]
    assert [m["role"] for m in strict.body(history[1:])["messages"]] == ["user", "assistant", "user"]
    assert [m["role"] for m in strict.body(ASKED)["messages"]] == ["system", "user"]


async def test_a_server_without_usage_is_asked_once_with_it(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeOpenAIChat("vllm")
    vendor.usage_option = False
    recipe = OpenAICompatible("http://localhost:8000/v1", "m", vendor.key)
    async with in_memory(vendor) as wire:
        told = Told()
        async with recipe.open(told.context(wire)) as session:
            assert words(await ask(session)) == "You said: Any table tonight?"
            await ask(session)
        assert vendor.connected == 1
    assert ["stream_options" in request.json for request in vendor.requests] == [True, False, False]
    assert [usage.estimated for usage in told.usage] == [True, True]


async def test_a_call_that_groq_could_not_read_may_be_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeOpenAIChat("groq")
    vendor.fails_to_write_a_call()
    recipe = Groq(api_key=vendor.key)
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        with pytest.raises(ProviderError, match="Failed to call a function") as caught:
            await ask(session, ASKED, TOOLS)
        assert caught.value.fault == "retry"
        assert words(await ask(session, ASKED, TOOLS))


async def test_warming_ollama_loads_its_model(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "localhost:12000")
    recipe = Ollama("qwen3:8b")
    assert recipe.base_url == "http://localhost:12000/v1"
    vendor = FakeOpenAIChat("ollama")
    vendor.faults.answer_delay = 60  # it takes a minute
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        await session.prewarm()
        assert vendor.loaded == ["qwen3:8b"]
        assert vendor.requests[0].json["keep_alive"] == "1h"
        vendor.faults.answer_delay = 130
        with pytest.raises(ProviderError, match="no answer within 120 s"):
            await session.prewarm()
        vendor.faults.answer_delay = 0
        assert words(await ask(session))
        vendor.break_all()
