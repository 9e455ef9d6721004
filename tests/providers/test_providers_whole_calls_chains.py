"""Chains of real adapters: what is lost with a vendor, which is nothing that a caller notices."""

from __future__ import annotations

import random

import attrs
import pytest
import trio
from cases import STT, TTS, Case
from whole_calls import ANSWER, CASES, GREETING, QUESTION, SECOND, Stage, cast, says, until

from callengine.ports import ToolCall
from callengine.testing.scripted import ScriptedStt

LONG = (
    "I would like to book a table for four people at eight in the evening, by the window if you can, and another one."
)
SENTENCES = (
    "We have a table for four at eight by the window. It is a quiet one, far from the door. Shall I book it for you?"
)

RECOGNISERS = pytest.mark.parametrize("case", STT, ids=str)

LOSSES = 8
"""Moments of an utterance, drawn anew for each, at which a connection is lost."""

DEATHS = 50
"""The same for a voice's sentences."""


# --- rolling replay ---------------------------------------------------------------------------------------------------


@RECOGNISERS
async def test_no_word_is_lost_to_a_handshake_of_800_ms(call_lab, case: Case):
    """Given a caller who speaks from the first frame on, while the recogniser still connects."""
    stage = Stage(call_lab)
    stt, llm, tts = cast(stt=case)
    stage.vendor(llm).replies(SECOND)
    ear = stage.vendor(stt)
    ear.faults.connect_delay = ear.faults.answer_delay = 0.4
    async with stage.call(stage.agent([stt], [llm], [tts], greeting="")) as caller:
        await says(stage, stt, caller, QUESTION)
        await caller.hears(SECOND)
    (turn,) = call_lab.call.outcome.turns
    assert turn.caller == QUESTION
    # what was said meanwhile was sent as fast as the vendor takes it, so its final is as early as ever
    assert turn.figures.final_ms <= (1300 if case.name in ("assemblyai", "whisper") else 300)


@RECOGNISERS
@pytest.mark.parametrize("chain", [False, True], ids=["alone", "two"])
async def test_the_text_is_the_same_with_and_without_the_loss_of_the_connection(call_lab, case: Case, chain: bool):
    draw = random.Random(str(case))
    for _ in range(LOSSES):
        stage = Stage(call_lab)
        stt, llm, tts = cast(stt=case)
        stage.vendor(llm).replies(SECOND)
        ears = [stt, CASES["stt soniox" if case.name != "soniox" else "stt azure"]] if chain else [stt]
        after = draw.uniform(0.0, 3.0)
        async with stage.call(stage.agent(ears, [llm], [tts], greeting="")) as caller:
            await caller.waits(0.5)
            await says(stage, stt, caller, QUESTION, wait=False)
            await caller.waits(after)
            stage.vendor(stt).break_all()
            await caller.hears(SECOND)
        assert [turn.caller for turn in call_lab.call.outcome.turns] == [QUESTION], f"lost after {after:.3f} s"


@pytest.mark.parametrize("case", [case for case in STT if case.name not in ("assemblyai", "whisper")], ids=str)
async def test_what_was_said_is_sent_again_faster_than_it_was_said(call_lab, case: Case):
    """Given a connection that is lost 5 s into an utterance of 6 s, then the final comes no later than without."""
    finals = []
    for lost in (False, True):
        stage = Stage(call_lab)
        stt, llm, tts = cast(stt=case)
        stage.vendor(llm).replies(SECOND)
        async with stage.call(stage.agent([stt], [llm], [tts], greeting="")) as caller:
            await caller.waits(1)
            await says(stage, stt, caller, LONG, wait=False)
            await caller.waits(5)
            if lost:
                stage.vendor(stt).break_all()
            await caller.hears(SECOND)
        (turn,) = call_lab.call.outcome.turns
        assert turn.caller == LONG
        finals.append(turn.figures.final_ms)
    assert finals[0] == pytest.approx(finals[1], abs=1)


async def test_a_vendor_that_takes_no_more_than_the_line_gives_hears_it_as_soon_as_it_may(call_lab):
    """AssemblyAI ends a session that is sent too much at once: 2 s are made up at once, the rest as it is spoken."""
    case = CASES["stt assemblyai"]
    stage = Stage(call_lab)
    stt, llm, tts = cast(stt=case)
    stage.vendor(llm).replies(SECOND)
    async with stage.call(stage.agent([stt], [llm], [tts], greeting="")) as caller:
        await caller.waits(1)
        await says(stage, stt, caller, QUESTION, wait=False)
        await caller.waits(2.0)
        stage.vendor(stt).break_all()
        await caller.hears(SECOND)
    assert stage.vendor(stt).complaints == []
    assert [turn.caller for turn in call_lab.call.outcome.turns] == [QUESTION]


# --- recognisers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manner", ["break", "mute", "unreachable", "bad key"])
async def test_three_recognisers_stand_in_for_each_other_down_to_the_machine_s_own(call_lab, manner: str):
    """Given Deepgram, AssemblyAI and a local one, when the first two fail, then the third hears every word."""
    stage = Stage(call_lab)
    first, second = CASES["stt deepgram"], CASES["stt assemblyai"]
    llm, tts = CASES["llm openai_chat"], CASES["tts cartesia"]
    local = ScriptedStt(call_lab.vocabulary)
    stage.vendor(llm).replies(ANSWER, finish="")
    stage.vendor(llm).replies(SECOND)
    agent = stage.agent([first, second], [llm], [tts])
    agent = attrs.evolve(agent, stt=[*agent.stt, local])
    vendors = [stage.vendor(first), stage.vendor(second)]

    def fail() -> None:
        for vendor in vendors:
            match manner:
                case "mute":
                    vendor.faults.mute = True
                case "unreachable":
                    vendor.faults.unreachable = 10**6
                case "bad key":
                    vendor.refuse(401, "no such key", times=99)
            vendor.break_all()

    async with stage.call(agent) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION, wait=False)
        await caller.waits(1.0)
        if manner == "break":
            vendors[0].break_all()
            vendors[1].faults.unreachable = 10**6
        else:
            fail()
        await caller.waits(8)
        if "We have" not in caller.heard:  # an empty final is no failure before the second one
            await caller.says(QUESTION)
            await caller.waits(8)
    call = call_lab.call
    assert QUESTION in [turn.caller for turn in call.outcome.turns]
    assert call.outcome.ended_by == "caller"
    assert call.journal.of("provider.switched")


# --- voices -----------------------------------------------------------------------------------------------------------

PAIRS = [("elevenlabs", "cartesia"), ("cartesia", "elevenlabs"), ("inworld", "rime"), ("rime", "inworld"),
         ("deepgram", "cartesia"), ("elevenlabs_http", "cartesia"), ("azure", "rime")]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_a_voice_that_dies_at_any_moment_is_gone_on_with(call_lab, first: str, second: str):
    """Given a reply of three sentences, when its voice dies for good at some moment, then the caller hears every word,
    once where the voice gives the times of words, else at most one of them twice; the gap is no longer than the other
    voice's first audio and 150 ms; and the call, and the model, know it as it was."""
    died, other = CASES[f"tts {first}"], CASES[f"tts {second}"]
    draw = random.Random(first + second)
    switched = 0
    for _ in range(DEATHS if first == "elevenlabs" else DEATHS // len(PAIRS)):
        switched += await _death(Stage(call_lab), died, other, draw.uniform(0.0, 4.5))
    assert switched


async def _death(stage: Stage, died: Case, other: Case, after: float) -> bool:
    """A call whose voice dies; whether another one spoke in it."""
    stt, llm = CASES["stt speechmatics"], CASES["llm openai_chat"]
    mind, voice = stage.vendor(llm), stage.vendor(died)
    mind.replies(SENTENCES)
    mind.replies(SECOND)
    async with stage.call(stage.agent([stt], [llm], [died, other])) as caller:
        journal = stage.lab.call.journal
        await until(lambda: journal.of("reply.ended"))
        voice.faults.chunk_delay = stage.vendor(other).faults.chunk_delay = 0.05
        await caller.says(QUESTION)
        await until(lambda: len(journal.of("reply.audible")) == 2)
        before = len(caller.words)
        await caller.waits(after)
        voice.break_all()
        voice.faults.unreachable = 10**6
        await until(lambda: len(journal.of("reply.ended")) == 2)
        words = [word.text for word in caller.words[before:]]
        stretches = caller.leg.queue.played(trio.current_time())
        await caller.says(QUESTION)
        await caller.hears(SECOND)
    where = f"died {after:.3f} s in: {words}"
    if died.words:
        assert words == SENTENCES.split(), where
    else:
        assert _only_repeats(words, SENTENCES.split()) <= 1, where
    turn = stage.lab.call.outcome.turns[1]
    assert (turn.heard, turn.complete) == (SENTENCES, True), where
    assert SENTENCES in str(mind.asked[-1]), where
    switches = journal.of("provider.switched")
    if switches:
        gone = [*journal.of("provider.failed"), *journal.of("provider.ended")]
        failed = max(record.t for record in gone if record.t <= switches[0].t)
        first_audio = switches[0].t - failed
        assert _silence_around(stretches, stage.lab.call.outcome.started_at + failed) <= first_audio + 0.150 + 1e-6, (
            where
        )
    return bool(switches)


def _only_repeats(words: list[str], said: list[str]) -> int:
    """How many words there are more than were to be said; each of which is there. Fails where one is missing."""
    rest = iter(words)
    assert all(word in rest for word in said), f"a word is missing: {words}"
    return len(words) - len(said)


def _silence_around(stretches, moment: float) -> float:
    """Seconds of silence, of which some are behind this moment, before the next sound."""
    ends = [stretch.start + len(stretch.audio) / 8000 for stretch in stretches if stretch.start <= moment]
    starts = [stretch.start for stretch in stretches if stretch.start > moment]
    return min(starts) - max(moment, max(ends)) if starts else 0.0


@pytest.mark.parametrize("case", TTS, ids=str)
async def test_a_voice_that_accepts_text_and_gives_no_audio_is_replaced_within_its_share(call_lab, case: Case):
    stage = Stage(call_lab)
    stt, llm, _ = cast(tts=case)
    other = CASES["tts rime" if case.provider != "rime" else "tts cartesia"]
    stage.vendor(llm).replies(SECOND)
    async with stage.call(stage.agent([stt], [llm], [case, other])) as caller:
        await until(lambda: call_lab.call.journal.of("reply.ended"))
        stage.vendor(case).faults.mute = True
        await caller.says(QUESTION)
        await caller.hears(SECOND, timeout=8)
    assert [turn.heard for turn in call_lab.call.outcome.turns] == [GREETING, SECOND]


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manner", ["rate limit", "unreachable", "bad key", "mute", "breaks"])
async def test_another_vendor_s_model_goes_on_with_a_history_of_tool_calls(call_lab, manner: str):
    """Given a conversation in which OpenAI's model has called a tool, when it fails, then Anthropic's is told of the
    call and its result in its own words, and answers."""

    def find_table(size: int) -> str:
        """Look up a free table.

        Args:
            size: How many people.
        """
        return f"one for {size} at eight"

    stage = Stage(call_lab)
    first, second = CASES["llm openai_chat"], CASES["llm anthropic"]
    stt, tts = CASES["stt soniox"], CASES["tts cartesia"]
    one, two = stage.vendor(first), stage.vendor(second)
    one.replies(ToolCall("call_1", "find_table", '{"size": 4}'))
    one.replies("There is one at eight.")
    two.replies(SECOND)
    async with stage.call(stage.agent([stt], [first, second], [tts], tools=[find_table])) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.hears("There is one at eight.")
        await caller.waits(0.5)
        match manner:
            case "rate limit":
                one.refuse(429, "slow down", times=9, **{"retry-after": "20"})
            case "unreachable":
                one.faults.unreachable = 10**6
                one.break_all()
            case "bad key":
                one.refuse(401, "no such key", times=9)
            case "mute":
                one.faults.mute = True
            case "breaks":
                one.faults.break_after = 0
        await caller.says("Is it by the kitchen?")
        await caller.hears(SECOND, timeout=7)
    (asked,) = two.asked
    told = str(asked["messages"])
    assert "'tool_use'" in told
    assert "'tool_result'" in told
    assert "one for 4 at eight" in told
    assert two.complaints == []
    assert [turn.heard for turn in call_lab.call.outcome.turns] == [GREETING, "There is one at eight.", SECOND]
