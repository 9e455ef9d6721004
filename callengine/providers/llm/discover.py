"""Finds a language model that this machine can use, from its environment."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import attrs
import httpx
import trio

from callengine.errors import ConfigurationError
from callengine.providers.llm.openai_compatible import OpenAICompatible
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

    recipe: OpenAICompatible
    how: str


@attrs.frozen
class NotFound:
    """No language model; ``message`` tells a person what to do."""

    message: str


@attrs.frozen
class _Vendor:
    key: str
    base_url: str
    model: str
    extra: Mapping[str, Any]


# Models: fast ones, with reasoning off or low, because a caller waits for the first word. Origins: `gpt-6-luna` is in
# the model list of the `openai` package 3.54.0 and takes effort "none" (developers.openai.com, its model page);
# `openai/gpt-oss-20b` is the README example of the `groq` package 1.7.0, `gpt-oss-120b` that of `cerebras-cloud-sdk`
# 1.91.0, and their request types state the efforts; OpenRouter lists OpenAI's models with the prefix `openai/` and
# documents `reasoning.effort`. The URLs are the vendors' documented ones.
_VENDORS = (
    _Vendor("OPENAI_API_KEY", "https://api.openai.com/v1", "gpt-6-luna", {"reasoning_effort": "none"}),
    _Vendor("GROQ_API_KEY", "https://api.groq.com/openai/v1", "openai/gpt-oss-20b", {"reasoning_effort": "low"}),
    _Vendor(
        "OPENROUTER_API_KEY",
        "https://openrouter.ai/api/v1",
        "openai/gpt-6-luna",
        {"reasoning": {"effort": "none"}},
    ),
    _Vendor("CEREBRAS_API_KEY", "https://api.cerebras.ai/v1", "gpt-oss-120b", {"reasoning_effort": "low"}),
)

_NOT_FOR_TALK = re.compile(r"embed|rerank|\bbge\b|minilm|whisper|\bocr\b|guard|coder?\b|-base\b|math", re.IGNORECASE)
"""Names of models that cannot hold a conversation, or were not made for it."""

_NOT_FOUND = (
    "no language model: name a server with CALLENGINE_LLM_URL (and CALLENGINE_LLM_MODEL, CALLENGINE_LLM_KEY), or set a "
    "key (" + ", ".join(vendor.key for vendor in _VENDORS) + "), or run Ollama on this machine with a chat model "
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
    for vendor in _VENDORS:
        key = environ.get(vendor.key, "").strip()
        if not key:
            continue
        if vendor.key == "OPENAI_API_KEY" and environ.get("OPENAI_BASE_URL", "").strip():
            return await _named("OPENAI_BASE_URL", environ["OPENAI_BASE_URL"].strip(), key, model, probe)
        # The extra settings fit the default model; another may refuse them.
        extra = {} if model else vendor.extra
        recipe = OpenAICompatible(vendor.base_url, model or vendor.model, key, extra=extra)
        return Found(recipe, f"{recipe.name} ({vendor.key} is set)")
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
    recipe = OpenAICompatible(f"{root}/v1", model or names[0])
    return Found(recipe, f"{recipe.name} (Ollama answers at {root})")


def ollama_url(host: str) -> str:
    """The URL of the server that ``OLLAMA_HOST`` means; the variable is read as Ollama's own client reads it.

    It may be empty, a host, ``host:port`` or a URL. The port is 11434 unless a URL's scheme implies another; an
    address to listen on (0.0.0.0) becomes one to connect to.
    """
    host = host.strip().rstrip("/")
    schemed = "://" in host
    parts = urlsplit(host if schemed else f"http://{host}")
    name = parts.hostname or "127.0.0.1"
    if name in ("0.0.0.0", "::"):
        name = "127.0.0.1"
    try:
        port = parts.port or ((443 if parts.scheme == "https" else 80) if schemed else 11434)
    except ValueError:
        raise ConfigurationError(f"OLLAMA_HOST is {host!r}: its port is not a number") from None
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}:{port}{parts.path}"


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
