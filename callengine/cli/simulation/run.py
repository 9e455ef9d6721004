"""A whole simulation: load what speaks and hears, connect, hold the call, and follow what the server says next."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import attrs
import httpx
import trio

from callengine.cli.simulation.actions import Actions, Scripted, Typed
from callengine.cli.simulation.address import Address
from callengine.cli.simulation.call import Settings, SimulatedCall
from callengine.cli.simulation.carriers import DIALECTS, Dialect
from callengine.cli.simulation.documents import BadDocument, End, Fetch, OpenStream, Pause, Speak, Step, check_stream
from callengine.cli.simulation.line import Line, LineFaults
from callengine.cli.simulation.report import Report, Summary
from callengine.cli.simulation.script import Action, Say
from callengine.cli.simulation.signing import Signer
from callengine.cli.simulation.speech import Speech, Understand, installed, load_recogniser, load_voice
from callengine.cli.simulation.telnyx_call import TelnyxCall
from callengine.cli.simulation.telnyx_desk import TelnyxDesk
from callengine.cli.simulation.webhooks import Parties, Telephone
from callengine.cli.simulation.wires import NoConnection, Wire, open_audiosocket, open_websocket
from callengine.errors import ConfigurationError
from callengine.providers.local.workers import Workers
from callengine.testing.playout import PlayoutQueue
from callengine.testing.side import Side, side_of

MOST_DOCUMENTS = 10
"""Documents that are fetched for one call; Twilio follows as many redirects."""


@attrs.frozen(kw_only=True)
class Plan:
    """What is to be simulated."""

    kind: str
    target: str
    """A URL, or host:port for AudioSocket."""
    settings: Settings
    line: LineFaults = LineFaults()
    actions: tuple[Action, ...] = ()
    stdin: int | None = None
    """A file descriptor from which lines are read, where there are no actions."""
    words: bool = True
    """Whether the agent's words are recognised, where that is possible."""
    token: str | None = attrs.field(default=None, repr=False)
    """What the carrier signs with."""
    public_url: str | None = None
    caller: str = "+15550100001"
    callee: str = "+15550100000"
    parameters: dict[str, str] = attrs.field(factory=dict)
    seed: bytes | None = attrs.field(default=None, repr=False)
    """What Telnyx's events are signed with."""
    api_port: int = 8090
    """Where the server finds Telnyx's API."""
    number: int = 1
    """Which call this is: the carrier's names are made of it."""


@attrs.frozen
class _Cast:
    """Who speaks and hears."""

    speech: Speech
    understand: Understand | None
    actions: Actions


async def simulate(plan: Plan, report: Report) -> bool:
    """Play it; whether all went well. Raises `ConfigurationError`, before anything is dialled."""
    dialect = DIALECTS[plan.kind]
    address = None if plan.kind == "audiosocket" else Address(plan.target, plan.public_url)
    if address is not None and address.webhook and plan.kind == "telnyx" and plan.seed is None:
        raise ConfigurationError("Telnyx's events are signed: give --signing-seed, or call the media socket")
    cast = await _cast(plan)
    simulation = _Simulation(plan, dialect, cast, report)
    simulation.check()
    async with _interruptible(simulation.stop):
        if address is None:
            host, _, port = plan.target.removeprefix("tcp://").rpartition(":")
            if not host or not port.isdecimal():
                raise ConfigurationError(f"{plan.target!r}: give host:port, where the engine waits for Asterisk")
            await simulation.audiosocket(host, int(port))
        elif address.webhook and plan.kind == "telnyx":
            await simulation.telnyx(address)
        elif address.webhook:
            await simulation.webhook(address)
        else:
            await simulation.media(address, OpenStream(plan.target, plan.parameters))
    return simulation.passed


async def _cast(plan: Plan) -> _Cast:
    workers = Workers()
    says = any(isinstance(action, Say) for action in plan.actions)
    typed = plan.stdin is not None and installed("onnxruntime", "hibari")
    speech = Speech(await load_voice(workers) if says or typed else None, workers)
    await speech.prepare(plan.actions)
    understand = await load_recogniser(plan.actions, workers) if plan.words else None
    return _Cast(speech, understand, Scripted(plan.actions) if plan.stdin is None else Typed(plan.stdin))


class _Simulation:
    """One caller's call, which may have several streams."""

    def __init__(self, plan: Plan, dialect: Dialect, cast: _Cast, report: Report) -> None:
        self._plan = plan
        self._dialect = dialect
        self._cast = cast
        self._report = report
        self._streams = 0
        self._call_id = side_of(plan.kind).ids(plan.number)[0]
        self._parties = Parties(call_id=self._call_id, caller=plan.caller, callee=plan.callee)
        self._commanded = trio.Event()
        self._signer = Signer(plan.kind, plan.token)
        self.stop = trio.Event()
        self.passed = True

    def check(self) -> None:
        """Raise `ConfigurationError` where this carrier cannot be simulated as it was asked for."""
        self._side({})

    # --- the ways to a stream -----------------------------------------------------------------------------------------

    async def audiosocket(self, host: str, port: int) -> None:
        """Asterisk's own protocol, over TCP."""
        await self._hold(open_audiosocket(host, port), {})

    async def media(self, address: Address, stream: OpenStream) -> Summary | None:
        """A WebSocket; None where there was no connection."""
        for complaint in check_stream(stream, self._dialect, insecure_allowed=address.local):
            self._complain(complaint)
        url = address.dialled(stream.url)
        return await self._hold(open_websocket(url, self._signer.upgrade(address.signed(url))), stream.parameters)

    async def telnyx(self, address: Address) -> None:
        """Telnyx's events, and its API for the commands that they lead to."""
        seed = self._plan.seed
        assert seed is not None
        async with httpx.AsyncClient() as http:
            desk = TelnyxDesk(http, address.target, self._parties, seed, self._complain)
            self._commanded = desk.hung_up
            async with desk.open(self._plan.api_port):
                tell = partial(self._tell, "carrier")
                await TelnyxCall(desk, partial(self.media, address), tell, self._complain).run()

    async def webhook(self, address: Address) -> None:
        """The voice webhook, and what it leads to."""
        async with httpx.AsyncClient() as http:
            telephone = Telephone(http, self._dialect, address, self._parties, self._signer)
            url: str | None = address.signed(address.target)
            status = "ringing"
            for _ in range(MOST_DOCUMENTS):
                if url is None:
                    return
                try:
                    answered = await telephone.ask(url, status)
                except BadDocument as error:
                    self._complain(str(error))
                    return
                self._tell("webhook", f"the webhook answered within {answered.seconds * 1000:.0f} ms", url=url)
                url = await self._carry_out(answered.steps, address)
                status = "in-progress"
            self._complain(f"more than {MOST_DOCUMENTS} documents for one call")

    async def _carry_out(self, steps: list[Step], address: Address) -> str | None:
        """Do what a document says; returns the URL of the next one."""
        for step in steps:
            if isinstance(step, Speak):
                self._tell("carrier", f'the carrier says: "{step.text}"')
            elif isinstance(step, Pause):
                self._tell("carrier", f"the carrier waits for {step.seconds:g} s")
                with trio.move_on_after(step.seconds):
                    await self.stop.wait()
            elif isinstance(step, Fetch):
                return step.url
            elif isinstance(step, End):
                self._tell("ended", f"the server ended the call: {step.why}")
                return None
            elif isinstance(step, OpenStream):
                summary = await self.media(address, step)
                if summary is None or summary.ended_by != "server":
                    return None
                if step.then is not None:
                    return step.then
            else:
                self._tell("carrier", f"not simulated: {step.what}")
        self._tell("ended", "the carrier ended the call: the document has nothing more to do")
        return None

    # --- a stream -----------------------------------------------------------------------------------------------------

    async def _hold(
        self, connection: AbstractAsyncContextManager[Wire], parameters: Mapping[str, str]
    ) -> Summary | None:
        """Hold a call over a connection that is to be opened; None where it cannot be."""
        self._streams += 1
        try:
            async with connection as wire:
                summary = await self._call(wire, parameters).run(self._cast.actions)
        except NoConnection as error:
            self._complain(self._dialect.says(error.kind, str(error)))
            return None
        self._report.summarise(summary)
        self.passed = self.passed and summary.passed
        return summary

    def _call(self, wire: Wire, parameters: Mapping[str, str]) -> SimulatedCall:
        side = self._side(parameters)
        binary = self._dialect.says("binary")
        on_binary = (lambda _: side.complaints.append(binary)) if self._dialect.texts else None
        line = Line(wire, self._plan.line, on_binary=on_binary)
        return SimulatedCall(
            line,
            side,
            self._dialect,
            self._plan.settings,
            self._report,
            self._cast.speech,
            self._cast.understand,
            stop=self.stop,
            commanded=self._commanded,
        )

    def _side(self, parameters: Mapping[str, str]) -> Side:
        plan = self._plan
        make = side_of(plan.kind)
        stream_id = make.ids(plan.number + self._streams - 1)[1]
        queue = PlayoutQueue(echo_on_clear=plan.settings.carrier.echo_on_clear)
        try:
            return make(self._call_id, stream_id, queue, parameters, **plan.settings.carrier.options)
        except TypeError as error:
            raise ConfigurationError(f"{plan.kind} has no such option: {error}") from error

    # --- telling ------------------------------------------------------------------------------------------------------

    def _complain(self, text: str) -> None:
        self.passed = False
        self._report.tell("complaint", 0.0, f"PROTOCOL: {text}", complaint=text)

    def _tell(self, kind: Any, text: str, **data: Any) -> None:
        self._report.tell(kind, 0.0, text, **data)


@asynccontextmanager
async def _interruptible(stop: trio.Event) -> AsyncIterator[None]:
    """Let the first Ctrl-C set the event; the next one is an interrupt again."""
    async with trio.open_nursery() as nursery:
        await nursery.start(_listen_for_interrupt, stop)
        yield
        nursery.cancel_scope.cancel()


async def _listen_for_interrupt(stop: trio.Event, *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            stop.set()
            return
