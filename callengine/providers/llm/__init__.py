"""Language models: one recipe for every server that speaks OpenAI's Chat Completions, and a search for one."""

from callengine.providers.llm.discover import Found, NotFound, find_language_model
from callengine.providers.llm.openai_compatible import OpenAICompatible

__all__ = ["Found", "NotFound", "OpenAICompatible", "find_language_model"]
