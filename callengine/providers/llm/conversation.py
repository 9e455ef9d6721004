"""What every vendor wants of a conversation, whatever shape it writes it in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from callengine.ports import Message, ToolCall

CALL_BEGINS = "(The phone call begins.)"
"""The user's turn before one that the assistant begins, for vendors that want the user to speak first."""

GO_ON = "(The caller is waiting for you to go on.)"
"""The user's turn behind one of the assistant's, for vendors that answer nothing but a user."""

NO_RESULT = "There is no result: the call was interrupted."
"""The result of a call that the conversation has none for: every vendor refuses a call without one."""


def tidy(messages: Sequence[Message]) -> list[Message]:
    """The same conversation as every vendor takes it.

    Empty messages are left out, neighbours of one role joined; every call has one result right behind it, in the order
    of the calls (`NO_RESULT` where there was none), and a result without a call is left out.
    """
    results = {message.tool_call_id: message for message in messages if message.role == "tool"}
    tidied: list[Message] = []
    for message in messages:
        if message.role == "tool" or not (message.content.strip() or message.tool_calls):
            continue
        last = tidied[-1] if tidied else None
        if last is not None and last.role == message.role and not last.tool_calls:
            between = "\n\n" if message.role == "system" else " "
            joined = f"{last.content}{between}{message.content}".strip()
            tidied[-1] = attrs.evolve(message, content=joined)
        else:
            tidied.append(message)
        for call in message.tool_calls:
            missing = Message("tool", NO_RESULT, tool_call_id=call.id, failed=True)
            tidied.append(results.get(call.id, missing))
    return tidied


def instructions(messages: Sequence[Message]) -> tuple[str, list[Message]]:
    """The instructions that a conversation begins with, and the rest, tidied, for vendors that want them apart.

    The rest begins and ends with a user's turn or a result; instructions within it are told as the user's.
    """
    tidied = tidy(messages)
    system = tidied.pop(0).content if tidied and tidied[0].role == "system" else ""
    rest = tidy([attrs.evolve(m, role="user") if m.role == "system" else m for m in tidied])
    if not rest or rest[0].role != "user":
        rest.insert(0, Message("user", CALL_BEGINS))
    if rest[-1].role == "assistant":
        rest.append(Message("user", GO_ON))
    return system, rest


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """A call's arguments as the object that they should be; what is none stands in it under ``arguments``."""
    if not call.arguments.strip():
        return {}
    try:
        value = json.loads(call.arguments)
    except ValueError:
        value = call.arguments
    return value if isinstance(value, dict) else {"arguments": value}


def whole(arguments: str) -> bool:
    """Whether this is a JSON object from its first to its last character: then nothing can be missing behind it."""
    if not arguments.rstrip().endswith("}"):
        return False
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False


def merged(body: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """One JSON object put over another: objects within them are put over each other, everything else is replaced."""
    result = dict(body)
    for key, value in over.items():
        there = result.get(key)
        both = isinstance(there, Mapping) and isinstance(value, Mapping)
        result[key] = merged(there, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return result


class CallIds:
    """Gives the calls of one reply ids that the conversation does not have yet.

    Some servers send none, or one twice.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._taken = {call.id for message in messages for call in message.tool_calls}

    def of(self, vendors: object) -> str:
        """The vendor's own id where it is one, else another."""
        chosen = vendors if isinstance(vendors, str) else ""
        made = 0
        while not chosen or chosen in self._taken:
            made += 1
            chosen = f"call_{made}"
        self._taken.add(chosen)
        return chosen


class Thoughts:
    """What a vendor wants to see again together with the next call: its reasoning, sealed by it.

    Remembers what stood in front of the reply's first text, and what behind it.
    """

    def __init__(self, vendor: str) -> None:
        self._vendor = vendor
        self._first: list[Any] = []
        self._then: list[Any] = []

    def add(self, thought: Any, *, spoke: bool) -> None:
        """The model thought this."""
        (self._then if spoke else self._first).append(thought)

    def take(self) -> tuple[str, Any] | None:
        """The `ToolCall.opaque` of the call that comes now."""
        if not (self._first or self._then):
            return None
        taken = (self._vendor, {"first": self._first, "then": self._then})
        self._first, self._then = [], []
        return taken


def thoughts_of(call: ToolCall, vendor: str) -> tuple[list[Any], list[Any]]:
    """What stood in front of the text and in front of this call, if it was this vendor's model that made the call."""
    if call.opaque is None or call.opaque[0] != vendor:
        return [], []
    return call.opaque[1]["first"], call.opaque[1]["then"]
