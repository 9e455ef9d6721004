"""ElevenLabs' voices over HTTP, against the simulated service."""

from __future__ import annotations

import math

import pytest
import trio
from vendor_talk import Meter, sentence

from callengine import Agent
from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Parkable, Prewarmed, Probed, TextToSpeech, Usage
from callengine.providers.tts.elevenlabs_http import ElevenLabsHttp
from callengine.providers.tts.elevenlabs_voice import VOICE
from callengine.testing.vendors import in_memory, on_loopback
from callengine.testing.vendors.elevenlabs import FakeElevenLabs
from callengine.testing.words import read_words
from callengine.wire import open_wire


def recipe(vendor: FakeElevenLabs, *args: str, **options) -> ElevenLabsHttp:
    return ElevenLabsHttp(*args, api_key=vendor.key, **options)


async def test_sentences_are_spoken_in_the_lines_own_format_on_one_connection(autojump_clock):
    # given
    vendor = FakeElevenLabs()
    vendor.faults.chunk = 333
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        # when
        texts = ["Sure, let me check.", "One moment."]
        audio = [(await sentence(session, text))[0] for text in texts]
    # then
    assert session.audio_format == TELEPHONE
    assert [read_words(vendor.vocabulary, each) for each in audio] == texts
    assert vendor.connected == 1


async def test_what_a_sentence_is_asked_with_and_the_hook(autojump_clock):
    # given
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire:
        meter = Meter(wire, change=lambda settings: settings.update(seed=7), language="de-DE")
        # when
        async with recipe(vendor, speed=1.1).open(meter.context) as session:
            await sentence(session, "Hallo.")
    # then
    [request] = vendor.requests
    assert (request.method, request.path) == ("POST", f"/v1/text-to-speech/{VOICE}/stream")
    assert request.query == {"output_format": ["ulaw_8000"]}
    assert request.headers["xi-api-key"] == vendor.key
    assert request.json == {
        "model_id": "eleven_flash_v2_5",
        "text": "Hallo.",
        "language_code": "de",
        "voice_settings": {"speed": 1.1},
        "seed": 7,
    }
    [opening] = meter.openings
    assert (opening.role, opening.provider) == ("tts", "elevenlabs")
    assert opening.url == f"https://api.elevenlabs.io/v1/text-to-speech/{VOICE}/stream"
    assert vendor.key not in str(opening)


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"model": "eleven_v3"}, "model_id", "eleven_v3"),
        ({"language": "pt-BR"}, "language_code", "pt"),
        ({"model": "eleven_multilingual_v2"}, "language_code", None),
        ({"normalization": "on"}, "apply_text_normalization", "on"),
        ({"stability": 0.2}, "voice_settings", {"stability": 0.2}),
        ({"extra": {"previous_text": "Hello."}}, "previous_text", "Hello."),
    ],
)
async def test_settings_reach_the_vendor(autojump_clock, options, field, value):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor, "v-2", **options).open(Meter(wire).context) as session:
        await sentence(session, "Hello.")
    assert vendor.requests[0].json.get(field) == value
    assert "/v-2/" in vendor.requests[0].path


async def test_the_vendor_may_be_asked_to_keep_nothing(autojump_clock):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor, logging=False).open(Meter(wire).context) as session:
        await sentence(session, "Hello.")
    assert vendor.requests[0].parameter("enable_logging") == "false"


async def test_another_line(autojump_clock):
    vendor = FakeElevenLabs()
    line = AudioFormat("l16", 24000)
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire, line=line).context) as session:
        audio, _ = await sentence(session, "Hello there.")
    assert vendor.requests[0].parameter("output_format") == "pcm_24000"
    assert session.audio_format == line
    assert len(audio) % 2 == 0


async def test_a_cut_sentence_closes_its_connection(autojump_clock):
    # given
    vendor = FakeElevenLabs()
    vendor.faults.chunk_delay = 0.2
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        # when
        async with session.synthesise("This sentence is cut after its first word is here.") as chunks:
            await anext(chunks)
        await trio.sleep(0.5)
        # then
        assert vendor.connections == 0
        vendor.faults.chunk_delay = 0.0
        audio, _ = await sentence(session, "What did you say?")
    assert read_words(vendor.vocabulary, audio) == "What did you say?"


async def test_nothing_to_say_asks_for_nothing(autojump_clock):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire:
        meter = Meter(wire)
        async with recipe(vendor).open(meter.context) as session:
            assert await sentence(session, " \n") == (b"", [])
    assert (vendor.requests, meter.usage) == ([], [])


async def test_usage_is_the_characters_begun_and_nothing_where_it_was_refused(autojump_clock):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire:
        meter = Meter(wire)
        async with recipe(vendor).open(meter.context) as session:
            # when one is whole, one is cut, one is refused, and one is cut before it was answered
            await sentence(session, "Hello there.")
            async with session.synthesise("Cut.") as chunks:
                await anext(chunks)
            vendor.refuse(429)
            with pytest.raises(ProviderError):
                await sentence(session, "Refused.")
            vendor.faults.answer_delay = 1.0
            with trio.move_on_after(0.5):
                await sentence(session, "Early.")
    # then
    assert [usage.characters for usage in meter.usage] == [12, 4, 6]
    assert meter.usage[0] == Usage(provider="elevenlabs", model="eleven_flash_v2_5", characters=12, estimated=True)


@pytest.mark.parametrize(
    ("status", "message", "fault"),
    [
        (401, r"HTTP 401: no \[key\] \(invalid_api_key\)", "fatal"),
        (422, r"HTTP 422: body\.text: no \[key\]", "fatal"),
        (429, r"HTTP 429: no \[key\] \(too_many_concurrent_requests\)", "retry"),
        (503, r"HTTP 503: no \[key\] \(system_busy\)", "retry"),
    ],
)
async def test_refusals(autojump_clock, status, message, fault):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        vendor.refuse(status, f"no {vendor.key}")
        with pytest.raises(ProviderError, match=message) as error:
            await sentence(session, "Hello.")
        assert error.value.fault == fault
        assert (await sentence(session, "Hello."))[0]


async def test_no_answer_and_a_stall_are_bounded(autojump_clock):
    # given
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire:
        ours = recipe(vendor, first_byte=2.0, between=1.0)
        async with ours.open(Meter(wire).context) as session:
            # when nothing comes
            vendor.faults.answer_delay = 30.0
            begun = trio.current_time()
            with pytest.raises(ProviderError, match="no audio within 2 s") as late:
                await sentence(session, "Hello.")
            assert trio.current_time() - begun == pytest.approx(2.0)
            # when nothing more comes
            vendor.faults.answer_delay, vendor.faults.stall_after = 0.0, 1
            begun = trio.current_time()
            with pytest.raises(ProviderError, match="nothing more came for 1 s") as stalled:
                await sentence(session, "This one is long enough to be cut in two pieces.")
            assert trio.current_time() - begun == pytest.approx(1.0)
    assert (late.value.fault, stalled.value.fault) == ("retry", "retry")


async def test_prewarming_has_a_connection_ready_that_costs_nothing(autojump_clock):
    # given a vendor that takes half a second to be connected to
    vendor = FakeElevenLabs()
    vendor.faults.connect_delay = 0.5
    async with in_memory(vendor) as wire:
        meter = Meter(wire)
        async with recipe(vendor).open(meter.context) as session:
            assert isinstance(session, Prewarmed)
            await session.prewarm()
            assert meter.usage == []
            # when
            begun = trio.current_time()
            await sentence(session, "Hello.")
            # then
            assert trio.current_time() == begun
    assert vendor.connected == 1
    assert vendor.requests[0].path == "/v1/voices"


async def test_the_probe_and_its_bound(autojump_clock):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire:
        await recipe(vendor).probe(wire)
        with pytest.raises(ProviderError, match="Invalid API key") as error:
            await ElevenLabsHttp(api_key="wrong").probe(wire)
        assert error.value.fault == "fatal"
        vendor.faults.answer_delay = 30.0
        with pytest.raises(ProviderError, match=r"no answer within 1\.5 s"):
            await recipe(vendor, connect=1.5).probe(wire)


def test_the_recipe(monkeypatch):
    monkeypatch.setenv("ELEVENLABS_API_KEY", "from-the-environment")
    ours: TextToSpeech = ElevenLabsHttp("v-1")
    assert isinstance(ours, ElevenLabsHttp)
    assert (ours.voice, ours.api_key) == ("v-1", "from-the-environment")
    assert ours.name == "elevenlabs eleven_flash_v2_5 over http"
    assert (ours.idle_limit, "from-the-environment" in repr(ours)) == (math.inf, False)
    assert isinstance(ours, Parkable)
    assert isinstance(ours, Probed)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"first_byte": 0}, "first_byte"), ({"between": -1}, "between"), ({"base_url": "ftp://x"}, "base_url")],
)
def test_settings_that_cannot_work(options, said):
    with pytest.raises(ConfigurationError, match=said):
        ElevenLabsHttp(api_key="k", **options)


async def test_over_the_loopback():
    vendor = FakeElevenLabs()
    async with on_loopback(vendor) as address, open_wire() as wire:
        async with recipe(vendor, base_url=f"http://{address}").open(Meter(wire).context) as session:
            audio, _ = await sentence(session, "Over a real socket.")
    assert read_words(vendor.vocabulary, audio) == "Over a real socket."


async def test_a_whole_call(call_lab):
    # given
    vendor = FakeElevenLabs(call_lab.vocabulary)
    call_lab.llm.replies("A refund is on its way.")
    agent = Agent(greeting="Hello there.", tts=recipe(vendor))
    async with in_memory(vendor) as wire:
        async with call_lab.dial(agent, wire=wire) as caller:
            await caller.hears("Hello there.")
            # when
            await caller.says("I need a refund please.")
            # then
            await caller.hears("on its way")
    assert vendor.spoken[:2] == ["Hello there.", "A refund is on its way."]
    call_lab.assert_nothing_left()
