"""Azure's voices against the simulated service."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from cases import Told
from hypothesis import given
from hypothesis import strategies as st
from talking import sentence

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.errors import ConfigurationError, ProviderError
from callengine.providers.tts.azure import Azure, ssml
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.azure import FakeAzure


def recipe(vendor: FakeAzure, *args: str, **options) -> Azure:
    return Azure(*args, **{"api_key": vendor.key, "region": vendor.region, **options})


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
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire, line=line)) as session:
        audio, _ = await sentence(session, "hello")
    assert session.audio_format == spoken
    assert vendor.requests[0].headers["x-microsoft-outputformat"] == name
    assert spoken.seconds(len(audio)) == pytest.approx(0.36, abs=0.01)


async def test_what_it_sends_byte_for_byte(autojump_clock):
    # given
    vendor = FakeAzure()
    async with in_memory(vendor) as wire:
        told = Told()
        async with recipe(vendor, speed=1.05, style="cheerful").open(told.context(wire)) as session:
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
    [opening] = told.openings
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
    async with in_memory(vendor) as wire, recipe(vendor, **options).open(Told().context(wire)) as session:
        await sentence(session, "hello")
    assert written in vendor.ssml[0]


async def test_a_custom_voice_and_the_hook(autojump_clock):
    vendor = FakeAzure()

    def change(settings):
        settings["prosody"] = {"volume": "loud"}

    async with in_memory(vendor) as wire:
        async with recipe(vendor, deployment="d-1").open(Told(change=change).context(wire, language="de")) as session:
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
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
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


@pytest.mark.parametrize("text", ["", " \n", "\x00\x1b"])
async def test_nothing_to_say(autojump_clock, text):
    vendor = FakeAzure()
    async with in_memory(vendor) as wire:
        told = Told()
        async with recipe(vendor).open(told.context(wire)) as session:
            assert await sentence(session, text) == (b"", [])
    assert (vendor.requests, told.usage) == ([], [])


async def test_a_voice_that_it_does_not_have(autojump_clock):
    vendor = FakeAzure()
    async with in_memory(vendor) as wire, recipe(vendor, "en-US-Nobody").open(Told().context(wire)) as session:
        with pytest.raises(ProviderError, match="HTTP 400: Unsupported voice en-US-Nobody") as error:
            await sentence(session, "hello")
    assert error.value.fault == "fatal"


def test_the_recipe(monkeypatch):
    monkeypatch.setenv("AZURE_SPEECH_KEY", "from-the-environment")
    monkeypatch.setenv("AZURE_SPEECH_REGION", "eastus2")
    assert Azure().region == "eastus2"
    for speed in (0.4, 2.1):
        with pytest.raises(ConfigurationError, match=r"speaks at 0\.5 to 2 times"):
            Azure(speed=speed)
    with pytest.raises(ConfigurationError, match="voice is empty"):
        Azure(voice=" ")
    monkeypatch.delenv("AZURE_SPEECH_REGION")
    with pytest.raises(ConfigurationError, match="set AZURE_SPEECH_REGION"):
        Azure()
