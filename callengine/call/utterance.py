"""One utterance of the agent: its text, its audio that waits to be sent, and what became of it."""

from __future__ import annotations

from collections.abc import Callable

import trio

from callengine.audio.format import AudioFormat
from callengine.call.settings import SenderSettings
from callengine.ports import WordTime
from callengine.turns.heard import Heard, SpokenText

MIN_SLICE = 0.02
"""Seconds: one frame. Less than that waits for more audio, unless it is the end."""


class Utterance:
    """What the agent says in one go. Made by `Sender.utterance`; its scope closes when it is cut."""

    def __init__(
        self,
        number: int,
        audio_format: AudioFormat,
        settings: SenderSettings,
        *,
        wake: Callable[[], None],
        may_wait: bool,
    ) -> None:
        self.number = number
        self.may_wait = may_wait
        self.spoken = SpokenText(audio_format.sample_rate)
        self.scope = trio.CancelScope()
        self.result: Heard | None = None
        """What was heard; set when the utterance is over."""
        self.slices = 0
        self.sent = 0
        """Samples that were sent."""
        self.all_sent = trio.Event()
        self.confirmed = trio.Event()
        """A mark says that everything was played."""
        self._format = audio_format
        self._settings = settings
        self._wake = wake
        self._first_size = self._bytes(settings.first_slice)
        self._size = self._bytes(settings.slice)
        self._least = self._bytes(MIN_SLICE)
        self._audio = bytearray()
        self._written = 0
        self._ended = False
        self._room = trio.Event()
        self._marks: list[tuple[int, str]] = []

    # --- for whoever speaks ---------------------------------------------------------------------------------------

    async def write(self, audio: bytes, words: tuple[WordTime, ...] = ()) -> None:
        """Add audio of the current piece, in the line's format; waits while too much is buffered."""
        samples = len(audio) // self._format.sample_width
        self.spoken.add_audio(samples, words)
        self._written += samples
        self._audio += audio
        self._wake()
        while self.buffered > max(self._settings.max_buffered, MIN_SLICE):
            self._room = trio.Event()
            await self._room.wait()

    def end(self) -> None:
        """Nothing more will be written."""
        self._ended = True
        if not self._audio:
            self.all_sent.set()

    # --- for the sender -------------------------------------------------------------------------------------------

    @property
    def buffered(self) -> float:
        """Seconds of audio that wait to be sent."""
        return self._format.seconds(len(self._audio))

    @property
    def finished(self) -> bool:
        """Whether everything was written and sent."""
        return self.all_sent.is_set()

    @property
    def ready(self) -> int:
        """Bytes of the next slice; 0 while there is not enough audio for one."""
        size = self._first_size if self.slices < self._settings.first_slices else self._size
        if self._marks:  # a mark of the program's own ends its slice
            size = min(size, (self._marks[0][0] - self.sent) * self._format.sample_width)
        enough = 1 if self._ended else min(size, self._least)
        return min(size, len(self._audio)) if len(self._audio) >= enough else 0

    def take(self, size: int) -> bytes:
        """So many bytes of audio, for the next slice."""
        audio = bytes(self._audio[:size])
        del self._audio[:size]
        self._room.set()
        return audio

    def sent_slice(self, samples: int) -> str:
        """A slice goes out; returns the name of the mark that follows it."""
        self.slices += 1
        self.sent += samples
        if self._ended and not self._audio:
            self.all_sent.set()
        return f"u{self.number}:{self.slices}"

    def add_mark(self, name: str) -> bool:
        """Place a mark behind everything written; False where all of that was sent already."""
        if self.result is not None or self.sent >= self._written:
            return False
        self._marks.append((self._written, name))
        return True

    def due_marks(self) -> list[str]:
        """The program's marks whose place was reached; each is returned once."""
        due = [name for position, name in self._marks if position <= self.sent]
        self._marks = [(position, name) for position, name in self._marks if position > self.sent]
        return due

    @property
    def unsent_marks(self) -> set[str]:
        """The program's marks whose place was not reached."""
        return {name for _, name in self._marks}

    def close(self, result: Heard) -> None:
        """It is over: what was not sent is thrown away."""
        self.result = result
        self._audio.clear()
        self._room.set()

    def _bytes(self, seconds: float) -> int:
        return max(1, round(seconds * self._format.sample_rate)) * self._format.sample_width
