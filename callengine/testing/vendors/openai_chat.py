"""A simulated OpenAI (Chat Completions), and the servers that speak its protocol with an accent of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

import attrs

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
from callengine.testing.words import Vocabulary

Style: TypeAlias = Literal["openai", "groq", "cerebras", "together", "openrouter", "ollama", "vllm", "llama.cpp"]

_OWN = ("localhost", "127.0.0.1")
_HOSTS: Mapping[Style, tuple[str, ...]] = {
    "openai": ("api.openai.com",),
    "groq": ("api.groq.com",),
    "cerebras": ("api.cerebras.ai",),
    "together": ("api.together.ai", "api.together.xyz"),
    "openrouter": ("openrouter.ai",),
    "ollama": _OWN,
    "vllm": _OWN,
    "llama.cpp": _OWN,
}

# Of a request to OpenAI itself, which refuses what it does not know.
_KNOWN = frozenset({
    "model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "temperature",
    "top_p", "max_completion_tokens", "reasoning_effort", "verbosity", "service_tier", "prompt_cache_key",
    "prompt_cache_retention", "safety_identifier", "store", "metadata", "stop", "seed", "n", "response_format",
    "presence_penalty", "frequency_penalty", "logit_bias", "user",
})  # fmt: skip


class FakeOpenAIChat(FakeLanguageModel):
    """Speaks Chat Completions as the server of this ``style`` does.

    ``openai``: calls in fragments by index, padding in every chunk, refuses unknown settings and ``max_tokens``.
    ``groq``: figures under a name of its own. ``cerebras``: whole calls, ``time_info``. ``together``: ends with
    ``eos``, figures unasked. ``openrouter``: comments between events, numbers as error codes. ``ollama``: takes any
    key; whole calls, all with the index 0; loads models. ``vllm``: figures in every chunk, fragments without an id.
    ``llama.cpp``: fragments without an index, ``timings``. All but ``openai`` send a thought as reasoning.
    """

    def __init__(self, style: Style = "openai", vocabulary: Vocabulary | None = None) -> None:
        super().__init__(vocabulary)
        self.style = style
        self.hosts = _HOSTS[style]
        self.usage_option = True
        """Whether ``stream_options`` are known; if not, a request with them is refused, without a complaint."""
        self.loaded: list[str] = []
        """Models that were loaded ahead (``ollama``)."""

    def error(self, status: int, message: str) -> Answer:
        if self.style == "openrouter":
            return Answer.of({"error": {"message": message, "code": status}}, status)
        if self.style == "vllm":
            return Answer.of({"object": "error", "message": message, "type": "BadRequestError", "code": status}, status)
        kind = {400: "invalid_request_error", 401: "invalid_request_error", 429: "rate_limit_error"}
        code = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(status)
        error = {"message": message, "type": kind.get(status, "server_error"), "param": None, "code": code}
        return Answer.of({"error": error}, status)

    def refusal(self, request: Request) -> Answer | None:
        if self.style != "ollama" and request.headers.get("authorization") != f"Bearer {self.key}":
            return self.error(401, "Incorrect API key provided.")
        body = request.json
        if not self.usage_option and isinstance(body, dict) and "stream_options" in body:
            detail = {"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs"}
            return Answer.of({"detail": [detail]}, 422)
        return None

    def is_reply(self, request: Request) -> bool:
        return request.path.endswith("/v1/chat/completions")

    def other(self, request: Request) -> Answer:
        if request.method == "GET" and request.path.endswith("/v1/models"):
            return Answer.of({"object": "list", "data": [{"id": "a-model", "object": "model"}]})
        if request.method == "GET" and request.path.endswith("/v1/key") and self.style == "openrouter":
            return Answer.of({"data": {"label": "a key"}})
        body = request.json
        if (
            request.path == "/api/generate"
            and self.style == "ollama"
            and isinstance(body, dict)
            and "prompt" not in body
        ):
            self.loaded.append(str(body.get("model")))
            return Answer.of({"model": body.get("model"), "response": "", "done": True, "done_reason": "load"})
        return super().other(request)

    # --- what it is asked ---------------------------------------------------------------------------------------------

    def problems(self, body: dict[str, Any]) -> Iterator[str]:
        if not isinstance(body.get("model"), str):
            yield "model is missing"
        if body.get("stream") is not True:
            yield "stream is not true"
        if self.style == "openai":
            yield from (f"Unrecognized request argument supplied: {key}" for key in body if key not in _KNOWN)
        tools = body.get("tools")
        if tools is not None:
            functions = [tool.get("function") for tool in tools if tool.get("type") == "function"]
            if not functions or len(functions) != len(tools):
                yield "tools are not functions"
            yield from names_of_tools(functions, "parameters")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            yield "messages are empty"
        else:
            yield from self._wrong_messages(messages)

    def _wrong_messages(self, messages: list[Any]) -> Iterator[str]:
        open_calls: list[str] = []
        for number, message in enumerate(messages):
            role, content, calls = message.get("role"), message.get("content"), message.get("tool_calls")
            if role == "tool":
                if message.get("tool_call_id") not in open_calls:
                    yield f"messages[{number}]: a tool's result must follow the message with its tool_calls"
                else:
                    open_calls.remove(message["tool_call_id"])
            elif open_calls:
                yield f"tool_call_ids did not have response messages: {open_calls}"
            if role not in ("system", "developer", "user", "assistant", "tool"):
                yield f"messages[{number}].role is {role!r}"
            if not isinstance(content, str) and not (role == "assistant" and content is None and calls):
                yield f"messages[{number}].content is {content!r}"
            if calls is not None and (role != "assistant" or not calls):
                yield f"messages[{number}].tool_calls do not belong there"
            for call in calls or ():
                yield from self._wrong_call(call, open_calls)
                open_calls.append(call["id"])
        if open_calls:
            yield f"tool_call_ids did not have response messages: {open_calls}"

    def _wrong_call(self, call: Any, open_calls: list[str]) -> Iterator[str]:
        function = call.get("function") or {}
        if call.get("type") != "function" or not call.get("id") or call["id"] in open_calls:
            yield f"a tool call has no id of its own: {call!r}"
        if not isinstance(function.get("name"), str) or not isinstance(function.get("arguments"), str):
            yield f"a tool call has no name or arguments: {call!r}"
        # The templates of local servers read the arguments again.
        elif self.style in ("vllm", "llama.cpp", "ollama") and not isinstance(_decoded(function["arguments"]), dict):
            yield f"the arguments of a tool call are no JSON object: {call!r}"

    def last_words(self, body: dict[str, Any]) -> str:
        return next((str(m["content"]) for m in reversed(body["messages"]) if m["role"] == "user"), "")

    # --- what it says -------------------------------------------------------------------------------------------------

    def events(self, reply: Reply, body: dict[str, Any]) -> Iterator[bytes]:
        if self.style == "openrouter":
            yield b": OPENROUTER PROCESSING\n\n"
        yield self._chunk({"role": "assistant", "content": ""}, body)
        if reply.thought and self.style != "openai":
            field = "reasoning_content" if self.style in ("vllm", "llama.cpp") else "reasoning"
            yield self._chunk({field: reply.thought}, body)
        for part in reply.parts:
            if isinstance(part, bytes):
                yield part
            elif isinstance(part, ToolCall):
                yield from (
                    self._chunk({"tool_calls": [f]}, body) for f in self._fragments(part, reply.calls.index(part))
                )
            else:
                yield from (self._chunk({"content": piece}, body) for piece in pieces(part))
            if self.style == "openrouter":
                yield b": OPENROUTER PROCESSING\n\n"
        usual = "tool_calls" if reply.calls else "eos" if self.style == "together" else "stop"
        yield self._chunk({}, body, reply.finish or usual)
        wanted = (body.get("stream_options") or {}).get("include_usage")
        if wanted and self.figures is not None and self.style not in ("groq", "together"):
            yield sse({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": self._usage()})
        yield sse("[DONE]")

    def _fragments(self, call: ToolCall, index: int) -> Iterator[dict[str, Any]]:
        head = {"id": call.id, "type": "function"}
        if self.style in ("cerebras", "together", "groq", "ollama"):
            where = 0 if self.style == "ollama" else index
            yield {"index": where, **head, "function": {"name": call.name, "arguments": call.arguments}}
            return
        place = {} if self.style == "llama.cpp" else {"index": index}
        yield {**place, **head, "function": {"name": call.name, "arguments": ""}}
        later = {"id": ""} if self.style == "vllm" else {}
        for piece in cut(call.arguments, 3):
            yield {**place, **later, "function": {"arguments": piece}}

    def _chunk(self, delta: dict[str, Any], body: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1795280000,
            "model": body["model"],
            "choices": [choice],
            "usage": None,
        }
        options = body.get("stream_options") or {}
        match self.style:
            case "openai" if options.get("include_obfuscation", True):
                chunk["obfuscation"] = "aB3dE"
            case "groq" if finish and self.figures is not None:
                chunk["x_groq"] = {"id": "req_1", "usage": self._usage()}
            case "cerebras" if finish:
                chunk["time_info"] = {"total_time": 0.02}
            case "together":
                delta["token_id"] = 12
                chunk["warnings"], choice["logprobs"] = [], 0.5
                chunk["usage"] = self._usage() if finish and self.figures is not None else None
            case "vllm" if self.figures is not None and options:
                made = 1 if finish is None else self.figures.output
                chunk["usage"] = {**self._usage(), "completion_tokens": made}
            case "llama.cpp" if finish:
                chunk["timings"] = {"predicted_per_second": 61.5}
            case _:
                pass
        return sse(chunk)

    def _usage(self) -> dict[str, Any]:
        assert self.figures is not None
        figures = self.figures
        return {
            "prompt_tokens": figures.input,
            "completion_tokens": figures.output,
            "total_tokens": figures.input + figures.output,
            "prompt_tokens_details": {"cached_tokens": figures.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": figures.reasoning, "audio_tokens": 0},
        }

    # --- for a test ---------------------------------------------------------------------------------------------------

    def fails_to_write_a_call(self) -> None:
        """The next request is answered as Groq answers where the model's call could not be read."""
        answer = self.error(400, "Failed to call a function. See 'failed_generation' for more details.")
        body = json.loads(bytes(answer.body))  # type: ignore[arg-type]  # an error's body is bytes
        body["error"] |= {"code": "tool_use_failed", "failed_generation": "<function=find_table"}
        self.faults.refusals.append(attrs.evolve(answer, body=json.dumps(body).encode()))


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
