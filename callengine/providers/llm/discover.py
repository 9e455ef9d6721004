"""Finds a language model that this machine can use, from its environment."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any, TypeAlias

import attrs
import httpx
import trio

from callengine.providers.llm.http_model import HttpModel
from callengine.providers.llm.openai_compatible import OpenAICompatible
from callengine.providers.llm.presets import WITH_KEYS, Ollama, key_variable, ollama_url
from callengine.wire.network import tls_context

LOCAL_PROBE_TIMEOUT = 0.3
"""Seconds for a server on this machine to list its models: one that runs answers within milliseconds."""

REMOTE_PROBE_TIMEOUT = 3.0
"""Seconds for a server that was named to list its models."""

Probe: TypeAlias = Callable[[str, str | None, float], Awaitable[Any]]
"""GETs a URL with an optional bearer key within a number of seconds; returns the decoded JSON, None for no answer."""


@attrs.frozen
class Found:
    """A language model, as a recipe. ``how`` is one line for the log, without the key."""

    recipe: HttpModel
    how: str


@attrs.frozen
class NotFound:
    """No language model; ``message`` tells a person what to do."""

    message: str


_NOT_FOR_TALK = re.compile(r"embed|rerank|\bbge\b|minilm|whisper|\bocr\b|guard|coder?\b|-base\b|math", re.IGNORECASE)
"""Names of models that cannot hold a conversation, or were not made for it."""

_KEYS: Mapping[str, str] = {key_variable(vendor): vendor.__name__ for vendor in WITH_KEYS} | {
    "ANTHROPIC_API_KEY": "Anthropic",
    "GEMINI_API_KEY": "Gemini",
}
"""By the variable of its key, the recipe of each vendor; those that speak protocols of their own are imported when they
are needed."""

_NOT_FOUND = (
    "no language model: name a server with CALLENGINE_LLM_URL (and CALLENGINE_LLM_MODEL, CALLENGINE_LLM_KEY), or set a "
    "key (" + ", ".join(_KEYS) + "), or run Ollama on this machine with a chat model "
    "(ollama pull llama3.2)"
)


async def get_json(url: str, key: str | None, timeout: float) -> Any:
    """The standard probe: one GET; None when nothing useful answers in time."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with trio.move_on_after(timeout):
        try:
            verify = tls_context() if url.startswith("https:") else False
            async with httpx.AsyncClient(headers=headers, timeout=timeout, verify=verify) as client:
                response = await client.get(url)
                return response.json() if response.status_code == 200 else None
        except (httpx.HTTPError, ValueError):
            return None
    return None


async def find_language_model(environ: Mapping[str, str], probe: Probe = get_json) -> Found | NotFound:
    """The first of: a named URL, a vendor's key, an Ollama server on this machine.

    ``CALLENGINE_LLM_MODEL`` chooses the model in every case. Nothing is asked of a vendor whose key is set; a named
    server is asked for its models only when none is named. Takes 0.3 s at most where nothing is set. Raises
    `ConfigurationError` for a URL or key that cannot be one.
    """
    model = environ.get("CALLENGINE_LLM_MODEL", "").strip()
    url = environ.get("CALLENGINE_LLM_URL", "").strip()
    if url:
        return await _named("CALLENGINE_LLM_URL", url, environ.get("CALLENGINE_LLM_KEY"), model, probe)
    for variable, name in _KEYS.items():
        key = environ.get(variable, "").strip()
        if not key:
            continue
        if name == "OpenAI" and environ.get("OPENAI_BASE_URL", "").strip():
            return await _named("OPENAI_BASE_URL", environ["OPENAI_BASE_URL"].strip(), key, model, probe)
        vendor = getattr(import_module("callengine.providers.llm"), name)
        recipe = vendor(model, api_key=key) if model else vendor(api_key=key)
        return Found(recipe, f"{recipe.name} ({variable} is set)")
    return await _ollama(environ.get("OLLAMA_HOST", ""), model, probe)


async def _named(variable: str, url: str, key: str | None, model: str, probe: Probe) -> Found | NotFound:
    recipe = OpenAICompatible(url, model or "unknown", key)  # checks URL and key before anything is sent
    if not model:
        listed = await probe(f"{recipe.base_url}/models", recipe.api_key, REMOTE_PROBE_TIMEOUT)
        names = _names(listed, "data", "id")
        if not names:
            return NotFound(f"{variable} is set, but {recipe.base_url}/models lists no model: set CALLENGINE_LLM_MODEL")
        recipe = attrs.evolve(recipe, model=names[0])
    return Found(recipe, f"{recipe.name} ({variable} is set)")


async def _ollama(host: str, model: str, probe: Probe) -> Found | NotFound:
    root = ollama_url(host)
    names = _names(await probe(f"{root}/api/tags", None, LOCAL_PROBE_TIMEOUT), "models", "name")
    if not names:
        return NotFound(_NOT_FOUND)
    recipe = Ollama(model or names[0], base_url=f"{root}/v1")
    return Found(recipe, f"{recipe.name} (Ollama answers at {root})")


def _names(answer: Any, field: str, name: str) -> list[str]:
    """The names of the models that can talk, in the server's order."""
    entries = answer.get(field) if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        return []
    return [entry[name] for entry in entries if isinstance(entry, dict) and _talks(entry, entry.get(name))]


def _talks(entry: Mapping[str, Any], name: object) -> bool:
    if not isinstance(name, str) or not name or _NOT_FOR_TALK.search(name):
        return False
    capabilities = entry.get("capabilities")
    if isinstance(capabilities, list) and "completion" not in capabilities:
        return False  # newer Ollama versions say what a model can do
    details = entry.get("details")
    family = details.get("family") if isinstance(details, dict) else None
    return not (isinstance(family, str) and "bert" in family)
