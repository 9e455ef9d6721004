"""Text to speech."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import attrs

from callengine.audio.format import AudioFormat
from callengine.ports.session import SessionContext


@attrs.frozen
class WordTime:
    """When a word of a synthesised text starts and ends, in seconds of its audio."""

    word: str
    start: float
    end: float


@attrs.frozen
class SpeechChunk:
    """Some audio of a sentence, of any length (an odd number of bytes too), and word times where they are known."""

    audio: bytes
    words: tuple[WordTime, ...] = ()


class TtsSession(Protocol):
    """One call's synthesiser."""

    @property
    def audio_format(self) -> AudioFormat:
        """Encoding and rate of every chunk."""

    def synthesise(self, text: str) -> AbstractAsyncContextManager[AsyncIterator[SpeechChunk]]:
        """Speak one sentence. Leaving the context cancels what is left of the synthesis."""


class TextToSpeech(Protocol):
    """A synthesiser's recipe."""

    @property
    def name(self) -> str: ...

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[TtsSession]: ...
