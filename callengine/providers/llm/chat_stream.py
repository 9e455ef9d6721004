"""The stream of a chat completion, without I/O: the data of server-sent events in, text and usage out."""

from __future__ import annotations

import json
from typing import Any

from callengine.ports import LlmEvent, TextDelta
from callengine.providers.llm.thinking import ThinkFilter
from callengine.wire.failures import Failures, error_object

_DONE = "[DONE]"


class ChatStream:
    """Reads one reply of any server that speaks OpenAI's Chat Completions.

    Lenient where servers differ: unknown fields, ``content: null``, empty ``choices``, a missing ``usage`` and a
    missing ``[DONE]`` are all normal; reasoning in fields of its own is never speech. Strict where a caller would
    hear the difference: an error event and a stream that stops in the middle are a `ProviderError`.
    """

    def __init__(self, failures: Failures) -> None:
        self.done = False
        """The server said that nothing follows."""
        self.finished = False
        """The model has ended its reply; at most the usage is still to come."""
        self.spoke = False
        """Some text was handed out."""
        self._failures = failures
        self._filter = ThinkFilter()
        self.usage: tuple[int, int] | None = None
        self._reason = ""

    def feed(self, data: str) -> list[LlmEvent]:
        """The data of one event; returns the text in it (at most one delta). Raises `ProviderError`."""
        if self.done:
            return []
        if data.strip() == _DONE:
            self.done = True
            return []
        try:
            chunk = json.loads(data)
        except ValueError:
            raise self._failures.make("an event of the stream is not JSON") from None
        error = error_object(chunk)
        if error is not None:
            raise self._failures.from_stream(error)
        if not isinstance(chunk, dict):
            return []
        self._note_usage(chunk)
        text = self._filter.push("".join(self._text(choice) for choice in chunk.get("choices") or ()))
        if self._reason == "error":
            raise self._failures.make("the model broke off with an error")
        self.spoke = self.spoke or bool(text.strip())
        return [TextDelta(text)] if text else []

    def finish(self) -> list[LlmEvent]:
        """The stream is over; returns what was held back, and the usage. Raises `ProviderError` if it was cut off.

        A reply without a word is an error where the reason is known: the token limit went into reasoning, or a
        content filter withheld the reply.
        """
        if not (self.done or self.finished):
            raise self._failures.make("the stream ended in the middle of the reply")
        held = self._filter.finish()
        self.spoke = self.spoke or bool(held.strip())
        if not self.spoke and self._reason == "length":
            raise self._failures.make("the token limit was spent before the first word", fault="fatal")
        if not self.spoke and self._reason == "content_filter":
            raise self._failures.make("the reply was withheld by the vendor's content filter", fault="fatal")
        events: list[LlmEvent] = [TextDelta(held)] if held else []
        return events

    def _text(self, choice: Any) -> str:
        if not isinstance(choice, dict):
            return ""
        reason = choice.get("finish_reason")
        if reason:
            self.finished, self._reason = True, str(reason)
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return ""
        # A refusal is spoken like any text: the caller should hear why nothing else comes.
        text = delta.get("content") or delta.get("refusal")
        return text if isinstance(text, str) else ""

    def _note_usage(self, chunk: dict[str, Any]) -> None:
        """Keep the newest figures: vLLM can send them with every chunk, Groq repeats them under a name of its own."""
        vendor = chunk.get("x_groq")
        usage = chunk.get("usage") or (vendor.get("usage") if isinstance(vendor, dict) else None)
        if not isinstance(usage, dict):
            return
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if isinstance(prompt, int) and isinstance(completion, int):
            self.usage = (prompt, completion)
