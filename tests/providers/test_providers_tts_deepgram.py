"""Deepgram Aura against a simulated Deepgram."""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from cases import Told
from talking import session

from callengine.audio.format import AudioFormat
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import TtsSession, Usage
from callengine.providers.deepgram_account import DeepgramFailures
from callengine.providers.tts.contexts import Spoken
from callengine.providers.tts.deepgram import AuraDialect, Deepgram
from callengine.testing.vendors.deepgram import FakeDeepgram
from callengine.testing.words import read_words

KEY = FakeDeepgram.key
MULAW = AudioFormat("mulaw", 8000)


def opened(vendor: FakeDeepgram, told: Told | None = None, **settings: Any) -> AbstractAsyncContextManager[Any]:
    context = settings.pop("context", {})
    return session(vendor, Deepgram(**{"api_key": KEY, **settings}), told, **context)


async def speak(session: TtsSession, text: str, *, pieces: int | None = None) -> bytes:
    """The audio of a text, or its first pieces."""
    audio = b""
    async with session.synthesise(text) as chunks:
        async for chunk in chunks:
            assert chunk.words == ()
            audio += chunk.audio
            pieces = None if pieces is None else pieces - 1
            if pieces == 0:
                break
    return audio


# --- sentences --------------------------------------------------------------------------------------------------------


async def test_a_sentence_is_spoken_in_what_the_carrier_plays(autojump_clock: Any) -> None:
    vendor, told = FakeDeepgram(), Told()
    async with opened(vendor, told) as session:
        assert session.audio_format == MULAW
        audio = await speak(session, "The table is yours.")
        assert read_words(vendor.vocabulary, audio) == "The table is yours."
        assert await speak(session, 'He said: "{}" & <b>più</b> 😀.')
    assert vendor.spoken == ["The table is yours.", 'He said: "{}" & <b>più</b> 😀.']
    assert told.usage == [
        Usage(provider="deepgram", model="aura-2-thalia-en", characters=19, estimated=True),
        Usage(provider="deepgram", model="aura-2-thalia-en", characters=29, estimated=True),
    ]
    assert vendor.connected == 1


async def test_of_a_sentence_that_was_cut_nothing_is_heard_in_the_next(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.faults.chunk_delay = 0.02
    async with opened(vendor) as session:
        await speak(session, "This is a long sentence that nobody wants to hear to its end.", pieces=3)
        at = trio.current_time()
        audio = await speak(session, "Something else.")
        assert trio.current_time() - at < 1.0
    assert read_words(vendor.vocabulary, audio) == "Something else."
    assert len(audio) == sum(word.size for word in vendor.vocabulary.speak("Something else."))


async def test_a_sentence_that_is_cut_when_all_of_it_was_sent_ends_the_next_no_earlier(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        await speak(session, "All of this is on its way already.", pieces=1)
        assert read_words(vendor.vocabulary, await speak(session, "And this is whole.")) == "And this is whole."


async def test_a_vendor_that_does_not_stop_is_given_up(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.faults.chunk_delay = 0.02
    async with opened(vendor) as session:
        async with session.synthesise("One two three.") as chunks:
            await anext(chunks)
            vendor.faults.mute = True
        with pytest.raises(ProviderError, match="has not ended within 2 s") as caught:
            await speak(session, "Four.")
    assert caught.value.fault == "retry"


async def test_more_sentences_than_the_vendor_takes_in_a_minute_ask_for_a_new_connection(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        for _ in range(20):
            await speak(session, "Yes.")
        with pytest.raises(ProviderError, match="at most 20 within 60 seconds") as caught:
            await speak(session, "Yes.")
    assert caught.value.fault == "reopen"
    assert len(vendor.spoken) == 20


# --- the connection ---------------------------------------------------------------------------------------------------

CLOSES = [
    (1003, "MESSAGE-0000: not a text frame", "fatal"),
    (1008, "DATA-0000: unknown command", "fatal"),
    (1008, "DATA-0001: too many characters", "retry"),
    (1009, "BIG-0000: too large", "fatal"),
    (1011, "NET-0000: internal", "retry"),
    (1011, "NET-0001: nothing received", "reopen"),
    (1011, "NET-0002: cannot send", "retry"),
    (1011, "NET-0003: time limit", "reopen"),
]


async def test_a_close_while_nothing_is_spoken_ends_the_session(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()

    async def wait_for_a_sentence() -> None:
        async with opened(vendor):
            await vendor.close_all(1011, "NET-0003: time limit")
            await trio.sleep(1)

    with pytest.raises(ProviderError) as caught:
        await wait_for_a_sentence()
    assert caught.value.fault == "reopen"


# --- settings ---------------------------------------------------------------------------------------------------------

ORDINARY = {"model": ["aura-2-thalia-en"], "encoding": ["mulaw"], "sample_rate": ["8000"]}


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({}, {}),
        ({"voice": "aura-2-viktoria-de"}, {"model": ["aura-2-viktoria-de"]}),
        ({"speed": 1.1}, {"speed": ["1.1"]}),
        ({"context": {"line": AudioFormat("alaw", 8000)}}, {"encoding": ["alaw"]}),
        ({"context": {"line": AudioFormat("l16", 16000)}}, {"encoding": ["linear16"], "sample_rate": ["16000"]}),
        ({"context": {"line": AudioFormat("l16", 44100)}}, {"encoding": ["linear16"], "sample_rate": ["24000"]}),
        ({"extra": {"mip_opt_out": True}}, {"mip_opt_out": ["true"]}),
    ],
)
async def test_settings_reach_the_vendor(
    settings: dict[str, Any], changes: dict[str, list[str]], autojump_clock: Any
) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor, **settings) as session:
        declared = session.audio_format
    (request,) = vendor.requests
    assert (request.host, request.path) == ("api.deepgram.com", "/v1/speak")
    assert request.headers["authorization"] == f"Token {KEY}"
    assert request.query == {**ORDINARY, **changes}
    named = {"l16": "linear16"}.get(declared.encoding, declared.encoding)
    assert [[named], [str(declared.sample_rate)]] == [request.query["encoding"], request.query["sample_rate"]]


@pytest.mark.parametrize("settings", [{"voice": ""}, {"voice": "flux-haley-en"}, {"speed": 0}, {"connect": 0}])
def test_settings_without_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Deepgram(api_key=KEY, **settings)


# --- the protocol -----------------------------------------------------------------------------------------------------


def dialect() -> AuraDialect:
    return AuraDialect("aura-2-thalia-en", MULAW, DeepgramFailures("deepgram", KEY))


def test_the_frames_that_are_sent() -> None:
    made = dialect()
    assert made.opening() == ()
    assert made.begin("c1", "Hello there. ") == ('{"type":"Speak","text":"Hello there. "}', '{"type":"Flush"}')
    assert made.cancel("c1") == ('{"type":"Clear"}',)
    assert made.bye() == ('{"type":"Close"}',)


def test_the_frames_that_come() -> None:
    made = dialect()
    assert made.feed(b"\x01\x02\x03") == (Spoken(audio=b"\x01\x02\x03"),)
    assert made.feed('{"type":"Flushed","sequence_id":0}') == (Spoken(done=True),)
    assert made.feed('{"type":"Cleared","sequence_id":1}') == ()  # of nothing that was asked for


def test_between_clear_and_cleared_nothing_counts() -> None:
    made = dialect()
    made.cancel("c1")
    assert made.feed(b"\x01") == ()
    assert made.feed('{"type":"Flushed","sequence_id":0}') == ()
    assert made.feed('{"type":"Cleared","sequence_id":1}') == (Spoken(done=True),)
    assert made.feed(b"\x01") == (Spoken(audio=b"\x01"),)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "x",
        "[]",
        '{"type":[]}',
        '{"type":"SomethingNew"}',
        '{"type":"Metadata","request_id":"9f...","model_name":"aura-2-thalia-en","model_version":"2025-04-07.0"}',
        '{"type":"Warning","description":"...","code":"..."}',
        '{"type":"Warning","description":null}',
    ],
)
def test_what_says_nothing_of_audio_is_passed_over(message: str) -> None:
    assert list(dialect().feed(message)) == []


def test_an_error_message_is_raised() -> None:
    with pytest.raises(ProviderError, match="X-1 It went wrong") as caught:
        dialect().feed(json.dumps({"type": "Error", "code": "X-1", "description": "It went wrong."}))
    assert caught.value.fault == "retry"
