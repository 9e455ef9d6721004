"""Every public setting of a call changes what it says it changes."""

from __future__ import annotations

import datetime
import logging
from contextlib import AsyncExitStack
from math import inf

import attrs
import numpy as np
import pytest
import trio
from lab_calls import CLOUD, decisions, until

from callengine import Agent, Engine
from callengine.brain.flows.message import message_flow
from callengine.call.settings import CallSettings, SenderSettings
from callengine.errors import ConfigurationError
from callengine.journal import JournalSettings, read_journal
from callengine.server.host import Offer
from callengine.telephony import IncomingCall, Refuse
from callengine.testing import CarrierSettings
from callengine.testing.accounts import recipes
from callengine.testing.carrier import Leg
from callengine.testing.link import MemoryLink
from callengine.testing.playout import PlayoutQueue
from callengine.testing.scripted import EnergyVad
from callengine.testing.twilio import TwilioSide
from callengine.turns.settings import Interruption, TurnSettings
from callengine.turns.voice_activity import VadSettings

HELLO = Agent(prompt="Be brief.", greeting="Hello there.")
QUESTION = "A table for two, please."
LONG = "One two three four five six seven eight nine ten eleven twelve."


def noise(seconds: float) -> bytes:
    return b"\x20\xa0" * int(seconds * 4000)


@pytest.mark.parametrize("settings", [CallSettings, SenderSettings])
def test_settings_out_of_range_are_refused_by_name(settings):
    for field in attrs.fields(settings):
        if field.name not in ("sender", "turn_detection", "duck_gain"):
            for value in (0, -1):
                with pytest.raises(ConfigurationError, match=f"{field.name} is {value}: give a number above 0"):
                    settings(**{field.name: value})


@pytest.mark.parametrize("gain", [0, 3.0])
def test_ducking_makes_quieter(gain):
    with pytest.raises(ConfigurationError, match=f"duck_gain is {gain}: give a number of dB below 0"):
        SenderSettings(duck_gain=gain)


# --- CallSettings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ring", "kept"), [(30.0, "first second third fourth"), (1.6, "fourth")])
async def test_ring(call_lab, ring, kept):
    """A recogniser that comes late finds as much of the utterance as is remembered."""
    call_lab.stt.open_delay = 2.5
    call_lab.llm.replies("Yes.")
    async with call_lab.dial(Agent(prompt="x"), settings=CallSettings(ring=ring)) as caller:
        await caller.says("first second third fourth")
        await caller.hears("Yes.")
    assert call_lab.stt.heard == [kept]
    lost = call_lab.call.outcome.counters.get("caller's samples lost to the recogniser", 0)
    assert (lost > 0) == (ring < 30)
    call_lab.assert_nothing_left()


class _StubbornSocket:
    """A media socket whose close handshake is never answered."""

    def __init__(self, socket):
        self._socket = socket
        self.closed_at = inf

    def __getattr__(self, name):
        return getattr(self._socket, name)

    async def aclose(self, *_):
        await trio.sleep_forever()

    def close_nowait(self):
        self.closed_at = trio.current_time()
        self._socket.close_nowait()


def _stubborn_twilio() -> tuple[Leg, _StubbornSocket]:
    link = MemoryLink(0.0)
    side = TwilioSide("CA" + "1" * 32, "MZ" + "1" * 32, PlayoutQueue(), {})
    return Leg(link, side, CarrierSettings()), _StubbornSocket(link.socket)


@pytest.mark.carrier("twilio")
@pytest.mark.parametrize(("who", "takes"), [("caller", 0.1), ("agent", 2.0)])
async def test_cleanup_and_goodbye_bound_the_close(call_lab, who, takes):
    """``cleanup`` when the carrier's leg is gone, ``goodbye`` when it is ours to say goodbye."""

    async def story(call):
        await trio.sleep(1)
        if who == "agent":
            await call.hang_up()
        else:
            await call.listen()

    leg, socket = _stubborn_twilio()
    settings = CallSettings(cleanup=0.1, goodbye=2.0, story_grace=10.0)
    async with call_lab.engine(story, settings=settings) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(leg.run)
        if who == "caller":

            async def hang_up():
                await trio.sleep(1)
                leg.hang_up()

            nursery.start_soon(hang_up)
        outcome = await engine.take(Offer(carrier="twilio"), "twilio", socket)
        nursery.cancel_scope.cancel()
    assert outcome.ended_by == who
    assert socket.closed_at == pytest.approx(outcome.ended_at + takes, abs=1e-6)
    call_lab.assert_nothing_left()


@pytest.mark.carrier("twilio")
async def test_cleanup_bounds_a_stop_of_the_engine(call_lab):
    """What the socket's close takes of it, the listeners of the call's end have no more."""
    told = []

    async def listener(outcome):
        told.append(outcome)
        await trio.sleep_forever()

    leg, socket = _stubborn_twilio()
    with trio.CancelScope() as scope:
        async with call_lab.engine(HELLO, settings=CallSettings(cleanup=0.1)) as engine, trio.open_nursery() as nursery:
            engine.on_call_end(listener)
            nursery.start_soon(leg.run)
            nursery.start_soon(engine.take, Offer(carrier="twilio"), "twilio", socket)
            await trio.sleep(1)
            stopped_at = trio.current_time()
            scope.cancel()
    assert trio.current_time() == pytest.approx(stopped_at + 0.1)
    assert socket.closed_at == pytest.approx(stopped_at + 0.1)
    assert [outcome.ended_at for outcome in told] == [stopped_at]
    call_lab.assert_nothing_left()


@pytest.mark.parametrize(("last_words", "whole"), [(10.0, True), (1.0, False)])
async def test_last_words(call_lab, last_words, whole):
    call_lab.stt.refuses(fault="fatal")
    async with call_lab.dial(HELLO, settings=CallSettings(last_words=last_words)) as caller:
        await caller.is_hung_up_on()
    assert (caller.heard == HELLO.farewell) == whole
    if not whole:
        assert call_lab.call.outcome.duration == pytest.approx(last_words)
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("grace", [0.5, 2.0])
async def test_story_grace(call_lab, grace):
    ends = []

    async def story(call):
        try:
            await trio.sleep_forever()
        finally:
            ends.append(trio.current_time())

    async with call_lab.dial(story, settings=CallSettings(story_grace=grace)) as caller:
        await caller.hangs_up()
    assert ends == [pytest.approx(call_lab.call.outcome.ended_at + grace)]
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("grace", [0.5, 2.0])
async def test_story_grace_is_a_listeners_too(call_lab, grace):
    ends = []
    async with call_lab.engine(HELLO, settings=CallSettings(story_grace=grace)) as engine:

        @engine.on_call_end
        async def slow(outcome):
            try:
                await trio.sleep_forever()
            finally:
                ends.append(trio.current_time() - outcome.ended_at)

        async with call_lab.dial(engine) as caller:
            await caller.hears("Hello")
    assert ends == [pytest.approx(grace)]
    call_lab.assert_nothing_left()


class _CountingStt:
    """The scripted recogniser, with the blocks it was sent and what it was told of the call."""

    name = "counting stt"

    def __init__(self, script):
        self._script = script
        self.blocks = []
        self.contexts = []

    def open(self, context):
        self.contexts.append(context)
        manager, blocks = self._script.open(context), self.blocks

        class Opened:
            async def __aenter__(self):
                session = await manager.__aenter__()
                send = session.send

                async def counted(audio):
                    blocks.append(len(audio))
                    await send(audio)

                session.send = counted
                return session

            async def __aexit__(self, *details):
                return await manager.__aexit__(*details)

        return Opened()


@pytest.mark.parametrize("seconds", [0.1, 0.25])
async def test_stt_block(call_lab, seconds):
    stt = _CountingStt(call_lab.stt)
    call_lab.llm.replies("Yes.")
    async with call_lab.dial(Agent(prompt="x", stt=stt), settings=CallSettings(stt_block=seconds)) as caller:
        await caller.says("A table for two at eight, please.")
        await caller.hears("Yes.")
    *whole, last = stt.blocks
    assert set(whole) == {round(seconds * 8000)}
    assert 0 < last <= round(seconds * 8000)
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("attempts", [1, 2])
async def test_stt_attempts(call_lab, attempts):
    call_lab.stt.refuses(attempts)
    async with call_lab.dial(HELLO, settings=CallSettings(stt_attempts=attempts)) as caller:
        await caller.is_hung_up_on()
    assert call_lab.call.outcome.reason == "stt: scripted stt: connection refused"
    failed = call_lab.call.journal.of("provider.failed")
    assert len(failed) == attempts
    assert failed[-1].t == pytest.approx(0.25 * 0.75 * (attempts - 1), abs=0.25 * 0.25 * (attempts - 1))
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("seconds", [1.0, 3.0])
async def test_reply_budget_for_a_model(call_lab, seconds):
    call_lab.llm.replies([inf])
    async with call_lab.dial(HELLO, settings=CallSettings(reply_budget=seconds)) as caller:
        await caller.hears("Hello there.")
        await caller.says(QUESTION)
        await caller.hears("something went wrong")
    ended, decided = call_lab.call.journal.of("turn.ended")[0], call_lab.call.journal.of("decision")[-1]
    assert decided.data == {
        "what": "apologise",
        "reason": f"the reply failed: scripted llm: no answer for {seconds:g} s",
    }
    assert decided.t == pytest.approx(ended.t + seconds)
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("seconds", [1.0, 3.0])
async def test_text_stall(call_lab, seconds):
    call_lab.llm.replies(["Well. ", "So", inf])
    async with call_lab.dial(HELLO, settings=CallSettings(text_stall=seconds)) as caller:
        await caller.hears("Hello there.")
        await caller.says(QUESTION)
        await caller.hears("So", timeout=6)
    token = call_lab.call.journal.of("reply.token")[0]
    decided = call_lab.call.journal.of("decision")[-1]
    assert decided.t == pytest.approx(token.t + 2 * call_lab.llm.token_gap + seconds, abs=0.011)
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("seconds", [1.0, 2.0])
async def test_reply_budget_for_a_voice(call_lab, seconds):
    call_lab.tts.first_audio = inf
    async with call_lab.dial(HELLO, settings=CallSettings(reply_budget=seconds, max_failures=1)) as caller:
        await caller.is_hung_up_on()
    failed = [record.t for record in call_lab.call.journal.of("provider.failed")][:1]
    assert failed == [pytest.approx(seconds)]
    assert f"no answer for {seconds:g} s" in call_lab.call.outcome.reason
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("seconds", [1.0, 3.0])
async def test_audio_stall(call_lab, seconds):
    call_lab.tts.stalls()
    async with call_lab.dial(HELLO, settings=CallSettings(audio_stall=seconds)) as caller:
        await caller.hears("Hello there.")
    failed = call_lab.call.journal.of("provider.failed")[0]
    assert failed.data["message"] == f"scripted tts: no more audio for {seconds:g} s"
    assert failed.t == pytest.approx(
        call_lab.tts.first_audio + call_lab.tts.chunk / call_lab.tts.speed + seconds, abs=0.02
    )
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("failures", [1, 2])
async def test_max_failures(call_lab, failures):
    call_lab.llm.fails(failures)
    async with call_lab.dial(HELLO, settings=CallSettings(max_failures=failures)) as caller:
        await caller.hears("Hello there.")
        for _ in range(failures - 1):
            await caller.says(QUESTION)
            await caller.hears("say that again, please?")
        await caller.says(QUESTION)
        await caller.hears("call again later")
        await caller.is_hung_up_on(timeout=1)
    assert call_lab.call.outcome.reason.startswith(f"llm: {failures} replies in a row failed")
    call_lab.assert_nothing_left()


# --- SenderSettings -------------------------------------------------------------------------------------------------


async def slices_of(call_lab, **settings):
    call_lab.tts.speed = 1000.0
    call_lab.tts.chunk = 1.0
    agent = Agent(prompt="x", greeting="Hello there everybody.")
    async with call_lab.dial(agent, settings=CallSettings(sender=SenderSettings(**settings))) as caller:
        await caller.hears("everybody.")
    call_lab.assert_nothing_left()
    return [
        (round(r.t, 3), r.data["samples"] / 8000, r.data["playout"]) for r in call_lab.call.journal.of("media.sent")
    ]


async def test_first_slices_and_first_slice(call_lab):
    sent = await slices_of(call_lab, first_slices=4, first_slice=0.06)
    begun = sent[0][0]
    assert [(at, size) for at, size, _ in sent if at == begun] == [(begun, 0.06)] * 4
    assert sent[4][1] == 0.1


async def test_slice_and_lead(call_lab):
    sent = await slices_of(call_lab, slice=0.2, lead=0.4)
    later = sent[3:-1]
    assert {size for _, size, _ in later} == {0.2}
    # a slice goes out when half a slice less than the lead is left
    assert [round(playout - at, 3) for at, _, playout in later[1:]] == [pytest.approx(0.3, abs=0.006)] * len(later[1:])


def test_a_lead_that_lets_the_carrier_run_dry_is_refused():
    with pytest.raises(ConfigurationError, match=r"lead is 0\.05 s and slice 0\.1 s"):
        SenderSettings(lead=0.05)


@pytest.mark.parametrize("seconds", [1.0, 3.0])
async def test_max_buffered(call_lab, seconds):
    """A synthesiser that is further ahead waits."""
    call_lab.tts.speed = 1000.0
    settings = CallSettings(sender=SenderSettings(max_buffered=seconds))
    async with call_lab.dial(Agent(prompt="x", greeting=LONG), settings=settings):
        await trio.sleep(0.5)
        buffered = call_lab.call._line.sender.remaining
        assert seconds <= buffered <= seconds + 0.35
    call_lab.assert_nothing_left()


@CLOUD
@pytest.mark.parametrize("grace", [0.3, 0.8])
async def test_mark_grace(call_lab, grace):
    """How long the last mark is waited for on a carrier that echoes none."""
    ends = []

    async def story(call):
        heard = await call.say("Hello there.")
        ends.append((trio.current_time(), heard.certainty))

    settings = CallSettings(sender=SenderSettings(mark_grace=grace))
    async with call_lab.dial(story, settings=settings, carrier=CarrierSettings(marks="foreign")) as caller:
        said_at = await caller.hears("Hello there.")
        await caller.is_hung_up_on()
    assert ends == [(pytest.approx(said_at + grace, abs=1e-6), "clock")]
    call_lab.assert_nothing_left()


# --- Agent ----------------------------------------------------------------------------------------------------------


async def test_prompt_is_told_to_the_model(call_lab):
    call_lab.llm.replies("Yes.")
    async with call_lab.dial(Agent(prompt="You are a lighthouse.")) as caller:
        await caller.says("Hello?")
        await caller.hears("Yes.")
    assert "You are a lighthouse." in call_lab.llm.requests[0][0].content
    call_lab.assert_nothing_left()


async def test_without_a_greeting_the_caller_begins(call_lab):
    call_lab.llm.replies("Yes.")
    async with call_lab.dial(Agent(prompt="x")) as caller:
        await caller.hears_nothing(seconds=5)
        await caller.says("Hello?")
        await caller.hears("Yes.")
    call_lab.assert_nothing_left()


async def test_flow_answers_instead_of_a_model(call_lab):
    async with call_lab.dial(Agent(greeting="Hello there.", flow=message_flow("For Chez Trio."))) as caller:
        await caller.hears("Hello there.")
        await caller.says("I would like to leave a message")
        await caller.hears("I can take a message")
    assert call_lab.llm.requests == []
    assert call_lab.call.journal.of("call.started")[0].data["agent"] == "flow"
    assert decisions(call_lab, "flow")
    call_lab.assert_nothing_left()


async def test_language_is_told_to_the_recogniser(call_lab):
    stt = _CountingStt(call_lab.stt)
    async with call_lab.dial(Agent(prompt="x", greeting="Hallo.", language="de", stt=stt)) as caller:
        await caller.hears("Hallo.")
    (context,) = stt.contexts
    assert (context.language, context.sample_rate, context.call_id) == ("de", 8000, call_lab.call.id)
    call_lab.assert_nothing_left()


async def test_apology_farewell_and_not_understood_are_the_agents_own(call_lab):
    call_lab.llm.fails(2)
    agent = Agent(
        prompt="x", greeting="Hello.", apology="Oh dear me.", farewell="Farewell then.", not_understood="Come again?"
    )
    settings = CallSettings(max_failures=2)
    async with call_lab.dial(agent, settings=settings) as caller:
        await caller.hears("Hello.")
        await caller.says("One.")
        await caller.hears("Oh dear me.")
        call_lab.stt.final_delay = inf
        call_lab.stt.interim_every = None
        await caller.says("Two.")
        await caller.hears("Come again?")
        call_lab.stt.final_delay = 0.1
        await caller.waits(1)
        call_lab.llm.fails()
        await caller.says("Three.")
        await caller.hears("Oh dear me.")
        await caller.says("Four.")
        await caller.hears("Farewell then.")
        await caller.is_hung_up_on(timeout=1)
    call_lab.assert_nothing_left()


async def test_drain_notice_is_the_agents_own(call_lab):
    agent = Agent(prompt="x", greeting="Hello.", drain_notice="We are closing.")
    async with call_lab.engine(agent, drain_timeout=2.0) as engine:
        async with call_lab.dial(engine) as caller:
            await caller.hears("Hello.")
            await engine.drain()
    assert caller.heard == "Hello. We are closing."
    assert call_lab.call.outcome.ended_by == "drained"
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("seconds", [0.2, 0.6])
async def test_turns_min_interruption(call_lab, seconds):
    cut = TurnSettings(interruption=Interruption(mode="cut", min_duration=seconds))
    agent = Agent(prompt="x", greeting=LONG, turns=cut)
    call_lab.stt.interim_every = None
    call_lab.llm.replies("Yes.")
    async with call_lab.dial(agent) as caller:
        await caller.interrupts("Would you please stop that now.", after=0.51)
        await caller.hears("Yes.")
    barge_in = call_lab.call.journal.of("barge_in")[0]
    assert barge_in.t - barge_in.data["onset"] == pytest.approx(seconds, abs=1e-6)
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("seconds", [1.0, 2.0])
async def test_turns_final_timeout(call_lab, seconds):
    call_lab.stt.mute()
    agent = Agent(prompt="x", greeting="Hello there.", turns=TurnSettings(final_timeout=seconds))
    async with call_lab.dial(agent) as caller:
        await caller.hears("Hello there.")
        await caller.says(QUESTION)
        await caller.hears("didn't catch that")
    journal = call_lab.call.journal
    asked = next(r for r in journal.of("decision") if r.data["what"] == "ask again")
    assert asked.t == pytest.approx(journal.of("speech.stopped")[0].t + seconds, abs=1e-6)
    failed = journal.of("provider.failed")[0]
    assert failed.data["message"] == f"scripted stt: no final for {seconds:g} s"
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("resume", [True, False])
async def test_turns_resume(call_lab, resume):
    agent = Agent(prompt="x", greeting=LONG, turns=TurnSettings(resume=resume, interruption=Interruption(mode="cut")))
    async with call_lab.dial(agent) as caller:
        await caller.waits(1.01)
        await until(caller.leg.speak(noise(0.5)).is_set)
        await caller.waits(8)
    assert caller.heard.endswith("twelve.") == resume
    call_lab.assert_nothing_left()


@pytest.mark.parametrize(("vad", "turns"), [(VadSettings(), 2), (VadSettings(min_silence=1.5), 1)])
async def test_vad_min_silence(call_lab, vad, turns):
    call_lab.llm.first_token = 3.0
    call_lab.llm.replies("Yes.", "Yes.")
    async with call_lab.dial(Agent(prompt="x", vad=vad)) as caller:
        await caller.says("A table.")
        await caller.waits(0.9)
        await caller.says("For two.")
        await caller.hears("Yes.")
    assert len(call_lab.call.journal.of("turn.ended")) == turns
    call_lab.assert_nothing_left()


@pytest.mark.parametrize(("vad", "heard"), [(VadSettings(), True), (VadSettings(min_speech=1.0), False)])
async def test_vad_min_speech(call_lab, vad, heard):
    async with call_lab.dial(Agent(prompt="x", vad=vad, greeting="Hello there.")) as caller:
        await caller.hears("Hello there.")
        await until(caller.leg.speak(noise(0.6)).is_set)
        await caller.waits(1)
    assert bool(call_lab.call.journal.of("speech.started")) == heard
    call_lab.assert_nothing_left()


# --- Engine ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interim", [True, False])
async def test_interim(call_lab, interim):
    call_lab.llm.replies("Yes.")
    async with call_lab.dial(HELLO, interim=interim) as caller:
        await caller.hears("Hello there.")
        await caller.says("A table for two at eight, please.")
        await caller.hears("Yes.")
    interims = [r for r in call_lab.call.journal.of("transcript") if not r.data["final"]]
    assert bool(interims) == interim
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("watched", [True, False])
async def test_interim_is_on_by_default_while_somebody_watches(call_lab, watched):
    call_lab.llm.replies("Yes.")
    async with call_lab.engine(HELLO, interim=None) as engine, AsyncExitStack() as stack:
        if watched:
            await stack.enter_async_context(engine.events())
        async with call_lab.dial(engine) as caller:
            await caller.hears("Hello there.")
            await caller.says("A table for two at eight, please.")
            await caller.hears("Yes.")
    interims = [r for r in call_lab.call.journal.of("transcript") if not r.data["final"]]
    assert bool(interims) == watched
    call_lab.assert_nothing_left()


async def test_max_calls(call_lab, caplog):
    first, second = (IncomingCall(name, caller="+15550001", callee="+15550002") for name in ("CA1", "CA2"))
    async with call_lab.engine(HELLO, max_calls=2) as engine:
        assert isinstance(await engine.offer("twilio", first), Offer)
        async with call_lab.dial(engine), call_lab.dial(engine):
            refused = await engine.offer("twilio", second)
            assert isinstance(refused, Refuse)
            assert "lines are busy" in refused.words
        assert isinstance(await engine.offer("twilio", second), Offer)
    assert "max_calls" in caplog.text
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("seconds", [2.0, 7.0])
async def test_drain_timeout(call_lab, seconds):
    async with call_lab.engine(HELLO, drain_timeout=seconds) as engine:
        async with call_lab.dial(engine) as caller:
            await caller.hears("Hello there.")
            begun = trio.current_time()
            await engine.drain()
            assert engine.is_draining()
            assert engine.calls == ()
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("drained", "the engine is shutting down")
    spoke = [s.start for s in caller.leg.queue.played(trio.current_time()) if s.start > begun]
    assert spoke[0] == pytest.approx(begun + seconds + call_lab.tts.first_audio, abs=1e-6)
    assert caller.heard == f"Hello there. {HELLO.drain_notice}"
    call_lab.assert_nothing_left()


async def test_draining_without_calls_is_over_at_once(call_lab):
    async with call_lab.engine(HELLO, drain_timeout=60.0) as engine:
        begun = trio.current_time()
        await engine.drain()
        assert trio.current_time() == begun


async def test_journal_audio(call_lab):
    kinds = {}
    for audio in (True, False):
        seen = kinds[audio] = set()
        async with call_lab.engine(HELLO, journal=JournalSettings(audio=audio)) as engine, engine.events() as records:
            async with call_lab.dial(engine) as caller:
                await caller.hears("Hello")
            while records.statistics().current_buffer_used:
                record = records.receive_nowait()
                seen.add(record.kind + ("+audio" if "audio" in record.data else ""))
    assert kinds[True] - kinds[False] == {"media.received+audio", "vad.probability", "media.sent+audio"}
    assert "media.sent" in kinds[False]
    call_lab.assert_nothing_left()


async def test_journal_directory(call_lab, tmp_path):
    async with call_lab.dial(HELLO, journal=JournalSettings(directory=tmp_path)) as caller:
        await caller.hears("Hello there.")
    (file,) = tmp_path.iterdir()
    assert file.name == f"{call_lab.call.id.replace(':', '_')}.jsonl"
    written = [(record.kind, record.data) for record in read_journal(file)]
    assert [kind for kind, _ in written] == [record.kind for record in call_lab.call.journal]
    call_lab.assert_nothing_left()


async def test_vad(call_lab):
    class Deaf(EnergyVad):
        def step(self, audio, _, state):
            return np.zeros(len(audio), np.float32), state

    agent = attrs.evolve(HELLO, stt=call_lab.stt, llm=call_lab.llm, tts=call_lab.tts, aec="off")
    engine = Engine(agent, carriers=recipes(commands=False), vad=Deaf(), inline=True)
    engine.on_call_start(call_lab.calls.append)
    call_lab._before = None
    async with call_lab.engine(HELLO):
        async with engine.open(), call_lab.dial(engine) as caller:
            await caller.hears("Hello there.")
            await caller.says("Can you hear me?")
            await caller.waits(1)
    assert call_lab.call.journal.of("speech.started") == []
    call_lab.assert_nothing_left()


async def test_today_labels_the_journal(call_lab):
    day = datetime.datetime(2030, 5, 17, 12, 30)
    async with call_lab.dial(HELLO, today=lambda: day) as caller:
        await caller.hears("Hello")
    assert call_lab.call.journal.of("call.started")[0].data["wall_time"] == "2030-05-17T12:30:00.000"
    call_lab.assert_nothing_left()


async def test_agent_names_the_parts_of_a_storys_calls(call_lab):
    async def story(call):
        await call.say("Good evening.")
        await call.listen()

    agent = Agent(prompt="x", turns=TurnSettings(barge_in=False))
    async with call_lab.dial(story, agent=agent) as caller:
        await caller.hears("Good")
        await caller.says("Stop that at once, please.")
    assert call_lab.call.journal.of("barge_in") == []
    assert call_lab.call.agent.turns == agent.turns
    call_lab.assert_nothing_left()
    with pytest.raises(ConfigurationError, match="agent= goes with a story"):
        Engine(HELLO, agent=HELLO)


async def test_an_engine_can_be_used_again(call_lab, caplog):
    with caplog.at_level(logging.WARNING):
        async with call_lab.engine(HELLO) as engine:
            async with call_lab.dial(engine) as caller:
                await caller.hears("Hello there.")
            await engine.drain()
        async with engine.open():
            assert not engine.is_draining()
            async with call_lab.dial(engine) as caller:
                await caller.hears("Hello there.")
    assert len(call_lab.outcomes) == 2
    call_lab.assert_nothing_left()
