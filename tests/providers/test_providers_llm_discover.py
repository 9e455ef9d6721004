"""Where the language model comes from."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from fake_openai import Answer, fake_openai

from callengine.errors import ConfigurationError
from callengine.providers.llm import Found, NotFound, find_language_model
from callengine.providers.llm.discover import get_json
from callengine.providers.llm.presets import ollama_url

KEY = "sk-test-0123456789abcdef"


@attrs.define
class Network:
    """Answers by URL, and what was asked."""

    answers: dict[str, Any]
    asked: list[tuple[str, str | None]] = attrs.field(factory=list)

    async def __call__(self, url: str, key: str | None, timeout: float) -> Any:
        assert timeout <= 3
        self.asked.append((url, key))
        return self.answers.get(url)


OLLAMA = "http://127.0.0.1:11434/api/tags"
TAGS = {
    "models": [
        {"name": "nomic-embed-text:latest", "details": {"family": "nomic-bert"}},
        {"name": "all-minilm:latest", "details": {"family": "bert"}},
        {"name": "scanner:latest", "capabilities": ["embedding"]},
        {"name": "qwen2.5-coder:7b", "details": {"family": "qwen2"}},
        {"name": "llama3.2:latest", "details": {"family": "llama"}, "capabilities": ["completion", "tools"]},
        {"name": "gemma3:4b", "details": {"family": "gemma3"}},
    ]
}


async def find(environ: dict[str, str], network: Network | None = None) -> Found | NotFound:
    return await find_language_model(environ, network or Network({}))


@pytest.mark.parametrize(
    ("variable", "base_url", "model"),
    [
        ("OPENAI_API_KEY", "https://api.openai.com/v1", "gpt-6-luna"),
        ("GROQ_API_KEY", "https://api.groq.com/openai/v1", "openai/gpt-oss-20b"),
        ("OPENROUTER_API_KEY", "https://openrouter.ai/api/v1", "openai/gpt-6-luna"),
        ("CEREBRAS_API_KEY", "https://api.cerebras.ai/v1", "gpt-oss-120b"),
        ("TOGETHER_API_KEY", "https://api.together.ai/v1", "openai/gpt-oss-20b"),
        ("ANTHROPIC_API_KEY", "https://api.anthropic.com", "claude-haiku-5-5"),
        ("GEMINI_API_KEY", "https://generativelanguage.googleapis.com", "gemini-3.8-flash"),
    ],
)
async def test_a_vendors_key_is_enough_and_nobody_is_asked(variable: str, base_url: str, model: str) -> None:
    network = Network({OLLAMA: TAGS})
    found = await find({variable: KEY}, network)
    assert isinstance(found, Found)
    assert (found.recipe.base_url, found.recipe.model, found.recipe.api_key) == (base_url, model, KEY)
    body = str(found.recipe.body([])).lower()
    assert "effort" in body or "thinking" in body  # reasoning off or low: somebody is waiting on the line
    assert variable in found.how
    assert KEY not in found.how
    assert "\n" not in found.how
    assert network.asked == []


async def test_the_model_can_be_chosen_and_then_goes_out_without_settings_it_may_refuse() -> None:
    found = await find({"OPENAI_API_KEY": KEY, "CALLENGINE_LLM_MODEL": "gpt-x"})
    assert isinstance(found, Found)
    assert found.recipe.model == "gpt-x"
    assert "effort" not in str(found.recipe.body([]))


async def test_a_named_url_comes_before_keys_and_keys_before_a_local_server() -> None:
    environ = {"CALLENGINE_LLM_URL": "http://10.0.0.7:8000/v1", "CALLENGINE_LLM_MODEL": "m", "OPENAI_API_KEY": KEY}
    found = await find(environ, Network({OLLAMA: TAGS}))
    assert isinstance(found, Found)
    assert (found.recipe.base_url, found.recipe.api_key) == ("http://10.0.0.7:8000/v1", None)
    found = await find({"GROQ_API_KEY": KEY, "OPENAI_API_KEY": KEY}, Network({OLLAMA: TAGS}))
    assert isinstance(found, Found)
    assert found.recipe.base_url == "https://api.openai.com/v1"


async def test_a_named_server_is_asked_for_its_model_when_none_is_named() -> None:
    listing = {"data": [{"id": "bge-small"}, {"id": "meta-llama/Llama-3.1-8B-Instruct"}]}
    network = Network({"https://llm.example.com/v1/models": listing})
    found = await find({"CALLENGINE_LLM_URL": "https://llm.example.com/v1/", "CALLENGINE_LLM_KEY": KEY}, network)
    assert isinstance(found, Found)
    assert (found.recipe.model, found.recipe.api_key) == ("meta-llama/Llama-3.1-8B-Instruct", KEY)
    assert network.asked == [("https://llm.example.com/v1/models", KEY)]


async def test_openais_own_variables_may_mean_another_server() -> None:
    network = Network({"http://localhost:8080/v1/models": {"data": [{"id": "local"}]}})
    found = await find({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://localhost:8080/v1"}, network)
    assert isinstance(found, Found)
    assert (found.recipe.base_url, found.recipe.model) == ("http://localhost:8080/v1", "local")


@pytest.mark.parametrize("listing", [None, {"data": []}, {"data": [{"id": 3}, "x"]}, [], {"data": None}])
async def test_a_named_server_without_models_is_not_replaced_in_silence(listing: Any) -> None:
    network = Network({"http://x.test/v1/models": listing, OLLAMA: TAGS})
    missing = await find({"CALLENGINE_LLM_URL": "http://x.test/v1"}, network)
    assert isinstance(missing, NotFound)
    assert "CALLENGINE_LLM_URL" in missing.message
    assert "CALLENGINE_LLM_MODEL" in missing.message


async def test_ollama_is_used_with_its_first_model_that_can_talk() -> None:
    found = await find({}, Network({OLLAMA: TAGS}))
    assert isinstance(found, Found)
    assert (found.recipe.base_url, found.recipe.model) == ("http://127.0.0.1:11434/v1", "llama3.2:latest")
    assert "Ollama" in found.how


@pytest.mark.parametrize("tags", [None, {"models": []}, {"models": [{"name": "nomic-embed-text"}]}, {"models": 3}])
async def test_without_any_the_message_names_the_three_ways(tags: Any) -> None:
    missing = await find({"OPENAI_API_KEY": " "}, Network({OLLAMA: tags}))
    assert isinstance(missing, NotFound)
    for way in (
        "CALLENGINE_LLM_URL",
        "OPENAI_API_KEY",
        "GROQ_API_KEY",
        "OPENROUTER_API_KEY",
        "CEREBRAS_API_KEY",
        "TOGETHER_API_KEY",
        "ANTHROPIC_API_KEY",
        "GEMINI_API_KEY",
        "Ollama",
    ):
        assert way in missing.message


@pytest.mark.parametrize("environ", [{"CALLENGINE_LLM_URL": "x"}, {"OPENAI_API_KEY": "a b"}, {"OLLAMA_HOST": "h:port"}])
async def test_nonsense_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        await find(environ)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:9000", "http://127.0.0.1:9000"),
        ("[::]:9000", "http://127.0.0.1:9000"),
        ("[::1]", "http://[::1]:11434"),
        ("gpu.lan", "http://gpu.lan:11434"),
        ("gpu.lan:80", "http://gpu.lan:80"),
        ("http://gpu.lan", "http://gpu.lan:80"),
        ("https://gpu.lan/ollama/", "https://gpu.lan:443/ollama"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(host: str, url: str) -> None:
    assert ollama_url(host) == url


async def test_the_standard_probe_finds_a_real_server() -> None:
    async with fake_openai(Answer([json.dumps(TAGS).encode()], content_type="application/json")) as server:
        found = await find_language_model({"OLLAMA_HOST": f"127.0.0.1:{server.port}"})
        assert isinstance(found, Found)
        assert found.recipe.base_url == f"http://127.0.0.1:{server.port}/v1"
        assert await get_json(f"{server.base_url}/models", KEY, 1.0) == TAGS
    assert [request.target for request in server.requests] == ["/api/tags", "/v1/models"]
    assert server.requests[1].headers["authorization"] == f"Bearer {KEY}"
    assert isinstance(await find_language_model({"OLLAMA_HOST": f"127.0.0.1:{server.port}"}), NotFound)


@pytest.mark.parametrize(
    "answer",
    [
        Answer([b"not json"]),
        Answer([b"{}"], status=500),
        Answer(["drop"]),
        Answer([b"{", 60.0]),
        Answer(before_head=60),
    ],
    ids=["no JSON", "an error", "a broken connection", "a slow body", "a slow head"],
)
async def test_the_standard_probe_is_bounded_and_never_raises(
    answer: Answer, autojump_clock: trio.testing.MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.02
    async with fake_openai(answer) as server:
        assert isinstance(await find_language_model({"OLLAMA_HOST": f"127.0.0.1:{server.port}"}), NotFound)
    assert autojump_clock.current_time() <= 0.31
