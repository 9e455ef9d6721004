"""Every recipe that there is: what it is called, which module it is in, and what it reads from the environment.

Nothing is imported before it is wanted: a vendor that nobody uses costs nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import attrs

from callengine.ports import ProviderRole
from callengine.providers.fields import OPTIONAL, OTHERS, VARIABLE


@attrs.frozen
class Setting:
    """A setting of a recipe that the environment may give."""

    name: str
    variables: tuple[str, ...]
    """The first one that is set counts."""
    secret: bool
    optional: bool

    def is_set(self) -> bool:
        """Whether the environment has it now."""
        return any(os.environ.get(variable, "").strip() for variable in self.variables)


@attrs.frozen
class Entry:
    """A recipe. ``mulaw``: it hears, or makes, the telephone's own mu-law at 8 kHz. ``word_times``: a voice that tells
    when each word is spoken."""

    role: ProviderRole
    name: str
    """What `callengine.create_stt` and the others call it."""
    class_name: str
    module: str
    """Below ``callengine.providers.<role>``, or in full."""
    mulaw: bool = attrs.field(default=False, kw_only=True)
    word_times: bool = attrs.field(default=False, kw_only=True)

    @property
    def path(self) -> str:
        """The module's name."""
        inside = not self.module.startswith("callengine.")
        return f"callengine.providers.{self.role}.{self.module}" if inside else self.module

    def load(self) -> Any:
        """The recipe's class."""
        return getattr(import_module(self.path), self.class_name)

    def settings(self) -> tuple[Setting, ...]:
        """What the environment may give, the key first."""
        found = [
            Setting(
                field.name,
                (field.metadata[VARIABLE], *field.metadata.get(OTHERS, ())),
                secret=field.repr is False,
                optional=field.metadata.get(OPTIONAL, False),
            )
            for field in attrs.fields(self.load())
            if VARIABLE in field.metadata
        ]
        return tuple(sorted(found, key=lambda setting: not setting.secret))


CATALOGUE: tuple[Entry, ...] = (
    Entry("stt", "assemblyai", "AssemblyAI", "assemblyai", mulaw=True),
    Entry("stt", "azure", "Azure", "azure"),
    Entry("stt", "cartesia", "Cartesia", "cartesia", mulaw=True),
    Entry("stt", "deepgram", "Deepgram", "deepgram", mulaw=True),
    Entry("stt", "deepgram_flux", "DeepgramFlux", "deepgram_flux", mulaw=True),
    Entry("stt", "elevenlabs", "ElevenLabs", "elevenlabs", mulaw=True),
    Entry("stt", "openai", "OpenAI", "openai"),
    Entry("stt", "soniox", "Soniox", "soniox", mulaw=True),
    Entry("stt", "speechmatics", "Speechmatics", "speechmatics", mulaw=True),
    Entry("stt", "whisper", "Whisper", "whisper"),
    Entry("stt", "local", "Local", "callengine.providers.local.named"),
    Entry("llm", "anthropic", "Anthropic", "anthropic"),
    Entry("llm", "cerebras", "Cerebras", "presets"),
    Entry("llm", "gemini", "Gemini", "gemini"),
    Entry("llm", "groq", "Groq", "presets"),
    Entry("llm", "ollama", "Ollama", "presets"),
    Entry("llm", "openai", "OpenAI", "presets"),
    Entry("llm", "openai_compatible", "OpenAICompatible", "openai_compatible"),
    Entry("llm", "openai_responses", "OpenAIResponses", "openai_responses"),
    Entry("llm", "openrouter", "OpenRouter", "presets"),
    Entry("llm", "together", "Together", "presets"),
    Entry("tts", "azure", "Azure", "azure", mulaw=True),
    Entry("tts", "cartesia", "Cartesia", "cartesia", mulaw=True, word_times=True),
    Entry("tts", "deepgram", "Deepgram", "deepgram", mulaw=True),
    Entry("tts", "elevenlabs", "ElevenLabs", "elevenlabs", mulaw=True, word_times=True),
    Entry("tts", "elevenlabs_http", "ElevenLabsHttp", "elevenlabs_http", mulaw=True),
    Entry("tts", "inworld", "Inworld", "inworld", mulaw=True, word_times=True),
    Entry("tts", "openai", "OpenAI", "openai"),
    Entry("tts", "rime", "Rime", "rime", mulaw=True, word_times=True),
    Entry("tts", "local", "Local", "callengine.providers.local.named"),
)


def entries(role: ProviderRole) -> tuple[Entry, ...]:
    """The recipes of a role."""
    return tuple(entry for entry in CATALOGUE if entry.role == role)


def plain(name: str) -> str:
    """A name without what people spell differently: ``DeepgramFlux``, ``deepgram-flux``, ``deepgram_flux``."""
    return "".join(character for character in name.lower() if character.isalnum())


def lazily(package: str, more: Mapping[str, str] | None = None) -> Callable[[str], Any]:
    """A package's ``__getattr__``: the recipes of its role, imported when they are asked for; ``more`` has other names
    and their modules."""
    role = package.rpartition(".")[2]
    modules = {entry.class_name: entry.path for entry in CATALOGUE if entry.role == role} | dict(more or {})

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return get
