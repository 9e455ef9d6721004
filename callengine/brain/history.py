"""The conversation as it was heard: what a language model is told of it."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

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

    def agent_said(self, heard: Heard) -> None:
        """The agent said something, or was cut saying it. What nobody heard was not said."""
        if heard.complete and heard.said:
            self._entries.append(_Entry(False, heard.said))
        elif heard.heard:
            self._entries.append(_Entry(False, f"{heard.heard} {INTERRUPTED}", cut=True))

    def take_back(self) -> None:
        """The caller went on so soon that the answer he cut is withdrawn: he heard hardly a word of it."""
        if self._entries and self._entries[-1].cut:
            self._entries.pop()

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
            if messages and messages[-1].role == role:
                messages[-1] = Message(role, f"{messages[-1].content} {entry.text}")
            else:
                messages.append(Message(role, entry.text))
        return messages
