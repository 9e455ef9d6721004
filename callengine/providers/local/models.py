"""The loaded models of a process: opened once, shared by every call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar

import attrs

from callengine.errors import MissingExtra
from callengine.providers.local.hibari import HibariVoice
from callengine.providers.local.minilm import MiniLm, MiniLmEncoder
from callengine.providers.local.moonshine import Moonshine
from callengine.providers.local.weights import local_available
from callengine.providers.local.workers import Workers
from callengine.providers.stt.local import LocalSpeechToText
from callengine.providers.tts.local import LocalTextToSpeech

Progress: TypeAlias = Callable[[str, float], None]
"""Called in the event loop with what was loaded ("speech recognition", "voice", "sentence encoder"), and the part of
the whole that is done: 0 to 1, never less than before."""

T = TypeVar("T")


@attrs.frozen(eq=False)
class LocalModels:
    """Recipes over one set of loaded models."""

    stt: LocalSpeechToText
    tts: LocalTextToSpeech
    encoder: MiniLmEncoder
    workers: Workers

    @classmethod
    def build(cls, recogniser: Moonshine, voice: HibariVoice, sentences: MiniLm, workers: Workers) -> LocalModels:
        """Recipes for models that are loaded already."""
        return cls(
            LocalSpeechToText(recogniser, workers),
            LocalTextToSpeech(voice, workers),
            MiniLmEncoder(sentences, workers),
            workers,
        )

    def using(self, workers: Workers) -> LocalModels:
        """The same models in other workers: a pool belongs to one ``trio.run``, loaded models do not."""
        return LocalModels.build(self.stt.model, self.tts.voice, self.encoder.model, workers)


@asynccontextmanager
async def open_local_models(
    progress: Progress | None = None, *, workers: Workers | None = None
) -> AsyncIterator[LocalModels]:
    """Load all models in worker threads (1.0-1.5 s, 345 MB of memory), and hold them while the context lasts.

    ``workers`` are the threads that load and later run them; by default ``Workers()``. Raises `MissingExtra` where
    packages are not installed, `WeightsError` where a file is not the one that was tested.
    """
    _require_all()
    workers = workers or Workers()
    report = progress or _quiet
    report("speech recognition", 0.0)
    done = 0

    async def load(name: str, job: Callable[[], T]) -> T:
        nonlocal done
        loaded = await workers.run(job)
        done += 1
        report(name, done / 3)
        return loaded

    recogniser = await load("speech recognition", Moonshine.load)
    voice = await load("voice", HibariVoice.load)
    sentences = await load("sentence encoder", MiniLm.load)
    yield LocalModels.build(recogniser, voice, sentences, workers)


def load_local_models_sync(workers: Workers | None = None) -> LocalModels:
    """Load all models in the calling thread, for tests and scripts. Raises like `open_local_models`."""
    _require_all()
    return LocalModels.build(Moonshine.load(), HibariVoice.load(), MiniLm.load(), workers or Workers())


def _require_all() -> None:
    missing = local_available()
    if missing:
        raise MissingExtra("the local speech stack", "local", ", ".join(missing))


def _quiet(name: str, done: float) -> None:
    """Nobody wants to know."""
