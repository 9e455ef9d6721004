"""Cartesia's voices against the simulated service."""

from __future__ import annotations

import json
import math
from functools import partial

import pytest
import trio
from cases import Told
from talking import sentence

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import WordTime
from callengine.providers.cartesia_account import CartesiaFailures
from callengine.providers.tts.cartesia import VOICE, Cartesia, SonicDialect
from callengine.providers.tts.contexts import Spoken
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.cartesia import FakeCartesia
from callengine.testing.words import read_words

WIDE = AudioFormat("l16", 16000)


def recipe(vendor: FakeCartesia, *args: str, **options) -> Cartesia:
    return Cartesia(*args, api_key=vendor.key, **options)


async def test_what_a_sentence_is_asked_with_and_the_hook(autojump_clock):
    # given
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire:
        told = Told(change=lambda settings: settings.update(language="fr"))
        # when
        async with recipe(vendor).open(told.context(wire, language="de-DE")) as session:
            await sentence(session, "Hello.")
    # then
    handshake = vendor.requests[0]
    assert (handshake.path, handshake.query) == ("/tts/websocket", {"cartesia_version": ["2026-03-01"]})
    assert handshake.headers["x-api-key"] == vendor.key
    assert vendor.settings == [
        {
            "context_id": "c1",
            "model_id": "sonic-3",
            "voice": {"mode": "id", "id": VOICE},
            "language": "fr",
            "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000},
            "add_timestamps": True,
            "max_buffer_delay_ms": 0,
            "transcript": "Hello.",
            "continue": False,
        }
    ]
    [opening] = told.openings
    assert (opening.role, opening.provider, opening.url) == ("tts", "cartesia", "wss://api.cartesia.ai/tts/websocket")
    assert vendor.key not in str(opening)


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"voice": "v-2"}, "voice", {"mode": "id", "id": "v-2"}),
        ({"model": "sonic-3.5"}, "model_id", "sonic-3.5"),
        ({"language": "pt-BR"}, "language", "pt"),
        ({"speed": 1.2}, "generation_config", {"speed": 1.2}),
        ({"volume": 0.8}, "generation_config", {"volume": 0.8}),
        ({"emotion": "content"}, "generation_config", {"emotion": "content"}),
        ({"pronunciations": "pd-1"}, "pronunciation_dict_id", "pd-1"),
        ({"extra": {"add_timestamps": False}}, "add_timestamps", False),
    ],
)
async def test_settings_reach_the_vendor(autojump_clock, options, field, value):
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire, recipe(vendor, **options).open(Told().context(wire)) as session:
        await sentence(session, "Hello.")
    assert vendor.settings[0][field] == value


@pytest.mark.parametrize(
    ("line", "asked", "declared"),
    [
        (TELEPHONE, ("pcm_mulaw", 8000), TELEPHONE),
        (AudioFormat("alaw", 8000), ("pcm_alaw", 8000), AudioFormat("alaw", 8000)),
        (WIDE, ("pcm_s16le", 16000), WIDE),
        (AudioFormat("l16", 12000), ("pcm_s16le", 24000), AudioFormat("l16", 24000)),
    ],
)
async def test_formats(autojump_clock, line, asked, declared):
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire, line=line)) as session:
        audio, words = await sentence(session, "Hello there.")
    output = vendor.settings[0]["output_format"]
    assert (output["encoding"], output["sample_rate"]) == asked
    assert session.audio_format == declared
    assert declared.seconds(len(audio)) == pytest.approx(words[-1].end, abs=0.01)


@pytest.mark.parametrize("late", [0, 5])
@pytest.mark.parametrize("done", [False, True])
async def test_a_cut_sentence_is_cancelled_and_its_late_audio_dropped(autojump_clock, late, done):
    # given
    vendor = FakeCartesia()
    vendor.faults.chunk_delay, vendor.late, vendor.done_when_cancelled = 0.05, late, done
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when
        async with session.synthesise("This sentence is cut after its first word is here.") as chunks:
            await anext(chunks)
        audio, words = await sentence(session, "What did you say?")
    # then
    assert vendor.cancelled == ["c1"]
    assert read_words(vendor.vocabulary, audio) == "What did you say?"
    assert " ".join(word.word for word in words) == "What did you say?"


async def test_a_whole_sentence_is_not_cancelled(autojump_clock):
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        await sentence(session, "Hello there.")
    assert vendor.cancelled == []


@pytest.mark.parametrize(
    ("status", "fault"), [(400, "fatal"), (402, "fatal"), (404, "fatal"), (429, "retry"), (500, "retry")]
)
async def test_an_error_of_a_context_fails_its_sentence_and_no_other(autojump_clock, status, fault):
    # given
    vendor = FakeCartesia()
    vendor.faults.chunk_delay = 0.05
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when
        broken = partial(vendor.say_all, json.dumps(vendor.problem(status, "out of luck", context_id="c1")))
        with pytest.raises(ProviderError, match=f"cartesia sonic-3: {status}: Error {status}: out of luck") as error:
            await sentence(session, "This one fails in the middle.", after_first=broken)
        audio, _ = await sentence(session, "This one works.")
    # then
    assert error.value.fault == fault
    assert read_words(vendor.vocabulary, audio) == "This one works."


async def test_a_voice_that_does_not_exist(autojump_clock):
    vendor = FakeCartesia()
    vendor.voices = {"v-1"}
    async with in_memory(vendor) as wire, recipe(vendor, "v-2").open(Told().context(wire)) as session:
        with pytest.raises(ProviderError, match="404: Error 404: voice not found") as error:
            await sentence(session, "Hello.")
    assert error.value.fault == "fatal"


async def test_an_idle_socket_that_the_vendor_closes_is_to_be_opened_anew(autojump_clock):
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire:
        with pytest.raises(ProviderError) as error:
            async with recipe(vendor).open(Told().context(wire)):
                await trio.sleep(400)
    assert trio.current_time() == pytest.approx(vendor.speaks_idle, abs=2)
    assert error.value.fault == "reopen"
    assert recipe(vendor).idle_limit < vendor.speaks_idle


@pytest.mark.parametrize(("options", "said"), [({"speed": 3}, "0.6 to 1.5"), ({"volume": 0.1}, "0.5 to 2.0")])
def test_settings_that_cannot_work(options, said):
    with pytest.raises(ConfigurationError, match=said):
        Cartesia(api_key="k", **options)


@pytest.mark.parametrize(
    ("message", "spoken"),
    [
        (
            '{"type":"chunk","context_id":"turn-17","data":"AAEC","done":false,"status_code":206,"step_time":41.2,'
            '"flush_id":1}',
            [Spoken("turn-17", audio=b"\x00\x01\x02")],
        ),
        (
            '{"type":"timestamps","context_id":"turn-17","done":false,"status_code":206,"flush_id":1,'
            '"word_timestamps":{"words":["Sure,","let"],"start":[0.02,0.41],"end":[0.36,0.52]}}',
            [Spoken("turn-17", words=(WordTime("Sure,", 0.02, 0.36), WordTime("let", 0.41, 0.52)))],
        ),
        ('{"type":"done","context_id":"turn-17","done":true,"status_code":200}', [Spoken("turn-17", done=True)]),
        ('{"type":"flush_done","context_id":"turn-17","flush_id":1,"flush_done":true,"done":false}', []),
        ('{"type":"phoneme_timestamps","context_id":"turn-17","phoneme_timestamps":{"phonemes":["S"]}}', []),
        ('{"type":"chunk","context_id":"turn-17","data":null}', [Spoken("turn-17")]),
        ('{"type":"chunk","context_id":"turn-17","data":"a"}', [Spoken("turn-17")]),
        ('{"type":"timestamps","context_id":"turn-17","word_timestamps":{"words":["a"],"start":null,"end":[NaN]}}',
         [Spoken("turn-17")]),
        ('{"type":"timestamps","context_id":"t","word_timestamps":{"words":["a",1,"b"],"start":[0,0,NaN],"end":[1,1,2]}}',
         [Spoken("t", words=(WordTime("a", 0.0, 1.0),))]),
        ('{"type":"chunk","data":"AAEC"}', []),
        ('{"type":"done","context_id":null}', []),
        ('{"type":"something.new","context_id":"t"}', []),
        ("[]", []),
        ("nonsense", []),
        (b"\xff", []),
    ],
)  # fmt: skip
def test_frames(message, spoken):
    dialect = SonicDialect("sonic-3", TELEPHONE, {}, CartesiaFailures("cartesia", "k"))
    assert list(dialect.feed(message)) == spoken


def test_commands():
    dialect = SonicDialect("sonic-3", TELEPHONE, {"model_id": "sonic-3"}, CartesiaFailures("cartesia", "k"))
    assert dialect.begin("t", "Hi.") == ('{"context_id":"t","model_id":"sonic-3","transcript":"Hi.","continue":false}',)
    assert dialect.cancel("t") == ('{"context_id":"t","cancel":true}',)
    assert (dialect.keep_alive, list(dialect.opening()), list(dialect.bye())) == (math.inf, [], [])
