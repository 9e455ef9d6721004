"""WebRTC's noise suppression, from the package pywebrtc-audio (Apache-2.0)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal, TypeAlias

import attrs
import numpy as np

from callengine.audio.format import Pcm
from callengine.errors import AudioError, ConfigurationError, MissingExtra
from callengine.ports import DenoiserSession

Level: TypeAlias = Literal["low", "moderate", "high", "very high"]

_LEVELS: dict[Level, int] = {"low": 0, "moderate": 1, "high": 2, "very high": 3}
"""``ns_level`` of pywebrtc-audio 0.2.0: by its documentation, noise becomes 6, 12, 18 and 21 dB more quiet."""

_RATES = (8000, 16000)  # what carriers send and what was measured

DELAY = {8000: 0.009, 16000: 0.006}
"""Seconds by which the cleaned audio is late, by rate: the overlap of its analysis windows, and at 8 kHz the way to
16 kHz and back (``tests/providers/test_providers_denoise.py`` measures it)."""


def _installed(recipe: WebRtcDenoiser, attribute: attrs.Attribute[Level], level: Level) -> None:
    del recipe
    if level not in _LEVELS:
        raise ConfigurationError(f"{attribute.name} is {level!r}: give {', '.join(map(repr, _LEVELS))}")
    if find_spec("pywebrtc_audio") is None:
        raise MissingExtra("noise suppression", "local", "pywebrtc-audio")


@attrs.frozen
class WebRtcDenoiser:
    """The recipe, for ``Agent(denoiser=...)``. For loud, steady noise: engines, fans, a hissing line; not for voices.

    ``level`` is how much of the noise it takes away: 6, 12, 18 or 21 dB. It learns the noise in about a second. Some of
    the caller's voice goes too: with noise 5 dB below him, ``moderate`` takes the embedded recogniser from 39 wrong
    words in 100 to 29, ``very high`` only to 33; where it is 20 dB below, nothing is won, and behind other people's
    voices the VAD hears more of them than before (``python -m benchmarks.denoise``; "Noise" in
    ``docs/turn_taking.md``). Costs 1 ms of CPU a call and second (``python -m benchmarks.micro --only denoise``).

    Raises `MissingExtra` where the package is not installed, when the recipe is made: it is never silently left out.
    """

    level: Level = attrs.field(default="moderate", validator=_installed)

    def open(self, sample_rate: int) -> DenoiserSession:
        """A suppressor for one call, at 8000 or 16000 Hz; `AudioError` for another rate. Late by `DELAY`."""
        if sample_rate not in _RATES:
            raise AudioError(f"noise suppression at {sample_rate} Hz: use 8000 or 16000")
        from pywebrtc_audio import AudioProcessor

        # Its NoiseSuppressor class takes 16 kHz and above only.
        suppressor = AudioProcessor(
            sample_rate=sample_rate, noise_suppression=True, ns_level=_LEVELS[self.level], auto_gain_control=False
        )
        return _Session(suppressor, sample_rate // 100)


@attrs.frozen(eq=False)
class _Session:
    """One call's suppressor."""

    suppressor: Any = attrs.field(repr=False)
    step: int

    def process(self, audio: Pcm) -> Pcm:
        """See `DenoiserSession`. Raises `AudioError` unless it is a whole number of 10 ms, at least one."""
        if not len(audio) or len(audio) % self.step:
            raise AudioError(f"noise suppression of {len(audio)} samples: give a multiple of {self.step} (10 ms)")
        cleaned: Pcm = self.suppressor.process(np.ascontiguousarray(audio))
        return cleaned
