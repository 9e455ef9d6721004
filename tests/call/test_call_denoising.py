"""Noise suppression in a call: who is configured runs, all that listens hears it, and one that fails costs nothing."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest

from callengine import Agent, Clip
from callengine.audio.convert import from_pcm, to_pcm
from callengine.journal import JournalSettings
from callengine.providers.denoise import WebRtcDenoiser
from callengine.testing.caller import recording
from callengine.testing.carrier import CarrierSettings
from callengine.testing.demo.line import NoisyLine

CALLERS = Path(__file__).parents[1] / "data" / "callers"
QUESTION = "A table for two, please."
GREETING = "Hello!"
WIDEBAND = CarrierSettings(kind="audiosocket", options={"rate": 16_000})


@attrs.define(eq=False)
class Mirror:
    """A denoiser for a line that turns every sample upside down: nobody is understood there without it."""

    fails_at: int | None = None
    """The frame, of each call, at which it fails."""
    returns: object = None
    """What it then returns; None: it raises."""
    frames: list[list[int]] = attrs.field(factory=list)
    """The lengths that it was given, by call."""
    rates: list[int] = attrs.field(factory=list)

    def open(self, sample_rate):
        self.rates.append(sample_rate)
        self.frames.append([])
        return _MirrorSession(self, self.frames[-1])


@attrs.define(eq=False)
class _MirrorSession:
    mirror: Mirror
    frames: list[int]

    def process(self, audio):
        self.frames.append(len(audio))
        if len(self.frames) - 1 == self.mirror.fails_at:
            if self.mirror.returns is None:
                raise ValueError("no such noise")
            return self.mirror.returns
        return -audio


class NotThere:
    def open(self, sample_rate):
        raise OSError(f"no library for {sample_rate} Hz")


def upside_down(due: float, frame: bytes) -> bytes:
    return from_pcm(-to_pcm(frame, "mulaw"), "mulaw")


def switched_off(call) -> list[str]:
    decisions = call.journal.of("decision")
    return [each.data["reason"] for each in decisions if each.data["what"] == "go on without the denoiser"]


async def ask(caller) -> None:
    await caller.hears(GREETING)
    await caller.waits(1.2)
    await caller.says(QUESTION)


# --- it runs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aec", ["off", "auto"])
async def test_what_listens_hears_the_caller_through_the_denoiser_that_is_configured(call_lab, aec):
    """Given a line that nobody is understood on, when the denoiser repairs it, then the caller is understood and
    answered: every frame of him has gone through it, in 20 ms."""
    call_lab.llm.replies("Yes.")
    mirror = Mirror()
    agent = Agent(greeting=GREETING, denoiser=mirror, aec=aec)
    async with call_lab.dial(agent, real={"aec"} if aec != "off" else ()) as caller:
        caller.leg.background = upside_down
        await ask(caller)
        await caller.hears("Yes.")
        assert sum(mirror.frames[0]) == call_lab.call._line._ring.end
    assert call_lab.stt.heard == [QUESTION]
    assert mirror.rates == [8000]
    assert set(mirror.frames[0]) == {160}
    assert switched_off(call_lab.call) == []
    call_lab.assert_nothing_left()


async def test_without_it_nobody_is_understood_on_that_line(call_lab):
    """The same line, to show that it is the denoiser."""
    async with call_lab.dial(Agent(greeting=GREETING)) as caller:
        caller.leg.background = upside_down
        await ask(caller)
        await caller.waits(2)
    assert call_lab.stt.heard != [QUESTION]


async def test_the_vad_hears_through_it_too(call_lab):
    """Given a denoiser that takes everything for noise, when the caller speaks, then nobody has spoken."""

    class Deaf:
        def open(self, _):
            return self

        def process(self, audio):
            return np.zeros_like(audio)

    async with call_lab.dial(Agent(greeting=GREETING, denoiser=Deaf())) as caller:
        await ask(caller)
        await caller.waits(2)
    assert call_lab.call.journal.of("speech.started") == []


async def test_a_recording_has_the_line_as_it_was(call_lab):
    call_lab.llm.replies("Yes.")
    line: list[bytes] = []

    def tap(due: float, frame: bytes) -> bytes:
        line.append(upside_down(due, frame))
        return line[-1]

    journal = JournalSettings(audio=True)
    async with (
        call_lab.engine(Agent(greeting=GREETING, denoiser=Mirror()), journal=journal) as engine,
        engine.events() as records,
        call_lab.dial(engine) as caller,
    ):
        caller.leg.background = tap
        await ask(caller)
        await caller.waits(2)
        await caller.hangs_up()
        recorded, encoding = b"", ""
        async for record in records:
            if record.kind == "call.started":
                encoding = record.data["encoding"]
            if record.kind == "media.received":
                recorded += record.data["audio"]
            if record.kind == "call.ended":
                break
    assert call_lab.stt.heard == [QUESTION]
    said = to_pcm(b"".join(line[:150]), "mulaw")
    assert np.abs(said).max() > 1000
    assert said.tobytes() in to_pcm(recorded, encoding).tobytes()


async def test_each_call_has_a_session_of_its_own(call_lab):
    mirror = Mirror()
    async with call_lab.engine(Agent(greeting=GREETING, denoiser=mirror)) as engine:
        async with call_lab.dial(engine) as one, call_lab.dial(engine) as other:
            for caller in (one, other):
                caller.leg.background = upside_down
            await one.hears(GREETING)
            await other.waits(1)
    assert len(mirror.frames) == 2
    assert min(map(len, mirror.frames)) > 40


async def test_wideband_calls_have_it_at_their_rate(call_lab):
    """A frame is 20 ms there too."""
    mirror = Mirror()
    async with call_lab.dial(Agent(greeting=GREETING, denoiser=mirror), carrier=WIDEBAND) as caller:
        await caller.waits(1)
    assert mirror.rates == [16000]
    assert set(mirror.frames[0]) == {320}


# --- with the rest of a line ----------------------------------------------------------------------------------------


async def speech(call):
    call.result = await call.say(Clip.from_wav(CALLERS / "am_michael_14_long.wav", "a long sentence"))
    await call.listen(timeout=2)


async def test_behind_echo_cancellation_the_agent_does_not_disturb_itself_on_a_noisy_loudspeaker(call_lab):
    agent = Agent(aec="auto", denoiser=WebRtcDenoiser())
    async with call_lab.dial(speech, agent=agent, real={"vad", "aec"}) as caller:
        noise, echo = NoisyLine(noise_dbfs=-45), loudspeaker(caller.leg, delay=0.18, level=-18)
        caller.leg.background = lambda due, frame: noise(due, echo(due, frame))
        await caller.is_hung_up_on()
    assert call_lab.call.result.complete
    assert call_lab.call.journal.of("reply.paused") == []
    assert switched_off(call_lab.call) == []
    call_lab.assert_nothing_left()


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

    return add_echo


async def test_a_noisy_caller_interrupts_through_it(call_lab):
    agent = Agent(aec="auto", denoiser=WebRtcDenoiser())
    async with call_lab.dial(speech, agent=agent, real={"vad", "aec"}) as caller:
        caller.leg.background = NoisyLine(noise_dbfs=-45)
        await caller.interrupts(CALLERS / "af_nova_34_cut.wav", after=3, text="Sorry, actually, make it six people.")
        await caller.is_hung_up_on()
    cut = call_lab.call.journal.of("barge_in")[0]
    spoke = next(r for r in call_lab.call.journal if r.kind == "reply.audible").t + 3
    assert spoke < cut.t < spoke + 1.6


async def test_what_the_recogniser_gets_has_less_noise_in_it(call_lab):
    """Given a noisy line, when the noise is known, then what is heard between the words is 10 dB more quiet, and the
    words are as loud."""
    heard = {}
    for denoiser in (None, WebRtcDenoiser("high")):
        async with call_lab.dial(Agent(greeting=GREETING, denoiser=denoiser)) as caller:
            caller.leg.background = NoisyLine(noise_dbfs=-45)
            await caller.waits(3)
            caller.leg.speak(recording(CALLERS / "am_michael_14_long.wav"))
            await caller.waits(3)
            ring = call_lab.call._line._ring
            heard[denoiser] = ring.read(ring.start, ring.end)
    without, cleaned = heard.values()
    noise, voice = slice(2 * 8000, round(2.9 * 8000)), slice(round(3.2 * 8000), 6 * 8000)
    assert level(without[noise]) - level(cleaned[noise]) > 10
    assert level(without[voice]) - level(cleaned[voice]) < 2


def level(pcm) -> float:
    return 10 * np.log10(np.mean(pcm.astype(np.float64) ** 2))


# --- when it fails --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("denoiser", "reason"),
    [
        (NotThere(), "OSError: no library for 8000 Hz"),
        (Mirror(fails_at=0), "ValueError: no such noise"),
        (Mirror(fails_at=0, returns=np.zeros(80, np.int16)), "AudioError: a denoiser has to return 160 samples"),
        (Mirror(fails_at=0, returns=np.zeros(160, np.float32)), "AudioError: a denoiser has to return 160 samples"),
        (Mirror(fails_at=0, returns=b"no samples"), "AudioError: a denoiser has to return 160 samples"),
    ],
    ids=["cannot be opened", "raises", "shortens a frame", "changes its type", "returns something else"],
)
async def test_one_that_fails_is_switched_off_and_the_call_goes_on(call_lab, caplog, denoiser, reason):
    """Given a line that needs none, when the denoiser fails, then the caller is heard as he is from there on."""
    call_lab.llm.replies("Yes.")
    async with call_lab.dial(Agent(greeting=GREETING, denoiser=denoiser)) as caller:
        await ask(caller)
        await caller.hears("Yes.")
    assert call_lab.stt.heard == [QUESTION]
    assert call_lab.outcomes[0].ended_by == "caller"
    assert [each[: len(reason)] for each in switched_off(call_lab.call)] == [reason]
    assert [r.levelname for r in caplog.records if "without its denoiser" in r.message] == ["WARNING"]
    call_lab.assert_nothing_left()


async def test_the_frame_at_which_it_fails_is_heard_as_it_was(call_lab):
    """Given a denoiser that dies in the middle of the caller's words, when the line is whole without it, then none of
    his audio is missing: the ring has every frame."""
    mirror = Mirror(fails_at=100)
    async with call_lab.dial(Agent(greeting=GREETING, denoiser=mirror)) as caller:
        await caller.waits(3)
        ring = call_lab.call._line._ring
        assert len(mirror.frames[0]) == 101
        assert ring.end >= 3 * 8000 - 160


async def test_one_call_s_failure_is_not_the_next_one_s(call_lab):
    mirror = Mirror(fails_at=10)
    async with call_lab.engine(Agent(greeting=GREETING, denoiser=mirror)) as engine:
        for _ in range(2):
            async with call_lab.dial(engine) as caller:
                await caller.waits(1)
    assert len(call_lab.calls) == 2
    assert [len(frames) for frames in mirror.frames] == [11, 11]
    assert all(len(switched_off(call)) == 1 for call in call_lab.calls)
