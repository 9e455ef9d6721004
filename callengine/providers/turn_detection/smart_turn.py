"""smart-turn v3.2 (BSD-2-Clause, Daily): has the caller finished, or is he searching for words? Heard, not read.

A small model (Whisper tiny's encoder, int8) that knows 23 languages, by the tune and the words of what was said. It
runs in worker threads on the ONNX runtime of the extra ``local``; its weights are part of this package.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import attrs

from callengine.audio.format import Pcm
from callengine.audio.resample import Resampler
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import EndOfTurnSession, SessionContext
from callengine.providers.local.workers import Workers
from callengine.providers.turn_detection.features import SAMPLE_RATE
from callengine.providers.turn_detection.model import SmartTurnModel


@attrs.frozen
class SmartTurn:
    """Names the model for an agent: ``Agent(turn_detector=SmartTurn())``. The engine loads it once, for all calls.

    ``threads`` is how many questions are answered at once in the process, in threads of their own, so that a question
    never waits behind a long decode; by default all cores but one, at least one. A question costs 35 ms of CPU, and
    each thread another 35 MB of memory. ``model`` is another smart-turn v3 as ONNX, in place of the packaged 3.2.
    """

    threads: int | None = None
    model: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))

    def __attrs_post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ConfigurationError(f"SmartTurn(threads={self.threads}): give at least 1, or leave it out")

    async def load(self, *, inline: bool = False) -> LoadedSmartTurn:
        """Load the model in a worker thread (0.1 s, 70 MB of memory).

        ``inline`` runs it, now and later, in the task that asks, for tests on a virtual clock. Raises `MissingExtra`,
        `WeightsError`, and `ConfigurationError` for a file that is another model.
        """
        workers = Workers(self.threads, inline=inline)
        return LoadedSmartTurn(await workers.run(SmartTurnModel.load, self.model), workers)


@attrs.frozen
class LoadedSmartTurn:
    """The recipe (see `EndOfTurn`): a loaded model and the workers it runs in."""

    model: SmartTurnModel = attrs.field(repr=False)
    workers: Workers = attrs.field(repr=False)

    @property
    def name(self) -> str:
        return "smart-turn"

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[EndOfTurnSession]:
        """A session for one call. It holds nothing but the sample rate.

        Raises `AudioError` for a rate below 8 or above 48 kHz.
        """
        Resampler(context.sample_rate, SAMPLE_RATE)  # refuses what it cannot do
        return _open(_Session(self, context.sample_rate))

    def using(self, workers: Workers) -> LoadedSmartTurn:
        """The same model in other workers: a pool belongs to one ``trio.run``, a loaded model does not."""
        return LoadedSmartTurn(self.model, workers)


@asynccontextmanager
async def _open(session: _Session) -> AsyncIterator[_Session]:
    yield session


@attrs.frozen
class _Session:
    recipe: LoadedSmartTurn
    sample_rate: int

    async def finished(self, audio: Pcm) -> float:
        """See `EndOfTurnSession`. A cancelled question gives its place in the queue back; one that has begun runs
        on in its thread for the rest of its 35 ms."""
        try:
            return await self.recipe.workers.run(self.recipe.model.probability, audio, self.sample_rate)
        except Exception as error:
            raise ProviderError(self.recipe.name, f"the model failed: {error}", fault="fatal") from error
