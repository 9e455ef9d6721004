"""The lab: an engine with scripted parts, a simulated carrier, and a look afterwards at what was left behind."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Literal, TypeAlias

import attrs
import trio
from trio_websocket import connect_websocket_url

from callengine.brain.agent import Agent
from callengine.call.call import Call
from callengine.call.settings import CallSettings
from callengine.call.story import Story
from callengine.carriers.twilio import Twilio
from callengine.cleanup import bounded_cleanup, single
from callengine.engine import Engine
from callengine.journal import JournalSettings
from callengine.outcome import Outcome
from callengine.server.host import Offer
from callengine.services.silero import Silero
from callengine.testing.caller import Caller
from callengine.testing.carrier import CarrierSettings, Leg
from callengine.testing.link import Link, MemoryLink, WebSocketLink
from callengine.testing.playout import PlayoutQueue
from callengine.testing.scripted import EnergyVad, ScriptedLlm, ScriptedStt, ScriptedTts
from callengine.testing.shelf import ModelShelf
from callengine.testing.twilio import TwilioSide
from callengine.testing.virtual import StandStill
from callengine.testing.words import Vocabulary

Part: TypeAlias = Literal["vad", "stt", "aec"]
"""What can be real in a lab's call. The voice is always the lab's own: it can be read back to the word."""

SETTLE = 10.0
"""Seconds that a call may take to end after the caller has left (a story's grace is 5)."""


@attrs.frozen
class _Before:
    """What there was before a call."""

    tasks: frozenset[Any]
    files: int
    threads: int


class CallLab:
    """Places calls to agents and stories. One lab is one test; its calls may follow each other or run at once.

    ``stt``, ``llm`` and ``tts`` are the scripted parts of every call. With ``real_sockets`` calls go through the
    engine's own server on a loopback port; otherwise through memory, which is what the virtual clock needs.
    """

    def __init__(self, *, real_sockets: bool = False, shelf: ModelShelf | None = None) -> None:
        self.vocabulary = Vocabulary()
        self.stt = ScriptedStt(self.vocabulary)
        self.llm = ScriptedLlm()
        self.tts = ScriptedTts(self.vocabulary)
        self.calls: list[Call] = []
        """Every call placed, in order of their starts."""
        self.outcomes: list[Outcome] = []
        self._real_sockets = real_sockets
        self._shelf = shelf or ModelShelf()
        self._numbers = 0
        self._stand_still = StandStill()
        self._before: _Before | None = None

    @property
    def call(self) -> Call:
        """The last call."""
        if not self.calls:
            raise AssertionError("no call has started yet")
        return self.calls[-1]

    @asynccontextmanager
    async def engine(
        self,
        program: Agent | Story,
        *,
        real: Collection[Part] = (),
        settings: CallSettings = CallSettings(),
        journal: JournalSettings = JournalSettings(),
        interim: bool = True,
        agent: Agent | None = None,
        **options: Any,
    ) -> AsyncIterator[Engine]:
        """An engine for this program, running, with scripted parts but for those in ``real``."""
        base = program if isinstance(program, Agent) else agent or Agent()
        cast = self._cast(base, real)
        engine = Engine(
            cast if isinstance(program, Agent) else program,
            agent=None if isinstance(program, Agent) else cast,
            carriers=(Twilio(auth_token="lab"),),
            port=0,
            insecure=self._real_sockets,
            settings=settings,
            journal=journal,
            interim=interim,
            vad=Silero() if "vad" in real else EnergyVad(),
            models=self._shelf.models(inline=not self._real_sockets) if "stt" in real else None,
            inline=not self._real_sockets,
            **options,
        )
        engine.on_call_start(self.calls.append)
        engine.story_threads.watch = self._stand_still
        self._before = self._before or _look_around()
        if self._real_sockets:
            async with trio.open_nursery() as nursery:
                bound = await nursery.start(partial(engine.serve, signals=False))
                engine.port = bound[0][1]
                yield engine
                nursery.cancel_scope.cancel()
        else:
            async with engine.open():
                yield engine

    def _cast(self, agent: Agent, real: Collection[Part]) -> Agent:
        changes: dict[str, Any] = {} if "aec" in real else {"aec": "off"}
        if agent.stt is None and "stt" not in real:
            changes["stt"] = self.stt
        if agent.tts is None:
            changes["tts"] = self.tts
        if agent.llm is None and agent.flow is None:
            changes["llm"] = self.llm
        return attrs.evolve(agent, **changes)

    @asynccontextmanager
    async def dial(
        self,
        program: Agent | Story | Engine,
        *,
        real: Collection[Part] = (),
        carrier: CarrierSettings = CarrierSettings(),
        caller: str = "+15550100001",
        callee: str = "+15550100000",
        parameters: dict[str, str] | None = None,
        **options: Any,
    ) -> AsyncIterator[Caller]:
        """Call the agent (or story, or an engine of this lab that is already running).

        At the end of the context the caller hangs up if he has not; the call has ended when it is left.
        """
        try:
            async with AsyncExitStack() as stack:
                engine = program
                if not isinstance(engine, Engine):
                    engine = await stack.enter_async_context(self.engine(engine, real=real, **options))
                call = self._call(engine, carrier, caller, callee, parameters or {})
                yield await stack.enter_async_context(call)
        except BaseExceptionGroup as group:  # a test's own assertion should read like one
            raise single(group) from None

    @asynccontextmanager
    async def _call(
        self, engine: Engine, settings: CarrierSettings, caller: str, callee: str, parameters: dict[str, str]
    ) -> AsyncIterator[Caller]:
        self._numbers += 1
        queue = PlayoutQueue(echo_on_clear=settings.echo_on_clear)
        side = TwilioSide(f"CA{self._numbers:032x}", f"MZ{self._numbers:032x}", queue, parameters)
        ended = trio.Event()
        async with trio.open_nursery() as nursery:
            if self._real_sockets:
                link: Link = await self._connect(engine, nursery)
                engine.observers.add_listener(lambda outcome: self._ended(outcome, side.call_id, ended))
            else:
                memory = link = MemoryLink(settings.delay)
                offer = Offer(carrier="twilio", caller=caller, callee=callee, direction="inbound", call_id=side.call_id)
                nursery.start_soon(self._take, engine, offer, memory, ended)
            leg = Leg(link, side, settings)
            nursery.start_soon(leg.run)
            person = Caller(self, leg, self.vocabulary)
            await self._started(side, leg, ended)
            try:
                yield person
            finally:
                leg.hang_up()
                with bounded_cleanup(SETTLE):
                    await ended.wait()
                    await leg.over.wait()
                nursery.cancel_scope.cancel()
        if side.complaints:
            raise AssertionError(f"the carrier complained about what the engine sent: {side.complaints}")

    async def _started(self, side: TwilioSide, leg: Leg, ended: trio.Event) -> None:
        while not any(call.stream_id == side.stream_id for call in self.calls):
            if ended.is_set() or leg.over.is_set():
                return
            await trio.sleep(0.001)

    async def _connect(self, engine: Engine, nursery: trio.Nursery) -> WebSocketLink:
        url = f"ws://127.0.0.1:{engine.port}/twilio/media"
        connection = await connect_websocket_url(nursery, url)
        return WebSocketLink(connection, connection._stream)

    async def _take(self, engine: Engine, offer: Offer, link: MemoryLink, ended: trio.Event) -> None:
        try:
            outcome = await engine.take(offer, "twilio", link.socket)
            if outcome is not None:
                self.outcomes.append(outcome)
        finally:
            ended.set()

    def _ended(self, outcome: Outcome, call_id: str, ended: trio.Event) -> None:
        if outcome.call_id == call_id:
            self.outcomes.append(outcome)
            ended.set()

    def assert_nothing_left(self) -> None:
        """Make sure that the lab's calls are gone: their tasks, marks, provider sessions and streams, open files, and
        threads that they kept busy. Call it when every call has ended."""
        before = self._before
        if before is None:
            raise AssertionError("no call was placed yet")
        left: list[str] = []
        for call in self.calls:
            left += [f"call {call.id}: {what}" for what in call.left_behind()]
        for script in (self.stt, self.llm, self.tts):
            if script.sessions:
                left.append(f"{script.sessions} open sessions of {script.name}")
        if self.llm.streams or self.tts.streams:
            left.append(f"{self.llm.streams} streams of text, {self.tts.streams} of speech")
        now = _look_around()
        left += [f"task {task.name}" for task in now.tasks - before.tasks]
        if now.files > before.files:
            left.append(f"{now.files - before.files} open files")
        if now.threads > before.threads:
            left.append(f"{now.threads - before.threads} busy threads")
        if left:
            raise AssertionError("left behind: " + "; ".join(left))


def _look_around() -> _Before:
    tasks: set[Any] = set()
    waiting = [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        if task is None:
            continue
        tasks.add(task)
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)
    here = trio.lowlevel.current_task()
    system = {task for task in tasks if "trio" in (task.name or "") and task is not here}
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    threads = sum(1 for thread in threading.enumerate() if thread.name.startswith("story "))
    return _Before(frozenset(tasks - system - {here}), files, threads)
