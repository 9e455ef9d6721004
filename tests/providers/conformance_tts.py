"""How the suite lets a voice speak, and knows what the vendor made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
from cases import Case, Told

from callengine.audio.format import AudioFormat
from callengine.cleanup import single
from callengine.ports import SpeechChunk, TtsSession, WordTime
from callengine.testing.vendors import Vendor
from callengine.wire import Wire

SENTENCE = "We have a table for four at eight o'clock."


@attrs.frozen
class Made:
    """Audio as the vendor made it."""

    text: str
    audio_format: AudioFormat
    audio: bytes


def recording(vendor: Vendor) -> list[Made]:
    """All that the vendor makes from now on."""
    made: list[Made] = []
    speech = vendor.speech

    def remembered(text: str, audio_format: AudioFormat) -> tuple[bytes, tuple[WordTime, ...]]:
        audio, words = speech(text, audio_format)
        made.append(Made(text, audio_format, audio))
        return audio, words

    vendor.speech = remembered  # type: ignore[method-assign]
    return made


@asynccontextmanager
async def speaking(
    case: Case, wire: Wire | None, told: Told | None = None, **settings: Any
) -> AsyncIterator[TtsSession]:
    """A session. What ends it is raised, as the one error that it is."""
    context = {name: settings.pop(name) for name in ("line", "opening", "language") if name in settings}
    try:
        async with case.make(**settings).open((told or Told()).context(wire, **context)) as session:
            yield session
    except BaseExceptionGroup as group:
        raise single(group) from None


async def spoken(session: TtsSession, text: str = SENTENCE) -> list[SpeechChunk]:
    """A whole sentence."""
    chunks: list[SpeechChunk] = []
    with trio.fail_after(120):
        async with session.synthesise(text) as stream:
            async for chunk in stream:
                chunks.append(chunk)
    return chunks


def audio_of(chunks: list[SpeechChunk]) -> bytes:
    """All of it."""
    return b"".join(chunk.audio for chunk in chunks)


def words_of(chunks: list[SpeechChunk]) -> list[WordTime]:
    """All of them, in the order in which they came."""
    return [word for chunk in chunks for word in chunk.words]


def last(made: list[Made], text: str) -> bytes:
    """What the vendor made of this text the last time."""
    return [each.audio for each in made if each.text.strip() == text][-1]
