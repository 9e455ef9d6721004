"""What became of a campaign's contacts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

from callengine.outbound.contacts import Contact
from callengine.outbound.outcomes import DialOutcome
from callengine.outbound.state import DialResult
from callengine.telephony import AnsweredBy

Result: TypeAlias = DialResult | Literal["invalid", "duplicate", "not dialled"]
"""What became of a contact: the result of its last dial, or why there was none."""


@attrs.frozen(kw_only=True)
class Attempt:
    """One dial of a contact. Times are seconds on the engine's clock."""

    result: DialResult
    reason: str = ""
    answered_by: AnsweredBy | None = None
    started_at: float
    ended_at: float


@attrs.frozen(kw_only=True)
class ContactResult:
    """What became of one contact."""

    contact: Contact
    number: str = attrs.field(repr=False)
    """The contact's number, in international form where it has one."""
    result: Result
    reason: str = ""
    attempts: tuple[Attempt, ...] = ()
    pending: bool = False
    """Whether it would still have been called, or called again, had the campaign not been stopped."""
    outcome: DialOutcome | None = attrs.field(default=None, repr=False)
    """The last dial's `DialOutcome`, with all that was said; None where none came to an end, and in a
    `CampaignReport`, which stays small."""


@attrs.frozen
class CampaignReport:
    """What became of every contact, in the order of the list."""

    results: tuple[ContactResult, ...]

    @property
    def counts(self) -> dict[Result, int]:
        """Contacts by result."""
        return dict(Counter(result.result for result in self.results))

    @property
    def complete(self) -> bool:
        """Whether everybody was called who was to be called."""
        return not any(result.pending for result in self.results)


@attrs.frozen(kw_only=True)
class CampaignProgress:
    """How far a campaign is, in contacts: each is done, live (being called), or waiting for its next call."""

    total: int
    done: int
    live: int
    counts: Mapping[Result, int]
    """Those that are done, by result."""
