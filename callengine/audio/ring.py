"""A call's own memory of what the caller said."""

from __future__ import annotations

from callengine.audio.convert import to_pcm
from callengine.audio.format import AudioFormat, Pcm


class AudioRing:
    """The newest ``seconds`` of a stream, kept as it came, read as samples.

    Positions count samples from the start of the stream and never start over. The memory grows with the audio, up to
    its bound (30 s of G.711: 240 kB). The default is above the 28 s that one segment of recognition may last.
    """

    def __init__(self, audio_format: AudioFormat, seconds: float = 30.0) -> None:
        self._format = audio_format
        self._width = audio_format.sample_width
        self._bound = round(seconds * audio_format.sample_rate) * self._width
        self._data = bytearray()
        self._forgotten = 0
        self.dropped = 0
        """Samples that `read` was asked for after they had been pushed out."""

    @property
    def start(self) -> int:
        """Position of the oldest sample kept."""
        return self._forgotten // self._width

    @property
    def end(self) -> int:
        """Position after the newest sample."""
        return (self._forgotten + len(self._data)) // self._width

    def append(self, audio: bytes) -> None:
        """The next bytes of the stream, in its format; a chunk may end inside a sample."""
        data = self._data
        data += audio
        excess = len(data) - self._bound
        if excess > 0:
            excess += -excess % self._width
            # CPython moves the start of the buffer: this copies nothing.
            del data[:excess]
            self._forgotten += excess

    def read(self, start: int, stop: int) -> Pcm:
        """The samples from ``start`` up to, not including, ``stop``: those of them that are kept."""
        first = self.start
        self.dropped += max(0, min(stop, first) - max(start, 0))
        start, stop = max(start, first), min(stop, self.end)
        if stop <= start:
            return to_pcm(b"", self._format.encoding)
        cut = slice((start - first) * self._width, (stop - first) * self._width)
        return to_pcm(bytes(self._data[cut]), self._format.encoding)
