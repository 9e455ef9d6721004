"""Everything that can fail in a call, fails; the caller hears something, or the books say what happened."""

from __future__ import annotations

import math
from itertools import pairwise
from math import inf

import attrs
import pytest
import trio
from lab_calls import AGENT, ANSWER, CLOUD, GREETING, PATIENT, QUESTION, decisions, stopped, until

from callengine import Agent
from callengine.call.settings import CallSettings
from callengine.errors import ProviderError
from callengine.testing import CallLab, CarrierSettings

APOLOGY = "something went wrong on my side"
FAREWELL = "call again later"
PLAIN = Agent(prompt="Be brief.", greeting="Hello there.")

START_TO_FINAL = 0.1
"""The scripted recogniser's delay, seconds."""


def began(lab: CallLab) -> float:
    return lab.call.started_at


# --- the caller and the carrier -------------------------------------------------------------------------------------


async def test_the_caller_never_speaks(call_lab):
    async with call_lab.dial(attrs.evolve(AGENT, patience=PATIENT)) as caller:
        await caller.hears("How can I help?")
        await caller.hears_nothing(seconds=120)
        await caller.hangs_up()
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("caller", stopped(call_lab))
    assert [(turn.number, turn.heard, turn.complete) for turn in outcome.turns] == [(0, GREETING, True)]
    assert call_lab.llm.requests == []
    call_lab.assert_nothing_left()


async def whole_call(manner: str, carrier: str) -> tuple[CallLab, list[tuple[float, bytes]]]:
    """Greeting, question, interrupted answer, second answer; returns every stretch of audio that was played."""
    await trio.sleep_until(math.ceil(trio.current_time() / 100) * 100)  # on the same place of the metronome's grid
    lab = CallLab(carrier=carrier)
    lab.llm.replies(ANSWER, "Of course, a table for four.")
    async with lab.dial(AGENT, carrier=CarrierSettings(marks=manner)) as caller:
        await caller.hears("How can I help?")
        await caller.says(QUESTION)
        await caller.interrupts("Actually, for four.", after=0.81)
        await caller.hears("for four")
        await caller.waits(5)
        played = without_seams(caller.leg.queue.played(trio.current_time()), caller.leg.started_at)
    lab.assert_nothing_left()
    return lab, played


def without_seams(stretches, zero):
    """Stretches that follow each other without a gap, as one: (start, audio)."""
    rows = []
    for stretch in stretches:
        start = round(stretch.start - zero, 6)
        if rows and abs(rows[-1][0] + len(rows[-1][1]) / 8000 - start) < 1e-6:
            rows[-1] = (rows[-1][0], rows[-1][1] + stretch.audio)
        else:
            rows.append((start, stretch.audio))
    return rows


@pytest.mark.parametrize("manner", ["never", "late", "twice", "reversed", "foreign"])
@CLOUD
@pytest.mark.trio
async def test_marks_that_misbehave_change_nothing_audible(call_lab, manner):
    # Each call has a lab of its own, so that its words have the same numbers.
    _, usual = await whole_call("echo", call_lab.carrier)
    lab, played = await whole_call(manner, call_lab.carrier)
    assert played == usual
    outcome = lab.call.outcome
    assert outcome.ended_by == "caller"
    assert [turn.interrupted_by for turn in outcome.turns] == [None, "caller", None]
    assert outcome.turns[-1].heard == "Of course, a table for four."
    if manner in ("never", "foreign"):
        assert {turn.certainty for turn in outcome.turns} == {"clock"}
    if manner == "foreign":
        unknown = [r for r in lab.call.journal.of("mark.echoed") if r.data["status"] == "unknown"]
        assert unknown
        assert all(r.data["mark"].startswith("somebody-else-") for r in unknown)


# --- text to speech -------------------------------------------------------------------------------------------------


async def test_tts_yields_nothing_once(call_lab):
    call_lab.tts.silent()
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.")
        start = caller.leg.queue.played(trio.current_time())[0].start
    assert start == pytest.approx(began(call_lab) + 0.2, abs=1e-9)  # the second try is another 0.1
    assert call_lab.call.outcome.turns[0].complete
    assert [r.data["message"] for r in call_lab.call.journal.of("provider.failed")] == [
        "scripted tts: a sentence without any audio"
    ]
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("how", ["silent", "fails"])
async def test_tts_yields_nothing_twice(call_lab, how):
    """The sentence is lost; the agent apologises, and the call goes on."""
    getattr(call_lab.tts, how)(2)
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears(APOLOGY)
        assert caller.leg.queue.played(trio.current_time())[0].start == pytest.approx(began(call_lab) + 0.3, abs=1e-9)
        await caller.waits(5)
        await caller.says(QUESTION)
        await caller.hears("at eight")
        await caller.waits(3)
    outcome = call_lab.call.outcome
    assert outcome.ended_by == "caller"
    assert outcome.turns[0].said == f"Hello there. {PLAIN.apology}"
    assert outcome.turns[0].heard == PLAIN.apology
    assert outcome.turns[1].heard == ANSWER
    assert len(decisions(call_lab, "apologise")) == 1
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("how", ["silent", "fails"])
async def test_tts_never_yields_anything(call_lab, how):
    """Nothing can be said: the call ends, although the caller never speaks."""
    getattr(call_lab.tts, how)(1000)
    async with call_lab.dial(PLAIN) as caller:
        await caller.is_hung_up_on(timeout=5)
    outcome = call_lab.call.outcome
    assert outcome.ended_by == "failed"
    assert outcome.reason.startswith("tts: 3 replies in a row failed: scripted tts: ")
    assert outcome.duration == pytest.approx(0.8, abs=1e-9)  # greeting, two apologies, a farewell: two tries each
    assert caller.heard == ""
    call_lab.assert_nothing_left()


async def test_tts_stalls_and_the_rest_is_said(call_lab):
    """The first 0.1 s came at 0.1 s; 5 s later it counts as broken, and goes on with the first word that is missing."""
    call_lab.tts.stalls()
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.", timeout=10)
        starts = [s.start for s in caller.leg.queue.played(trio.current_time())]
        again = next(start for start in starts if start > began(call_lab) + 1)
        assert again == pytest.approx(began(call_lab) + 0.1 + 0.01 + 5.0 + 0.1, abs=0.02)
        await caller.waits(2)
    assert decisions(call_lab, "say the rest") == []
    assert call_lab.tts.spoken == ["Hello there.", "Hello there."]
    assert call_lab.call.outcome.turns[0].heard == "Hello there."
    call_lab.assert_nothing_left()


async def test_tts_fails_mid_sentence_and_the_rest_is_said(call_lab):
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.")
        call_lab.tts.breaks()
        await caller.says(QUESTION)
        await caller.hears("Shall I book it?")
        await caller.waits(3)
    turn = call_lab.call.outcome.turns[1]
    assert turn.heard == ANSWER
    heard = " ".join(word.text for word in caller.words)
    assert heard.startswith("Hello there. We have a")
    assert heard.endswith("Shall I book it?")
    assert len(heard.split()) <= len(f"Hello there. {ANSWER}".split()) + 1  # at most one word twice
    assert call_lab.call.outcome.ended_by == "caller"
    call_lab.assert_nothing_left()


async def test_tts_fails_mid_sentence_again_and_again(call_lab):
    call_lab.tts.breaks(1000)
    async with call_lab.dial(AGENT) as caller:
        await caller.is_hung_up_on(timeout=60)
    outcome = call_lab.call.outcome
    assert outcome.ended_by == "failed"
    assert outcome.reason == "tts: 3 replies in a row failed: tts: the voice broke off twice"
    call_lab.assert_nothing_left()


async def test_tts_opens_late(call_lab):
    """Its first words come when they can; a session that is being opened is waited for, not thrown away."""
    call_lab.tts.open_delay = 8.0
    async with call_lab.dial(attrs.evolve(PLAIN, patience=PATIENT)) as caller:
        await caller.hears("Hello there.", timeout=15)
        await caller.waits(20)
    assert call_lab.tts.opened == 1
    assert call_lab.call.outcome.turns[0].heard == "Hello there."
    call_lab.assert_nothing_left()


async def test_tts_cannot_be_opened(call_lab):
    call_lab.tts.refuses(1000)
    async with call_lab.dial(PLAIN) as caller:
        await caller.is_hung_up_on(timeout=10)
    outcome = call_lab.call.outcome
    assert outcome.ended_by == "failed"
    assert outcome.reason == "tts: 3 replies in a row failed: scripted tts: connection refused"
    call_lab.assert_nothing_left()


# --- the language model ---------------------------------------------------------------------------------------------


async def test_llm_raises_before_the_first_sentence(call_lab):
    """It is asked once more, and then the caller is told."""
    call_lab.llm.fails()
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.")
        await caller.says(QUESTION)
        await caller.hears(APOLOGY)
        await caller.waits(4)
        await caller.says(QUESTION)
        await caller.hears("at eight")
        await caller.waits(3)
    outcome = call_lab.call.outcome
    assert [turn.heard for turn in outcome.turns] == ["Hello there.", PLAIN.apology, ANSWER]
    assert decisions(call_lab, "apologise") == ["the reply failed: scripted llm: the model is overloaded"]
    ended = call_lab.call.journal.of("turn.ended")[0].t
    apology = call_lab.call.journal.of("reply.audible")[1].t
    assert apology == pytest.approx(ended + 2 * call_lab.llm.first_token + call_lab.tts.first_audio, abs=1e-6)
    call_lab.assert_nothing_left()


async def test_llm_raises_after_the_first_sentence(call_lab):
    """What there is was said: no apology after it."""
    call_lab.llm.replies(["We have a table. ", "Shall", ProviderError("scripted llm", "connection reset")], ANSWER)
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.")
        await caller.says(QUESTION)
        await caller.hears("We have a table.")
        await caller.waits(2)
        await caller.says(QUESTION)
        await caller.hears("at eight")
        await caller.waits(3)
    outcome = call_lab.call.outcome
    assert [turn.heard for turn in outcome.turns] == ["Hello there.", "We have a table. Shall", ANSWER]
    assert decisions(call_lab, "end the reply") == ["the text failed: scripted llm: connection reset"]
    assert decisions(call_lab, "apologise") == []
    assert call_lab.llm.opened == 2  # the broken session was replaced
    call_lab.assert_nothing_left()


async def test_llm_raises_in_the_middle_of_the_first_sentence(call_lab):
    """Nothing was heard of it, so it is asked for again, and not half a sentence."""
    call_lab.llm.replies(["We have", ProviderError("scripted llm", "the model is overloaded")], ANSWER)
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.")
        await caller.says(QUESTION)
        await caller.hears(APOLOGY)
        await caller.says(QUESTION)
        await caller.hears("at eight")
    assert decisions(call_lab, "end the reply") == []
    call_lab.assert_nothing_left()


async def test_llm_never_answers(call_lab):
    call_lab.llm.replies([inf])
    async with call_lab.dial(attrs.evolve(PLAIN, thinking=())) as caller:
        await caller.hears("Hello there.")
        await caller.says(QUESTION)
        await caller.hears(APOLOGY)
        await caller.waits(5)
    ended = call_lab.call.journal.of("turn.ended")[0].t
    apology = call_lab.call.journal.of("reply.audible")[1].t
    assert apology == pytest.approx(ended + 10.0 + call_lab.tts.first_audio, abs=1e-6)
    assert decisions(call_lab, "apologise") == ["the reply failed: scripted llm: no answer for 10 s"]
    assert call_lab.llm.cancelled == 1
    call_lab.assert_nothing_left()


async def test_llm_stops_in_the_middle(call_lab):
    call_lab.llm.replies(["We have a table. ", "Shall I", inf], ANSWER)
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.")
        await caller.says(QUESTION)
        await caller.hears("We have a table.")
        await caller.hears("Shall I", timeout=15)
        await caller.waits(1)
        await caller.says(QUESTION)
        await caller.hears("at eight")
    assert decisions(call_lab, "end the reply") == ["the text failed: scripted llm: no more text for 10 s"]
    call_lab.assert_nothing_left()


async def test_llm_fails_every_time(call_lab):
    """Two apologies, then the agent says goodbye: whole, to its last word."""
    call_lab.llm.fails(3)
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.")
        for _ in range(2):
            await caller.says(QUESTION)
            await caller.hears(APOLOGY)
            await caller.waits(4)
        await caller.says(QUESTION)
        await caller.hears(FAREWELL)
        await caller.is_hung_up_on(timeout=1)
    outcome = call_lab.call.outcome
    assert outcome.ended_by == "failed"
    assert outcome.reason == "llm: 3 replies in a row failed: scripted llm: the model is overloaded"
    assert outcome.turns[-1].heard == PLAIN.farewell
    call_lab.assert_nothing_left()


async def test_llm_writes_nothing(call_lab):
    call_lab.llm.replies("", "", ANSWER)
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.")
        await caller.says(QUESTION)
        await caller.hears(APOLOGY)
        await caller.waits(4)
    assert decisions(call_lab, "apologise") == ["the reply failed: scripted llm: a reply without any words"]
    call_lab.assert_nothing_left()


# --- speech to text -------------------------------------------------------------------------------------------------


async def test_stt_opens_late_and_no_word_is_lost(call_lab):
    """0.8 s of handshake, with speech from the first frame."""
    call_lab.stt.open_delay = 0.8
    call_lab.llm.replies(ANSWER)
    agent = Agent(prompt="Be brief.")
    async with call_lab.dial(agent) as caller:
        await caller.says("Hello, a table for two at eight, please.")
        await caller.hears("We have")
    assert call_lab.stt.heard == ["Hello, a table for two at eight, please."]
    assert call_lab.call.outcome.turns[-1].caller == "Hello, a table for two at eight, please."
    call_lab.assert_nothing_left()


async def test_the_greeting_does_not_wait_for_stt(call_lab):
    call_lab.stt.open_delay = 20.0
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.")
        assert caller.leg.queue.played(trio.current_time())[0].start == pytest.approx(began(call_lab) + 0.1, abs=1e-9)
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("deaths", [1, 2, 3])
async def test_stt_dies_and_comes_back_mid_utterance(call_lab, deaths):
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.")
        await caller.says("A table for two at eight o'clock in the evening, please.", wait=False)
        for _ in range(deaths):
            await until(lambda: call_lab.stt.sessions)
            await caller.waits(0.3)
            call_lab.stt.dies()
        await caller.hears("We have")
    turn = call_lab.call.outcome.turns[1]
    assert turn.caller == "A table for two at eight o'clock in the evening, please."
    assert call_lab.call.outcome.counters["recogniser restarts"] == deaths
    call_lab.assert_nothing_left()


async def test_stt_dies_before_its_final(call_lab):
    """The utterance is over and its words are on their way: they are asked for again."""
    call_lab.stt.final_delay = 0.5
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.")
        await caller.says(QUESTION)
        await until(lambda: call_lab.call.journal.of("speech.stopped"))
        await caller.waits(0.2)
        call_lab.stt.dies()
        await caller.hears("We have")
    assert call_lab.call.outcome.turns[1].caller == QUESTION
    call_lab.assert_nothing_left()


async def test_stt_cannot_be_opened_and_never_will(call_lab):
    call_lab.stt.refuses(fault="fatal")
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears(FAREWELL)
        await caller.is_hung_up_on(timeout=1)
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("failed", "stt: scripted stt: connection refused")
    call_lab.assert_nothing_left()


async def test_stt_cannot_be_opened_for_a_while(call_lab):
    """Three refusals cost up to 0.25 + 0.5 + 1 s, and half of it at least: no word is lost, nobody hears of it."""
    call_lab.stt.refuses(3)
    call_lab.llm.replies(ANSWER)
    agent = Agent(prompt="Be brief.")
    async with call_lab.dial(agent) as caller:
        await caller.says("Hello, a table for two, please.")
        await caller.hears("We have")
    assert call_lab.call.outcome.turns[-1].caller == "Hello, a table for two, please."
    ready = [r.t for r in call_lab.call.journal.of("provider.ready") if r.data["role"] == "stt"]
    assert 0.875 <= ready[0] <= 1.75
    call_lab.assert_nothing_left()


async def test_stt_cannot_be_opened_four_times(call_lab):
    call_lab.stt.refuses(4)
    async with call_lab.dial(AGENT) as caller:
        await caller.hears(FAREWELL)
        await caller.is_hung_up_on(timeout=1)
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("failed", "stt: scripted stt: connection refused")
    assert outcome.turns[0].heard.endswith(AGENT.farewell)
    failed = [r.t for r in call_lab.call.journal.of("provider.failed")]
    pauses = [later - earlier for earlier, later in pairwise(failed)]
    assert [round(pause / longest, 3) for pause, longest in zip(pauses, (0.25, 0.5, 1.0), strict=True)] == [
        pytest.approx(0.75, abs=0.25)
    ] * 3
    call_lab.assert_nothing_left()


async def test_stt_never_gives_a_final(call_lab):
    """The caller is asked again after 3 s; the fourth time in a row the call is given up."""
    call_lab.stt.mute()
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.")
        for _ in range(3):
            await caller.says(QUESTION)
            await caller.hears("Sorry, I didn't catch that.")
            await caller.waits(4)
        await caller.says(QUESTION)
        await caller.hears(FAREWELL)
        await caller.is_hung_up_on(timeout=1)
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("failed", "stt: scripted stt: no final for 3 s")
    stopped = call_lab.call.journal.of("speech.stopped")[0].t
    asked = next(r for r in call_lab.call.journal.of("decision") if r.data["what"] == "ask again")
    assert asked.t == pytest.approx(stopped + 3.0, abs=1e-6)
    call_lab.assert_nothing_left()


async def test_stt_that_gives_interims_only(call_lab):
    """The last interim counts as final."""
    call_lab.llm.replies(ANSWER)
    call_lab.stt.final_delay = inf
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("Hello there.")
        await caller.says("A table for two at eight o'clock in the evening, please.")
        await caller.hears("We have", timeout=10)
    said = call_lab.call.outcome.turns[1].caller
    assert said
    assert "A table for two at eight o'clock in the evening, please.".startswith(said)
    call_lab.assert_nothing_left()


async def test_stt_whose_idle_sessions_end_is_no_failure(call_lab):
    """Vendors end a session that has nothing to hear: ten times in a quiet call, and the call lives."""
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(attrs.evolve(PLAIN, patience=PATIENT)) as caller:
        await caller.hears("Hello there.")
        for _ in range(10):
            await caller.waits(10)
            call_lab.stt.dies()
        await caller.waits(1)
        await caller.says(QUESTION)
        await caller.hears("We have")
    assert call_lab.call.outcome.ended_by == "caller"
    call_lab.assert_nothing_left()


# --- several at once ------------------------------------------------------------------------------------------------


async def test_everything_fails_at_once(call_lab):
    call_lab.stt.refuses(1000)
    call_lab.llm.refuses(1000)
    call_lab.tts.refuses(1000)
    async with call_lab.dial(AGENT, settings=CallSettings(max_failures=2)) as caller:
        await caller.is_hung_up_on(timeout=30)
    assert call_lab.call.outcome.ended_by == "failed"
    call_lab.assert_nothing_left()


async def test_the_caller_hangs_up_during_the_farewell(call_lab):
    call_lab.stt.refuses(fault="fatal")
    async with call_lab.dial(PLAIN) as caller:
        await caller.hears("I'm sorry")
        await caller.hangs_up()
    outcome = call_lab.call.outcome
    assert outcome.ended_by == "failed"
    assert outcome.reason == "stt: scripted stt: connection refused"
    call_lab.assert_nothing_left()
