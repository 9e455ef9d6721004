"""What every provider's session is opened with, and what it tells beside its results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import attrs

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.wire import Wire

ProviderRole: TypeAlias = Literal["stt", "tts", "llm"]


@attrs.frozen(kw_only=True)
class Usage:
    """What something cost, in the vendor's units: from its own figures, or ``estimated`` by us.

    ``seconds`` are of audio heard or (where a vendor bills that) of a connection; ``characters`` of text spoken.
    ``cached_tokens`` and ``cache_write_tokens`` are parts of ``input_tokens``, ``reasoning_tokens`` one of
    ``output_tokens``.
    """

    provider: str
    """The vendor, as `create_stt` and the others call it: ``deepgram``."""
    model: str
    """As the vendor calls it; empty where there is none."""
    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    characters: int = 0
    seconds: float = 0.0
    estimated: bool = False


@attrs.define
class Opening:
    """What a session (or a request, for language models and voices that take one a sentence) is about to start with.

    A hook may change ``settings`` in place: they are what the vendor documents, as query parameters, a first message
    or a request's body. Keys are never in here.
    """

    role: ProviderRole
    provider: str
    url: str
    settings: dict[str, Any]


def _ignore(_: object) -> None:
    pass


@attrs.frozen
class SessionContext:
    """What a provider may know of the call it serves."""

    call_id: str
    language: str = "en"
    sample_rate: int = 8000
    """Hz of the caller's audio as it is given to a recogniser."""
    interim: bool = False
    """Whether somebody wants interim transcripts (they may cost CPU or money)."""
    line: AudioFormat = TELEPHONE
    """What the carrier plays: a voice that can make exactly that should."""
    wire: Wire | None = None
    """The engine's way to vendors; None for providers that are used without an engine: see `shared_wire`."""
    meter: Callable[[Usage], None] = _ignore
    """Told what a session costs, whenever it is known, at the latest when it (or a reply, a sentence) ends."""
    opening: Callable[[Opening], None] = _ignore
    """Shown what a session starts with, before it does."""


@runtime_checkable
class Parkable(Protocol):
    """A recipe whose session may be opened before its call is there, while the phone rings, without cost or harm."""

    @property
    def idle_limit(self) -> float:
        """Seconds for which an opened session may wait for its call; it keeps itself alive meanwhile. 0: not at all."""


@runtime_checkable
class Prewarmed(Protocol):
    """A session that can connect ahead of its first use."""

    async def prewarm(self) -> None:
        """Have a connection ready, by a request that costs nothing. Raises `ProviderError`."""


@runtime_checkable
class Probed(Protocol):
    """A recipe that can be asked, at no cost, whether its vendor answers and takes the key."""

    async def probe(self, wire: Wire) -> None:
        """Make the vendor's free request. Raises `ProviderError`, with the fault that a call would meet."""
