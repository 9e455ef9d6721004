"""The desk: how an agent answers a call. It is the program of a call whose user wrote no program.

Turns come one after the other; a reply that is cut returns at once, so the next turn never waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import attrs

from callengine.brain.agent import Agent
from callengine.brain.history import History
from callengine.brain.prompt import system_prompt
from callengine.call.conductor import CallerTurn, NotUnderstood, Unfinished
from callengine.errors import CallEnded, ProviderError
from callengine.turns.heard import Heard

if TYPE_CHECKING:
    from callengine.brain.dialogue import Dialogue, FlowAction, FlowReply
    from callengine.call.call import Call
    from callengine.call.llm import Writer


log = logging.getLogger(__name__)


class Desk:
    """Answers one call for an agent: by its language model, or by its flow's dialogue."""

    def __init__(self, call: Call, agent: Agent, writer: Writer | None, dialogue: Dialogue | None) -> None:
        self._call = call
        self._agent = agent
        self._writer = writer
        self._dialogue = dialogue
        self._history = History()
        self._system = system_prompt(agent)
        self._failures = 0

    async def run(self) -> None:
        """Greet, then answer turn after turn until the call ends."""
        if self._agent.greeting:
            await self._attempt(partial(self._say, self._agent.greeting, may_wait=False))
        while True:
            item = await self._call.next_item()
            match item:
                case CallerTurn():
                    self._history.caller_said(item.text)
                    await self._attempt(self._answer)
                case Unfinished():
                    await self._attempt(partial(self._say, item.text))
                case NotUnderstood():
                    await self._attempt(partial(self._say, self._agent.not_understood))

    async def _attempt(self, reply: Callable[[], Awaitable[Heard | None]]) -> None:
        """Reply; apologise where that fails, and give the call up after too many failures in a row."""
        try:
            heard = await reply()
        except ProviderError as error:
            await self._failed(error)
        else:
            if heard is None or heard.heard:
                self._failures = 0

    async def _failed(self, error: ProviderError) -> None:
        call = self._call
        while True:
            self._failures += 1
            if self._failures >= call.settings.max_failures:
                await call.give_up(f"{call.part(error)}: {self._failures} replies in a row failed: {error}")
                return
            call.journal.note("decision", what="apologise", reason=f"the reply failed: {error}")
            try:
                await self._say(self._agent.apology)
                return
            except ProviderError as voice:  # silence would be worse than another try
                error = voice

    async def _say(self, what: str | AsyncIterable[str], *, may_wait: bool = True) -> Heard:
        """Say it; where the voice breaks off on the way, say the rest.

        Raises `ProviderError` where the voice breaks off again.
        """
        heard = await self._say_once(what, may_wait=may_wait)
        if not _broke_off(heard):
            return heard
        self._call.journal.note("decision", what="say the rest", reason="the voice broke off")
        rest = await self._say_once(heard.unheard)
        if _broke_off(rest):
            raise ProviderError("tts", "the voice broke off twice")
        return attrs.evolve(
            rest,
            said=heard.said,
            heard=f"{heard.heard} {rest.heard}".strip(),
        )

    async def _say_once(self, what: str | AsyncIterable[str], *, may_wait: bool = True) -> Heard:
        heard = await self._call.speaker.say(what, may_wait=may_wait)
        self._history.agent_said(heard)
        return heard

    async def _answer(self) -> Heard | None:
        if self._dialogue is not None:
            return await self._answer_by_flow(self._dialogue)
        assert self._writer is not None
        async with self._writer.reply(self._history.messages(self._system)) as text:
            heard = await self._say(text)
        if not heard.said and heard.cut_by is None:
            raise ProviderError("llm", "a reply without any words")
        return heard

    async def _answer_by_flow(self, dialogue: Dialogue) -> Heard | None:
        reply: FlowReply | None = await dialogue.answer(self._history.unanswered())
        heard = None
        while reply is not None:
            self._call.journal.note("decision", what="flow", reason=reply.decision)
            if reply.sentences:
                heard = await self._say(" ".join(reply.sentences))
                if not heard.complete:
                    dialogue.interrupted(heard.heard)
                    return heard
            if reply.hang_up:
                await self._call.hang_up("the conversation is over")
                return heard
            action, reply = reply.action, None
            if action is not None:
                reply = await self._act(dialogue, action)
        return heard

    async def _act(self, dialogue: Dialogue, action: FlowAction) -> FlowReply:
        """Run a flow's function: the user's code, whose failure is told to the caller and is not the call's end."""
        try:
            result = await action.function(self._call, action.slots)
        except CallEnded:
            raise
        except Exception:
            log.exception("call %s: the action of %r failed", self._call.id, action.name)
            return dialogue.failed()
        return dialogue.acted(result)


def _broke_off(heard: Heard) -> bool:
    """Whether the voice failed on the way: nobody cut it, and yet it is not complete."""
    return not heard.complete and heard.cut_by is None and bool(heard.said)
