"""The agent's replies, from a call's journal: what each of them answers, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from callengine.journal import Record

PROMPTS = ("announce the end", "apologise", "ask again", "ask whether the caller is there", "fill", "say goodbye")
"""Decisions after which the agent says something that is no answer to the caller's words."""
REST = "say the rest"
"""The decision after which it goes on with a reply that was cut for nothing."""
_OF_A_STORY = ("announce the end", "say goodbye")
"""Those that are carried out in a call whose program is a story; the others are the program's own business."""


@attrs.frozen
class Reply:
    """What the agent said in one go, or set out to say. Times are journal times; None where it did not happen."""

    utterance: int
    turn: int
    """Of the caller, that it answers or follows."""
    guess: bool = False
    """Whether it was begun before the caller's turn was over."""
    taken_back: bool = False
    """Whether that guess was wrong, so that nobody knows of it."""
    withdrawn: bool = False
    """Whether the caller went on before he had heard enough of it to be an answer."""
    prompt: str = ""
    """The decision it was said for (see `PROMPTS` and `REST`); empty for an answer, and for what a program says."""
    reason: str = ""
    """Of that decision."""
    token: float | None = None
    audio: float | None = None
    audible: float | None = None
    ended: float | None = None
    said: str = ""
    heard: str = ""
    complete: bool = False
    interrupted_by: str | None = None
    certainty: str = "clock"

    @property
    def answers(self) -> bool:
        """Whether the caller waited for this one after his words: an answer, or what came in place of one."""
        return self.prompt in ("", "apologise", "fill")

    @property
    def interrupted(self) -> bool:
        """Whether somebody cut it who could have listened."""
        return self.interrupted_by in ("caller", "application")

    @property
    def unheard(self) -> str:
        """The words that the caller did not hear; empty where the two cannot be compared."""
        return self.said[len(self.heard) :].strip() if self.said.startswith(self.heard) else ""


def replies_of(records: Iterable[Record]) -> list[Reply]:
    """Every reply of a call, in order; those that nobody knows of are ``taken_back``."""
    reader = _Reader()
    for record in records:
        reader.read(record)
    return reader.finish()


class _Reader:
    """Reads a journal from its start."""

    def __init__(self) -> None:
        self._replies: dict[int, Reply] = {}
        self._turn = 0
        self._guessing = False
        self._guesses: list[int] = []
        """Replies of the guess that is out."""
        self._prompt = ("", "")
        self._prompts: tuple[str, ...] = (*PROMPTS, REST)
        self._token: float | None = None
        """Of a reply whose start comes behind it in the journal."""

    def read(self, record: Record) -> None:
        data = record.data
        match record.kind:
            case "call.started" if data.get("agent") == "story":
                self._prompts = _OF_A_STORY
            case "decision":
                self._decided(data["what"], data["reason"])
            case "turn.ended":
                self._turn_ended(data)
            case "reply.token":
                self._got_token(record.t)
            case "reply.started" | "reply.text" | "reply.audio" | "reply.audible":
                self._happened(record)
            case "reply.ended":
                names = ("said", "heard", "complete", "interrupted_by", "certainty")
                self._note(data, ended=record.t, **{name: data[name] for name in names if name in data})

    def finish(self) -> list[Reply]:
        """The replies, when there are no more records."""
        self._settle_guess(right=False)
        return list(self._replies.values())

    def _decided(self, what: str, reason: str) -> None:
        if what == "guess":
            self._guessing = True
        elif what == "take back the guess":
            self._settle_guess(right=False)
        elif what in self._prompts and not (what == "fill" and self._open is not None):
            self._prompt = what, reason

    def _turn_ended(self, data: dict[str, Any]) -> None:
        self._turn = data["turn"]
        if data.get("guessed"):
            self._settle_guess(right=True)
        if data.get("continues"):
            for number, reply in self._replies.items():
                if reply.turn == self._turn - 1 and not reply.complete and not reply.prompt:
                    self._replies[number] = attrs.evolve(reply, withdrawn=True)

    def _settle_guess(self, *, right: bool) -> None:
        for number in self._guesses:
            self._replies[number] = attrs.evolve(self._replies[number], turn=self._turn, taken_back=not right)
        self._guesses, self._guessing = [], False

    @property
    def _open(self) -> Reply | None:
        """The reply that goes on."""
        newest = next(reversed(self._replies.values()), None)
        return newest if newest is not None and newest.ended is None else None

    def _got_token(self, t: float) -> None:
        reply = self._open
        if reply is None:
            self._token = t
        elif reply.token is None:
            self._replies[reply.utterance] = attrs.evolve(reply, token=t)

    def _happened(self, record: Record) -> None:
        part = record.kind.removeprefix("reply.")
        reply = self._note(record.data)
        if part in ("audio", "audible") and getattr(reply, part) is None:
            self._note(record.data, **{part: record.t})

    def _note(self, data: dict[str, Any], **changes: Any) -> Reply:
        number = data["utterance"]
        reply = self._replies.get(number)
        if reply is None:
            reply = self._new(number, data)
        reply = self._replies[number] = attrs.evolve(reply, **changes)
        return reply

    def _new(self, number: int, data: dict[str, Any]) -> Reply:
        (prompt, reason), self._prompt = self._prompt, ("", "")
        token, self._token = self._token, None
        guess = self._guessing and not prompt
        if guess:
            self._guesses.append(number)
        return Reply(number, data.get("turn", self._turn), guess=guess, prompt=prompt, reason=reason, token=token)
