"""A carrier beneath a `Sender`, without a call around it: it knows to the sample what was played, and when.

Messages take their time and stay in order, as on one TCP connection; what is sent at one moment travels together.
"""

from __future__ import annotations

import random
from collections import deque

import attrs
import trio

from callengine.audio.format import AudioFormat
from callengine.call.sender import Sender
from callengine.call.settings import SenderSettings
from callengine.events import Fact
from callengine.journal import Journal, JournalSettings
from callengine.services.metronome import Metronome


@attrs.frozen(kw_only=True)
class LineSettings:
    """How the carrier and the way to it behave. Times in seconds."""

    delay: float = 0.0
    """One way."""
    jitter: float = 0.0
    """Messages, either way, are up to this much late."""
    marks: bool = True
    """Whether marks are echoed at all."""
    echo_on_clear: bool = True
    audio_format: AudioFormat = AudioFormat("mulaw", 8000)


@attrs.define
class Played:
    """A stretch of an utterance that sounds."""

    start: float
    position: int
    samples: int


@attrs.define
class Clear:
    """A clear that was sent, and what of the utterance had been played when it arrived."""

    sent: float
    furthest: int


class Line:
    """The carrier, and the socket and the codec that the sender has of it."""

    def __init__(self, settings: LineSettings, metronome: Metronome, seed: int, sender: SenderSettings) -> None:
        self.settings = settings
        self._random = random.Random(seed)
        self.facts: list[Fact] = []
        self.faults: list[BaseException] = []
        self.journal = Journal("CA1", JournalSettings(audio=True))
        self.sender = Sender(
            socket=self,
            codec=self,
            audio_format=settings.audio_format,
            metronome=metronome,
            settings=sender,
            journal=self.journal,
            post=self.facts.append,
            fail=self.faults.append,
        )
        self.wire: list[str] = []
        self.audio: list[tuple[int, bytes]] = []
        """What was sent, by its position in the utterance."""
        self.played: list[Played] = []
        self.clears: list[Clear] = []
        self._ends_at = 0.0
        self._arrived = 0.0
        self._sent_at = -1.0
        self._echoed = 0.0
        self._marks: deque[tuple[float, str]] = deque()
        self._echoes: deque[tuple[float, str]] = deque()
        self._news = trio.Event()

    # --- the codec: messages say what they are ------------------------------------------------------------------------

    def media(self, audio: bytes) -> bytes:
        return b"media" + audio

    def mark(self, name: str) -> bytes:
        return b"mark " + name.encode()

    def clear(self) -> bytes:
        return b"clear"

    # --- the socket ---------------------------------------------------------------------------------------------------

    def discard_unsent(self) -> int:
        return 0

    def send_nowait(self, message: bytes, *, discardable: bool = False) -> None:
        del discardable
        now = trio.current_time()
        if now != self._sent_at:
            self._sent_at = now
            self._arrived = max(self._arrived, now + self._way())
        at = self._arrived
        if message.startswith(b"media"):
            self.wire.append("media")
            self._media(at, message[5:])
        elif message.startswith(b"mark"):
            self.wire.append(message.decode())
            self._marks.append((max(at, self._ends_at), message[5:].decode()))
        else:
            self.wire.append("clear")
            self._clear(at, now)
        self._news.set()

    def _way(self) -> float:
        return self.settings.delay + self._random.uniform(0, self.settings.jitter)

    def _media(self, at: float, audio: bytes) -> None:
        assert self.sender.current is not None
        position = self.sender.current.sent  # the first sample of what is being sent
        samples = len(audio) // self.settings.audio_format.sample_width
        start = max(at, self._ends_at)
        self.audio.append((position, audio))
        self.played.append(Played(start, position, samples))
        self._ends_at = start + samples / self.settings.audio_format.sample_rate

    def _clear(self, at: float, now: float) -> None:
        for part in self.played:
            part.samples = max(0, min(part.samples, self._samples(at - part.start)))
        self._ends_at = min(self._ends_at, at)
        self.clears.append(Clear(now, self.furthest(at)))
        reached = [mark for mark in self._marks if mark[0] <= at]
        thrown_away = [name for due, name in self._marks if due > at]
        self._marks = deque(reached)
        if self.settings.echo_on_clear:
            self._marks.extend((at, name) for name in thrown_away)

    def _samples(self, seconds: float) -> int:
        return int(seconds * self.settings.audio_format.sample_rate + 1e-6)

    # --- what is true -------------------------------------------------------------------------------------------------

    def furthest(self, at: float) -> int:
        """Up to where the utterance was played without a hole. Fails where something was skipped."""
        reached = 0
        for part in self.played:
            sounded = max(0, min(part.samples, self._samples(at - part.start)))
            if sounded:
                assert part.position <= reached, f"{part.position - reached} samples were skipped at {reached}"
                reached = max(reached, part.position + sounded)
        return reached

    async def run(self) -> None:
        """Echo marks for ever."""
        if not self.settings.marks:
            self._marks = deque(maxlen=0)
            await trio.sleep_forever()
        while True:
            self._news = trio.Event()
            due = min([at for queue in (self._marks, self._echoes) for at, _ in list(queue)[:1]], default=float("inf"))
            with trio.move_on_at(due):
                await self._news.wait()
                continue
            now = trio.current_time()
            while self._echoes and self._echoes[0][0] <= now:
                self.sender.echoed(self._echoes.popleft()[1])
            while self._marks and self._marks[0][0] <= now:
                self._echoed = max(self._echoed, now + self._way())
                self._echoes.append((self._echoed, self._marks.popleft()[1]))
