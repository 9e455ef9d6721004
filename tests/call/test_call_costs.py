"""What a call cost: the vendors' own figures, what is unknown, and what was for nothing."""

from __future__ import annotations

import logging
from decimal import Decimal

import attrs
import pytest
from lab_calls import until

from callengine import Agent
from callengine.errors import ProviderError
from callengine.providers import llm, stt, tts
from callengine.testing.scripted import ScriptedLlm, ScriptedStt, ScriptedTts
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.deepgram import FakeDeepgram
from callengine.testing.vendors.elevenlabs import FakeElevenLabs
from callengine.testing.vendors.language_models import Figures
from callengine.testing.vendors.openai_chat import FakeOpenAIChat
from callengine.turns.settings import Endpointing, Preemption, TurnSettings

GREETING = "Hello there."
QUESTION = "A table for two, please."
ANSWER = "We have one at eight."
SCRIPTED = {"scripted": {"stt": {"second": 1}, "llm": {"input": 1000, "output": 1000}, "tts": {"characters": 1000}}}
"""A dollar for a second, a hundredth for each request's 10 and 10 tokens twice over, a dollar for a character."""
A_REPLY = Decimal("0.02")


class Ears(FakeDeepgram):
    """Counts the audio that it is sent, as its bill would: in bytes of mu-law at 8 kHz."""

    audio = 0

    async def serve(self, socket, request):
        await super().serve(_Counting(socket, self), request)


class _Counting:
    def __init__(self, socket, vendor):
        self._socket = socket
        self._vendor = vendor

    async def receive(self):
        message = await self._socket.receive()
        if isinstance(message, bytes):
            self._vendor.audio += len(message)
        return message

    def __getattr__(self, name):
        return getattr(self._socket, name)


async def whole_call(call_lab, *, model="gpt-6-luna", prices=None, **voice):
    """A call through three simulated vendors."""
    ears, voices = Ears(call_lab.vocabulary), FakeElevenLabs(call_lab.vocabulary)
    mind = FakeOpenAIChat(vocabulary=call_lab.vocabulary)
    mind.figures = Figures(input=412, cached=256, output=18, reasoning=8)
    mind.replies(ANSWER)
    agent = Agent(
        prompt="Be brief.",
        greeting=GREETING,
        stt=stt.Deepgram(api_key=ears.key),
        llm=llm.OpenAI(model, api_key=mind.key),
        tts=tts.ElevenLabs(api_key=voices.key, **voice),
        thinking=(),
    )
    async with in_memory(ears, mind, voices) as wire, call_lab.engine(agent, wire=wire, prices=prices) as engine:
        async with call_lab.dial(engine) as caller:
            await caller.hears(GREETING)
            await caller.says(QUESTION)
            await caller.hears(ANSWER)
    call_lab.assert_nothing_left()
    return call_lab.call.outcome.costs, ears


def line(bill, role):
    (found,) = [each for each in bill if each.role == role]
    return found


async def test_the_figures_are_the_vendors_own(call_lab):
    costs, _ = await whole_call(call_lab)
    wrote = line(costs.all, "llm")
    assert (wrote.provider, wrote.model, wrote.estimated) == ("openai", "gpt-6-luna", False)
    assert (wrote.input_tokens, wrote.cached_tokens, wrote.output_tokens, wrote.reasoning_tokens) == (412, 256, 18, 8)
    spoke = line(costs.all, "tts")
    assert (spoke.provider, spoke.model) == ("elevenlabs", "eleven_flash_v2_5")
    assert spoke.characters == len(GREETING) + len(ANSWER)
    assert spoke.amount == Decimal(spoke.characters) * Decimal("0.05") / 1000
    assert costs.all.complete
    assert costs.all.amount == sum(each.amount for each in costs.all)
    assert not costs.wasted.lines
    assert line(costs.turns[0], "tts").characters == len(GREETING)
    assert {each.role for each in costs.turns[1]} == {"stt", "llm", "tts"}
    assert line(costs.turns[1], "tts").characters == len(ANSWER)


async def test_r57_the_seconds_of_a_recogniser_are_those_of_the_audio_it_was_sent(call_lab):
    """Whatever the encoding: bytes of mu-law are not samples of linear audio, nor the other way round."""
    costs, ears = await whole_call(call_lab)
    heard = line(costs.all, "stt")
    opening = 160  # bytes of silence that open the session
    assert heard.seconds == pytest.approx((ears.audio - opening) / 8000)
    assert heard.amount == pytest.approx(Decimal(str(heard.seconds)) * Decimal("0.0048") / 60)


async def test_r58_a_call_with_an_unknown_model_says_so(call_lab, caplog):
    with caplog.at_level(logging.INFO, logger="callengine"):
        costs, _ = await whole_call(call_lab, model="gpt-99-terra")
    wrote = line(costs.all, "llm")
    assert wrote.amount is None
    assert wrote.input_tokens == 412
    assert costs.all.unknown == (wrote,)
    said = next(record.getMessage() for record in caplog.records if "cost:" in record.getMessage())
    assert "cost: at least ~$0.0" in said
    assert "openai gpt-99-terra 412+18 tokens (256 cached, 8 reasoning) unknown" in said


async def test_r59_a_call_of_less_than_a_cent_is_not_shown_as_free(call_lab):
    costs, _ = await whole_call(call_lab)
    assert 0 < costs.all.amount < Decimal("0.01")
    assert "$0.00 " not in f"{costs} "
    assert "$0.00)" not in f"{costs}"


async def test_r60_cached_tokens_are_billed_once_and_at_their_own_price(call_lab):
    costs, _ = await whole_call(call_lab)
    plain, cached, output = (412 - 256) * Decimal("0.10"), 256 * Decimal("0.01"), 18 * Decimal("0.50")
    assert line(costs.all, "llm").amount == (plain + cached + output) / 1_000_000


async def test_the_user_s_own_prices(call_lab):
    costs, _ = await whole_call(call_lab, prices={"openai": {"gpt-6": {}, "gpt-6-luna": {"input": 1, "output": 2}}})
    # of a price that has none for cached tokens, they are not free
    assert line(costs.all, "llm").amount == Decimal(412 + 2 * 18) / 1_000_000
    assert line(costs.all, "llm").estimated


# --- scripted parts, and what was for nothing -------------------------------------------------------------------------


def named(script, name):
    script.name = name
    return script


def agent(call_lab, **changes):
    base = Agent(
        prompt="Be brief.", greeting=GREETING, stt=call_lab.stt, llm=call_lab.llm, tts=call_lab.tts, thinking=()
    )
    return attrs.evolve(base, **changes)


async def test_the_lab_s_own_parts_tell_what_they_used_and_have_no_price(call_lab):
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent(call_lab)) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.hears(ANSWER)
    costs = call_lab.call.outcome.costs
    assert costs.all.total == "unknown"
    assert line(costs.all, "stt").seconds > 1
    assert line(costs.all, "tts").characters == len(GREETING) + len(ANSWER)


async def test_who_fails_is_paid_for_and_wasted(call_lab):
    other = named(ScriptedLlm(), "other llm")
    call_lab.llm.replies([ProviderError("scripted llm", "overloaded")])
    other.replies(ANSWER)
    async with call_lab.engine(agent(call_lab, llm=[call_lab.llm, other]), prices=SCRIPTED) as engine:
        async with call_lab.dial(engine) as caller:
            await caller.hears(GREETING)
            await caller.says(QUESTION)
            await caller.hears(ANSWER)
    costs = call_lab.call.outcome.costs
    assert line(costs.all, "llm").amount == 2 * A_REPLY
    assert costs.wasted.amount == A_REPLY
    assert [each.role for each in costs.wasted] == ["llm"]


async def test_the_model_that_loses_a_race_is_paid_for_and_wasted(call_lab):
    """Given a model that is known to answer within 0.2 s, when it takes 5 s and another one is asked beside it, then
    both are in the bill, and the first one's reply was for nothing."""
    other = named(ScriptedLlm(), "other llm")
    call_lab.llm.replies(*[ANSWER] * 20, [5.0, "Too late."])
    other.replies(ANSWER)
    program = agent(call_lab, llm=[call_lab.llm, other], hedged=("llm",))
    async with call_lab.engine(program, prices=SCRIPTED) as engine:
        async with call_lab.dial(engine) as caller:
            await caller.hears(GREETING)
            for _ in range(21):
                await caller.says(QUESTION)
                await caller.hears(ANSWER)
    assert len(other.requests) == 1
    costs = call_lab.call.outcome.costs
    assert line(costs.all, "llm").amount == 22 * A_REPLY
    assert costs.wasted.amount == A_REPLY
    assert line(costs.turns[21], "llm").amount == 2 * A_REPLY


async def test_the_voice_that_loses_a_race_is_paid_for_and_wasted(call_lab):
    other = named(ScriptedTts(call_lab.vocabulary), "other tts")
    call_lab.llm.replies(" ".join(["Quite so."] * 20), ANSWER)
    async with (
        call_lab.engine(agent(call_lab, tts=[call_lab.tts, other], hedged=("tts",)), prices=SCRIPTED) as engine,
        call_lab.dial(engine) as caller,
    ):
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.hears("Quite so. " * 19 + "Quite so.", timeout=60)
        await caller.waits(2)
        call_lab.tts.first_audio = 3.0
        await caller.says("And then?")
        await caller.hears(ANSWER)
    assert other.spoken == [ANSWER]
    costs = call_lab.call.outcome.costs
    assert line(costs.wasted, "tts").characters == len(ANSWER)
    assert costs.wasted.lines == (line(costs.wasted, "tts"),)
    assert line(costs.turns[2], "tts").characters == 2 * len(ANSWER)


async def test_a_guess_that_is_taken_back_is_paid_for_and_wasted(call_lab):
    call_lab.stt.interim_every = 0.05
    patient = Endpointing(mode="fixed", min_delay=0.8, doubt_delay=0.8, max_delay=1.6)
    turns = TurnSettings(endpointing=patient, preemption=Preemption(enabled=True, stable=1.0))
    call_lab.llm.replies(["Never heard. ", 9.0, "Nor this."], ANSWER)
    async with call_lab.engine(agent(call_lab, turns=turns), prices=SCRIPTED) as engine:
        async with call_lab.dial(engine) as caller:
            await caller.hears(GREETING)
            await caller.says("Is there a table for two?")
            await until(lambda: "Never heard." in call_lab.tts.spoken)
            await caller.waits(0.2)
            await caller.says("Outside would be nice.")
            await caller.hears(ANSWER)
    call = call_lab.call
    assert call.counters["guesses taken back"] == 1
    costs = call.outcome.costs
    assert {each.role: each.characters or each.amount for each in costs.wasted} == {
        "llm": A_REPLY,
        "tts": len("Never heard."),
    }
    # and the right one, which was begun before the turn's end, is of the turn that it answers, as the wrong one is
    assert line(costs.turns[1], "llm").amount == 2 * A_REPLY
    assert line(costs.turns[0], "tts").characters == len(GREETING)
    assert line(costs.all, "tts").characters == len(GREETING) + len("Never heard.") + len(ANSWER)


async def test_a_second_recogniser_is_paid_for(call_lab):
    second = named(ScriptedStt(call_lab.vocabulary), "second stt")
    call_lab.llm.replies(ANSWER)
    async with call_lab.engine(agent(call_lab, second_stt=second), prices=SCRIPTED) as engine:
        async with call_lab.dial(engine) as caller:
            await caller.hears(GREETING)
            await caller.says(QUESTION)
            await caller.hears(ANSWER)
    told = [record for record in call_lab.call.journal.of("usage") if record.data["role"] == "stt"]
    assert len(told) == 2
    assert line(call_lab.call.outcome.costs.all, "stt").seconds == sum(record.data["seconds"] for record in told)


async def test_a_caller_who_hangs_up_in_the_middle_of_an_answer_has_it_on_the_bill(call_lab):
    call_lab.llm.replies(["We have ", 60.0, "nothing."])
    async with call_lab.engine(agent(call_lab), prices=SCRIPTED) as engine:
        async with call_lab.dial(engine) as caller:
            await caller.hears(GREETING)
            await caller.says(QUESTION)
            await until(lambda: call_lab.llm.streams)
            await caller.waits(1)
            await caller.hangs_up()
    assert line(call_lab.call.outcome.costs.all, "llm").amount == A_REPLY
