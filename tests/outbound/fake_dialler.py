"""An engine that only dials: each number does what it is scripted to do."""

from __future__ import annotations

from typing import Any

import attrs
import trio

from callengine.errors import CallEngineError
from callengine.outbound.outcomes import DialOutcome


def outcome(result: Any, number: str = "+15005550001") -> DialOutcome:
    """What became of a call, with a reason that is made of the result."""
    return DialOutcome(
        result=result,
        reason=f"why {result}",
        number=number,
        call_id="CA1",
        answered_by="machine" if result == "voicemail" else None,
        message_left=False,
        started_at=0.0,
        ended_at=0.0,
        call=None,
    )


@attrs.define(eq=False)
class FakeCall:
    """A call that ends by itself after so many seconds, or when it is hung up."""

    dialler: FakeDialler
    number: str
    outcome: DialOutcome
    ends_at: float
    over: trio.Event = attrs.field(factory=trio.Event)

    async def wait(self) -> DialOutcome:
        await trio.sleep_until(self.ends_at)
        self.over.set()
        return self.outcome

    def hang_up(self) -> None:
        if self.over.is_set():
            return
        self.dialler.hung_up.append(self.number)
        self.ends_at = trio.current_time() + self.dialler.hang_up_time
        if self.outcome.result not in ("answered", "voicemail"):
            self.outcome = outcome("canceled")


@attrs.define(eq=False)
class FakeDialler:
    """``script`` says for each number what its dials come to, one after the other: (result, seconds), or an error.

    Without a script, or behind its end, a call is answered and takes ``length`` seconds.
    """

    script: dict[str, list[tuple[str, float] | CallEngineError]] = attrs.field(factory=dict)
    length: float = 5.0
    hang_up_time: float = 0.0
    dialled: list[tuple[float, str]] = attrs.field(factory=list)
    """When, whom."""
    asked: list[tuple[Any, dict[str, Any]]] = attrs.field(factory=list)
    """With which program and options."""
    calls: list[FakeCall] = attrs.field(factory=list)
    hung_up: list[str] = attrs.field(factory=list)

    async def dial(self, to: str, program: Any = None, **options: Any) -> FakeCall:
        await trio.lowlevel.checkpoint()
        self.dialled.append((round(trio.current_time(), 6), to))
        self.asked.append((program, options))
        steps = self.script.get(to)
        step = steps.pop(0) if steps else ("answered", self.length)
        if isinstance(step, CallEngineError):
            raise step
        result, seconds = step
        call = FakeCall(self, to, outcome(result, to), trio.current_time() + seconds)
        self.calls.append(call)
        return call

    @property
    def live(self) -> list[str]:
        """Who is on the telephone now."""
        return [call.number for call in self.calls if not call.over.is_set()]
