"""A call's noise suppression: it helps while it works, and is never what a call dies of."""

from __future__ import annotations

import logging

import numpy as np

from callengine.audio.format import Pcm
from callengine.errors import AudioError
from callengine.journal import Journal
from callengine.ports import Denoiser, DenoiserSession

log = logging.getLogger(__name__)


class Denoising:
    """Takes the noise out of a caller's frames, where the agent has a denoiser.

    One that cannot be opened, raises, or returns anything but a frame of the same length is switched off for the rest
    of this call, with a decision in the journal and a warning: the caller is then heard as he is.
    """

    def __init__(self, denoiser: Denoiser | None, sample_rate: int, journal: Journal) -> None:
        self._journal = journal
        self._session: DenoiserSession | None = None
        if denoiser is not None:
            try:
                self._session = denoiser.open(sample_rate)
            except Exception as error:
                self._switch_off(error)

    @property
    def on(self) -> bool:
        """Whether frames change on their way through."""
        return self._session is not None

    def clean(self, frame: Pcm) -> Pcm:
        """The same 20 ms with less noise in them, where it is on; else as they are."""
        if self._session is None:
            return frame
        try:
            cleaned = self._session.process(frame)
            if not isinstance(cleaned, np.ndarray) or cleaned.shape != frame.shape or cleaned.dtype != np.int16:
                raise AudioError(f"a denoiser has to return {len(frame)} samples of int16, like the frame it is given")
        except Exception as error:
            self._switch_off(error)
            return frame
        return cleaned

    def _switch_off(self, error: Exception) -> None:
        self._session = None
        problem = f"{type(error).__name__}: {error}"
        log.warning("a call goes on without its denoiser: %s", problem)
        self._journal.note("decision", what="go on without the denoiser", reason=problem)
