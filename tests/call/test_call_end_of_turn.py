"""The end of a turn in whole calls: split turns, dictated numbers, and the delays of endpointing."""

from __future__ import annotations

from contextlib import suppress

import attrs
import pytest
import trio
from lab_calls import until
from polite_calls import GRAIN, GREETING, HELLO, LONG, MODES, asked, polite, turns

from callengine.ports import Message
from callengine.turns.settings import Endpointing, Interruption, TurnSettings


@pytest.fixture
async def call_lab(call_lab):
    """With a recogniser that tells what it has five times a second, and 0.1 s behind the end of speech."""
    call_lab.stt.interim_every = 0.2
    call_lab.stt.final_delay = 0.1
    return call_lab


# --- split turns ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
async def test_a_caller_who_goes_on_just_after_the_answer_began_is_answered_once(call_lab, mode):
    """Given an answer that was audible for less than ``split``, when the caller goes on, then its words are withdrawn,
    and the model gets both halves as one, as if it had never spoken."""
    call_lab.llm.replies(LONG, "For two, outside.")
    agent = attrs.evolve(polite(mode, guard=0.0), turns=attrs.evolve(polite(mode, guard=0.0).turns, split=0.6))
    async with call_lab.dial(agent) as caller:
        await caller.hears(GREETING)
        await caller.says("I need a table for two.")
        await until(lambda: caller.leg.queue.playing(trio.current_time()))
        await caller.waits(0.3)
        await caller.says("Somewhere outside would be best.")
        await caller.hears("For two, outside.")
        await caller.waits(3)
    assert asked(call_lab) == [
        Message("assistant", GREETING),
        Message("user", "I need a table for two. Somewhere outside would be best."),
    ]
    assert len(call_lab.llm.requests) == 2
    assert [r.data["continues"] for r in call_lab.call.journal.of("turn.ended")] == [False, True]
    assert "kitchen" not in caller.heard


@pytest.mark.parametrize(("split", "continues"), [(0.6, True), (0.1, False)])
async def test_how_much_of_an_answer_may_be_withdrawn_is_a_setting(call_lab, split, continues):
    call_lab.llm.replies(LONG, "For two, outside.")
    agent = attrs.evolve(HELLO, turns=TurnSettings(split=split, interruption=Interruption(guard=0.0)))
    async with call_lab.dial(agent) as caller:
        await caller.hears(GREETING)
        await caller.says("I need a table for two.")
        await until(lambda: caller.leg.queue.playing(trio.current_time()))
        await caller.waits(0.3)
        await caller.says("Somewhere outside would be best.")
        await caller.hears("For two, outside.")
    assert call_lab.call.journal.of("turn.ended")[-1].data["continues"] is continues
    assert (len(asked(call_lab)) == 2) is continues


# --- dictation ------------------------------------------------------------------------------------------------------

PIECES = ("five five five", "zero one two", "three four five six")
NUMBER = " ".join(PIECES)


async def dictate(caller, pause: float) -> None:
    for index, piece in enumerate(PIECES):
        if index:
            await caller.waits(pause)
        await caller.says(piece)


@pytest.mark.parametrize("pause", [0.5, 0.8, 1.2])
async def test_a_number_that_was_asked_for_is_one_turn_however_it_is_dictated(call_lab, pause):
    call_lab.llm.replies("Thank you.")
    async with call_lab.dial(attrs.evolve(HELLO, greeting="Could I have your phone number, please?")) as caller:
        await caller.hears("number, please?")
        await dictate(caller, pause)
        await caller.hears("Thank you.")
    assert turns(call_lab) == [NUMBER]
    (ended,) = call_lab.call.journal.of("turn.ended")
    assert ended.t - ended.data["speech_ended"] < 0.5  # complete: nobody waits behind the last digit


async def test_the_same_pauses_elsewhere_end_a_turn(call_lab):
    """Given that nothing was asked for, when he pauses as long, then what he said is answered."""
    call_lab.llm.replies("Yes?", "Sorry?", "I see.")
    async with call_lab.dial(HELLO) as caller:
        await caller.hears(GREETING)
        await dictate(caller, 1.2)
        await caller.waits(3)
    assert turns(call_lab) == list(PIECES)


async def test_a_storys_expectation_keeps_a_number_together_too(call_lab):
    """Given words that do not say what is asked for, when the program does, then the number is one turn."""
    heard = []

    async def story(call, tell):
        if tell:
            call.expect("phone")
        await call.say("And how do I reach you?")
        heard.append((await call.listen()).text)

    async def told(call):
        await story(call, True)

    async def untold(call):
        await story(call, False)

    for program in (told, untold):
        async with call_lab.dial(program) as caller:
            await caller.hears("reach you?")
            with suppress(AssertionError):  # the second story ends, and hangs up, before all is said
                await dictate(caller, 1.2)
            await until(lambda: call_lab.call.ended)
    assert heard == [NUMBER, PIECES[0]]


# --- end of turn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("minimum", "maximum"), [(0.5, 1.5), (0.8, 2.0)])
async def test_fixed_delays_are_kept_to_the_moment(call_lab, minimum, maximum):
    """``min_delay`` behind a whole sentence, ``max_delay`` behind one that is not, from the end of the last sound."""
    endpointing = Endpointing(mode="fixed", min_delay=minimum, doubt_delay=minimum, max_delay=maximum)
    agent = attrs.evolve(HELLO, turns=TurnSettings(endpointing=endpointing))
    call_lab.llm.replies("Fine.", "Well?")
    said = []
    async with call_lab.dial(agent) as caller:
        await caller.hears(GREETING)
        for words, answer in (("A table for two.", "Fine."), ("My name is", "Well?")):
            await caller.says(words)
            said.append(trio.current_time() - call_lab.call.started_at)
            await caller.hears(answer)
            await caller.waits(1)
    whole, open_ended = call_lab.call.journal.of("turn.ended")
    assert whole.t - whole.data["speech_ended"] == pytest.approx(minimum, abs=1e-6)
    assert open_ended.t - open_ended.data["speech_ended"] == pytest.approx(maximum, abs=1e-6)
    for ended, sound in zip((whole, open_ended), said, strict=True):
        assert ended.data["speech_ended"] == pytest.approx(sound, abs=GRAIN)


async def test_the_engine_learns_how_long_a_caller_pauses(call_lab):
    """Given a caller who six times went on 0.45 s behind unfinished words, when he leaves a sentence open, then he is
    waited for less long than one of whom nothing is known; with ``fixed`` for as long."""
    waits = {}
    for mode in ("adaptive", "fixed"):
        agent = attrs.evolve(HELLO, turns=TurnSettings(endpointing=Endpointing(mode=mode, max_delay=1.6)))
        call_lab.llm.replies("Fine.", "Well?")
        async with call_lab.dial(agent) as caller:
            await caller.hears(GREETING)
            for words in ("I would like to", "book a", "table for", "my", "family and", "the", "neighbours."):
                await caller.says(words)
                await caller.waits(0.45)
            await caller.hears("Fine.")
            await caller.waits(1)
            await caller.says("My name is")
            await caller.hears("Well?")
        ended = call_lab.call.journal.of("turn.ended")
        assert [r.data["text"] for r in ended] == [
            "I would like to book a table for my family and the neighbours.",
            "My name is",
        ]
        waits[mode] = ended[1].t - ended[1].data["speech_ended"]
    assert waits["fixed"] == pytest.approx(1.6, abs=1e-6)
    assert waits["adaptive"] < 1.0
