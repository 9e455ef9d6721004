"""The embedded models on a virtual clock: their real answers, and a price in time for each.

A virtual clock stands still while a model runs, so decoding would be free. Here each job takes the time that it costs
on one core, and one that is called off is not done at all.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from hashlib import sha1
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar, TypeVarTuple, Unpack

import attrs
import numpy as np
import trio
from numpy.typing import NDArray

from benchmarks.turns.agent import AgentVoice
from callengine.ports import EndOfTurn
from callengine.providers.local.hibari import HibariVoice
from callengine.providers.local.moonshine import SAMPLE_RATE, Moonshine
from callengine.providers.local.workers import Workers
from callengine.providers.stt.local import LocalSpeechToText
from callengine.providers.turn_detection.model import SmartTurnModel
from callengine.providers.turn_detection.smart_turn import LoadedSmartTurn

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DECODE = 0.03
DECODE_A_SECOND = 0.027
"""Seconds that a decode takes, and that it takes more for each second of audio: half as much again as on an idle core
(0.019 a second on a Xeon, and never under 0.02; ``python -m benchmarks.turns --time-recogniser``), for a core that has
calls to serve as well."""

VERDICT = 0.05
"""Seconds that the end-of-turn model takes: 0.035 on an idle core, and half as much again."""


@attrs.frozen(eq=False)
class Remembering(Moonshine):
    """Decodes the same audio once: variants hear much of the same."""

    known: dict[str, str] = attrs.field(factory=dict, repr=False)

    @classmethod
    def with_memory(cls, known: dict[str, str]) -> Remembering:
        """The packaged model. ``known`` holds what was decoded, and is added to."""
        model = Moonshine.load()
        return cls(model.encoder, model.decoder, model.pieces, model.empty_cache, known)

    def transcribe(self, audio: NDArray[np.float32], stop: threading.Event | None = None) -> str:
        """See `Moonshine.transcribe`."""
        key = sha1(audio.tobytes(), usedforsecurity=False).hexdigest()
        if key not in self.known:
            self.known[key] = super().transcribe(audio, stop)
        return self.known[key]


class Charged(Workers):
    """Workers in which a job takes virtual time; ``price`` says how much, from the job's arguments."""

    def __init__(self, price: Callable[[tuple[Any, ...]], float]) -> None:
        super().__init__(1, inline=True)
        self._price = price

    async def run(self, job: Callable[[Unpack[Ts]], T], *args: *Ts, stop: threading.Event | None = None) -> T:
        """See `Workers.run`."""
        del stop
        await trio.sleep(self._price(args))
        return job(*args)


def _decoding(args: tuple[Any, ...]) -> float:
    """What `callengine.providers.local.dictation.decode` takes with these arguments."""
    _, blocks, rate, _ = args
    return DECODE + DECODE_A_SECOND * sum(map(len, blocks)) / float(rate)


class Models:
    """What all calls share. Each call gets recipes of its own, as workers belong to one ``trio.run``.

    ``known`` holds what was decoded before, and is added to.
    """

    def __init__(self, known: dict[str, str]) -> None:
        self.voice = AgentVoice(HibariVoice.load())
        self._recogniser = Remembering.with_memory(known)
        self._detector: SmartTurnModel | None = None

    def recogniser(self) -> LocalSpeechToText:
        """The embedded recogniser."""
        return LocalSpeechToText(self._recogniser, Charged(_decoding))

    def detector(self) -> EndOfTurn:
        """The embedded end-of-turn model, loaded when it is first wanted."""
        self._detector = self._detector or SmartTurnModel.load()
        return LoadedSmartTurn(self._detector, Charged(lambda _: VERDICT))


def read_memory(file: Path | None) -> dict[str, str]:
    """What earlier runs decoded; nothing where there is no file yet."""
    if file is None or not file.exists():
        return {}
    known: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return known


def write_memory(file: Path | None, known: dict[str, str]) -> None:
    """Keep it for the next run."""
    if file is not None:
        file.write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")


def time_recogniser(clips: list[NDArray[np.float32]]) -> tuple[float, float]:
    """Measure on this machine: seconds for a decode, and more for each second of audio (a straight line through the
    best of three of each). ``clips`` are samples at 16 kHz in -1..1."""
    model = Moonshine.load()
    lengths, times = [], []
    for clip in clips:
        best = min(_timed(model, clip) for _ in range(3))
        lengths.append(len(clip) / SAMPLE_RATE)
        times.append(best)
    slope, fixed = np.polyfit(lengths, times, 1)
    return float(fixed), float(slope)


def _timed(model: Moonshine, clip: NDArray[np.float32]) -> float:
    before = perf_counter()
    model.transcribe(clip)
    return perf_counter() - before
