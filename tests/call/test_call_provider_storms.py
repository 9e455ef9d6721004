"""Calls with real adapters in bad weather: whatever goes wrong at whatever time, the call goes on with words, or ends
with a reason, and leaves nothing."""

from __future__ import annotations

import logging
import random
from contextlib import suppress
from itertools import pairwise

import pytest
import trio

from callengine import Agent, CallSettings
from callengine.providers.llm.anthropic import Anthropic
from callengine.providers.llm.openai_responses import OpenAIResponses
from callengine.providers.stt.deepgram import Deepgram
from callengine.providers.stt.soniox import Soniox
from callengine.providers.tts.cartesia import Cartesia
from callengine.providers.tts.elevenlabs_http import ElevenLabsHttp
from callengine.testing import CallLab
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.anthropic import FakeAnthropic
from callengine.testing.vendors.cartesia import FakeCartesia
from callengine.testing.vendors.deepgram import FakeDeepgram
from callengine.testing.vendors.elevenlabs import FakeElevenLabs
from callengine.testing.vendors.openai_responses import FakeOpenAIResponses
from callengine.testing.vendors.soniox import FakeSoniox
from callengine.testing.virtual import run_virtual, seed_scheduler

GREETING = "Good evening, how can I help?"
QUESTIONS = ("A table for four at eight, please.", "Is it by the window?", "And what is the price?", "Well, book it.")
ANSWER = "Yes, that is so. We would be glad to have you here."
SETTINGS = CallSettings(reply_budget=4.0, audio_stall=2.0, text_stall=2.0)

SILENCE = 17.0
"""Seconds of silence at most while somebody should speak: a reply's budget, the apology's, and the 10 s after which a
caller of whom nothing was understood is taken to be silent."""

VOICELESS = 20.0
"""The same where no voice is left: the budgets of the three replies after which the call is given up, what they waited
for, and the caller's own words."""

STORMS = 100


class Weather:
    """Six vendors, two a role, and the agent whose chains they are."""

    def __init__(self, lab: CallLab) -> None:
        words = lab.vocabulary
        self.ears = [FakeDeepgram(words), FakeSoniox(words)]
        self.minds = [FakeOpenAIResponses(words), FakeAnthropic(words)]
        self.voices = [FakeElevenLabs(words), FakeCartesia(words)]
        self.vendors = [*self.ears, *self.minds, *self.voices]
        for mind in self.minds:
            for _ in range(60):
                mind.replies(ANSWER)
            mind.faults.chunk_delay = 0.02
        for voice in self.voices:
            voice.faults.chunk_delay = 0.05
        keys = [vendor.key for vendor in self.vendors]
        self.agent = Agent(
            prompt="You take bookings.",
            greeting=GREETING,
            thinking=(),
            hedged=("llm", "tts"),
            stt=[Deepgram(api_key=keys[0]), Soniox(api_key=keys[1])],
            llm=[OpenAIResponses(api_key=keys[2]), Anthropic(api_key=keys[3])],
            tts=[ElevenLabsHttp(api_key=keys[4]), Cartesia(api_key=keys[5])],
        )

    async def storm(self, draw: random.Random) -> None:
        """Something goes wrong every second or so, and some of it passes."""
        while True:
            await trio.sleep(draw.expovariate(1.0))
            vendor = draw.choice(self.vendors)
            match draw.choice(
                ("break", "break", "mute", "refuse", "key", "unreachable", "late", "mid", "stall", "fair")
            ):
                case "break":
                    vendor.break_all()
                case "mute":
                    vendor.faults.mute = True
                case "refuse":
                    vendor.refuse(draw.choice((429, 500, 503)), "sorry", times=draw.randint(1, 3))
                case "key":
                    vendor.refuse(401, "no such key")
                case "unreachable":
                    vendor.faults.unreachable = draw.randint(1, 4)
                case "late":
                    vendor.faults.connect_delay = vendor.faults.answer_delay = draw.uniform(0.0, 1.5)
                case "mid":
                    vendor.faults.break_after = draw.randint(0, 20)
                case "stall":
                    vendor.faults.stall_after = draw.randint(0, 20)
                case _:
                    self.clear_up(vendor)

    def clear_up(self, vendor) -> None:
        faults = vendor.faults
        faults.mute, faults.unreachable, faults.break_after, faults.stall_after = False, 0, None, None
        faults.connect_delay = faults.answer_delay = 0.0
        faults.refusals.clear()


async def talk(lab: CallLab, draw: random.Random) -> tuple:
    """A call in bad weather; what became of it."""
    weather = Weather(lab)
    async with in_memory(*weather.vendors) as wire:
        async with lab.dial(weather.agent, wire=wire, settings=SETTINGS) as caller, trio.open_nursery() as nursery:
            nursery.start_soon(weather.storm, draw)
            with suppress(AssertionError):  # it was hung up on
                for question in QUESTIONS:
                    await caller.waits(draw.uniform(0.0, 4.0))
                    await caller.says(question)
                await caller.waits(draw.uniform(0.0, 8.0))
            over_at = trio.current_time()
            said = [(stretch.start, len(stretch.audio) / 8000) for stretch in caller.leg.queue.played(over_at)]
            nursery.cancel_scope.cancel()
        assert not any(vendor.sockets for vendor in weather.vendors)
    lab.assert_nothing_left()
    return lab.call.outcome, said, [(record.t, record.kind) for record in lab.call.journal]


def longest_silence(outcome, said) -> float:
    """Seconds in which neither the agent was heard nor the call over. (The caller's own 2 s a sentence are in it.)"""
    edges = [(outcome.started_at, 0.0), *said, (outcome.ended_at, 0.0)]
    return max(later[0] - sum(sooner) for sooner, later in pairwise(edges))


def unexpected(records: list[logging.LogRecord]) -> list[str]:
    return [record.getMessage() for record in records if record.exc_info or record.levelno >= logging.ERROR]


@pytest.mark.parametrize("block", range(10))
def test_whatever_goes_wrong_the_call_goes_on_or_ends_with_a_reason(block: int, caplog):
    for seed in range(block * STORMS // 10, (block + 1) * STORMS // 10):
        caplog.clear()
        outcome, said, _ = run_virtual(talk, CallLab(), random.Random(seed))
        assert unexpected(caplog.records) == [], f"seed {seed}"
        most = VOICELESS if outcome.reason.startswith("tts: ") else SILENCE
        assert longest_silence(outcome, said) <= most, f"seed {seed}: {outcome.reason}"
        if outcome.ended_by == "failed":
            assert outcome.reason.split(":")[0] in ("stt", "llm", "tts"), f"seed {seed}: {outcome.reason}"
        else:
            assert outcome.ended_by == "caller", f"seed {seed}"


@pytest.mark.parametrize("seed", [3, 14])
def test_the_same_seed_gives_the_same_facts(seed: int):
    one, other = (run_virtual(talk, CallLab(), random.Random(seed)) for _ in range(2))
    assert one == other


STAGES = (0.0, 0.001, 0.1, 0.5, 1.0, 1.8, 2.5, 3.5, 4.2, 4.4, 4.8, 5.5, 7.0)
"""From the handshakes over greeting, question, model and voice to the middle of the answer."""


@pytest.mark.parametrize("after", STAGES)
@pytest.mark.parametrize("hand", ["cancel", "hang up", "drop"])
async def test_a_call_that_ends_at_any_stage_leaves_nothing(call_lab, after: float, hand: str, caplog):
    weather = Weather(call_lab)
    for vendor in weather.vendors:
        vendor.faults.connect_delay = vendor.faults.answer_delay = 0.05
    async with in_memory(*weather.vendors) as wire:
        with trio.move_on_after(after) if hand == "cancel" else trio.CancelScope():
            async with call_lab.dial(weather.agent, wire=wire) as caller:
                if hand == "cancel":
                    await caller.hears(GREETING)
                    await caller.says(QUESTIONS[0])
                    await trio.sleep_forever()
                with trio.move_on_after(after):
                    await caller.hears(GREETING)
                    await caller.says(QUESTIONS[0])
                    await trio.sleep_forever()
                if hand == "hang up":
                    await caller.hangs_up()
                else:
                    caller.drops()
        await trio.sleep(0.5)
        assert not any(vendor.sockets for vendor in weather.vendors)
        assert not any(voice.connections for voice in weather.voices[:1] if after < 1)
    assert not any(vendor.connections for vendor in weather.vendors)
    assert unexpected(caplog.records) == []
    if call_lab.calls:
        call_lab.assert_nothing_left()


def test_storms_differ(caplog):
    """The weather does something: in some storms the call is given up, in others another provider takes over."""
    ends, kinds = set(), set()
    for seed in range(12):
        seed_scheduler(seed)
        outcome, _, facts = run_virtual(talk, CallLab(), random.Random(seed))
        ends.add(outcome.ended_by)
        kinds |= {kind for _, kind in facts}
    assert "caller" in ends
    assert {"provider.failed", "provider.switched", "provider.ready"} <= kinds
