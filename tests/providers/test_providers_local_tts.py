from __future__ import annotations

import re
import socket
from pathlib import Path

import numpy as np
import pytest
import trio

from callengine.audio import MULAW, AudioFormat, Pcm, Resampler, rms_dbfs
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import SessionContext, SpeechChunk, Usage
from callengine.providers.local.hibari import HibariVoice
from callengine.providers.local.models import LocalModels
from callengine.providers.local.workers import Workers
from callengine.providers.tts.local import LocalTextToSpeech

pytestmark = pytest.mark.models

CALL = SessionContext("call-1")


async def chunks(tts: LocalTextToSpeech, text: str) -> list[SpeechChunk]:
    async with tts.open(CALL) as session:
        assert session.audio_format == AudioFormat("l16", 24000)
        async with session.synthesise(text) as stream:
            return [chunk async for chunk in stream]


async def spoken(tts: LocalTextToSpeech, text: str) -> Pcm:
    return np.frombuffer(b"".join(chunk.audio for chunk in await chunks(tts, text)), "<i2")


def levels(pcm: Pcm) -> list[float]:
    """dBFS of each 10 ms."""
    return [rms_dbfs(pcm[at : at + 240]) for at in range(0, len(pcm), 240)]


@pytest.mark.parametrize(
    "text",
    [
        "Your table is booked for Friday at half past seven.",
        "Would you like to sit by the window?",
        "I am sorry, I did not catch that.",
    ],
)
async def test_what_is_said_is_understood_over_the_telephone(models: LocalModels, text: str) -> None:
    pcm = Resampler(24000, 8000).push(await spoken(models.tts, text))
    line = MULAW.decode(MULAW.encode(pcm))
    async with models.stt.open(CALL) as session:
        await session.start_utterance(1)
        await session.send(line)
        await session.end_utterance()
        heard = (await session.receive()).text
    words = [re.findall(r"[a-z']+", each.lower().replace("half-past", "half past")) for each in (text, heard)]
    assert words[1] == words[0]


@pytest.mark.parametrize("text", ["Hello.", "Sure, I can help you with that.", "What day would you like to come?"])
async def test_speech_begins_at_once_and_is_as_loud_as_a_caller(models: LocalModels, text: str) -> None:
    pcm = await spoken(models.tts, text)
    loud = [level > -45 for level in levels(pcm)]
    assert loud.index(True) <= 8  # 80 ms ("h" is soft), where the model itself waits 300 ms
    assert 0.15 < loud[::-1].index(True) / 100 < 0.35
    speech = [level for level in levels(pcm) if level > max(levels(pcm)) - 25]
    assert 10 * np.log10(np.mean(10 ** (np.array(speech) / 10))) == pytest.approx(-20, abs=2)


async def test_the_characters_of_a_text_are_told(models: LocalModels) -> None:
    told: list[Usage] = []
    async with models.tts.open(SessionContext("call-1", meter=told.append)) as session:
        async with session.synthesise("No thank you."):
            pass
    assert told == [Usage(provider="local", model="hibari", characters=13)]


async def test_each_sentence_is_a_chunk(models: LocalModels) -> None:
    assert len(await chunks(models.tts, "All right. Your table is booked, Dr. Smith. Anything else?")) == 3


@pytest.mark.parametrize("text", ["", "   ", "...", "\n"])
async def test_nothing_to_say_is_no_audio(models: LocalModels, text: str) -> None:
    assert await chunks(models.tts, text) == []


async def test_the_same_text_sounds_the_same(models: LocalModels) -> None:
    assert await chunks(models.tts, "See you then.") == await chunks(models.tts, "See you then.")


async def test_speed_changes_how_long_it_takes(loaded_models: LocalModels) -> None:
    text = "Your table is booked for Friday."
    voice = loaded_models.tts.voice
    slow, natural, fast = [
        len(await spoken(LocalTextToSpeech(voice, Workers(inline=True), speed=speed), text)) for speed in (0.7, 1, 1.5)
    ]
    assert slow > 1.2 * natural > 1.5 * fast


@pytest.mark.parametrize("speed", [0.4, 2.5])
def test_a_speed_that_the_voice_cannot_keep_is_refused(models: LocalModels, speed: float) -> None:
    with pytest.raises(ConfigurationError, match=f"speed={speed}"):
        LocalTextToSpeech(models.tts.voice, models.workers, speed=speed)


def test_another_language_is_refused(models: LocalModels) -> None:
    with pytest.raises(ConfigurationError, match="English only"):
        models.tts.open(SessionContext("call-1", language="de"))


async def test_leaving_early_leaves_the_rest_unsaid(loaded_models: LocalModels) -> None:
    jobs: list[str] = []

    class Noted(HibariVoice):
        def speak(self, phonemes: str, speed: float = 1.0) -> Pcm:
            jobs.append(phonemes)
            return super().speak(phonemes, speed)

    workers = Workers(1)
    tts = LocalTextToSpeech(Noted(loaded_models.tts.voice.engine), workers)
    async with tts.open(CALL) as session:
        async with session.synthesise("One. Two. Three. Four. Five. Six. Seven.") as stream:
            async for _ in stream:
                break
    assert 1 <= len(jobs) <= 3
    assert await workers.run(str, 1) == "1"
    assert workers.busy == 0


async def test_two_calls_can_speak_at_once(loaded_models: LocalModels) -> None:
    tts = loaded_models.using(Workers(2)).tts
    texts = ["Your table is booked for Friday.", "We are closed on Mondays and at Christmas."]
    alone = [await chunks(tts, text) for text in texts]
    together: dict[str, list[SpeechChunk]] = {}

    async def speak(text: str) -> None:
        together[text] = await chunks(tts, text)

    async with trio.open_nursery() as nursery:
        for text in texts:
            nursery.start_soon(speak, text)
    assert [together[text] for text in texts] == alone


async def test_a_failing_voice_is_a_provider_error(models: LocalModels) -> None:
    class Broken(HibariVoice):
        def speak(self, phonemes: str, speed: float = 1.0) -> Pcm:
            raise RuntimeError(f"no memory for {len(phonemes)} sounds at {speed}")

    with pytest.raises(ProviderError, match="local: speaking a sentence failed: no memory"):
        await chunks(LocalTextToSpeech(Broken(models.tts.voice.engine), models.workers), "Hello.")


def test_the_voice_never_asks_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail(f"the voice opened a socket: {args} {kwargs}")

    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))  # nothing was downloaded before
    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)

    voice = HibariVoice.load()
    sounds = voice.phonemes("Zwiebelkuchen costs $9.50, ask Xqzrv at 7:30 pm.")  # words that no dictionary has

    assert len(voice.speak(sounds[0])) > 24000
    assert list(tmp_path.iterdir()) == []
