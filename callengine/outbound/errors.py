"""Errors of calls that go out."""

from __future__ import annotations

from callengine.errors import CallEngineError
from callengine.outbound.outcomes import DialOutcome


class NotAnswered(CallEngineError):
    """Nobody, and no machine, took the call. ``outcome`` is its `DialOutcome`: busy, no answer, failed ..."""

    def __init__(self, outcome: DialOutcome) -> None:
        because = f" ({outcome.reason})" if outcome.reason else ""
        super().__init__(f"the call was not answered: {outcome.result}{because}")
        self.outcome = outcome
