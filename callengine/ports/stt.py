"""Speech to text."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeAlias

import attrs

from callengine.audio.format import Pcm
from callengine.ports.session import SessionContext

HintKind: TypeAlias = Literal["eager", "end", "resumed"]
"""What a recogniser that judges turns itself can say of one: it seems to be over, it is, or it was not."""


@attrs.frozen
class SttResult:
    """Words of the caller: interim (will change) or final (will not).

    ``utterance`` is the number that ``start_utterance`` gave; every utterance gets exactly one final, with an empty
    text where nothing was understood. ``hint`` is for recognisers that judge turns themselves: what they say of the
    turn together with these words.
    """

    text: str
    final: bool
    utterance: int
    hint: HintKind | None = None


class SttSession(Protocol):
    """One call's recogniser.

    The call keeps the audio; the session is told where an utterance starts and ends, and gets its audio in blocks of
    about 100 ms in between. After an error the call opens another session and sends the utterance again.
    All methods may raise `ProviderError`.
    """

    @property
    def hears_pauses(self) -> bool:
        """Whether it judges the caller's turns by his silence: then `send` goes on while he pauses, until the
        utterance ends. The others get no audio between `pause` and what he says next."""

    async def start_utterance(self, utterance: int) -> None:
        """The caller began to speak (the audio that follows starts a little before that)."""

    async def send(self, audio: Pcm) -> None:
        """The next block of the utterance, contiguous with the last one."""

    async def pause(self) -> None:
        """The caller fell silent for a moment: a good time to decode ahead. More audio may follow."""

    async def end_utterance(self) -> None:
        """The utterance is over: its final is wanted now."""

    async def receive(self) -> SttResult:
        """Wait for the next result. Cancellable without loss."""


class SpeechToText(Protocol):
    """A recogniser's recipe."""

    @property
    def name(self) -> str: ...

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[SttSession]: ...
