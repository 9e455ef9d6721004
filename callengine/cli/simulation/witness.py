"""The witness of a simulated call: sees what the agent does, tells it, and has the figures at the end."""

from __future__ import annotations

from collections import Counter

import attrs
import trio

from callengine.audio import rms_dbfs
from callengine.cli.simulation.ear import Ear, Utterance
from callengine.cli.simulation.heard import Heard
from callengine.cli.simulation.report import EndedBy, Kind, Report, Summary, count, milliseconds
from callengine.cli.simulation.speech import Understand
from callengine.testing.carrier import Leg
from callengine.testing.side import FRAME

MOST_COMPLAINTS = 20
"""Different complaints that are told one by one."""
_OTHERS = "other complaints"
_WAITING = 100
"""Utterances that may wait for the recogniser; those beyond it are told without words."""


@attrs.define
class _Figures:
    caller_turns: int = 0
    agent_turns: int = 0
    responses: list[float] = attrs.field(factory=list)
    cuts: list[float] = attrs.field(factory=list)
    gaps: list[float] = attrs.field(factory=list)
    clears: int = 0
    thrown_away: float = 0.0
    marks: int = 0
    marks_told: int = 0
    complaints: Counter[str] = attrs.field(factory=Counter)
    failures: list[str] = attrs.field(factory=list)


class Witness:
    """Watches a leg. Without ``understand`` the agent's words are told as so many seconds of audio."""

    def __init__(self, leg: Leg, report: Report, understand: Understand | None = None) -> None:
        self.ear = Ear(leg.queue, self)
        self.heard = Heard()
        self._leg = leg
        self._report = report
        self._understand = understand
        self._figures = _Figures()
        self._seen = self._seen_complaints = self._seen_cleared = self._seen_keys = 0
        self._said_in, self._said = trio.open_memory_channel[Utterance](_WAITING)

    # --- watching -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look every 20 ms, until the leg is over; then tell what is left."""
        while not self._leg.over.is_set():
            self._look(trio.current_time())
            with trio.move_on_after(FRAME):
                await self._leg.over.wait()
        self._look(trio.current_time())
        self.ear.finish(trio.current_time())
        self._said_in.close()

    async def understand(self) -> None:
        """Put what was said into words, until everything was."""
        async for utterance in self._said:
            words = None if self._understand is None else await self._understand(utterance.audio)
            self._tell_said(utterance, words)

    def _look(self, now: float) -> None:
        side = self._leg.side
        for at, kind in side.received[self._seen :]:
            if kind == "mark":
                self._figures.marks += 1
                self.tell("mark", at, "mark")
            elif kind == "clear":
                self._clear(at)
        self._seen = len(side.received)
        for text in side.complaints[self._seen_complaints :]:
            self.complain(text)
        self._seen_complaints = len(side.complaints)
        keys = len(side.pressed)
        if keys > self._seen_keys:
            self.tell(
                "agent presses",
                now,
                f"agent presses {count(keys - self._seen_keys, 'key')}",
                keys=keys - self._seen_keys,
            )
            self._seen_keys = keys
        self.ear.listen(now)

    def _clear(self, at: float) -> None:
        cleared = self._leg.queue.cleared[self._seen_cleared :]
        self._seen_cleared += len(cleared)
        seconds = sum(len(audio) for _, audio in cleared) / 8000
        self._figures.clears += 1
        self._figures.thrown_away += seconds
        self.ear.cleared(at)
        self.tell("clear", at, f"clear: {seconds:.2f} s of audio thrown away", thrown_away=seconds)

    # --- what the caller does -----------------------------------------------------------------------------------------

    def caller_speaks(self, at: float, what: str) -> None:
        """The caller becomes audible."""
        self.ear.listen(trio.current_time())
        cuts_in = self.ear.speaking_since is not None
        self.ear.caller_speaks(at)
        self._figures.caller_turns += 1
        self.tell("caller speaks", at, f"caller{' cuts in' if cuts_in else ''}: {what}", cuts_in=cuts_in, what=what)

    def caller_spoke(self, at: float) -> None:
        """The caller has fallen silent."""
        self.ear.listen(trio.current_time())
        self.ear.caller_spoke(at)
        self.tell("caller spoke", at, "caller is silent")

    # --- what is heard (see `EarEvents`) ------------------------------------------------------------------------------

    def agent_speaks(self, at: float, response: float | None) -> None:
        if response is not None:
            self._figures.responses.append(response)
        self.tell("agent speaks", at, "agent speaks" + _behind(response), response=response)

    def agent_spoke(self, utterance: Utterance) -> None:
        self._figures.agent_turns += 1
        if utterance.cut_after is not None:
            self._figures.cuts.append(utterance.cut_after)
        try:
            self._said_in.send_nowait(utterance)
        except trio.WouldBlock:
            self._tell_said(utterance, None)

    def gap(self, at: float, seconds: float) -> None:
        self._figures.gaps.append(seconds)
        self.tell("gap", at, f"gap: {milliseconds(seconds)} ms of audio missing", seconds=seconds)

    # --- telling ------------------------------------------------------------------------------------------------------

    def tell(self, kind: Kind, at: float, text: str, **data: object) -> None:
        """Tell something; ``at`` is a time of the clock."""
        self._report.tell(kind, at - self._leg.started_at, text, **data)

    def complain(self, text: str) -> None:
        """The carrier would complain."""
        complaints = self._figures.complaints
        if text not in complaints and len(complaints) >= MOST_COMPLAINTS:
            text = _OTHERS
        complaints[text] += 1
        if complaints[text] == 1:
            self.tell("complaint", trio.current_time(), f"PROTOCOL: {text}", complaint=text)

    def fail(self, text: str) -> None:
        """The script waited in vain."""
        self._figures.failures.append(text)
        self.tell("script", trio.current_time(), f"SCRIPT: {text}", failed=True)

    def _tell_said(self, utterance: Utterance, words: str | None) -> None:
        seconds, level = utterance.ended - utterance.began, rms_dbfs(utterance.pcm)
        said = f'"{words}"' if words else "audio"
        text = f"agent: {said}  ({seconds:.1f} s, {level:.0f} dBFS{_behind(utterance.response)}"
        if utterance.cut_after is not None:
            text += f", silent {milliseconds(utterance.cut_after)} ms after the caller cut in"
        marks = self._figures.marks - self._figures.marks_told
        self._figures.marks_told += marks
        self.tell(
            "agent says",
            utterance.began,
            text + (f", {count(marks, 'mark')})" if marks else ")"),
            words=words,
            until=utterance.ended - self._leg.started_at,
            dbfs=level,
            response=utterance.response,
            cut_after=utterance.cut_after,
        )
        self.heard.add(words or "")

    def summary(self, ended_by: EndedBy, ended: str) -> Summary:
        """The call in figures, now that it is over."""
        figures = self._figures
        return Summary(
            duration=trio.current_time() - self._leg.started_at,
            ended=ended,
            ended_by=ended_by,
            caller_turns=figures.caller_turns,
            agent_turns=figures.agent_turns,
            responses=tuple(figures.responses),
            cuts=tuple(figures.cuts),
            gaps=tuple(figures.gaps),
            clears=figures.clears,
            thrown_away=figures.thrown_away,
            marks=figures.marks,
            complaints=tuple(figures.complaints.items()),
            failures=tuple(figures.failures),
        )


def _behind(response: float | None) -> str:
    return "" if response is None else f", {milliseconds(response)} ms after the caller"
