"""What the tests of recognisers share: speech that can be read back, and a session that is fed as a call feeds one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import trio

from callengine.audio.convert import to_pcm
from callengine.audio.format import Pcm
from callengine.ports import Opening, SessionContext, SttResult, SttSession, Usage
from callengine.testing.words import Vocabulary
from callengine.wire import Wire

RATE = 8000
BLOCK = 800
"""Samples: 100 ms."""


class Notes:
    """What a session told beside its results."""

    def __init__(self) -> None:
        self.usage: list[Usage] = []
        self.openings: list[Opening] = []

    def context(self, wire: Wire | None, **settings: Any) -> SessionContext:
        opening: Callable[[Opening], None] = settings.pop("opening", self.openings.append)
        return SessionContext("call-1", wire=wire, meter=self.usage.append, opening=opening, **settings)


def said(vocabulary: Vocabulary, text: str) -> Pcm:
    """The audio of these words."""
    return to_pcm(b"".join(word.audio for word in vocabulary.speak(text)), "mulaw")


def silence(seconds: float) -> Pcm:
    return np.zeros(round(seconds * RATE), np.int16)


async def send(session: SttSession, audio: Pcm, *, pace: bool = True) -> None:
    """In blocks, as it is spoken, or all at once."""
    for start in range(0, len(audio), BLOCK):
        block = audio[start : start + BLOCK]
        if pace:
            await trio.sleep(len(block) / RATE)
        await session.send(block)


async def final(session: SttSession, heard: list[SttResult] | None = None) -> SttResult:
    """The next final; what comes before it goes to ``heard``."""
    while True:
        result = await session.receive()
        if result.final:
            return result
        if heard is not None:
            heard.append(result)


async def utterance(session: SttSession, number: int, audio: Pcm, *, pace: bool = True, pause: bool = False) -> None:
    """An utterance from its start to its end."""
    await session.start_utterance(number)
    await send(session, audio, pace=pace)
    if pause:
        await session.pause()
        await trio.sleep(0.5)
    await session.end_utterance()
