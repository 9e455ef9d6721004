"""How the suite speaks to a recogniser, and hears what it understood."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import numpy as np
import trio
from cases import Case, Told
from talking import said, send, silence

from callengine.audio.format import Pcm
from callengine.cleanup import single
from callengine.ports import SttResult, SttSession
from callengine.testing.vendors import Vendor
from callengine.wire import Wire

PATIENCE = 20.0
"""Seconds in which an utterance's final must have come, whatever the vendor does."""

SENTENCE = "a table for four please at eight"


def speech(case: Case, vendor: Vendor, text: str) -> Pcm:
    """The caller says this, with a moment of quiet around it."""
    if not case.reads and text:
        vendor.recorded.append(text)
    return np.concatenate((silence(0.1), said(vendor, text), silence(0.3)))


async def say(session: SttSession, audio: Pcm, utterance: int, *, pace: float = 1.0, end: bool = True) -> None:
    """One utterance, at so many times the speed of speech."""
    await session.start_utterance(utterance)
    await send(session, audio, pace=pace)
    if end:
        await session.pause()
        await session.end_utterance()


@attrs.define
class Ears:
    """A session whose results are taken as they come."""

    session: SttSession
    results: list[SttResult] = attrs.field(factory=list)
    _news: trio.Event = attrs.field(factory=trio.Event)

    async def take(self) -> None:
        while True:
            self.results.append(await self.session.receive())
            self._news.set()
            self._news = trio.Event()

    @property
    def finals(self) -> list[SttResult]:
        return [result for result in self.results if result.final]

    async def final(self, utterance: int) -> SttResult:
        """Wait for the final of this utterance."""
        with trio.fail_after(PATIENCE):
            while not any(result.utterance == utterance for result in self.finals):
                await self._news.wait()
        (final,) = [result for result in self.finals if result.utterance == utterance]
        return final


@asynccontextmanager
async def listening(case: Case, wire: Wire | None, told: Told | None = None, **settings: object) -> AsyncIterator[Ears]:
    """A session whose results are taken while the body speaks. What ends it is raised, as the one error that it is."""
    try:
        async with (
            case.make(**settings).open((told or Told()).context(wire)) as session,
            trio.open_nursery() as nursery,
        ):
            ears = Ears(session)
            nursery.start_soon(ears.take)
            yield ears
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise single(group) from None


async def dictate(
    case: Case, vendor: Vendor, wire: Wire | None, told: Told | None = None, *texts: str, **settings: object
) -> list[str]:
    """Say these, one after the other; the texts of their finals."""
    texts = texts or (SENTENCE,)
    async with listening(case, wire, told, **settings) as ears:
        return [(await heard(case, vendor, ears, text, number)).text for number, text in enumerate(texts)]


async def heard(case: Case, vendor: Vendor, ears: Ears, text: str, utterance: int, *, pace: float = 1.0) -> SttResult:
    """Say this, and wait for its final."""
    await say(ears.session, speech(case, vendor, text), utterance, pace=pace)
    return await ears.final(utterance)
