"""What the simulated language models share: what they reply, and how they count it."""

from __future__ import annotations

import abc
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, TypeAlias

import attrs

from callengine.ports import ToolCall
from callengine.testing.vendors.base import Answer, Request, Vendor
from callengine.testing.words import Vocabulary

Part: TypeAlias = str | ToolCall | bytes

TOOL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
"""Names of functions that every vendor takes."""


@attrs.frozen
class Reply:
    """What a model says: texts and calls in order, and ends with (the vendor's word for it; empty: the usual one).

    Bytes are sent as they are, in their place. A ``thought`` comes before everything else. ``whole`` bytes are all of
    the answer's body.
    """

    parts: tuple[Part, ...] = ()
    finish: str = ""
    thought: str = ""
    whole: bytes | None = None

    @property
    def calls(self) -> list[ToolCall]:
        """The calls in it."""
        return [part for part in self.parts if isinstance(part, ToolCall)]


@attrs.frozen
class Figures:
    """What a reply is said to have cost, in tokens. ``cached`` and ``cache_written`` are parts of ``input``, and
    ``reasoning`` one of ``output``."""

    input: int = 412
    cached: int = 256
    cache_written: int = 0
    output: int = 18
    reasoning: int = 0


class FakeLanguageModel(Vendor, abc.ABC):
    """Base of the simulated language models.

    It replies what it was told to (`replies`), one reply a request, and repeats what the user said when it was told
    nothing. It refuses what the real one refuses (400), and complains of it.
    """

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        super().__init__(vocabulary)
        self.asked: list[dict[str, Any]] = []
        """The body of every request for a reply that was taken."""
        self.figures: Figures | None = Figures()
        """What replies cost; None: it does not say."""
        self._replies: deque[Reply] = deque()

    def replies(self, *parts: Part, finish: str = "", thought: str = "") -> None:
        """Say this to one of the next requests: see `Reply`."""
        self._replies.append(Reply(parts, finish, thought))

    def streams(self, data: bytes) -> None:
        """Answer one of the next requests with these bytes, whatever they are."""
        self._replies.append(Reply(whole=data))

    # --- for a subclass -----------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def refusal(self, request: Request) -> Answer | None:
        """Why this request is refused before its body is looked at: its key."""

    @abc.abstractmethod
    def is_reply(self, request: Request) -> bool:
        """Whether a reply is asked for."""

    def other(self, request: Request) -> Answer:
        """Answer anything else."""
        return self.error(404, f"no such path: {request.path}")

    @abc.abstractmethod
    def problems(self, body: dict[str, Any]) -> Iterator[str]:
        """What is wrong with a request's body."""

    @abc.abstractmethod
    def last_words(self, body: dict[str, Any]) -> str:
        """What the user said last."""

    @abc.abstractmethod
    def events(self, reply: Reply, body: dict[str, Any]) -> Iterator[bytes]:
        """The stream of a reply, event by event."""

    # --- what they share ----------------------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Answer:
        """Check a request, and reply."""
        refused = self.refusal(request)
        if refused is not None:
            return refused
        if not (request.method == "POST" and self.is_reply(request)):
            return self.other(request)
        body = request.json
        problem = next(self.problems(body), "") if isinstance(body, dict) else "the body is no JSON object"
        if problem:
            self.complain(problem)
            return self.error(400, problem)
        self.asked.append(body)
        reply = self._replies.popleft() if self._replies else Reply((f"You said: {self.last_words(body)}",))
        stream = self.events(reply, body) if reply.whole is None else iter([reply.whole])
        return Answer(200, _each(stream), {"content-type": "text/event-stream"})


async def _each(events: Iterator[bytes]) -> AsyncIterator[bytes]:
    for event in events:
        yield event


def sse(data: object, event: str = "") -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return (f"event: {event}\n" if event else "").encode() + f"data: {text}\n\n".encode()


def pieces(text: str) -> list[str]:
    """A text as a model streams it: a word a piece, with the space before it."""
    return re.findall(r"\s*\S+|\s+$", text)


def cut(text: str, size: int) -> list[str]:
    """A text in pieces of so many characters."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def names_of_tools(declared: Sequence[Any], schema: str) -> Iterator[str]:
    """What is wrong with functions that are declared, each an object with a name and (under ``schema``) parameters."""
    seen: set[str] = set()
    for tool in declared:
        name = tool.get("name") if isinstance(tool, dict) else None
        if not isinstance(name, str) or not TOOL_NAME.fullmatch(name):
            yield f"a function's name is {name!r}"
        elif name in seen:
            yield f"two functions are called {name}"
        elif not isinstance(tool.get(schema), dict) or tool[schema].get("type") != "object":
            yield f"the parameters of {name} are no schema of an object"
        seen.add(str(name))
