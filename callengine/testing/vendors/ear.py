"""How a simulated recogniser hears."""

from __future__ import annotations

from callengine.audio.convert import ToCarrier
from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.testing.words import Vocabulary, Word, WordReader

_SILENT = b"\xff\x7f"
"""The two samples of mu-law that are silence."""


class Ear:
    """Reads words out of audio as it comes, with their places in it (seconds)."""

    def __init__(self, vocabulary: Vocabulary, audio_format: AudioFormat) -> None:
        self.bytes = 0
        self.silence = 0.0
        """Seconds for which nothing has been heard at the end of it."""
        self._format = audio_format
        self._readable = audio_format.sample_rate == TELEPHONE.sample_rate
        self._converter = ToCarrier(audio_format, TELEPHONE)
        self._reader = WordReader(vocabulary)

    @property
    def seconds(self) -> float:
        """Heard so far."""
        return self._format.seconds(self.bytes)

    def hear(self, audio: bytes) -> list[tuple[Word, float]]:
        """More of it; the words that are complete now, and where each ends."""
        self.bytes += len(audio)
        if not self._readable:
            return []
        data = self._converter.push(audio)
        loud = len(data.rstrip(_SILENT))
        self.silence = (0.0 if loud else self.silence) + TELEPHONE.seconds(len(data) - loud)
        found = self._reader.feed(data)
        return [(word, end / TELEPHONE.sample_rate) for word, end in found]
