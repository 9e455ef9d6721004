"""A simulated caller: says things, hears things, interrupts, presses keys, hangs up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import attrs
import numpy as np
import trio

from callengine.audio.convert import from_pcm
from callengine.audio.resample import Resampler
from callengine.audio.wav import read_wav
from callengine.testing.playout import PlayoutQueue
from callengine.testing.scripted import ScriptedStt
from callengine.testing.side import Side
from callengine.testing.words import Vocabulary, WordReader

STEP = 0.02
"""Seconds between two looks at what was heard: a frame."""


@attrs.frozen
class HeardWord:
    """A word that the caller heard to its end, and when that was (engine time)."""

    text: str
    at: float


class Line(Protocol):
    """What a caller has in his hand: a carrier's leg (`callengine.testing.carrier.Leg`), or a telephone."""

    queue: PlayoutQueue
    """What he hears."""
    over: trio.Event
    """Set when the connection is gone, whoever ended it."""
    started_at: float
    background: Callable[[float, bytes], bytes] | None
    """What the line adds to each frame of his voice (noise, echo): called with its time and audio."""

    @property
    def side(self) -> Side: ...

    def speak(self, audio: bytes) -> trio.Event:
        """Say this (mu-law at 8 kHz); the event is set when it was said."""

    def press(self, digit: str) -> None: ...

    def hang_up(self) -> None: ...

    def drop(self) -> None:
        """The connection breaks."""

    def send_raw(self, message: bytes) -> None:
        """The carrier sends any message."""


class Room(Protocol):
    """Where a caller is: what a scripted recogniser understands of recordings is its business."""

    @property
    def stt(self) -> ScriptedStt: ...


class Caller:
    """Made by `CallLab.dial`, and by a simulated network.

    Waiting methods raise `AssertionError` when the time is up or the call is over first.
    """

    def __init__(self, lab: Room, leg: Line, vocabulary: Vocabulary) -> None:
        self._lab = lab
        self.leg = leg
        self._vocabulary = vocabulary
        self._reader = WordReader(vocabulary)
        self._news = leg.queue.listener()
        self._read = 0
        """Bytes heard so far."""
        self._words: list[HeardWord] = []
        self._attended = 0
        """Words up to which `hears` has listened."""

    # --- speaking -----------------------------------------------------------------------------------------------------

    async def says(self, what: str | Path, *, text: str | None = None, wait: bool = True) -> None:
        """Say a text (in the lab's own speech), or a recording (a WAV file).

        ``text`` is what a scripted recogniser understands of a recording. Returns when it was said, unless ``wait``
        is off.
        """
        if isinstance(what, Path):
            if text is not None:
                self._lab.stt.will_hear(text)
            spoken = self.leg.speak(recording(what))
        else:
            spoken = self.leg.speak(b"".join(word.audio for word in self._vocabulary.speak(what)))
        if wait:
            await self._until(spoken, f"saying {what!s:.40}")

    async def interrupts(
        self, what: str | Path, *, after: float = 0.8, text: str | None = None, timeout: float = 30.0
    ) -> None:
        """Speak into the agent's words, ``after`` seconds into what it is saying (or says next)."""
        queue = self.leg.queue
        deadline = trio.current_time() + timeout
        while not self._agent_speaks() or trio.current_time() < queue.began_at + after - 1e-9:
            self._check_line("the agent was to be interrupted")
            if trio.current_time() > deadline:
                raise AssertionError(f"waited {timeout:g} s for the agent to speak, to interrupt it")
            if self._agent_speaks():
                await trio.sleep_until(queue.began_at + after)
            else:
                await trio.sleep(STEP)
        await self.says(what, text=text)

    def _agent_speaks(self) -> bool:
        """Also in the moment between two frames, which a carrier without a buffer passes on one by one."""
        return self.leg.queue.playing(trio.current_time() - STEP / 2)

    async def waits(self, seconds: float) -> None:
        """Say nothing for a while."""
        await trio.sleep(seconds)

    async def presses(self, digits: str) -> None:
        """Press keys, five a second."""
        for digit in digits:
            self.leg.press(digit)
            await trio.sleep(0.2)

    async def hangs_up(self) -> None:
        """Put the phone down."""
        self.leg.hang_up()
        await self._until(self.leg.over, "hanging up")

    def drops(self) -> None:
        """The connection breaks, without a word."""
        self.leg.drop()

    # --- hearing ------------------------------------------------------------------------------------------------------

    @property
    def words(self) -> list[HeardWord]:
        """Every word heard so far."""
        self._listen()
        return list(self._words)

    @property
    def heard(self) -> str:
        """Everything heard so far, as text."""
        return " ".join(word.text for word in self.words)

    async def hears(self, text: str, *, timeout: float = 30.0) -> float:
        """Wait until the agent has said this, since the last time that was asked; returns when it had (engine time).

        Upper and lower case and punctuation do not matter.
        """
        deadline = trio.current_time() + timeout
        wanted = _plain(text)
        looked = self._attended
        while True:
            self._listen()
            for end in range(looked + 1, len(self._words) + 1):
                if wanted in _plain(" ".join(word.text for word in self._words[self._attended : end])):
                    self._attended = end
                    return self._words[end - 1].at
            looked = len(self._words)
            if trio.current_time() >= deadline or self.leg.over.is_set():
                rest = " ".join(word.text for word in self._words[self._attended :])
                self._check_line(f"waited to hear {text!r}; heard {rest!r}")
                raise AssertionError(f"waited {timeout:g} s to hear {text!r}; heard {rest!r}")
            await trio.sleep(STEP)

    async def hears_nothing(self, *, seconds: float) -> None:
        """Make sure that the line is silent for so long."""
        before = len(self.words)
        await trio.sleep(seconds)
        after = self.words[before:]
        if after or self.leg.queue.playing(trio.current_time()):
            raise AssertionError(f"wanted {seconds:g} s of silence, heard {' '.join(w.text for w in after)!r}")

    async def is_hung_up_on(self, *, timeout: float = 30.0) -> None:
        """Wait until the other side ends the call."""
        with trio.move_on_after(timeout):
            await self.leg.over.wait()
            return
        raise AssertionError(f"nobody hung up within {timeout:g} s; heard {self.heard!r}")

    def _listen(self) -> None:
        for stretch in self._news(trio.current_time()):
            for word, end in self._reader.feed(stretch.audio):
                self._words.append(HeardWord(word.text, stretch.start + (end - self._read) / 8000))
            self._read += len(stretch.audio)

    def _check_line(self, doing: str) -> None:
        if self.leg.over.is_set():
            raise AssertionError(f"the call is over: {doing}")

    async def _until(self, event: trio.Event, doing: str) -> None:
        while not event.is_set():
            if self.leg.over.is_set() and event is not self.leg.over:
                raise AssertionError(f"the call is over: {doing}")
            with trio.move_on_after(60):
                await event.wait()


def _plain(text: str) -> str:
    return " ".join("".join(c for c in word if c.isalnum()) for word in text.lower().split())


def recording(path: Path, *, level: float | None = None) -> bytes:
    """A WAV file as a carrier delivers it: mu-law at 8 kHz, a little silence around it."""
    samples, rate = read_wav(path)
    resampler = Resampler(rate, 8000)
    pcm = np.concatenate([resampler.push(samples), resampler.flush()])
    if level is not None:
        pcm = np.clip(pcm * level, -32768, 32767).astype(np.int16)
    return from_pcm(pcm, "mulaw")
