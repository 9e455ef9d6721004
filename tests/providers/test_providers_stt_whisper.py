"""Whisper-compatible servers, and with them recognisers that take a whole utterance, against the simulated server."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest
import trio
from cases import Told
from talking import session as open_session

from callengine.audio.format import Pcm
from callengine.errors import AudioError, ConfigurationError, ProviderError
from callengine.ports import Opening, SessionContext, SpeechToText, SttResult, SttSession, Usage
from callengine.providers.stt.whisper import Whisper, WhisperSession
from callengine.testing.vendors import Answer, in_memory, on_loopback
from callengine.testing.vendors.whisper import FakeWhisper
from callengine.wire import open_wire

BLOCK = 800
KEY = FakeWhisper.key


def tone(seconds: float) -> Pcm:
    return (8000 * np.sin(np.arange(round(8000 * seconds)) * 0.3)).astype(np.int16)


def session_with(
    vendor: FakeWhisper, usages: list[Usage] | None = None, **settings: Any
) -> AbstractAsyncContextManager[Any]:
    told = Told([] if usages is None else usages)
    return open_session(vendor, Whisper(**settings), told)


async def say(session: SttSession, seconds: float, audio: Pcm | None = None) -> None:
    speech = tone(seconds) if audio is None else audio
    for start in range(0, len(speech), BLOCK):
        await session.send(speech[start : start + BLOCK])


def usage(seconds: float, *, estimated: bool = False) -> Usage:
    return Usage(provider="whisper", model="whisper-1", seconds=pytest.approx(seconds), estimated=estimated)


async def test_an_utterance_is_one_request_and_one_final(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeWhisper()
    vendor.recorded.append("a table for two")
    usages: list[Usage] = []
    async with session_with(vendor, usages) as session:
        await session.start_utterance(4)
        await say(session, 1.5)
        await session.end_utterance()
        assert await session.receive() == SttResult("a table for two", True, 4)
    (asked,) = vendor.asked
    assert asked.seconds == pytest.approx(1.5)
    assert usages == [usage(1.5)]


async def test_the_request_is_what_the_recipe_and_the_call_say(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeWhisper(keyed=True)
    recipe: SpeechToText = Whisper(
        "http://localhost/v1/", "large", KEY, prompt="Acme.", extra={"temperature": 0, "response_format": "json"}
    )
    shown: list[Opening] = []
    async with in_memory(vendor) as wire:
        context = SessionContext("call-1", language="de-AT", wire=wire, opening=shown.append)
        async with recipe.open(context) as session:
            await session.start_utterance(1)
            await say(session, 0.5)
            await session.end_utterance()
            await session.receive()
    (asked,) = vendor.asked
    assert asked.form == {
        "model": "large",
        "response_format": "json",
        "language": "de",
        "prompt": "Acme.",
        "temperature": "0",
    }
    assert shown[0].url == "http://localhost/v1/audio/transcriptions"
    assert (shown[0].role, shown[0].provider) == ("stt", "whisper")
    assert Whisper(language="fr").form("en")["language"] == "fr"
    assert KEY not in repr(recipe) + repr(shown)
    assert recipe.name == "whisper large"


async def test_a_pause_is_asked_for_ahead_and_its_words_are_the_final(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeWhisper()
    vendor.delay = 0.3
    vendor.recorded.append("a table")
    async with session_with(vendor) as session:
        await session.start_utterance(1)
        await say(session, 1.0)
        await session.pause()
        await trio.sleep(0.2)
        await session.end_utterance()
        started = trio.current_time()
        assert await session.receive() == SttResult("a table", False, 1)
        assert await session.receive() == SttResult("a table", True, 1)
        assert trio.current_time() - started == pytest.approx(0.1)
    assert len(vendor.asked) == 1


async def test_asking_ahead_is_cancelled_when_the_caller_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeWhisper()
    vendor.delay = 0.5
    vendor.recorded.extend(["a table", "a table for two"])
    usages: list[Usage] = []
    async with session_with(vendor, usages) as session:
        await session.start_utterance(1)
        await say(session, 1.0)
        await session.pause()
        await trio.sleep(0.2)
        await say(session, 0.5)
        await trio.sleep(1.0)
        ended = trio.current_time()
        await session.end_utterance()
        assert await session.receive() == SttResult("a table for two", True, 1)  # nothing was said of the first
        assert trio.current_time() - ended == pytest.approx(0.5)
    assert [asked.seconds for asked in vendor.asked] == [pytest.approx(1.0), pytest.approx(1.5)]
    assert usages == [usage(1.0, estimated=True), usage(1.5)]


async def test_nothing_is_asked_ahead_where_the_recipe_says_so(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeWhisper()
    async with session_with(vendor, decode_ahead=False) as session:
        await session.start_utterance(1)
        await say(session, 1.0)
        await session.pause()
        await trio.sleep(1.0)
    assert vendor.asked == []


async def test_a_click_is_not_asked_about(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeWhisper()
    async with session_with(vendor) as session:
        await session.start_utterance(1)
        await say(session, 0.15)
        await session.end_utterance()
        assert await session.receive() == SttResult("", True, 1)
        await session.start_utterance(2)
        await session.end_utterance()
        assert await session.receive() == SttResult("", True, 2)
    assert vendor.asked == []


async def test_a_long_utterance_is_cut_at_a_pause_and_asked_for_while_it_goes_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = FakeWhisper()
    vendor.recorded.extend(["one", "two", "three"])
    speech = tone(10.0)
    speech[8000 * 3 : 8000 * 3 + 2400] = 0
    speech[8000 * 6 : 8000 * 6 + 2400] = 0
    async with session_with(vendor, longest=4.0) as session:
        await session.start_utterance(1)
        for start in range(0, len(speech), BLOCK):
            await session.send(speech[start : start + BLOCK])
            await trio.sleep(0.1)
        assert len(vendor.asked) == 2
        await session.end_utterance()
        results = [await session.receive() for _ in range(3)]
    assert [(result.text, result.final) for result in results] == [
        ("one", False),
        ("one two", False),
        ("one two three", True),
    ]
    seconds = [asked.seconds for asked in vendor.asked]
    assert seconds == [pytest.approx(3.15, abs=0.12), pytest.approx(3.0, abs=0.2), pytest.approx(3.85, abs=0.12)]
    assert sum(seconds) == pytest.approx(10.0)


async def test_a_long_utterance_that_comes_at_once_is_asked_for_in_parts(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = FakeWhisper()
    vendor.recorded.extend(["one", "two", "three", "four"])
    async with session_with(vendor, longest=4.0) as session:
        await session.start_utterance(1)
        await say(session, 10.0)
        await session.end_utterance()
        while not (result := await session.receive()).final:
            pass
    assert result.text.startswith("one two")
    assert max(asked.seconds for asked in vendor.asked) <= 4.0
    assert sum(asked.seconds for asked in vendor.asked) == pytest.approx(10.0)


async def test_finals_come_in_order_and_a_new_utterance_does_not_wait(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeWhisper()
    vendor.delay = 1.0
    vendor.recorded.extend(["one", "two"])
    async with session_with(vendor) as session:
        for number in (1, 2):
            await session.start_utterance(number)
            await say(session, 0.5)
            await session.end_utterance()
        assert trio.current_time() == 0.0
        assert await session.receive() == SttResult("one", True, 1)
        assert await session.receive() == SttResult("two", True, 2)


async def test_an_utterance_that_is_not_ended_is_forgotten(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeWhisper()
    vendor.delay = 0.5
    vendor.recorded.extend(["lost", "kept"])
    async with session_with(vendor) as session:
        await session.start_utterance(1)
        await say(session, 0.5)
        await session.pause()
        await trio.sleep(0.1)
        await session.start_utterance(2)
        await say(session, 0.6)
        await session.end_utterance()
        assert await session.receive() == SttResult("kept", True, 2)


@pytest.mark.parametrize("style", ["json", "text", "bare"])
async def test_servers_say_it_in_different_shapes(autojump_clock: trio.testing.MockClock, style: Any) -> None:
    vendor = FakeWhisper()
    vendor.style = style
    vendor.recorded.append("hello there")
    usages: list[Usage] = []
    async with session_with(vendor, usages) as session:
        await session.start_utterance(1)
        await say(session, 0.5)
        await session.end_utterance()
        assert (await session.receive()).text == "hello there"
    assert usages == [usage(0.5, estimated=style != "json")]


@pytest.mark.parametrize(
    ("answer", "words", "fault"),
    [
        (Answer.of({"error": "failed to read WAV file"}), "failed to read WAV", "retry"),
        (Answer.of({"error": {"message": "no", "code": "model_not_found"}}), "no", "fatal"),
        (Answer.of({"object": "list"}), "without a text", "fatal"),
        (Answer(200, b"<html>", {"content-type": "text/html"}), "without a text", "fatal"),
        (Answer.of({"detail": "Model is not installed"}, 404), "HTTP 404: Model is not installed", "fatal"),
        (Answer.of({"detail": "bad key"}, 401), "HTTP 401: bad key", "fatal"),
        (Answer.of({"detail": "slower"}, 429), "HTTP 429: slower", "retry"),
        (Answer.of({"error": {"message": "loading"}}, 503), "HTTP 503: loading", "retry"),
    ],
)
async def test_an_answer_that_is_no_transcript(
    autojump_clock: trio.testing.MockClock, answer: Answer, words: str, fault: str
) -> None:
    vendor = FakeWhisper()
    vendor.faults.refusals.append(answer)
    vendor.recorded.append("again")
    usages: list[Usage] = []
    async with session_with(vendor, usages) as session:
        await session.start_utterance(1)
        await say(session, 0.5)
        await session.end_utterance()
        with pytest.raises(ProviderError, match=words) as caught:
            await session.receive()
        assert caught.value.fault == fault
        assert usages == []
        await session.start_utterance(2)  # an error ends a request, not the session
        await say(session, 0.5)
        await session.end_utterance()
        assert await session.receive() == SttResult("again", True, 2)


async def test_a_server_that_is_too_slow(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeWhisper()
    vendor.delay = 60.0
    async with session_with(vendor, timeout=3.0) as session:
        await session.start_utterance(1)
        await say(session, 0.5)
        await session.end_utterance()
        with pytest.raises(ProviderError, match="no transcript within 3 s") as caught:
            await session.receive()
        assert trio.current_time() == pytest.approx(3.0)
    assert caught.value.fault == "retry"


async def test_a_server_that_breaks_off(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeWhisper()
    vendor.delay = 1.0
    async with session_with(vendor) as session:
        await session.start_utterance(1)
        await say(session, 0.5)
        await session.end_utterance()
        await trio.sleep(0.5)
        vendor.break_all()
        with pytest.raises(ProviderError) as caught:
            await session.receive()
    assert caught.value.fault == "retry"


async def test_leaving_cancels_what_is_being_asked(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeWhisper()
    vendor.delay = 60.0
    usages: list[Usage] = []
    async with session_with(vendor, usages) as session:
        await session.start_utterance(1)
        await say(session, 0.5)
        await session.end_utterance()
        await trio.sleep(0.1)
    assert trio.current_time() < 5.0
    assert usages == [usage(0.5, estimated=True)]


async def test_a_connection_is_ready_ahead(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeWhisper()
    async with session_with(vendor) as session:
        assert isinstance(session, WhisperSession)
        await session.prewarm()
        await session.start_utterance(1)
        await say(session, 0.5)
        await session.end_utterance()
        await session.receive()
    assert vendor.connected == 1


async def test_the_free_request(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeWhisper(keyed=True)
    async with in_memory(vendor) as wire:
        await Whisper(api_key=KEY).probe(wire)
        await Whisper("http://127.0.0.1:8080", api_key=KEY, path="/inference").probe(wire)  # it has no list of models
        with pytest.raises(ProviderError, match="Invalid API key") as caught:
            await Whisper(api_key="wrong").probe(wire)
    assert caught.value.fault == "fatal"
    assert [request.path for request in vendor.requests] == ["/v1/models", "/models", "/v1/models"]


async def test_settings_that_cannot_be_meant() -> None:
    for setting, value in {"timeout": 0, "longest": 1.0, "path": "", "model": ""}.items():
        with pytest.raises(ConfigurationError, match=setting):
            Whisper(**{setting: value})
    with pytest.raises(AudioError):
        async with Whisper().open(SessionContext("call-1", sample_rate=4000)):
            pass
    assert Whisper().idle_limit == float("inf")


async def test_over_real_sockets_with_whisper_cpp() -> None:
    vendor = FakeWhisper()
    vendor.style = "bare"
    vendor.recorded.append("hello")
    async with on_loopback(vendor) as address, open_wire() as wire:
        recipe = Whisper(f"http://{address}", path="/inference")
        async with recipe.open(SessionContext("call-1", wire=wire)) as session:
            await session.start_utterance(1)
            await say(session, 0.5)
            await session.end_utterance()
            assert await session.receive() == SttResult("hello", True, 1)
