"""Inworld's voices against the simulated vendor."""

from __future__ import annotations

import base64
import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from cases import Told
from conformance_tts import SENTENCE, audio_of, spoken, words_of
from talking import session as open_session

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Opening, SessionContext, TextToSpeech, Usage, WordTime
from callengine.providers.tts.contexts import Spoken
from callengine.providers.tts.inworld import Inworld
from callengine.providers.tts.inworld_wire import InworldDialect, InworldFailures
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.inworld import FakeInworld

KEY = FakeInworld.key
WIDE = AudioFormat("l16", 16000)


def session_with(
    vendor: FakeInworld, usages: list[Usage] | None = None, line: AudioFormat = TELEPHONE, **settings: Any
) -> AbstractAsyncContextManager[Any]:
    told = Told([] if usages is None else usages)
    return open_session(vendor, Inworld(api_key=KEY, **settings), told, line=line)


@pytest.mark.parametrize(
    ("line", "told", "made"),
    [
        (TELEPHONE, {"audioEncoding": "MULAW", "sampleRateHertz": 8000}, TELEPHONE),
        (AudioFormat("alaw", 8000), {"audioEncoding": "ALAW", "sampleRateHertz": 8000}, AudioFormat("alaw", 8000)),
        (AudioFormat("l16", 16000), {"audioEncoding": "PCM", "sampleRateHertz": 16000}, WIDE),
    ],
)
async def test_the_line_decides_the_encoding(
    autojump_clock: trio.testing.MockClock, line: AudioFormat, told: dict[str, Any], made: AudioFormat
) -> None:
    recipe = Inworld(api_key=KEY)
    assert recipe.settings(SessionContext("call-1", line=line))["audioConfig"] == told
    async with session_with(FakeInworld(), line=line) as session:
        assert session.audio_format == made
        assert audio_of(await spoken(session))


async def test_a_context_is_created_with_what_the_recipe_and_the_call_say(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = FakeInworld()
    recipe: TextToSpeech = Inworld(
        "Alex",
        "inworld-tts-1.5-max",
        KEY,
        delivery_mode="STABLE",
        speaking_rate=1.2,
        extra={"audioConfig": {"bitRate": 64000}, "maxBufferDelayMs": 100},
    )
    shown: list[Opening] = []
    async with in_memory(vendor) as wire:
        context = SessionContext("call-1", language="de-AT", wire=wire, opening=shown.append)
        async with recipe.open(context) as session:
            await spoken(session)
    (opening,) = shown
    assert (opening.role, opening.provider) == ("tts", "inworld")
    assert opening.url == "wss://api.inworld.ai/tts/v1/voice:streamBidirectional"
    assert opening.settings == {
        "voiceId": "Alex",
        "modelId": "inworld-tts-1.5-max",
        "audioConfig": {"audioEncoding": "MULAW", "sampleRateHertz": 8000, "speakingRate": 1.2, "bitRate": 64000},
        "language": "de-AT",
        "deliveryMode": "STABLE",
        "timestampType": "WORD",
        "timestampTransportStrategy": "ASYNC",
        "autoMode": True,
        "maxBufferDelayMs": 100,
    }
    assert KEY not in repr(recipe) + repr(opening)


@pytest.mark.parametrize(
    ("own", "call", "told"),
    [(None, "en", "en-US"), (None, "pt-PT", "pt-PT"), ("fr", "en", "fr-FR"), (None, "tlh", None)],
)
def test_languages_have_a_region(own: str | None, call: str, told: str | None) -> None:
    settings = Inworld(api_key=KEY, language=own).settings(SessionContext("call-1", language=call))
    assert settings.get("language") == told


def test_settings_that_cannot_be_meant() -> None:
    with pytest.raises(ValueError, match="delivery_mode"):
        Inworld(api_key=KEY, delivery_mode="LOUD")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="speaking_rate"):
        Inworld(api_key=KEY, speaking_rate=0)
    assert Inworld(api_key=KEY).idle_limit == 300.0


async def test_wav_headers_are_taken_off_and_word_times_run_on_over_generations(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = FakeInworld()
    vendor.headers, vendor.split_after = True, 12
    async with session_with(vendor) as session:
        chunks = await spoken(session)
    assert vendor.understand(audio_of(chunks)) == SENTENCE
    times = [(word.word, word.start, word.end) for word in words_of(chunks)]
    at = 0.0
    for word in vendor.vocabulary.speak(SENTENCE):
        assert (word.text, at, at + word.size / 8000) in [
            (text, pytest.approx(a), pytest.approx(b)) for text, a, b in times
        ]
        at += word.size / 8000


async def test_a_cut_cancels_the_context_and_its_late_audio_is_dropped(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeInworld()
    vendor.pace, vendor.late = 0.05, True
    async with session_with(vendor) as session:
        async with session.synthesise("This will be cut in the middle of it.") as chunks:
            await anext(chunks)
        chunks = await spoken(session)
        assert vendor.understand(audio_of(chunks)) == SENTENCE
    assert vendor.cancelled == ["c1"]
    assert vendor.connected == 1


async def test_a_long_text_is_sent_in_parts(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeInworld()
    text = " ".join(["word"] * 450)
    async with session_with(vendor) as session:
        assert vendor.understand(audio_of(await spoken(session, text))) == text
    assert vendor.spoken == [text]


async def test_a_voice_that_is_unknown_ends_its_sentence_and_not_the_session(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = FakeInworld()
    vendor.voices = set()
    async with session_with(vendor) as session:
        with pytest.raises(ProviderError, match=r"Unknown voice: Ashley \(code 3\)") as caught:
            await spoken(session)
        assert caught.value.fault == "fatal"
        vendor.voices = {"Ashley"}
        assert vendor.understand(audio_of(await spoken(session))) == SENTENCE


# --- the dialect, without a vendor ------------------------------------------------------------------------------------

CREATE = {
    "voiceId": "Ashley",
    "modelId": "inworld-tts-2",
    "audioConfig": {"audioEncoding": "MULAW", "sampleRateHertz": 8000},
}


def dialect() -> InworldDialect:
    return InworldDialect(CREATE, InworldFailures("inworld"))


def chunk(context: str, audio: bytes, **info: Any) -> str:
    content = {"audioContent": base64.b64encode(audio).decode(), **info}
    return json.dumps({"result": {"contextId": context, "audioChunk": content, "status": {"code": 0}}})


def test_messages_byte_for_byte() -> None:
    codec = dialect()
    assert codec.begin("turn-7", "See you at seven.") == (
        '{"create":{"voiceId":"Ashley","modelId":"inworld-tts-2",'
        '"audioConfig":{"audioEncoding":"MULAW","sampleRateHertz":8000}},"contextId":"turn-7"}',
        '{"send_text":{"text":"See you at seven.","flush_context":{}},"contextId":"turn-7"}',
        '{"close_context":{},"contextId":"turn-7"}',
    )
    assert codec.cancel("turn-7") == ('{"cancel_context":{},"contextId":"turn-7"}',)


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ('{"result":{"contextId":"turn-7","contextCreated":{"voiceId":"Ashley"},"status":{"code":0}}}', []),
        (
            '{"result":{"contextId":"turn-7","audioChunk":{"audioContent":"//8=","timestampInfo":{"wordAlignment":'
            '{"words":["Your"],"wordStartTimeSeconds":[0.0],"wordEndTimeSeconds":[0.2]}},'
            '"usage":{"processedCharactersCount":21}},"status":{"code":0}}}',
            [Spoken("turn-7", b"\xff\xff", (WordTime("Your", 0.0, 0.2),))],
        ),
        ('{"result":{"contextId":"turn-7","flushCompleted":{},"status":{"code":0}}}', []),
        ('{"result":{"contextId":"turn-7","contextClosed":{},"status":{"code":0}}}', [Spoken("turn-7", done=True)]),
        ('{"result":{"contextId":"turn-6","status":{"code":5,"message":"Context turn-6 not found"}}}', []),
        ('{"error":{"code":5,"message":"Context not found"}}', []),
        ('{"result":{"contextId":"turn-7","audioChunk":{"audioContent":7,"timestampInfo":[]}}}', []),
        ('{"result":null}', []),
        ("garbage", []),
        (b"garbage", []),
    ],
)
def test_what_messages_mean(message: str | bytes, meaning: list[Spoken]) -> None:
    codec = dialect()
    codec.begin("turn-7", "Your table is booked.")
    assert list(codec.feed(message)) == meaning


def test_contexts_that_overlap_are_told_apart() -> None:
    codec = dialect()
    codec.begin("c1", "one")
    codec.begin("c2", "two")
    assert codec.feed(chunk("c1", b"a"))[0] == Spoken("c1", b"a")
    codec.cancel("c1")
    assert codec.feed(chunk("c1", b"late")) == ()
    assert codec.feed(chunk("c2", b"b"))[0] == Spoken("c2", b"b")
