"""Models that run in the engine itself, on the audio of a call as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from callengine.audio.format import Pcm


class Vad(Protocol):
    """A voice activity model that steps many calls at once. It holds no state of a call: the caller of `step` does."""

    sample_rate: int
    window: int
    """New samples a step (256 at 8 kHz: 32 ms)."""
    context: int
    """Samples of the previous window that each step sees again."""
    state_size: int
    """Floats of recurrent state a call."""

    def step(
        self, audio: NDArray[np.float32], context: NDArray[np.float32], state: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """One window of B calls: audio (B, window) in -1..1, context (B, context), state (B, state_size).

        Returns the probabilities of speech (B,) and the new state (B, state_size).
        """


class SentenceEncoder(Protocol):
    """Turns sentences into vectors whose dot product is their likeness (unit length)."""

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of shape ``(len(texts), dimensions)``."""


class EchoSession(Protocol):
    """One call's echo canceller."""

    def process(self, near: Pcm, far: Pcm) -> Pcm:
        """Remove from ``near`` (the caller's line) what ``far`` (the agent's audio then playing) left in it.

        Both are frames of the same length (20 ms); the result is too.
        """


class EchoCanceller(Protocol):
    """An echo canceller's recipe."""

    def open(self, sample_rate: int) -> EchoSession: ...


class DenoiserSession(Protocol):
    """One call's noise suppression."""

    def process(self, audio: Pcm) -> Pcm:
        """The same frame (20 ms) with less noise in it: as many samples of int16, late by one frame at most.

        Called in the call's own reader for each frame, so it must be quick. ``audio`` is not to be changed in place. A
        session that raises, or returns another shape, is switched off for the rest of its call.
        """


class Denoiser(Protocol):
    """A noise suppressor's recipe. What the VAD and the recogniser hear has gone through it; a recording has not."""

    def open(self, sample_rate: int) -> DenoiserSession:
        """A session for one call, which shares no state with another's. Raises where it does not work at this rate."""
