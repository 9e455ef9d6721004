"""Cartesia's voices against the simulated service."""

from __future__ import annotations

import json
import math
from functools import partial
from itertools import pairwise

import pytest
import trio
from vendor_talk import Meter, sentence

from callengine import Agent
from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Parkable, Probed, TextToSpeech, Usage, WordTime
from callengine.providers.cartesia_account import CartesiaFailures
from callengine.providers.tts.cartesia import VOICE, Cartesia, SonicDialect
from callengine.providers.tts.contexts import Spoken
from callengine.testing.vendors import in_memory, on_loopback
from callengine.testing.vendors.cartesia import FakeCartesia
from callengine.testing.words import read_words
from callengine.wire import open_wire

WIDE = AudioFormat("l16", 16000)


def recipe(vendor: FakeCartesia, *args: str, **options) -> Cartesia:
    return Cartesia(*args, api_key=vendor.key, **options)


async def test_a_sentence_is_spoken_in_the_lines_own_format_with_the_times_of_its_words(autojump_clock):
    # given
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        # when
        audio, words = await sentence(session, "Sure, let me check.")
    # then
    assert session.audio_format == TELEPHONE
    assert read_words(vendor.vocabulary, audio) == "Sure, let me check."
    assert [word.word for word in words] == ["Sure,", "let", "me", "check."]
    assert words[0].start == 0.0
    assert words[-1].end == pytest.approx(TELEPHONE.seconds(len(audio)))
    assert all(before.end <= after.start for before, after in pairwise(words))
    assert vendor.spoken == ["Sure, let me check."]


async def test_what_a_sentence_is_asked_with_and_the_hook(autojump_clock):
    # given
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire:
        meter = Meter(wire, change=lambda settings: settings.update(language="fr"), language="de-DE")
        # when
        async with recipe(vendor).open(meter.context) as session:
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
    [opening] = meter.openings
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
    async with in_memory(vendor) as wire, recipe(vendor, **options).open(Meter(wire).context) as session:
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
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire, line=line).context) as session:
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
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
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
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        await sentence(session, "Hello there.")
    assert vendor.cancelled == []


async def test_usage_is_the_characters_begun_also_when_it_is_cut(autojump_clock):
    vendor = FakeCartesia()
    vendor.faults.chunk_delay = 0.05
    async with in_memory(vendor) as wire:
        meter = Meter(wire)
        async with recipe(vendor).open(meter.context) as session:
            await sentence(session, "Hello there.")
            async with session.synthesise("Cut.") as chunks:
                await anext(chunks)
    assert meter.usage == [
        Usage(provider="cartesia", model="sonic-3", characters=12, estimated=True),
        Usage(provider="cartesia", model="sonic-3", characters=4, estimated=True),
    ]


@pytest.mark.parametrize(
    ("status", "fault"), [(400, "fatal"), (402, "fatal"), (404, "fatal"), (429, "retry"), (500, "retry")]
)
async def test_an_error_of_a_context_fails_its_sentence_and_no_other(autojump_clock, status, fault):
    # given
    vendor = FakeCartesia()
    vendor.faults.chunk_delay = 0.05
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        # when
        broken = partial(vendor.say_all, json.dumps(vendor.problem(status, "out of luck", context_id="c1")))
        with pytest.raises(ProviderError, match=f"cartesia sonic-3: {status}: Error {status}: out of luck") as error:
            await sentence(session, "This one fails in the middle.", after_first=broken)
        audio, _ = await sentence(session, "This one works.")
    # then
    assert error.value.fault == fault
    assert read_words(vendor.vocabulary, audio) == "This one works."


async def test_an_error_without_a_context_ends_the_session(autojump_clock):
    vendor = FakeCartesia()
    vendor.faults.chunk_delay = 0.05
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        broken = partial(vendor.say_all, json.dumps(vendor.problem(402, "no credit")))
        with pytest.raises(ProviderError, match="402: Error 402: no credit") as error:
            await sentence(session, "This one fails.", after_first=broken)
    assert error.value.fault == "fatal"


async def test_a_voice_that_does_not_exist(autojump_clock):
    vendor = FakeCartesia()
    vendor.voices = {"v-1"}
    async with in_memory(vendor) as wire, recipe(vendor, "v-2").open(Meter(wire).context) as session:
        with pytest.raises(ProviderError, match="404: Error 404: voice not found") as error:
            await sentence(session, "Hello.")
    assert error.value.fault == "fatal"


@pytest.mark.parametrize(("status", "fault"), [(401, "fatal"), (402, "fatal"), (429, "retry"), (503, "retry")])
async def test_refused_handshakes(autojump_clock, status, fault):
    vendor = FakeCartesia()
    vendor.refuse(status, f"no {vendor.key}")
    async with in_memory(vendor) as wire:
        with pytest.raises(ProviderError, match=rf"HTTP {status}: Error {status}: no \[key\]") as error:
            async with recipe(vendor).open(Meter(wire).context):
                pass
    assert error.value.fault == fault


async def test_an_idle_socket_that_the_vendor_closes_is_to_be_opened_anew(autojump_clock):
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire:
        with pytest.raises(ProviderError) as error:
            async with recipe(vendor).open(Meter(wire).context):
                await trio.sleep(400)
    assert trio.current_time() == pytest.approx(vendor.speaks_idle, abs=2)
    assert error.value.fault == "reopen"
    assert recipe(vendor).idle_limit < vendor.speaks_idle


async def test_connect_bounds_the_connection(autojump_clock):
    vendor = FakeCartesia()
    vendor.faults.answer_delay = 10.0
    async with in_memory(vendor) as wire:
        with pytest.raises(ProviderError, match=r"no connection within 1\.5 s"):
            async with recipe(vendor, connect=1.5).open(Meter(wire).context):
                pass


@pytest.mark.parametrize(("options", "said"), [({"speed": 3}, "0.6 to 1.5"), ({"volume": 0.1}, "0.5 to 2.0")])
def test_settings_that_cannot_work(options, said):
    with pytest.raises(ConfigurationError, match=said):
        Cartesia(api_key="k", **options)


def test_the_recipe(monkeypatch):
    monkeypatch.setenv("CARTESIA_API_KEY", "from-the-environment")
    ours: TextToSpeech = Cartesia("v-1")
    assert isinstance(ours, Cartesia)
    assert (ours.voice, ours.name, ours.api_key) == ("v-1", "cartesia sonic-3", "from-the-environment")
    assert "from-the-environment" not in repr(ours)
    assert isinstance(ours, Parkable)
    assert isinstance(ours, Probed)


async def test_the_probe(autojump_clock):
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire:
        await recipe(vendor).probe(wire)
        with pytest.raises(ProviderError, match="Invalid API key"):
            await Cartesia(api_key="wrong").probe(wire)


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


async def test_over_the_loopback():
    vendor = FakeCartesia()
    async with on_loopback(vendor) as address, open_wire() as wire:
        async with recipe(vendor, base_url=f"ws://{address}").open(Meter(wire).context) as session:
            audio, words = await sentence(session, "Over a real socket.")
    assert read_words(vendor.vocabulary, audio) == "Over a real socket."
    assert len(words) == 4


async def test_a_whole_call(call_lab):
    # given
    vendor = FakeCartesia(call_lab.vocabulary)
    call_lab.llm.replies("A refund is on its way.")
    agent = Agent(greeting="Hello there.", tts=recipe(vendor))
    async with in_memory(vendor) as wire:
        async with call_lab.dial(agent, wire=wire) as caller:
            await caller.hears("Hello there.")
            # when
            await caller.says("I need a refund please.")
            # then
            await caller.hears("on its way")
            await caller.waits(2)
    assert vendor.spoken[:2] == ["Hello there.", "A refund is on its way."]
    assert [turn.heard for turn in call_lab.call.outcome.turns] == ["Hello there.", "A refund is on its way."]
    call_lab.assert_nothing_left()
