"""One utterance on its way from audio to words: what was heard of it, and how much of that has been decoded."""

from __future__ import annotations

import threading

import attrs
import numpy as np

from callengine.audio.format import Pcm
from callengine.audio.resample import Resampler
from callengine.providers.local.moonshine import MAX_SECONDS, SAMPLE_RATE, Moonshine
from callengine.providers.local.segments import quietest_pause


@attrs.frozen
class Decoded:
    """The words of some audio: a settled part, of which the pause behind it makes a segment, and the open rest."""

    settled: int
    """Samples (at the call's rate) that need not be decoded again."""
    settled_text: str
    rest: str


def decode(model: Moonshine, blocks: list[Pcm], sample_rate: int, stop: threading.Event) -> Decoded:
    """Decode contiguous blocks of audio, cut into segments of at most `MAX_SECONDS`. Runs in a worker thread."""
    # The resampler's last 2 ms stay inside it: an utterance ends in silence.
    pcm = np.concatenate(blocks)
    if sample_rate != SAMPLE_RATE:
        pcm = Resampler(sample_rate, SAMPLE_RATE).push(pcm)
    audio = pcm.astype(np.float32) * np.float32(1 / 32768)
    start = 0
    texts: list[str] = []
    while len(audio) - start > MAX_SECONDS * SAMPLE_RATE and not stop.is_set():
        end = start + quietest_pause(audio[start:], SAMPLE_RATE, MAX_SECONDS / 2, MAX_SECONDS)
        texts.append(model.transcribe(audio[start:end], stop))
        start = end
    rest = model.transcribe(audio[start:], stop)
    return Decoded(start * sample_rate // SAMPLE_RATE, join(*texts), rest)


def join(*texts: str) -> str:
    """Texts of consecutive segments, in one line."""
    return " ".join(text for text in texts if text)


@attrs.define(eq=False)
class Utterance:
    """The audio of one utterance, and the words known so far. Counts are samples since the utterance began."""

    number: int
    heard: int = 0
    decoded: int = 0
    """How much of ``heard`` the words cover; fewer than ``heard`` while audio has come since."""
    blocks: list[Pcm] = attrs.field(factory=list, repr=False)
    _settled: int = 0
    _settled_text: str = attrs.field(default="", repr=False)
    _rest: str = attrs.field(default="", repr=False)

    @property
    def text(self) -> str:
        """The words of the first ``decoded`` samples."""
        return join(self._settled_text, self._rest)

    @property
    def unsettled(self) -> int:
        """Samples that the next decode has to look at."""
        return self.heard - self._settled

    def hear(self, audio: Pcm) -> None:
        """Append a block."""
        self.blocks.append(audio)
        self.heard += len(audio)

    def understand(self, heard: int, words: Decoded) -> None:
        """Take in what a decode found in the audio up to ``heard``, and forget the audio that is settled."""
        self.decoded = heard
        self._rest = words.rest
        if words.settled:
            self._settled += words.settled
            self._settled_text = join(self._settled_text, words.settled_text)
            self.blocks = [np.concatenate(self.blocks)[words.settled :].copy()]
