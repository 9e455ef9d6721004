"""ElevenLabs' voices over HTTP, against the simulated service."""

from __future__ import annotations

import pytest
from cases import Told
from talking import sentence

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.errors import ConfigurationError
from callengine.providers.tts.elevenlabs_http import ElevenLabsHttp
from callengine.providers.tts.elevenlabs_voice import VOICE
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.elevenlabs import FakeElevenLabs
from callengine.testing.words import read_words


def recipe(vendor: FakeElevenLabs, *args: str, **options) -> ElevenLabsHttp:
    return ElevenLabsHttp(*args, api_key=vendor.key, **options)


async def test_sentences_are_spoken_in_the_lines_own_format_on_one_connection(autojump_clock):
    # given
    vendor = FakeElevenLabs()
    vendor.faults.chunk = 333
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
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
        told = Told(change=lambda settings: settings.update(seed=7))
        # when
        async with recipe(vendor, speed=1.1).open(told.context(wire, language="de-DE")) as session:
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
    [opening] = told.openings
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
    async with in_memory(vendor) as wire, recipe(vendor, "v-2", **options).open(Told().context(wire)) as session:
        await sentence(session, "Hello.")
    assert vendor.requests[0].json.get(field) == value
    assert "/v-2/" in vendor.requests[0].path


async def test_the_vendor_may_be_asked_to_keep_nothing(autojump_clock):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor, logging=False).open(Told().context(wire)) as session:
        await sentence(session, "Hello.")
    assert vendor.requests[0].parameter("enable_logging") == "false"


async def test_another_line(autojump_clock):
    vendor = FakeElevenLabs()
    line = AudioFormat("l16", 24000)
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire, line=line)) as session:
        audio, _ = await sentence(session, "Hello there.")
    assert vendor.requests[0].parameter("output_format") == "pcm_24000"
    assert session.audio_format == line
    assert len(audio) % 2 == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [({"first_byte": 0}, "first_byte"), ({"between": -1}, "between"), ({"base_url": "ftp://x"}, "base_url")],
)
def test_settings_that_cannot_work(options, said):
    with pytest.raises(ConfigurationError, match=said):
        ElevenLabsHttp(api_key="k", **options)
