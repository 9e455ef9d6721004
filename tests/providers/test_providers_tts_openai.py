"""OpenAI's speech, and with it synthesis over HTTP, against the simulated vendor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from cases import Told
from talking import session as open_session

from callengine.audio.format import AudioFormat
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Opening, SessionContext, SpeechChunk, TextToSpeech, TtsSession, Usage
from callengine.providers.tts.openai import OpenAI
from callengine.testing.vendors import Answer, Request, in_memory, on_loopback
from callengine.testing.vendors.openai_audio import FakeOpenAIAudio
from callengine.wire import open_wire

KEY = FakeOpenAIAudio.key
SENTENCE = "Your table is booked."


def session_with(
    vendor: FakeOpenAIAudio, usages: list[Usage] | None = None, **settings: Any
) -> AbstractAsyncContextManager[Any]:
    told = Told([] if usages is None else usages)
    return open_session(vendor, OpenAI(api_key=KEY, **settings), told)


async def speak(session: TtsSession, text: str = SENTENCE) -> bytes:
    async with session.synthesise(text) as chunks:
        return b"".join([chunk.audio async for chunk in chunks])


async def take_all(chunks: AsyncIterator[SpeechChunk], into: list[SpeechChunk]) -> None:
    async for chunk in chunks:
        into.append(chunk)


async def test_a_sentence_is_its_audio_at_24_khz(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeOpenAIAudio()
    usages: list[Usage] = []
    async with session_with(vendor, usages) as session:
        assert session.audio_format == AudioFormat("l16", 24000)
        audio = await speak(session)
    seconds = sum(word.size for word in vendor.vocabulary.speak(SENTENCE)) / 8000
    assert len(audio) == round(seconds * 48000)
    assert vendor.spoken == [SENTENCE]
    assert usages == [Usage(provider="openai", model="gpt-4o-mini-tts", characters=len(SENTENCE), estimated=True)]


async def test_the_request_is_what_the_recipe_says(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeOpenAIAudio()
    recipe: TextToSpeech = OpenAI(
        "gpt-4o-mini-tts-2025", "ash", KEY, instructions="Calm.", speed=1.1, extra={"stream_format": "audio"}
    )
    shown: list[Opening] = []
    async with in_memory(vendor) as wire:
        context = SessionContext("call-1", wire=wire, opening=shown.append)
        async with recipe.open(context) as session:
            await speak(session)
    (request,) = vendor.requests
    body = {
        "model": "gpt-4o-mini-tts-2025",
        "voice": "ash",
        "input": SENTENCE,
        "response_format": "pcm",
        "instructions": "Calm.",
        "speed": 1.1,
        "stream_format": "audio",
    }
    assert request.json == body
    assert shown == [Opening("tts", "openai", "https://api.openai.com/v1/audio/speech", body)]
    assert KEY not in repr(recipe)
    assert recipe.name == "openai gpt-4o-mini-tts-2025"

    # in_memory has seen to it that no connection is open


class Odd(FakeOpenAIAudio):
    """Answers every sentence with this."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    async def answer(self, request: Request) -> Answer:
        del request
        return self._answer


@pytest.mark.parametrize(
    ("answer", "words", "fault"),
    [
        (Answer.of({"error": {"message": "no such voice", "type": "invalid_request_error"}}), "no such voice", "fatal"),
        (Answer.of({"error": {"message": "busy", "type": "server_error"}}), "busy", "retry"),
        (Answer.of({"audioContent": "UklGRg=="}), "not audio", "fatal"),
        (Answer(200, b"<html>", {"content-type": "text/html"}), "not audio", "fatal"),
        (Answer(200, b'{"error":"oh"}', {}), "oh", "retry"),
        (Answer(200, b"", {"content-type": "audio/pcm"}), "no audio in it", "retry"),
    ],
)
async def test_an_answer_that_is_no_audio(
    autojump_clock: trio.testing.MockClock, answer: Answer, words: str, fault: str
) -> None:
    async with session_with(Odd(answer)) as session:
        with pytest.raises(ProviderError, match=words) as caught:
            await speak(session)
    assert caught.value.fault == fault


async def test_the_first_audio_has_its_time_and_the_next_another(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeOpenAIAudio()
    async with session_with(vendor, first_byte=2.0, between=3.0) as session:
        vendor.faults.answer_delay, vendor.faults.chunk_delay = 1.0, 0.9
        await speak(session)
        vendor.faults.chunk_delay = 1.1
        started = trio.current_time()
        with pytest.raises(ProviderError, match="no audio within 2 s"):
            await speak(session)
        assert trio.current_time() - started == pytest.approx(2.0)
        vendor.faults.answer_delay = vendor.faults.chunk_delay = 0.0
        vendor.faults.stall_after = 2
        heard: list[SpeechChunk] = []
        started = trio.current_time()
        async with session.synthesise(SENTENCE) as chunks:
            with pytest.raises(ProviderError, match="nothing more came for 3 s"):
                await take_all(chunks, heard)
        assert (len(heard), trio.current_time() - started) == (2, pytest.approx(3.0))


@pytest.mark.parametrize("setting", ["speed", "sample_rate", "first_byte", "between"])
def test_numbers_that_cannot_be_meant(setting: str) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        OpenAI(api_key=KEY, **{setting: 0})


async def test_over_real_sockets() -> None:
    vendor = FakeOpenAIAudio(sample_rate=8000)
    async with on_loopback(vendor) as address, open_wire() as wire:
        recipe = OpenAI(api_key=KEY, base_url=f"http://{address}/v1", sample_rate=8000)
        async with recipe.open(SessionContext("call-1", wire=wire)) as session:
            assert session.audio_format == AudioFormat("l16", 8000)
            audio = await speak(session)
    assert vendor.understand(audio, AudioFormat("l16", 8000)) == SENTENCE
