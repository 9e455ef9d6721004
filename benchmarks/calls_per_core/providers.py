"""Scripted providers that cost as little as can be, and whose delays are exact.

`callengine.testing.scripted` understands the lab's speech and can fail in every way; here nothing is understood, and
delays are deadlines on the clock, so that they never add up, and end on time (see `timer`).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing

import numpy as np
import trio

from benchmarks.calls_per_core.scenario import CHARACTERS_A_SECOND, Scenario
from benchmarks.calls_per_core.timer import Timer
from callengine.audio.format import TELEPHONE, AudioFormat, Pcm
from callengine.ports import LlmEvent, Message, SessionContext, SpeechChunk, SttResult, TextDelta, ToolSpec

HEARD = "I would like to book a table for two, please."


class Stt:
    """A recogniser that always hears the same, ``stt_final`` after it was told that the utterance is over."""

    name = "scripted stt"

    def __init__(self, scenario: Scenario) -> None:
        self._delay = scenario.stt_final

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[_SttSession]:
        """See `callengine.ports.SpeechToText`."""
        del context
        with closing(Timer()) as timer:
            yield _SttSession(self._delay, timer)


class _SttSession:
    hears_pauses = False

    def __init__(self, delay: float, timer: Timer) -> None:
        self._delay = delay
        self._timer = timer
        self._utterance = 0
        self._ended_in, self._ended = trio.open_memory_channel[tuple[int, float]](100)
        self._next: tuple[int, float] | None = None

    async def start_utterance(self, utterance: int) -> None:
        self._utterance = utterance

    async def send(self, audio: Pcm) -> None:
        pass

    async def pause(self) -> None:
        pass

    async def end_utterance(self) -> None:
        self._ended_in.send_nowait((self._utterance, time.monotonic() + self._delay))

    async def receive(self) -> SttResult:
        if self._next is None:
            self._next = await self._ended.receive()
        utterance, due = self._next
        await self._timer.until(due)
        self._next = None
        return SttResult(HEARD, True, utterance)


class Llm:
    """A language model that always says the same: its first word after ``llm_first``, one more each ``llm_gap``."""

    name = "scripted llm"

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[Llm]:
        """See `callengine.ports.LanguageModel`."""
        del context
        yield self

    @asynccontextmanager
    async def reply(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncIterator[AsyncIterator[LlmEvent]]:
        """See `callengine.ports.LlmSession`."""
        del messages, tools
        with closing(Timer()) as timer:
            yield _Tokens(self._scenario, timer)


class _Tokens:
    def __init__(self, scenario: Scenario, timer: Timer) -> None:
        self._timer = timer
        self._tokens = iter(scenario.tokens)
        self._due = time.monotonic() + scenario.llm_first
        self._gap = scenario.llm_gap

    def __aiter__(self) -> AsyncIterator[LlmEvent]:
        return self

    async def __anext__(self) -> LlmEvent:
        for token in self._tokens:
            await self._timer.until(self._due)
            self._due += self._gap
            return TextDelta(token)
        raise StopAsyncIteration


class Tts:
    """A voice that speaks 15 characters a second: the first ``tts_chunk`` of audio after ``tts_first``, the rest
    ``tts_speed`` times faster than it plays."""

    name = "scripted tts"

    def __init__(self, scenario: Scenario, voice: bytes) -> None:
        self._scenario = scenario
        self._voice = voice * (1 + 240_000 // len(voice))

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[Tts]:
        """See `callengine.ports.TextToSpeech`."""
        del context
        yield self

    @property
    def audio_format(self) -> AudioFormat:
        """See `callengine.ports.TtsSession`."""
        return TELEPHONE

    @asynccontextmanager
    async def synthesise(self, text: str) -> AsyncIterator[AsyncIterator[SpeechChunk]]:
        """See `callengine.ports.TtsSession`."""
        size = round(len(text) / CHARACTERS_A_SECOND * 8000)
        with closing(Timer()) as timer:
            yield _Chunks(self._scenario, self._voice[:size], timer)


class _Chunks:
    def __init__(self, scenario: Scenario, audio: bytes, timer: Timer) -> None:
        self._timer = timer
        self._audio = audio
        self._at = 0
        self._size = round(scenario.tts_chunk * 8000)
        self._due = time.monotonic() + scenario.tts_first
        self._gap = scenario.tts_chunk / scenario.tts_speed

    def __aiter__(self) -> AsyncIterator[SpeechChunk]:
        return self

    async def __anext__(self) -> SpeechChunk:
        if self._at >= len(self._audio):
            raise StopAsyncIteration
        await self._timer.until(self._due)
        self._due += self._gap
        start, self._at = self._at, self._at + self._size
        return SpeechChunk(self._audio[start : self._at])


async def cost_alone(scenario: Scenario, calls: int = 40) -> float:
    """Seconds of CPU that one call's providers take in a second of call, Trio's part included, without the engine.

    One turn of ``calls`` calls at once, in real time; what a turn costs is spread over the time that a turn takes.
    """
    tts, llm = Tts(scenario, b"\xff"), Llm(scenario)
    before = time.thread_time()
    async with trio.open_nursery() as nursery:
        for _ in range(calls):
            nursery.start_soon(_one_turn, Stt(scenario), llm, tts, scenario)
    return (time.thread_time() - before) / calls / scenario.cycle


async def _one_turn(stt: Stt, llm: Llm, tts: Tts, scenario: Scenario) -> None:
    block = np.zeros(800, np.int16)
    async with stt.open(SessionContext("alone")) as session:
        await session.start_utterance(1)
        for _ in range(25):
            await session.send(block)
        await session.end_utterance()
        await session.receive()
    async with llm.reply(()) as tokens:
        async for _ in tokens:
            pass
    async with tts.synthesise(scenario.reply) as chunks:
        async for _ in chunks:
            pass
