"""Vendors that speak OpenAI's Chat Completions, each with its address, the variable of its key, and a fast model.

Models: fast ones, with reasoning off or low, because a caller waits for the first word. Origins: `gpt-6-luna` is in
the model list of the `openai` package 3.54.0 and takes effort "none" (developers.openai.com, its model page);
`openai/gpt-oss-20b` is the README example of the `groq` package 1.7.0 and is listed by Together (docs.together.ai,
serverless models), `gpt-oss-120b` that of `cerebras-cloud-sdk` 1.91.0, and their request types state the efforts;
OpenRouter lists OpenAI's models with the prefix `openai/` and documents `reasoning.effort`. The URLs are the vendors'
documented ones.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias
from urllib.parse import urlsplit

import attrs

from callengine.errors import ConfigurationError
from callengine.ports import Message, ToolSpec
from callengine.providers.fields import NOTHING, VARIABLE, key_field, present, url_field
from callengine.providers.llm.conversation import merged
from callengine.providers.llm.http_model import Warming
from callengine.providers.llm.openai_compatible import OpenAICompatible, clean_url

LOADING = 120.0
"""Seconds that Ollama may take to load a model into memory, before the first call."""

KEPT_LOADED = "1h"
"""How long Ollama keeps a model in memory after it was warmed; it forgets it after five idle minutes otherwise."""


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


def _ollama_server() -> str:
    return f"{ollama_url(os.environ.get('OLLAMA_HOST', ''))}/v1"


def _model(default: str) -> Any:
    return attrs.field(default=default, validator=present)


def _provider(name: str) -> Any:
    return attrs.field(default=name, kw_only=True)


@attrs.frozen
class Preset(OpenAICompatible):
    """Base of the vendors here."""

    fitting: ClassVar[Mapping[str, Any]] = NOTHING
    """Settings that the default model wants, and that another may refuse: it goes out without them."""

    @property
    def name(self) -> str:
        """Vendor and model, for logs and errors."""
        return f"{self.provider} {self.model}"

    def body(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> dict[str, Any]:
        """The JSON of a request."""
        body = OpenAICompatible.body(self, messages, tools)
        return merged(body, self.fitting) if self.model == attrs.fields_dict(type(self))["model"].default else body


@attrs.frozen
class OpenAI(Preset):
    """OpenAI's Chat Completions."""

    model: str = _model("gpt-6-luna")
    api_key: str = key_field("OPENAI_API_KEY")
    base_url: str = url_field("https://api.openai.com/v1")
    provider: str = _provider("openai")

    fitting: ClassVar[Mapping[str, Any]] = MappingProxyType({"reasoning_effort": "none"})


@attrs.frozen
class Groq(Preset):
    """Groq."""

    model: str = _model("openai/gpt-oss-20b")
    api_key: str = key_field("GROQ_API_KEY")
    base_url: str = url_field("https://api.groq.com/openai/v1")
    provider: str = _provider("groq")

    fitting: ClassVar[Mapping[str, Any]] = MappingProxyType({"reasoning_effort": "low"})


@attrs.frozen
class OpenRouter(Preset):
    """OpenRouter, which passes requests on to many vendors."""

    model: str = _model("openai/gpt-6-luna")
    api_key: str = key_field("OPENROUTER_API_KEY")
    base_url: str = url_field("https://openrouter.ai/api/v1")
    provider: str = _provider("openrouter")

    fitting: ClassVar[Mapping[str, Any]] = MappingProxyType({"reasoning": {"effort": "none"}})

    @property
    def warming(self) -> Warming:
        """What the key may do: the list of models is for everybody, and long."""
        return Warming(f"{self.base_url}/key")


@attrs.frozen
class Cerebras(Preset):
    """Cerebras."""

    model: str = _model("gpt-oss-120b")
    api_key: str = key_field("CEREBRAS_API_KEY")
    base_url: str = url_field("https://api.cerebras.ai/v1")
    provider: str = _provider("cerebras")

    fitting: ClassVar[Mapping[str, Any]] = MappingProxyType({"reasoning_effort": "low"})


@attrs.frozen
class Together(Preset):
    """Together."""

    model: str = _model("openai/gpt-oss-20b")
    api_key: str = key_field("TOGETHER_API_KEY")
    base_url: str = url_field("https://api.together.ai/v1")
    provider: str = _provider("together")

    fitting: ClassVar[Mapping[str, Any]] = MappingProxyType({"reasoning_effort": "low"})


@attrs.frozen
class Ollama(Preset):
    """Ollama, on this machine or at ``OLLAMA_HOST``. Warming loads the model, which its first call would wait for."""

    model: str = _model("llama3.2")
    api_key: str | None = attrs.field(default=None, repr=False, kw_only=True)
    """Ollama has no keys; a proxy in front of it may."""
    base_url: str = attrs.field(
        factory=_ollama_server, converter=clean_url, metadata={VARIABLE: "OLLAMA_HOST"}, kw_only=True
    )
    provider: str = _provider("ollama")

    @property
    def warming(self) -> Warming:
        """Load the model: a request of its own API without a prompt."""
        root = self.base_url.removesuffix("/v1")
        return Warming(f"{root}/api/generate", {"model": self.model, "keep_alive": KEPT_LOADED}, LOADING)

    @property
    def asking(self) -> Warming:
        """The list of models."""
        return Warming(f"{self.base_url}/models")


Keyed: TypeAlias = type[OpenAI] | type[Groq] | type[OpenRouter] | type[Cerebras] | type[Together]

WITH_KEYS: tuple[Keyed, ...] = (OpenAI, Groq, OpenRouter, Cerebras, Together)
"""The vendors that a key in the environment chooses, the first one first."""


def key_variable(recipe: Keyed) -> str:
    """The environment variable of a vendor's key."""
    return str(attrs.fields_dict(recipe)["api_key"].metadata[VARIABLE])
