"""Language models, ``llm.Anthropic()``, and a search for one. Each is imported when it is asked for."""

from typing import TYPE_CHECKING

from callengine.providers.catalogue import lazily

if TYPE_CHECKING:
    from callengine.providers.llm.anthropic import Anthropic
    from callengine.providers.llm.discover import Found, NotFound, find_language_model
    from callengine.providers.llm.gemini import Gemini
    from callengine.providers.llm.openai_compatible import OpenAICompatible
    from callengine.providers.llm.openai_responses import OpenAIResponses
    from callengine.providers.llm.presets import Cerebras, Groq, Ollama, OpenAI, OpenRouter, Together
else:
    _SEARCH = "callengine.providers.llm.discover"
    __getattr__ = lazily(__name__, {"Found": _SEARCH, "NotFound": _SEARCH, "find_language_model": _SEARCH})

__all__ = [
    "Anthropic",
    "Cerebras",
    "Found",
    "Gemini",
    "Groq",
    "NotFound",
    "Ollama",
    "OpenAI",
    "OpenAICompatible",
    "OpenAIResponses",
    "OpenRouter",
    "Together",
    "find_language_model",
]


def __dir__() -> list[str]:
    return __all__
