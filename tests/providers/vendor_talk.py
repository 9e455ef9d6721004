"""Talking to a recogniser's session, and listening to a synthesiser's, in the tests of their adapters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from callengine.audio.convert import to_pcm
from callengine.audio.format import Pcm
from callengine.ports import SessionContext, SttResult, Usage
from callengine.testing.vendors import Vendor
from callengine.wire import Wire

BLOCK = 800
"""Samples of 100 ms."""


def spoken(vendor: Vendor, text: str) -> Pcm:
    """Audio of 8 kHz in which this text can be read."""
    return to_pcm(b"".join(word.audio for word in vendor.vocabulary.speak(text)), "mulaw")


async def say(session: Any, number: int, audio: Pcm, *, end: bool = True) -> None:
    """One utterance, in blocks of 100 ms."""
    await session.start_utterance(number)
    for start in range(0, len(audio), BLOCK):
        await session.send(audio[start : start + BLOCK])
    if end:
        await session.end_utterance()


async def final(session: Any) -> SttResult:
    """The next final."""
    while True:
        result: SttResult = await session.receive()
        if result.final:
            return result


async def sentence(
    session: Any, text: str, *, after_first: Callable[[], Awaitable[None]] | None = None
) -> tuple[bytes, list[Any]]:
    """All audio and all word times of a sentence; something may happen behind its first piece."""
    audio, words = b"", []
    async with session.synthesise(text) as chunks:
        async for chunk in chunks:
            if after_first is not None and not audio and chunk.audio:
                await after_first()
            audio += chunk.audio
            words += chunk.words
    return audio, words


class Meter:
    """A context, and what was told of costs and of openings."""

    def __init__(self, wire: Wire, *, change: Callable[[dict[str, Any]], None] | None = None, **options: Any) -> None:
        self.usage: list[Usage] = []
        self.openings: list[Any] = []
        self._change = change
        self.context = SessionContext("call-1", wire=wire, meter=self.usage.append, opening=self._opening, **options)

    def _opening(self, opening: Any) -> None:
        self.openings.append(opening)
        if self._change is not None:
            self._change(opening.settings)
