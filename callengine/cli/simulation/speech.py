"""A caller's voice and ears: recordings, the embedded voice, the embedded recogniser."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
import trio

from callengine.audio import Resampler, from_pcm, to_pcm
from callengine.cli.simulation.script import Action, Hears, Play, Say
from callengine.errors import ConfigurationError, MissingExtra
from callengine.providers.local.hibari import SAMPLE_RATE as VOICE_RATE
from callengine.providers.local.hibari import HibariVoice
from callengine.providers.local.moonshine import SAMPLE_RATE as RECOGNISER_RATE
from callengine.providers.local.moonshine import Moonshine
from callengine.providers.local.weights import PACKAGES
from callengine.providers.local.workers import Workers
from callengine.testing.caller import recording

Understand: TypeAlias = Callable[[bytes], Awaitable[str]]
"""The words in some mu-law audio at 8 kHz."""

_MARGINS = (0.2, 0.35)
"""Seconds of silence around what the recogniser is given. At some lengths of audio the English model writes Chinese
(seen with moonshine-voice 0.0.73): then the second one is tried."""


class Speech:
    """What a caller says, as mu-law at 8 kHz: text is spoken by ``voice``. What was made once is kept."""

    def __init__(self, voice: HibariVoice | None, workers: Workers) -> None:
        self._voice = voice
        self._workers = workers
        self._made: dict[Action, bytes] = {}

    async def of(self, action: Say | Play) -> bytes:
        """Raises `ConfigurationError`: no such file, or no voice."""
        if action not in self._made:
            self._made[action] = await self._workers.run(self._make, action)
        return self._made[action]

    async def prepare(self, actions: Iterable[Action]) -> None:
        """Make everything that these actions say. Raises `ConfigurationError`."""
        for action in actions:
            if isinstance(action, Say | Play):
                await self.of(action)

    def _make(self, action: Say | Play) -> bytes:
        return _recorded(action) if isinstance(action, Play) else self._spoken(action)

    def _spoken(self, action: Say) -> bytes:
        if self._voice is None:
            raise MissingExtra("saying typed text", "local", PACKAGES["hibari"])
        resampler = Resampler(VOICE_RATE, 8000)
        parts = [resampler.push(self._voice.speak(sounds)) for sounds in self._voice.phonemes(action.text)]
        return from_pcm(np.concatenate([*parts, resampler.flush()]), "mulaw")


def _recorded(action: Play) -> bytes:
    try:
        return recording(action.path)
    except OSError as error:
        raise ConfigurationError(f"{action.path} cannot be played: {error.strerror or error}") from error


class Recogniser:
    """The embedded recogniser, as an `Understand`."""

    def __init__(self, model: Moonshine, workers: Workers) -> None:
        self._model = model
        self._workers = workers

    async def __call__(self, audio: bytes) -> str:
        stop = threading.Event()
        return await self._workers.run(self._words, audio, stop, stop=stop)

    def _words(self, audio: bytes, stop: threading.Event) -> str:
        resampler = Resampler(8000, RECOGNISER_RATE)
        pcm = np.concatenate([resampler.push(to_pcm(audio, "mulaw")), resampler.flush()])
        text = ""
        for margin in _MARGINS:
            silence = np.zeros(int(margin * RECOGNISER_RATE), np.float32)
            text = self._model.transcribe(np.concatenate([silence, pcm.astype(np.float32) / 32768, silence]), stop)
            if text.isascii():
                break
        return text


def installed(*modules: str) -> bool:
    """Whether these packages are there; imports nothing."""
    return all(find_spec(module) is not None for module in modules)


async def load_voice(workers: Workers) -> HibariVoice:
    """About a second. Raises `MissingExtra`."""
    return await workers.run(HibariVoice.load)


async def load_recogniser(actions: Iterable[Action], workers: Workers) -> Recogniser | None:
    """The recogniser, about half a second; None where it is not installed. Raises `MissingExtra` where it is not, and
    the actions listen for words."""
    if installed("onnxruntime", "moonshine_voice"):
        return Recogniser(await workers.run(Moonshine.load), workers)
    await trio.lowlevel.checkpoint()
    if any(isinstance(action, Hears) and action.wanted for action in actions):
        raise MissingExtra("hearing words", "local", PACKAGES["moonshine_voice"])
    return None
