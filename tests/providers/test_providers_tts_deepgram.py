"""Deepgram Aura against a simulated Deepgram."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hearing import Notes

from callengine import Agent
from callengine.audio.format import AudioFormat
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Opening, TtsSession, Usage
from callengine.providers.deepgram_account import DeepgramFailures
from callengine.providers.tts.contexts import Spoken
from callengine.providers.tts.deepgram import AuraDialect, Deepgram
from callengine.testing import CallLab
from callengine.testing.vendors import in_memory, on_loopback
from callengine.testing.vendors.deepgram import FakeDeepgram
from callengine.testing.words import read_words
from callengine.wire import open_wire

KEY = FakeDeepgram.key
MULAW = AudioFormat("mulaw", 8000)


@asynccontextmanager
async def opened(vendor: FakeDeepgram, notes: Notes | None = None, **settings: Any) -> AsyncIterator[TtsSession]:
    context = settings.pop("context", {})
    async with in_memory(vendor) as wire:
        recipe = Deepgram(api_key=settings.pop("api_key", vendor.key), **settings)
        async with recipe.open((notes or Notes()).context(wire, **context)) as session:
            yield session


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
    vendor, notes = FakeDeepgram(), Notes()
    async with opened(vendor, notes) as session:
        assert session.audio_format == MULAW
        audio = await speak(session, "The table is yours.")
        assert read_words(vendor.vocabulary, audio) == "The table is yours."
        assert await speak(session, 'He said: "{}" & <b>più</b> 😀.')
    assert vendor.spoken == ["The table is yours.", 'He said: "{}" & <b>più</b> 😀.']
    assert notes.usage == [
        Usage(provider="deepgram", model="aura-2-thalia-en", characters=19, estimated=True),
        Usage(provider="deepgram", model="aura-2-thalia-en", characters=29, estimated=True),
    ]
    assert vendor.connected == 1


async def test_audio_comes_as_it_is_made(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.faults.chunk_delay = 0.05
    async with opened(vendor) as session:
        at = trio.current_time()
        async with session.synthesise("One after the other.") as chunks:
            sizes = [len(chunk.audio) async for chunk in chunks]
            assert trio.current_time() - at > 0.05 * len(sizes)
    assert sizes[:-1] == [800] * (len(sizes) - 1)


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


async def test_cut_before_anything_was_heard(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.faults.chunk_delay = 0.02
    async with opened(vendor) as session:
        with trio.move_on_after(0.01):
            await speak(session, "Too late.")
        assert read_words(vendor.vocabulary, await speak(session, "In time.")) == "In time."


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


async def test_nothing_to_say_is_not_sent(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        assert await speak(session, " \n") == b""
    assert vendor.spoken == []


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


@pytest.mark.parametrize(("code", "reason", "fault"), CLOSES)
async def test_what_a_close_in_the_middle_of_a_sentence_means(
    code: int, reason: str, fault: str, autojump_clock: Any
) -> None:
    vendor = FakeDeepgram()
    vendor.faults.chunk_delay = 0.02
    async with opened(vendor) as session, trio.open_nursery() as nursery:
        async with session.synthesise("This will not be heard to its end.") as chunks:
            await anext(chunks)
            nursery.start_soon(vendor.close_all, code, reason)
            with pytest.raises(ProviderError) as caught:
                async for _ in chunks:
                    pass
    assert caught.value.fault == fault
    assert reason in str(caught.value)


async def test_a_close_while_nothing_is_spoken_ends_the_session(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()

    async def wait_for_a_sentence() -> None:
        async with opened(vendor):
            await vendor.close_all(1011, "NET-0003: time limit")
            await trio.sleep(1)

    with pytest.raises(ProviderError) as caught:
        await wait_for_a_sentence()
    assert caught.value.fault == "reopen"


async def test_a_connection_that_breaks_in_a_sentence_may_be_tried_again(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        vendor.faults.break_after = 3
        with pytest.raises(ProviderError) as caught:
            await speak(session, "This will not be heard to its end.")
    assert caught.value.fault == "retry"


async def test_a_bad_key_is_fatal_and_shown_nowhere(autojump_clock: Any) -> None:
    with pytest.raises(ProviderError, match=r"Invalid credentials\.") as caught:
        async with opened(FakeDeepgram(), api_key="not-the-right-key"):
            pass
    assert caught.value.fault == "fatal"
    assert "not-the-right-key" not in str(caught.value)


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


async def test_a_hook_changes_what_the_session_starts_with(autojump_clock: Any) -> None:
    def hook(opening: Opening) -> None:
        assert (opening.role, opening.provider, opening.url) == ("tts", "deepgram", "wss://api.deepgram.com/v1/speak")
        opening.settings["model"] = "aura-2-luna-en"

    vendor = FakeDeepgram()
    async with opened(vendor, context={"opening": hook}):
        pass
    assert vendor.requests[0].parameter("model") == "aura-2-luna-en"


async def test_connect_bounds_the_time_to_connect(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.faults.answer_delay = 10
    with pytest.raises(ProviderError, match=r"no connection within 1\.5 s"):
        async with opened(vendor, connect=1.5):
            pass


@pytest.mark.parametrize("settings", [{"voice": ""}, {"voice": "flux-haley-en"}, {"speed": 0}, {"connect": 0}])
def test_settings_without_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Deepgram(api_key=KEY, **settings)


async def test_the_probe_asks_for_nothing_that_costs(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with in_memory(vendor) as wire:
        await Deepgram(api_key=KEY).probe(wire)
    assert [request.path for request in vendor.requests] == ["/v1/auth/token"]
    assert Deepgram(api_key=KEY).idle_limit == 60.0


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


# --- everything together ----------------------------------------------------------------------------------------------


async def test_over_real_sockets() -> None:
    vendor = FakeDeepgram()
    async with on_loopback(vendor) as address, open_wire() as wire:
        async with Deepgram(api_key=KEY, base_url=f"ws://{address}").open(Notes().context(wire)) as session:
            await speak(session, "This one is cut.", pieces=1)
            audio = await speak(session, "Over a real socket.")
    assert read_words(vendor.vocabulary, audio) == "Over a real socket."
    assert vendor.connections == 0


async def test_a_whole_call_with_a_barge_in(call_lab: CallLab) -> None:
    vendor = FakeDeepgram(call_lab.vocabulary)
    call_lab.llm.replies("I can offer you a table at seven, or one at eight, or one at nine.", "Eight it is.")
    async with in_memory(vendor) as wire:
        agent = Agent(tts=Deepgram(api_key=KEY), greeting="Hello.")
        async with call_lab.dial(agent, wire=wire) as caller:
            await caller.hears("Hello.")
            await caller.says("A table, please.")
            await caller.hears("I can offer you")
            await caller.says("Make it eight, please.")
            await caller.hears("Eight it is.")
    call_lab.assert_nothing_left()
