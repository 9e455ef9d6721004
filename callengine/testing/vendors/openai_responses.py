"""A simulated OpenAI (Responses, over server-sent events)."""

from __future__ import annotations

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
    "model", "stream", "store", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls",
    "max_output_tokens", "reasoning", "text", "include", "temperature", "top_p", "prompt_cache_key",
    "prompt_cache_retention", "safety_identifier", "service_tier", "metadata", "truncation", "previous_response_id",
})  # fmt: skip


class FakeOpenAIResponses(FakeLanguageModel):
    """Speaks Responses, with an event in every stream that no client knows.

    A reply's ``finish`` is the reason why it is incomplete (``max_output_tokens``, ``content_filter``); it is failed
    with an error's code by ``failed:``. A thought is a sealed reasoning item, and must come back in front of the call
    that followed it.
    """

    hosts = ("api.openai.com",)

    def error(self, status: int, message: str) -> Answer:
        kind = {400: "invalid_request_error", 401: "invalid_request_error", 429: "rate_limit_error"}
        code = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(status)
        error = {"message": message, "type": kind.get(status, "server_error"), "param": None, "code": code}
        return Answer.of({"error": error}, status)

    def refusal(self, request: Request) -> Answer | None:
        right = request.headers.get("authorization") == f"Bearer {self.key}"
        return None if right else self.error(401, "Incorrect API key provided.")

    def is_reply(self, request: Request) -> bool:
        return request.path == "/v1/responses"

    def other(self, request: Request) -> Answer:
        if request.method == "GET" and request.path == "/v1/models":
            return Answer.of({"object": "list", "data": [{"id": "gpt-6-luna", "object": "model"}]})
        return super().other(request)

    # --- what it is asked ---------------------------------------------------------------------------------------------

    def problems(self, body: dict[str, Any]) -> Iterator[str]:
        yield from (f"Unknown parameter: {key!r}" for key in body if key not in _KNOWN)
        if not isinstance(body.get("model"), str) or body.get("stream") is not True:
            yield "model or stream is missing"
        tools = body.get("tools", [])
        if any(tool.get("type") != "function" or "function" in tool for tool in tools):
            yield "tools are not flat functions"
        yield from names_of_tools(tools, "parameters")
        for tool in tools:
            if tool.get("strict", True) and set(tool["parameters"].get("properties", ())) - set(
                tool["parameters"].get("required", ())
            ):
                yield f"Invalid schema for function {tool['name']!r}: in strict mode all parameters are required"
        items = body.get("input")
        if not isinstance(items, list):
            yield "input is no list of items"
        else:
            yield from self._wrong_items(items, "reasoning.encrypted_content" in body.get("include", ()))

    def _wrong_items(self, items: list[Any], reasons: bool) -> Iterator[str]:
        calls: set[str] = set()
        answered: set[str] = set()
        before: dict[str, Any] = {}
        for item in items:
            match item.get("type", "message"):
                case "function_call":
                    if (
                        not item.get("call_id")
                        or item["call_id"] in calls
                        or not isinstance(item.get("arguments"), str)
                    ):
                        yield f"a function_call is wrong: {item}"
                    calls.add(item["call_id"])
                case "function_call_output":
                    if item.get("call_id") not in calls - answered or not isinstance(item.get("output"), str):
                        yield f"No tool call found for function call output with call_id {item.get('call_id')}."
                    answered.add(item["call_id"])
                case "reasoning":
                    if not reasons or not item.get("encrypted_content"):
                        yield f"Item {item.get('id')!r} not found: nothing is stored"
                case "message":
                    kind = "output_text" if item.get("role") == "assistant" else "input_text"
                    parts = item.get("content")
                    texts = [part.get("text") for part in parts] if isinstance(parts, list) else []
                    if (
                        item.get("role") not in ("system", "developer", "user", "assistant")
                        or not all(texts)
                        or not texts
                    ):
                        yield f"a message is wrong: {item}"
                    elif any(part.get("type") != kind for part in parts):
                        yield f"Invalid value: the content of a message of {item['role']} is {kind}"
                case kind:
                    yield f"Invalid value: {kind!r}"
            before = item
        if before.get("type") == "reasoning":
            yield f"Item {before.get('id')!r} of type 'reasoning' was provided without its required following item."
        if calls - answered:
            yield f"No tool output found for function call {sorted(calls - answered)}."

    def last_words(self, body: dict[str, Any]) -> str:
        return next((str(i["content"][0]["text"]) for i in reversed(body["input"]) if i.get("role") == "user"), "")

    # --- what it says -------------------------------------------------------------------------------------------------

    def events(self, reply: Reply, body: dict[str, Any]) -> Iterator[bytes]:
        number = 0

        def event(kind: str, **fields: Any) -> bytes:
            nonlocal number
            number += 1
            return sse({"type": kind, "sequence_number": number - 1, **fields}, kind)

        response = {"id": "resp_1", "object": "response", "model": body["model"], "output": []}
        yield event("response.created", response={**response, "status": "in_progress"})
        yield event("response.something_new", response={**response, "status": "in_progress"})
        if reply.thought and "reasoning.encrypted_content" in body.get("include", ()):
            item = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": reply.thought}
            yield event("response.output_item.done", output_index=0, item=item)
        for index, part in enumerate(reply.parts, 1):
            if isinstance(part, bytes):
                yield part
            elif isinstance(part, ToolCall):
                cut_off = reply.finish == "max_output_tokens" and part is reply.parts[-1]
                item = {"id": f"fc_{index}", "type": "function_call", "call_id": part.id, "name": part.name}
                yield event(
                    "response.output_item.added",
                    output_index=index,
                    item={**item, "arguments": "", "status": "in_progress"},
                )
                for piece in cut(part.arguments, 3):
                    yield event(
                        "response.function_call_arguments.delta", item_id=item["id"], output_index=index, delta=piece
                    )
                status = "incomplete" if cut_off else "completed"
                yield event(
                    "response.output_item.done",
                    output_index=index,
                    item={**item, "arguments": part.arguments, "status": status},
                )
            else:
                for piece in pieces(part):
                    yield event(
                        "response.output_text.delta",
                        item_id=f"msg_{index}",
                        output_index=index,
                        content_index=0,
                        delta=piece,
                    )
        yield self._end(reply, response, event)

    def _end(self, reply: Reply, response: dict[str, Any], event: Any) -> bytes:
        figures = self.figures
        usage = figures and {
            "input_tokens": figures.input,
            "input_tokens_details": {"cached_tokens": figures.cached},
            "output_tokens": figures.output,
            "output_tokens_details": {"reasoning_tokens": figures.reasoning},
            "total_tokens": figures.input + figures.output,
        }
        ended = {**response, "usage": usage}
        if reply.finish.startswith("failed:"):
            error = {"code": reply.finish.removeprefix("failed:"), "message": "The reply failed."}
            return bytes(event("response.failed", response={**ended, "status": "failed", "error": error}))
        if reply.finish:
            ended |= {"status": "incomplete", "incomplete_details": {"reason": reply.finish}}
            return bytes(event("response.incomplete", response=ended))
        return bytes(event("response.completed", response={**ended, "status": "completed"}))
