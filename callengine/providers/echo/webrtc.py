"""WebRTC's AEC3, from the package pywebrtc-audio (Apache-2.0)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import attrs
import numpy as np

from callengine.audio.format import Pcm
from callengine.errors import AudioError, MissingExtra
from callengine.ports import EchoSession

_DITHER: Pcm = np.random.default_rng(1).integers(-1, 2, 1600).astype(np.int16)
"""Plus or minus one, in place of digital silence. On exact zeros the canceller's filters decay into denormal numbers,
which cost the processor many times as much (``python -m benchmarks.micro --only echo``); -90 dBFS is inaudible."""

_RATES = (8000, 16000)  # what carriers send and what was measured; AEC3 itself works at 16 kHz


@attrs.frozen
class WebRtcEchoCanceller:
    """The recipe. Echo cancellation alone: WebRTC's noise suppression and gain control stay off.

    It finds the delay of the echo (100-250 ms on telephone lines) by itself, within about a second of the agent's
    speech. Costs 0.2 ms of CPU a 20 ms frame.
    """

    def open(self, sample_rate: int) -> EchoSession:
        """A canceller for one call, at 8000 or 16000 Hz.

        Raises `MissingExtra` where the package is not installed, `AudioError` for another rate.
        """
        if sample_rate not in _RATES:
            raise AudioError(f"echo cancellation at {sample_rate} Hz: use 8000 or 16000")
        if find_spec("pywebrtc_audio") is None:
            raise MissingExtra("echo cancellation", "local", "pywebrtc-audio")
        from pywebrtc_audio import AudioProcessor

        # Its EchoCanceller class takes 16 kHz and above only. Cancellation brings WebRTC's high-pass filter with it.
        canceller = AudioProcessor(
            sample_rate=sample_rate, echo_cancellation=True, noise_suppression=False, auto_gain_control=False
        )
        return _Session(canceller, sample_rate // 100)


@attrs.frozen(eq=False)
class _Session:
    """One call's canceller. Its filter is freed with it."""

    canceller: Any = attrs.field(repr=False)
    step: int

    def process(self, near: Pcm, far: Pcm) -> Pcm:
        """See `EchoSession`. Raises `AudioError` unless both frames are as long and a whole number of 10 ms."""
        if len(near) != len(far) or len(near) % self.step:
            raise AudioError(
                f"echo cancellation of {len(near)} samples with a reference of {len(far)}: "
                f"give both the same multiple of {self.step} (10 ms)"
            )
        dither = _DITHER[: len(near)]
        cleaned: Pcm = self.canceller.process(_add(near, dither), _add(far, dither[::-1]))
        return cleaned


def _add(frame: Pcm, dither: Pcm) -> Pcm:
    return np.ascontiguousarray(np.where(frame == 0, dither, frame))
