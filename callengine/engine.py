"""The engine: one nursery for the process, a listener, the shared services, and its calls."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx
import trio

from callengine.brain.agent import Agent
from callengine.call.call import Call
from callengine.call.parts import Services
from callengine.call.prewarm import Prewarming
from callengine.call.settings import CallSettings
from callengine.call.story import Story, StoryThreads
from callengine.carriers.found import find_carriers
from callengine.cleanup import single
from callengine.dialling import Dialling
from callengine.errors import ConfigurationError
from callengine.hosting import Hosting, Running
from callengine.journal import JournalSettings
from callengine.loading import PartsLoader, Progress
from callengine.observers import Observers
from callengine.outbound.calls import END_GRACE
from callengine.outbound.pace import Pace
from callengine.outcome import Outcome
from callengine.ports import Vad
from callengine.programs import Program, Programs, Router, check_program
from callengine.records.prices import Overrides, PriceTable
from callengine.records.writer import JournalWriter, open_journal_writer
from callengine.server.app import create_app
from callengine.server.front_door import serve_front_door
from callengine.server.tokens import TokenStore
from callengine.server.trust import PUBLIC_URL_VARIABLE
from callengine.services.health import Health
from callengine.services.metronome import Metronome
from callengine.services.silero import Silero
from callengine.services.vad_bank import VadBank
from callengine.switchboard.board import Switchboard
from callengine.telephony import Carrier, SelfServing
from callengine.wire import Wire, shared_wire

STORY_THREADS = 200
"""Blocking stories that may be told at once: a thread a call; another has to wait for one to end."""

VAD_BACKLOG = 5.0
"""Seconds of a call's audio that may wait for the VAD: a burst after a stall of the network must not lose a word."""

log = logging.getLogger(__name__)


class Engine(Hosting, Dialling):
    """Takes calls and makes them, and has them answered by an agent, or by a story (a function of the call).

    ``agent`` names the parts and settings that a story's calls run with. ``agents`` maps called numbers to other
    programs; ``router`` decides before that, for each call that comes in (see `callengine.programs.Router`).

    ``carriers`` are the recipes of those that calls come from; by default those whose keys are in the environment.
    ``public_url`` (or ``CALLENGINE_PUBLIC_URL``) is how they reach this engine, as in ``https://voice.example.com``;
    ``insecure`` takes unsigned requests on a loopback address, for development. ``http`` is a client of your own for
    the carriers' commands, ``wire`` a way of your own to the vendors (see `callengine.wire`).
    ``app`` is an ASGI application for all other routes. ``interim`` asks recognisers for interim transcripts; by
    default they are on while somebody watches `events`. ``prices`` are those of your own contracts, for
    `Outcome.costs`: ``{"deepgram": {"nova-3": {"minute": 0.0042}}}`` (see docs/costs.md).

    There may be ``max_calls``, of which ``max_outbound_calls`` that were dialled, ``dials_per_second`` of them (1 is
    what a new Twilio account may do: https://www.twilio.com/docs/voice/api/call-resource).

    ``vad`` and ``models`` are a voice activity model and embedded models that are loaded already; ``inline`` writes
    journals without a thread, which is what a virtual clock needs.

    Several engines can share one event loop. An engine can serve again after `serve` has returned.
    """

    def __init__(
        self,
        program: Program,
        *,
        agent: Agent | None = None,
        agents: Mapping[str, Program] | None = None,
        router: Router | None = None,
        carriers: Sequence[Carrier] | None = None,
        host: str = "127.0.0.1",
        port: int = 8080,
        public_url: str | None = None,
        insecure: bool = False,
        http: httpx.AsyncClient | None = None,
        wire: Wire | None = None,
        app: Any = None,
        journal: JournalSettings = JournalSettings(),
        settings: CallSettings = CallSettings(),
        interim: bool | None = None,
        prices: PriceTable | Overrides | None = None,
        max_calls: int = 500,
        max_outbound_calls: int = 100,
        dials_per_second: float = 1.0,
        drain_timeout: float = 60.0,
        vad: Vad | None = None,
        models: Any = None,
        inline: bool = False,
        today: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._programs = Programs(check_program(program, agent), agents or {}, router)
        self.host, self.port = host, port
        self.public_url = (public_url or os.environ.get(PUBLIC_URL_VARIABLE, "")).rstrip("/") or None
        self._public_url_later = False
        self.insecure = insecure
        self.carriers: dict[str, Carrier] = {
            carrier.name: carrier for carrier in (carriers if carriers is not None else find_carriers())
        }
        self.settings = settings
        self.drain_timeout = drain_timeout
        self.max_calls = max_calls
        self.observers = Observers()
        self.prices = prices if isinstance(prices, PriceTable) else PriceTable.load().with_overrides(prices or {})
        self.prewarming = Prewarming(prices=self.prices)
        self.story_threads = StoryThreads(STORY_THREADS)
        self._pace = Pace(dials_per_second, min(max_outbound_calls, max_calls))
        self._http = http
        self._wire = wire
        self._app = app
        self._journal_settings = journal
        self._interim = interim
        self._vad = vad
        self._models = models
        self._inline = inline
        self._today = today
        self._running: Running | None = None
        self._loaded = False
        self._writer: JournalWriter | None = None
        self._calls: dict[str, Call] = {}
        self._draining = False
        self._idle = trio.Event()
        self._stop = trio.Event()
        self._check_exposure()

    @property
    def agent(self) -> Agent:
        """The agent of calls that no other is named for."""
        return self._programs.default.agent

    @property
    def story(self) -> Story | None:
        """The story of calls that no other program is named for; None where an agent answers them."""
        return self._programs.default.story

    def _check_exposure(self) -> None:
        if not self.insecure:
            return
        if self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ConfigurationError(
                f"insecure takes unsigned calls, so it is refused on {self.host!r}: use host='127.0.0.1', "
                "or leave insecure out and set the carrier's keys and CALLENGINE_PUBLIC_URL"
            )
        if self.public_url:
            raise ConfigurationError("insecure takes unsigned calls, so it is refused together with a public URL")

    def configure(
        self,
        *,
        host: str | None = None,
        port: int | None = None,
        public_url: str | None = None,
        insecure: bool | None = None,
        journal_directory: Path | None = None,
        drain_timeout: float | None = None,
        public_url_later: bool = False,
    ) -> None:
        """Settings from outside, such as a command line, in place of the engine's own; None leaves one as it is.

        ``public_url_later`` says that ``public_url`` will be set while serving, when a tunnel is up.

        Before `serve`. Raises `ConfigurationError` for settings that do not go together.
        """
        self.host = self.host if host is None else host
        self.port = self.port if port is None else port
        self.public_url = self.public_url if public_url is None else public_url.rstrip("/") or None
        self._public_url_later = public_url_later
        self.insecure = self.insecure if insecure is None else insecure
        self.drain_timeout = self.drain_timeout if drain_timeout is None else drain_timeout
        if journal_directory is not None:
            self._journal_settings = attrs.evolve(self._journal_settings, directory=journal_directory)
        self._check_exposure()

    # --- serving ----------------------------------------------------------------------------------------------------

    async def serve(
        self,
        *,
        signals: bool = True,
        progress: Progress | None = None,
        task_status: trio.TaskStatus[list[Any]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve calls until drained or cancelled. ``task_status`` is given the bound addresses, once ready.

        The first SIGTERM or SIGINT drains, a second one ends at once; only in the main thread, and not with
        ``signals=False``. Raises `ConfigurationError` where the port is taken or a part is missing.
        """
        try:
            await self._serve(signals, progress, task_status)
        except BaseExceptionGroup as group:
            raise single(group) from None

    async def _serve(self, signals: bool, progress: Progress | None, task_status: trio.TaskStatus[list[Any]]) -> None:
        signals = signals and threading.current_thread() is threading.main_thread()
        self._warn()
        async with self._serving(progress) as running, trio.open_nursery() as nursery:
            door = partial(serve_front_door, self, running.app, running.tokens, bind=self.host, port=self.port)
            bound = await nursery.start(door)
            self.port = bound[0][1]
            listening = [("http", host, port) for host, port in bound]
            for name, carrier in self.carriers.items():
                if isinstance(carrier, SelfServing):
                    more = await nursery.start(carrier.serve, partial(self._take_unannounced, carrier))
                    listening += [(name, host, port) for host, port in more]
                    bound += more
            if signals:
                await nursery.start(self._watch_signals, nursery.cancel_scope)
            await self._load_known(running.loader)
            for scheme, host, port in listening:
                line = f"listening on {scheme}://{f'[{host}]' if ':' in host else host}:{port}"
                if signals:  # this engine is the program
                    print(line, flush=True)
                else:
                    log.info(line)
            task_status.started(bound)
            await self._stop.wait()
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def open(self, progress: Progress | None = None) -> AsyncIterator[None]:
        """Everything but the listener, for programs that bring calls by `take`."""
        try:
            async with self._serving(progress) as running:
                await self._load_known(running.loader)
                yield
        except BaseExceptionGroup as group:  # of nurseries in here: one error should read like one
            raise single(group) from None

    @asynccontextmanager
    async def _serving(self, progress: Progress | None) -> AsyncIterator[Running]:
        """The shared services, running."""
        self._draining, self._stop = False, trio.Event()
        metronome = Metronome()
        bank = VadBank(self._vad or Silero(), metronome, slot=metronome.slot, backlog=VAD_BACKLOG)
        tokens = TokenStore()
        async with AsyncExitStack() as stack:
            if self._journal_settings.directory is not None:
                writer = open_journal_writer(self._journal_settings.directory, inline=self._inline)
                self._writer = await stack.enter_async_context(writer)
            wire = await stack.enter_async_context(shared_wire(self._wire))
            try:
                async with trio.open_nursery() as nursery:
                    health = Health()
                    nursery.start_soon(metronome.run)
                    nursery.start_soon(health.probe, wire)
                    self._running = Running(
                        Services(metronome, bank, self.story_threads, wire, health, self.prices),
                        PartsLoader(stack, progress=progress, models=self._models, inline=self._inline),
                        Switchboard(
                            self, self._programs, tokens, self.observers, self._client(stack), nursery, self._pace
                        ),
                        tokens,
                        create_app(self, tokens, self._app),
                    )
                    yield self._running
                    nursery.cancel_scope.cancel()
            finally:
                self._running = self._writer = None
                self._loaded = False

    def _client(self, stack: AsyncExitStack) -> Callable[[], httpx.AsyncClient]:
        """The client for carriers' commands, made at the first need: an engine that only takes calls has none."""
        made: list[httpx.AsyncClient] = [] if self._http is None else [self._http]

        def client() -> httpx.AsyncClient:
            if not made:
                made.append(httpx.AsyncClient())
                stack.push_async_callback(made[0].aclose)
            return made[0]

        return client

    async def _load_known(self, loader: PartsLoader) -> None:
        for cast in self._programs.known:
            await loader.parts(cast.agent, story=cast.story is not None)
        self._loaded = True

    def _warn(self) -> None:
        if self.insecure:
            log.warning("INSECURE: unsigned webhooks and media sockets without a token are taken. Development only.")
            return
        for name, carrier in self.carriers.items():
            missing = carrier.missing_configuration()
            if missing:
                log.warning("calls of %s are refused: %s", name, missing)
        if not (self.public_url or self._public_url_later):
            log.warning("calls are refused: set %s to the address carriers reach this engine at", PUBLIC_URL_VARIABLE)

    async def _watch_signals(
        self, scope: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
            task_status.started()
            async with trio.open_nursery() as nursery:
                async for _ in received:
                    if self._draining:
                        log.warning("second signal: ending at once")
                        scope.cancel()
                        return
                    log.warning("draining: no new calls; %d going on (again to end at once)", len(self._calls))
                    nursery.start_soon(self.drain)

    async def drain(self) -> None:
        """Take no new calls, let the live ones finish for ``drain_timeout`` seconds, then end them politely; then
        `serve` returns. Idempotent."""
        self._draining = True
        outgoing = () if self._running is None else tuple(self._running.board.outgoing.values())
        for dialled in outgoing:
            if dialled.call is None:
                dialled.hang_up("the engine is draining")
        if self._running is not None:
            self._running.board.arrivals.close()
        if self._calls:
            self._idle = trio.Event()
            with trio.move_on_after(self.drain_timeout):
                await self._idle.wait()
        async with trio.open_nursery() as nursery:
            for call in list(self._calls.values()):
                nursery.start_soon(call.drain)
        if self._calls:
            # the carrier's close, a story's grace, and a listener's
            with trio.move_on_after(self.settings.goodbye + 2 * self.settings.story_grace):
                await self._idle.wait()
        with trio.move_on_after(2 * END_GRACE):  # for the hang-up, and for the carrier's last word, which is an outcome
            for dialled in outgoing:
                await dialled.settled()
        self._stop.set()

    # --- observers ----------------------------------------------------------------------------------------------------

    def on_call_start(self, listener: Callable[[Call], None]) -> Callable[[Call], None]:
        """Tell this plain function of each call as it starts; usable as a decorator. One that raises is logged."""
        return self.observers.add_start_listener(listener)

    def on_call_end(self, listener: Callable[[Outcome], Awaitable[None] | None]) -> Callable[[Outcome], Any]:
        """Tell this function, plain or async, how each call went; usable as a decorator.

        One that raises is logged and harms nobody; an async one has 5 s (``story_grace``).
        """
        return self.observers.add_listener(listener)

    def events(self) -> Any:
        """Everything that happens in all calls, as it happens: ``async with engine.events() as records: async for
        record in records``. Records that a slow reader has no room for (1,000) are dropped and counted."""
        return self.observers.events()
