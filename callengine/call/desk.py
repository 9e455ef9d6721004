"""The desk: how an agent answers a call. It is the program of a call whose user wrote no program.

Turns come one after the other; a reply that is cut returns at once, so the next turn never waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import attrs
import trio

from callengine.audio.clip import Clip
from callengine.brain.agent import Agent
from callengine.brain.history import History
from callengine.brain.prompt import system_prompt
from callengine.call.items import Away, EndsSoon, NotUnderstood, OpenTurn, Unfinished
from callengine.call.purse import Purse
from callengine.call.toolbench import Toolbench
from callengine.call.writing import TextSource
from callengine.cleanup import single, unless
from callengine.errors import CallEnded, ProviderError
from callengine.outcome import Turn
from callengine.turns.heard import Heard

if TYPE_CHECKING:
    from callengine.brain.dialogue import Dialogue, FlowAction, FlowReply
    from callengine.call.call import Call
    from callengine.call.llm import Writer


log = logging.getLogger(__name__)


class Desk:
    """Answers one call for an agent: by its language model, or by its flow's dialogue."""

    def __init__(
        self,
        call: Call,
        agent: Agent,
        writer: Writer | None,
        dialogue: Dialogue | None,
        before: tuple[Turn, ...] = (),
    ) -> None:
        self._call = call
        self._agent = agent
        self._dialogue = dialogue
        self._history = History()
        self._history.recall(before)
        system = system_prompt(agent)
        self._bench = None if writer is None else Toolbench(call, agent, writer, self._history, system)
        self._failures = 0

    async def run(self) -> None:
        """Greet, then answer turn after turn until the call ends."""
        if self._agent.greeting:
            await self._attempt(partial(self._say, self._agent.greeting, may_wait=False))
        while True:
            item = await self._call.next_item()
            match item:
                case OpenTurn():
                    await self._take_turn(item)
                case Unfinished():
                    await self._attempt(partial(self._say, item.text))
                case NotUnderstood():
                    await self._attempt(partial(self._say, self._agent.not_understood))
                case Away():
                    await self._attempt(partial(self._say, self._agent.away_prompt))
                case EndsSoon():
                    await self._attempt(partial(self._say, self._agent.time_warning))

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

    async def _say(
        self, what: str | TextSource | Clip, *, may_wait: bool = True, may_think: Callable[[], bool] | None = None
    ) -> Heard:
        """Say it; where the voice breaks off on the way, say the rest.

        Raises `ProviderError` where the voice breaks off again.
        """
        heard = await self._say_once(what, may_wait=may_wait, may_think=may_think)
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

    async def _say_once(
        self, what: str | TextSource | Clip, *, may_wait: bool = True, may_think: Callable[[], bool] | None = None
    ) -> Heard:
        heard = await self._call.speaker.say(what, may_wait=may_wait, may_think=may_think)
        self._history.agent_said(heard)
        return heard

    async def _take_turn(self, turn: OpenTurn) -> None:
        if turn.turn.continues:
            self._history.take_back()
        text = turn.turn.text
        if turn.turn.keyed and self._dialogue is None:
            text = f"[keyed in: {text or 'nothing'}]"
        self._history.caller_said(text)
        if self._dialogue is not None:
            await self._attempt(partial(self._answer_by_flow, self._dialogue))
            return
        purse = Purse(self._call.journal, turn.turn.number)
        with purse.opened():
            try:
                await self._answer_turn(turn)
            finally:
                purse.wasted = not turn.certain.is_set()

    async def _answer_turn(self, turn: OpenTurn) -> None:
        assert self._bench is not None
        bench, before = self._bench, self._bench.pieces
        answer = partial(self._attempt, partial(self._answer_by_model, turn, bench))
        finished, _ = await unless(turn.withdrawn, answer)
        while finished and bench.wants_line:
            await bench.use_line(turn.turn.number)
            finished, _ = await unless(turn.withdrawn, answer)
        if not finished and not turn.certain.is_set():
            self._history.forget_turn()
            self._call.counters["pieces of text guessed for nothing"] += bench.pieces - before

    async def _answer_by_model(self, turn: OpenTurn, bench: Toolbench) -> Heard | None:
        cut_by: str | None = "caller"  # he also withdraws turns
        try:
            heard = await self._say(partial(bench.reply, turn), may_think=turn.certain.is_set)
            cut_by = heard.cut_by
            if cut_by is None and not heard.said and not bench.wants_line:
                raise ProviderError("llm", "a reply without any words")
            if cut_by is None and bench.owing:
                raise ProviderError("llm", "no words behind the results of its tools")
        except ProviderError:
            cut_by = "failure"
            raise
        finally:
            bench.reply_over(cut_by)
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
            async with self._filling():
                result = await action.function(self._call, action.slots)
        except CallEnded:
            raise
        except Exception:
            log.exception("call %s: the action of %r failed", self._call.id, action.name)
            return dialogue.failed()
        return dialogue.acted(result)

    @asynccontextmanager
    async def _filling(self) -> AsyncIterator[None]:
        """Say fillers while what is in here takes long; they end with it."""
        agent = self._agent

        async def fill() -> None:
            fillers = iter(agent.thinking)
            line: str | Clip | None = None
            while True:
                await self._call.silent_for(agent.thinking_after)
                line = next(fillers, line)
                if line is None:
                    return
                self._call.journal.note("decision", what="fill", reason="the action is not done yet")
                with suppress(ProviderError):  # the next sentence says so, if there is a voice at all
                    await self._call.speaker.say(line)

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fill)
                yield
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise single(group) from None


def _broke_off(heard: Heard) -> bool:
    """Whether the voice failed on the way: nobody cut it, and yet it is not complete."""
    return not heard.complete and heard.cut_by is None and bool(heard.said)
