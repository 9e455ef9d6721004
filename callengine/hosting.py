"""What an engine is for its server: it decides about calls that come, and runs them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import attrs
import trio

from callengine.call.call import Call
from callengine.call.held import Recipe
from callengine.call.parts import CallInfo, CallParts, CallSetup, Services
from callengine.call.prewarm import Prewarm, Prewarming
from callengine.call.settings import CallSettings
from callengine.cleanup import bounded_cleanup
from callengine.errors import CallEngineError
from callengine.journal import Journal, JournalSettings
from callengine.loading import PartsLoader
from callengine.observers import Observers
from callengine.outcome import Outcome
from callengine.ports import MediaSocket, ProviderRole, SessionContext
from callengine.programs import Cast, Programs
from callengine.records.writer import JournalWriter
from callengine.server.admission import admit
from callengine.server.host import Offer, Told
from callengine.server.tokens import TokenStore
from callengine.services.health import Health
from callengine.switchboard.board import Switchboard
from callengine.switchboard.leg import EngineLeg
from callengine.switchboard.owner import DECIDE, Plan
from callengine.taking import first_messages
from callengine.telephony import Carrier, CarrierFact, IncomingCall, InstructionsWanted, Refuse, TransferEnded

log = logging.getLogger(__name__)


@attrs.frozen
class Running:
    """What there is while an engine serves."""

    services: Services
    loader: PartsLoader
    board: Switchboard
    tokens: TokenStore
    app: Any


class Hosting:
    """The part of `callengine.Engine` that its server, and whoever brings calls, speaks to."""

    host: str
    port: int
    public_url: str | None
    insecure: bool
    carriers: dict[str, Carrier]
    settings: CallSettings
    max_calls: int
    observers: Observers
    prewarming: Prewarming
    """What calls have ready while their telephones ring, in figures."""
    _programs: Programs
    _journal_settings: JournalSettings
    _interim: bool | None
    _today: Callable[[], datetime]
    _running: Running | None
    _loaded: bool
    _draining: bool
    _writer: JournalWriter | None
    _calls: dict[str, Call]
    _idle: trio.Event

    def _run_time(self) -> Running:
        if self._running is None:
            raise CallEngineError("the engine is not running: use it inside serve() or open()")
        return self._running

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

    @asynccontextmanager
    async def prewarmed(self, carrier: str, cast: Cast, reference: str) -> AsyncIterator[Prewarm | None]:
        """While in here, what a call of this carrier and cast will need is made ready; None where nothing is."""
        agent, running = cast.agent, self._run_time()
        if not agent.prewarm:
            yield None
            return
        parts = await running.loader.parts(agent, story=cast.story is not None)
        line = self.carriers[carrier].capabilities.audio
        context = SessionContext(
            reference, agent.language, line.sample_rate, self._wants_interim, line=line, wire=running.services.wire
        )
        if agent.on_session is not None:
            context = attrs.evolve(context, opening=agent.on_session)
        says_it = cast.story is None and agent.prewarm_greeting and isinstance(agent.greeting, str)
        greeting = str(agent.greeting) if says_it else ""
        recipes = _first(running.services.health, parts)
        async with self.prewarming.prewarmed(recipes, context, greeting) as prewarm:
            yield prewarm

    @property
    def _wants_interim(self) -> bool:
        return self.observers.watched if self._interim is None else self._interim

    async def offer(self, carrier: str, call: IncomingCall) -> Offer | Refuse:
        """A call comes in: what it runs is decided here, and travels with it."""
        return await self._run_time().board.arrivals.offer(carrier, call)

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
        leg: EngineLeg | None = None
        if recipe.capabilities.instructed != "stream":
            number = offer.caller if offer.direction == "outbound" else offer.callee
            leg = EngineLeg(running.board, recipe, connection.stream.call_id, offer, cast.agent, number)
            connection = attrs.evolve(connection, leg=leg)
        parts = await running.loader.parts(cast.agent, story=cast.story is not None)
        prewarm = running.board.arrivals.arrived(carrier, connection.stream.call_id)
        if plan.outbound is not None and plan.outbound.call is None:
            prewarm = plan.outbound.prewarm
        setup = CallSetup(
            agent=cast.agent,
            story=cast.story,
            parts=parts,
            services=running.services,
            settings=self.settings,
            interim=self._wants_interim,
            today=self._today,
            before=plan.before,
            prewarm=prewarm,
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
        if leg is not None:
            leg.said = lambda: call.outcome.turns
        if plan.outbound is not None:
            plan.outbound.began(call)
        try:
            return await self._run(call, prewarm)
        finally:
            if plan.outbound is not None:
                plan.outbound.over(call.outcome)

    async def _take_unannounced(self, carrier: Carrier, call: IncomingCall, socket: MediaSocket) -> None:
        """A call whose media stream is the first that is heard of it."""
        decision: Offer | Refuse = Refuse()
        with trio.move_on_after(DECIDE):
            if self._loaded and not self._draining:
                decision = await self.offer(carrier.name, call)
        if isinstance(decision, Refuse):
            await socket.aclose(1013, "no call is taken")
        else:
            await self.take(decision, carrier.name, socket)

    async def _run(self, call: Call, prewarm: Prewarm | None) -> Outcome:
        key = f"{call.carrier}:{call.stream_id}"
        self._calls[key] = call
        log.info("call %s: %s from %s", call.id, call.direction, call.masked_caller)
        self.observers.call_started(call)
        try:
            try:
                try:
                    await call.run()
                finally:
                    if prewarm is not None:
                        await prewarm.close()
            except BaseException:  # the engine was stopped: listeners have what is left of the clean-up's time
                left = max(0.0, call.outcome.ended_at + call.settings.cleanup - trio.current_time())
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
        log.info("call %s: %s", outcome.call_id, outcome.costs)
        await self.observers.call_ended(outcome, timeout)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that are going on."""
        return tuple(self._calls.values())


def _first(health: Health, parts: CallParts) -> dict[ProviderRole, Recipe[Any]]:
    """The provider of each role that a call tries first."""
    firsts: dict[ProviderRole, Recipe[Any]] = {}
    every: dict[ProviderRole, Any] = {"stt": parts.stt, "tts": parts.tts, "llm": parts.llm}
    for role, recipes in every.items():
        if recipes:
            firsts[role] = health.in_order(role, recipes if isinstance(recipes, Sequence) else [recipes])[0]
    return firsts


def _welcomed_back(cast: Cast) -> Cast:
    """The same, for a caller who comes back from a failed transfer."""
    if cast.story is not None:
        return cast
    return attrs.evolve(cast, agent=attrs.evolve(cast.agent, greeting=cast.agent.transfer_failed))
