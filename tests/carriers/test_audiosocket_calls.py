"""Whole calls by AudioSocket, and how strict its simulated Asterisk is."""

from __future__ import annotations

import numpy as np
import pytest
import trio

from callengine import Agent
from callengine.audio import MULAW
from callengine.audio.clip import Clip
from callengine.carriers.audiosocket import wire
from callengine.errors import ConfigurationError
from callengine.testing.audiosocket import AudioSocketSide
from callengine.testing.carrier import CarrierSettings
from callengine.testing.playout import PlayoutQueue
from callengine.turns.settings import Interruption, TurnSettings

GREETING = "Chez Trio, good evening! How can I help?"
AGENT = Agent(prompt="Be brief.", greeting=GREETING)
CUT = Agent(
    prompt="Be brief.",
    greeting=GREETING,
    turns=TurnSettings(interruption=Interruption(mode="cut", min_duration=0.2, guard=0.0)),
)
BUFFERED = {"jitter_buffer": 0.02}


async def test_a_conversation(call_lab):
    call_lab.llm.replies("We have a table for two at eight. Shall I book it?")
    async with call_lab.dial(AGENT, carrier="audiosocket") as caller:
        await caller.hears("How can I help?")
        await caller.says("A table for two, please.")
        await caller.hears("Shall I book it?")
    greeting, answer = call_lab.call.outcome.turns
    assert (greeting.heard, greeting.certainty) == (GREETING, "marks")
    assert (answer.caller, answer.complete) == ("A table for two, please.", True)
    assert call_lab.call.outcome.ended_by == "caller"


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
async def test_a_channel_of_any_rate_plays_the_same_tone(call_lab, rate):
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype(np.int16)

    async def story(call):
        heard = await call.say(Clip(tone, 24_000, "A tone."))
        assert heard.certainty == "marks"

    async with call_lab.dial(story, carrier=CarrierSettings(kind="audiosocket", options={"rate": rate})) as caller:
        await caller.is_hung_up_on()
        pcm = MULAW.decode(caller.leg.queue.played_audio(trio.current_time())).astype(float)
    assert len(pcm) == pytest.approx(8000, abs=200)
    assert np.abs(np.fft.rfft(pcm, 8000)).argmax() == pytest.approx(440, abs=1)
    assert call_lab.call.outcome.ended_by == "agent"


async def test_frames_come_one_every_20_ms(call_lab):
    async with call_lab.dial(AGENT, carrier="audiosocket") as caller:
        await caller.hears("How can I help?")
        times = [at for at, _ in caller.leg.side.received]
    start = times[0]
    # The last one has only a beginning, whose rest was waited for.
    assert times[:-1] == pytest.approx([start + n * 0.02 for n in range(len(times) - 1)], abs=1e-6)


async def test_an_interruption_is_silence_within_a_frame(call_lab):
    call_lab.llm.replies("Of course.")
    carrier = CarrierSettings(kind="audiosocket", options=BUFFERED)
    async with call_lab.dial(CUT, carrier=carrier) as caller:
        await caller.interrupts("Hello?")
        await caller.hears("Of course.")
        side = caller.leg.side
    (clear,) = call_lab.call.journal.of("clear.sent")
    at = call_lab.call.started_at + clear.t
    times = [time for time, _ in side.received]
    assert not any(at + 1e-6 < time < at + 0.2 for time in times)
    greeting = call_lab.call.outcome.turns[0]
    assert greeting.interrupted_by == "caller"
    assert GREETING.startswith(greeting.heard)
    assert len(greeting.heard) < len(GREETING)


async def test_the_callers_keys_arrive(call_lab):
    pressed = []

    async def story(call):
        await call.say("Your number, please.")
        pressed.append(await call.collect_digits(max_length=2))

    async with call_lab.dial(story, carrier="audiosocket") as caller:
        await caller.hears("please")
        caller.leg.press("4")
        await caller.waits(0.2)
        caller.leg.press("2")
        await caller.waits(1)
    assert [str(keys) for keys in pressed] == ["42"]


@pytest.mark.parametrize("goodbye", [True, False])
async def test_asterisk_hangs_up_with_or_without_a_word(call_lab, goodbye):
    carrier = CarrierSettings(kind="audiosocket", options={"goodbye": goodbye})
    async with call_lab.dial(AGENT, carrier=carrier) as caller:
        await caller.hears("How can I help?")
        await caller.hangs_up()
    assert call_lab.call.outcome.ended_by == "caller"


async def test_the_agent_hangs_up_by_a_message(call_lab):
    async def story(call):
        await call.say("Goodbye.")

    async with call_lab.dial(story, carrier="audiosocket") as caller:
        await caller.hears("Goodbye.")
        await caller.is_hung_up_on()
    assert call_lab.call.outcome.ended_by == "agent"


async def test_the_same_over_a_real_connection(live_call_lab):
    live_call_lab.llm.replies("At eight.")
    async with live_call_lab.dial(Agent(prompt="Be brief.", greeting="Hello!"), carrier="audiosocket") as caller:
        await caller.hears("Hello!")
        await caller.says("When?")
        await caller.hears("At eight.")
    assert live_call_lab.outcomes[-1].turns[1].complete


# --- how strict it is -------------------------------------------------------------------------------------------------


def side(**options) -> AudioSocketSide:
    return AudioSocketSide(*AudioSocketSide.ids(7), PlayoutQueue(), {}, **options)


def test_the_calls_name_is_its_uuid() -> None:
    call_id, stream_id = AudioSocketSide.ids(7)
    assert call_id == stream_id == "00000000-0000-0000-0000-000000000007"
    assert side().opening() == [wire.message(wire.UUID, bytes(15) + b"\7")]


def test_good_frames_are_played() -> None:
    asterisk = side()
    for number in range(50):
        asterisk.take(5 + number * 0.02, wire.message(0x10, bytes(320)))
    assert not asterisk.complaints
    assert asterisk.queue.ends_at == pytest.approx(6.0)
    assert asterisk.queue.gaps == 0


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (wire.message(0x10, bytes(318)), "318 bytes of audio: a frame has 320"),
        (wire.message(0x12, bytes(640)), "a message of kind 0x12: older versions hang up"),
        (wire.message(0x02), "a message of kind 0x02: older versions hang up"),
    ],
)
def test_what_asterisk_would_not_take_is_a_complaint(message, complaint) -> None:
    asterisk = side()
    asterisk.take(1.0, message)
    assert asterisk.complaints == [complaint]
    assert not asterisk.received


def test_audio_ahead_of_its_time_is_a_complaint() -> None:
    asterisk = side()
    for _ in range(4):
        asterisk.take(1.0, wire.message(0x10, bytes(320)))
    assert not asterisk.complaints
    asterisk.take(1.0, wire.message(0x10, bytes(320)))
    assert asterisk.complaints == ["a frame 0.080 s ahead of its time"]


def test_a_jitter_buffer_plays_later() -> None:
    asterisk = side(jitter_buffer=0.05)
    asterisk.take(1.0, wire.message(0x10, bytes(320)))
    assert asterisk.queue.ends_at == pytest.approx(1.07)


def test_a_rate_that_it_does_not_have() -> None:
    with pytest.raises(ConfigurationError, match="11025"):
        side(rate=11_025)


async def test_a_link_that_breaks_and_one_that_stalls(call_lab):
    async with call_lab.dial(AGENT, carrier="audiosocket") as caller:
        await caller.hears("Chez Trio")
        caller.leg._link.stall(0.3)
        began = trio.current_time()
        await caller.hears("How can I help?")
        assert trio.current_time() > began + 0.3
        caller.leg.drop()
        await caller.waits(0.1)
    assert call_lab.call.outcome.ended_by == "caller"
