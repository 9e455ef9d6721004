"""One utterance of the agent: its text, its audio that waits to be sent, and what became of it.

Audio that was sent is kept for a while, so that an utterance that is paused can go on from where the caller stopped
hearing it."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable

import trio

from callengine.audio.convert import to_pcm
from callengine.audio.format import AudioFormat, Pcm
from callengine.audio.gain import Gain, amplitude
from callengine.call.rewind import WINDOW, latest_pause
from callengine.call.settings import SenderSettings
from callengine.ports import WordTime
from callengine.turns.heard import Heard, SpokenText

MIN_SLICE = 0.02
"""Seconds: one frame. Less than that waits for more audio, unless it is the end."""

KEPT = 5.0
"""Seconds of sent audio that are kept (40 kB of mu-law): what is on its way or waits at the carrier, 0.2 s and the
round trip on a steady network and as much more as it stalls, and the longest word. Where a network stalls for longer
and the utterance is paused then, it goes on from the oldest audio that is left."""

FADE_IN = 0.01
"""Seconds before the place from which a paused utterance goes on that are played again, swelling from nothing, so that
it starts without a click and its first sound is whole."""


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
        self.filled = 0
        """Slices since it began, or went on after a pause; 0 while there is nothing of it on the line."""
        self.sent = 0
        """Where the next slice starts, in samples: what was sent, but for what a pause has taken back."""
        self.paused = False
        self.gain: Gain | None = None
        """Of what is sent from here on; None where that is sent as it is."""
        self.ducked = False
        self.all_sent = trio.Event()
        """Another one after a pause that took something back."""
        self.confirmed = trio.Event()
        """A mark says that everything was played."""
        self._format = audio_format
        self._settings = settings
        self._wake = wake
        self._first_size = self._bytes(settings.first_slice)
        self._size = self._bytes(settings.slice)
        self._least = self._bytes(MIN_SLICE)
        self._keep = self._bytes(KEPT)
        self._audio = bytearray()
        """What was sent and is kept, and behind it what waits to be sent."""
        self._next = 0
        """Where in it the next slice starts."""
        self.written = 0
        """Samples of audio so far."""
        self._ended = False
        self._room = trio.Event()
        self._marks: list[tuple[int, str]] = []

    # --- for whoever speaks ---------------------------------------------------------------------------------------

    async def write(self, audio: bytes, words: tuple[WordTime, ...] = ()) -> None:
        """Add audio of the current piece, in the line's format; waits while too much is buffered."""
        samples = len(audio) // self._format.sample_width
        self.spoken.add_audio(samples, words)
        self.written += samples
        self._audio += audio
        self._wake()
        while self.buffered > max(self._settings.max_buffered, MIN_SLICE):
            self._room = trio.Event()
            await self._room.wait()

    def drop_unsent(self) -> None:
        """Throw away what was written and not sent: nobody waits for it any more."""
        unsent = (len(self._audio) - self._next) // self._format.sample_width
        if unsent:
            del self._audio[self._next :]
            self.written -= unsent
            self.spoken.drop_end(unsent)
            self._marks = [(min(position, self.written), name) for position, name in self._marks]
            self._room.set()

    def break_off(self) -> str:
        """The synthesis of the current piece broke off: end it where its last whole word ends, as far as that was not
        sent already. Returns the rest of its text, whose piece has begun; empty where nothing is missing."""
        target, certain = self.spoken.missing_from()
        if not certain:
            before = max(self._oldest, target - round(WINDOW * self._format.sample_rate))
            if before < target:
                target = before + latest_pause(self._pcm(before, target), self._format.sample_rate)
        keep = max(target, self.sent)
        excess = self.written - keep
        if excess > 0:
            del self._audio[len(self._audio) - excess * self._format.sample_width :]
            self.written = keep
            self.spoken.take_end(excess)
            self._marks = [(min(position, keep), name) for position, name in self._marks]
            self._room.set()
        rest = self.spoken.break_piece(target)
        if rest and not self.spoken.piece_is_silent:
            self.spoken.begin_piece()
        return rest

    def end(self) -> None:
        """Nothing more will be written."""
        self._ended = True
        self._look_whether_all_sent()

    # --- for the sender -------------------------------------------------------------------------------------------

    @property
    def buffered(self) -> float:
        """Seconds of audio that wait to be sent."""
        return self._format.seconds(len(self._audio) - self._next)

    @property
    def finished(self) -> bool:
        """Whether everything was written and sent."""
        return self.all_sent.is_set()

    @property
    def ready(self) -> int:
        """Bytes of the next slice; 0 while there is not enough audio for one."""
        size = self._first_size if self.filled < self._settings.first_slices else self._size
        if self._marks:  # a mark of the program's own ends its slice
            size = min(size, (self._marks[0][0] - self.sent) * self._format.sample_width)
        waiting = len(self._audio) - self._next
        enough = 1 if self._ended else min(size, self._least)
        return min(size, waiting) if waiting >= enough else 0

    def take(self, size: int) -> bytes:
        """So many bytes of audio, for the next slice."""
        end = self._next + size
        audio = bytes(self._audio[self._next : end])
        if end > self._keep:
            del self._audio[: end - self._keep]
            end = self._keep
        self._next = end
        self._room.set()
        return audio

    def sent_slice(self, samples: int) -> str:
        """A slice goes out; returns the name of the mark that follows it."""
        self.slices += 1
        self.filled += 1
        self.sent += samples
        self._look_whether_all_sent()
        return f"u{self.number}:{self.slices}"

    def close(self, result: Heard) -> None:
        """It is over: what was not sent is thrown away."""
        self.result = result
        self._audio.clear()
        self._next = 0
        self._room.set()

    # --- its volume -----------------------------------------------------------------------------------------------

    def duck(self) -> None:
        """What is sent from here on is more quiet."""
        self.ducked = True
        self._swell(amplitude(self._settings.duck_gain), self._settings.duck_ramp)

    def unduck(self) -> None:
        """Swell to full volume again."""
        self.ducked = False
        self._swell(1.0, self._settings.duck_ramp)

    def shaped(self, audio: bytes) -> bytes:
        """The next slice, at the volume that it should have."""
        assert self.gain is not None
        audio = self.gain.apply(audio)
        if self.gain.idle:
            self.gain = None
        return audio

    def _swell(self, level: float, seconds: float) -> None:
        if self.gain is None:
            self.gain = Gain(self._format)
        self.gain.move(level, seconds)

    # --- pausing --------------------------------------------------------------------------------------------------

    def pause(self, heard: int) -> None:
        """Send nothing more; everything after ``heard`` samples, which the caller heard, will be sent again."""
        self.paused = True
        self.filled = 0
        self._move_to(heard)

    def resume(self, slack: float) -> None:
        """Go on from the first word that was not heard to its end, at full volume.

        ``slack`` is by how many seconds less may have been heard.
        """
        heard = max(0, self.sent - round(slack * self._format.sample_rate))
        start, certain = self.spoken.next_word(heard)
        start = max(start, self._oldest)
        if not certain:
            before = max(self._oldest, start - round(WINDOW * self._format.sample_rate))
            start = before + latest_pause(self._pcm(before, start), self._format.sample_rate)
        fade = min(start - self._oldest, round(FADE_IN * self._format.sample_rate)) if start < self.written else 0
        self.ducked = False
        self.gain = None
        if fade:
            self.gain = Gain(self._format, 0.0)
            self.gain.move(1.0, fade / self._format.sample_rate)
        self.paused = False
        self._move_to(start - fade)

    @property
    def _oldest(self) -> int:
        """The first sample that is kept."""
        return self.sent - self._next // self._format.sample_width

    def _pcm(self, start: int, end: int) -> Pcm:
        width, oldest = self._format.sample_width, self._oldest
        return to_pcm(self._audio[(start - oldest) * width : (end - oldest) * width], self._format.encoding)

    def _move_to(self, position: int) -> None:
        oldest = self._oldest
        position = max(position, oldest)
        self._next = (position - oldest) * self._format.sample_width
        self.sent = position
        if self.finished and position < self.written:
            self.all_sent = trio.Event()
        self._look_whether_all_sent()

    def _look_whether_all_sent(self) -> None:
        if self._ended and self._next == len(self._audio):
            self.all_sent.set()

    # --- the program's marks --------------------------------------------------------------------------------------

    def add_mark(self, name: str) -> bool:
        """Place a mark behind everything written; False where all of that was sent already."""
        if self.result is not None or (self.sent >= self.written and not self.paused):
            return False
        self._marks.append((self.written, name))
        return True

    def put_back_mark(self, position: int, name: str) -> None:
        """Place a mark again, behind so many samples."""
        insort(self._marks, (position, name))

    def due_marks(self) -> list[str]:
        """The program's marks whose place was reached; each is returned once."""
        if not self._marks:
            return []
        due = [name for position, name in self._marks if position <= self.sent]
        self._marks = [(position, name) for position, name in self._marks if position > self.sent]
        return due

    @property
    def unsent_marks(self) -> set[str]:
        """The program's marks whose place was not reached."""
        return {name for _, name in self._marks}

    def _bytes(self, seconds: float) -> int:
        return max(1, round(seconds * self._format.sample_rate)) * self._format.sample_width
