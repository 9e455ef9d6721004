"""How far an outgoing call is, by what its carrier tells: a pure value of facts that may be repeated, lost, or late."""

from __future__ import annotations

from typing import Literal, TypeAlias

from callengine.telephony import (
    AnsweredBy,
    CallProgress,
    CarrierFact,
    GreetingEnded,
    InstructionsWanted,
    MachineDetection,
    StreamFailed,
)

DialResult: TypeAlias = Literal["answered", "voicemail", "no answer", "busy", "failed", "refused", "canceled"]
"""What became of an outgoing call. ``voicemail``: a machine answered, whether or not a message was left.
``refused``: the called party declined it."""

_DECLINED = frozenset({"call_rejected"})
"""Carriers' words for it, in lower case: Telnyx's and Plivo's hang-up causes."""
_DECLINED_SIP = frozenset({603, 607, 608})
"""SIP responses that say that somebody does not want the call: RFC 3261 (603), RFC 8197 (607), RFC 8688 (608)."""


class OutgoingState:
    """The facts of one outgoing call, applied one by one."""

    def __init__(self) -> None:
        self.call_id: str | None = None
        """The carrier's name for the leg, once anything has named it."""
        self.answered = False
        self.answered_by: AnsweredBy | None = None
        self.greeting_over = False
        """Whether an answering machine records now."""
        self.final: CallProgress | None = None
        """How the leg ended, once the carrier has said so."""
        self.stream_failure = ""
        self._order: float | None = None

    def apply(self, fact: CarrierFact) -> None:
        """Take a fact of this call."""
        match fact:
            case CallProgress():
                self._progress(fact)
            case MachineDetection():
                if self.answered_by in (None, "unknown"):
                    self.answered_by = fact.answered_by
            case GreetingEnded():
                self.greeting_over = True
                if self.answered_by in (None, "unknown"):
                    self.answered_by = "machine"
            case InstructionsWanted():
                self.answered = True  # carriers ask what to do with somebody when he has picked up
            case StreamFailed():
                self.stream_failure = self.stream_failure or fact.reason
            case _:
                return
        self.call_id = fact.call_id

    def connected(self, call_id: str) -> None:
        """Its media stream has come."""
        self.call_id = call_id
        self.answered = True

    def _progress(self, fact: CallProgress) -> None:
        if fact.progress in ("answered", "completed"):
            self.answered = True  # nothing that comes later takes this back
        if self.final is not None or (
            fact.order is not None and self._order is not None and fact.order <= self._order and not fact.final
        ):
            return
        self._order = fact.order if fact.order is not None else self._order
        if fact.final:
            self.final = fact

    @property
    def machine(self) -> bool:
        """Whether something answered that nobody can talk to."""
        return self.answered_by in ("machine", "fax")

    def result(self, *, hung_up: bool) -> DialResult | None:
        """What became of it, as far as is known; None where nothing is. ``hung_up``: by us."""
        if self.answered:
            return "voicemail" if self.machine else "answered"
        if self.final is None:
            return "canceled" if hung_up else None
        if self._declined(self.final):
            return "refused"
        match self.final.progress:
            case "busy":
                return "busy"
            case "no answer" | "canceled":
                return "canceled" if hung_up else "no answer"
        return "failed"

    def _declined(self, final: CallProgress) -> bool:
        return final.sip_code in _DECLINED_SIP or final.reason.lower() in _DECLINED
