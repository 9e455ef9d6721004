"""Scripted providers: exact delays, exact words, and every way to fail."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import attrs
import numpy as np
import trio
from numpy.typing import NDArray

from callengine.audio.convert import ToCarrier, from_pcm
from callengine.audio.format import TELEPHONE, AudioFormat, Pcm
from callengine.errors import ProviderError, ProviderFault
from callengine.ports import (
    HintKind,
    LlmEvent,
    Message,
    SessionContext,
    SpeechChunk,
    SttResult,
    TextDelta,
    ToolCall,
    ToolSpec,
    Usage,
    WordTime,
)
from callengine.testing.opening import Scripted
from callengine.testing.words import Vocabulary, read_words


class EnergyVad:
    """A voice activity model that hears energy: 1 for a loud window, 0 for a quiet one."""

    sample_rate = 8000
    window = 256
    context = 1
    state_size = 1

    def step(
        self, audio: NDArray[np.float32], context: NDArray[np.float32], state: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `callengine.ports.Vad`. Loud is above -40 dBFS."""
        del context
        loud = np.sqrt(np.mean(audio * audio, axis=1)) > 0.01
        return loud.astype(np.float32), state


class ScriptedStt(Scripted):
    """A perfect recogniser of the lab's own speech: it understands exactly the audio it was given.

    For recorded speech it says what the test wrote down (`will_hear`). ``final_delay`` and ``interim_every`` (seconds
    of audio, None for no interims) set its manners; with ``pause_delay`` it says at each pause what it has understood,
    so many seconds later. With ``turn_delay`` it judges turns itself: an interim with the hint ``eager`` at a pause,
    and so many seconds later the final with the hint ``end``, unless the caller goes on (``resumed``).
    """

    name = "scripted stt"

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.final_delay = 0.1
        self.interim_every: float | None = 0.5
        self.pause_delay: float | None = None
        self.turn_delay: float | None = None
        self.hears_pauses = False
        self.heard: list[str] = []
        """Every final, in order."""
        self._vocabulary = vocabulary
        self._recorded: deque[str] = deque()
        self._alive: set[trio.Event] = set()
        self._mute = False

    def will_hear(self, text: str) -> None:
        """What the next recorded speech says."""
        self._recorded.append(text)

    def dies(self) -> None:
        """Every open session breaks now."""
        for broken in list(self._alive):
            broken.set()

    def mute(self) -> None:
        """From now on nothing is ever answered."""
        self._mute = True

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[_SttSession]:
        """See `callengine.ports.SpeechToText`."""
        async with self._opened():
            broken = trio.Event()
            self._alive.add(broken)
            try:
                async with trio.open_nursery() as nursery:
                    yield _SttSession(self, context, nursery, broken)
                    nursery.cancel_scope.cancel()
            finally:
                self._alive.discard(broken)

    def understand(self, audio: bytes, *, final: bool) -> str:
        """The words in this audio."""
        text = read_words(self._vocabulary, audio)
        if not text and self._recorded and len(audio) > 800:
            text = self._recorded.popleft() if final else ""
        return text


class _SttSession:
    def __init__(self, script: ScriptedStt, context: SessionContext, nursery: trio.Nursery, broken: trio.Event) -> None:
        self._script = script
        self._interim = context.interim
        self._meter = context.meter
        self._nursery = nursery
        self._broken = broken
        self._results_in, self._results = trio.open_memory_channel[SttResult](100)
        self._utterance = 0
        self._audio = bytearray()
        self._told = 0
        self._judging: trio.CancelScope | None = None
        """While it waits whether a turn is over."""
        self._judged = False

    @property
    def hears_pauses(self) -> bool:
        return self._script.hears_pauses

    async def start_utterance(self, utterance: int) -> None:
        await self._check()
        self._utterance = utterance
        self._audio.clear()
        self._told = 0
        self._judged = False

    async def send(self, audio: Pcm) -> None:
        await self._check()
        self._audio += from_pcm(audio, "mulaw")
        if self._judging is not None:
            self._judging.cancel()
            self._judging = None
            self._tell(False, "resumed")
        every = self._script.interim_every
        if self._interim and every is not None and len(self._audio) - self._told >= every * 8000:
            self._told = len(self._audio)
            text = self._script.understand(bytes(self._audio), final=False)
            if text and not self._script._mute:
                self._results_in.send_nowait(SttResult(text, False, self._utterance))

    async def pause(self) -> None:
        await self._check()
        if self._script.turn_delay is not None:
            self._tell(False, "eager")
            self._judging = trio.CancelScope()
            self._nursery.start_soon(self._judge, self._judging, self._script.turn_delay)
        elif self._script.pause_delay is not None:
            self._nursery.start_soon(self._after_pause, self._utterance, bytes(self._audio), self._script.pause_delay)

    async def _judge(self, scope: trio.CancelScope, delay: float) -> None:
        with scope:
            await trio.sleep(delay)
            self._judging = None
            self._judged = True
            self._tell(True, "end")

    async def _after_pause(self, utterance: int, audio: bytes, delay: float) -> None:
        await trio.sleep(delay)
        text = self._script.understand(audio, final=False)
        if text and utterance == self._utterance and not self._script._mute:
            self._results_in.send_nowait(SttResult(text, False, utterance))

    def _understand_all(self, audio: bytes) -> str:
        text = self._script.understand(audio, final=True)
        self._script.heard.append(text)
        self._meter(Usage(provider="scripted", model="stt", seconds=len(audio) / 8000))
        return text

    def _tell(self, final: bool, hint: HintKind) -> None:
        audio = bytes(self._audio)
        text = self._understand_all(audio) if final else self._script.understand(audio, final=False)
        self._results_in.send_nowait(SttResult(text, final, self._utterance, hint))

    async def end_utterance(self) -> None:
        await self._check()
        if self._judging is not None or self._judged:
            return  # it says so itself
        self._nursery.start_soon(self._finish, self._utterance, bytes(self._audio))

    async def _finish(self, utterance: int, audio: bytes) -> None:
        await trio.sleep(self._script.final_delay)
        if self._script._mute:
            return
        text = self._understand_all(audio)
        self._results_in.send_nowait(SttResult(text, True, utterance))

    async def receive(self) -> SttResult:
        result: SttResult | None = None

        async def until_broken(scope: trio.CancelScope) -> None:
            await self._broken.wait()
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_broken, nursery.cancel_scope)
            result = await self._results.receive()
            nursery.cancel_scope.cancel()
        if result is None:
            raise ProviderError(self._script.name, "the connection was lost")
        return result

    async def _check(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._broken.is_set():
            raise ProviderError(self._script.name, "the connection was lost")


Line: TypeAlias = str | float | ToolCall | ProviderError | BaseException
Reply: TypeAlias = str | Sequence[Line] | Callable[[Sequence[Message]], str]


class ScriptedLlm(Scripted):
    """A language model that says what it was told to. ``first_token`` and ``token_gap`` are seconds."""

    name = "scripted llm"

    def __init__(self) -> None:
        super().__init__()
        self.first_token = 0.2
        self.token_gap = 0.01
        self.requests: list[list[Message]] = []
        """The messages of every request."""
        self.tools: list[tuple[ToolSpec, ...]] = []
        """The tools of every request."""
        self.streams = 0
        """Being written now."""
        self.cancelled = 0
        """Streams that were closed before their end."""
        self._replies: deque[Reply] = deque()

    def replies(self, *replies: Reply) -> None:
        """What it says next, request by request: a text, a row of texts, tool calls, pauses (seconds) and errors,
        or a function of the messages."""
        self._replies.extend(replies)

    def fails(self, times: int = 1, *, fault: ProviderFault = "retry") -> None:
        """The next replies fail before their first word, each at its second try too."""
        for _ in range(times * (1 if fault == "fatal" else 2)):
            self._replies.append([ProviderError(self.name, "the model is overloaded", fault=fault)])

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[_LlmSession]:
        """See `callengine.ports.LanguageModel`."""
        async with self._opened():
            yield _LlmSession(self, context.meter)

    @asynccontextmanager
    async def reply(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], meter: Callable[[Usage], None]
    ) -> AsyncIterator[AsyncIterator[LlmEvent]]:
        """The next reply of the script. Each costs 10 tokens in and 10 out, also if it fails or is left half read."""
        self.requests.append(list(messages))
        self.tools.append(tuple(tools))
        if not self._replies:
            raise AssertionError(
                "the language model was asked once more than the script has replies: add one with call_lab.llm.replies"
            )
        reply = self._replies.popleft()
        lines: Sequence[Line] = [reply] if isinstance(reply, str) else reply(messages) if callable(reply) else reply
        stream = _LlmStream([lines] if isinstance(lines, str) else lines, self.first_token, self.token_gap)
        self.streams += 1
        try:
            yield stream
        finally:
            self.streams -= 1
            self.cancelled += not stream.finished
            meter(Usage(provider="scripted", model="llm", input_tokens=10, output_tokens=10))


@attrs.frozen(eq=False)
class _LlmSession:
    script: ScriptedLlm
    meter: Callable[[Usage], None]

    def reply(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AbstractAsyncContextManager[AsyncIterator[LlmEvent]]:
        """See `callengine.ports.LlmSession`."""
        return self.script.reply(messages, tools, self.meter)


@attrs.define
class _LlmStream:
    lines: Sequence[Line]
    first_token: float
    gap: float
    finished: bool = False
    _started: bool = False
    _tokens: deque[Line] | None = None

    def __aiter__(self) -> _LlmStream:
        return self

    async def __anext__(self) -> LlmEvent:
        if self.finished:
            raise StopAsyncIteration
        if self._tokens is None:
            self._tokens = deque()
            for line in self.lines:
                self._tokens.extend(_tokens(line) if isinstance(line, str) else [line])
        while self._tokens:
            line = self._tokens.popleft()
            if isinstance(line, float | int):
                await trio.sleep(line)
                continue
            await trio.sleep(self.gap if self._started else self.first_token)
            self._started = True
            if isinstance(line, BaseException):
                self.finished = True
                raise line
            if isinstance(line, ToolCall):
                return line
            assert isinstance(line, str)
            return TextDelta(line)
        self.finished = True
        raise StopAsyncIteration


def _tokens(text: str) -> list[str]:
    words = text.split(" ")
    return [word if index == 0 else f" {word}" for index, word in enumerate(words)]


class ScriptedTts(Scripted):
    """A voice whose words can be read back from its audio.

    ``first_audio`` is the delay before a sentence's first audio, ``speed`` how many times faster than speech the rest
    follows, ``chunk`` the seconds of audio in a chunk, ``audio_format`` what it is made in (only mu-law at 8 kHz can be
    read back), ``odd`` makes the chunks end in the middle of samples, ``word_times`` gives times with the words.
    """

    name = "scripted tts"

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.first_audio = 0.1
        self.speed = 10.0
        self.chunk = 0.1
        self.audio_format: AudioFormat = TELEPHONE
        self.odd = False
        self.word_times = False
        self.spoken: list[str] = []
        """Every sentence it was given."""
        self.streams = 0
        """Being synthesised now."""
        self._vocabulary = vocabulary
        self._troubles: deque[str] = deque()

    def fails(self, times: int = 1) -> None:
        """The next sentences fail before any audio."""
        self._troubles.extend(["fail"] * times)

    def breaks(self, times: int = 1) -> None:
        """The next sentences fail after half of their audio."""
        self._troubles.extend(["break"] * times)

    def stalls(self, times: int = 1) -> None:
        """The next sentences stop after their first chunk, and never go on."""
        self._troubles.extend(["stall"] * times)

    def silent(self, times: int = 1) -> None:
        """The next sentences have no audio at all."""
        self._troubles.extend(["silent"] * times)

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[_TtsSession]:
        """See `callengine.ports.TextToSpeech`."""
        async with self._opened():
            yield _TtsSession(self, context.meter)

    @asynccontextmanager
    async def synthesise(self, text: str) -> AsyncIterator[AsyncIterator[SpeechChunk]]:
        """See `callengine.ports.TtsSession`."""
        self.spoken.append(text)
        self.streams += 1
        try:
            async with self._chunks(text) as chunks:
                yield chunks
        finally:
            self.streams -= 1

    @trio.as_safe_channel
    async def _chunks(self, text: str) -> AsyncGenerator[SpeechChunk, None]:
        trouble = self._troubles.popleft() if self._troubles else ""
        await trio.sleep(self.first_audio)
        if trouble == "fail":
            raise ProviderError(self.name, "no voice")
        if trouble == "silent":
            return
        audio, words = self._speech(text)
        size = max(1, round(self.chunk * self.audio_format.sample_rate) * self.audio_format.sample_width)
        size += 1 if self.odd else 0
        for index, start in enumerate(range(0, len(audio), size)):
            if trouble == "stall" and index == 1:
                await trio.sleep_forever()
            if trouble == "break" and start > len(audio) // 2:
                raise ProviderError(self.name, "the connection was lost")
            yield SpeechChunk(audio[start : start + size], words if index == 0 else ())
            await trio.sleep(self.chunk / self.speed)

    def _speech(self, text: str) -> tuple[bytes, tuple[WordTime, ...]]:
        words = self._vocabulary.speak(text)
        audio = b"".join(word.audio for word in words)
        times, at = [], 0
        for word in words:
            times.append(WordTime(word.text, at / 8000, (at + word.size) / 8000))
            at += word.size
        converter = ToCarrier(TELEPHONE, self.audio_format)
        converted = converter.push(audio) + converter.flush()
        return converted, tuple(times) if self.word_times else ()


@attrs.frozen(eq=False)
class _TtsSession:
    script: ScriptedTts
    meter: Callable[[Usage], None]

    @property
    def audio_format(self) -> AudioFormat:
        return self.script.audio_format

    def synthesise(self, text: str) -> AbstractAsyncContextManager[AsyncIterator[SpeechChunk]]:
        """See `callengine.ports.TtsSession`."""
        self.meter(Usage(provider="scripted", model="tts", characters=len(text)))
        return self.script.synthesise(text)


class ScriptedTurnDetector(Scripted):
    """An end-of-turn model that says what it was told to; without a script, that the caller has finished.

    ``delay`` is the seconds that an answer takes.
    """

    name = "scripted turn detector"

    def __init__(self) -> None:
        super().__init__()
        self.delay = 0.05
        self.asked: list[Pcm] = []
        """The audio of every question."""
        self.cancelled = 0
        """Questions that were dropped before their answer."""
        self._verdicts: deque[float | ProviderError] = deque()

    def says(self, *verdicts: float | ProviderError) -> None:
        """Its next answers, question by question: probabilities, or errors to fail with."""
        self._verdicts.extend(verdicts)

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[ScriptedTurnDetector]:
        """See `callengine.ports.EndOfTurn`."""
        del context
        async with self._opened():
            yield self

    async def finished(self, audio: Pcm) -> float:
        """See `callengine.ports.EndOfTurnSession`."""
        self.asked.append(audio)
        verdict = self._verdicts.popleft() if self._verdicts else 1.0
        try:
            await trio.sleep(self.delay)
        except trio.Cancelled:
            self.cancelled += 1
            raise
        if isinstance(verdict, ProviderError):
            raise verdict
        return verdict
