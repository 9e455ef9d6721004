"""The stream of Google's Gemini, without I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from callengine.errors import ProviderError
from callengine.ports import LlmEvent, Message, TextDelta, ToolCall
from callengine.providers.llm.conversation import CallIds
from callengine.providers.llm.tokens import Tokens, number
from callengine.wire.failures import Failures, error_object, retry_after, retryable_status
from callengine.wire.sse import SseEvent

VENDOR = "gemini"

# Of the vendor's ``FinishReason``. A reply that ended with STOP or MAX_TOKENS is one; these withheld it, and will
# again; everything else may go better at the next try (a malformed call), or is new here.
_ENDED = frozenset({"STOP", "MAX_TOKENS"})
_WITHHELD = frozenset({
    "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR",
    "MISSING_THOUGHT_SIGNATURE",
})  # fmt: skip
_AGAIN = frozenset({"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"})

_LONGEST_PAUSE = 60.0
"""Seconds of a ``retryDelay`` that are believed: nobody waits longer on the telephone."""


class GeminiStream:
    """Reads one reply. Its end is the end of the stream; calls come whole."""

    done = False

    def __init__(self, messages: Sequence[Message], failures: Failures) -> None:
        self.finished = False
        self.begun = False
        self.tokens = Tokens()
        self._failures = failures
        self._ids = CallIds(messages)
        self._reason = ""
        self._message = ""
        self._blocked = ""

    def feed(self, event: SseEvent) -> list[LlmEvent]:
        """One event. Raises the `ProviderError` that it reports."""
        try:
            data = json.loads(event.data)
        except ValueError:
            raise self._failures.make("an event of the stream is not JSON") from None
        if not isinstance(data, dict):
            return []
        error = error_object(data)
        if error is not None:
            raise _failure(self._failures, error.get("code"), error)
        self._note_usage(data.get("usageMetadata"))
        blocked = _object(data.get("promptFeedback")).get("blockReason")
        if blocked:
            self.finished, self._blocked = True, str(blocked)
        candidates = data.get("candidates")
        candidate = _object(candidates[0]) if isinstance(candidates, list) and candidates else {}
        if candidate.get("finishReason"):
            self.finished, self._reason = True, str(candidate["finishReason"])
            self._message = str(candidate.get("finishMessage") or "")
        parts = _object(candidate.get("content")).get("parts")
        return [event for part in (parts if isinstance(parts, list) else ()) for event in self._part(_object(part))]

    def finish(self) -> list[LlmEvent]:
        """The stream is over. Raises `ProviderError` where it broke off, or the reply was withheld."""
        why = f"{self._reason} {self._message}".strip()
        if self._blocked:
            raise self._failures.make(f"the conversation was refused: {self._blocked}", fault="fatal")
        if not self.finished:
            raise self._failures.make("the stream ended in the middle of the reply")
        if self._reason in _WITHHELD:
            raise self._failures.make(f"the reply was withheld: {why}", fault="fatal")
        if self._reason in _AGAIN:
            raise self._failures.make(f"the reply went wrong: {why}")
        if self._reason == "MAX_TOKENS" and not self.begun:
            raise self._failures.make("the token limit was spent before the first word", fault="fatal")
        if not self.begun:
            raise self._failures.make(f"the reply is empty: {why}")
        return []

    def _part(self, part: dict[str, Any]) -> list[LlmEvent]:
        if part.get("thought"):
            return []
        call = _object(part.get("functionCall"))
        if isinstance(call.get("name"), str) and call["name"]:
            self.begun = True
            signature = part.get("thoughtSignature")
            opaque = (VENDOR, signature) if signature else None
            return [ToolCall(self._ids.of(call.get("id")), call["name"], json.dumps(_object(call.get("args"))), opaque)]
        text = part.get("text")
        if not isinstance(text, str) or not text:
            return []
        self.begun = self.begun or bool(text.strip())
        return [TextDelta(text)]

    def _note_usage(self, usage: Any) -> None:
        """Each piece has the totals so far; those before the first word have no output."""
        prompt, spoken = number(usage, "promptTokenCount"), number(usage, "candidatesTokenCount")
        thought = number(usage, "thoughtsTokenCount") or 0
        if prompt is not None:
            self.tokens = Tokens(
                input=prompt + (number(usage, "toolUsePromptTokenCount") or 0),
                cached=number(usage, "cachedContentTokenCount") or 0,
                output=None if spoken is None and not thought else (spoken or 0) + thought,
                reasoning=thought,
            )


def refusal(failures: Failures, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """An HTTP answer that is not a reply."""
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    error = error_object(said[0] if isinstance(said, list) and said else said)  # some come in the stream's array
    if error is None or status == 200:
        return failures.from_response(status, headers, body)
    refused = _failure(failures, status, error)
    refused.retry_after = refused.retry_after or retry_after(headers)
    return refused


def _failure(failures: Failures, code: Any, error: Mapping[str, Any]) -> ProviderError:
    """The vendor's error object, of an answer or in a stream. A day's quota that is spent comes back tomorrow."""
    details = error.get("details")
    details = [_object(detail) for detail in details] if isinstance(details, list) else []
    again = retryable_status(code) if isinstance(code, int) else True
    if any("perday" in str(detail.get("violations")).lower() for detail in details):
        again = False
    message = str(error.get("message") or error.get("status") or "the vendor reported an error")
    status = f"HTTP {code}: " if isinstance(code, int) else ""
    delay = next((_seconds(detail["retryDelay"]) for detail in details if "retryDelay" in detail), None)
    return failures.make(status + message, fault="retry" if again else "fatal", retry_after=delay)


def _seconds(delay: Any) -> float | None:
    """Of a duration as Google writes it, ``27s``."""
    try:
        return min(max(float(str(delay).removesuffix("s")), 0.0), _LONGEST_PAUSE)
    except ValueError:
        return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
