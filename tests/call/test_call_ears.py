"""Echo cancellation in a call: the agent does not interrupt itself on a loudspeaker, and callers still do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from callengine import Agent, Clip, ConfigurationError
from callengine.audio.convert import from_pcm, to_pcm
from callengine.audio.format import TELEPHONE
from callengine.call.ears import FarEnd
from callengine.testing.caller import recording

DATA = Path(__file__).parents[1] / "data"
AGENT_VOICE = DATA / "callers" / "am_michael_14_long.wav"
CALLER_VOICE = DATA / "callers" / "af_nova_34_cut.wav"


def loudspeaker(leg, *, delay: float, level: float):
    """The caller's telephone gives the agent's voice back, late and quieter."""

    def add_echo(at: float, frame: bytes) -> bytes:
        echo = np.zeros(len(frame), np.float32)
        for stretch in leg.queue.played(at):
            offset = round((stretch.start + delay - (at - 0.02)) * 8000)
            if -len(stretch.audio) < offset < len(frame):
                pcm = to_pcm(stretch.audio, "mulaw")[max(0, -offset) : len(frame) - offset]
                echo[max(0, offset) : max(0, offset) + len(pcm)] += pcm
        mixed = to_pcm(frame, "mulaw") + echo * 10 ** (level / 20)
        return from_pcm(np.clip(mixed, -32768, 32767).astype(np.int16), "mulaw")

    leg.background = add_echo


async def speech(call):
    """Says one long recording; the result is what the caller let it say."""
    call.result = await call.say(Clip.from_wav(AGENT_VOICE, "a long sentence"))
    await call.listen(timeout=2)


@pytest.mark.parametrize(("aec", "undisturbed"), [("auto", True), ("on", True), ("off", False)])
async def test_the_agents_own_voice_disturbs_it_only_without_echo_cancellation(call_lab, aec, undisturbed):
    agent = Agent(aec=aec)
    async with call_lab.dial(speech, agent=agent, real={"vad", "aec"}) as caller:
        loudspeaker(caller.leg, delay=0.18, level=-18)
        await caller.is_hung_up_on()
    assert call_lab.call.result.complete
    assert (not call_lab.call.journal.of("reply.paused")) is undisturbed
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("aec", ["auto", "on", "off"])
async def test_a_caller_interrupts_with_or_without_it(call_lab, aec):
    async with call_lab.dial(speech, agent=Agent(aec=aec), real={"vad", "aec"}) as caller:
        if aec != "off":
            loudspeaker(caller.leg, delay=0.18, level=-18)
        await caller.interrupts(CALLER_VOICE, after=3, text="Sorry, actually, make it six people.")
        await caller.is_hung_up_on()
    cut = call_lab.call.journal.of("barge_in")[0]
    spoke = next(r for r in call_lab.call.journal if r.kind == "reply.audible").t + 3
    assert spoke < cut.t < spoke + 1.6
    call_lab.assert_nothing_left()


@pytest.mark.parametrize(("aec", "kept"), [("auto", True), ("off", True), ("on", False)])
async def test_who_interrupts_on_a_line_without_echo_is_heard_as_he_was(call_lab, aec, kept):
    """Auto has found by then that there is no echo; a canceller that runs all the same takes some of the words."""
    async with call_lab.dial(speech, agent=Agent(aec=aec), real={"vad", "aec"}) as caller:
        await caller.interrupts(CALLER_VOICE, after=2, text="Sorry, actually, make it six people.")
        await caller.waits(0.5)
        ring = call_lab.call._line._ring
        heard = from_pcm(ring.read(ring.start, ring.end), "mulaw")
    assert (recording(CALLER_VOICE)[800:8000] in heard) is kept


async def test_auto_says_what_line_it_is(call_lab):
    async with call_lab.dial(speech, agent=Agent(aec="auto"), real={"vad", "aec"}) as caller:
        await caller.waits(3)
        loudspeaker(caller.leg, delay=0.18, level=-18)
        await caller.is_hung_up_on()
    reasons = [r.data["reason"] for r in call_lab.call.journal.of("decision") if r.data["what"] == "echo"]
    assert [reason.split(":")[0] for reason in reasons] == ["no echo on the line", "an echo on the line"]


async def test_auto_leaves_a_line_without_echo_alone_while_the_agent_is_silent(call_lab):
    """What the recogniser gets is the line to the bit, once the agent's tail is over."""
    call_lab.llm.replies("Yes.")
    async with call_lab.dial(Agent(greeting="Hello!"), real={"aec"}) as caller:
        await caller.hears("Hello!")
        await caller.waits(1.2)
        await caller.says("A table for two, please.")
        await caller.hears("Yes.")
    assert call_lab.stt.heard == ["A table for two, please."]


def test_aec_takes_three_words_only():
    with pytest.raises(ConfigurationError, match="aec"):
        Agent(prompt="x", aec="sometimes")


def test_the_far_end_is_what_plays_at_the_time():
    far = FarEnd(TELEPHONE)
    first, second = b"\x10" * 320, b"\x90" * 320
    far.sent(1.0, first)
    far.sent(1.04, second)
    assert not far.frame(0.97, 160).any()
    assert (far.frame(1.03, 160) == np.repeat([to_pcm(b"\x10", "mulaw")[0], to_pcm(b"\x90", "mulaw")[0]], 80)).all()
    assert not far.frame(1.09, 160).any()


def test_what_was_thrown_away_is_no_echo():
    """Given audio that was sent, when the line is cleared, then the reference is silent from there on, and goes on with
    what is sent next."""
    far = FarEnd(TELEPHONE)
    loud = from_pcm(np.full(800, 8000, np.int16), "mulaw")
    far.sent(1.0, loud)
    far.sent(1.1, loud)
    far.cleared(1.05)
    far.sent(1.06, loud)
    frame = far.frame(1.04, 320)
    assert (np.abs(frame[:80]) > 7000).all()
    assert not frame[80:160].any()
    assert (np.abs(frame[160:]) > 7000).all()
