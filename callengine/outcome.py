"""How a call went: the value that every call ends with."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

EndedBy: TypeAlias = Literal["caller", "agent", "drained", "failed"]


@attrs.frozen
class Figures:
    """What one exchange cost in time, in milliseconds; None where it did not happen."""

    final_ms: float | None = None
    """End of the caller's speech to the final transcript."""
    first_token_ms: float | None = None
    """End of the caller's speech to the first text of the reply."""
    first_audio_ms: float | None = None
    """End of the caller's speech to the first synthesised audio."""
    audible_ms: float | None = None
    """End of the caller's speech to the reply's first audio leaving for the carrier."""


@attrs.frozen
class Turn:
    """One exchange: what the caller said, what the agent set out to say, and what of it was heard."""

    number: int
    caller: str
    """The caller's words; empty for the greeting and for what the agent says unasked."""
    said: str = ""
    heard: str = ""
    """The part of ``said`` that reached the caller's ear, to the word."""
    complete: bool = True
    """Whether all of ``said`` was heard."""
    interrupted_by: str | None = None
    """Who or what cut the reply: ``caller``, ``application``, ``hangup``; None where nobody did."""
    certainty: Literal["marks", "clock"] = "marks"
    """Whether ``heard`` rests on the carrier's echoed marks or only on the clock."""
    figures: Figures = Figures()


@attrs.frozen
class Outcome:
    """Who ended the call and why, when, what was said."""

    call_id: str
    ended_by: EndedBy
    reason: str
    """A short phrase; for ``failed`` it starts with the part that failed, as in ``llm: connection refused``."""
    started_at: float
    """Seconds on the engine's clock."""
    ended_at: float
    turns: tuple[Turn, ...] = ()
    counters: dict[str, int] = attrs.field(factory=dict)
    """What was dropped, refused or repeated, by name."""

    @property
    def duration(self) -> float:
        """Seconds from the stream's start to the end."""
        return self.ended_at - self.started_at
