"""The line of a call: its children and how they are joined.

Reader -> ears -> ring and VAD -> recogniser -> conductor -> program -> reply -> sender: each arrow is one call or one
channel, and everything in here lives exactly as long as the carrier's leg.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Protocol

import attrs
import trio

from callengine.audio.format import AudioFormat
from callengine.audio.ring import AudioRing
from callengine.call.attendant import Host
from callengine.call.chain import Chain
from callengine.call.conductor import Conductor
from callengine.call.denoising import Denoising
from callengine.call.ears import Ears
from callengine.call.held import Opened, open_fresh
from callengine.call.llm import Writer
from callengine.call.parts import CallSetup, Connection
from callengine.call.purse import metered
from callengine.call.reader import Reader
from callengine.call.reply import Speaker
from callengine.call.sender import Sender
from callengine.call.stt import Transcriber
from callengine.call.tee import Listener, SecondOpinion, Tee
from callengine.call.tts import Voice
from callengine.call.turn_detection import TurnWatch
from callengine.call.vad import VoiceWatch
from callengine.call.writing import Thinking
from callengine.cleanup import bounded_cleanup
from callengine.errors import AudioError, CallEngineError, SocketClosed
from callengine.events import Fact
from callengine.journal import Journal
from callengine.outcome import EndedBy
from callengine.ports import CarrierCodec, EchoSession, KeyCodec, ProviderRole, SessionContext, SpeechToText
from callengine.services.vad_bank import VadRow
from callengine.turns.digits import DigitCollector
from callengine.turns.patience import Patience
from callengine.turns.settings import Preemption
from callengine.turns.turn_taking import TurnTaker
from callengine.turns.voice_activity import VoiceActivity

log = logging.getLogger(__name__)

_POLITE = (1000, 1001)
"""WebSocket close codes of a carrier that is done: no call goes on without its stream then."""
_PROTOCOL_ERRORS = (1002, 1003, 1007, 1009)
"""WebSocket close codes that say that somebody broke the protocol (RFC 6455, section 7.4.1)."""


class LineOwner(Host, Protocol):
    """The call, as its line sees it."""

    @property
    def ended(self) -> bool:
        """Whether the call is over."""

    def finish(self, by: EndedBy, reason: str) -> None:
        """The call is over."""

    def failed(self, part: str, error: BaseException) -> None:
        """The call is over, for a fault in this part."""


class Line:
    """Everything between the carrier and the program of one call."""

    def __init__(self, connection: Connection, setup: CallSetup, journal: Journal, owner: LineOwner) -> None:
        self.audio_format: AudioFormat = connection.stream.audio_format
        self._connection = connection
        self._stopped = False
        """Whether the carrier said that the stream is over."""
        self._setup = setup
        self._journal = journal
        self._owner = owner
        self._ring = AudioRing(self.audio_format, setup.settings.ring)
        self._row: VadRow | None = None
        self._ears: Ears | None = None
        self.sender = Sender(
            socket=connection.socket,
            codec=connection.codec,
            audio_format=self.audio_format,
            metronome=setup.services.metronome,
            settings=setup.settings.sender,
            journal=journal,
            post=self._post,
            fail=lambda error: owner.failed("sender", error),
        )
        self.conductor = Conductor(
            self._turn_taker(),
            self.sender,
            journal,
            DigitCollector(setup.agent.digits),
            self._patience(),
            owner,
            max_facts=setup.settings.max_facts,
            overload=lambda: owner.finish("failed", f"overload: more than {setup.settings.max_facts} facts wait"),
        )
        self._reader = Reader(
            connection.early,
            socket=connection.socket,
            codec=connection.codec,
            audio_format=self.audio_format,
            ring=self._ring,
            journal=journal,
            on_mark=self.sender.echoed,
            on_key=self.conductor.key_pressed,
        )
        self._open_providers(connection.stream.call_id)

    def _open_providers(self, call_id: str) -> None:
        agent, settings, parts = self._setup.agent, self._setup.settings, self._setup.parts
        health, opened = self._setup.services.health, self._opened
        context = SessionContext(
            call_id,
            agent.language,
            self.audio_format.sample_rate,
            self._setup.interim,
            line=self.audio_format,
            wire=self._setup.services.wire,
        )
        if agent.on_session is not None:
            context = attrs.evolve(context, opening=agent.on_session)
        roles: tuple[ProviderRole, ...] = ("stt", "tts", "llm")
        hears, speaks, writes = (metered(context, role, self._journal, lambda: self.conductor.turn) for role in roles)
        self._transcriber = self._listening(parts.stt, hears, self._post, opened)
        self._listener: Listener = self._transcriber
        self._second = None
        if parts.second_stt is not None:
            opinion = SecondOpinion(self._journal, parts.second_stt.name)
            second = self._listening((parts.second_stt,), hears, opinion.post, open_fresh)
            self._listener = Tee(self._transcriber, second)
            self._second = partial(opinion.listen, second)
        self._turn_watch = None
        if parts.turn_detector is not None:
            self._turn_watch = TurnWatch(
                parts.turn_detector, context, self._ring, self._journal, self._post, settings=settings.turn_detection
            )
        self._tts = Chain("tts", parts.tts, speaks, self._journal, health, hedged="tts" in agent.hedged, opened=opened)
        self._llm = None
        if parts.llm:
            self._llm = Chain(
                "llm", parts.llm, writes, self._journal, health, hedged="llm" in agent.hedged, opened=opened
            )
        self.writer = None if self._llm is None else Writer(self._llm, stall=settings.text_stall)
        self.speaker = Speaker(
            self.sender,
            Voice(self._tts, self.audio_format, stall=settings.audio_stall),
            self.audio_format,
            self._journal,
            language=agent.language,
            budget=settings.reply_budget,
            stall=settings.text_stall,
            ended=lambda: self._owner.ended,
            turn=lambda: self.conductor.turn,
            post=self._post,
            thinking=Thinking(
                after=agent.thinking_after,
                fillers=agent.thinking,
                audible_until=lambda: self.sender.audible_until,
            ),
        )

    def _listening(
        self, recipes: Sequence[SpeechToText], context: SessionContext, post: Callable[[Fact], None], opened: Opened
    ) -> Transcriber:
        return Transcriber(
            recipes,
            context,
            self._ring,
            self._setup.settings,
            self._journal,
            post,
            final_timeout=self._setup.agent.turns.final_timeout,
            health=self._setup.services.health,
            opened=opened,
        )

    @property
    def _opened(self) -> Opened:
        """How sessions are opened: what was opened while the phone rang is taken over."""
        prewarm = self._setup.prewarm
        return open_fresh if prewarm is None else prewarm.opened

    def _patience(self) -> Patience:
        agent = self._setup.agent
        settings = agent.patience
        if self._setup.story is not None:  # what a silent caller is told is the story's business
            settings = attrs.evolve(settings, away_after=None)
        return Patience(
            settings,
            trio.current_time(),
            final_timeout=agent.turns.final_timeout,
            last_words=self._setup.settings.last_words,
        )

    def _turn_taker(self) -> TurnTaker:
        agent, settings = self._setup.agent, self._setup.agent.turns
        if self._setup.story is not None or not self._setup.parts.llm:
            # what a story does with a turn, and what a flow makes of one, cannot be taken back
            settings = attrs.evolve(settings, preemption=Preemption(enabled=False))
        detector = self._setup.parts.turn_detector is not None
        return TurnTaker(settings, language=agent.language, detector=detector)

    def _post(self, fact: Fact) -> None:
        self.conductor.post(fact)

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[dict[str, Callable[[], Awaitable[None]]]]:
        """Join the shared services; the value is the children to run, by the part they play."""
        watch = VoiceWatch(
            VoiceActivity(attrs.evolve(self._setup.agent.vad, sample_rate=self.audio_format.sample_rate)),
            self._listener,
            self._journal,
            self._post,
            self._reader.when,
            self._turn_watch,
            faint_counts=self._faint_counts,
        )
        self.conductor.on_turn_end = watch.turn_ended
        with self._setup.services.vad_bank.join(
            on_probability=watch.on_probability,
            on_fault=lambda error: self._owner.failed("vad", error),
            sample_rate=self.audio_format.sample_rate,
        ) as self._row:
            echo = self._open_echo()
            ears = Ears(
                self.audio_format,
                self._ring,
                self._row,
                self._journal,
                echo=echo,
                aec=self._setup.agent.aec,
                denoising=Denoising(self._setup.agent.denoiser, self.audio_format.sample_rate, self._journal),
                audible_until=lambda: self.sender.audible_until,
                on_heard=self._heard,
            )
            self._ears = ears
            if ears.far_end is not None:
                self.sender.on_sent, self.sender.on_cleared = ears.far_end.sent, ears.far_end.cleared
            self._reader.on_audio = ears.hear
            self.sender.probe()
            children: dict[str, Callable[[], Awaitable[None]]] = {
                "reader": self._read,
                "conductor": self.conductor.run,
                "stt": self._transcriber.run,
                "tts": self._tts.run,
            }
            if self._second is not None:
                children["second stt"] = self._second
            if self._llm is not None:
                children["llm"] = self._llm.run
            if self._turn_watch is not None:
                children["turn_detection"] = self._turn_watch.run
            yield children

    def _open_echo(self) -> EchoSession | None:
        """A canceller for this line; none where it cannot do the line's rate, unless the agent insists."""
        parts = self._setup.parts
        try:
            return None if parts.echo is None else parts.echo.open(self.audio_format.sample_rate)
        except AudioError as error:
            if self._setup.agent.aec == "on":
                raise
            self._journal.note("decision", what="go on without echo cancellation", reason=str(error))
            return None

    def _faint_counts(self) -> bool:
        """Whether a faint sound may be the caller who interrupts: it is no echo, and pauses the agent at most."""
        audible = trio.current_time() < self.sender.audible_until
        return audible and self._ears is not None and not self._ears.may_hear_the_agent

    def _heard(self) -> None:
        """The ring has more of the caller."""
        self._listener.audio_arrived()
        if self._turn_watch is not None:
            self._turn_watch.audio_arrived()

    async def _read(self) -> None:
        try:
            reason = await self._reader.run()
            self._stopped = True
            self._owner.finish("caller", reason)
        except SocketClosed as closed:
            self._stopped = closed.code in _POLITE  # Plivo says no more than that when a call is over
            if closed.code in _PROTOCOL_ERRORS:
                self._owner.finish("failed", f"media socket: {closed.code} {closed.reason}")
            else:
                self._owner.finish("caller", f"the media socket closed ({closed.code}) without a stop")

    async def close(self, *, polite: bool, handed_over: bool) -> None:
        """End the leg, and close the media socket, within the time that its end may take; then forcibly.

        The carrier is asked to hang up first, and has its time to close the socket itself: a server that closes first
        is an error in its logs (Twilio's 31921). A leg that was ``handed_over`` goes on without us.
        """
        settings = self._setup.settings
        left = settings.goodbye if polite else settings.cleanup
        try:
            if not self._stopped and (handed_over or self._commanded):
                begun = trio.current_time()
                with bounded_cleanup(settings.goodbye) as bound:
                    if handed_over or await self._hang_up():
                        await self._carrier_closes()
                if bound.cancelled_caught:
                    reason = f"the carrier has not closed it within {settings.goodbye:g} s"
                    self._journal.note("decision", what="close the socket", reason=reason)
                left = max(settings.cleanup, begun + left - trio.current_time())
            with bounded_cleanup(left):
                await self._connection.socket.aclose(1000, "")
        finally:
            self._connection.socket.close_nowait()

    @property
    def codec(self) -> CarrierCodec:
        """The wire protocol of the media stream."""
        return self._connection.codec

    async def press(self, digits: str, codec: KeyCodec) -> None:
        """Press keys at the other end, by messages on the media socket; w and W wait."""
        for key in digits:
            if key in "wW":
                await trio.sleep(0.5 if key == "w" else 1.0)
                continue
            with suppress(SocketClosed):  # the reader learns of it too
                self._connection.socket.send_nowait(codec.dtmf(key))
        await trio.lowlevel.checkpoint()

    @property
    def _commanded(self) -> bool:
        leg = self._connection.leg
        return leg is not None and leg.commanded and leg.capabilities.hang_up

    async def _hang_up(self) -> bool:
        """Have the carrier end the leg; says whether it will. The socket may be gone without the leg being so."""
        assert self._connection.leg is not None
        try:
            await self._connection.leg.hang_up()
        except CallEngineError as error:
            log.warning("a call could not be hung up by command, so its media socket is closed: %s", error)
            self._journal.note("decision", what="close the socket", reason=str(error))
            return False
        self._journal.note("decision", what="hang up", reason="the carrier was asked to end the leg")
        return True

    async def _carrier_closes(self) -> None:
        with suppress(SocketClosed):
            while True:
                await self._connection.socket.receive()

    def counters(self) -> Counter[str]:
        """What was dropped, refused or repeated, by name."""
        counts = self._reader.counters + self.conductor.counters
        counts["underruns"] = self.sender.underruns
        counts["recogniser restarts"] = self._transcriber.restarts
        counts["caller's samples lost to the recogniser"] = self._ring.dropped
        counts["VAD windows dropped"] = 0 if self._row is None else self._row.dropped
        counts["journal records dropped"] = self._journal.dropped
        counts["turn verdicts given up"] = 0 if self._turn_watch is None else self._turn_watch.given_up
        return +counts
