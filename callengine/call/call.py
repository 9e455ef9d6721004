"""One phone call: its life, and what a program can do with it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress
from functools import partial
from math import inf

import attrs
import trio

from callengine.audio.clip import Clip
from callengine.call.commits import Commits
from callengine.call.desk import Desk
from callengine.call.held import PartFailed
from callengine.call.hold import Hold
from callengine.call.in_reply import check_line
from callengine.call.inbox import Inbox
from callengine.call.items import CallerTurn, Item
from callengine.call.line import Line
from callengine.call.parts import CallInfo, CallSetup, Connection
from callengine.call.reply import Speaker
from callengine.call.sender import MarkOutcome
from callengine.call.story import Story, tell
from callengine.call.telephone import Telephone
from callengine.cleanup import single, unless
from callengine.errors import CallEnded, ConfigurationError, ProviderError
from callengine.journal import Journal
from callengine.masking import masked
from callengine.outcome import EndedBy, Outcome
from callengine.records.costs import costs_of
from callengine.records.turns import turns_of
from callengine.turns.entities import EntityKind, Expectation
from callengine.turns.heard import Heard

log = logging.getLogger(__name__)

_CAN_APOLOGISE = ("stt", "llm", "conductor", "desk", "story")
"""Children after whose failure the line can still say so."""

_LONGEST_MESSAGE = 120.0
"""Seconds of a message on an answering machine, its synthesis included: machines stop recording at about that."""

_LOOK = 0.1
"""Seconds between two looks at whether an answering machine still speaks."""

MARK_MARGIN = 2.0
"""Seconds that an application's mark may be late, after everything before it should have been played."""


class Call(Telephone):
    """A phone call. `run` is its life; the other methods are for the program that it runs.

    ``say``, ``listen``, ``mark`` and ``clear`` raise `CallEnded` once the call is over, however it ended; only one
    thing is said at a time, in the order in which it was asked for.
    """

    def __init__(self, connection: Connection, info: CallInfo, setup: CallSetup, journal: Journal) -> None:
        self.id = connection.stream.call_id
        self.stream_id = connection.stream.stream_id
        self.parameters = {**connection.stream.parameters, **info.parameters}
        self.carrier, self.direction = info.carrier, info.direction
        self.caller, self.callee = info.caller, info.callee
        self.came_back = info.came_back
        """Why the caller is back from a transfer; empty where he is not."""
        self.agent = setup.agent
        self.settings = setup.settings
        self.journal = journal
        self.counters: Counter[str] = Counter()
        self.started_at = trio.current_time()
        self.threads = setup.services.story_threads
        """Where plain functions of the user's are run."""
        self.commits = Commits(setup.settings.commit_timeout)
        """Tools that are run to their end whatever becomes of the reply that called them."""
        self._setup = setup
        self._leg = connection.leg
        self._program = trio.CancelScope()
        """Around the program: an answering machine is not for it."""
        self.may_leave: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
        """Waited for before the program's own hang-up."""
        self._handed_over = False
        """Whether the carrier's leg goes on without this call."""
        self._handing_over = False
        self._ended_meanwhile: tuple[EndedBy, str] | None = None
        """How the call would have ended, had it not been about to be handed over."""
        self._verdict: tuple[EndedBy, str] | None = None
        """Why the call says its last words."""
        self._end: tuple[EndedBy, str] | None = None
        self._ended_at = inf
        """Infinity while it goes on."""
        self._ended = trio.Event()
        self._live = trio.CancelScope()
        self._goodbye: str | None = None
        self._leave = trio.Event()
        self._line = Line(connection, setup, journal, self)
        self._hold = Hold(partial(self.speaker.say, interruptible=False))
        self._inbox = Inbox(setup.settings.max_facts, self._line.conductor.post)

    # --- its life ---------------------------------------------------------------------------------------------------

    async def run(self) -> Outcome:
        """Live the call: until somebody ends it, something of it fails beyond repair, or this is cancelled.

        On return nothing of the call is left: no task, no socket, no mark waiter. The socket is closed here.
        """
        self._note_start()
        try:
            async with trio.open_nursery() as nursery:
                self.commits.open(nursery)
                if self._setup.story is not None:
                    nursery.start_soon(self._tell, self._setup.story)
                await self._live_on_the_line()
                if self._setup.story is not None:
                    nursery.cancel_scope.deadline = self._ended_at + self.settings.story_grace
            if nursery.cancel_scope.cancelled_caught:
                self.counters["stories cut off"] += 1
                log.warning("call %s: its story went on for too long after its end, and was cancelled", self.id)
        except* Exception as group:  # a fault of ours ends this call, and no other
            self.failed("call", single(group))
        finally:
            self.finish("drained", "the engine was stopped")
            self._note_wasted_greeting()
            outcome = self.outcome
            self.journal.note("call.ended", ended_by=outcome.ended_by, reason=outcome.reason)
        return outcome

    async def _live_on_the_line(self) -> None:
        try:
            with self._live:
                async with trio.open_nursery() as nursery:
                    async with self._line.joined() as children:
                        for part, child in children.items():
                            nursery.start_soon(self._child, part, child)
                        if self._setup.story is None:
                            nursery.start_soon(self._child, "desk", self._desk)
                        else:
                            nursery.start_soon(self._child, "announcement", self._announce)
                        nursery.start_soon(self._child, "hold", self._hold.run)
                        nursery.start_soon(self._child, "goodbye", self._take_leave)
                        await trio.sleep_forever()
        finally:
            self._ended_at = min(self._ended_at, trio.current_time())  # cancelled, it ends before closing
            self.commits.end()
            polite = self._end is not None and self._end[0] != "caller"
            await self._line.close(polite=polite, handed_over=self._handed_over)
            self.counters += self._line.counters()

    async def _child(self, part: str, run: Callable[[], object]) -> None:
        """Run a child; when it fails, that is the call's reason to end."""
        error: BaseException | None = None
        try:
            await run()  # type: ignore[misc]
        except* Exception as group:
            error = single(group)
        if error is not None:
            await self._failed(part, error)

    async def _failed(self, part: str, error: BaseException) -> None:
        if isinstance(error, PartFailed):
            part, error = error.part, error.error
        if not isinstance(error, ProviderError):
            log.error("call %s: %s failed", self.id, part, exc_info=error)
        reason = str(error) if isinstance(error, ProviderError) else f"{type(error).__name__}: {error}"
        if part in _CAN_APOLOGISE:
            await self.give_up(f"{part}: {reason}")
        else:
            self.finish("failed", f"{part}: {reason}")

    def failed(self, part: str, error: BaseException) -> None:
        """A fault in this part: the call is over, without a word."""
        log.error("call %s: %s failed", self.id, part, exc_info=error)
        self.finish("failed", f"{part}: {type(error).__name__}: {error}")

    async def _desk(self) -> None:
        dialogue = None
        if self._setup.parts.flow is not None:
            dialogue = self._setup.parts.flow.dialogue(today=self._setup.today().date())
        with self._program:
            await Desk(self, self.agent, self._line.writer, dialogue, self._setup.before).run()

    async def _tell(self, story: Story) -> None:
        with self._program:
            await self._child("story", partial(tell, story, self, self._setup.services.story_threads))
            await unless(self._ended, self.may_leave)
            self.finish("agent", "the story ended")

    async def _announce(self) -> None:
        """Tell a story's caller that the call will end; its program need not know."""
        await self._inbox.ends_soon.wait()
        with suppress(ProviderError):
            await self.speaker.say(self.agent.time_warning)

    async def _take_leave(self) -> None:
        await self._leave.wait()
        assert self._goodbye is not None
        await self._say_last(self.agent.goodbye, "agent", self._goodbye)

    def say_goodbye(self, reason: str) -> None:
        """Say goodbye in place of everything else, and end the call."""
        self._goodbye = reason
        self._leave.set()

    def hung_up(self, reason: str) -> None:
        """End the call now, for the agent."""
        self.finish("agent", reason)

    def finish(self, by: EndedBy, reason: str) -> None:
        """The call is over. The first reason counts, and a call that is saying its last words has one already."""
        if self._handing_over:
            self._ended_meanwhile = self._ended_meanwhile or (by, reason)
        elif self._end is None:
            self._end = self._verdict or (by, reason)
            self._ended_at = min(self._ended_at, trio.current_time())
            self._ended.set()
            self._live.cancel()

    async def give_up(self, reason: str) -> None:
        """Say that it is our fault, where that can be said, and end the call as failed."""
        await self._say_last(self.agent.farewell, "failed", reason)

    async def drain(self) -> None:
        """End the call politely, because the engine is going away."""
        await self._say_last(self.agent.drain_notice, "drained", "the engine is shutting down")

    async def _say_last(
        self, words: str | Clip, by: EndedBy, reason: str, *, within: float | None = None
    ) -> Heard | None:
        if self._verdict is not None or self._ended.is_set():
            return None
        heard: Heard | None = None
        self._verdict = (by, reason)
        with trio.move_on_after(within or self.settings.last_words):
            try:
                _, heard = await unless(self._ended, lambda: self.speaker.say_last(words))
            except Exception as error:  # the call ends anyway, and its reason is known
                log.warning("call %s: its last words could not be said: %r", self.id, error)
                self.journal.note("decision", what="end without a word", reason=str(error))
        self.finish(by, reason)
        return heard

    def dismiss_program(self, reason: str) -> None:
        """End the program, but not the call: nobody is there for it to speak to. What it is saying is cut."""
        self.journal.note("decision", what="dismiss the program", reason=reason)
        self._program.cancel()
        self._line.sender.cut("application")

    async def leave_message(self, message: str | Clip) -> bool:
        """Say this, whatever the other side says, and end the call. For answering machines.

        Returns whether all of it was heard.
        """
        reason = "left a message on an answering machine"
        heard = await self._say_last(message, "agent", reason, within=_LONGEST_MESSAGE)
        return heard is not None and heard.complete

    async def caller_silent_for(self, seconds: float) -> None:
        """Wait until the other side has said nothing for so long."""
        silent_since = trio.current_time()
        while trio.current_time() < silent_since + seconds:
            if not self._caller_quiet().is_set():
                await self._caller_quiet().wait()
                silent_since = trio.current_time()
            await trio.sleep(_LOOK)

    def deliver(self, item: Item) -> None:
        """Give the program something to deal with; it never waits."""
        try:
            self._inbox.put(item)
        except trio.WouldBlock:
            self.finish("failed", "overload: the program does not listen")

    def _note_start(self) -> None:
        audio_format = self._line.audio_format
        self.journal.note(
            "call.started",
            call_id=self.id,
            carrier=self.carrier,
            direction=self.direction,
            caller=masked(self.caller),
            callee=masked(self.callee),
            wall_time=self._setup.today().isoformat(timespec="milliseconds"),
            engine_time=self.journal.started_at,
            encoding=audio_format.encoding,
            sample_rate=audio_format.sample_rate,
            agent="story" if self._setup.story is not None else "flow" if self._setup.parts.flow is not None else "llm",
        )

    def _note_wasted_greeting(self) -> None:
        prewarm = self._setup.prewarm
        if prewarm is not None and (wasted := prewarm.wasted) is not None:
            figures = attrs.asdict(wasted, filter=lambda _, value: bool(value))
            self.journal.note("usage.wasted", turn=0, role="tts", **figures)

    def left_behind(self) -> list[str]:
        """What of this call outlived it: empty, or a fault of the engine. For tests and operators."""
        return self._line.sender.left_behind()

    # --- for the program --------------------------------------------------------------------------------------------

    @property
    def masked_caller(self) -> str:
        """The caller's number as it may be written down."""
        return masked(self.caller)

    @property
    def ended(self) -> bool:
        """Whether the call is over."""
        return self._ended.is_set()

    @property
    def outcome(self) -> Outcome:
        """How the call went so far; final once it has ended."""
        ended_by, reason = self._end or ("agent", "the call is going on")
        return Outcome(
            call_id=self.id,
            ended_by=ended_by,
            reason=reason,
            started_at=self.started_at,
            ended_at=min(self._ended_at, trio.current_time()),
            turns=turns_of(self.journal),
            counters=dict(self.counters),
            costs=costs_of(self.journal, self._setup.services.prices),
        )

    @property
    def speaker(self) -> Speaker:
        """What says things on the line; `say` for programs."""
        return self._line.speaker

    async def say(self, what: str | AsyncIterable[str] | Clip, *, interruptible: bool = True) -> Heard:
        """Say text, text as it is being written, or a clip; returns when it was played out or cut.

        The result says what was heard, whether that was everything, and who cut it. Raises `CallEnded`, and
        `ProviderError` when nothing could be said.
        """
        self._check()
        check_line("speak")
        finished, heard = await unless(self._ended, lambda: self.speaker.say(what, interruptible=interruptible))
        if not finished or heard is None:
            raise CallEnded(self.outcome)
        return heard

    async def listen(
        self, timeout: float | None = None, *, partials: Callable[[str], None] | None = None
    ) -> CallerTurn | None:
        """The caller's next turn, or None when he has not begun one within ``timeout`` seconds.

        A turn that ended before, during `say` for example, is returned at once: turns are never lost and never
        returned twice. A caller who is speaking when the time is up is heard out. ``partials`` is called with interim
        transcripts; the engine must have them switched on (``Engine(..., interim=True)``). Raises `CallEnded`.
        """
        self._check()
        check_line("listen")
        if partials is not None and not self._setup.interim:
            raise ConfigurationError(
                "partials need interim transcripts: make the engine with Engine(..., interim=True)"
            )
        conductor = self._line.conductor
        watch = None if partials is None else _PartialWatch(partials)
        conductor.on_partial = watch
        try:
            with trio.CancelScope() if watch is None else watch.scope:
                finished, turn = await unless(self._ended, lambda: self._inbox.next_turn(timeout, self._caller_quiet))
        finally:
            conductor.on_partial = None
        if watch is not None and watch.error is not None:
            raise watch.error
        if not finished:
            raise CallEnded(self.outcome)
        return turn

    def _caller_quiet(self) -> trio.Event:
        return self._line.conductor.caller_quiet

    def part(self, error: ProviderError) -> str:
        """The part of the call that a provider's error is about, for an outcome's reason."""
        for part, recipes in (("llm", self._setup.parts.llm), ("tts", self._setup.parts.tts)):
            if any(error.provider == recipe.name for recipe in recipes):
                return part
        return error.provider

    async def next_item(self) -> Item:
        """What the program has to deal with next."""
        return await self._inbox.next_item()

    async def silent_for(self, seconds: float) -> None:
        """Wait until the agent has said nothing for so long, and neither waited for the caller."""
        since = trio.current_time()
        while trio.current_time() < since + seconds:
            await trio.sleep_until(since + seconds)
            if self._inbox.waiting or self._line.sender.current is not None:
                since = trio.current_time()
            since = max(since, self._line.sender.audible_until, self._inbox.waited_until)

    async def collect_digits(
        self,
        *,
        max_length: int | None = None,
        terminator: str | None = "#",
        timeout: float = 10.0,
        inter_digit: float | None = None,
    ) -> str:
        """What the caller keys in next, in one entry; empty where he keys in nothing within ``timeout`` seconds.

        The entry is over with its ``max_length``-th key, the ``terminator`` (not part of it), or ``inter_digit``
        seconds (None: the agent's) after the last key. Keys that came before they were asked for count. What the caller
        says meanwhile is kept for `listen`. Raises `CallEnded`, and `ConfigurationError` for settings that cannot work.
        """
        self._check()
        check_line("listen")
        usual = self.agent.digits
        settings = attrs.evolve(
            usual,
            max_length=max_length,
            terminator=terminator,
            inter_digit=usual.inter_digit if inter_digit is None else inter_digit,
        )
        conductor = self._line.conductor
        conductor.expect_digits(settings)
        try:
            finished, turn = await unless(
                self._ended, lambda: self._inbox.next_turn(timeout, self._caller_quiet, keyed=True)
            )
        finally:
            conductor.expect_digits(None)
        if not finished:
            raise CallEnded(self.outcome)
        return "" if turn is None else turn.text

    def expect(self, kind: EntityKind, *, length: int | None = None) -> None:
        """Say what the caller will be asked for: he is not interrupted in the middle of it, however long he pauses (up
        to ``Endpointing.entity_delay``). ``length`` is the number of digits or letters, where it is known. It holds
        until his next turn has ended. The engine guesses it from the agent's questions, in English."""
        self._check()
        self._line.conductor.expect(Expectation(kind, length))

    async def mark(self, name: str) -> MarkOutcome:
        """Wait until everything said so far was played: ``played``, ``cleared`` (it was thrown away), or ``lost``.

        "So far" is the audio that is there: not text that is still to be synthesised.
        Lost: the carrier did not say in time, or the call ended first. Raises `CallEnded` when it had ended before.
        """
        self._check()
        sender = self._line.sender
        with sender.mark(name) as mark:
            while not (mark.settled.is_set() or self._ended.is_set()):
                with trio.move_on_after(sender.remaining + MARK_MARGIN):
                    await unless(self._ended, mark.settled.wait)
                if not sender.paused:  # a pause does not count
                    break
            lost = self._ended.is_set() and mark.status == "cleared"  # what the end of a call clears is lost
            status: MarkOutcome = "lost" if lost else mark.status
            self.journal.note("mark", name=name, status=status)
            return status

    def clear(self) -> None:
        """Empty the line: what is being said is cut, as if the caller had interrupted. Raises `CallEnded`."""
        self._check()
        self._line.conductor.interrupt()

    async def hang_up(self, reason: str = "the agent hung up") -> None:
        """End the call. What is still being said is cut: wait for `say` first.

        A call that was dialled with a message for machines ends when it is known that a person answered.
        """
        await unless(self._ended, self.may_leave)
        self.finish("agent", reason)
        await trio.lowlevel.checkpoint()

    def _check(self) -> None:
        if self._ended.is_set():
            raise CallEnded(self.outcome)


class _PartialWatch:
    """A program's function for interim transcripts. What it raises comes out of `Call.listen`."""

    def __init__(self, partials: Callable[[str], None]) -> None:
        self._partials = partials
        self.scope = trio.CancelScope()
        self.error: Exception | None = None

    def __call__(self, text: str) -> None:
        try:
            self._partials(text)
        except Exception as error:
            self.error = self.error or error
            self.scope.cancel()
