"""Talking to a recogniser's session, and listening to a voice's, in the tests of their adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import trio
from cases import Told

from callengine.audio.convert import to_pcm
from callengine.audio.format import Pcm
from callengine.ports import SttResult, SttSession, WordTime
from callengine.testing.vendors import Vendor, in_memory

RATE = 8000
BLOCK = 800
"""Samples of 100 ms: what a call sends at a time."""


@asynccontextmanager
async def session(vendor: Vendor, recipe: Any, told: Told | None = None, **context: Any) -> AsyncIterator[Any]:
    """A session of this recipe with a vendor in memory."""
    async with in_memory(vendor) as wire, recipe.open((told or Told()).context(wire, **context)) as opened:
        yield opened


def said(vendor: Vendor, text: str) -> Pcm:
    """Audio of 8 kHz in which this text can be read."""
    return to_pcm(b"".join(word.audio for word in vendor.vocabulary.speak(text)), "mulaw")


def silence(seconds: float) -> Pcm:
    """Nothing said."""
    return np.zeros(round(seconds * RATE), np.int16)


async def send(session: SttSession, audio: Pcm, *, pace: float = 1.0) -> None:
    """In blocks, at so many times the speed of speech; ``0`` is all at once."""
    for start in range(0, len(audio), BLOCK):
        block = audio[start : start + BLOCK]
        if pace:
            await trio.sleep(len(block) / RATE / pace)
        await session.send(block)


async def say(
    session: SttSession, number: int, audio: Pcm, *, pace: float = 0.0, pause: bool = False, end: bool = True
) -> None:
    """One utterance; with a pause of half a second before its end, if wanted."""
    await session.start_utterance(number)
    await send(session, audio, pace=pace)
    if pause:
        await session.pause()
        await trio.sleep(0.5)
    if end:
        await session.end_utterance()


async def final(session: SttSession, heard: list[SttResult] | None = None) -> SttResult:
    """The next final; what comes before it goes to ``heard``."""
    while not (result := await session.receive()).final:
        if heard is not None:
            heard.append(result)
    return result


async def sentence(
    session: Any, text: str, *, after_first: Callable[[], Awaitable[None]] | None = None
) -> tuple[bytes, list[WordTime]]:
    """All audio and all word times of a sentence; something may happen behind its first piece."""
    audio, words = b"", []
    async with session.synthesise(text) as chunks:
        async for chunk in chunks:
            if after_first is not None and not audio and chunk.audio:
                await after_first()
            audio += chunk.audio
            words += chunk.words
    return audio, words
