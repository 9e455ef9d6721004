"""The stream of OpenAI's Responses, without I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from callengine.errors import ProviderError
from callengine.ports import LlmEvent, Message, TextDelta, ToolCall
from callengine.providers.llm.conversation import CallIds, Thoughts
from callengine.providers.llm.tokens import Tokens, number
from callengine.wire.failures import Failures
from callengine.wire.sse import SseEvent

VENDOR = "openai"

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})

# Codes of ``response.failed`` that another try may mend (the OpenAPI document, ``ResponseErrorCode``); the others are
# about the prompt. Codes of bare errors are those of HTTP, which `Failures` knows.
_RETRYABLE = frozenset({"server_error", "rate_limit_exceeded", "vector_store_timeout"})


class ResponsesStream:
    """Reads one reply. A call is handed out when its item is done."""

    def __init__(self, messages: Sequence[Message], failures: Failures) -> None:
        self.done = False
        self.begun = False
        self.tokens = Tokens()
        self._failures = failures
        self._ids = CallIds(messages)
        self._thoughts = Thoughts(VENDOR)
        self._spoke = False
        self._cut = ""
        self._reason = ""

    @property
    def finished(self) -> bool:
        """The figures come with the event that ends the reply."""
        return self.done

    def feed(self, event: SseEvent) -> list[LlmEvent]:
        """One event. Raises the `ProviderError` that it reports."""
        try:
            data = json.loads(event.data)
        except ValueError:
            raise self._failures.make("an event of the stream is not JSON") from None
        if self.done or not isinstance(data, dict):
            return []
        kind = data.get("type")
        match kind:
            case "response.output_text.delta" | "response.refusal.delta":
                return self._speak(data.get("delta"))
            case "response.function_call_arguments.delta":
                self.begun = True
            case "response.output_item.done":
                return self._item(_object(data.get("item")))
            case "error":
                raise self._error(_object(data.get("error")) or data)
            case str() if kind in _TERMINAL:
                self._end(kind, _object(data.get("response")))
            case _:
                pass
        return []

    def finish(self) -> list[LlmEvent]:
        """The stream is over. Raises `ProviderError` where it broke off, or the reply was withheld."""
        if not self.done:
            raise self._failures.make("the stream ended in the middle of the reply")
        limit = self._reason == "max_output_tokens"
        if limit and self._cut:
            raise self._failures.make(f"the token limit cut the call of {self._cut}: raise max_tokens", fault="fatal")
        if limit and not self.begun:
            raise self._failures.make("the token limit was spent before the first word", fault="fatal")
        if self._reason == "content_filter" and not self.begun:
            raise self._failures.make("the reply was withheld by the vendor's content filter", fault="fatal")
        return []

    def _item(self, item: dict[str, Any]) -> list[LlmEvent]:
        kind = item.get("type")
        if kind == "reasoning":
            self._thoughts.add(item, spoke=self._spoke)
        if kind != "function_call" or not isinstance(item.get("name"), str):
            return []
        self.begun = True
        if item.get("status") == "incomplete":
            self._cut = item["name"]
            return []
        arguments = item.get("arguments")
        return [
            ToolCall(
                self._ids.of(item.get("call_id")),
                item["name"],
                arguments if isinstance(arguments, str) else "",
                self._thoughts.take(),
            )
        ]

    def _end(self, kind: str, response: dict[str, Any]) -> None:
        usage = response.get("usage")
        self.tokens = Tokens(
            input=number(usage, "input_tokens"),
            cached=number(usage, "input_tokens_details", "cached_tokens") or 0,
            cache_written=number(usage, "input_tokens_details", "cache_write_tokens") or 0,
            output=number(usage, "output_tokens"),
            reasoning=number(usage, "output_tokens_details", "reasoning_tokens") or 0,
        )
        if kind == "response.failed":
            error = _object(response.get("error"))
            fault = "retry" if error.get("code") in (None, *_RETRYABLE) else "fatal"
            message = str(error.get("message") or error.get("code") or "the reply failed")
            raise self._failures.make(message, fault="retry" if fault == "retry" else "fatal")
        self.done = True
        self._reason = str(_object(response.get("incomplete_details")).get("reason") or "")

    def _speak(self, text: Any) -> list[LlmEvent]:
        if not isinstance(text, str) or not text:
            return []
        self._spoke = self._spoke or bool(text.strip())
        self.begun = self.begun or self._spoke
        return [TextDelta(text)]

    def _error(self, error: dict[str, Any]) -> ProviderError:
        """A bare error; its ``type`` may be just that it is one."""
        return self._failures.from_stream({key: value for key, value in error.items() if value != "error"})


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
