"""Azure's voices against the simulated service."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from vendor_talk import Meter, sentence

from callengine import Agent
from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Prewarmed, Probed, TextToSpeech, Usage
from callengine.providers.tts.azure import VOICE, Azure, ssml
from callengine.testing.vendors import in_memory, on_loopback
from callengine.testing.vendors.azure import FakeAzure
from callengine.testing.words import read_words
from callengine.wire import open_wire


def recipe(vendor: FakeAzure, *args: str, **options) -> Azure:
    return Azure(*args, **{"api_key": vendor.key, "region": vendor.region, **options})


async def test_a_sentence_is_spoken_in_the_carriers_own_format(autojump_clock):
    # given
    vendor = FakeAzure()
    async with in_memory(vendor) as wire:
        meter = Meter(wire)
        async with recipe(vendor).open(meter.context) as session:
            # when
            audio, words = await sentence(session, "A table for four.")
    # then
    assert session.audio_format == TELEPHONE
    assert read_words(vendor.vocabulary, audio) == "A table for four."
    assert words == []
    assert vendor.spoken == ["A table for four."]
    assert meter.usage == [Usage(provider="azure", model=VOICE, characters=17, estimated=True)]


@pytest.mark.parametrize(
    ("line", "spoken", "name"),
    [
        (TELEPHONE, TELEPHONE, "raw-8khz-8bit-mono-mulaw"),
        (AudioFormat("alaw", 8000), AudioFormat("alaw", 8000), "raw-8khz-8bit-mono-alaw"),
        (AudioFormat("l16", 16000), AudioFormat("l16", 16000), "raw-16khz-16bit-mono-pcm"),
        (AudioFormat("l16", 44100), AudioFormat("l16", 24000), "raw-24khz-16bit-mono-pcm"),
        (AudioFormat("mulaw", 16000), AudioFormat("l16", 24000), "raw-24khz-16bit-mono-pcm"),
    ],
)
async def test_other_lines(autojump_clock, line, spoken, name):
    vendor = FakeAzure()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire, line=line).context) as session:
        audio, _ = await sentence(session, "hello")
    assert session.audio_format == spoken
    assert vendor.requests[0].headers["x-microsoft-outputformat"] == name
    assert spoken.seconds(len(audio)) == pytest.approx(0.36, abs=0.01)


async def test_what_it_sends_byte_for_byte(autojump_clock):
    # given
    vendor = FakeAzure()
    async with in_memory(vendor) as wire:
        meter = Meter(wire)
        async with recipe(vendor, speed=1.05, style="cheerful").open(meter.context) as session:
            # when
            await sentence(session, "Hello there.")
    # then
    [request] = vendor.requests
    assert (request.host, request.path, request.query) == (
        "westeurope.tts.speech.microsoft.com",
        "/cognitiveservices/v1",
        {},
    )
    assert request.headers["ocp-apim-subscription-key"] == vendor.key
    assert request.headers["content-type"] == "application/ssml+xml"
    assert request.headers["user-agent"] == "callengine"
    assert vendor.ssml == [
        '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" '
        'xmlns:mstts="http://www.w3.org/2001/mstts" xml:lang="en-US"><voice name="en-US-AvaMultilingualNeural">'
        '<mstts:express-as style="cheerful"><prosody rate="1.05">Hello there.</prosody></mstts:express-as>'
        "</voice></speak>"
    ]
    [opening] = meter.openings
    assert (opening.role, opening.provider, opening.url) == ("tts", "azure", f"https://{request.host}{request.path}")
    assert vendor.key not in str(opening)


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({"voice": "de-DE-KatjaNeural"}, '<voice name="de-DE-KatjaNeural">'),
        ({"language": "fr"}, 'xml:lang="fr-FR"'),
        ({"speed": 0.5}, '<prosody rate="0.5">'),
        ({"style": "calm"}, '<mstts:express-as style="calm">'),
        ({"extra": {"prosody": {"pitch": "+2st"}}, "speed": 1.1}, '<prosody rate="1.1" pitch="+2st">'),
        ({"extra": {"language": "es-MX"}}, 'xml:lang="es-MX"'),
    ],
)
async def test_settings_reach_the_vendor(autojump_clock, options, written):
    vendor = FakeAzure()
    async with in_memory(vendor) as wire, recipe(vendor, **options).open(Meter(wire).context) as session:
        await sentence(session, "hello")
    assert written in vendor.ssml[0]


async def test_a_custom_voice_and_the_hook(autojump_clock):
    vendor = FakeAzure()

    def change(settings):
        settings["prosody"] = {"volume": "loud"}

    async with in_memory(vendor) as wire:
        async with recipe(vendor, deployment="d-1").open(Meter(wire, change=change, language="de").context) as session:
            await sentence(session, "hello")
    assert vendor.requests[0].query == {"deploymentId": ["d-1"]}
    assert '<prosody volume="loud">' in vendor.ssml[0]
    assert 'xml:lang="de-DE"' in vendor.ssml[0]


@pytest.mark.parametrize(
    "text",
    [
        'AT&T says "5 < 6" and it\'s > 4',
        "</voice></speak><voice name='x'>",
        "<break time='10s'/>",
        "<![CDATA[x]]> &amp; &#x41;",
        "<!DOCTYPE a [<!ENTITY b 'c'>]>&b;",
        "<?xml version='1.0'?>",
    ],
)
async def test_nothing_of_a_text_becomes_markup(autojump_clock, text):
    vendor = FakeAzure()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        await sentence(session, text)
    assert vendor.spoken == [text]


@given(st.text(st.characters(codec=None)))
def test_any_text_is_spoken_as_it_is_or_left_out(text):
    # when
    document = ssml(text, {"voice": "v", "language": "en-US", "prosody": {"rate": text}})
    # then it is well-formed, with one piece of text in it, and what XML cannot hold is a space
    voice = ElementTree.fromstring(document.encode())[0]
    [prosody] = voice
    assert list(prosody) == []
    heard = "".join(prosody.itertext())
    assert heard.split() == "".join(
        character
        if character in "\t\n\r" or 0x20 <= ord(character) <= 0xD7FF or 0xE000 <= ord(character) <= 0xFFFD
        or ord(character) > 0xFFFF
        else " "
        for character in text
    ).split()  # fmt: skip


async def test_cancelling_closes_the_connection_and_the_text_is_paid_for(autojump_clock):
    # given
    vendor = FakeAzure()
    vendor.faults.chunk_delay = 0.1
    async with in_memory(vendor) as wire:
        meter = Meter(wire)
        async with recipe(vendor).open(meter.context) as session:
            # when the caller interrupts after the first audio
            async with session.synthesise("a sentence of some length") as chunks:
                await anext(aiter(chunks))
            await trio.sleep(0.2)
            # then
            assert vendor.connections == 0
            assert [usage.characters for usage in meter.usage] == [25]
            # and the next one is spoken whole
            audio, _ = await sentence(session, "sorry")
            assert read_words(vendor.vocabulary, audio) == "sorry"


async def test_cancelling_before_the_answer_is_paid_for_too(autojump_clock):
    vendor = FakeAzure()
    vendor.faults.answer_delay = 1.0
    async with in_memory(vendor) as wire:
        meter = Meter(wire)
        async with recipe(vendor).open(meter.context) as session:
            with trio.move_on_after(0.5):
                await sentence(session, "hello")
    assert [usage.characters for usage in meter.usage] == [5]


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (400, "fatal"), (401, "fatal"), (403, "fatal"), (404, "fatal"), (415, "fatal"), (429, "retry"),
        (502, "retry"), (503, "retry"), (504, "retry"),
    ],
)  # fmt: skip
async def test_refusals_say_what_helps_and_cost_nothing(autojump_clock, status, fault):
    vendor = FakeAzure()
    vendor.refuse(status, "", **{"retry-after": "3"})
    async with in_memory(vendor) as wire:
        meter = Meter(wire)
        async with recipe(vendor).open(meter.context) as session:
            with pytest.raises(ProviderError, match=rf"azure {VOICE}: HTTP {status}") as error:
                await sentence(session, "hello")
    assert (error.value.fault, error.value.retry_after) == (fault, 3.0)
    assert meter.usage == []


@pytest.mark.parametrize("text", ["", " \n", "\x00\x1b"])
async def test_nothing_to_say(autojump_clock, text):
    vendor = FakeAzure()
    async with in_memory(vendor) as wire:
        meter = Meter(wire)
        async with recipe(vendor).open(meter.context) as session:
            assert await sentence(session, text) == (b"", [])
    assert (vendor.requests, meter.usage) == ([], [])


async def test_a_voice_that_it_does_not_have(autojump_clock):
    vendor = FakeAzure()
    async with in_memory(vendor) as wire, recipe(vendor, "en-US-Nobody").open(Meter(wire).context) as session:
        with pytest.raises(ProviderError, match="HTTP 400: Unsupported voice en-US-Nobody") as error:
            await sentence(session, "hello")
    assert error.value.fault == "fatal"


async def test_the_first_audio_and_what_follows_have_their_times(autojump_clock):
    vendor = FakeAzure()
    ours = recipe(vendor, first_byte=1.5, between=0.7)
    async with in_memory(vendor) as wire, ours.open(Meter(wire).context) as session:
        # when nothing comes at all
        vendor.faults.mute = True
        with pytest.raises(ProviderError, match=r"no audio within 1\.5 s") as error:
            await sentence(session, "hello")
        assert error.value.fault == "retry"
        assert trio.current_time() == pytest.approx(1.5)
        # when it stops in the middle
        vendor.faults.mute, vendor.faults.stall_after = False, 1
        begun = trio.current_time()
        with pytest.raises(ProviderError, match=r"nothing more came for 0\.7 s"):
            await sentence(session, "hello")
        assert trio.current_time() - begun == pytest.approx(0.7)


async def test_prewarming_has_the_connection_ready(autojump_clock):
    # given
    vendor = FakeAzure()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        assert isinstance(session, Prewarmed)
        # when
        await session.prewarm()
        await sentence(session, "hello")
        await sentence(session, "again")
    # then
    assert [request.path for request in vendor.requests] == [
        "/cognitiveservices/voices/list",
        "/cognitiveservices/v1",
        "/cognitiveservices/v1",
    ]
    assert vendor.connected == 1


async def test_the_probe(autojump_clock):
    vendor = FakeAzure()
    async with in_memory(vendor) as wire:
        await recipe(vendor).probe(wire)
        with pytest.raises(ProviderError, match="HTTP 401") as error:
            await recipe(vendor, api_key="wrong").probe(wire)
        assert error.value.fault == "fatal"
        vendor.faults.answer_delay = 10.0
        with pytest.raises(ProviderError, match="no answer within 2 s"):
            await recipe(vendor, connect=2.0).probe(wire)


def test_the_recipe(monkeypatch):
    monkeypatch.setenv("AZURE_SPEECH_KEY", "from-the-environment")
    monkeypatch.setenv("AZURE_SPEECH_REGION", "eastus2")
    ours = Azure()
    assert (ours.api_key, ours.region, ours.name) == ("from-the-environment", "eastus2", f"azure {VOICE}")
    assert ours.idle_limit == float("inf")
    assert "from-the-environment" not in repr(ours)
    assert isinstance(ours, Probed)
    voice: TextToSpeech = ours
    assert voice is ours
    for speed in (0.4, 2.1):
        with pytest.raises(ConfigurationError, match=r"speaks at 0\.5 to 2 times"):
            Azure(speed=speed)
    with pytest.raises(ConfigurationError, match="voice is empty"):
        Azure(voice=" ")
    monkeypatch.delenv("AZURE_SPEECH_REGION")
    with pytest.raises(ConfigurationError, match="set AZURE_SPEECH_REGION"):
        Azure()
    monkeypatch.delenv("AZURE_SPEECH_KEY")
    with pytest.raises(ConfigurationError, match="azure needs a key: set AZURE_SPEECH_KEY"):
        Azure(region="eastus2")


async def test_over_the_loopback():
    vendor = FakeAzure()
    async with on_loopback(vendor) as address, open_wire() as wire:
        ours = recipe(vendor, base_url=f"http://{address}", region="")
        async with ours.open(Meter(wire).context) as session:
            audio, _ = await sentence(session, "over a real socket")
        assert read_words(vendor.vocabulary, audio) == "over a real socket"
        await ours.probe(wire)


async def test_a_whole_call(call_lab):
    # given
    vendor = FakeAzure(call_lab.vocabulary)
    call_lab.llm.replies("A refund is on its way.")
    agent = Agent(greeting="Hello there.", stt=call_lab.stt, tts=recipe(vendor))
    async with in_memory(vendor) as wire:
        async with call_lab.dial(agent, wire=wire) as caller:
            await caller.hears("Hello there.")
            # when
            await caller.says("I need a refund please.")
            # then
            await caller.hears("A refund is on its way.")
    assert vendor.spoken == ["Hello there.", "A refund is on its way."]
    call_lab.assert_nothing_left()
