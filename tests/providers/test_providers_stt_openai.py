"""OpenAI's realtime transcription against the simulated vendor."""

from __future__ import annotations

import base64
import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest
import trio
from cases import Told
from talking import final
from talking import session as open_session

from callengine.audio.format import Pcm
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Opening, SessionContext, SpeechToText, SttResult, SttSession, Usage
from callengine.providers.stt.dialect import Finished, Words
from callengine.providers.stt.openai import OpenAI
from callengine.providers.stt.openai_wire import OpenAIDialect
from callengine.testing.vendors import in_memory, on_loopback
from callengine.testing.vendors.openai_audio import FakeOpenAIAudio
from callengine.wire import Failures, open_wire

KEY = FakeOpenAIAudio.key


def tone(seconds: float) -> Pcm:
    return (8000 * np.sin(np.arange(int(8000 * seconds)) * 0.3)).astype(np.int16)


def session_with(
    vendor: FakeOpenAIAudio, usages: list[Usage] | None = None, **settings: Any
) -> AbstractAsyncContextManager[Any]:
    told = Told([] if usages is None else usages)
    return open_session(vendor, OpenAI(api_key=KEY, **settings), told, language="en-GB")


async def say(session: SttSession, number: int, seconds: float = 0.5) -> None:
    await session.start_utterance(number)
    for block in np.split(tone(seconds), [800 * n for n in range(1, int(seconds * 10))]):
        await session.send(block)
    await session.pause()
    await session.end_utterance()


async def test_an_utterance_has_its_words_as_they_come_and_one_final(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeOpenAIAudio()
    vendor.recorded.append("a table for two")
    usages: list[Usage] = []
    async with session_with(vendor, usages) as session:
        await say(session, 7)
        heard = [await session.receive() for _ in range(5)]
    assert [result.text for result in heard] == ["a", "a table", "a table for", "a table for two", "a table for two"]
    assert [result.final for result in heard] == [False] * 4 + [True]
    assert {result.utterance for result in heard} == {7}
    assert usages == [Usage(provider="openai", model="gpt-live-transcribe", seconds=0.5)]


async def test_the_session_starts_with_what_the_recipe_and_the_call_say(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeOpenAIAudio()
    recipe: SpeechToText = OpenAI(
        api_key=KEY,
        keywords=["Acme"],
        prompt="A restaurant.",
        noise_reduction="far_field",
        extra={"audio": {"input": {"transcription": {"delay": "low"}}}},
    )
    shown: list[Opening] = []
    async with in_memory(vendor) as wire:
        context = SessionContext("call-1", language="de-AT", wire=wire, opening=shown.append)
        async with recipe.open(context):
            pass
    (opening,) = shown
    assert (opening.role, opening.provider) == ("stt", "openai")
    assert opening.settings == {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "noise_reduction": {"type": "far_field"},
                "transcription": {
                    "model": "gpt-live-transcribe",
                    "languages": ["de"],
                    "keywords": ["Acme"],
                    "prompt": "A restaurant.",
                    "delay": "low",
                },
                "turn_detection": None,
            }
        },
    }
    (request,) = vendor.requests
    assert request.query == {"intent": ["transcription"]}
    assert KEY not in repr(recipe) + repr(opening)


def test_settings_reach_the_session() -> None:
    plain = OpenAI(api_key=KEY, noise_reduction=None).session("fr")["audio"]["input"]
    assert plain["noise_reduction"] is None
    own = OpenAI(api_key=KEY, language="es-MX").session("fr")["audio"]["input"]
    assert own["transcription"] == {"model": "gpt-live-transcribe", "languages": ["es"]}
    older = OpenAI("gpt-realtime-whisper", KEY).session("fr")["audio"]["input"]
    assert older["transcription"] == {"model": "gpt-realtime-whisper", "language": "fr"}


def test_settings_that_a_model_does_not_take_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="takes no keywords"):
        OpenAI("gpt-realtime-whisper", KEY, keywords=["Acme"])
    with pytest.raises(ConfigurationError, match="takes no prompt"):
        OpenAI("gpt-realtime-whisper", KEY, prompt="A restaurant.")
    with pytest.raises(ValueError, match="noise_reduction"):
        OpenAI(api_key=KEY, noise_reduction="loud")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="connect"):
        OpenAI(api_key=KEY, connect=0)


async def test_finals_come_in_the_order_of_speech_although_transcripts_do_not(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = FakeOpenAIAudio()
    vendor.recorded.extend(["one", "two"])
    vendor.delays = [2.0, 0.5]
    async with session_with(vendor) as session:
        await say(session, 1)
        await say(session, 2)
        first, second = await final(session), await final(session)
        assert (first.text, first.utterance) == ("one", 1)
        assert (second.text, second.utterance) == ("two", 2)
        assert trio.current_time() == pytest.approx(2.0)


async def test_an_utterance_too_short_for_a_commit_is_made_longer_with_silence(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = FakeOpenAIAudio()
    vendor.usage = None
    usages: list[Usage] = []
    async with session_with(vendor, usages) as session:
        await say(session, 1, seconds=0.06)
        assert await final(session) == SttResult("", True, 1)
    assert usages == [Usage(provider="openai", model="gpt-live-transcribe", seconds=0.06, estimated=True)]


async def test_what_was_heard_and_not_answered_is_counted_at_the_end(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeOpenAIAudio()
    vendor.delay = 60.0
    usages: list[Usage] = []
    async with session_with(vendor, usages) as session:
        await say(session, 1)
    assert usages == [Usage(provider="openai", model="gpt-live-transcribe", seconds=0.5, estimated=True)]


async def test_tokens_are_told_where_the_vendor_counts_those(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeOpenAIAudio()
    vendor.usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 6, "total_tokens": 20}
    usages: list[Usage] = []
    async with session_with(vendor, usages) as session:
        await say(session, 1)
        await final(session)
    assert usages == [Usage(provider="openai", model="gpt-live-transcribe", input_tokens=14, output_tokens=6)]


async def test_a_transcription_that_fails_is_an_error_so_that_no_word_is_lost(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = FakeOpenAIAudio()
    vendor.failing = [{"type": "server_error", "code": "audio_unintelligible", "message": "try again"}]
    async with session_with(vendor) as session:
        await say(session, 1)
        with pytest.raises(ProviderError, match="try again") as caught:
            await final(session)
    assert caught.value.fault == "retry"


async def test_other_error_events_and_garbage_end_nothing(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeOpenAIAudio()
    vendor.recorded.append("yes")
    async with session_with(vendor) as session:
        for garbage in (
            json.dumps(
                {"type": "error", "error": {"type": "invalid_request_error", "code": "unknown", "message": "x"}}
            ),
            "no JSON",
            b"bytes",
            "[1]",
            json.dumps({"type": ["list"]}),
            json.dumps({"type": "conversation.item.input_audio_transcription.delta", "item_id": 3, "delta": None}),
            json.dumps({"type": "rate_limits.updated"}),
        ):
            await vendor.say_all(garbage)
        await say(session, 1)
        assert (await final(session)).text == "yes"


async def test_a_session_that_is_never_ready_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeOpenAIAudio()
    vendor.silent_update = True
    started = trio.current_time()
    with pytest.raises(ProviderError, match="not ready within 3 s"):
        async with session_with(vendor, connect=3.0):
            pass
    assert trio.current_time() - started == pytest.approx(3.0, abs=0.5)


async def test_over_real_sockets_another_server_is_told_the_model() -> None:
    vendor = FakeOpenAIAudio()
    vendor.recorded.append("hello")
    async with on_loopback(vendor) as address, open_wire() as wire:
        recipe = OpenAI("gpt-transcribe", KEY, base_url=f"ws://{address}/v1/")
        async with recipe.open(SessionContext("call-1", wire=wire)) as session:
            await say(session, 1)
            assert (await final(session)).text == "hello"
    (request,) = vendor.requests
    assert request.parameter("model") == "gpt-transcribe"


# --- the dialect, without a vendor ------------------------------------------------------------------------------------


def dialect() -> OpenAIDialect:
    return OpenAIDialect({"type": "transcription"}, "m", 8000, Failures("openai m"))


def test_messages_byte_for_byte() -> None:
    codec = dialect()
    assert codec.opening() == ('{"type":"session.update","session":{"type":"transcription"}}',)
    assert codec.start() == ()
    audio = [json.loads(message) for message in codec.audio(tone(0.2))]
    assert [event["type"] for event in audio] == ["input_audio_buffer.append"]
    *rest, commit = codec.end()
    assert commit == '{"type":"input_audio_buffer.commit"}'
    sent = [base64.b64decode(event["audio"]) for event in audio + [json.loads(message) for message in rest]]
    assert len(b"".join(sent)) == 2 * 4800  # 200 ms at 24 kHz


def test_words_that_come_before_their_commit_are_the_present_utterance() -> None:
    codec, kind = dialect(), "conversation.item.input_audio_transcription"
    delta = json.dumps({"type": f"{kind}.delta", "item_id": "i1", "delta": "he"})
    assert codec.feed(delta) == (Words("he", final=False),)
    codec.feed(json.dumps({"type": "input_audio_buffer.committed", "item_id": "i1", "previous_item_id": None}))
    whole = json.dumps({"type": f"{kind}.completed", "item_id": "i1", "transcript": "hello"})
    assert codec.feed(whole) == [Words("hello", final=True), Finished()]
    assert codec.feed(whole) == ()
    assert codec.feed(delta) == ()


def test_a_commit_that_was_refused_is_an_utterance_without_words() -> None:
    codec = dialect()
    codec.feed('{"type":"session.updated"}')
    error = {"type": "invalid_request_error", "code": "input_audio_buffer_commit_empty", "message": "too short"}
    assert codec.feed(json.dumps({"type": "error", "error": error})) == [Words("", final=True), Finished()]
