"""Whole calls with each real adapter, against its simulated vendor: what a caller has of it when all goes well, and the
ways in which one vendor alone fails him."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

import pytest
import trio
from cases import LLM, STT, TTS, Case, on_the_wire
from whole_calls import (
    ANSWER,
    CASES,
    GREETING,
    INTERRUPTION,
    QUESTION,
    SECOND,
    Stage,
    cast,
    says,
    until,
    usual,
    words_of,
)

from callengine.errors import ConfigurationError
from callengine.providers.llm.presets import OpenAI
from callengine.testing import Caller

EVERY = pytest.mark.parametrize("case", [*STT, *LLM, *TTS], ids=str)

ROLES = ("stt", "llm", "tts")

USUAL = tuple(CASES[name] for name in ("stt deepgram", "llm openai_chat", "tts cartesia"))


# --- all goes well ----------------------------------------------------------------------------------------------------


@EVERY
async def test_greeting_question_interruption_and_answer(call_lab, case: Case):
    """Given a call with this adapter, when the caller interrupts the answer, then the vendors stop, the model is told
    what was heard, the new question is answered, and the hang-up leaves nothing."""
    stage = Stage(call_lab)
    stt, llm, tts = cast(**{case.role: case})
    agent = stage.agent([stt], [llm], [tts])
    mind, voice = stage.vendor(llm), stage.vendor(tts)
    mind.replies(ANSWER)
    mind.replies(SECOND)
    async with stage.call(agent) as caller:
        await until(lambda: call_lab.call.journal.of("reply.ended"))
        voice.faults.chunk_delay = 0.05
        mind.faults.chunk_delay = 0.15 if case.role == "llm" else 0.0
        await says(stage, stt, caller, QUESTION)
        await until(lambda: len(call_lab.call.journal.of("reply.audible")) == 2)
        stopped = stage.stopped(tts) if tts.socket else 0
        if not stt.reads:
            stage.vendor(stt).recorded.append(INTERRUPTION)
        await caller.interrupts(INTERRUPTION, after=0.8)
        if tts.socket:
            assert stage.stopped(tts) == stopped + 1
        else:
            assert voice.connections == 0
        if case.role == "llm":
            assert mind.connections == 0
        await until(lambda: len(call_lab.call.journal.of("reply.ended")) == 3)
    greeting, answered, last = call_lab.call.outcome.turns
    assert (greeting.heard, greeting.complete) == (GREETING, True)
    assert (answered.caller, answered.interrupted_by) == (QUESTION, "caller")
    assert answered.heard
    assert ANSWER.startswith(answered.heard)
    assert (last.caller, last.heard, last.complete) == (INTERRUPTION, SECOND, True)
    assert stage.vendor(stt).heard == [QUESTION, INTERRUPTION]
    told = str(mind.asked[-1])
    assert f"{answered.heard} [interrupted by the caller]" in told
    assert "by the window" not in told.replace(INTERRUPTION, "")
    if tts.native:  # what the ear has of it is what the call says it has
        assert words_of(caller.heard) == words_of(f"{GREETING} {answered.heard} {SECOND}")
    assert call_lab.call.outcome.ended_by == "caller"


@pytest.mark.parametrize("case", TTS, ids=str)
async def test_a_caller_who_hangs_up_in_the_middle_stops_the_vendors(call_lab, case: Case):
    stage = Stage(call_lab)
    stt, llm, tts = cast(tts=case)
    mind, voice = stage.vendor(llm), stage.vendor(tts)
    mind.replies(ANSWER)
    mind.faults.chunk_delay = 0.2
    async with stage.call(stage.agent([stt], [llm], [tts], greeting="")) as caller:
        await caller.waits(0.5)
        voice.faults.chunk_delay = 0.05
        await caller.says(QUESTION)
        await until(lambda: call_lab.call.journal.of("reply.audible"))
        await caller.waits(0.5)
        await caller.hangs_up()
        await caller.waits(0.5)
        assert mind.connections == voice.connections == 0
    (turn,) = call_lab.call.outcome.turns
    assert turn.interrupted_by == "hangup"
    assert ANSWER.startswith(turn.heard)


@EVERY
async def test_the_hook_changes_what_goes_out(call_lab, case: Case):
    stage = Stage(call_lab)
    stt, llm, tts = cast(**{case.role: case})
    name, value = case.setting
    seen = []

    def change(opening):
        seen.append((opening.role, opening.provider))
        if (opening.role, opening.provider) == (case.role, case.provider):
            before = opening.settings.get(name)
            opening.settings[name] = {**before, **value} if isinstance(before, dict) else value

    stage.vendor(llm).replies(SECOND)
    async with stage.call(stage.agent([stt], [llm], [tts], on_session=change)) as caller:
        await until(lambda: call_lab.call.journal.of("reply.ended"))
        await says(stage, stt, caller, QUESTION)
        await until(lambda: len(call_lab.call.journal.of("reply.ended")) == 2)
    assert {role for role, _ in seen} == set(ROLES)
    assert on_the_wire(stage.vendor(case), stage.messages[str(case)], name, value)


@pytest.mark.parametrize("case", STT, ids=str)
@pytest.mark.parametrize("manner", ["well", "breaks", "mute", "bad key"])
async def test_a_second_recogniser_hears_the_same_and_harms_nobody(call_lab, case: Case, manner: str):
    stage = Stage(call_lab)
    _, llm, tts = cast(stt=case)
    stt = usual("stt", [case.provider])
    second, ear = stage.recipe(case), stage.vendor(case)
    if manner == "bad key":
        ear.refuse(401, "no such key", times=99)
    if not case.reads:
        ear.recorded.append(QUESTION)
    stage.vendor(llm).replies(SECOND)
    async with stage.call(stage.agent([stt], [llm], [tts], second_stt=second)) as caller:
        await caller.hears(GREETING)
        ear.faults.mute = manner == "mute"
        await caller.says(QUESTION, wait=False)
        await caller.waits(1.0)
        if manner == "breaks":
            ear.break_all()
        await caller.hears(SECOND)
        await caller.waits(3)
    call = call_lab.call
    assert [turn.caller for turn in call.outcome.turns] == ["", QUESTION]
    assert call.outcome.ended_by == "caller"
    assert call.outcome.turns[1].figures.audible_ms < 600
    texts = [record.data["text"] for record in call.journal.of("transcript.second") if record.data["final"]]
    assert [text for text in texts if text] == ([QUESTION] if manner in ("well", "breaks") else [])


async def insists(case: Case, caller: Caller) -> None:
    """The caller asks until somebody has to say something: providers that are asked by the utterance or by the turn."""
    if case.role == "llm" or (case.role == "stt" and not case.socket):
        await caller.hears(GREETING)
        for _ in range(3):
            with suppress(AssertionError):  # it is over
                await caller.says(QUESTION)
                await caller.waits(6)


# --- one vendor alone -------------------------------------------------------------------------------------------------


@EVERY
async def test_a_bad_key_ends_the_call_with_words_and_a_reason(call_lab, case: Case):
    """Given an agent whose only provider of a role refuses the key, then the caller is told what can be told, is not
    left in silence, and the reason has the vendor's words and no key."""
    stage = Stage(call_lab)
    stt, llm, tts = cast(**{case.role: case})
    vendor = stage.vendor(case)
    vendor.refuse(401, "no such key", times=99)
    async with stage.call(stage.agent([stt], [llm], [tts])) as caller:
        await insists(case, caller)
        await caller.is_hung_up_on(timeout=20)
    outcome = call_lab.call.outcome
    assert outcome.ended_by == "failed"
    assert outcome.reason.startswith(f"{case.role}: ")
    assert f"{case.make().name}: HTTP 401: " in outcome.reason
    assert "no such key" in outcome.reason
    assert vendor.key not in outcome.reason
    if case.role != "tts":
        assert "Please call again later." in caller.heard
    if case.role == "llm":
        assert "something went wrong on my side" in caller.heard


@EVERY
async def test_a_rate_limit_passes(call_lab, case: Case):
    """Given a vendor that takes nothing for a second, when the caller speaks, then he is answered, late."""
    stage = Stage(call_lab)
    stt, llm, tts = cast(**{case.role: case})
    vendor, mind = stage.vendor(case), stage.vendor(llm)
    mind.replies(SECOND)
    agent = stage.agent([stt], [llm], [tts], greeting="")
    async with stage.call(agent) as caller:
        await caller.waits(0.5)
        vendor.break_all()
        vendor.refuse(429, "slow down", times=1, **{"retry-after": "1"})
        await says(stage, stt, caller, QUESTION)
        await until(lambda: call_lab.call.journal.of("reply.ended"), timeout=10)
    turns = call_lab.call.outcome.turns
    assert turns[0].caller == QUESTION
    assert turns[0].heard == SECOND
    assert vendor.faults.refusals == type(vendor.faults.refusals)()


@EVERY
async def test_a_vendor_that_falls_mute_leaves_no_caller_in_silence_for_longer_than_its_time(call_lab, case: Case):
    """Given a vendor that takes everything and says nothing, then within the 10 s of a reply (or of a caller who is
    taken to be silent, where a recogniser has no words for him) something is said; and when it speaks again, so does
    the call."""
    stage = Stage(call_lab)
    stt, llm, tts = cast(**{case.role: case})
    vendor, mind = stage.vendor(case), stage.vendor(llm)
    for _ in range(3):
        mind.replies(SECOND)
    async with stage.call(stage.agent([stt], [llm], [tts])) as caller:
        journal = call_lab.call.journal
        await until(lambda: journal.of("reply.ended"))
        vendor.faults.mute = True
        await says(stage, stt, caller, QUESTION)
        said = trio.current_time()
        await until(lambda: journal.of("provider.failed") or len(journal.of("reply.audible")) > 1, timeout=13)
        vendor.faults.mute = False
        vendor.break_all()
        await until(lambda: len(journal.of("reply.audible")) > 1, timeout=13 - (trio.current_time() - said))
        await caller.waits(6)
        stage.vendor(stt).recorded.clear()
        await says(stage, stt, caller, INTERRUPTION)
        await caller.waits(4)
    last = call_lab.call.outcome.turns[-1]
    assert (last.caller, last.heard, last.complete) == (INTERRUPTION, SECOND, True)


@EVERY
async def test_everybody_of_a_role_is_down_and_the_call_says_so_and_ends(call_lab, case: Case):
    stage = Stage(call_lab)
    stt, llm, tts = cast(**{case.role: case})
    stage.vendor(case).faults.unreachable = 10**6
    async with stage.call(stage.agent([stt], [llm], [tts])) as caller:
        await insists(case, caller)
        await caller.is_hung_up_on(timeout=30)
    outcome = call_lab.call.outcome
    assert outcome.ended_by == "failed"
    assert outcome.reason.startswith(f"{case.role}: ")
    assert "refused by the test" in outcome.reason
    if case.role != "tts":
        assert "Please call again later." in caller.heard


@pytest.mark.parametrize("role", ROLES)
async def test_a_key_that_is_not_there_is_named_before_there_is_a_call(role: str, monkeypatch):
    case = next(each for each in USUAL if each.role == role)
    variable = {"stt": "DEEPGRAM_API_KEY", "llm": "OPENAI_API_KEY", "tts": "CARTESIA_API_KEY"}[role]
    monkeypatch.delenv(variable, raising=False)
    module, _, name = case.recipe.partition(":")
    recipe = getattr(import_module(module), name)
    if role == "llm":
        recipe = OpenAI
    with pytest.raises(ConfigurationError, match=variable):
        recipe()
