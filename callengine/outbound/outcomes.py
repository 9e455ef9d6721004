"""What is wanted of an outgoing call, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs

from callengine.audio.clip import Clip
from callengine.errors import CarrierFault
from callengine.outbound.state import DialResult
from callengine.outcome import Outcome
from callengine.spending import Costs
from callengine.telephony import AnsweredBy, CallbackUrls

OnMachine: TypeAlias = Literal["hang up", "continue"]


@attrs.frozen(kw_only=True)
class DialOutcome:
    """What became of an outgoing call."""

    result: DialResult
    reason: str
    """The carrier's own words or code, or ours where it has none."""
    number: str = attrs.field(repr=False)
    call_id: str | None
    """The carrier's name for it; None where it never had one."""
    answered_by: AnsweredBy | None
    """None where that was not asked for, or not found out."""
    message_left: bool
    """Whether the message for answering machines was said to its end."""
    started_at: float
    """When it was dialled, on the engine's clock (seconds)."""
    ended_at: float
    call: Outcome | None
    """How the conversation went; None where there was none."""
    fault: CarrierFault | None = None
    """Whose fault it is that the carrier would not dial: ``configuration`` will not go better the next time."""
    wasted_characters: int = 0
    """Characters of the greeting that were synthesised while it rang, and that nobody heard."""
    costs: Costs = Costs()
    """What its providers cost: those of the call, or of what was made ready while it rang and no call took over."""

    @property
    def answered(self) -> bool:
        """Whether a person, or a machine, took the call."""
        return self.result in ("answered", "voicemail")


@attrs.frozen(kw_only=True)
class DialPlan:
    """What shall happen with an outgoing call."""

    carrier: str
    number: str = attrs.field(repr=False)
    sender: str = attrs.field(repr=False)
    urls: CallbackUrls
    ring_timeout: float = 30.0
    max_duration: float | None = None
    send_digits: str = attrs.field(default="", repr=False)
    amd: bool = False
    voicemail: str | Clip | None = None
    on_machine: OnMachine = "hang up"
    on_answered_by: Callable[[AnsweredBy], None] | None = attrs.field(default=None, repr=False)
