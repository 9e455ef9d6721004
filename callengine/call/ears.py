"""What the VAD and the recogniser hear: the caller's line, with the agent's echo taken out of it when that is on.

Echo cancellation costs three times the rest of a call, so ``auto`` runs it only while it can matter: while the agent
is audible and a tail after that; and throughout once an echo was found. A recording keeps the line as it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import trio

from callengine.audio.convert import from_pcm, to_pcm
from callengine.audio.format import AudioFormat, Pcm
from callengine.audio.ring import AudioRing
from callengine.ports import EchoSession
from callengine.services.vad_bank import VadRow

Aec: TypeAlias = Literal["auto", "on", "off"]

TAIL = 1.0
"""Seconds after the agent's last audio during which its echo may still come back: a telephone line's 0.1 to 0.25,
a conference bridge's more, and the carrier's own buffer."""

ECHO_DROP_DB = 6.0
"""A frame in which the canceller removed more than this held an echo, not a caller (who would be left in it)."""

ECHO_FRAMES = 25
"""So many such frames (half a second) in one call, and the line has an echo."""

AUDIBLE_RMS = 100.0
"""Frames more quiet than this (-50 dBFS) say nothing about echo."""


class FarEnd:
    """The agent's audio that plays at a given time, by the playout clock; kept for a few seconds."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._slices: deque[tuple[float, Pcm]] = deque()

    def sent(self, starts: float, audio: bytes) -> None:
        """A slice went out; ``starts`` is when it plays."""
        self._slices.append((starts, to_pcm(audio, self._format.encoding)))

    def frame(self, at: float, samples: int) -> Pcm:
        """What plays from ``at`` on; zeros where nothing does."""
        rate = self._format.sample_rate
        while self._slices and self._slices[0][0] + len(self._slices[0][1]) / rate < at:
            self._slices.popleft()
        frame = np.zeros(samples, np.int16)
        for starts, pcm in self._slices:
            offset = round((starts - at) * rate)
            if offset >= samples:
                break
            source = pcm[max(0, -offset) :][: samples - max(0, offset)]
            frame[max(0, offset) : max(0, offset) + len(source)] = source
        return frame


class Ears:
    """Takes the caller's audio to the ring and the VAD."""

    def __init__(
        self,
        audio_format: AudioFormat,
        ring: AudioRing,
        row: VadRow,
        *,
        echo: EchoSession | None,
        aec: Aec,
        audible_until: Callable[[], float],
        on_heard: Callable[[], None],
    ) -> None:
        self._format = audio_format
        self._ring = ring
        self._row = row
        self._echo = echo if aec != "off" else None
        self._always = aec == "on"
        self._audible_until = audible_until
        self._on_heard = on_heard
        self._step = audio_format.sample_rate // 50
        self._waiting = bytearray()
        self._echo_frames = 0
        self.far_end = FarEnd(audio_format) if self._echo is not None else None
        """Wants to be told what is sent; None where nothing is cancelled."""

    @property
    def line_has_echo(self) -> bool:
        """Whether the agent was found to hear itself."""
        return self._echo_frames >= ECHO_FRAMES

    def hear(self, audio: bytes) -> None:
        """The caller's next audio, of any length."""
        if self._echo is not None:
            self._hear_cleaned(audio)
            return
        self._ring.append(audio)
        self._row.push(audio, self._format.encoding)
        self._on_heard()

    def _hear_cleaned(self, audio: bytes) -> None:
        self._waiting += audio
        size = self._step * self._format.sample_width
        while len(self._waiting) >= size:
            frame = bytes(self._waiting[:size])
            del self._waiting[:size]
            now = trio.current_time()
            if self._always or self.line_has_echo or now < self._audible_until() + TAIL:
                self._take(self._clean(frame, now))
            else:
                self._ring.append(frame)
                self._row.push(frame, self._format.encoding)
        self._on_heard()

    def _take(self, pcm: Pcm) -> None:
        self._ring.append(from_pcm(pcm, self._format.encoding))
        self._row.push_pcm(pcm)

    def _clean(self, frame: bytes, now: float) -> Pcm:
        assert self._echo is not None
        assert self.far_end is not None
        near = to_pcm(frame, self._format.encoding)
        far = self.far_end.frame(now - self._step / self._format.sample_rate, self._step)
        cleaned = self._echo.process(near, far)
        if not self.line_has_echo and now < self._audible_until() + TAIL:
            before = _rms(near)
            if before > AUDIBLE_RMS and _rms(cleaned) < before * 10 ** (-ECHO_DROP_DB / 20):
                self._echo_frames += 1
        return cleaned


def _rms(pcm: Pcm) -> float:
    wide = pcm.astype(np.float32)
    return float(np.sqrt(np.dot(wide, wide) / max(1, len(wide))))
