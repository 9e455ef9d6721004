"""The stream of a chat completion, without I/O: server-sent events in, text and calls out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from callengine.ports import LlmEvent, Message, TextDelta
from callengine.providers.llm.chat_tools import ChatTools
from callengine.providers.llm.thinking import ThinkFilter
from callengine.providers.llm.tokens import Tokens, number
from callengine.wire.failures import Failures, error_object
from callengine.wire.sse import SseEvent

_DONE = "[DONE]"


class ChatStream:
    """Reads one reply of any server that speaks OpenAI's Chat Completions.

    Lenient where servers differ: unknown fields, ``content: null``, empty ``choices``, a missing ``usage`` and a
    missing ``[DONE]`` are all normal; reasoning in fields of its own is never speech. Strict where a caller would
    hear the difference: an error event and a stream that stops in the middle are a `ProviderError`.
    """

    def __init__(self, messages: Sequence[Message], failures: Failures) -> None:
        self.done = False
        self.finished = False
        self.tokens = Tokens()
        self._spoke = False
        self._failures = failures
        self._filter = ThinkFilter()
        self._calls = ChatTools(messages)
        self._reason = ""

    @property
    def begun(self) -> bool:
        """See `ReplyReader.begun`."""
        return self._spoke or self._calls.begun

    def feed(self, event: SseEvent) -> list[LlmEvent]:
        """The data of one event. Raises `ProviderError`."""
        if self.done:
            return []
        if event.data.strip() == _DONE:
            self.done = True
            return []
        try:
            chunk = json.loads(event.data)
        except ValueError:
            raise self._failures.make("an event of the stream is not JSON") from None
        error = error_object(chunk)
        if error is not None:
            raise self._failures.from_stream(error)
        if not isinstance(chunk, dict):
            return []
        self._note_usage(chunk)
        events: list[LlmEvent] = []
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            events += self._choice(choice)
        if self._reason == "error":
            raise self._failures.make("the model broke off with an error")
        return events

    def finish(self) -> list[LlmEvent]:
        """The stream is over; returns what was held back. Raises `ProviderError` if it was cut off.

        A reply without a word is an error where the reason is known: the token limit went into reasoning, or a
        content filter withheld the reply. So is a call whose arguments the token limit has cut.
        """
        if not (self.done or self.finished):
            raise self._failures.make("the stream ended in the middle of the reply")
        events = self._spoken(self._filter.finish())
        if self._reason == "length" and self._calls.unfinished:
            raise self._failures.make(f"the token limit cut the call of {self._calls.unfinished}", fault="fatal")
        if not self.begun and self._reason == "length":
            raise self._failures.make("the token limit was spent before the first word", fault="fatal")
        if not self.begun and self._reason == "content_filter":
            raise self._failures.make("the reply was withheld by the vendor's content filter", fault="fatal")
        return events + self._calls.finish()

    def _choice(self, choice: Any) -> list[LlmEvent]:
        if not isinstance(choice, dict) or choice.get("index"):  # only one was asked for
            return []
        reason = choice.get("finish_reason")
        if reason:
            self.finished, self._reason = True, str(reason)
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return []
        # A refusal is spoken like any text: the caller should hear why nothing else comes.
        text = delta.get("content") or delta.get("refusal")
        events = self._spoken(self._filter.push(text) if isinstance(text, str) else "")
        events += self._calls.feed(delta.get("tool_calls"))
        if isinstance(delta.get("function_call"), dict):  # as it was before there were tools
            events += self._calls.feed([{"index": 0, "function": delta["function_call"]}])
        return events

    def _spoken(self, text: str) -> list[LlmEvent]:
        self._spoke = self._spoke or bool(text.strip())
        return [TextDelta(text)] if text else []

    def _note_usage(self, chunk: dict[str, Any]) -> None:
        """Keep the newest figures: vLLM can send them with every chunk, Groq repeats them under a name of its own."""
        vendor = chunk.get("x_groq")
        usage = chunk.get("usage") or (vendor.get("usage") if isinstance(vendor, dict) else None)
        prompt, completion = number(usage, "prompt_tokens"), number(usage, "completion_tokens")
        if prompt is not None and completion is not None:
            self.tokens = Tokens(
                input=prompt,
                cached=number(usage, "prompt_tokens_details", "cached_tokens") or 0,
                cache_written=number(usage, "prompt_tokens_details", "cache_write_tokens") or 0,  # OpenRouter
                output=completion,
                reasoning=number(usage, "completion_tokens_details", "reasoning_tokens") or 0,
            )
