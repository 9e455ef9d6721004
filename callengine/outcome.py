"""How a call went: the value that every call ends with."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from callengine.spending import Costs

EndedBy: TypeAlias = Literal["caller", "agent", "drained", "failed"]


@attrs.frozen
class Figures:
    """What one exchange cost in time, in milliseconds; None where it did not happen."""

    final_ms: float | None = None
    """End of the caller's speech to the end of his turn: his final words are there, and he was silent for as long as
    they ask for."""
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
    """The caller's words; empty for the greeting and for what the agent says unasked; bullets for keys."""
    said: str = ""
    heard: str = ""
    """The part of ``said`` that reached the caller's ear, to the word."""
    complete: bool = True
    """Whether all of ``said`` was heard."""
    interrupted_by: str | None = None
    """Who or what cut the reply: ``caller``, ``application``, ``hangup``; None where nobody did."""
    certainty: Literal["marks", "clock"] = "marks"
    """Whether ``heard`` rests on the carrier's echoed marks or only on the clock."""
    keyed: bool = False
    """Whether the caller keyed this in, in one entry."""
    continues: bool = False
    """Whether the caller went on with the turn before: both were answered as one, here."""
    withdrawn: bool = False
    """Whether the answer was withdrawn because the caller went on before he had heard enough of it. See the next
    turn."""
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
    """What was dropped, refused, repeated or wrong, by name: ``false interruptions``, ``backchannels``, ``guesses``,
    ``guesses taken back``, ``transcripts dropped: echo`` and many more. What is not there did not happen."""
    costs: Costs = Costs()
    """What the providers used, and what that costs. Complete when the call is over."""

    @property
    def guesses_right(self) -> int:
        """Replies that were begun before the caller's turn was over, and were right."""
        return self.counters.get("guesses", 0) - self.counters.get("guesses taken back", 0)

    @property
    def duration(self) -> float:
        """Seconds from the stream's start to the end."""
        return self.ended_at - self.started_at
