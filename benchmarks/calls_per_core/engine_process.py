"""The process that is measured: an engine on a core of its own, told by its standard input when to begin and to end.

It answers on its standard output in lines of JSON: ``ready``, then for ``begin`` and ``end`` what it knows of itself.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import trio

from benchmarks.calls_per_core.providers import Llm, Stt, Tts, cost_alone
from benchmarks.calls_per_core.scenario import Scenario
from benchmarks.calls_per_core.voices import ToneVad, agent_voice
from benchmarks.machine import pin, resident
from callengine import Agent, Engine
from callengine.call import line
from callengine.call.call import Call
from callengine.call.vad import VoiceWatch
from callengine.carriers.twilio import Twilio
from callengine.cli.serve import GC_THRESHOLDS
from callengine.ports import LanguageModel, SpeechToText, TextToSpeech
from callengine.providers.llm.openai_compatible import OpenAICompatible
from callengine.providers.stt.deepgram import Deepgram
from callengine.providers.tts.cartesia import Cartesia
from callengine.turns.voice_activity import VoicePaused, VoiceResumed, VoiceStarted, VoiceStopped

PROBE = 0.05
"""Seconds between two looks at how late the metronome is."""

PATIENCE = 5.0
"""Seconds that calls whose line is gone may take to end."""
CLEARED = 0.5
"""Seconds after the last call's end in which all of it is released."""

FAILURES = ("provider.failed", "provider.ended", "provider.switched")
"""Journal notes of providers that did not do what they should."""

DECISIONS: dict[str, list[tuple[str, int, int, float]]] = defaultdict(list)
"""By call: what the VAD decided, at the window that ended at this sample, the sample that it said it of, and when (on
the monotonic clock, which Linux has one of for all processes)."""


class NotedWatch(VoiceWatch):
    """Notes the sample at which a fact could be known: what comes after that is the engine's own time."""

    def _tell(self, fact: VoiceStarted | VoicePaused | VoiceResumed | VoiceStopped, position: int, now: float) -> None:
        decisions = DECISIONS[self._journal.call_id]
        if isinstance(fact, VoiceStarted):
            decisions.append(("started", position, fact.onset, time.monotonic()))
        elif isinstance(fact, VoiceStopped):
            decisions.append(("stopped", position, fact.ended, time.monotonic()))
        super()._tell(fact, position, now)


class Metronome:
    """Asks the engine's metronome for something every so often, and notes how late it comes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.lateness: list[float] = []

    async def run(self) -> None:
        """Until cancelled."""
        metronome = self._engine._run_time().services.metronome
        due = trio.current_time()
        while True:
            due = round((due + PROBE) / metronome.slot) * metronome.slot
            metronome.call_at(due, partial(self._note, due))
            await trio.sleep_until(due + PROBE / 2)

    def _note(self, due: float, now: float) -> None:
        self.lateness.append(now - due)


def make_engine(scenario: Scenario) -> Engine:
    """An engine with scripted providers, on a free loopback port."""
    if scenario.providers == "loopback":
        stt, llm, tts = on_the_wire(scenario.vendors)
    else:
        stt, llm, tts = Stt(scenario), Llm(scenario), Tts(scenario, agent_voice())
    agent = Agent(
        prompt="You take bookings for Chez Trio. Be brief.",
        greeting=scenario.greeting,
        stt=stt,
        llm=llm,
        tts=tts,
        vad=scenario.vad,
        turns=scenario.turns,
        aec=scenario.aec,
    )
    vad = ToneVad() if scenario.speech == "tone" else None
    return Engine(agent, port=0, insecure=True, carriers=(Twilio(),), interim=False, max_calls=2000, vad=vad)


def on_the_wire(vendors: str) -> tuple[SpeechToText, LanguageModel, TextToSpeech]:
    """A provider of each role, at the vendors' address."""
    return (
        Deepgram(api_key="benchmark", base_url=f"ws://{vendors}"),
        OpenAICompatible(f"http://{vendors}/v1", "benchmark"),
        Cartesia(api_key="benchmark", base_url=f"ws://{vendors}"),
    )


def say(what: dict[str, Any]) -> None:
    """To the other process."""
    print(json.dumps(what), flush=True)


def usage() -> dict[str, float]:
    """What this process has used so far."""
    return {"cpu": time.process_time(), "rss": resident(), "wall": time.monotonic()}


async def main(scenario: Scenario) -> None:
    """Serve until the other process says ``quit``, or is gone."""
    logging.basicConfig(level=logging.ERROR)
    engine = make_engine(scenario)
    providers = await cost_alone(scenario) if scenario.providers == "scripted" else 0.0
    with patch.object(line, "VoiceWatch", NotedWatch):
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(partial(engine.serve, signals=False))
            metronome = Metronome(engine)
            nursery.start_soon(metronome.run)
            gc.collect()
            gc.freeze()
            if scenario.gc_threshold:
                gc.set_threshold(scenario.gc_threshold, *GC_THRESHOLDS[1:])
            say({"port": bound[0][1], "providers": providers, **usage()})
            begin, tasks = 0.0, _tasks()
            async for command in _commands():
                if command == "begin":
                    metronome.lateness.clear()
                    begin = trio.current_time()
                    say(usage())
                elif command == "end":
                    say({**usage(), "metronome": metronome.lateness, **_of_calls(engine, begin)})
                elif command == "left":
                    say({"tasks": await _tasks_left(engine) - tasks})
                else:
                    break
            nursery.cancel_scope.cancel()


def _tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def _tasks_left(engine: Engine) -> int:
    """Tasks once all calls have ended, and what a call may take to be cleared away has passed."""
    with trio.move_on_after(PATIENCE):
        while engine.calls:  # noqa: ASYNC110 - nothing tells when the last call has ended
            await trio.sleep(PROBE)
    await trio.sleep(CLEARED)
    return _tasks()


async def _commands() -> Any:
    async with trio.lowlevel.FdStream(sys.stdin.fileno()) as stdin:
        async for data in stdin:
            for command in data.decode().split():
                yield command


def _of_calls(engine: Engine, begin: float) -> dict[str, Any]:
    """What the engine's own books say of the time since ``begin``, and what the VAD decided in all."""
    return {
        "calls": len(engine.calls),
        "decision_to_clear": [took for call in engine.calls for took in _decision_to_clear(call, begin)],
        "underruns": sum(call._line.sender.underruns for call in engine.calls),
        "decisions": DECISIONS,
        "failures": sum(len(call.journal.of(*FAILURES)) for call in engine.calls),
    }


def _decision_to_clear(call: Call, begin: float) -> Iterator[float]:
    decided: float | None = None
    for record in call.journal.of("barge_in", "clear.sent"):
        if record.kind == "barge_in":
            decided = record.t
        elif decided is not None:
            if call.journal.started_at + decided >= begin:
                yield record.t - decided
            decided = None


if __name__ == "__main__":
    pin(int(sys.argv[1]))
    trio.run(main, Scenario.from_json(sys.argv[2]))
