"""The lab: an engine with scripted parts, a simulated carrier, and a look afterwards at what was left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Literal, TypeAlias

import attrs
import httpx
import trio
from trio_websocket import connect_websocket_url

from callengine.brain.agent import Agent
from callengine.call.call import Call
from callengine.call.settings import CallSettings
from callengine.call.story import Story
from callengine.cleanup import bounded_cleanup, single
from callengine.engine import Engine
from callengine.journal import JournalSettings
from callengine.outcome import Outcome
from callengine.ports import MediaSocket
from callengine.server.host import Offer
from callengine.services.silero import Silero
from callengine.testing.accounts import recipes
from callengine.testing.audiosocket import AudioSocketLink, TcpLink, in_memory
from callengine.testing.caller import Caller
from callengine.testing.carrier import CarrierSettings, Leg
from callengine.testing.clouds import Manners, NetworkSettings, cloud_of
from callengine.testing.clouds.reach import Memory, Sockets
from callengine.testing.link import Link, MemoryLink, WebSocketLink
from callengine.testing.network import PUBLIC_URL, Network, served
from callengine.testing.playout import PlayoutQueue
from callengine.testing.scripted import EnergyVad, ScriptedLlm, ScriptedStt, ScriptedTts
from callengine.testing.shelf import ModelShelf
from callengine.testing.side import Side, side_of
from callengine.testing.surroundings import Surroundings, look_around
from callengine.testing.virtual import StandStill
from callengine.testing.words import Vocabulary

Part: TypeAlias = Literal["vad", "stt", "aec"]
"""What can be real in a lab's call. The voice is always the lab's own: it can be read back to the word."""

SETTLE = 10.0
"""Seconds that a call may take to end after the caller has left (a story's grace is 5)."""


class CallLab:
    """Places calls to agents and stories. One lab is one test; its calls may follow each other or run at once.

    ``stt``, ``llm`` and ``tts`` are the scripted parts of every call. With ``real_sockets`` calls go through the
    engine's own server on a loopback port; otherwise through memory, which is what the virtual clock needs.
    ``carrier`` is the kind of carrier by which calls come that name none.
    """

    def __init__(self, *, real_sockets: bool = False, shelf: ModelShelf | None = None, carrier: str = "twilio") -> None:
        side_of(carrier)  # so that a wrong name is told here
        self.carrier = carrier
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
        self._before: Surroundings | None = None
        self._bound: list[tuple[str, int]] = []

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
        ours: dict[str, Any] = {
            "carriers": recipes(commands=False),
            "port": 0,
            "insecure": self._real_sockets,
            "vad": Silero() if "vad" in real else EnergyVad(),
            "models": self._shelf.models(inline=not self._real_sockets) if "stt" in real else None,
            "inline": not self._real_sockets,
        }
        engine = Engine(
            cast if isinstance(program, Agent) else program,
            agent=None if isinstance(program, Agent) else cast,
            settings=settings,
            journal=journal,
            interim=interim,
            **{**ours, **options},
        )
        engine.on_call_start(self.calls.append)
        engine.story_threads.watch = self._stand_still
        self._before = self._before or look_around()
        if self._real_sockets:
            async with trio.open_nursery() as nursery:
                self._bound = await nursery.start(partial(engine.serve, signals=False))
                yield engine
                nursery.cancel_scope.cancel()
        else:
            async with engine.open():
                yield engine

    def _cast(self, agent: Agent, real: Collection[Part]) -> Agent:
        changes: dict[str, Any] = {} if "aec" in real else {"aec": "off"}
        if not agent.stt and "stt" not in real:
            changes["stt"] = self.stt
        if not agent.tts:
            changes["tts"] = self.tts
        if not agent.llm and agent.flow is None:
            changes["llm"] = self.llm
        return attrs.evolve(agent, **changes)

    @asynccontextmanager
    async def network(
        self,
        program: Agent | Story,
        *,
        carrier: str | CarrierSettings = CarrierSettings(),
        times: NetworkSettings | None = None,
        webhooks: Manners | None = None,
        **options: Any,
    ) -> AsyncIterator[Network]:
        """An engine for this program, running, and the simulated network of one carrier: webhooks are signed, commands
        go to its API, calls come in and go out.

        ``times`` is how long things take there, ``webhooks`` how those travel; the rest is as for `engine`. At the end
        everybody hangs up.
        """
        settings = CarrierSettings(kind=carrier) if isinstance(carrier, str) else carrier
        kind = settings.kind or self.carrier
        cloud = cloud_of(kind)(
            settings=settings, network=times, webhooks=webhooks, vocabulary=self.vocabulary, stt=self.stt
        )
        async with AsyncExitStack() as stack:
            if self._real_sockets:
                address = await stack.enter_async_context(served(cloud.app))
                http = httpx.AsyncClient()
            else:
                address = None
                http = httpx.AsyncClient(transport=httpx.ASGITransport(app=cloud.app))
            await stack.enter_async_context(http)
            ours = {
                "carriers": (cloud.recipe(address), *(other for other in recipes(commands=True) if other.name != kind)),
                "http": http,
                "public_url": PUBLIC_URL,
                "insecure": False,
            }
            engine = await stack.enter_async_context(self.engine(program, **{**ours, **options}))
            engine.on_call_end(self.outcomes.append)
            cloud.unix_time = engine.unix_time
            cloud.point_at(f"{PUBLIC_URL}/{kind}")
            async with cloud.running(Sockets(engine.port) if self._real_sockets else Memory(engine)):
                network = Network(engine, cloud)
                yield network
                await network.settle()
        if cloud.complaints:
            raise AssertionError(f"the carrier complained about what the engine sent: {cloud.complaints}")

    @asynccontextmanager
    async def dial(
        self,
        program: Agent | Story | Engine,
        *,
        real: Collection[Part] = (),
        carrier: str | CarrierSettings = CarrierSettings(),
        caller: str = "+15550100001",
        callee: str = "+15550100000",
        parameters: dict[str, str] | None = None,
        **options: Any,
    ) -> AsyncIterator[Caller]:
        """Call the agent (or story, or an engine of this lab that is already running).

        ``carrier`` is the kind of carrier, such as ``telnyx``, or how it behaves in all.
        At the end of the context the caller hangs up if he has not; the call has ended when it is left.
        """
        try:
            async with AsyncExitStack() as stack:
                engine = program
                if not isinstance(engine, Engine):
                    engine = await stack.enter_async_context(self.engine(engine, real=real, **options))
                settings = CarrierSettings(kind=carrier) if isinstance(carrier, str) else carrier
                call = self._call(engine, settings, caller, callee, parameters or {})
                yield await stack.enter_async_context(call)
        except BaseExceptionGroup as group:  # a test's own assertion should read like one
            raise single(group) from None

    @asynccontextmanager
    async def _call(
        self, engine: Engine, settings: CarrierSettings, caller: str, callee: str, parameters: dict[str, str]
    ) -> AsyncIterator[Caller]:
        self._numbers += 1
        kind = settings.kind or self.carrier
        cls = side_of(kind)
        queue = PlayoutQueue(echo_on_clear=settings.echo_on_clear)
        side = cls(*cls.ids(self._numbers), queue, parameters, **settings.options)
        ended = trio.Event()
        async with trio.open_nursery() as nursery:
            if self._real_sockets:
                link: Link = await self._connect(engine, kind, nursery)
                engine.observers.add_listener(lambda outcome: self._ended(outcome, side.call_id, ended))
            else:
                link, socket = await self._open(kind, settings.delay, nursery)
                offer = Offer(carrier=kind, caller=caller, callee=callee, direction="inbound", call_id=side.call_id)
                nursery.start_soon(self._take, engine, offer, socket, ended)
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

    async def _started(self, side: Side, leg: Leg, ended: trio.Event) -> None:
        while not any(call.stream_id == side.stream_id for call in self.calls):
            if ended.is_set() or leg.over.is_set():
                return
            await trio.sleep(0.001)

    async def _connect(self, engine: Engine, kind: str, nursery: trio.Nursery) -> Link:
        if kind == "audiosocket":  # its port is the engine's last
            return AudioSocketLink(TcpLink(await trio.open_tcp_stream(*self._bound[-1][:2])))
        connection = await connect_websocket_url(nursery, f"ws://127.0.0.1:{engine.port}/{kind}/media")
        return WebSocketLink(connection, connection._stream)

    async def _open(self, kind: str, delay: float, nursery: trio.Nursery) -> tuple[Link, MediaSocket]:
        """A connection in memory: the carrier's end, and the engine's."""
        await trio.lowlevel.checkpoint()
        if kind == "audiosocket":
            bytes_link, stream_socket = in_memory(delay)
            nursery.start_soon(stream_socket.run)
            return bytes_link, stream_socket
        link = MemoryLink(delay)
        return link, link.socket

    async def _take(self, engine: Engine, offer: Offer, socket: MediaSocket, ended: trio.Event) -> None:
        try:
            outcome = await engine.take(offer, offer.carrier, socket)
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
        now = look_around()
        left += [f"task {task.name}" for task in now.tasks - before.tasks]
        if now.files > before.files:
            left.append(f"{now.files - before.files} open files")
        if now.threads > before.threads:
            left.append(f"{now.threads - before.threads} busy threads")
        if left:
            raise AssertionError("left behind: " + "; ".join(left))
