"""What every recogniser promises, whoever makes it."""

from __future__ import annotations

import json
import math

import pytest
import trio
from cases import STT, WORDS, Case, Told, simulated
from conformance_stt import SENTENCE, dictate, heard, listening, say, silence, speech
from testing.stages import CLEAN_UP
from testing.wires import chopped

from callengine.errors import ProviderError
from callengine.testing.vendors import Vendor, on_loopback
from callengine.wire import open_wire

EVERY = pytest.mark.parametrize("case", STT, ids=str)
ON_SOCKETS = pytest.mark.parametrize("case", [case for case in STT if case.socket], ids=str)


@EVERY
async def test_an_utterance_has_one_final_with_all_its_words(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), listening(case, wire) as ears:
        final = await heard(case, vendor, ears, SENTENCE, 7)
        await trio.sleep(3)
    assert (final.text, final.utterance, final.final) == (SENTENCE, 7, True)
    assert ears.finals == [final]
    assert {result.utterance for result in ears.results} == {7}


@EVERY
async def test_words_come_before_their_final_where_the_vendor_gives_them(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), listening(case, wire) as ears:
        await heard(case, vendor, ears, SENTENCE, 1)
    before = [result.text for result in ears.results if not result.final]
    assert bool(before) == case.interims
    if case.reads:
        assert all(SENTENCE.startswith(text) for text in before)


@EVERY
async def test_utterances_follow_each_other_each_with_its_own_words(autojump_clock, case: Case):
    texts = ["good evening", "I want a table", "", "for four"]
    async with simulated(case) as (vendor, wire), listening(case, wire) as ears:
        for number, text in enumerate(texts):
            if text:
                await heard(case, vendor, ears, text, number)
            else:
                await say(ears.session, silence(0.8), number)
                await ears.final(number)
    assert [(final.utterance, final.text) for final in ears.finals] == list(enumerate(texts))


@EVERY
async def test_utterances_that_do_not_wait_for_each_other_have_their_finals_in_order(autojump_clock, case: Case):
    texts = ["good evening", "I want a table", "for four"]
    async with simulated(case) as (vendor, wire), listening(case, wire) as ears:
        vendor.faults.chunk_delay = 0.05
        for number, text in enumerate(texts):
            await say(ears.session, speech(case, vendor, text), number, pace=10)
        await ears.final(2)
    assert [final.utterance for final in ears.finals] == [0, 1, 2]
    # A vendor that does not number utterances cannot say where one of those that it has not finished begins.
    assert " ".join(final.text for final in ears.finals if final.text) == " ".join(texts)


@EVERY
@pytest.mark.parametrize("length", [0.0, 0.02, 0.3, 2.0])
async def test_an_utterance_in_which_nothing_was_said_has_an_empty_final(autojump_clock, case: Case, length: float):
    async with simulated(case) as (vendor, wire), listening(case, wire) as ears:
        await say(ears.session, silence(length), 1)
        assert (await ears.final(1)).text == ""
        await heard(case, vendor, ears, SENTENCE, 2)
    assert [final.text for final in ears.finals] == ["", SENTENCE]


@EVERY
async def test_speech_from_the_first_frame_is_all_there_although_the_vendor_starts_late(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        vendor.faults.connect_delay, vendor.faults.answer_delay = 0.3, 0.5
        audio = speech(case, vendor, SENTENCE)
        async with listening(case, wire) as ears:  # opened with the first frame; what was said meanwhile is kept
            late = trio.current_time()
            await say(ears.session, audio[: round(late * 8000)], 1, pace=50, end=False)
            for start in range(round(late * 8000), len(audio), 800):
                await trio.sleep(0.1)
                await ears.session.send(audio[start : start + 800])
            await ears.session.end_utterance()
            assert (await ears.final(1)).text == SENTENCE
    assert late == pytest.approx(0.8, abs=0.31) or not case.socket


@EVERY
async def test_a_whole_utterance_at_once_is_all_there(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), listening(case, wire) as ears:
        assert (await heard(case, vendor, ears, SENTENCE, 1, pace=1000)).text == SENTENCE


@EVERY
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
async def test_how_the_network_cuts_what_comes_makes_no_difference(autojump_clock, case: Case, size: int):
    async with simulated(case) as (vendor, wire):
        vendor.faults.chunk = size
        assert await dictate(case, vendor, chopped(wire, size)) == [SENTENCE]


@EVERY
async def test_a_slow_vendor_is_only_slow(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        vendor.faults.chunk_delay = 0.3
        assert await dictate(case, vendor, wire) == [SENTENCE]


@ON_SOCKETS
async def test_an_utterance_that_is_abandoned_never_reaches_the_next_one(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), listening(case, wire) as ears:
        vendor.faults.chunk_delay = 0.2  # its words come late
        await heard(case, vendor, ears, "not these words", 1)
        await trio.sleep(2)
        await heard(case, vendor, ears, SENTENCE, 2)
    assert ears.finals[-1].text == SENTENCE
    assert len(ears.finals) == 2


@EVERY
async def test_sessions_of_one_recipe_hear_only_their_own_callers(autojump_clock, case: Case):
    if not case.reads:
        pytest.skip("its simulated vendor cannot tell voices apart")
    texts = {"one two three four": None, "good evening to you all": None, "a table": None}
    async with simulated(case) as (vendor, wire):
        recipe = case.make()

        async def call(text: str) -> None:
            async with recipe.open(Told().context(wire)) as session, trio.open_nursery() as nursery:
                nursery.start_soon(say, session, speech(case, vendor, text), 1)
                with trio.fail_after(20):
                    while not (result := await session.receive()).final:
                        pass
                texts[text] = result.text

        async with trio.open_nursery() as nursery:
            for text in texts:
                nursery.start_soon(call, text)
    assert texts == {text: text for text in texts}


# --- what goes wrong in the middle ------------------------------------------------------------------------------------


async def _failure(case: Case, vendor: Vendor, wire, when) -> ProviderError:
    """Something happens in the middle of an utterance; the error that comes of it."""

    async def speaks() -> None:
        async with listening(case, wire) as ears, trio.open_nursery() as nursery:
            await say(ears.session, speech(case, vendor, SENTENCE), 1, end=False)
            nursery.start_soon(when)
            await trio.sleep(1)
            await ears.session.end_utterance()
            await trio.sleep(20)

    with pytest.raises(ProviderError) as caught, trio.fail_after(30):
        await speaks()
    assert vendor.key not in str(caught.value)
    return caught.value


@ON_SOCKETS
async def test_a_broken_connection_may_be_tried_again(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):

        async def breaks() -> None:
            vendor.break_all()

        assert (await _failure(case, vendor, wire, breaks)).fault == "retry"


@ON_SOCKETS
async def test_each_documented_close_has_its_fault(autojump_clock, case: Case):
    for code, reason, fault in ((1000, "", "reopen"), (1006, "", "retry"), (1011, "", "retry"), *case.closes):
        async with simulated(case) as (vendor, wire):

            async def closes(vendor: Vendor = vendor, code: int = code, reason: str = reason) -> None:
                if code == 1006:
                    vendor.break_all()
                else:
                    await vendor.close_all(code, f"{reason} {vendor.key}")

            error = await _failure(case, vendor, wire, closes)
        assert (code, reason, error.fault) == (code, reason, fault)
        assert code == 1006 or f"{code} {reason}".strip() in str(error)


@ON_SOCKETS
async def test_each_documented_error_message_has_its_fault(autojump_clock, case: Case):
    for message, fault in case.errors:
        async with simulated(case) as (vendor, wire):
            text = json.dumps(message).replace(WORDS, f"{WORDS} with {vendor.key}")

            async def says(vendor: Vendor = vendor, text: str = text) -> None:
                await vendor.say_all(text)

            error = await _failure(case, vendor, wire, says)
        assert (message, error.fault) == (message, fault)
        assert f"{WORDS} with [key]" in str(error)
        assert str(error).startswith(case.make().name)


@EVERY
async def test_a_vendor_that_falls_silent_gets_no_words_and_leaving_is_at_once(autojump_clock, case: Case):
    """Whether a recogniser is silent because nothing is said is the call's to judge: it has the audio."""
    finals: list[str] = []
    left = math.inf
    async with simulated(case) as (vendor, wire):

        async def speaks() -> None:
            nonlocal left
            try:
                async with listening(case, wire) as ears:
                    vendor.faults.mute = True
                    await say(ears.session, speech(case, vendor, SENTENCE), 1)
                    await trio.sleep(30)
                    finals.extend(final.text for final in ears.finals)
                    left = trio.current_time()
            except ProviderError as error:
                left, fault = trio.current_time(), error.fault
                finals.extend([] if fault == "retry" else [f"a silence is no {fault} error"])

        await speaks()
        assert trio.current_time() - left <= CLEAN_UP
    assert not any(finals)


GARBAGE = [
    "", "not json", "null", "7", "[]", '"text"', "{}", "{", '{"type":null}', '{"type":7}', '{"type":[]}', '{"type":{}}',
    '{"type":"something new","text":"boo"}', '{"type":"Results"}', '{"type":"Turn","transcript":7}',
    '{"type":"transcript","text":null,"is_final":"yes"}', '{"message":null}', '{"message":"AddTranscript"}',
    '{"message":"AddTranscript","metadata":7,"results":null}', '{"tokens":null}', '{"tokens":[7,{"text":null}]}',
    '{"message_type":"final_transcript","text":[]}', '{"channel":null,"type":"Results","is_final":1}',
    '{"type":"Results","channel":{"alternatives":[]}}', '{"type":"Results","channel":{"alternatives":[null]}}',
    '{"type":"TurnInfo","event":7,"transcript":[]}', "Path:speech.phrase\r\n\r\n{", "Path:speech.phrase\r\n\r\n[]",
    "Path:speech.hypothesis\r\n\r\nnull", "X-Nothing\r\n\r\n", b"", b"\x00", b"\xff" * 100, b"\x00\x05Path",
]  # fmt: skip


@ON_SOCKETS
async def test_garbage_is_passed_over(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), listening(case, wire) as ears:
        for garbage in GARBAGE:
            await vendor.say_all(garbage)
        await heard(case, vendor, ears, SENTENCE, 1)
        for garbage in GARBAGE:
            await vendor.say_all(garbage)
        await heard(case, vendor, ears, "for four", 2)
    assert [final.text for final in ears.finals] == [SENTENCE, "for four"]


# --- what it costs ----------------------------------------------------------------------------------------------------


@EVERY
async def test_what_it_costs_is_told_once(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        told = Told()
        began = trio.current_time()
        await dictate(case, vendor, wire, told, SENTENCE, "for four")
        lasted = trio.current_time() - began
    audio = sum(word.size for word in vendor.vocabulary._words) / 8000
    assert {usage.provider for usage in told.usage} == {case.provider}
    assert audio * 0.8 <= sum(usage.seconds for usage in told.usage) <= lasted + 1.0 or any(
        usage.input_tokens for usage in told.usage
    )
    assert any(not usage.estimated for usage in told.usage) == case.told
    assert all(f"{usage.provider} {usage.model}".strip() == case.make().name for usage in told.usage)


@pytest.mark.parametrize("case", [case for case in STT if case.socket and not case.told], ids=str)
async def test_the_seconds_that_are_told_are_those_of_the_audio_or_of_the_session(autojump_clock, case: Case):
    async with simulated(case) as (_, wire):
        told = Told()
        async with listening(case, wire, told) as ears:
            await say(ears.session, silence(2.0), 1)
            await ears.final(1)
            await say(ears.session, silence(1.0), 2, end=False)
            lasted = trio.current_time()
    assert sum(usage.seconds for usage in told.usage) == pytest.approx(lasted if case.by_time else 3.0, abs=0.05)


@EVERY
async def test_what_was_heard_when_it_is_left_in_the_middle_is_told(autojump_clock, case: Case):
    if not case.socket:
        pytest.skip("nothing was sent yet")
    async with simulated(case) as (vendor, wire):
        told = Told()
        with trio.CancelScope() as scope:
            async with listening(case, wire, told) as ears:
                await say(ears.session, speech(case, vendor, SENTENCE), 1, end=False)
                scope.cancel()
                await trio.sleep(1)
    assert sum(usage.seconds for usage in told.usage) > 1.0 or case.told


@EVERY
async def test_over_the_loopback(case: Case):
    vendor = case.make_vendor()
    with trio.fail_after(20):
        async with on_loopback(vendor) as address, open_wire() as wire:
            recipe = case.make_at(address)
            async with recipe.open(Told().context(wire)) as session, trio.open_nursery() as nursery:
                nursery.start_soon(lambda: say(session, speech(case, vendor, SENTENCE), 1, pace=20))
                while not (result := await session.receive()).final:
                    pass
    assert result.text == SENTENCE
