"""Cartesia's recogniser against the simulated service."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from cases import Told
from talking import final, said, say

from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import SttResult
from callengine.providers.cartesia_account import CartesiaFailures
from callengine.providers.stt.cartesia import STRAGGLERS, Cartesia, InkDialect
from callengine.providers.stt.dialect import Finished, Words
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.cartesia import FakeCartesia


def recipe(vendor: FakeCartesia, *args: str, **options) -> Cartesia:
    return Cartesia(*args, api_key=vendor.key, **options)


async def test_the_end_of_an_utterance_is_finalized_at_once(autojump_clock):
    # given a vendor that would never end an utterance by itself
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        await say(session, 1, said(vendor, "yes"))
        # when
        before = trio.current_time()
        result = await final(session)
        took = trio.current_time() - before
    # then
    assert (result.text, vendor.finalized, took) == ("yes", 1, 0.0)


@pytest.mark.parametrize(("acknowledges", "waits"), [("after", 0.2), ("before", 0.2)])
async def test_the_acknowledgement_and_the_last_words_come_in_either_order(autojump_clock, acknowledges, waits):
    # given
    vendor = FakeCartesia()
    vendor.acknowledges, vendor.straggle = acknowledges, 0.2
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when
        begun = trio.current_time()
        texts = []
        for number, text in enumerate(["hello there", "I need a refund"]):
            await say(session, number, said(vendor, text))
            texts.append((await final(session)).text)
        took = trio.current_time() - begun
    # then
    assert texts == ["hello there", "I need a refund"]
    assert took == pytest.approx(2 * waits)


async def test_silence_gets_an_empty_final_soon_after_the_acknowledgement(autojump_clock):
    # given
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        await say(session, 3, np.zeros(4000, np.int16))
        # when
        begun = trio.current_time()
        result = await final(session)
        took = trio.current_time() - begun
    # then
    assert result == SttResult("", True, 3)
    assert took == pytest.approx(STRAGGLERS)


async def test_words_that_were_heard_are_never_taken_for_all_of_them(autojump_clock):
    # given a vendor that stalls in the middle of an utterance
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        await say(session, 1, said(vendor, "I need a refund"), end=False)
        assert (await session.receive()).text == "I need"
        vendor.faults.mute = True
        # when
        await session.end_utterance()
        with trio.move_on_after(60) as waited:
            await final(session)
    # then whoever waits for the final knows that there is none
    assert waited.cancelled_caught


@pytest.mark.parametrize("acknowledges", ["after", "before"])
async def test_utterances_that_follow_each_other_at_once(autojump_clock, acknowledges):
    # given
    vendor = FakeCartesia()
    vendor.acknowledges, vendor.straggle = acknowledges, 0.2
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when
        for number, text in enumerate(["first", "and the second one", "third"]):
            await say(session, number, said(vendor, text))
        results = [await final(session) for _ in range(3)]
    # then
    assert [(result.utterance, result.text) for result in results] == [
        (0, "first"),
        (1, "and the second one"),
        (2, "third"),
    ]


async def test_segments_that_it_finalises_by_itself_are_joined(autojump_clock):
    # given
    vendor = FakeCartesia()
    vendor.segments = 0.6
    async with in_memory(vendor) as wire, recipe(vendor, "ink-whisper").open(Told().context(wire)) as session:
        # when
        await say(session, 1, said(vendor, "maybe tomorrow morning then"))
        result = await final(session)
    # then
    assert len(vendor.heard) > 1
    assert result.text == " ".join(vendor.heard)


async def test_what_it_opens_with_and_the_hook(autojump_clock):
    # given
    vendor = FakeCartesia()

    def change(settings):
        settings["keyterm"].append("Kilkenny")

    async with in_memory(vendor) as wire:
        told = Told(change=change)
        ours = recipe(vendor, keyterms=["Wexford"])
        # when
        async with ours.open(told.context(wire, language="de-AT")):
            pass
    # then
    handshake = vendor.requests[0]
    assert handshake.path == "/stt/websocket"
    assert handshake.headers["x-api-key"] == vendor.key
    assert handshake.query == {
        "cartesia_version": ["2026-03-01"],
        "model": ["ink-whisper"],
        "language": ["de"],
        "encoding": ["pcm_mulaw"],
        "sample_rate": ["8000"],
        "keyterm": ["Wexford", "Kilkenny"],
    }
    [opening] = told.openings
    assert (opening.role, opening.provider, opening.url) == ("stt", "cartesia", "wss://api.cartesia.ai/stt/websocket")
    assert vendor.key not in str(opening)


@pytest.mark.parametrize(
    ("options", "parameter", "value"),
    [
        ({"model": "ink-2"}, "model", "ink-2"),
        ({"language": "fr-CA"}, "language", "fr"),
        ({"extra": {"encoding": "pcm_alaw"}}, "encoding", "pcm_alaw"),
    ],
)
async def test_settings_reach_the_vendor(autojump_clock, options, parameter, value):
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire, recipe(vendor, **options).open(Told().context(wire)):
        pass
    assert vendor.requests[0].parameter(parameter) == value


async def test_audio_at_another_rate_is_linear(autojump_clock):
    # given
    vendor = FakeCartesia()
    vendor.recorded.append("wideband")
    async with (
        in_memory(vendor) as wire,
        recipe(vendor).open(Told().context(wire, sample_rate=16000)) as session,
    ):
        # when
        await say(session, 1, np.ones(16000, np.int16))
        result = await final(session)
    # then
    assert result.text == "wideband"
    assert vendor.requests[0].parameter("encoding") == "pcm_s16le"
    assert vendor.requests[0].parameter("sample_rate") == "16000"


async def test_an_idle_socket_is_kept_by_moments_of_silence(autojump_clock):
    # given a vendor that closes a socket after 20 s without a message
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire:
        told = Told()
        async with recipe(vendor).open(told.context(wire)) as session:
            # when
            await trio.sleep(100)
            await say(session, 1, said(vendor, "still here"))
            # then
            assert (await final(session)).text == "still here"


@pytest.mark.parametrize("start", ["when it is made", "when it is opened"])
async def test_ink_2_is_for_english_calls(autojump_clock, start):
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire:
        if start == "when it is made":
            with pytest.raises(ConfigurationError, match="ink-2 knows English only: use ink-whisper for de"):
                recipe(vendor, "ink-2", language="de")
        else:
            with pytest.raises(ProviderError, match="the call is in pt-BR") as error:
                async with recipe(vendor, "ink-2").open(Told().context(wire, language="pt-BR")):
                    pass
            assert error.value.fault == "fatal"
    assert vendor.requests == []


def test_too_many_keyterms():
    with pytest.raises(ConfigurationError, match="at most 100"):
        Cartesia(api_key="k", keyterms=["a"] * 101)
    with pytest.raises(ConfigurationError, match="1,200 characters"):
        Cartesia(api_key="k", keyterms=["a" * 1201])


def ink() -> InkDialect:
    return InkDialect(Cartesia(api_key="k"), 8000, CartesiaFailures("cartesia", "k"))


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        (
            '{"type":"transcript","request_id":"58df","text":" how are you","is_final":false,"duration":0.5,'
            '"language":"en","words":[{"word":"how","start":0.0,"end":0.12}]}',
            [Words(" how are you", False)],
        ),
        ('{"type":"transcript","text":" how are you","is_final":true}', [Words(" how are you", True)]),
        ('{"type":"flush_done","request_id":"58df"}', []),
        ('{"type":"done","request_id":"58df"}', []),
        ('{"type":"transcript","text":null,"is_final":true}', []),
        ('{"type":"transcript","text":7}', []),
        ('{"type":"something.new"}', []),
        ('{"type":{}}', []),
        ("[1]", []),
        ("nonsense", []),
        (b"\xff\x00", []),
    ],
)
def test_frames(message, heard):
    assert list(ink().feed(message)) == heard


def test_commands():
    dialect = ink()
    dialect.start()
    assert dialect.end() == ("finalize",)
    assert dialect.bye() == ("close",)
    assert dialect.still_here() == (b"\xff" * 160,)
    assert list(dialect.feed('{"type":"transcript","text":"hi","is_final":true}')) == [Words("hi", True)]
    assert list(dialect.feed('{"type":"flush_done"}')) == [Finished(of=0)]
