"""Several providers of a role: who takes over, when, and what the caller notices of it."""

from __future__ import annotations

import pytest
import trio

from callengine import Agent, CallSettings
from callengine.errors import ProviderError
from callengine.testing.scripted import ScriptedLlm, ScriptedStt, ScriptedTts

GREETING = "Hello there."
QUESTION = "A table for two, please."
ANSWER = "We have a table for two at eight. Shall I book it?"


def named(script, name):
    script.name = name
    return script


class AskableTts(ScriptedTts):
    """A voice that can be asked whether it is back."""

    works = False
    asked = 0

    async def probe(self, wire):
        del wire
        self.asked += 1
        await trio.sleep(0.05)
        if not self.works:
            raise ProviderError(self.name, "still no voice")


@pytest.fixture
def other_llm():
    return named(ScriptedLlm(), "other llm")


@pytest.fixture
def other_stt(call_lab):
    return named(ScriptedStt(call_lab.vocabulary), "other stt")


@pytest.fixture
def other_tts(call_lab):
    return named(ScriptedTts(call_lab.vocabulary), "other tts")


def agent(call_lab, **changes):
    parts = {"stt": call_lab.stt, "llm": call_lab.llm, "tts": call_lab.tts, **changes}
    return Agent(prompt="Be brief.", greeting=GREETING, thinking=(), **parts)


def switches(call):
    return [(r.data["role"], r.data["before"], r.data["provider"]) for r in call.journal.of("provider.switched")]


def audible(call, index):
    return call.journal.of("reply.audible")[index].t


# --- language models ------------------------------------------------------------------------------------------------


async def test_a_model_that_fails_is_replaced_at_once(call_lab, other_llm):
    call_lab.llm.replies([ProviderError("scripted llm", "overloaded")])
    other_llm.replies(ANSWER)
    async with call_lab.dial(agent(call_lab, llm=[call_lab.llm, other_llm])) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.hears(ANSWER)
    call = call_lab.call
    ended = call.journal.of("turn.ended")[0].t
    # the first one failed at its first word, and the second one was asked then
    expected = call_lab.llm.first_token + other_llm.first_token + call_lab.tts.first_audio
    written = 7 * other_llm.token_gap  # to the end of the first sentence
    assert audible(call, 1) == pytest.approx(ended + expected + written, abs=0.02)
    assert switches(call) == [("llm", "scripted llm", "other llm")]
    assert [turn.heard for turn in call.outcome.turns] == [GREETING, ANSWER]
    call_lab.assert_nothing_left()
    assert other_llm.sessions == 0


async def test_a_model_that_says_nothing_has_its_share_of_the_budget(call_lab, other_llm):
    call_lab.llm.replies([float("inf")])
    other_llm.replies(ANSWER)
    settings = CallSettings(reply_budget=6.0)
    async with call_lab.dial(agent(call_lab, llm=[call_lab.llm, other_llm]), settings=settings) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.hears(ANSWER)
    call = call_lab.call
    ended = call.journal.of("turn.ended")[0].t
    failed = call.journal.of("provider.failed")[0]
    assert failed.t == pytest.approx(ended + 3.0)
    assert failed.data["message"] == "scripted llm: no answer for 3 s"
    budget = call.journal.of("reply.budget")[1].data
    assert budget["seconds"] == 6.0
    assert budget["spent"] == {
        "scripted llm": pytest.approx(3.0),
        "other llm": pytest.approx(0.2),
        "scripted tts": pytest.approx(0.1),
    }


async def test_who_failed_is_left_alone_by_the_next_call_too(call_lab, other_llm):
    """And is tried again by one call when its pause is over."""
    call_lab.llm.replies([ProviderError("scripted llm", "overloaded")], ANSWER)
    other_llm.replies(ANSWER, ANSWER)
    program = agent(call_lab, llm=[call_lab.llm, other_llm])
    async with call_lab.engine(program) as engine:
        for wait in (0.0, 30.0):
            async with call_lab.dial(engine) as caller:
                await caller.hears(GREETING)
                await caller.says(QUESTION)
                await caller.hears(ANSWER)
            await trio.sleep(wait)
    assert len(call_lab.llm.requests) == 2  # ... the second one is that of the second call
    assert len(other_llm.requests) == 1


async def test_one_that_refuses_for_good_is_left_alone_for_minutes(call_lab, other_llm):
    call_lab.llm.replies([ProviderError("scripted llm", "the key is wrong", fault="fatal")])
    other_llm.replies(ANSWER, ANSWER)
    async with call_lab.engine(agent(call_lab, llm=[call_lab.llm, other_llm])) as engine:
        for _ in range(2):
            async with call_lab.dial(engine) as caller:
                await caller.hears(GREETING)
                await caller.says(QUESTION)
                await caller.hears(ANSWER)
            await trio.sleep(60)
    assert len(call_lab.llm.requests) == 1
    assert len(other_llm.requests) == 2


# --- voices ---------------------------------------------------------------------------------------------------------


async def test_a_voice_that_fails_before_a_sentence_is_replaced_and_stays_so(call_lab, other_tts):
    call_lab.tts.fails(2)
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent(call_lab, tts=[call_lab.tts, other_tts])) as caller:
        await caller.hears(GREETING)
        await trio.sleep(5)
        await caller.says(QUESTION)
        await caller.hears(ANSWER)
    call = call_lab.call
    assert audible(call, 0) == pytest.approx(call_lab.tts.first_audio + other_tts.first_audio)
    assert call_lab.tts.spoken == [GREETING]
    assert other_tts.spoken == [GREETING, "We have a table for two at eight.", "Shall I book it?"]
    assert switches(call) == [("tts", "scripted tts", "other tts")]


@pytest.mark.parametrize("word_times", [True, False])
async def test_a_voice_that_dies_in_the_middle_is_gone_on_with(call_lab, other_tts, word_times):
    """Given a voice that loses its connection in the middle of a sentence, when another takes over, then it begins with
    the first word whose audio had not arrived, and the gap is no longer than its own first audio and 150 ms."""
    call_lab.tts.word_times = word_times
    call_lab.tts.speed = 1.0  # so that nothing is buffered: the hardest case
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent(call_lab, tts=[call_lab.tts, other_tts])) as caller:
        await caller.hears(GREETING)
        call_lab.tts.breaks()
        await caller.says(QUESTION)
        await caller.hears("Shall I book it?")
        stretches = caller.leg.queue.played(trio.current_time())
    words = " ".join(word.text for word in caller.words).removeprefix(GREETING).split()
    said = ANSWER.split()
    rest = other_tts.spoken[0].split()
    assert rest == said[len(said) - 4 - len(rest) : -4]  # the end of the first sentence
    if word_times:
        assert words == said
    else:
        repeated = len(words) - len(said)
        assert 0 <= repeated <= 1
        assert " ".join(words).endswith(" ".join(said[-4:]))
        assert set(said) <= set(words)
    failed = call_lab.call.journal.of("provider.failed")[0].t
    after = min(s.start for s in stretches if s.start > failed)
    assert after - failed <= other_tts.first_audio + 0.150
    assert call_lab.call.outcome.turns[1].heard == ANSWER
    assert switches(call_lab.call) == [("tts", "scripted tts", "other tts")]
    call_lab.assert_nothing_left()


async def test_whether_a_voice_is_back_is_asked_at_no_cost(call_lab, other_tts):
    first = named(AskableTts(call_lab.vocabulary), "first tts")
    first.fails(1)
    async with call_lab.engine(agent(call_lab, tts=[first, other_tts])) as engine:
        async with call_lab.dial(engine) as caller:
            await caller.hears(GREETING)
        await trio.sleep(5)
        assert first.asked >= 2
        async with call_lab.dial(engine) as caller:
            await caller.hears(GREETING)
        assert other_tts.spoken == [GREETING, GREETING]
        first.works = True
        await trio.sleep(60)
        asked = first.asked
        async with call_lab.dial(engine) as caller:
            await caller.hears(GREETING)
        await trio.sleep(600)
        assert first.asked == asked
    assert first.spoken == [GREETING, GREETING]


async def test_an_interruption_frees_the_trial_of_a_voice(call_lab, other_tts):
    """Given a call that tries whether a voice works again, when it is cut before the first audio, then the next call
    may try."""
    call_lab.tts.fails(1)
    async with call_lab.engine(agent(call_lab, tts=[call_lab.tts, other_tts])) as engine:
        async with call_lab.dial(engine) as caller:
            await caller.hears(GREETING)
        await trio.sleep(10)
        call_lab.tts.first_audio = 3.0
        async with call_lab.dial(engine) as caller:
            await trio.sleep(0.5)
            await caller.hangs_up()
        call_lab.tts.first_audio = 0.1
        async with call_lab.dial(engine) as caller:
            await caller.hears(GREETING)
    assert call_lab.tts.spoken == [GREETING] * 3
    assert other_tts.spoken == [GREETING]


# --- recognisers ----------------------------------------------------------------------------------------------------


async def test_a_recogniser_that_dies_in_an_utterance_is_replaced_and_no_word_is_lost(call_lab, other_stt):
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent(call_lab, stt=[call_lab.stt, other_stt])) as caller:
        await caller.hears(GREETING)
        await caller.says("A table for two at eight o'clock in the evening, please.", wait=False)
        await caller.waits(1.5)
        died = trio.current_time() - call_lab.call.journal.started_at
        call_lab.stt.dies()
        await caller.hears("We have")
    call = call_lab.call
    assert call.outcome.turns[1].caller == "A table for two at eight o'clock in the evening, please."
    assert switches(call) == [("stt", "scripted stt", "other stt")]
    ready = [r.t for r in call.journal.of("provider.ready") if r.data["provider"] == "other stt"]
    assert ready == [pytest.approx(died, abs=1e-3)]  # nobody waits where another one is there
    call_lab.assert_nothing_left()


async def test_a_recogniser_that_falls_silent_is_replaced_before_the_caller_is_asked_again(call_lab, other_stt):
    call_lab.stt.mute()
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent(call_lab, stt=[call_lab.stt, other_stt])) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.hears(ANSWER)
    call = call_lab.call
    assert call.outcome.turns[1].caller == QUESTION
    stopped = call.journal.of("speech.stopped")[0].t
    failed = call.journal.of("provider.failed")[0]
    assert failed.data["message"] == "scripted stt: no final for 1.5 s"
    assert failed.t == pytest.approx(stopped + 1.5, abs=1e-6)


async def test_a_recogniser_that_understands_nothing_twice_is_replaced(call_lab, other_stt):
    """The second time, the other one hears the utterance from its start."""
    call_lab.stt.understand = lambda *_, **__: ""
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent(call_lab, stt=[call_lab.stt, other_stt])) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.waits(4)
        await caller.says(QUESTION)
        await caller.hears(ANSWER)
    assert call_lab.call.outcome.turns[-1].caller == QUESTION
    assert switches(call_lab.call) == [("stt", "scripted stt", "other stt")]


async def test_every_recogniser_may_fail_before_a_call_is_given_up(call_lab, other_stt):
    call_lab.stt.refuses(fault="fatal")
    other_stt.refuses(fault="fatal")
    async with call_lab.dial(agent(call_lab, stt=[call_lab.stt, other_stt])) as caller:
        await caller.is_hung_up_on()
    assert call_lab.call.outcome.reason == "stt: other stt: connection refused"


@pytest.mark.parametrize("manner", ["well", "dies", "mute", "slow", "refuses", "broken"])
async def test_a_second_recogniser_hears_the_same_and_harms_nobody(call_lab, other_stt, manner):
    match manner:
        case "mute":
            other_stt.mute()
        case "slow":
            other_stt.open_delay, other_stt.final_delay = 1.0, 2.0
        case "refuses":
            other_stt.refuses(fault="fatal")
        case "broken":
            other_stt.understand = lambda *_, **__: 1 / 0
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent(call_lab, second_stt=other_stt)) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION, wait=False)
        await caller.waits(0.8)
        if manner == "dies":
            other_stt.dies()
        await caller.hears(ANSWER)
        await caller.waits(3)
    call = call_lab.call
    assert call.outcome.ended_by == "caller"
    final = next(r.t for r in call.journal.of("transcript") if r.data["final"])
    assert final == pytest.approx(call.journal.of("speech.stopped")[0].t + call_lab.stt.final_delay, abs=1e-3)
    second = [r.data["text"] for r in call.journal.of("transcript.second") if r.data["final"]]
    assert second == ([QUESTION] if manner in ("well", "dies", "slow") else [])
    call_lab.assert_nothing_left()
    assert other_stt.sessions == 0


async def test_a_recogniser_that_is_alone_and_understands_nothing_hears_it_again(call_lab):
    """In a new session: its connection may be there, and nothing behind it."""
    understand = call_lab.stt.understand
    call_lab.stt.understand = lambda audio, *, final: understand(audio, final=final) if call_lab.stt.opened > 1 else ""
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent(call_lab)) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.waits(4)
        await caller.says(QUESTION)
        await caller.hears(ANSWER)
    assert call_lab.call.outcome.turns[-1].caller == QUESTION
    assert call_lab.stt.opened == 2


async def test_a_voice_that_is_alone_and_mute_does_not_keep_the_line_silent_for_long(call_lab):
    """The first budget is whole; of a voice that has just failed no more than seconds are expected."""
    call_lab.tts.first_audio = float("inf")
    async with call_lab.dial(agent(call_lab)) as caller:
        await caller.is_hung_up_on()
    failed = [r.t for r in call_lab.call.journal.of("provider.failed")]
    assert failed == [pytest.approx(10.0), pytest.approx(13.0), pytest.approx(16.0), pytest.approx(19.0)]
    assert call_lab.call.outcome.ended_by == "failed"


# --- hedging --------------------------------------------------------------------------------------------------------


async def talk(call_lab, engine, caller, times):
    for _ in range(times):
        await caller.says("And then?")
        await caller.hears("Quite so.")
        await caller.waits(2)


@pytest.mark.parametrize("hedged", [("llm",), ()])
async def test_a_model_slower_than_its_own_p95_is_raced(call_lab, other_llm, hedged):
    call_lab.llm.replies(*["Quite so."] * 20, [4.0, "Quite so."])
    other_llm.replies("Quite so.")
    program = agent(call_lab, llm=[call_lab.llm, other_llm], hedged=hedged)
    async with call_lab.engine(program) as engine, call_lab.dial(engine) as caller:
        await caller.hears(GREETING)
        await talk(call_lab, engine, caller, 20)
        await caller.says("And then?")
        asked = call_lab.call.journal.of("turn.ended")
        await caller.hears("Quite so.")
        await caller.waits(1)
        asked = call_lab.call.journal.of("turn.ended")[-1].t
    raced = bool(hedged)
    assert len(other_llm.requests) == raced
    assert call_lab.llm.cancelled == raced
    p95 = call_lab.llm.first_token
    first = (p95 + other_llm.first_token) if raced else 4.0 + call_lab.llm.first_token
    assert audible(call_lab.call, -1) == pytest.approx(asked + first + 0.01 + call_lab.tts.first_audio, abs=0.03)
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("hedged", [("tts",), ()])
async def test_a_voice_slower_than_its_own_p95_is_raced(call_lab, other_tts, hedged):
    """Whoever loses is cancelled, and is heard of no more."""
    sentences = " ".join(["Quite so."] * 20)
    call_lab.llm.replies(sentences, "And this?")
    program = agent(call_lab, tts=[call_lab.tts, other_tts], hedged=hedged)
    async with call_lab.dial(program) as caller:
        await caller.hears(GREETING)
        await caller.says("Tell me more.")
        await caller.hears("Quite so. " * 19 + "Quite so.", timeout=60)
        await caller.waits(2)
        call_lab.tts.first_audio = 3.0
        await caller.says("And then?")
        await caller.hears("And this?")
    call = call_lab.call
    ended = call.journal.of("turn.ended")[-1].t
    raced = bool(hedged)
    assert other_tts.spoken == ["And this?"] * raced
    written = call_lab.llm.first_token + call_lab.llm.token_gap
    voice = 0.1 + other_tts.first_audio if raced else 3.0
    assert audible(call, -1) == pytest.approx(ended + written + voice, abs=0.03)
    assert call.outcome.turns[-1].heard == "And this?"
    call_lab.assert_nothing_left()
    assert other_tts.streams == 0


# --- the setting ----------------------------------------------------------------------------------------------------


async def test_an_agent_takes_one_provider_or_several(call_lab, other_llm):
    assert agent(call_lab).llm == (call_lab.llm,)
    assert agent(call_lab, llm=[call_lab.llm, other_llm]).llm == (call_lab.llm, other_llm)
