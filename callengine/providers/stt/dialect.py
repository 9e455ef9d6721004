"""A recogniser's protocol without I/O: what to send, and what the answers mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import attrs

from callengine.audio.format import Pcm
from callengine.ports import HintKind, Usage
from callengine.providers.conversing import Sent, Talk

__all__ = ["Dialect", "Finished", "Heard", "Reply", "Sent", "Whole", "Words"]


@attrs.frozen
class Words:
    """Words of the caller: a segment that will not change any more (``final``), or how the rest sounds so far.

    A final segment takes the place of what was interim, and is put behind the utterance's other final segments.
    ``of`` says whose words they are, where the dialect knows: the utterances of a connection count from 0, in the order
    of `Dialect.start`. Without it they are of the oldest one that has no final yet. So with `Whole` and `Finished`.
    """

    text: str
    final: bool
    of: int | None = None


@attrs.frozen
class Whole:
    """How the whole utterance sounds so far, for vendors that send all of it every time, and what it may hint at."""

    text: str
    hint: HintKind | None = None
    of: int | None = None


@attrs.frozen
class Finished:
    """All that was sent up to the oldest utterance's end has been understood: its words are final.

    ``hint`` is ``end`` where the vendor judged the caller's turn itself, before it was asked.
    """

    hint: HintKind | None = None
    of: int | None = None


@attrs.frozen
class Reply:
    """Messages that had to wait for the vendor's; they are sent before any that the dialect makes later."""

    messages: Sent


Heard: TypeAlias = Words | Whole | Finished | Usage | Reply


class Dialect(Talk, Protocol):
    """A vendor's protocol."""

    @property
    def hears_pauses(self) -> bool:
        """See `SttSession.hears_pauses`."""

    @property
    def settle(self) -> float:
        """Seconds after `end` (or after the last words since) in which `Finished` must have come: a vendor that has
        nothing to finish may say nothing. Then the words that there are are final. Infinity: it always says so."""

    def start(self) -> Sent:
        """An utterance begins."""

    def audio(self, pcm: Pcm) -> Sent:
        """A block of it, at the context's sample rate."""

    def pause(self) -> Sent:
        """The caller fell silent for a moment."""

    def end(self) -> Sent:
        """The utterance is over: its final is wanted now."""

    def cost(self, seconds: float) -> Usage | None:
        """What an utterance of which ``seconds`` were sent has cost; None where `feed` tells it from the vendor's own
        figures, or nothing is known of it."""

    def feed(self, message: str | bytes) -> Sequence[Heard]:
        """What a message of the vendor's means. Raises the `ProviderError` that it reports."""
