"""Puts the calls of a streamed chat completion together, without I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from callengine.ports import LlmEvent, Message, ToolCall
from callengine.providers.llm.conversation import CallIds, whole


@attrs.define
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""
    told: bool = False


class ChatTools:
    """Merges fragments of calls, as servers of every kind send them.

    By index, and without one; interleaved; whole in one chunk; with an empty or repeated id in later fragments. A call
    is handed out as soon as its arguments are a whole JSON object, else when the reply ends.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._ids = CallIds(messages)
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    @property
    def begun(self) -> bool:
        """Whether a call has begun."""
        return bool(self._calls)

    @property
    def unfinished(self) -> str:
        """The name of a call whose arguments are not whole; empty: none."""
        return next((call.name for call in self._calls if not call.told), "")

    def feed(self, fragments: object) -> list[LlmEvent]:
        """The ``tool_calls`` of a delta."""
        if not isinstance(fragments, list):
            return []
        events: list[LlmEvent] = []
        for fragment in fragments:
            function = fragment.get("function") if isinstance(fragment, dict) else None
            if not isinstance(function, dict):
                continue
            arguments = function.get("arguments")
            arguments = json.dumps(arguments) if isinstance(arguments, dict) else _text(arguments)
            id, name = _text(fragment.get("id")), _text(function.get("name"))
            call = self._call(fragment.get("index"), id, name, arguments)
            if not call.told:
                call.arguments += arguments
                if whole(call.arguments) and call.name:
                    events.append(self._tell(call))
        return events

    def finish(self) -> list[LlmEvent]:
        """The reply has ended: the calls that are still held, as they are."""
        return [self._tell(call) for call in self._calls if not call.told and call.name]

    def _call(self, index: Any, id: str, name: str, arguments: str) -> _Call:
        """The call that a fragment belongs to, or a new one."""
        if isinstance(index, int):
            known = self._by_index.get(index)
        elif id:
            known = next((call for call in self._calls if call.id == id), None)
        else:
            known = self._calls[-1] if self._calls and not name else None
        # Some servers give every call the index 0.
        if known is None or (name and ((known.told and arguments) or (id and known.id and id != known.id))):
            known = _Call()
            self._calls.append(known)
            if isinstance(index, int):
                self._by_index[index] = known
        known.id, known.name = known.id or id, known.name or name
        return known

    def _tell(self, call: _Call) -> ToolCall:
        call.told = True
        return ToolCall(self._ids.of(call.id), call.name, call.arguments)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
