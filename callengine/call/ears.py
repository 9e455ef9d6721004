"""What the VAD and the recogniser hear: the caller's line, without the agent's echo, and without noise, where these
are taken out of it.

Echo cancellation costs three times the rest of a call, and on a line without an echo it takes away some of a caller who
talks over the agent. So ``auto`` finds out what line it is: until it knows, it cancels while the agent is audible and a
tail after that; on a line with an echo throughout; on one without not at all. It keeps looking, as callers change from
the handset to the loudspeaker. Noise suppression stands behind that, and runs all the time: it has to know the noise
before somebody speaks. A recording keeps the line as it was.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import trio

from callengine.audio.convert import from_pcm, to_pcm
from callengine.audio.format import AudioFormat, Pcm
from callengine.audio.likeness import likeness
from callengine.audio.ring import AudioRing
from callengine.call.denoising import Denoising
from callengine.journal import Journal
from callengine.ports import EchoSession
from callengine.services.vad_bank import VadRow

Aec: TypeAlias = Literal["auto", "on", "off"]

TAIL = 1.0
"""Seconds after the agent's last audio during which its echo may still come back: a telephone line's 0.1 to 0.25,
a conference bridge's more, and the carrier's own buffer."""

WINDOW = 0.5
"""Seconds of the caller's line that are compared with what the agent said."""

MAX_LAG = 0.5
"""Seconds that an echo may be late and still be found."""

ECHO, NO_ECHO = 0.5, 0.25
"""Likeness from which there is an echo, and up to which there is none; in between nothing is decided. Of windows with
an echo of 100 to 400 ms at -10 to -30 dB, 95 in 100 have 0.77 and more (those in which the agent pauses have less); a
caller who talks over the agent has 0.31 and less, noise 0.1 (``tests/audio/test_audio_likeness.py``). The echoes are
simulated: a late, quieter copy through mu-law, without a room."""

SETTLE = 1.5
"""Seconds behind the discovery of an echo in which the VAD hears nothing: the canceller has learned the line by then
(`tests/call/test_call_echo_paths.py`), and lets some of the echo through before."""

LEARN = 4.0
"""Seconds behind that until the canceller leaves nothing that the VAD could take for a faint voice."""

AUDIBLE_RMS = 100.0
"""A window in which the agent was more quiet than this (-50 dBFS) says nothing about echo."""


class FarEnd:
    """The agent's audio that plays at a given time, by the playout clock; kept for a few seconds."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._slices: deque[tuple[float, Pcm]] = deque()

    def sent(self, starts: float, audio: bytes) -> None:
        """A slice went out; ``starts`` is when it plays."""
        self._slices.append((starts, to_pcm(audio, self._format.encoding)))

    def cleared(self, at: float) -> None:
        """What would play from then on was thrown away."""
        rate = self._format.sample_rate
        kept = [(starts, pcm[: round((at - starts) * rate)]) for starts, pcm in self._slices if starts < at]
        self._slices = deque(kept)

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


class EchoFinder:
    """Compares the line with the agent's audio, half a second at a time.

    One window shows an echo, two in a row that there is none: the first may be over before the echo comes. An echo that
    was found once stays found: while the caller talks over it, it can not be told from none.
    """

    def __init__(self, sample_rate: int) -> None:
        self._window = round(WINDOW * sample_rate)
        self._history = self._window + round(MAX_LAG * sample_rate)
        self._near: list[Pcm] = []
        self._far: list[Pcm] = [np.zeros(self._history - self._window, np.int16)]
        self._samples = 0
        self._unlike = 0
        """Windows in a row without an echo."""
        self.has_echo: bool | None = None
        """None until something is known."""

    def take(self, near: Pcm, far: Pcm) -> float | None:
        """The next frame of both; returns the likeness when that changed what is known, else None."""
        if self.has_echo:
            return None
        self._near.append(near)
        self._far.append(far)
        self._samples += len(near)
        if self._samples < self._window:
            return None
        line, agent = np.concatenate(self._near), np.concatenate(self._far)[-self._history :]
        self._near, self._far, self._samples = [], [agent[self._window - self._history :]], 0
        if _rms(agent) < AUDIBLE_RMS:
            return None
        alike = likeness(line, agent)
        self._unlike = self._unlike + 1 if alike <= NO_ECHO else 0
        found = True if alike >= ECHO else False if self._unlike >= 2 else self.has_echo
        changed = found is not self.has_echo
        self.has_echo = found
        return alike if changed else None


class Ears:
    """Takes the caller's audio to the ring and the VAD."""

    def __init__(
        self,
        audio_format: AudioFormat,
        ring: AudioRing,
        row: VadRow,
        journal: Journal,
        *,
        echo: EchoSession | None,
        aec: Aec,
        denoising: Denoising,
        audible_until: Callable[[], float],
        on_heard: Callable[[], None],
    ) -> None:
        self._format = audio_format
        self._ring = ring
        self._row = row
        self._journal = journal
        self._echo = echo if aec != "off" else None
        self._always = aec == "on"
        self._denoising = denoising
        self._audible_until = audible_until
        self._on_heard = on_heard
        self._step = audio_format.sample_rate // 50
        self._waiting = bytearray()
        self._settled_at = -math.inf
        """Until then the VAD hears nothing."""
        self._finder = EchoFinder(audio_format.sample_rate)
        self.far_end = FarEnd(audio_format) if self._echo is not None else None
        """Wants to be told what is sent; None where nothing is cancelled."""

    @property
    def may_hear_the_agent(self) -> bool:
        """Whether what is left of the agent's echo may sound like a caller: while it is not known whether the line
        echoes, and while the canceller learns it."""
        if self._echo is None:
            return False
        return self._finder.has_echo is None or trio.current_time() < self._settled_at + LEARN

    def hear(self, audio: bytes) -> None:
        """The caller's next audio, of any length."""
        if self._echo is None and not self._denoising.on and not self._waiting:
            self._take(audio)
        else:
            self._waiting += audio
            size = self._step * self._format.sample_width
            while len(self._waiting) >= size:
                frame = bytes(self._waiting[:size])
                del self._waiting[:size]
                self._hear_frame(frame, trio.current_time())
        self._on_heard()

    def _hear_frame(self, frame: bytes, now: float) -> None:
        agent_sounds = now < self._audible_until() + TAIL
        if self._echo is None or not (agent_sounds or self._always or self._finder.has_echo):
            self._pass_on(frame)
            return
        assert self.far_end is not None
        near = to_pcm(frame, self._format.encoding)
        far = self.far_end.frame(now - self._step / self._format.sample_rate, self._step)
        alike = self._finder.take(near, far) if agent_sounds else None
        if alike is not None:
            found = "an echo" if self._finder.has_echo else "no echo"
            self._journal.note("decision", what="echo", reason=f"{found} on the line: {alike:.2f} like the agent")
            if self._finder.has_echo:
                self._settled_at = now + SETTLE
        if not self._always and self._finder.has_echo is False:
            self._pass_on(frame)
        else:
            cleaned = self._denoising.clean(self._echo.process(near, far))
            self._ring.append(from_pcm(cleaned, self._format.encoding))
            self._row.push_pcm(np.zeros_like(cleaned) if now < self._settled_at else cleaned)

    def _pass_on(self, frame: bytes) -> None:
        """A frame without an echo, or with one that stays."""
        if self._denoising.on:
            cleaned = self._denoising.clean(to_pcm(frame, self._format.encoding))
            self._ring.append(from_pcm(cleaned, self._format.encoding))
            self._row.push_pcm(cleaned)
        else:
            self._take(frame)

    def _take(self, audio: bytes) -> None:
        self._ring.append(audio)
        self._row.push(audio, self._format.encoding)


def _rms(pcm: Pcm) -> float:
    wide = pcm.astype(np.float32)
    return float(np.sqrt(np.dot(wide, wide) / max(1, len(wide))))
