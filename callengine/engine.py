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

from callengine.audio.clip import Clip
from callengine.brain.agent import Agent
from callengine.call.call import Call
from callengine.call.parts import CallInfo, CallSetup, Services
from callengine.call.settings import CallSettings
from callengine.call.story import Story, StoryThreads
from callengine.carriers.found import find_carriers
from callengine.cleanup import bounded_cleanup, single
from callengine.errors import CallEngineError, ConfigurationError
from callengine.fetching import fetch
from callengine.journal import Journal, JournalSettings
from callengine.loading import PartsLoader, Progress
from callengine.observers import DeliveryListener, MessageListener, Observers, RecordingListener
from callengine.outbound.calls import END_GRACE, OnMachine, OutboundCall
from callengine.outbound.leg import EngineLeg
from callengine.outbound.pace import Pace
from callengine.outbound.switchboard import Plan, Switchboard
from callengine.outcome import Outcome
from callengine.ports import MediaSocket, VadModel
from callengine.programs import Cast, Program, Programs, Router, check_program
from callengine.records.writer import JournalWriter, open_journal_writer
from callengine.server.admission import admit
from callengine.server.app import create_app
from callengine.server.front_door import serve_front_door
from callengine.server.host import Offer, Told
from callengine.server.tokens import TokenStore
from callengine.server.trust import PUBLIC_URL_VARIABLE
from callengine.services.metronome import Metronome
from callengine.services.silero import Silero
from callengine.services.vad_bank import VadBank
from callengine.taking import first_messages
from callengine.telephony import (
    AnsweredBy,
    Carrier,
    CarrierFact,
    IncomingCall,
    IncomingMessage,
    InstructionsWanted,
    RecordingReady,
    Refuse,
    SelfServing,
    TransferEnded,
)

STORY_THREADS = 200
"""Blocking stories that may be told at once: a thread a call; another has to wait for one to end."""

VAD_BACKLOG = 5.0
"""Seconds of a call's audio that may wait for the VAD: a burst after a stall of the network must not lose a word."""

MAX_RECORDING = 512 * 1024 * 1024
"""Bytes of a recording that are fetched: four hours, the carriers' longest call, in two channels of 8 kHz PCM."""
MAX_MEDIA = 16 * 1024 * 1024
"""Bytes of a message's picture that are fetched; carriers allow about 5 MB."""
FETCH_TIMEOUT = 120.0

log = logging.getLogger(__name__)


@attrs.frozen
class _Running:
    """What there is while an engine serves."""

    services: Services
    loader: PartsLoader
    board: Switchboard
    tokens: TokenStore
    app: Any


class Engine:
    """Takes calls and makes them, and has them answered by an agent, or by a story (a function of the call).

    ``agent`` names the parts and settings that a story's calls run with. ``agents`` maps called numbers to other
    programs; ``router`` decides before that, for each call that comes in (see `callengine.programs.Router`).

    ``carriers`` are the recipes of those that calls come from; by default those whose keys are in the environment.
    ``public_url`` (or ``CALLENGINE_PUBLIC_URL``) is how they reach this engine, as in ``https://voice.example.com``;
    ``insecure`` takes unsigned requests on a loopback address, for development. ``http`` is a client of your own for
    the carriers' commands. ``app`` is an ASGI application for all other routes. ``interim`` asks recognisers for
    interim transcripts; by default they are on while somebody watches `events`.

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
        app: Any = None,
        journal: JournalSettings = JournalSettings(),
        settings: CallSettings = CallSettings(),
        interim: bool | None = None,
        max_calls: int = 500,
        max_outbound_calls: int = 100,
        dials_per_second: float = 1.0,
        drain_timeout: float = 60.0,
        vad: VadModel | None = None,
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
        self.story_threads = StoryThreads(STORY_THREADS)
        self._pace = Pace(dials_per_second, min(max_outbound_calls, max_calls))
        self._http = http
        self._app = app
        self._journal_settings = journal
        self._interim = interim
        self._vad = vad
        self._models = models
        self._inline = inline
        self._today = today
        self._running: _Running | None = None
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
    async def _serving(self, progress: Progress | None) -> AsyncIterator[_Running]:
        """The shared services, running."""
        self._draining, self._stop = False, trio.Event()
        metronome = Metronome()
        bank = VadBank(self._vad or Silero(), metronome, slot=metronome.slot, backlog=VAD_BACKLOG)
        tokens = TokenStore()
        async with AsyncExitStack() as stack:
            if self._journal_settings.directory is not None:
                writer = open_journal_writer(self._journal_settings.directory, inline=self._inline)
                self._writer = await stack.enter_async_context(writer)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(metronome.run)
                    self._running = _Running(
                        Services(metronome, bank, self.story_threads),
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

    def _run_time(self) -> _Running:
        if self._running is None:
            raise CallEngineError("the engine is not running: use it inside serve() or open()")
        return self._running

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

    # --- what the server asks -----------------------------------------------------------------------------------------

    def is_ready(self) -> bool:
        """Whether everything is loaded."""
        return self._loaded

    def is_draining(self) -> bool:
        """Whether no new calls are taken."""
        return self._draining

    @property
    def places(self) -> int:
        """How many calls more there may be."""
        return self.max_calls - len(self._calls)

    @property
    def address(self) -> str:
        """Where this engine listens, for development without a public URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def unix_time(self) -> float:
        """The wall clock, to judge the age of signed requests."""
        return self._today().timestamp()

    @property
    def app(self) -> Any:
        """The ASGI application with all routes, while the engine runs."""
        return self._run_time().app

    def admit(self, target: str, headers: Mapping[str, str]) -> Offer | None:
        """The offer behind a media upgrade; see `callengine.server.admission.admit`."""
        return admit(self, self._run_time().tokens, target, headers)

    async def load(self, cast: Cast) -> None:
        """Load what a call of this cast needs. Raises `ConfigurationError`."""
        await self._run_time().loader.parts(cast.agent, story=cast.story is not None)

    async def offer(self, carrier: str, call: IncomingCall) -> Offer | Refuse:
        """A call comes in: what it runs is decided here, and travels with it."""
        return await self._run_time().board.offer(carrier, call)

    def instructions(self, carrier: str, fact: InstructionsWanted | TransferEnded) -> Told | None:
        """What a leg that the engine gave commands about shall do now."""
        return self._run_time().board.instructions(carrier, fact)

    def note(self, carrier: str, fact: CarrierFact) -> None:
        """A carrier tells something."""
        self._run_time().board.note(carrier, fact)

    async def take(self, offer: Offer | None, carrier: str, socket: MediaSocket) -> Outcome | None:
        """Run a whole call on this socket; returns its outcome, or None where no stream started on it.

        The socket is closed on return.
        """
        recipe = self.carriers[carrier]
        connection = await first_messages(socket, recipe.codec(), offer)
        if connection is None:
            return None
        running = self._run_time()
        offer = offer or Offer(carrier)
        plan = offer.data if isinstance(offer.data, Plan) else Plan(self._programs.default)
        offer = attrs.evolve(offer, data=plan)
        cast = plan.cast if not plan.came_back else _welcomed_back(plan.cast)
        if recipe.capabilities.instructed != "stream":
            number = offer.caller if offer.direction == "outbound" else offer.callee
            leg = EngineLeg(running.board, recipe, connection.stream.call_id, offer, cast.agent, number)
            connection = attrs.evolve(connection, leg=leg)
        setup = CallSetup(
            agent=cast.agent,
            story=cast.story,
            parts=await running.loader.parts(cast.agent, story=cast.story is not None),
            services=running.services,
            settings=self.settings,
            interim=self.observers.watched if self._interim is None else self._interim,
            today=self._today,
        )
        info = CallInfo(
            carrier=carrier,
            direction=offer.direction,
            caller=offer.caller,
            callee=offer.callee,
            came_back=plan.came_back,
            parameters=plan.parameters,
        )
        watchers = self.observers.watchers + (() if self._writer is None else (self._writer.write,))
        journal = Journal(connection.stream.call_id, self._journal_settings, watchers=watchers)
        call = Call(connection, info, setup, journal)
        running.board.arrived(carrier, call.id)
        if plan.outbound is None:
            return await self._run(call)
        plan.outbound.began(call)
        try:
            return await self._run(call)
        finally:
            plan.outbound.over(call.outcome)

    async def _take_unannounced(self, carrier: Carrier, call: IncomingCall, socket: MediaSocket) -> None:
        """A call whose media stream is the first that is heard of it."""
        decision = Refuse() if self._draining or not self._loaded else await self.offer(carrier.name, call)
        if isinstance(decision, Refuse):
            await socket.aclose(1013, "no call is taken")
        else:
            await self.take(decision, carrier.name, socket)

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

    # --- calling and writing ------------------------------------------------------------------------------------------

    async def dial(
        self,
        to: str,
        program: Program | None = None,
        *,
        agent: Agent | None = None,
        sender: str | None = None,
        carrier: str | None = None,
        ring_timeout: float = 30.0,
        amd: bool = False,
        voicemail: str | Clip | None = None,
        on_machine: OnMachine = "hang up",
        on_answered_by: Callable[[AnsweredBy], None] | None = None,
        max_duration: float | None = None,
        send_digits: str = "",
        parameters: Mapping[str, str] | None = None,
    ) -> OutboundCall:
        """Call somebody. Returns at once; `OutboundCall.wait` says what became of it, and hangs up when cancelled.

        The call runs ``program`` (an agent or a story; ``agent`` alone is one too, or the parts of a story), or the
        engine's own. It shows ``sender``, by default the carrier's; ``carrier`` is its name, by default the first that
        can dial. It rings for ``ring_timeout`` seconds (5 to 600).

        ``amd`` asks the carrier whether a machine answers: then the call is hung up, or goes on (``on_machine``). With
        ``voicemail`` the program is dismissed, and the message is said when the machine records. ``on_answered_by`` is
        called with what was found. ``max_duration`` is the longest call in seconds, as far as the carrier keeps to it.
        ``send_digits`` are keys to press when it is answered (an extension). ``parameters`` come back as those of the
        call, for the program.

        Raises `ConfigurationError`; what the carrier says is in the outcome.
        """
        return await self._run_time().board.dial(
            to,
            program,
            agent=agent,
            sender=sender,
            carrier=carrier,
            ring_timeout=ring_timeout,
            amd=amd,
            voicemail=voicemail,
            on_machine=on_machine,
            on_answered_by=on_answered_by,
            max_duration=max_duration,
            send_digits=send_digits,
            parameters=parameters,
        )

    async def send_message(self, to: str, text: str, *, sender: str | None = None, carrier: str | None = None) -> str:
        """Send a text message (SMS); returns its name. Raises `CarrierError`, `ConfigurationError`."""
        return await self._run_time().board.send_message(to, text, sender=sender, carrier=carrier)

    async def fetch_recording(self, recording: RecordingReady) -> bytes:
        """The audio of a recording that a carrier made. Raises `callengine.fetching.FetchRefused`, ``FetchFailed``."""
        return await self._fetch(recording.carrier, recording.url, MAX_RECORDING)

    async def fetch_media(self, message: IncomingMessage) -> list[bytes]:
        """The pictures and the like of a text message. Raises the same."""
        return [await self._fetch(message.carrier, url, MAX_MEDIA) for url in message.media]

    async def _fetch(self, carrier: str, url: str, max_bytes: int) -> bytes:
        auth = self._run_time().board.control(carrier).authorisation(url)
        return await fetch(url, max_bytes=max_bytes, timeout=FETCH_TIMEOUT, auth=auth, http=self._http)

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

    def on_message(self, listener: MessageListener) -> MessageListener:
        """Tell this function, plain or async, of each text message that comes in; what it returns is sent as the
        answer. Usable as a decorator."""
        self.observers.message_listeners.append(listener)
        return listener

    def on_delivery(self, listener: DeliveryListener) -> DeliveryListener:
        """Tell this function, plain or async, what becomes of text messages that were sent; usable as a decorator."""
        self.observers.delivery_listeners.append(listener)
        return listener

    def on_recording(self, listener: RecordingListener) -> RecordingListener:
        """Tell this function, plain or async, of each recording that can be fetched (`fetch_recording`), or of which
        there is none after all; usable as a decorator."""
        self.observers.recording_listeners.append(listener)
        return listener


def _welcomed_back(cast: Cast) -> Cast:
    """The same, for a caller who comes back from a failed transfer."""
    if cast.story is not None:
        return cast
    return attrs.evolve(cast, agent=attrs.evolve(cast.agent, greeting=cast.agent.transfer_failed))
