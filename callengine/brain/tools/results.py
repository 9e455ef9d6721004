"""What a model is told of what became of its calls."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, TypeAlias

import attrs

from callengine.errors import CallEngineError
from callengine.masking import MAX_TEXT, printable
from callengine.ports import Message, ToolCall

MAX_RESULT = 8_000
"""Characters of a result that the model is told, about 2,000 tokens: more than that only makes its answer late."""

RUNNING = "Still running. When it is done, its result stands here in place of this."
CANCELLED = "Cancelled before it was done, because the caller interrupted."
CUT_OFF = "Cancelled before it was done, because the reply was cut off."
LATE = "[This came when your reply was over: the caller has not been told.]"

State: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled"]


def result_text(value: Any) -> str:
    """What a tool returned, as the model is told: a text as it is, anything else as JSON; cut at `MAX_RESULT`.

    Raises `TypeError` for what JSON cannot hold.
    """
    if value is None:
        return "Done."
    text = value if isinstance(value, str) else json.dumps(value, default=_plain, ensure_ascii=False)
    if len(text) > MAX_RESULT:
        return f"{text[:MAX_RESULT]}\n[Cut: these are {MAX_RESULT} of {len(text)} characters.]"
    return text or "Done, without a result."


def _plain(value: object) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    cls: type[Any] = type(value)
    if attrs.has(cls):
        return {field.name: getattr(value, field.name) for field in attrs.fields(cls)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return list(value)
    raise TypeError(f"a tool returned a {type(value).__name__}: return a text, or plain values that JSON can hold")


def error_text(error: Exception) -> str:
    """What the model is told of an exception. The message of a stranger's is not for a caller's ears."""
    if isinstance(error, CallEngineError):
        return f"Failed: {printable(str(error))[:MAX_TEXT]}"
    return f"Failed: an internal error ({type(error).__name__})."


@attrs.define(eq=False)
class CalledTool:
    """One call of a model's, and what became of it."""

    call: ToolCall
    state: State = "waiting"
    content: str = ""
    late: bool = False
    """Whether it was done when the reply that it was for had ended."""
    alone: bool = False
    """Whether that reply has ended."""

    def begin(self) -> None:
        """It runs."""
        self.state = "running"

    def end(self, state: State, content: str = "") -> None:
        """It is over, with this for the model; of what was cancelled, `give_up` says why."""
        self.state, self.content, self.late = state, content, self.alone

    def give_up(self, why: str) -> None:
        """The reply that it was for has ended: it will not be run any more."""
        self.alone = True
        if self.state in ("waiting", "cancelled"):
            self.state, self.content = "cancelled", self.content or why

    def message(self) -> Message:
        """The result, as of now."""
        content = RUNNING if self.state in ("waiting", "running") else self.content
        if self.late:
            content = f"{content}\n{LATE}"
        return Message("tool", content, tool_call_id=self.call.id, failed=self.state in ("failed", "cancelled"))


@attrs.define(eq=False)
class ToolRound:
    """What a model wrote in one go, up to its calls."""

    text: str
    sentences: tuple[str, ...]
    """The same as it is spoken, with the filler where there is one."""
    called: tuple[CalledTool, ...]

    def messages(self, text: str | None = None) -> list[Message]:
        """The assistant's message, with what was heard of it (None: all that was written), and the results."""
        calls = tuple(each.call for each in self.called)
        spoken = self.text if text is None else text
        return [Message("assistant", spoken, tool_calls=calls), *(each.message() for each in self.called)]

    def give_up(self, why: str) -> None:
        """The reply is over."""
        for each in self.called:
            each.give_up(why)
