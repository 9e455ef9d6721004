"""What a simulated recogniser hears in a stream of audio, for vendors that tell when each word was said."""

from __future__ import annotations

import attrs

from callengine.audio.convert import ToCarrier
from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.testing.vendors.base import Vendor
from callengine.testing.words import WordReader


@attrs.frozen
class TimedWord:
    """A word, and when it begins and ends in seconds of the stream."""

    text: str
    start: float
    end: float


class TimedEar:
    """Listens to one stream of audio, in any pieces. ``position`` is how many seconds of it came.

    At 8 kHz it reads the vocabulary's words as they end. In audio that has none, `finish` finds what the vendor's
    ``recorded`` has next.
    """

    def __init__(self, vendor: Vendor, audio_format: AudioFormat) -> None:
        self.position = 0.0
        self._vendor = vendor
        self._format = audio_format
        self._converter = ToCarrier(audio_format, TELEPHONE)
        self._reader = WordReader(vendor.vocabulary)
        self._since = 0.0
        """Where what was not finished begins."""
        self._read = False

    def hear(self, audio: bytes) -> list[TimedWord]:
        """More audio; returns the words that end in it."""
        self.position += self._format.seconds(len(audio))
        if self._format.sample_rate != 8000:
            return []
        found = [
            TimedWord(word.text, (end - word.size) / 8000, end / 8000)
            for word, end in self._reader.feed(self._converter.push(audio))
        ]
        self._read = self._read or bool(found)
        return found

    def finish(self) -> list[TimedWord]:
        """An utterance is over; returns the words that are only found now."""
        since, read = self._since, self._read
        self._since, self._read = self.position, False
        if read or self.position - since <= 0.1 or not self._vendor.recorded:
            return []
        words = self._vendor.recorded.popleft().split()
        step = (self.position - since) / max(1, len(words))
        return [TimedWord(word, since + step * index, since + step * (index + 1)) for index, word in enumerate(words)]
