"""The stream of Anthropic's Messages, without I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from callengine.errors import ProviderError
from callengine.ports import LlmEvent, Message, TextDelta, ToolCall
from callengine.providers.llm.conversation import CallIds, Thoughts, whole
from callengine.providers.llm.tokens import Tokens, number
from callengine.wire.failures import Failures, error_object
from callengine.wire.sse import SseEvent

VENDOR = "anthropic"

_THOUGHTS = ("thinking", "redacted_thinking")

# What the vendor's table of errors says no other try can mend; what it does not list there may be tried again.
_FATAL = frozenset({
    "invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error",
    "request_too_large",
})  # fmt: skip


@attrs.define
class _Block:
    """A content block that is still open."""

    content: dict[str, Any]
    json: str = ""


class AnthropicStream:
    """Reads one reply.

    A call is handed out at its block's end, where its arguments are whole. One without arguments might have been cut by
    the token limit, and waits until what follows it shows that it was not.
    """

    def __init__(self, messages: Sequence[Message], failures: Failures) -> None:
        self.done = False
        self.finished = False
        self.begun = False
        self.tokens = Tokens()
        self._failures = failures
        self._ids = CallIds(messages)
        self._thoughts = Thoughts(VENDOR)
        self._blocks: dict[int, _Block] = {}
        self._held: list[ToolCall] = []
        self._spoke = False
        self._reason = ""
        self._why = ""

    def feed(self, event: SseEvent) -> list[LlmEvent]:
        """One event. Raises the `ProviderError` that it reports."""
        try:
            data = json.loads(event.data)
        except ValueError:
            raise self._failures.make("an event of the stream is not JSON") from None
        if self.done or not isinstance(data, dict):
            return []
        match data.get("type"):
            case "message_start":
                # Its one token of output is no figure yet.
                self._note_usage(_object(data.get("message")).get("usage"), output=False)
            case "content_block_start":
                return self._start(data.get("index"), _object(data.get("content_block")))
            case "content_block_delta":
                return self._delta(data.get("index"), _object(data.get("delta")))
            case "content_block_stop":
                return self._stop(data.get("index"))
            case "message_delta":
                return self._end(data)
            case "message_stop":
                self.done = True
            case "error":
                raise self._error(data)
            case _:
                pass
        return []

    def finish(self) -> list[LlmEvent]:
        """The stream is over. Raises `ProviderError` where it broke off, or the reply was withheld."""
        if not (self.done or self.finished):
            raise self._failures.make("the stream ended in the middle of the reply")
        if self._reason == "max_tokens" and (cut := self._cut()):
            raise self._failures.make(f"the token limit cut the call of {cut}: raise max_tokens", fault="fatal")
        if not self.begun and self._reason == "max_tokens":
            raise self._failures.make("the token limit was spent before the first word", fault="fatal")
        if not self.begun and self._reason in ("refusal", "model_context_window_exceeded"):
            raise self._failures.make(f"the reply was withheld: {self._why or self._reason}", fault="fatal")
        return self._release()

    def _cut(self) -> str:
        """The name of a call that is not whole; empty: none."""
        open_calls = [b.content for b in self._blocks.values() if b.content.get("type") == "tool_use"]
        return self._held[0].name if self._held else str(open_calls[0].get("name")) if open_calls else ""

    def _start(self, index: Any, content: dict[str, Any]) -> list[LlmEvent]:
        events = self._release()
        if isinstance(index, int):
            self._blocks[index] = _Block(content)
        if content.get("type") == "tool_use":
            self.begun = True
        if content.get("type") == "text":
            events += self._speak(content.get("text"))
        return events

    def _delta(self, index: Any, delta: dict[str, Any]) -> list[LlmEvent]:
        block = self._blocks.get(index) if isinstance(index, int) else None
        match delta.get("type"):
            case "text_delta":
                return self._speak(delta.get("text"))
            case "input_json_delta" if block is not None:
                block.json += _text(delta.get("partial_json"))
            case "thinking_delta" if block is not None:
                block.content["thinking"] = _text(block.content.get("thinking")) + _text(delta.get("thinking"))
            case "signature_delta" if block is not None:
                block.content["signature"] = _text(block.content.get("signature")) + _text(delta.get("signature"))
            case _:
                pass
        return []

    def _stop(self, index: Any) -> list[LlmEvent]:
        block = self._blocks.pop(index, None) if isinstance(index, int) else None
        if block is None:
            return []
        kind = block.content.get("type")
        if kind in _THOUGHTS:
            self._thoughts.add(block.content, spoke=self._spoke)
        if kind != "tool_use" or not _text(block.content.get("name")):
            return []
        given = block.content.get("input")
        arguments = block.json or (json.dumps(given) if given else "")
        id = self._ids.of(block.content.get("id"))
        self._held.append(ToolCall(id, str(block.content["name"]), arguments, self._thoughts.take()))
        return self._release() if whole(arguments) else []

    def _end(self, data: Mapping[str, Any]) -> list[LlmEvent]:
        self._note_usage(data.get("usage"), output=True)
        delta = _object(data.get("delta"))
        reason = delta.get("stop_reason")
        if not reason:
            return []
        self.finished, self._reason = True, str(reason)
        details = _object(delta.get("stop_details"))
        self._why = _text(details.get("explanation")) or _text(details.get("category"))
        return [] if self._reason == "max_tokens" else self._release()

    def _release(self) -> list[LlmEvent]:
        """The calls that turned out to be whole."""
        events: list[LlmEvent] = list(self._held)
        self._held.clear()
        return events

    def _speak(self, text: Any) -> list[LlmEvent]:
        text = _text(text)
        self._spoke = self._spoke or bool(text.strip())
        self.begun = self.begun or self._spoke
        return [TextDelta(text)] if text else []

    def _error(self, data: dict[str, Any]) -> ProviderError:
        error = error_object(data) or {}
        fatal = error.get("type") in _FATAL
        message = _text(error.get("message")) or _text(error.get("type")) or "the vendor reported an error"
        return self._failures.make(message, fault="fatal" if fatal else "retry")

    def _note_usage(self, usage: Any, *, output: bool) -> None:
        """Figures are totals: a later event's replace the ones before."""
        told = self.tokens
        given, made = number(usage, "input_tokens"), number(usage, "output_tokens")
        if given is not None:
            written = number(usage, "cache_creation_input_tokens")
            cached = number(usage, "cache_read_input_tokens")
            written = told.cache_written if written is None else written
            cached = told.cached if cached is None else cached
            told = attrs.evolve(told, input=given + written + cached, cached=cached, cache_written=written)
        if made is not None and output:
            thought = number(usage, "output_tokens_details", "thinking_tokens") or 0
            told = attrs.evolve(told, output=made, reasoning=thought)
        self.tokens = told


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
