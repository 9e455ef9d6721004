"""From what both ends noted to figures."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any

import attrs

from benchmarks.calls_per_core.caller import FRAME, Interruption, SimulatedCall, Turn
from benchmarks.calls_per_core.scenario import Scenario
from benchmarks.report import percentile

SAMPLES = 160
"""A frame's."""

MAX_REACTION = 0.020
"""Seconds: the p99 of reaction with which a run has passed."""


@attrs.frozen
class Decision:
    """A fact of the VAD: the frame whose arrival made it knowable, the sample that it speaks of, and when it came."""

    kind: str
    frame: int
    sample: int
    at: float


@attrs.frozen(kw_only=True)
class Run:
    """One run's figures. Times in seconds; lists are what percentiles are taken of."""

    calls: int
    seconds: float
    cpu: float
    """Of the engine's process, per call and second."""
    load: float
    """The part of the engine's core that its process took."""
    others: float
    """The part of that core that others took: with more than a few percent, a run says little."""
    rss: float
    """Bytes a call."""
    providers: float
    """Of the CPU, the scripted providers' part, measured alone."""
    reaction: list[float]
    reaction_in_all: list[float]
    """From the last frame of speech to the first audio, nothing taken off."""
    vad: list[float]
    """From the frame with which the VAD could know something to its saying so; a part of the reaction."""
    barge_in: list[float]
    barge_in_in_all: list[float]
    """From the first frame of speech to the clear, nothing taken off."""
    decision_to_clear: list[float]
    lateness: list[float]
    metronome: list[float]
    underruns: int
    longest_gap: float
    missed: int
    """Answers and clears that did not come, and calls that were lost."""
    generator_lag: list[float]
    generator_load: float
    failures: int
    """Notes of the engine's journals that a provider failed, ended or was replaced."""
    tasks_left: int
    """Tasks of the engine after the calls, beyond those that it had before."""
    sockets_left: int
    """The vendors' WebSockets that were still open then."""
    vendor_lag: list[float]
    """How late the vendors' messages left; part of every reaction. Empty where the providers are scripted."""
    vendor_load: float
    """The part of the load's core that the vendors took."""

    @property
    def passed(self) -> bool:
        """Reaction p99 within its limit, no underrun, nothing missed, no provider failed, nothing left over."""
        wrong = self.underruns or self.missed or self.failures or self.tasks_left or self.sockets_left
        return percentile(self.reaction, 99) < MAX_REACTION and not wrong

    def figures(self) -> dict[str, Any]:
        """For a JSON file: lists as their count and percentiles."""
        return {
            name: _summary(value) if isinstance(value, list) else value
            for name, value in [*attrs.asdict(self).items(), ("passed", self.passed)]
        }


def _summary(values: list[float]) -> dict[str, float | None]:
    shares = {f"p{percent}": percentile(values, percent) for percent in (50, 99, 100)}
    return {"count": len(values), **{name: None if math.isnan(value) else value for name, value in shares.items()}}


def reactions(call: SimulatedCall, decisions: list[Decision], scenario: Scenario, since: float) -> list[float]:
    """Of each turn answered since then: from the frame with which the VAD could know that the caller had finished, to
    the first audio, without the providers' scripted delay."""
    found = []
    for turn in call.notes.turns:
        if turn.answered_at >= since and (told := _stop_of(turn, decisions, call)) is not None:
            found.append(turn.answered_at - call.notes.sent_at[told.frame - 1] - scenario.provider_delay)
    return found


def _stop_of(turn: Turn, decisions: list[Decision], call: SimulatedCall) -> Decision | None:
    """The end of speech that this was the answer to: the last one that was known before the answer."""
    reached = bisect_left(call.notes.sent_at, turn.answered_at)
    stops = [d for d in decisions if d.kind == "stopped" and turn.first_frame <= d.frame <= reached]
    return stops[-1] if stops else None


def barge_ins(call: SimulatedCall, decisions: list[Decision], scenario: Scenario, since: float) -> list[float]:
    """Of each interruption cleared since then: how much later the clear came than it was due.

    It is due ``min_interruption`` after the sample at which the VAD found the onset, and not before the frame with
    which it could.
    """
    found = []
    for interruption in call.notes.interruptions:
        onset = _onset_of(interruption, decisions)
        if interruption.cleared_at >= since and onset is not None:
            spoken = _spoken_at(call, onset.sample)
            due = max(spoken + scenario.min_interruption, call.notes.sent_at[onset.frame - 1])
            found.append(interruption.cleared_at - due)
    return found


def _onset_of(interruption: Interruption, decisions: list[Decision]) -> Decision | None:
    return next((d for d in decisions if d.kind == "started" and d.frame >= interruption.first_frame), None)


def _spoken_at(call: SimulatedCall, sample: int) -> float:
    """When a sample was spoken: a frame leaves when its last sample was."""
    frame = sample // SAMPLES + 1
    return call.notes.sent_at[frame - 1] - (frame * SAMPLES - sample) / SAMPLES * FRAME


def decisions_of(raw: list[tuple[str, int, int, float]]) -> list[Decision]:
    """What the engine's process noted of one call."""
    return [Decision(kind, -(-position // SAMPLES), sample, at) for kind, position, sample, at in raw]


def evaluate(
    calls: list[SimulatedCall],
    scenario: Scenario,
    *,
    since: float,
    ready: dict[str, Any],
    begin: dict[str, Any],
    end: dict[str, Any],
    others: float,
    lag: list[float],
    generator_load: float,
    left: dict[str, Any],
    vendors: dict[str, Any],
) -> Run:
    """The figures of the time since ``since``, from this end's notes and the other processes' answers."""
    decisions = {call.call_id: decisions_of(end["decisions"].get(call.call_id, [])) for call in calls}
    seconds = end["wall"] - begin["wall"]
    cpu = end["cpu"] - begin["cpu"]
    gaps = [gap for call in calls for at, gap in call.notes.gaps if at >= since]
    return Run(
        calls=len(calls),
        seconds=seconds,
        cpu=cpu / seconds / max(1, len(calls)),
        load=cpu / seconds,
        others=others,
        rss=(end["rss"] - ready["rss"]) / max(1, len(calls)),
        providers=ready["providers"],
        reaction=[r for call in calls for r in reactions(call, decisions[call.call_id], scenario, since)],
        reaction_in_all=[
            turn.answered_at - call.notes.sent_at[turn.last_frame - 1]
            for call in calls
            for turn in call.notes.turns
            if turn.answered_at >= since
        ],
        vad=[
            decision.at - call.notes.sent_at[decision.frame - 1]
            for call in calls
            for decision in decisions[call.call_id]
            if decision.at >= since
        ],
        barge_in=[b for call in calls for b in barge_ins(call, decisions[call.call_id], scenario, since)],
        barge_in_in_all=[
            cut.cleared_at - call.notes.sent_at[cut.first_frame - 1] + FRAME
            for call in calls
            for cut in call.notes.interruptions
            if cut.cleared_at >= since
        ],
        decision_to_clear=end["decision_to_clear"],
        lateness=[late for call in calls for at, late in call.notes.lateness if at >= since],
        metronome=end["metronome"],
        underruns=len(gaps),
        longest_gap=max(gaps, default=0.0),
        missed=sum(at >= since for call in calls for at in call.notes.missed)
        + sum(call.notes.lost for call in calls)
        + max(0, len(calls) - end["calls"]),
        generator_lag=lag,
        generator_load=generator_load,
        failures=end["failures"],
        tasks_left=left["tasks"],
        sockets_left=vendors["sockets"],
        vendor_lag=vendors["lag"],
        vendor_load=vendors["cpu"] / seconds,
    )
