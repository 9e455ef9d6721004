"""What every voice promises, whoever makes it."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import trio
from cases import TTS, WORDS, Case, Told, simulated
from conformance_tts import SENTENCE, audio_of, last, recording, speaking, spoken, words_of
from testing.wires import chopped

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.errors import ProviderError
from callengine.ports import Prewarmed
from callengine.testing.vendors import Answer, Vendor, on_loopback
from callengine.wire import Wire, open_wire

EVERY = pytest.mark.parametrize("case", TTS, ids=str)
ON_SOCKETS = pytest.mark.parametrize("case", [case for case in TTS if case.socket], ids=str)
OVER_HTTP = pytest.mark.parametrize("case", [case for case in TTS if not case.socket], ids=str)


# --- what is said -----------------------------------------------------------------------------------------------------


@EVERY
async def test_the_audio_is_the_vendor_s_byte_for_byte_in_the_declared_format(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        made = recording(vendor)
        async with speaking(case, wire) as session:
            chunks = await spoken(session)
            audio_format = session.audio_format
    assert [each.text.strip() for each in made] == [SENTENCE]
    assert made[0].audio_format == audio_format
    assert audio_of(chunks) == made[0].audio
    assert all(chunk.audio or chunk.words for chunk in chunks)


@EVERY
async def test_the_line_s_own_format_is_asked_for_where_the_vendor_makes_it(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        made = recording(vendor)
        for line in (TELEPHONE, AudioFormat("l16", 16000)):
            async with speaking(case, wire, line=line) as session:
                assert audio_of(await spoken(session)) == made[-1].audio
                assert session.audio_format == made[-1].audio_format
                if case.native and line == TELEPHONE:
                    assert session.audio_format == TELEPHONE
                assert session.audio_format.sample_rate >= 8000


@EVERY
@pytest.mark.parametrize(
    "text",
    [
        'Tom & "Jerry" say <hello> to O\'Neill; 5 < 6 > 4.',
        '<break time="5s"/> Not a pause.',
        "Grüße aus Zürich, señor Łukasz, 你好 😀.",
        "</speak><speak> & &amp; {curly} [square] (round) \\back\\ %s $x #1",
        "A line.\nAnother line.\tA tab.",
    ],
)
async def test_a_text_is_spoken_as_it_stands_and_nothing_of_it_is_markup(autojump_clock, case: Case, text: str):
    async with simulated(case) as (vendor, wire), speaking(case, wire) as session:
        assert audio_of(await spoken(session, text))
    assert [" ".join(each.split()) for each in vendor.spoken] == [" ".join(text.split())]


@EVERY
@pytest.mark.parametrize("text", ["", " ", "\n\t "])
async def test_nothing_to_say_never_reaches_the_vendor(autojump_clock, case: Case, text: str):
    async with simulated(case) as (vendor, wire):
        told = Told()
        async with speaking(case, wire, told) as session:
            assert audio_of(await spoken(session, text)) == b""
            assert vendor.spoken == []
            assert sum(usage.characters for usage in told.usage) == 0
            await spoken(session)
    assert [each.strip() for each in vendor.spoken] == [SENTENCE]


@EVERY
async def test_sentences_follow_each_other(autojump_clock, case: Case):
    texts = ["One.", "Two, and more of it.", "Three."]
    async with simulated(case) as (vendor, wire):
        made = recording(vendor)
        async with speaking(case, wire) as session:
            audio = [audio_of(await spoken(session, text)) for text in texts]
    assert [each.text.strip() for each in made] == texts
    assert audio == [each.audio for each in made]


@EVERY
async def test_a_sentence_that_was_cut_leaves_nothing_in_the_next(autojump_clock, case: Case):
    long = "This one goes on " + "and on " * 40 + "until the end."
    async with simulated(case) as (vendor, wire):
        made = recording(vendor)
        async with speaking(case, wire) as session:
            for pieces in (0, 1, 3):
                vendor.faults.chunk_delay = 0.05
                async with session.synthesise(long) as stream:
                    for _ in range(pieces):
                        await anext(stream)
                vendor.faults.chunk_delay = 0.0
                assert audio_of(await spoken(session)) == last(made, SENTENCE)


@EVERY
async def test_a_sentence_cut_by_cancelling_leaves_nothing_in_the_next(autojump_clock, case: Case):
    long = "This one goes on " + "and on " * 40 + "until the end."
    async with simulated(case) as (vendor, wire):
        made = recording(vendor)
        async with speaking(case, wire) as session:
            vendor.faults.chunk_delay = 0.05
            for after in (0.0, 0.01, 0.12, 0.4):
                with trio.move_on_after(after):
                    await spoken(session, long)
                assert audio_of(await spoken(session)) == last(made, SENTENCE)


@EVERY
async def test_word_times_go_forward_and_stay_within_the_audio(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), speaking(case, wire) as session:
        chunks = await spoken(session)
        words = words_of(chunks)
        length = session.audio_format.seconds(len(audio_of(chunks)))
    assert bool(words) == case.words
    if words:
        assert [word.word.strip() for word in words] == SENTENCE.split()
        _, made = vendor.speech(SENTENCE, session.audio_format)
        assert [word.start for word in words] == pytest.approx([word.start for word in made], abs=0.002)
        assert [word.end for word in words] == pytest.approx([word.end for word in made], abs=0.002)
        assert all(word.start <= word.end for word in words)
        assert all(one.start <= other.start for one, other in pairwise(words))
        assert words[0].start >= 0
        assert words[-1].end <= length + 0.05


@EVERY
async def test_sessions_of_one_recipe_never_mix(autojump_clock, case: Case):
    """Two calls with one agent, at once and one after the other."""
    heard: dict[str, bytes] = {}
    async with simulated(case) as (vendor, wire):
        made = recording(vendor)
        vendor.faults.chunk_delay = 0.03
        recipe = case.make()

        async def call(text: str) -> None:
            async with recipe.open(Told().context(wire)) as session:
                heard[text] = audio_of(await spoken(session, text))

        for texts in (["Good evening.", "A table for four, certainly.", "We are closed."], ["And again."]):
            async with trio.open_nursery() as nursery:
                for text in texts:
                    nursery.start_soon(call, text)
    assert heard == {each.text.strip(): each.audio for each in made}


# --- how it comes -----------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
async def test_how_the_network_cuts_what_comes_makes_no_difference(autojump_clock, case: Case, size: int):
    async with simulated(case) as (vendor, wire):
        made = recording(vendor)
        vendor.faults.chunk = size
        async with speaking(case, chopped(wire, size)) as session:
            assert audio_of(await spoken(session, "Hi.")) == made[0].audio


@EVERY
async def test_a_vendor_that_starts_late_or_is_slow_is_only_that(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        made = recording(vendor)
        vendor.faults.connect_delay, vendor.faults.answer_delay, vendor.faults.chunk_delay = 0.8, 0.8, 0.2
        async with speaking(case, wire) as session:
            assert audio_of(await spoken(session)) == made[0].audio
        assert trio.current_time() >= 1.8


@EVERY
async def test_audio_is_handed_out_as_it_comes(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), speaking(case, wire) as session:
        vendor.faults.chunk_delay = 0.1
        async with session.synthesise("word " * 20) as stream:
            times = [trio.current_time() async for _ in stream]
    assert times[-1] - times[0] >= 0.5
    assert len(set(times)) >= 5


@OVER_HTTP
async def test_sentences_share_the_connection_that_was_made_ahead_and_a_cut_closes_it(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), speaking(case, wire) as session:
        vendor.faults.connect_delay = 0.5
        assert isinstance(session, Prewarmed)
        await session.prewarm()
        ready = trio.current_time()
        await spoken(session)
        await spoken(session)
        assert trio.current_time() == ready
        assert (vendor.connected, vendor.connections) == (1, 1)
        vendor.faults.chunk_delay = 0.1
        async with session.synthesise(SENTENCE) as stream:
            await anext(stream)
        await trio.sleep(0.3)
        assert vendor.connections == 0


# --- what goes wrong in the middle ------------------------------------------------------------------------------------


@OVER_HTTP
@pytest.mark.parametrize("pieces", [0, 2])
async def test_a_sentence_that_stalls_is_an_error_in_time(autojump_clock, case: Case, pieces: int):
    words, seconds = ("nothing more came for 0.7 s", 0.7) if pieces else ("no audio within 1.5 s", 1.5)
    async with simulated(case) as (vendor, wire), speaking(case, wire, first_byte=1.5, between=0.7) as session:
        vendor.faults.stall_after = pieces
        with pytest.raises(ProviderError, match=words) as caught:
            await spoken(session)
        assert trio.current_time() == pytest.approx(seconds, abs=0.01)
        assert caught.value.fault == "retry"
        vendor.faults.mute, vendor.faults.stall_after = False, None
        assert audio_of(await spoken(session))


@ON_SOCKETS
async def test_a_sentence_that_stalls_can_be_left_at_once(autojump_clock, case: Case):
    """When to give up is the call's to decide: it knows what the caller hears."""
    async with simulated(case) as (vendor, wire), speaking(case, wire) as session:
        vendor.faults.mute = True
        with trio.move_on_after(2):
            await spoken(session)
        assert trio.current_time() <= 2.25


@EVERY
async def test_a_connection_that_breaks_in_the_middle_may_be_tried_again(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        error = await _failure(case, vendor, wire, partial(setattr, vendor.faults, "break_after", 2), slowly=0.0)
    assert error.fault == "retry"


@ON_SOCKETS
async def test_a_connection_that_breaks_in_between_is_told_by_the_next_sentence_or_before(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):

        async def breaks_in_between() -> None:
            async with speaking(case, wire) as session:
                await spoken(session)
                vendor.break_all()
                await trio.sleep(1)
                await spoken(session)

        with pytest.raises(ProviderError) as caught, trio.fail_after(10):
            await breaks_in_between()
    assert caught.value.fault == "retry"


@ON_SOCKETS
async def test_each_documented_close_has_its_fault(autojump_clock, case: Case):
    for code, reason, fault in ((1000, "", "reopen"), (1011, "", "retry"), *case.closes):
        async with simulated(case) as (vendor, wire):
            error = await _failure(case, vendor, wire, partial(vendor.close_all, code, f"{reason} {vendor.key}"))
        assert (code, reason, error.fault) == (code, reason, fault)
        assert all(word in str(error) for word in (reason or str(code)).split())


async def _failure(case: Case, vendor: Any, wire: Wire, when: Any, slowly: float = 0.2) -> ProviderError:
    """Something happens in the middle of a sentence; the error that comes of it."""

    async def later() -> None:
        await trio.sleep(2.5 * slowly)
        happening = when()
        if happening is not None:
            await happening

    async def speaks() -> None:
        async with speaking(case, wire) as session, trio.open_nursery() as nursery:
            vendor.faults.chunk_delay = slowly
            nursery.start_soon(later)
            await spoken(session, "word " * 50)

    with pytest.raises(ProviderError) as caught, trio.fail_after(30):
        await speaks()
    assert vendor.key not in str(caught.value)
    return caught.value


@ON_SOCKETS
async def test_each_documented_error_message_has_its_fault(autojump_clock, case: Case):
    for message, fault in case.errors:
        async with simulated(case) as (vendor, wire):
            text = json.dumps(message).replace(WORDS, f"{WORDS} with {vendor.key}")
            error = await _failure(case, vendor, wire, partial(vendor.say_all, text))
        assert (message, error.fault) == (message, fault)
        assert f"{WORDS} with [key]" in str(error)
        assert str(error).startswith(case.make().name)


GARBAGE = [
    "", "not json", "null", "7", "[]", '"text"', "{}", "{", '{"type":null}', '{"type":7}', '{"type":[]}',
    '{"type":"something new"}', '{"type":"chunk"}', '{"type":"chunk","data":7}', '{"type":"chunk","data":"*"}',
    '{"type":"chunk","context_id":7,"data":"AAAA"}', '{"type":"chunk","context_id":"c0","data":"AAAA"}',
    '{"type":"timestamps","word_timestamps":7}', '{"audio":null,"isFinal":null}', '{"audio":7,"contextId":"c0"}',
    '{"contextId":"c0","audio":"AAAA"}', '{"contextId":"c0","isFinal":true}', '{"alignment":[]}', '{"result":null}',
    '{"result":{"contextId":"c0","audioChunk":null}}', '{"result":{"contextId":7,"audioChunk":{"audioContent":7}}}',
    '{"result":{"contextId":"c0","audioChunk":{"audioContent":"AAAA"}}}', '{"type":"Metadata"}', '{"type":"Warning"}',
    '{"type":"audio","audio":null}', '{"type":"audio","contextId":"c0","audio":"AAAA"}',
]  # fmt: skip


@ON_SOCKETS
async def test_garbage_is_passed_over(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        made = recording(vendor)
        async with speaking(case, wire) as session:
            for garbage in GARBAGE:
                await vendor.say_all(garbage)
            assert audio_of(await spoken(session)) == made[0].audio
            vendor.faults.chunk_delay = 0.1
            async with session.synthesise(SENTENCE) as stream:
                chunks = [await anext(stream)]
                vendor.faults.chunk_delay = 0.0
                for garbage in GARBAGE:
                    await vendor.say_all(garbage)
                async for chunk in stream:
                    chunks.append(chunk)
            assert audio_of(chunks) == made[1].audio


@OVER_HTTP
@pytest.mark.parametrize(
    ("body", "kind"),
    [(b'{"error": {"message": "no such voice"}}', "application/json"), (b"<html>", "text/html"), (b"", "audio/pcm")],
)
async def test_words_in_place_of_audio_are_an_error(autojump_clock, case: Case, body: bytes, kind: str):
    async with simulated(case) as (vendor, wire), speaking(case, wire) as session:
        vendor.faults.refusals.append(Answer(200, body, {"content-type": kind}))
        with pytest.raises(ProviderError):
            await spoken(session)
        assert audio_of(await spoken(session))


# --- what it costs ----------------------------------------------------------------------------------------------------


@EVERY
async def test_what_it_costs_is_told_once_a_sentence(autojump_clock, case: Case):
    texts = [SENTENCE, "Certainly."]
    async with simulated(case) as (_, wire):
        told = Told()
        async with speaking(case, wire, told) as session:
            for text in texts:
                await spoken(session, text)
    assert {usage.provider for usage in told.usage} == {case.provider}
    assert [usage.characters for usage in told.usage] == [len(text) for text in texts]
    assert all(f"{usage.provider} {usage.model}" == case.make().name.removesuffix(" over http") for usage in told.usage)
    assert all(usage.estimated for usage in told.usage)


@EVERY
async def test_a_sentence_that_was_cut_costs_what_was_begun(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        told = Told()
        vendor.faults.chunk_delay = 0.1
        async with speaking(case, wire, told) as session:
            async with session.synthesise(SENTENCE) as stream:
                await anext(stream)
    assert [usage.characters for usage in told.usage] == [len(SENTENCE)]


@EVERY
async def test_a_sentence_that_is_left_before_its_first_audio_costs_what_was_begun(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        told = Told()
        async with speaking(case, wire, told) as session:
            vendor.faults.answer_delay = vendor.faults.chunk_delay = 1.0
            with trio.move_on_after(0.5):
                await spoken(session)
    assert [usage.characters for usage in told.usage] == [len(SENTENCE)]


@EVERY
async def test_over_the_loopback(case: Case):
    vendor: Vendor = case.make_vendor()
    made = recording(vendor)
    with trio.fail_after(20):
        async with on_loopback(vendor) as address, open_wire() as wire:
            async with case.make_at(address).open(Told().context(wire)) as session:
                assert audio_of(await spoken(session)) == made[0].audio
