"""How a campaign calls: at what rate, how often again, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from typing import TypeAlias, get_args

import attrs

from callengine.errors import ConfigurationError
from callengine.outbound.pace import Pace
from callengine.outbound.state import DialResult

AT_ONCE = 5
PER_SECOND = 1.0
"""What a new Twilio account may begin (https://www.twilio.com/docs/voice/api/call-resource)."""
ATTEMPTS = 3
RETRY_AFTER = 600.0

RETRY_ON: frozenset[DialResult] = frozenset({"no answer", "busy", "failed"})
"""Results after which it may go better another time."""

Hours: TypeAlias = Callable[[datetime], bool] | tuple[time, time]
"""When people may be called: a function of the wall clock's time, or from when to when each day. A window that ends
before it begins goes over midnight."""


@attrs.frozen(kw_only=True)
class CampaignPlan:
    """How a campaign calls; see `run_campaign`."""

    at_once: int = AT_ONCE
    per_second: float = PER_SECOND
    attempts: int = ATTEMPTS
    retry_after: float = RETRY_AFTER
    retry_on: frozenset[DialResult] = RETRY_ON
    hours: Hours | None = None
    now: Callable[[], datetime] = datetime.now

    def __attrs_post_init__(self) -> None:
        self.new_pace()
        if self.attempts < 1:
            raise ConfigurationError(f"attempts is {self.attempts}: give 1 or more")
        if not self.retry_after >= 0:
            raise ConfigurationError(f"retry_after is {self.retry_after}: give seconds, 0 or more")
        unknown = self.retry_on - set(get_args(DialResult))
        if unknown:
            known = ", ".join(get_args(DialResult))
            raise ConfigurationError(f"retry_on names {', '.join(sorted(unknown))}, and results are: {known}")
        if isinstance(self.hours, tuple) and self.hours[0] == self.hours[1]:
            raise ConfigurationError("hours begin when they end: give two times, or leave hours out to call at any")

    def new_pace(self) -> Pace:
        """The caps of a campaign that begins now. Raises `ConfigurationError`."""
        return Pace(self.per_second, self.at_once)

    def may_call(self) -> bool:
        """Whether people may be called now."""
        if self.hours is None:
            return True
        if not isinstance(self.hours, tuple):
            return self.hours(self.now())
        (begin, end), now = self.hours, self.now().time()
        return begin <= now < end if begin < end else now >= begin or now < end
