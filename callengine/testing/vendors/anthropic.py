"""A simulated Anthropic (Messages)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from callengine.ports import ToolCall
from callengine.testing.vendors.base import Answer, Request
from callengine.testing.vendors.language_models import (
    FakeLanguageModel,
    Reply,
    cut,
    names_of_tools,
    pieces,
    sse,
)

_KNOWN = frozenset({
    "model", "max_tokens", "stream", "system", "messages", "tools", "tool_choice", "thinking", "metadata",
    "stop_sequences", "service_tier", "temperature", "top_p", "top_k", "output_config", "cache_control", "speed",
    "inference_geo",
})  # fmt: skip

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

_ID = re.compile(r"[a-zA-Z0-9_-]+")


class FakeAnthropic(FakeLanguageModel):
    """Speaks Messages, with pings and an event that no client knows in every stream.

    A thought is a thinking block with a signature; it comes only where the request turned thinking on, and then a call
    that followed it must come back with it.
    """

    hosts = ("api.anthropic.com",)

    def error(self, status: int, message: str) -> Answer:
        error = {"type": _TYPES.get(status, "api_error"), "message": message}
        return Answer.of({"type": "error", "error": error, "request_id": "req_1"}, status)

    def refusal(self, request: Request) -> Answer | None:
        if request.headers.get("x-api-key") != self.key:
            return self.error(401, "invalid x-api-key")
        if request.headers.get("anthropic-version") != "2023-06-01":
            self.complain("anthropic-version: header is required")
            return self.error(400, "anthropic-version: header is required")
        return None

    def is_reply(self, request: Request) -> bool:
        return request.path == "/v1/messages"

    def other(self, request: Request) -> Answer:
        if request.method == "GET" and request.path == "/v1/models":
            return Answer.of({"data": [{"type": "model", "id": "claude-haiku-5-5"}], "has_more": False})
        return super().other(request)

    # --- what it is asked ---------------------------------------------------------------------------------------------

    def problems(self, body: dict[str, Any]) -> Iterator[str]:
        yield from (f"{key}: Extra inputs are not permitted" for key in body if key not in _KNOWN)
        if not isinstance(body.get("max_tokens"), int) or not isinstance(body.get("model"), str):
            yield "model or max_tokens: Field required"
        if body.get("stream") is not True:
            yield "stream is not true"
        yield from names_of_tools(body.get("tools", []), "input_schema")
        if not body.get("tools") and '"type": "tool_use"' in json.dumps(body.get("messages")):
            yield "Requests which include `tool_use` or `tool_result` blocks must define tools."
        marks = json.dumps(body).count('"cache_control"')
        if marks > 4:
            yield f"A maximum of 4 blocks with cache_control may be provided. Found {marks}."
        for block in body.get("system", []):
            if block.get("type") != "text" or not block.get("text"):
                yield "system: text content blocks must be non-empty"
        yield from self._wrong_messages(body.get("messages") or [], (body.get("thinking") or {}).get("type"))

    def _wrong_messages(self, messages: list[Any], thinking: str | None) -> Iterator[str]:
        if not messages or messages[0].get("role") != "user":
            yield "messages: first message must use the user role"
        open_calls: set[str] = set()
        seen: set[str] = set()
        for number, message in enumerate(messages):
            blocks = message.get("content")
            blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
            if message.get("role") not in ("user", "assistant") or not isinstance(blocks, list) or not blocks:
                yield f"messages.{number}: {message}"
                return
            yield from _wrong_blocks(number, message["role"], blocks)
            results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
            if set(results) - open_calls or len(results) != len(set(results)):
                yield f"messages.{number}: unexpected tool_use_id in tool_result blocks: {results}"
            if open_calls - set(results):
                yield f"messages.{number}: tool_use ids without tool_result blocks immediately after: {open_calls}"
            uses = [block["id"] for block in blocks if block["type"] == "tool_use"]
            if seen & set(uses) or len(uses) != len(set(uses)):
                yield f"messages.{number}: tool_use ids must be unique"
            if uses and thinking == "adaptive" and blocks[0]["type"] not in ("thinking", "redacted_thinking"):
                yield f"messages.{number}: a final assistant message must start with a thinking block"
            seen |= set(uses)
            open_calls = set(uses)
        if open_calls:
            yield f"tool_use ids without tool_result blocks immediately after: {open_calls}"
        if messages and messages[-1].get("role") == "assistant":
            yield "This model does not support assistant message prefill."

    def last_words(self, body: dict[str, Any]) -> str:
        texts = [
            block["text"]
            for message in body["messages"]
            if message["role"] == "user"
            for block in message["content"]
            if block["type"] == "text"
        ]
        return str(texts[-1]) if texts else ""

    # --- what it says -------------------------------------------------------------------------------------------------

    def events(self, reply: Reply, body: dict[str, Any]) -> Iterator[bytes]:
        usage = self._start_usage()
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": []}
        yield _event("message_start", message={**message, "stop_reason": None, "usage": usage})
        yield _event("ping")
        yield _event("something_new", index=0)
        index = 0
        if reply.thought and (body.get("thinking") or {}).get("type", "disabled") != "disabled":
            yield from self._thought(index, reply.thought)
            index += 1
        for part in reply.parts:
            if isinstance(part, bytes):
                yield part
                continue
            yield from self._call(index, part) if isinstance(part, ToolCall) else self._text(index, part)
            yield _event("ping")
            index += 1
        reason = reply.finish or ("tool_use" if reply.calls else "end_turn")
        figures = {} if self.figures is None else {"usage": {"output_tokens": self.figures.output}}
        yield _event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, **figures)
        yield _event("message_stop")

    def _start_usage(self) -> dict[str, Any] | None:
        if self.figures is None:
            return None
        figures = self.figures
        return {
            "input_tokens": figures.input - figures.cached - figures.cache_written,
            "cache_creation_input_tokens": figures.cache_written,
            "cache_read_input_tokens": figures.cached,
            "output_tokens": 1,
        }

    def _thought(self, index: int, thought: str) -> Iterator[bytes]:
        yield _event(
            "content_block_start", index=index, content_block={"type": "thinking", "thinking": "", "signature": ""}
        )
        yield _event("content_block_delta", index=index, delta={"type": "thinking_delta", "thinking": thought})
        signature = {"type": "signature_delta", "signature": signature_of(thought)}
        yield _event("content_block_delta", index=index, delta=signature)
        yield _event("content_block_stop", index=index)

    def _text(self, index: int, text: str) -> Iterator[bytes]:
        yield _event("content_block_start", index=index, content_block={"type": "text", "text": ""})
        for piece in pieces(text):
            yield _event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})
        yield _event("content_block_stop", index=index)

    def _call(self, index: int, call: ToolCall) -> Iterator[bytes]:
        start = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        yield _event("content_block_start", index=index, content_block=start)
        for piece in ["", *cut(call.arguments, 5)]:
            delta = {"type": "input_json_delta", "partial_json": piece}
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)


def signature_of(thought: str) -> str:
    """The seal on a thought."""
    return f"sealed({thought})"


def _wrong_blocks(number: int, role: str, blocks: list[Any]) -> Iterator[str]:
    others = False
    for block in blocks:
        match block.get("type"):
            case "text":
                others = True
                if not str(block.get("text", "")).strip():
                    yield f"messages.{number}: text content blocks must be non-empty"
            case "tool_use" if role == "assistant":
                if not _ID.fullmatch(str(block.get("id"))) or not isinstance(block.get("input"), dict):
                    yield f"messages.{number}: tool_use needs an id of letters and digits, and an object: {block}"
            case "tool_result" if role == "user":
                if others:
                    yield f"messages.{number}: tool_result blocks must come first"
                if set(block) - {"type", "tool_use_id", "content", "is_error", "cache_control"}:
                    yield f"messages.{number}: Extra inputs are not permitted: {block}"
            case "thinking" if role == "assistant":
                if block.get("signature") != signature_of(str(block.get("thinking"))):
                    yield f"messages.{number}: Invalid signature in thinking block"
            case kind:
                yield f"messages.{number}: a block of type {kind!r} of the {role}"


def _event(kind: str, **fields: Any) -> bytes:
    return sse({"type": kind, **fields}, kind)
