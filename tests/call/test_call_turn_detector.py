"""A turn detector in whole calls: its verdicts move the end of a turn, and its failures nothing else."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from callengine import Agent, CallSettings, Endpointing, ProviderError, TurnSettings
from callengine.call.turn_detection import TurnDetectionSettings
from callengine.providers.turn_detection import SmartTurn
from callengine.testing.scripted import ScriptedTurnDetector

VOICES = Path(__file__).parents[1] / "data" / "callers"
ENDS = Endpointing(mode="fixed", min_delay=0.4, doubt_delay=0.9, max_delay=1.6)
ANSWER = "We have one at eight."


async def end_of_turn(lab, *verdicts, **changes):
    """How long after the caller's last sound his turn ended, and why."""
    detector = ScriptedTurnDetector()
    detector.says(*verdicts)
    agent = Agent(prompt="x", turns=TurnSettings(endpointing=attrs.evolve(ENDS, **changes)), turn_detector=detector)
    lab.llm.replies(ANSWER)
    async with lab.dial(agent) as caller:
        await caller.says("A table for two, please.")
        await caller.hears(ANSWER)
    assert detector.sessions == 0
    lab.assert_nothing_left()
    ended = lab.call.journal.of("turn.ended")[0]
    return ended.t - ended.data["speech_ended"], ended.data["reason"]


@pytest.mark.parametrize(
    ("verdict", "threshold", "waited", "why"),
    [(0.9, 0.5, 0.4, "model 0.90 > 0.5"), (0.3, 0.5, 0.9, "model 0.30 <= 0.5"), (0.3, 0.2, 0.4, "model 0.30 > 0.2")],
)
async def test_a_verdict_moves_the_end_of_the_turn(call_lab, verdict, threshold, waited, why):
    delay, reason = await end_of_turn(call_lab, verdict, threshold=threshold)
    assert delay == pytest.approx(waited, abs=1e-6)
    assert reason.startswith(why)
    (noted,) = call_lab.call.journal.of("turn.verdict")
    assert noted.data["probability"] == verdict


async def test_a_detector_that_fails_is_gone_without(call_lab):
    delay, reason = await end_of_turn(call_lab, ProviderError("scripted", "out of order"))
    assert reason.startswith("finished sentence")
    assert delay == pytest.approx(0.4 + 0.2, abs=1e-6)  # a verdict was waited for
    (failed,) = call_lab.call.journal.of("provider.failed")
    assert failed.data["role"] == "turn_detection"


@pytest.mark.parametrize("silence", [0.16, 0.24])
async def test_when_it_is_asked_is_a_setting_of_the_call(call_lab, silence):
    settings = CallSettings(turn_detection=TurnDetectionSettings(silence=silence))
    agent = Agent(prompt="x", turns=TurnSettings(endpointing=ENDS), turn_detector=ScriptedTurnDetector())
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent, settings=settings) as caller:
        await caller.says("A table for two, please.")
        await caller.hears(ANSWER)
    (verdict,) = call_lab.call.journal.of("turn.verdict")
    silent_since = call_lab.call.journal.of("speech.stopped")[0].data["ended"]
    assert verdict.t == pytest.approx(silent_since + silence + agent.turn_detector.delay, abs=0.02)


async def test_smart_turn_hears_the_end_of_recorded_speech(call_lab):
    await SmartTurn().load(inline=True)  # what the runtime opens once in a process is not left behind by the call
    agent = Agent(prompt="x", turns=TurnSettings(endpointing=ENDS), turn_detector=SmartTurn())
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent, real={"vad"}) as caller:
        await caller.says(VOICES / "am_michael_06_hours.wav", text="What time do you open on Sundays?")
        await caller.hears(ANSWER)
    (verdict,) = call_lab.call.journal.of("turn.verdict")
    assert verdict.data["probability"] > 0.5
    assert call_lab.call.journal.of("turn.ended")[0].data["reason"].startswith("model ")
    call_lab.assert_nothing_left()
