"""ElevenLabs' voices on the WebSocket with many contexts, against the simulated service."""

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
from callengine.providers.elevenlabs_account import ElevenLabsFailures
from callengine.providers.tts.contexts import Spoken
from callengine.providers.tts.elevenlabs import ElevenLabs
from callengine.providers.tts.elevenlabs_voice import VOICE
from callengine.providers.tts.elevenlabs_wire import MAX_OPEN, Alignment, ContextsDialect
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.elevenlabs import FakeElevenLabs
from callengine.testing.words import read_words


def recipe(vendor: FakeElevenLabs, *args: str, **options) -> ElevenLabs:
    return ElevenLabs(*args, api_key=vendor.key, **options)


async def test_audio_without_times(autojump_clock):
    # given
    vendor = FakeElevenLabs()
    vendor.aligned = False
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when
        audio, words = await sentence(session, "Sure, let me check.")
    # then
    assert read_words(vendor.vocabulary, audio) == "Sure, let me check."
    assert words == []


async def test_what_it_opens_with_and_the_hook(autojump_clock):
    # given
    vendor = FakeElevenLabs()

    def change(settings):
        settings["voice_settings"]["stability"] = 0.4
        settings["inactivity_timeout"] = 60

    async with in_memory(vendor) as wire:
        told = Told(change=change)
        # when
        async with recipe(vendor, stability=0.5).open(told.context(wire, language="de-DE")) as session:
            await sentence(session, "Hello.")
    # then
    handshake = vendor.requests[0]
    assert handshake.path == f"/v1/text-to-speech/{VOICE}/multi-stream-input"
    assert handshake.headers["xi-api-key"] == vendor.key
    assert handshake.query == {
        "model_id": ["eleven_flash_v2_5"],
        "output_format": ["ulaw_8000"],
        "inactivity_timeout": ["60"],
        "auto_mode": ["true"],
        "sync_alignment": ["true"],
        "language_code": ["de"],
    }
    assert vendor.first_messages == [{"text": " ", "context_id": "c1", "voice_settings": {"stability": 0.4}}]
    [opening] = told.openings
    assert (opening.role, opening.provider) == ("tts", "elevenlabs")
    assert opening.url == f"wss://api.elevenlabs.io/v1/text-to-speech/{VOICE}/multi-stream-input"
    assert vendor.key not in str(opening)


@pytest.mark.parametrize(
    ("options", "parameter", "value"),
    [
        ({"model": "eleven_turbo_v2_5"}, "model_id", "eleven_turbo_v2_5"),
        ({"language": "pt-BR"}, "language_code", "pt"),
        ({"model": "eleven_multilingual_v2"}, "language_code", None),
        ({"model": "eleven_multilingual_v2", "language": "pt"}, "language_code", "pt"),
        ({"normalization": "off"}, "apply_text_normalization", "off"),
        ({"logging": False}, "enable_logging", "false"),
        ({"extra": {"enable_ssml_parsing": True}}, "enable_ssml_parsing", "true"),
    ],
)
async def test_settings_reach_the_vendor(autojump_clock, options, parameter, value):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor, **options).open(Told().context(wire)):
        pass
    assert vendor.requests[0].parameter(parameter) == value


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"stability": 0.5}, "voice_settings", {"stability": 0.5}),
        ({"similarity": 0.75}, "voice_settings", {"similarity_boost": 0.75}),
        ({"style": 0.1}, "voice_settings", {"style": 0.1}),
        ({"speaker_boost": False}, "voice_settings", {"use_speaker_boost": False}),
        ({"speed": 1.1}, "voice_settings", {"speed": 1.1}),
        (
            {"extra": {"generation_config": {"chunk_length_schedule": [80]}}},
            "generation_config",
            {"chunk_length_schedule": [80]},
        ),
    ],
)
async def test_the_manner_of_speech_is_in_the_first_message(autojump_clock, options, field, value):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor, "v-2", **options).open(Told().context(wire)) as session:
        await sentence(session, "Hello.")
    assert vendor.first_messages[0][field] == value
    assert "/v-2/" in vendor.requests[0].path


@pytest.mark.parametrize(
    ("line", "asked", "declared"),
    [
        (TELEPHONE, "ulaw_8000", TELEPHONE),
        (AudioFormat("alaw", 8000), "alaw_8000", AudioFormat("alaw", 8000)),
        (AudioFormat("l16", 24000), "pcm_24000", AudioFormat("l16", 24000)),
        (AudioFormat("mulaw", 16000), "pcm_16000", AudioFormat("l16", 16000)),
    ],
)
async def test_formats(autojump_clock, line, asked, declared):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire, line=line)) as session:
        audio, words = await sentence(session, "Hello there.")
    assert vendor.requests[0].parameter("output_format") == asked
    assert session.audio_format == declared
    assert declared.seconds(len(audio)) == pytest.approx(words[-1].end, abs=0.1)


@pytest.mark.parametrize("late", [0, 5])
async def test_a_cut_sentence_is_closed_and_its_late_audio_dropped(autojump_clock, late):
    # given
    vendor = FakeElevenLabs()
    vendor.faults.chunk_delay, vendor.late = 0.05, late
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when
        async with session.synthesise("This sentence is cut after its first word is here.") as chunks:
            await anext(chunks)
        audio, words = await sentence(session, "What did you say?")
    # then
    assert vendor.cut == ["c1"]
    assert read_words(vendor.vocabulary, audio) == "What did you say?"
    assert " ".join(word.word for word in words) == "What did you say?"


async def test_a_whole_sentence_is_closed_once(autojump_clock):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        await sentence(session, "Hello there.")
        await sentence(session, "Hello again.")
    assert vendor.cut == []
    assert vendor.spoken == ["Hello there.", "Hello again."]


async def test_many_barge_ins_ask_for_another_connection_before_the_vendor_closes_this_one(autojump_clock):
    # given a vendor that is slow to end what was cut
    vendor = FakeElevenLabs()
    vendor.never_final = True
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when
        for _ in range(MAX_OPEN):
            async with session.synthesise("This sentence is cut.") as chunks:
                await anext(chunks)
        with pytest.raises(ProviderError, match="have not ended yet") as error:
            await sentence(session, "One more.")
        # then
        assert error.value.fault == "reopen"
        assert len(vendor.sockets) == 1
        async with recipe(vendor).open(Told().context(wire)) as other:
            async with other.synthesise("One more.") as chunks:
                assert (await anext(chunks)).audio


async def test_an_idle_socket_is_kept_without_characters(autojump_clock):
    # given a vendor that closes a socket after its inactivity timeout
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire:
        told = Told()
        async with recipe(vendor).open(told.context(wire)) as session:
            # when
            await trio.sleep(600)
            audio, _ = await sentence(session, "Still here.")
    # then
    assert read_words(vendor.vocabulary, audio) == "Still here."
    assert vendor.kept >= 59
    assert sum(usage.characters for usage in told.usage) == len("Still here.")
    assert recipe(vendor).idle_limit == math.inf


async def test_an_idle_socket_that_the_vendor_closes_is_to_be_opened_anew(autojump_clock):
    # given a timeout shorter than our signs of life
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire:
        # when
        with pytest.raises(ProviderError, match="no input was received") as error:
            async with recipe(vendor, extra={"inactivity_timeout": 5}).open(Told().context(wire)):
                await trio.sleep(60)
    # then
    assert error.value.fault == "reopen"


ERRORS = [
    ({"error": "quota_exceeded", "message": "no credit", "code": 1008}, "no credit", "fatal"),
    ({"error": "voice_not_found", "code": 1008}, "voice_not_found", "fatal"),
    ({"error": "too_many_concurrent_requests", "message": "busy", "code": 1008}, "busy", "retry"),
    ({"error": "internal_error", "code": 1011}, "internal_error", "retry"),
    ({"error": "input_timeout_exceeded", "message": "idle", "code": 1008}, "idle", "reopen"),
    ({"error": "max_active_conversations", "message": "too many", "code": 1008}, "too many", "reopen"),
]


@pytest.mark.parametrize(("said", "message", "fault"), ERRORS)
async def test_an_error_of_a_context_fails_its_sentence_and_no_other(autojump_clock, said, message, fault):
    # given
    vendor = FakeElevenLabs()
    vendor.faults.chunk_delay = 0.05
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when
        broken = partial(vendor.say_all, json.dumps({**said, "context_id": "c1"}))
        with pytest.raises(ProviderError, match=f"elevenlabs eleven_flash_v2_5: {message}") as error:
            await sentence(session, "This one fails in the middle.", after_first=broken)
        audio, _ = await sentence(session, "This one works.")
    # then
    assert error.value.fault == fault
    assert read_words(vendor.vocabulary, audio) == "This one works."


async def test_a_voice_that_does_not_exist(autojump_clock):
    vendor = FakeElevenLabs()
    vendor.voices = {"v-1"}
    async with in_memory(vendor) as wire:
        with pytest.raises(ProviderError, match=r"voice_id v-2 was not found\. \(voice_not_found\)") as error:
            async with recipe(vendor, "v-2").open(Told().context(wire)):
                pass
    assert error.value.fault == "fatal"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "eleven_v3"}, "use ElevenLabsHttp"),
        ({"model": "eleven_v4_turbo"}, "use ElevenLabsHttp"),
        ({"stability": 1.1}, "stability=1.1: ElevenLabs takes 0 to 1"),
        ({"similarity": -0.1}, "similarity"),
        ({"style": 2}, "style"),
        ({"speed": 2}, "0.7 to 1.2"),
        ({"normalization": "yes"}, "'auto', 'on' or 'off'"),
    ],
)
def test_settings_that_cannot_work(options, said):
    with pytest.raises(ConfigurationError, match=said):
        ElevenLabs(api_key="k", **options)


def dialect() -> ContextsDialect:
    return ContextsDialect("m", TELEPHONE, {}, ElevenLabsFailures("elevenlabs", "k"))


HI = '"chars":["H","i"," "],"charStartTimesMs":[0,70,130],"charDurationsMs":[70,60,20]'
OLD = '"chars":["H","i"," "],"charsStartTimesMs":[0,70,130],"charsDurationsMs":[70,60,20]'
WORD = (WordTime("Hi", 0.0, 0.13),)


@pytest.mark.parametrize(
    ("message", "spoken"),
    [
        (f'{{"audio":"AAEC","contextId":"t","alignment":{{{HI}}}}}', [Spoken("t", b"\x00\x01\x02", WORD)]),
        (f'{{"audio":"AAEC","context_id":"t","alignment":{{{OLD}}}}}', [Spoken("t", b"\x00\x01\x02", WORD)]),
        (
            f'{{"audio":"AAEC","contextId":"t","alignment":null,"normalizedAlignment":{{{HI}}}}}',
            [Spoken("t", b"\x00\x01\x02", WORD)],
        ),
        ('{"isFinal":true,"contextId":"t"}', [Spoken("t", done=True)]),
        ('{"is_final":true,"context_id":"t"}', [Spoken("t", done=True)]),
        ('{"audio":"AAEC","contextId":"gone"}', []),
        ('{"audio":"AAEC"}', []),
        ('{"audio":7,"contextId":"t","alignment":{"chars":"Hi","charStartTimesMs":[null]}}', [Spoken("t")]),
        ('{"audio":"AA==","contextId":"t","alignment":{"chars":["H"],"charStartTimesMs":[null],"charDurationsMs":[1]}}',
         [Spoken("t", b"\x00")]),
        ('{"contextId":{}}', []),
        ("[]", []),
        ("nonsense", []),
        (b"\xff", []),
    ],
)  # fmt: skip
def test_frames(message, spoken):
    ours = dialect()
    ours.begin("t", "Hi")
    assert list(ours.feed(message)) == spoken


def test_commands():
    ours = ContextsDialect("m", TELEPHONE, {"voice_settings": {"speed": 1.1}}, ElevenLabsFailures("elevenlabs", "k"))
    close = '{"context_id":"t","close_context":true}'
    assert ours.begin("t", " Sure, let me check. ") == (
        '{"text":" ","context_id":"t","voice_settings":{"speed":1.1}}',
        '{"text":"Sure, let me check. ","context_id":"t","flush":true}',
        close,
    )
    assert ours.cancel("t") == (close,)
    ours.feed('{"isFinal":true,"contextId":"t"}')
    assert ours.cancel("t") == ()
    assert ours.still_here() == ('{"text":""}',)
    assert ours.bye() == ('{"close_socket":true}',)


def test_words_across_messages_count_from_the_contexts_start():
    # given
    alignment = Alignment(TELEPHONE)
    # when a word is cut by the border of two messages of 0.2 s
    first = alignment.take(
        1600, {"chars": ["a", " ", "b"], "charStartTimesMs": [0, 50, 100], "charDurationsMs": [50, 50, 100]}
    )
    second = alignment.take(1600, {"chars": ["c"], "charStartTimesMs": [0], "charDurationsMs": [90]})
    # then
    assert first == (WordTime("a", 0.0, 0.05),)
    assert second == ()
    assert alignment.rest() == (WordTime("bc", 0.1, pytest.approx(0.29)),)
    assert alignment.rest() == ()
