"""What a failed request means: the vendor's words, and whether another try may help."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from callengine.errors import ProviderError, ProviderFault

# Statuses after which the same request may succeed. 408, 409, 429 and 5xx: the retry rules of the `openai` package
# (3.54.0, `_base_client.py`). 425: RFC 8470. 498: Groq's "flex tier capacity exceeded" (its error codes page).
_RETRYABLE_STATUSES = frozenset({408, 409, 425, 429, 498})

# Codes and types in an error object that no new attempt can mend, whatever the status: a 429 may mean an empty
# account, and an error in the middle of a stream has no status at all.
_FATAL_CODES = frozenset({
    "insufficient_quota", "invalid_api_key", "invalid_request_error", "authentication_error", "permission_error",
    "not_found_error", "model_not_found", "context_length_exceeded", "content_filter", "billing_hard_limit_reached",
    "billing_error", "request_too_large", "invalid_prompt",
})  # fmt: skip

_MAX_MESSAGE = 500
"""Characters of a vendor's message that are kept: enough for any sentence, too few for a page of HTML."""


# RFC 6455, section 7.4.1. An ordinary end (1000, 1001) is a session's end, and another one may be opened at once; data
# that the vendor could not read (1003, 1007), or that its policy refuses (1008), will be refused again.
_CLOSES: Mapping[int, ProviderFault] = {1000: "reopen", 1001: "reopen", 1003: "fatal", 1007: "fatal", 1008: "fatal"}

_LONGEST_PAUSE = 60.0
"""Seconds of a Retry-After that are believed: nobody waits longer on the telephone."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a Retry-After header asks for, 60 at most. None without it, or where it is a date.

    ``retry-after-ms``, which OpenAI and Anthropic send too, is more exact.
    """
    try:
        return min(max(float(headers["retry-after-ms"]), 0.0) / 1000, _LONGEST_PAUSE)
    except (KeyError, ValueError):
        pass
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(seconds, _LONGEST_PAUSE) if seconds >= 0 else None


def retryable_status(status: int) -> bool:
    """Whether a request that was answered with this HTTP status may be worth repeating."""
    return status in _RETRYABLE_STATUSES or status >= 500


def error_object(data: object) -> Mapping[str, Any] | None:
    """The error inside a JSON body or chunk, in any of the shapes that servers use; None where there is none.

    The shapes: ``{"error": {...}}``, ``{"error": "text"}`` (Ollama's own API, whisper.cpp), ``{"object": "error",
    "message": ...}`` (older vLLM), ``{"detail": ...}`` (FastAPI).
    """
    if not isinstance(data, dict):
        return None
    error = data.get("error")
    if isinstance(error, dict):
        return error
    if error:
        return {"message": str(error)}
    if data.get("object") == "error":
        return data
    if "detail" in data and "choices" not in data:
        detail = data["detail"]
        return {"message": detail if isinstance(detail, str) else json.dumps(detail)}
    return None


class Failures:
    """Makes the `ProviderError` values of one provider, none of which ever shows one of its ``secrets``.

    ``closes`` says what the vendor means by a WebSocket close code; the others are taken as RFC 6455 has them.
    """

    def __init__(
        self, provider: str, *secrets: str | None, closes: Mapping[int, ProviderFault] = MappingProxyType({})
    ) -> None:
        self._provider = provider
        self._secrets = tuple(secret for secret in secrets if secret)
        self._closes = closes

    def make(self, message: str, *, fault: ProviderFault = "retry", retry_after: float | None = None) -> ProviderError:
        """An error in our own words or the vendor's, shortened, without a secret."""
        message = " ".join(message.split())
        for secret in self._secrets:
            message = message.replace(secret, "[key]").replace(quote(secret, safe=""), "[key]")
        if len(message) > _MAX_MESSAGE:
            message = message[:_MAX_MESSAGE] + "…"
        return ProviderError(self._provider, message, fault=fault, retry_after=retry_after)

    def from_response(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """An HTTP answer that is not what was asked for, also to a WebSocket's handshake."""
        text = body.decode("utf-8", "replace")
        try:
            error = error_object(json.loads(text))
        except ValueError:
            error = None
        retryable = retryable_status(status)
        if headers.get("x-should-retry") in ("true", "false"):
            retryable = headers["x-should-retry"] == "true"  # sent by OpenAI, obeyed by its own clients
        message = _message(error) if error else _plain(headers, text)
        if error and _codes(error) & _FATAL_CODES and status not in (408, 409):
            retryable = False
        return self.make(
            f"HTTP {status}: {message}" if message else f"HTTP {status}",
            fault="retry" if retryable else "fatal",
            retry_after=retry_after(headers),
        )

    def from_stream(self, error: Mapping[str, Any]) -> ProviderError:
        """An error object that came as an event of a stream whose status was 200."""
        code = error.get("code")
        retryable = retryable_status(code) if isinstance(code, int) else not _codes(error) & _FATAL_CODES
        message = _message(error) or "the server reported an error in the stream"
        return self.make(message, fault="retry" if retryable else "fatal")

    def closed(self, code: int, reason: str) -> ProviderError:
        """The vendor closed a WebSocket, or its connection broke (1006)."""
        fault = self._closes.get(code, _CLOSES.get(code, "retry"))
        return self.make(f"the connection was closed: {code} {reason}".rstrip(), fault=fault)


def _message(error: Mapping[str, Any]) -> str:
    return str(error.get("message") or error.get("code") or error.get("type") or "")


def _codes(error: Mapping[str, Any]) -> set[str]:
    return {str(error[key]) for key in ("code", "type") if error.get(key) is not None}


def _plain(headers: Mapping[str, str], text: str) -> str:
    return "" if "html" in headers.get("content-type", "") else text
