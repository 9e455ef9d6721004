"""Calling a whole list of people: at a rate, some at a time, again where nobody answered."""

from __future__ import annotations

import heapq
import inspect
import logging
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, Protocol, TypeAlias

import attrs
import trio

from callengine.cleanup import bounded_cleanup, single
from callengine.errors import CallEngineError, CarrierError, ConfigurationError, NotAllowed
from callengine.outbound.contacts import Contact, check_contacts
from callengine.outbound.outcomes import DialOutcome
from callengine.outbound.plan import AT_ONCE, ATTEMPTS, PER_SECOND, RETRY_AFTER, RETRY_ON, CampaignPlan, Hours
from callengine.outbound.results import (
    Attempt,
    CampaignProgress,
    CampaignReport,
    ContactResult,
    Result,
)
from callengine.outbound.state import DialResult
from callengine.programs import Program
from callengine.telephony import AnsweredBy

CLEANUP = 6.0
"""Seconds for hanging up when a campaign is cancelled: a carrier has 5 for its polite end, a listener has the rest."""

HOURS_CHECK = 60.0
"""Seconds after which the wall clock is looked at again, outside of the hours in which people may be called."""

log = logging.getLogger(__name__)


class Dialled(Protocol):
    """A call that was asked for: `OutboundCall`."""

    async def wait(self) -> DialOutcome:
        """How it went."""

    def hang_up(self) -> None:
        """End it, ringing or not; `wait` says when it is over."""


class Dialler(Protocol):
    """What makes the calls: an engine that serves."""

    @property
    def dial(self) -> Callable[..., Awaitable[Dialled]]:
        """As `Engine.dial`."""


ResultListener: TypeAlias = Callable[[ContactResult], Awaitable[None] | None]


async def run_campaign(
    engine: Dialler,
    contacts: Iterable[Contact | str],
    program: Program | None = None,
    *,
    at_once: int = AT_ONCE,
    per_second: float = PER_SECOND,
    attempts: int = ATTEMPTS,
    retry_after: float = RETRY_AFTER,
    retry_on: frozenset[DialResult] = RETRY_ON,
    hours: Hours | None = None,
    now: Callable[[], datetime] = datetime.now,
    on_result: ResultListener | None = None,
    progress: Callable[[CampaignProgress], None] | None = None,
    stop: trio.Event | None = None,
    **dial_options: Any,
) -> CampaignReport:
    """Call everybody on the list, and return what became of each.

    At most ``at_once`` calls go on at a time, and ``per_second`` are begun. Who was not reached (``retry_on``) is
    called again ``retry_after`` seconds later, up to ``attempts`` times in all. Outside of ``hours`` nobody is called;
    ``now`` is the clock that they are read from, such as ``lambda: datetime.now(ZoneInfo("Europe/Berlin"))``. Other
    options go to `Engine.dial`.

    The whole list is read and checked first: numbers that cannot be called, or come twice, are told to ``on_result``
    before the first call, so that no number is ever called twice at once. ``on_result`` is told of each contact when
    nothing more is to be done for it; it may be async, and a slow one slows the campaign down. What it, or
    ``progress``, raises is logged and harms nobody.

    When ``stop`` is set, no more calls are begun, and those that go on may end. Cancelled, the live calls are hung up,
    and those that had been answered are still told to ``on_result``; that has `CLEANUP` seconds.

    A carrier's refusal of one call is that contact's result. Where no call can succeed (`ConfigurationError`, a
    `CarrierError` whose fault is the configuration, an engine that drains), no more are begun, those that go on may
    end, and then the error is raised.
    """
    plan = CampaignPlan(
        at_once=at_once,
        per_second=per_second,
        attempts=attempts,
        retry_after=retry_after,
        retry_on=frozenset(retry_on),
        hours=hours,
        now=now,
    )
    campaign = _Campaign(engine, contacts, program, plan, dial_options, on_result, progress)
    try:
        return await campaign.run(trio.Event() if stop is None else stop)
    except BaseExceptionGroup as group:
        raise single(group) from None


@attrs.define(eq=False)
class _Waiting:
    """A contact that is not done: it waits for a call, or is being called."""

    place: int
    contact: Contact
    number: str
    attempts: tuple[Attempt, ...] = ()

    def note(self, result: DialResult, reason: str, answered_by: AnsweredBy | None, started_at: float) -> None:
        """One attempt more, which ends now."""
        attempt = Attempt(
            result=result,
            reason=reason,
            answered_by=answered_by,
            started_at=started_at,
            ended_at=trio.current_time(),
        )
        self.attempts += (attempt,)

    def ended(self, *, pending: bool = False, outcome: DialOutcome | None = None) -> ContactResult:
        last = self.attempts[-1] if self.attempts else None
        return ContactResult(
            contact=self.contact,
            number=self.number,
            result="not dialled" if last is None else last.result,
            reason="" if last is None else last.reason,
            attempts=self.attempts,
            pending=pending,
            outcome=outcome,
        )


class _Campaign:
    """One run. A contact is in one place at any time: not yet called, waiting for its retry, being called, or done."""

    def __init__(
        self,
        engine: Dialler,
        contacts: Iterable[Contact | str],
        program: Program | None,
        plan: CampaignPlan,
        dial_options: dict[str, Any],
        on_result: ResultListener | None,
        progress: Callable[[CampaignProgress], None] | None,
    ) -> None:
        self._engine = engine
        self._program = program
        self._plan = plan
        self._dial_options = dial_options
        self._on_result = on_result
        self._progress = progress
        self._pace = plan.new_pace()
        self._checked = list(check_contacts(contacts))
        self._results: list[ContactResult | None] = [None] * len(self._checked)
        self._counts: Counter[Result] = Counter()
        self._fresh: deque[_Waiting] = deque()
        self._retries: list[tuple[float, int, _Waiting]] = []  # a heap: when, and the place in the list
        self._live = 0
        self._stopped = False
        self._failure: CallEngineError | None = None
        self._changed = trio.Event()

    async def run(self, stop: trio.Event) -> CampaignReport:
        for place, checked in enumerate(self._checked):
            if checked.flaw is None:
                self._fresh.append(_Waiting(place, checked.contact, checked.number))
            else:
                result = ContactResult(
                    contact=checked.contact, number=checked.number, result=checked.flaw, reason=checked.reason
                )
                await self._done(place, result)
        self._tell_progress()
        async with trio.open_nursery() as watcher:
            watcher.start_soon(self._watch, stop)
            async with trio.open_nursery() as calls:
                while await self._somebody_is_due():
                    await calls.start(self._attempt)
            watcher.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        for waiting in [*self._fresh, *(entry for _, _, entry in self._retries)]:
            self._results[waiting.place] = waiting.ended(pending=True)
        return CampaignReport(tuple(result for result in self._results if result is not None))

    # --- who is next ------------------------------------------------------------------------------------------------

    async def _watch(self, stop: trio.Event) -> None:
        await stop.wait()
        self._stop()

    def _stop(self) -> None:
        self._stopped = True
        self._changed.set()

    async def _somebody_is_due(self) -> bool:
        """Wait until there is somebody to be called; False when there is nobody left, or the campaign was stopped."""
        while not self._stopped and (self._fresh or self._retries or self._live):
            self._changed = trio.Event()
            if not self._plan.may_call():
                wake_at = trio.current_time() + HOURS_CHECK
            elif self._fresh or self._a_retry_is_due():
                return True
            else:
                wake_at = self._retries[0][0] if self._retries else math.inf
            with trio.move_on_at(wake_at):
                await self._changed.wait()
        return False

    def _a_retry_is_due(self) -> bool:
        return bool(self._retries) and self._retries[0][0] <= trio.current_time()

    def _take(self) -> _Waiting | None:
        if self._stopped or not self._plan.may_call():
            return None
        if self._a_retry_is_due():
            return heapq.heappop(self._retries)[2]
        return self._fresh.popleft() if self._fresh else None

    # --- one call ---------------------------------------------------------------------------------------------------

    async def _attempt(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with self._pace.slot():
            waiting = self._take()  # only now: others may have become due, or the hours may have ended
            if waiting is None:
                task_status.started()
                return
            self._live += 1
            task_status.started()
            self._tell_progress()
            try:
                await self._call(waiting)
            finally:
                self._live -= 1
                self._changed.set()
            self._tell_progress()

    async def _call(self, waiting: _Waiting) -> None:
        started_at = trio.current_time()
        outcome: DialOutcome | None = None
        try:
            outcome = await self._dial(waiting, started_at)
            if outcome.fault == "configuration":  # a wrong key, say: it would not go better with anybody else
                self._fail(ConfigurationError(outcome.reason))
                return
            result, reason, answered_by = outcome.result, outcome.reason, outcome.answered_by
        except NotAllowed as error:
            result, reason, answered_by = "refused", str(error), None
        except CarrierError as error:
            if error.fault == "configuration":
                self._fail(error)
                return
            result, reason, answered_by = "failed", str(error), None
        except CallEngineError as error:
            self._fail(error)
            return
        waiting.note(result, reason, answered_by, started_at)
        if result in self._plan.retry_on and len(waiting.attempts) < self._plan.attempts:
            due = trio.current_time() + self._plan.retry_after
            heapq.heappush(self._retries, (due, waiting.place, waiting))
        else:
            await self._done(waiting.place, waiting.ended(outcome=outcome))

    async def _dial(self, waiting: _Waiting, started_at: float) -> DialOutcome:
        options = dict(self._dial_options)
        if waiting.contact.data:
            options["parameters"] = {**options.get("parameters", {}), **waiting.contact.data}
        call = await self._engine.dial(waiting.number, waiting.contact.program or self._program, **options)
        try:
            return await call.wait()
        except trio.Cancelled:
            await self._hang_up(call, waiting, started_at)
            raise

    async def _hang_up(self, call: Dialled, waiting: _Waiting, started_at: float) -> None:
        with bounded_cleanup(CLEANUP):
            try:
                call.hang_up()
                outcome = await call.wait()
            except CallEngineError as error:
                log.warning("campaign: cancelled, and a call may not have been hung up: %s", error)
                return
            if outcome.result in ("answered", "voicemail"):
                waiting.note(outcome.result, outcome.reason, outcome.answered_by, started_at)
                await self._done(waiting.place, waiting.ended(outcome=outcome))

    def _fail(self, error: CallEngineError) -> None:
        """No call can succeed: the first error is the campaign's."""
        self._failure = self._failure or error
        self._stop()

    # --- telling ----------------------------------------------------------------------------------------------------

    async def _done(self, place: int, result: ContactResult) -> None:
        self._results[place] = attrs.evolve(result, outcome=None)
        self._counts[result.result] += 1
        try:
            answer = None if self._on_result is None else self._on_result(result)
            if inspect.isawaitable(answer):
                await answer
        except Exception:
            log.exception("campaign: the listener %r failed", self._on_result)

    def _tell_progress(self) -> None:
        if self._progress is None:
            return
        done = self._counts.total()
        try:
            self._progress(
                CampaignProgress(total=len(self._results), done=done, live=self._live, counts=dict(self._counts))
            )
        except Exception:
            log.exception("campaign: the listener %r failed", self._progress)
