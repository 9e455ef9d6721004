"""What the agent says while it thinks: fillers after a silence, and how they end."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import trio
from lab_calls import decisions, until

from callengine import Agent, Clip, Flow, Intent, ProviderError
from callengine.ports import Message
from callengine.turns.settings import TurnSettings

GREETING = "Hello there."
QUESTION = "Which tables do you have?"
ANSWER = "We have one at eight."
MOMENT, STILL = "One moment, please.", "I am still looking."
LONG_FILLER = "One moment please, I am going through all of the tables that we still have."
HELLO = Agent(prompt="Be brief.", greeting=GREETING, thinking=(MOMENT, STILL), thinking_after=2.0)


def spoken(lab, text: str) -> float:
    """Seconds that the lab's voice takes for it."""
    return sum(word.size for word in lab.vocabulary.speak(text)) / 8000


def filled(lab) -> list[float]:
    """When fillers were decided on, in seconds of the call."""
    return [record.t for record in lab.call.journal.of("decision") if record.data["what"] == "fill"]


def turn_ended(lab) -> float:
    return lab.call.journal.of("turn.ended")[0].t


async def ask(caller) -> None:
    await caller.hears(GREETING)
    await caller.says(QUESTION)


# --- when -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [1.0, 2.5])
async def test_a_filler_comes_when_the_line_was_silent_for_so_long(call_lab, after):
    call_lab.llm.first_token = 4.0
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(attrs.evolve(HELLO, thinking_after=after)) as caller:
        await ask(caller)
        await caller.hears(MOMENT)
        await caller.hears(ANSWER)
    assert filled(call_lab)[0] == pytest.approx(turn_ended(call_lab) + after, abs=1e-6)
    sent = [r.t for r in call_lab.call.journal.of("media.sent") if r.data["utterance"] == 2]
    assert sent[0] == pytest.approx(turn_ended(call_lab) + after + call_lab.tts.first_audio, abs=1e-6)


async def test_the_second_one_comes_as_long_after_the_first_and_the_last_one_again(call_lab):
    call_lab.llm.first_token = 9.5
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(attrs.evolve(HELLO, thinking_after=1.5)) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
    assert caller.heard == f"{GREETING} {MOMENT} {STILL} {STILL} {ANSWER}"
    first, second, third = filled(call_lab)
    assert second - first == pytest.approx(call_lab.tts.first_audio + spoken(call_lab, MOMENT) + 1.5, abs=1e-6)
    assert third - second == pytest.approx(call_lab.tts.first_audio + spoken(call_lab, STILL) + 1.5, abs=1e-6)


@pytest.mark.parametrize("first_token", [0.2, 1.5])
async def test_a_fast_model_never_gets_one(call_lab, first_token):
    call_lab.llm.first_token = first_token
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(HELLO) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
        await caller.waits(5)
    assert filled(call_lab) == []
    assert call_lab.tts.spoken == [GREETING, ANSWER]


async def test_a_model_that_pauses_between_sentences_gets_one_too(call_lab):
    """Given a model that looks something up in the middle, when the line is silent for long, then that is filled."""
    call_lab.llm.replies(["Let me see. ", 5.0, ANSWER])
    async with call_lab.dial(HELLO) as caller:
        await ask(caller)
        silent = await caller.hears("Let me see.")
        await caller.hears(ANSWER)
    assert caller.heard == f"{GREETING} Let me see. {MOMENT} {ANSWER}"
    assert filled(call_lab) == [pytest.approx(silent - call_lab.call.started_at + 2.0, abs=1e-6)]


async def test_without_fillers_nothing_is_said(call_lab):
    call_lab.llm.first_token = 8.0
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(attrs.evolve(HELLO, thinking=())) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
    assert caller.heard == f"{GREETING} {ANSWER}"


async def test_what_a_program_says_is_not_filled(call_lab):
    """A greeting with a slow voice is no thinking, and a story says itself what it wants said."""

    async def story(call):
        await call.say(GREETING)
        await trio.sleep(10)
        await call.say(ANSWER)

    call_lab.tts.first_audio = 4.0
    async with call_lab.dial(story, agent=HELLO) as caller:
        await caller.hears(ANSWER)
    assert filled(call_lab) == []


async def test_a_slow_voice_is_no_reason_to_speak_behind_the_answer(call_lab):
    """Given a model that has written everything, when the voice takes long, then nothing is put behind its words."""
    call_lab.tts.first_audio = 3.0
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(HELLO) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
        await caller.waits(3)
    assert caller.heard == f"{GREETING} {ANSWER}"
    assert call_lab.call.outcome.ended_by == "caller"


async def test_nor_while_the_model_writes_on(call_lab):
    """The same where the model is still writing the next sentence: the first one is being made."""
    call_lab.tts.first_audio = 3.0
    call_lab.llm.replies(["Let me see. ", 4.0, ANSWER])
    async with call_lab.dial(HELLO) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
        await caller.waits(3)
    assert caller.heard == f"{GREETING} Let me see. {ANSWER}"


# --- how they end ---------------------------------------------------------------------------------------------------


async def test_the_first_audio_of_the_answer_ends_a_filler(call_lab):
    """Given a long filler that is just being said, when the answer's first audio is there, then the rest of the filler
    is dropped, and the answer follows what had left for the carrier."""
    call_lab.llm.first_token = 3.0
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(attrs.evolve(HELLO, thinking=(LONG_FILLER,))) as caller:
        await ask(caller)
        at = await caller.hears(ANSWER)
        await caller.waits(3)
    begun = next(word.at for word in reversed(caller.words) if word.text == ANSWER.split()[0])
    answer_audio = call_lab.call.journal.of("reply.audio")[1].t + call_lab.call.started_at
    lead = call_lab.call.settings.sender.lead + call_lab.call.settings.sender.slice
    assert begun - spoken(call_lab, ANSWER.split()[0]) <= answer_audio + lead
    assert at - begun == pytest.approx(spoken(call_lab, " ".join(ANSWER.split()[1:])), abs=1e-6)
    between = caller.heard.removeprefix(GREETING).removesuffix(ANSWER).strip()
    assert between
    assert LONG_FILLER.startswith(between)
    assert len(between) < len(LONG_FILLER)
    assert len(filled(call_lab)) == 1


async def test_what_was_dropped_of_a_filler_was_not_said(call_lab):
    """The model is told what the caller heard, and the answer counts as whole."""
    call_lab.llm.first_token = 3.0
    call_lab.llm.replies(ANSWER, "Goodbye.")
    async with call_lab.dial(attrs.evolve(HELLO, thinking=(LONG_FILLER,))) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
        await caller.waits(1)
        call_lab.llm.first_token = 0.2
        await caller.says("Thank you.")
        await caller.hears("Goodbye.")
    turn = call_lab.call.outcome.turns[1]
    assert turn.complete
    assert turn.heard == caller.heard.removeprefix(GREETING).removesuffix("Goodbye.").strip()
    assert call_lab.llm.requests[-1][3] == Message("assistant", turn.heard)


async def test_a_sound_can_fill(call_lab):
    """Given a clip, when the model is slow, then it is played, and cut off by the answer."""
    call_lab.llm.first_token = 4.0
    call_lab.llm.replies(ANSWER)
    typing = Clip(np.full(8000 * 10, 3000, np.int16), 8000)
    async with call_lab.dial(attrs.evolve(HELLO, thinking=(typing,))) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
        await caller.waits(2)
        stretches = caller.leg.queue.played(trio.current_time())
    assert caller.heard == f"{GREETING} {ANSWER}"
    zero = call_lab.call.started_at
    played = sum(len(s.audio) / 8000 for s in stretches if s.start >= zero + turn_ended(call_lab))
    answer = spoken(call_lab, ANSWER)
    assert 2.0 < played - answer < 2.5  # from 2 s until the answer came, not 10 s of it
    assert call_lab.tts.spoken == [GREETING, ANSWER]


async def test_music_that_is_longer_than_the_buffer_does_not_keep_the_answer_waiting(call_lab):
    call_lab.llm.first_token = 4.0
    call_lab.llm.replies(ANSWER)
    music = Clip(np.full(8000 * 60, 3000, np.int16), 8000)
    async with call_lab.dial(attrs.evolve(HELLO, thinking=(music,))) as caller:
        await ask(caller)
        asked = trio.current_time()
        at = await caller.hears(ANSWER, timeout=90)
    assert at - asked < 8


async def test_a_caller_interrupts_a_filler_and_what_it_waited_for(call_lab):
    """Given a model that would take long, when the caller says something else over a filler, then that is cut within a
    frame of being confirmed, the stream is closed, and the new words are answered."""
    call_lab.stt.interim_every = 0.1
    call_lab.llm.first_token = 9.0
    call_lab.llm.replies("Never heard.", ANSWER)
    async with call_lab.dial(attrs.evolve(HELLO, thinking=(LONG_FILLER,))) as caller:
        await ask(caller)
        await caller.hears("One moment please,")
        await caller.waits(0.5)
        call_lab.llm.first_token = 0.2
        await caller.says("Forget it, when do you close?")
        await caller.hears(ANSWER)
        await caller.waits(10)
    (barge_in,) = call_lab.call.journal.of("barge_in")
    ended = call_lab.call.journal.of("reply.ended")[1]
    assert ended.t - barge_in.t <= 0.02
    assert ended.data["interrupted_by"] == "caller"
    assert call_lab.llm.cancelled == 1
    assert [turn.caller for turn in call_lab.call.outcome.turns[1:]] == [QUESTION, "Forget it, when do you close?"]
    assert caller.heard.endswith(ANSWER)
    assert "Never" not in caller.heard


async def test_a_caller_replaces_a_slow_answer_before_any_filler(call_lab):
    call_lab.llm.first_token = 9.0
    call_lab.llm.replies("Never heard.", ANSWER)
    async with call_lab.dial(HELLO) as caller:
        await ask(caller)
        await until(lambda: call_lab.llm.streams)
        call_lab.llm.first_token = 0.2
        await caller.says("When do you close?")
        await caller.hears(ANSWER)
        await caller.waits(10)
    assert caller.heard == f"{GREETING} {ANSWER}"
    assert call_lab.llm.cancelled == 1


@pytest.mark.parametrize("barge_in", [True, False])
async def test_a_backchannel_over_a_filler_leaves_the_answer_alone(call_lab, barge_in):
    call_lab.stt.interim_every = 0.1
    call_lab.llm.first_token = 6.0
    call_lab.llm.replies(ANSWER)
    program = attrs.evolve(HELLO, thinking=(LONG_FILLER,), turns=TurnSettings(barge_in=barge_in))
    async with call_lab.dial(program) as caller:
        await ask(caller)
        await caller.hears("One moment please,")
        await caller.says("Okay.")
        await caller.hears(ANSWER)
        await caller.waits(3)
    assert len(call_lab.llm.requests) == 1
    assert len(call_lab.call.journal.of("turn.ended")) == 1


# --- when there is no answer ----------------------------------------------------------------------------------------


async def test_a_model_that_fails_behind_a_filler_is_apologised_for(call_lab):
    failure = ProviderError("scripted llm", "the model is overloaded")
    call_lab.llm.replies([4.0, failure], [failure], ANSWER)
    async with call_lab.dial(HELLO) as caller:
        await ask(caller)
        await caller.hears("something went wrong on my side.")
        await caller.waits(4)
        await caller.says(QUESTION)
        await caller.hears(ANSWER)
    assert caller.heard == f"{GREETING} {MOMENT} {HELLO.apology} {ANSWER}"
    assert decisions(call_lab, "apologise") == ["the reply failed: scripted llm: the model is overloaded"]


async def test_a_model_that_never_answers_is_given_up_in_spite_of_fillers(call_lab):
    call_lab.llm.replies([float("inf")])
    async with call_lab.dial(HELLO) as caller:
        await ask(caller)
        await caller.hears("something went wrong on my side.")
    assert decisions(call_lab, "apologise") == ["the reply failed: scripted llm: no answer for 10 s"]
    first = call_lab.call.journal.of("decision")
    apologised = next(r.t for r in first if r.data["what"] == "apologise")
    assert apologised == pytest.approx(turn_ended(call_lab) + 10.0, abs=1e-6)


async def test_a_caller_who_hangs_up_over_a_filler_leaves_nothing(call_lab):
    call_lab.llm.first_token = 9.0
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(HELLO) as caller:
        await ask(caller)
        await caller.hears("One")
        await caller.hangs_up()
    assert call_lab.call.outcome.ended_by == "caller"
    assert call_lab.llm.cancelled == 1
    call_lab.assert_nothing_left()


# --- a flow's action ------------------------------------------------------------------------------------------------


def towels(action) -> Agent:
    intent = Intent("towels", examples=("I need towels", "more towels please"), then=action)
    return attrs.evolve(HELLO, greeting="Reception!", flow=Flow(can="send towels", intents=(intent,)))


async def test_a_slow_action_is_filled(call_lab):
    async def look(call, slots):
        await trio.sleep(5)
        return "They are on their way."

    async with call_lab.dial(towels(look)) as caller:
        await caller.hears("Reception!")
        await caller.says("I need towels.")
        await caller.hears("They are on their way.")
    assert caller.heard.endswith(f"{MOMENT} They are on their way.")


async def test_an_action_that_speaks_or_listens_itself_is_not_filled(call_lab):
    """Given an action that asks the caller and waits for him, when he takes his time, then nobody says "one moment"."""

    async def ask_room(call, slots):
        await call.say("And your room?")
        turn = await call.listen(timeout=20)
        await trio.sleep(1.5)
        await call.say("Let me write that down.")
        return f"Room {turn.text} it is."

    async with call_lab.dial(towels(ask_room)) as caller:
        await caller.hears("Reception!")
        await caller.says("I need towels.")
        await caller.hears("And your room?")
        await caller.waits(6)
        await caller.says("Twelve")
        await caller.hears("Room Twelve it is.")
    assert MOMENT not in caller.heard
    assert filled(call_lab) == []


async def test_a_fast_action_is_not_filled(call_lab):
    async def look(call, slots):
        await trio.sleep(1.5)
        return "They are on their way."

    async with call_lab.dial(towels(look)) as caller:
        await caller.hears("Reception!")
        await caller.says("I need towels.")
        await caller.hears("They are on their way.")
        await caller.waits(5)
    assert filled(call_lab) == []
