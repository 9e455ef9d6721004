"""The toolbench: a model's reply, and the tools that it calls on the way.

A reply goes round by round: the model writes, and where it calls tools they are run, all at once, inside the reply;
then it is asked again, with their results. What cuts the reply cancels them, but for those that commit. Tools that use
the line wait until the reply's words were heard, and run behind it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from callengine.brain.agent import Agent
from callengine.brain.history import History
from callengine.brain.sentences import SentenceChunker
from callengine.brain.speakable import speakable
from callengine.brain.tools.kinds import WrongArgument
from callengine.brain.tools.results import CalledTool, State, ToolRound, error_text, result_text
from callengine.brain.tools.tool import Tool
from callengine.call.budget import Budget
from callengine.call.in_reply import runs_inside_reply
from callengine.call.items import OpenTurn
from callengine.call.story import in_thread
from callengine.call.writing import Interlude
from callengine.cleanup import single
from callengine.errors import CallEnded, CallEngineError
from callengine.masking import scrub
from callengine.ports import LlmEvent, TextDelta, ToolCall

if TYPE_CHECKING:
    from callengine.call.call import Call
    from callengine.call.llm import Writer

log = logging.getLogger(__name__)


class Toolbench:
    """Writes the replies of one call's language model, and runs the tools that it calls."""

    def __init__(self, call: Call, agent: Agent, writer: Writer, history: History, system: str) -> None:
        self._call = call
        self._writer = writer
        self._history = history
        self._system = system
        self._language = agent.language
        self._tools = {tool.name: tool for tool in agent.tools}
        self._specs = tuple(tool.spec for tool in agent.tools)
        self._turn: OpenTurn | None = None
        self._rounds = 0
        """Rounds of tools in this turn."""
        self.owing = False
        """Whether the model has written nothing behind the results of its last calls."""
        self._for_line: list[CalledTool] = []

    @property
    def pieces(self) -> int:
        """Pieces of text that were received so far: about as many tokens."""
        return self._writer.pieces

    @property
    def wants_line(self) -> bool:
        """Whether tools wait for the line."""
        return bool(self._for_line)

    @asynccontextmanager
    async def reply(self, turn: OpenTurn, budget: Budget) -> AsyncIterator[AsyncIterator[str | Interlude]]:
        """The text of a reply to what was said so far. Leaving the context cancels what still runs for it.

        The model has this budget for its first words, and as much again behind each round of tools.

        Raises `ProviderError`, from the text too.
        """
        if turn is not self._turn:
            self._turn, self._rounds = turn, 0
        self.owing = False
        if self._specs:
            async with self._write(turn, budget) as pieces:
                yield pieces
        else:
            async with self._writer.reply(self._history.messages(self._system), budget) as events:
                yield _Texts(events)

    @trio.as_safe_channel
    async def _write(self, turn: OpenTurn, budget: Budget) -> AsyncGenerator[str | Interlude, None]:
        messages = self._history.messages(self._system)
        while True:
            last = self._rounds >= self._call.settings.max_tool_rounds
            text, calls = "", []
            async with self._writer.reply(messages, budget, () if last else self._specs) as events:
                async for event in events:
                    if isinstance(event, ToolCall):
                        calls.append(event)
                    else:
                        self.owing = False
                        text += event.text
                        yield event.text
            if last or not calls:
                return
            self._rounds += 1
            filler = "" if text.strip() else self._filler(calls)
            if filler:
                yield filler
            yield Interlude()
            await turn.certain.wait()
            called = self._round(text, filler, calls)
            self.owing = True
            begun = trio.current_time()
            await self._run_all(called, turn.turn.number)
            budget.note("tools", trio.current_time() - begun)
            budget.left = budget.total
            if self._for_line:
                self.owing = False
                return
            messages += called.messages()

    def _filler(self, calls: list[ToolCall]) -> str:
        tools = (self._tools.get(call.name) for call in calls)
        return next((tool.filler for tool in tools if tool is not None and tool.filler), "")

    def _round(self, text: str, filler: str, calls: list[ToolCall]) -> ToolRound:
        chunker = SentenceChunker(language=self._language)
        pieces = [*chunker.push(text + filler), *chunker.flush()]
        spoken = (speakable(piece, language=self._language) for piece in pieces)
        called = ToolRound(text.strip(), tuple(filter(None, spoken)), tuple(map(CalledTool, calls)))
        self._history.tools_called(called)
        return called

    async def _run_all(self, called: ToolRound, turn: int) -> None:
        try:
            async with trio.open_nursery() as nursery:
                for each in called.called:
                    tool = self._tools.get(each.call.name)
                    if tool is not None and tool.line:
                        self._for_line.append(each)
                    else:
                        nursery.start_soon(self._run, each, turn)
        except BaseExceptionGroup as group:
            raise single(group) from None

    # --- behind the reply -------------------------------------------------------------------------------------------

    def reply_over(self, cut_by: str | None) -> None:
        """The reply was said (None), or cut by this, or broke off (``failure``): what waited for it will not be run."""
        if cut_by is not None:
            self._for_line.clear()
        if not self._for_line:
            self._history.reply_over(interrupted=cut_by == "caller")

    async def use_line(self, turn: int) -> None:
        """Run what waited for the line, one after the other."""
        while self._for_line:
            await self._run(self._for_line[0], turn)
            del self._for_line[0]

    # --- one tool ---------------------------------------------------------------------------------------------------

    async def _run(self, called: CalledTool, turn: int) -> None:
        call, tool = called.call, self._tools.get(called.call.name)
        if tool is None:
            known = ", ".join(self._tools)
            self._refuse(called, turn, "unknown", f"there is no tool {call.name!r}; there are: {known}")
            return
        try:
            arguments = tool.read(call.arguments)
        except WrongArgument as error:
            self._refuse(called, turn, "arguments", f"{error}")
            return
        work = partial(self._do, called, tool, arguments, turn)
        if tool.commit:
            await self._call.commits.do(work, timeout=tool.timeout)
        else:
            await work()

    def _refuse(self, called: CalledTool, turn: int, reason: str, text: str) -> None:
        self._call.counters["tool calls refused"] += 1
        self._call.journal.note("tool.refused", turn=turn, tool=scrub(called.call.name, 64), reason=reason)
        called.end("failed", f"Not run: {text}.")

    async def _do(self, called: CalledTool, tool: Tool, arguments: dict[str, Any], turn: int) -> None:
        call = self._call
        called.begin()
        begun = trio.current_time()
        call.journal.note("tool.started", turn=turn, tool=tool.name, commit=tool.commit)
        if not tool.line:
            runs_inside_reply(tool.name)
        state: State = "cancelled"
        text = ""
        try:
            with trio.move_on_after(tool.timeout):
                text = result_text(await self._result(tool, arguments))
                state = "done"
            if state != "done":
                state, text = "failed", f"Failed: no result within {tool.timeout:g} s. It may have been done or not."
                call.counters["tools timed out"] += 1
        except Exception as error:
            state, text = "failed", self._problem(tool, error)
        finally:
            state = self._after_all(tool, state)
            called.end(state, text)
            self._note_end(tool, state, turn, trio.current_time() - begun)

    def _after_all(self, tool: Tool, state: State) -> State:
        """A tool that ended the call, and itself with it, has done what it was for."""
        ended = self._call.ended and self._call.outcome.ended_by == "agent"
        return "done" if state == "cancelled" and tool.line and ended else state

    async def _result(self, tool: Tool, arguments: dict[str, Any]) -> Any:
        if not tool.blocking:
            return await tool.run(arguments, self._call)
        work = partial(tool.run, arguments)
        return await in_thread(work, self._call, self._call.threads, kind="tool", name=tool.name)

    def _problem(self, tool: Tool, error: Exception) -> str:
        """What the model is told of an exception; whoever looks after the engine is told more."""
        one = single(error)
        error = one if isinstance(one, Exception) else error
        if isinstance(error, CallEngineError):
            if not isinstance(error, CallEnded):
                log.info("call %s: the tool %r failed: %s", self._call.id, tool.name, scrub(str(error)))
        else:
            log.error("call %s: the tool %r failed", self._call.id, tool.name, exc_info=error)
        return error_text(error)

    def _note_end(self, tool: Tool, state: State, turn: int, seconds: float) -> None:
        call = self._call
        if state == "cancelled":
            call.counters["tools cancelled"] += 1
            if tool.commit:
                log.warning("call %s: the tool %r was cut off: the call is over", call.id, tool.name)
        call.journal.note(
            "tool.ended", turn=turn, tool=tool.name, state=state, ok=state == "done", seconds=round(seconds, 3)
        )


class _Texts:
    """The texts among a reply's events. Not a generator: it can be left half read."""

    def __init__(self, events: AsyncIterator[LlmEvent]) -> None:
        self._events = events

    def __aiter__(self) -> AsyncIterator[str | Interlude]:
        return self

    async def __anext__(self) -> str:
        while True:
            event = await anext(self._events)
            if isinstance(event, TextDelta):
                return event.text
