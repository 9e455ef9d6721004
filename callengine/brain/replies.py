"""What a flow's dialogue hands to the call: sentences, an action, a hang-up; and what the caller was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

from callengine.brain.flow import FlowFunction, Slot


class Expects(StrEnum):
    """What a question wants to know."""

    SLOT = "slot"
    CONFIRMATION = "confirmation"
    CHANGE = "change"
    ANYTHING_ELSE = "anything_else"
    OFFER = "offer"


@attrs.frozen
class Expectation:
    """The question the caller was asked last, and which slot it was about."""

    kind: Expects
    slot: Slot | None = None

    def __str__(self) -> str:
        return self.slot.name if self.slot is not None else str(self.kind)


@attrs.frozen
class FlowAction:
    """Something to do now: call ``await function(call, slots)`` and give its result to `Dialogue.acted`, or report to
    `Dialogue.failed` that it raised. ``name`` is the intent's. Slots may be private: they are not in the repr."""

    name: str
    function: FlowFunction
    slots: Mapping[str, Any] = attrs.field(repr=False)


@attrs.frozen
class FlowReply:
    """What the agent says and does next.

    ``expects`` names what the caller was asked for: a slot, or ``confirmation``, ``change``, ``anything_else``,
    ``offer``; None where nothing was asked. ``decision`` is the reason, one line for the journal, with private values
    masked.
    """

    sentences: tuple[str, ...]
    hang_up: bool = False
    expects: str | None = None
    action: FlowAction | None = None
    decision: str = ""
