"""The conversation as it was heard: what a language model is told of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from callengine.brain.tools.results import CANCELLED, CUT_OFF, ToolRound
from callengine.outcome import Turn
from callengine.ports import Message, Role
from callengine.turns.heard import Heard

INTERRUPTED = "[interrupted by the caller]"
"""Told to the model behind the words that the caller heard."""


@attrs.frozen
class _Entry:
    caller: bool
    text: str
    cut: bool = False
    round: ToolRound | None = None
    """The tools that were called behind this text."""

    @property
    def open(self) -> bool:
        """Whether tools were called behind a text of which nothing is known yet."""
        return self.round is not None and not self.text


class History:
    """What was said and heard, in order. The agent's words are in it only as far as the caller heard them."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def recall(self, turns: Iterable[Turn]) -> None:
        """What was said in a call before this one, of the same caller."""
        for turn in turns:
            if turn.caller and not turn.keyed:
                self.caller_said(turn.caller)
            self.agent_said(Heard(turn.said, turn.heard, turn.complete, turn.interrupted_by, turn.certainty))

    def caller_said(self, text: str) -> None:
        """The caller finished a turn."""
        self._entries.append(_Entry(True, text))

    def tools_called(self, called: ToolRound) -> None:
        """The model called tools, which run from here on. What it said before is known when the reply is over."""
        self._entries.append(_Entry(False, "", round=called))

    def agent_said(self, heard: Heard) -> None:
        """The agent said something, or was cut saying it. What nobody heard was not said."""
        first = len(self._entries)
        while first and self._entries[first - 1].open:
            first -= 1
        at = end = 0
        for index in range(first, len(self._entries)):
            entry = self._entries[index]
            assert entry.round is not None
            for sentence in entry.round.sentences:
                found = heard.said.find(sentence, end)
                end = found + len(sentence) if found >= 0 else end
            self._entries[index] = attrs.evolve(entry, **_heard_part(heard, at, end, len(heard.heard) < end))
            at = end
        last = _heard_part(heard, at, None, not heard.complete)
        if last["text"]:
            self._entries.append(_Entry(False, **last))

    def reply_over(self, *, interrupted: bool) -> None:
        """The reply is over: tools of it that were not run will not be run."""
        for entry in reversed(self._entries):
            if entry.caller:
                break
            if entry.round is not None:
                entry.round.give_up(CANCELLED if interrupted else CUT_OFF)

    def take_back(self) -> None:
        """The caller went on so soon that the answer he cut is withdrawn: he heard hardly a word of it. The tools that
        it called were called."""
        for index in range(len(self._entries) - 1, -1, -1):
            entry = self._entries[index]
            if entry.cut and entry.round is None:
                del self._entries[index]
            elif entry.cut:
                self._entries[index] = _Entry(False, "", round=entry.round)
            if entry.cut or entry.round is None:
                break

    def forget_turn(self) -> None:
        """The caller's last turn was only guessed, and wrong."""
        if self._entries and self._entries[-1].caller:
            self._entries.pop()

    def unanswered(self) -> str:
        """What the caller said since the agent was last heard."""
        texts: list[str] = []
        for entry in reversed(self._entries):
            if not entry.caller:
                break
            texts.append(entry.text)
        return " ".join(reversed(texts))

    def messages(self, system: str) -> list[Message]:
        """The conversation for a language model; neighbouring entries of one side are joined."""
        messages = [Message("system", system)] if system else []
        for entry in self._entries:
            role: Role = "user" if entry.caller else "assistant"
            new = [Message(role, entry.text)] if entry.round is None else entry.round.messages(entry.text)
            if messages and messages[-1].role == role and not messages[-1].tool_calls:
                before = messages.pop()
                new[0] = attrs.evolve(new[0], content=f"{before.content} {new[0].content}".strip())
            messages += new
        return messages


def _heard_part(heard: Heard, start: int, end: int | None, cut: bool) -> dict[str, Any]:
    """What was heard of the part from ``start`` to ``end``, as an entry has it."""
    text = (heard.said if heard.complete else heard.heard)[start:end].strip()
    cut = cut and not heard.complete and bool(text)
    return {"text": f"{text} {INTERRUPTED}" if cut else text, "cut": cut}
