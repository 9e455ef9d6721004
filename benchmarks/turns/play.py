"""One call of the benchmark, played in virtual time: what was really said and when, and the engine's own records."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from benchmarks.turns.agent import SHORT, Lines, answer
from benchmarks.turns.line import AHEAD, CallersLine
from benchmarks.turns.models import Models
from benchmarks.turns.script import CallScript, Exchange, Intrusion, Turn
from benchmarks.turns.variants import Variant
from callengine import Agent
from callengine.journal import Record
from callengine.testing.lab import CallLab
from callengine.testing.virtual import run_virtual

PATIENCE = 3.0
"""Seconds after the caller's last word within which his turn must have ended; else it was missed."""
LATER = 4.0
"""Seconds more that the caller waits for an answer before he says something else."""
SETTLED = 2.0
"""Seconds after an intrusion in which what the agent does is a consequence of it."""
LONGEST_REPLY = 25.0
"""Seconds after which the agent's reply must be over."""

Span = tuple[float, float]


@attrs.frozen
class SaidTurn:
    """A turn as it was really spoken. Times in seconds of the call."""

    exchange: int
    turn: Turn
    spans: tuple[Span, ...]
    """When each piece's voice began and ended."""

    @property
    def begins(self) -> float:
        return self.spans[0][0]

    @property
    def ends(self) -> float:
        return self.spans[-1][1]


@attrs.frozen
class SaidIntrusion:
    """An interruption, a backchannel or a noise, as it really came."""

    exchange: int
    intrusion: Intrusion
    reply: int
    """The agent's utterance that it came into."""
    span: Span


@attrs.frozen
class Played:
    """A call, as it went."""

    script: CallScript
    turns: tuple[SaidTurn, ...]
    intrusions: tuple[SaidIntrusion, ...]
    records: tuple[Record, ...]
    audible: tuple[Span, ...]
    """When the agent's audio was played at the carrier."""
    seconds: float


def play(script: CallScript, variant: Variant, models: Models) -> Played:
    """Play one call."""
    played: Played = run_virtual(_play, script, variant, models)
    return played


async def _play(script: CallScript, variant: Variant, models: Models) -> Played:
    lab = CallLab()
    lines = Lines()
    lab.llm.replies(*[lines] * 40 * len(script.exchanges))
    agent = Agent(
        prompt="You take bookings.",
        stt=models.recogniser(),
        tts=models.voice,
        turns=variant.turns,
        vad=variant.vad,
        turn_detector=models.detector() if variant.smart_turn else None,
    )
    async with lab.engine(agent, real={"vad", "aec"}) as engine, engine.events() as events:
        async with lab.dial(engine) as caller:
            leg = caller.leg
            line = CallersLine(script.line, leg.queue, leg.started_at, script.seed + script.number)
            leg.background = line
            books = Books(lab.call.journal.started_at)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(books.read, events)
                person = Person(line, lines, books)
                await person.talk(script.exchanges)
                nursery.cancel_scope.cancel()
            seconds = books.now
    lab.assert_nothing_left()
    if engine.observers.dropped:
        raise RuntimeError(f"{engine.observers.dropped} records of the journal were lost: the figures would be wrong")
    spans = tuple((start - books.started_at, end - books.started_at) for start, end in line.played)
    return Played(script, tuple(person.turns), tuple(person.intrusions), tuple(books.records), spans, seconds)


class Books:
    """The call's journal as it is written."""

    def __init__(self, started_at: float) -> None:
        self.started_at = started_at
        """Of the journal, on the engine's clock."""
        self.records: list[Record] = []
        self.open_replies = 0
        self._news = trio.Event()

    @property
    def now(self) -> float:
        """Seconds of the call."""
        return trio.current_time() - self.started_at

    async def read(self, events: trio.MemoryReceiveChannel[Record]) -> None:
        """Take in what is written."""
        async for record in events:
            self.records.append(record)
            self.open_replies += (record.kind == "reply.started") - (record.kind == "reply.ended")
            self._news.set()

    async def find(self, wanted: Callable[[Record], bool], *, since: int, timeout: float) -> Record | None:
        """The first such record from the one with the number ``since`` on; waits for it up to ``timeout`` seconds."""
        position = since
        with trio.move_on_after(timeout):
            while True:
                for record in self.records[position:]:
                    if wanted(record):
                        return record
                position = len(self.records)
                self._news = trio.Event()
                await self._news.wait()
        return None

    async def until_idle(self, timeout: float) -> None:
        """Wait until the agent has nothing to say."""
        with trio.move_on_after(timeout):
            while self.open_replies > 0:
                self._news = trio.Event()
                await self._news.wait()


class Person:
    """The caller: says his turns when the agent is silent, and what is in the script while it speaks."""

    def __init__(self, line: CallersLine, lines: Lines, books: Books) -> None:
        self._line = line
        self._lines = lines
        self._books = books
        self.turns: list[SaidTurn] = []
        self.intrusions: list[SaidIntrusion] = []

    async def talk(self, exchanges: tuple[Exchange, ...]) -> None:
        """The whole call, after a moment in which the line settles."""
        await trio.sleep(1.0)
        for number, exchange in enumerate(exchanges):
            self._lines.next = answer(number, exchange.asks, long=exchange.intrusion is not None)
            await self._books.until_idle(LONGEST_REPLY)
            since = len(self._books.records)
            said = await self._say(number, exchange.turn)
            self.turns.append(said)
            answered = await self._is_answered(said.ends, since)
            if answered and exchange.intrusion is not None:
                await self._intrude(number, exchange.intrusion, since, said.ends)

    async def _say(self, number: int, turn: Turn) -> SaidTurn:
        """Say a turn; returns at the end of its last word."""
        start = self._line.next_start(trio.current_time() + max(turn.waits, AHEAD))
        spans = self._put_on_line(turn, start)
        await trio.sleep_until(spans[-1][1] + self._books.started_at)
        return SaidTurn(number, turn, tuple(spans))

    def _put_on_line(self, turn: Turn, start: float) -> list[Span]:
        spans: list[Span] = []
        for index, clip in enumerate(turn.pieces):
            if spans:
                start = spans[-1][1] + self._books.started_at + turn.pauses[index - 1] - clip.begins
            self._line.say(clip, start, first=index == 0)
            at = start - self._books.started_at
            spans.append((at + clip.begins, at + clip.ends))
        return spans

    async def _is_answered(self, ends: float, since: int) -> bool:
        """Wait for the end of the turn that ended then, and for the agent to be heard."""
        books = self._books

        def wanted(record: Record) -> bool:
            return record.kind == "turn.ended" and record.t >= ends

        ended = await books.find(wanted, since=since, timeout=PATIENCE + LATER)
        if ended is None:
            return False
        audible = await books.find(lambda r: r.kind == "reply.audible" and r.t >= ended.t, since=since, timeout=LATER)
        return audible is not None

    async def _intrude(self, number: int, intrusion: Intrusion, since: int, ends: float) -> None:
        """Let it happen, at its time into the reply that is audible; returns when what came of it is settled."""
        books, sound = self._books, intrusion.sound
        audible = [r for r in books.records[since:] if r.kind == "reply.audible" and r.t >= ends][-1]
        wanted = audible.t + books.started_at + intrusion.into - sound.begins
        start = self._line.next_start(max(wanted, trio.current_time() + AHEAD))
        self._line.say(sound, start)
        at = start - books.started_at
        self._lines.next = SHORT[number % len(SHORT)]
        span = (at + sound.begins, at + sound.ends)
        self.intrusions.append(SaidIntrusion(number, intrusion, audible.data["utterance"], span))
        await trio.sleep_until(span[1] + books.started_at)
        if intrusion.kind == "interruption":
            await self._is_answered(span[1], since)
        else:
            await trio.sleep(SETTLED)
