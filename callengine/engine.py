"""The engine: one nursery for the process, a listener, the shared services, and its calls."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import trio

from callengine.brain.agent import Agent
from callengine.call.call import Call
from callengine.call.parts import CallInfo, CallParts, CallSetup, Services
from callengine.call.settings import CallSettings
from callengine.call.story import Story, StoryThreads, check_story
from callengine.carriers.twilio import CallStatusUpdate, InboundCall, Twilio
from callengine.cleanup import bounded_cleanup, single
from callengine.errors import CallEngineError, ConfigurationError
from callengine.journal import Journal, JournalSettings
from callengine.loading import Progress, load_parts
from callengine.observers import Observers
from callengine.outcome import Outcome
from callengine.ports import MediaSocket, VadModel
from callengine.records.writer import JournalWriter, open_journal_writer
from callengine.server.app import create_app
from callengine.server.front_door import serve_front_door
from callengine.server.host import Offer, Refusal
from callengine.server.tokens import TokenStore
from callengine.server.trust import PUBLIC_URL_VARIABLE
from callengine.services.metronome import Metronome
from callengine.services.silero import Silero
from callengine.services.vad_bank import VadBank
from callengine.taking import first_messages

STORY_THREADS = 200
"""Blocking stories that may be told at once: a thread a call; another has to wait for one to end."""

VAD_BACKLOG = 5.0
"""Seconds of a call's audio that may wait for the VAD: a burst after a stall of the network must not lose a word."""

log = logging.getLogger(__name__)

Program: TypeAlias = Agent | Story


class Engine:
    """Takes calls and answers them with an agent, or with a story (a function of the call).

    ``agent`` names the parts and settings that a story's calls run with. ``public_url`` (or ``CALLENGINE_PUBLIC_URL``)
    is how carriers reach this engine, as in ``https://voice.example.com``; ``insecure`` takes unsigned requests on a
    loopback address, for development. ``app`` is an ASGI application for all other routes. ``interim`` asks
    recognisers for interim transcripts; by default they are on while somebody watches `events`.

    ``vad`` and ``models`` are a voice activity model and embedded models that are loaded already; ``inline`` writes
    journals without a thread, which is what a virtual clock needs.

    Several engines can share one event loop. An engine can serve again after `serve` has returned.
    """

    def __init__(
        self,
        program: Program,
        *,
        agent: Agent | None = None,
        carriers: Sequence[Twilio] | None = None,
        host: str = "127.0.0.1",
        port: int = 8080,
        public_url: str | None = None,
        insecure: bool = False,
        app: Any = None,
        journal: JournalSettings = JournalSettings(),
        settings: CallSettings = CallSettings(),
        interim: bool | None = None,
        max_calls: int = 500,
        drain_timeout: float = 60.0,
        vad: VadModel | None = None,
        models: Any = None,
        inline: bool = False,
        today: Callable[[], datetime] = datetime.now,
    ) -> None:
        if isinstance(program, Agent):
            if agent is not None:
                raise ConfigurationError("agent= goes with a story; this engine's program is an agent already")
            if not (program.prompt or program.flow or program.greeting):
                raise ConfigurationError("an agent needs something to go by: give it a prompt, a flow or a greeting")
            self.agent, self.story = program, None
        else:
            check_story(program)
            self.agent, self.story = agent or Agent(), program
        self.host, self.port = host, port
        self.public_url = (public_url or os.environ.get(PUBLIC_URL_VARIABLE, "")).rstrip("/") or None
        self.insecure = insecure
        self.carriers = {carrier.name: carrier for carrier in (carriers if carriers is not None else (Twilio(),))}
        self.settings = settings
        self.drain_timeout = drain_timeout
        self.max_calls = max_calls
        self.observers = Observers()
        self.story_threads = StoryThreads(STORY_THREADS)
        self._app = app
        self._journal_settings = journal
        self._interim = interim
        self._vad = vad
        self._models = models
        self._inline = inline
        self._today = today
        self._services: Services | None = None
        self._parts: CallParts | None = None
        self._writer: JournalWriter | None = None
        self._calls: dict[str, Call] = {}
        self._draining = False
        self._idle = trio.Event()
        self._stop = trio.Event()
        self._check_exposure()

    def _check_exposure(self) -> None:
        if not self.insecure:
            return
        if self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ConfigurationError(
                f"insecure takes unsigned calls, so it is refused on {self.host!r}: use host='127.0.0.1', "
                "or leave insecure out and set TWILIO_AUTH_TOKEN and CALLENGINE_PUBLIC_URL"
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
    ) -> None:
        """Settings from outside, such as a command line, in place of the engine's own; None leaves one as it is.

        Before `serve`. Raises `ConfigurationError` for settings that do not go together.
        """
        self.host = self.host if host is None else host
        self.port = self.port if port is None else port
        self.public_url = self.public_url if public_url is None else public_url.rstrip("/") or None
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
        tokens = TokenStore()
        app = create_app(self, tokens, self._app)
        self._warn()
        async with self._serving(), AsyncExitStack() as parts, trio.open_nursery() as nursery:
            bound = await nursery.start(partial(serve_front_door, self, app, tokens, bind=self.host, port=self.port))
            if signals:
                await nursery.start(self._watch_signals, nursery.cancel_scope)
            self._parts = await parts.enter_async_context(self._load(progress))
            for host, port in bound:
                line = f"listening on http://{f'[{host}]' if ':' in host else host}:{port}"
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
            async with self._serving(), self._load(progress) as self._parts:
                yield
        except BaseExceptionGroup as group:  # of nurseries in here: one error should read like one
            raise single(group) from None

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        """The shared services, running."""
        self._draining, self._stop = False, trio.Event()
        metronome = Metronome()
        bank = VadBank(self._vad or Silero(), metronome, slot=metronome.slot, backlog=VAD_BACKLOG)
        self._services = Services(metronome, bank, self.story_threads)
        async with AsyncExitStack() as stack:
            if self._journal_settings.directory is not None:
                writer = open_journal_writer(self._journal_settings.directory, inline=self._inline)
                self._writer = await stack.enter_async_context(writer)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(metronome.run)
                    yield
                    nursery.cancel_scope.cancel()
            finally:
                self._services = self._parts = self._writer = None

    def _load(self, progress: Progress | None) -> Any:
        return load_parts(
            self.agent, story=self.story is not None, progress=progress, models=self._models, inline=self._inline
        )

    def _warn(self) -> None:
        if self.insecure:
            log.warning("INSECURE: unsigned webhooks and media sockets without a token are taken. Development only.")
            return
        for name, carrier in self.carriers.items():
            missing = carrier.missing_configuration()
            if missing:
                log.warning("calls of %s are refused: %s", name, missing)
        if not self.public_url:
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
        self._stop.set()

    # --- what the server asks -----------------------------------------------------------------------------------------

    def is_ready(self) -> bool:
        """Whether everything is loaded."""
        return self._parts is not None

    def is_draining(self) -> bool:
        """Whether no new calls are taken."""
        return self._draining

    async def offer(self, carrier: str, call: InboundCall) -> Offer | Refusal:
        """A call comes in: what it runs is decided here, and travels with it."""
        await trio.lowlevel.checkpoint()
        if len(self._calls) >= self.max_calls:
            log.warning("refused a call: %d calls are going on (max_calls)", len(self._calls))
            return Refusal("All our lines are busy. Please call again in a few minutes.")
        return Offer(carrier=carrier, caller=call.caller, callee=call.callee, direction="inbound", call_id=call.call_id)

    def status(self, carrier: str, update: CallStatusUpdate) -> None:
        """A carrier tells how a call goes on. The media stream says so too, and first."""
        log.debug("%s: call %s is %s", carrier, update.call_id, update.status)

    async def take(self, offer: Offer | None, carrier: str, socket: MediaSocket) -> Outcome | None:
        """Run a whole call on this socket; returns its outcome, or None where no stream started on it.

        The socket is closed on return.
        """
        connection = await first_messages(socket, self.carriers[carrier].codec(), offer)
        if connection is None:
            return None
        if self._services is None or self._parts is None:
            raise CallEngineError("the engine is not running: use it inside serve() or open()")
        setup = CallSetup(
            agent=self.agent,
            story=self.story,
            parts=self._parts,
            services=self._services,
            settings=self.settings,
            interim=self.observers.watched if self._interim is None else self._interim,
            today=self._today,
        )
        offer = offer or Offer(carrier)
        info = CallInfo(carrier=carrier, direction=offer.direction, caller=offer.caller, callee=offer.callee)
        watchers = self.observers.watchers + (() if self._writer is None else (self._writer.write,))
        journal = Journal(connection.stream.call_id, self._journal_settings, watchers=watchers)
        call = Call(connection, info, setup, journal)
        return await self._run(call)

    async def _run(self, call: Call) -> Outcome:
        key = f"{call.carrier}:{call.stream_id}"
        self._calls[key] = call
        log.info("call %s: %s from %s", call.id, call.direction, call.masked_caller)
        self.observers.call_started(call)
        try:
            try:
                await call.run()
            except BaseException:  # the engine was stopped: listeners have what is left of the clean-up's time
                left = call.outcome.ended_at + call.settings.cleanup - trio.current_time()
                with bounded_cleanup(left):
                    await self._tell_end(call.outcome, left)
                raise
            await self._tell_end(call.outcome, call.settings.story_grace)
            return call.outcome
        finally:
            del self._calls[key]
            if not self._calls:
                self._idle.set()

    async def _tell_end(self, outcome: Outcome, timeout: float) -> None:
        log.info(
            "call %s: ended by %s after %.1f s: %s",
            outcome.call_id,
            outcome.ended_by,
            outcome.duration,
            outcome.reason,
        )
        await self.observers.call_ended(outcome, timeout)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that are going on."""
        return tuple(self._calls.values())

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
