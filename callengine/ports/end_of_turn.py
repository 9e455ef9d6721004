"""Whether the caller has finished his turn: models that listen to how he says it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from callengine.audio.format import Pcm
from callengine.ports.session import SessionContext


class EndOfTurnSession(Protocol):
    """One call's judge of whether the caller has finished his turn or is only searching for words."""

    async def finished(self, audio: Pcm) -> float:
        """The probability (0..1) that the caller has finished.

        ``audio`` is his turn so far at the context's sample rate: everything since it began, pauses included, ending
        with the short silence (about 0.2 s) that goes on now. It always has speech in it: models say nothing of use
        about pure silence, so they are never asked. Cancelled when the caller speaks on. Raises `ProviderError`.
        """


class EndOfTurn(Protocol):
    """The recipe of a semantic end-of-turn model."""

    @property
    def name(self) -> str: ...

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[EndOfTurnSession]: ...


@runtime_checkable
class EndOfTurnModel(Protocol):
    """A turn detector that has something to load before calls can use it."""

    async def load(self, *, inline: bool = False) -> EndOfTurn:
        """Load it; ``inline`` runs it in the task that asks, for tests on a virtual clock."""
