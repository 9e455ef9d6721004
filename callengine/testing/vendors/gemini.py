"""A simulated Gemini (streamGenerateContent)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from callengine.ports import ToolCall
from callengine.testing.vendors.base import Answer, Request
from callengine.testing.vendors.language_models import FakeLanguageModel, Reply, names_of_tools, pieces, sse

_KNOWN = frozenset({
    "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent",
    "labels",
})  # fmt: skip

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}

SIGNATURE = "sealed-thought"
"""On the first call of every reply; it must come back there."""

_ANY_SIGNATURE = "skip_thought_signature_validator"


class FakeGemini(FakeLanguageModel):
    """Speaks streamGenerateContent. Calls come whole, with a `SIGNATURE` on the first of a reply; a thought is a part
    that says so. A call whose id is empty comes without one. A reply's ``finish`` is its ``finishReason``; with
    ``blocked:SAFETY``, the prompt is refused for that reason."""

    hosts = ("generativelanguage.googleapis.com",)

    def error(self, status: int, message: str) -> Answer:
        return Answer.of(
            {"error": {"code": status, "message": message, "status": _STATUS.get(status, "INTERNAL")}}, status
        )

    def exhausted(self, message: str = "Quota exceeded.", *, delay: str = "27s", quota: str = "PerMinute") -> Answer:
        """The answer to one request too many; put it into ``faults.refusals``."""
        kind = "type.googleapis.com/google.rpc."
        violations = [{"quotaId": f"GenerateRequests{quota}PerProject"}]
        details = [
            {"@type": f"{kind}QuotaFailure", "violations": violations},
            {"@type": f"{kind}RetryInfo", "retryDelay": delay},
        ]
        error = {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}
        return Answer.of({"error": error}, 429)

    def refusal(self, request: Request) -> Answer | None:
        if "key" in request.query:
            self.complain("the key is in the address, which is written into logs")
        right = request.headers.get("x-goog-api-key") == self.key
        return None if right else self.error(400, "API key not valid. Please pass a valid API key.")

    def is_reply(self, request: Request) -> bool:
        reply = request.path.startswith("/v1beta/models/") and request.path.endswith(":streamGenerateContent")
        if reply and request.parameter("alt") != "sse":
            self.complain("without alt=sse the reply is one JSON array")
        return reply

    def other(self, request: Request) -> Answer:
        if request.method == "GET" and request.path == "/v1beta/models":
            return Answer.of({"models": [{"name": "models/gemini-3.8-flash"}]})
        return super().other(request)

    # --- what it is asked ---------------------------------------------------------------------------------------------

    def problems(self, body: dict[str, Any]) -> Iterator[str]:
        yield from (f'Invalid JSON payload received. Unknown name "{key}"' for key in body if key not in _KNOWN)
        for tool in body.get("tools", []):
            yield from names_of_tools(tool.get("functionDeclarations", []), "parametersJsonSchema")
        thinking = (body.get("generationConfig") or {}).get("thinkingConfig") or {}
        if "thinkingLevel" in thinking and "thinkingBudget" in thinking:
            yield "You can only set one of thinking budget and thinking level."
        contents = body.get("contents")
        if not isinstance(contents, list) or not contents:
            yield "contents is not specified"
            return
        if contents[0].get("role") != "user":
            yield "Please ensure that multiturn requests begin with a user turn."
        if contents[-1].get("role") != "user":
            yield "Please ensure that multiturn requests end with a user turn or a function response."
        yield from self._wrong_contents(contents)

    def _wrong_contents(self, contents: list[Any]) -> Iterator[str]:
        calls: list[tuple[str, str]] = []
        for number, content in enumerate(contents):
            role, parts = content.get("role"), content.get("parts")
            if role not in ("user", "model") or not isinstance(parts, list) or not parts:
                yield f"contents[{number}]: Please use a valid role: user, model."
                return
            answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
            if sorted((a.get("id", ""), a["name"]) for a in answers) != sorted(calls) or (
                calls and len(answers) != len(parts)
            ):
                yield f"contents[{number}]: the number of function response parts must equal the function call parts"
            calls = [(p["functionCall"].get("id", ""), p["functionCall"]["name"]) for p in parts if "functionCall" in p]
            if calls and role != "model":
                yield f"contents[{number}]: a function call of the user"
            signed = [part.get("thoughtSignature") for part in parts if "functionCall" in part]
            if calls and signed[0] not in (SIGNATURE, _ANY_SIGNATURE):
                yield f"contents[{number}]: Function call is missing a thought_signature."
            for part in parts:
                yield from _wrong_part(number, part)

    def last_words(self, body: dict[str, Any]) -> str:
        texts = [p["text"] for c in body["contents"] if c["role"] == "user" for p in c["parts"] if "text" in p]
        return str(texts[-1]) if texts else ""

    # --- what it says -------------------------------------------------------------------------------------------------

    def events(self, reply: Reply, body: dict[str, Any]) -> Iterator[bytes]:
        del body
        start = (
            {}
            if self.figures is None
            else {"promptTokenCount": self.figures.input, "totalTokenCount": self.figures.input}
        )
        if reply.finish.startswith("blocked:"):
            yield _piece({"promptFeedback": {"blockReason": reply.finish.removeprefix("blocked:")}}, start)
            return
        if reply.thought:
            yield _piece(_candidate({"text": reply.thought, "thought": True}), start)
        for part in reply.parts:
            if isinstance(part, bytes):
                yield part
            elif isinstance(part, ToolCall):
                call: dict[str, Any] = {"name": part.name, "args": json.loads(part.arguments or "{}")}
                if part.id:
                    call = {"id": part.id, **call}
                signature = {"thoughtSignature": SIGNATURE} if part is reply.calls[0] else {}
                yield _piece(_candidate({"functionCall": call, **signature}), start)
            else:
                for piece in pieces(part):
                    yield _piece(_candidate({"text": piece}), start)
        yield _piece(_candidate({"text": ""}, reply.finish or "STOP"), self._usage())

    def _usage(self) -> dict[str, Any]:
        if self.figures is None:
            return {}
        figures = self.figures
        return {
            "promptTokenCount": figures.input,
            "candidatesTokenCount": figures.output - figures.reasoning,
            "thoughtsTokenCount": figures.reasoning,
            "cachedContentTokenCount": figures.cached,
            "totalTokenCount": figures.input + figures.output,
        }


def _wrong_part(number: int, part: dict[str, Any]) -> Iterator[str]:
    if "text" in part and not str(part["text"]).strip():
        yield f"contents[{number}]: a part's text is empty"
    for kind, field in (("functionCall", "args"), ("functionResponse", "response")):
        if kind in part and not isinstance(part[kind].get(field), dict):
            yield f"contents[{number}]: {field} of a {kind} is no object"


def _candidate(part: dict[str, Any], finish: str = "") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate]}


def _piece(content: dict[str, Any], usage: dict[str, Any]) -> bytes:
    figures = {"usageMetadata": usage} if usage else {}
    return sse({**content, **figures, "modelVersion": "gemini-3.8-flash", "responseId": "r1"})
