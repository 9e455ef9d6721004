"""Rime's voices against the simulated vendor."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from cases import Told
from conformance_tts import SENTENCE, audio_of, spoken
from talking import session as open_session

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Opening, SessionContext, TextToSpeech, Usage, WordTime
from callengine.providers.tts.contexts import Spoken
from callengine.providers.tts.rime import Rime, RimeDialect, RimeFailures
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.rime import FakeRime

KEY = FakeRime.key


def session_with(
    vendor: FakeRime, usages: list[Usage] | None = None, line: AudioFormat = TELEPHONE, **settings: Any
) -> AbstractAsyncContextManager[Any]:
    told = Told([] if usages is None else usages)
    return open_session(vendor, Rime(api_key=KEY, **settings), told, line=line)


async def test_the_address_says_what_the_recipe_and_the_call_say(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeRime()
    recipe: TextToSpeech = Rime("mistv2", "cove", KEY, extra={"speedAlpha": 0.9, "reduceLatency": True})
    shown: list[Opening] = []
    async with in_memory(vendor) as wire:
        context = SessionContext(
            "call-1", language="es-MX", line=AudioFormat("l16", 16000), wire=wire, opening=shown.append
        )
        async with recipe.open(context) as session:
            assert session.audio_format == AudioFormat("l16", 16000)
            assert audio_of(await spoken(session))
    (request,) = vendor.requests
    assert {name: request.parameter(name) for name in request.query} == {
        "speaker": "cove",
        "modelId": "mistv2",
        "audioFormat": "pcm",
        "samplingRate": "16000",
        "lang": "spa",
        "segment": "never",
        "speedAlpha": "0.9",
        "reduceLatency": "true",
    }
    assert (shown[0].role, shown[0].provider, shown[0].url) == ("tts", "rime", "wss://users-ws.rime.ai/ws3")
    assert KEY not in repr(recipe) + repr(shown)
    assert recipe.name == "rime mistv2"


@pytest.mark.parametrize(("own", "call", "told"), [(None, "en-GB", "eng"), ("fr", "en", "fra"), ("swa", "en", "swa")])
def test_languages_are_spelled_as_the_vendor_does(own: str | None, call: str, told: str) -> None:
    assert Rime(api_key=KEY, language=own).settings(SessionContext("call-1", language=call))["lang"] == told


def test_settings_that_cannot_be_meant() -> None:
    with pytest.raises(ConfigurationError, match="voice"):
        Rime(voice="", api_key=KEY)
    with pytest.raises(ConfigurationError, match="connect"):
        Rime(api_key=KEY, connect=-1)
    assert Rime(api_key=KEY).idle_limit == 300.0


async def test_a_cut_clears_and_what_still_comes_is_dropped(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeRime()
    vendor.pace = 0.05
    async with session_with(vendor) as session:
        async with session.synthesise("This will be cut in the middle of it.") as chunks:
            await anext(chunks)
        assert vendor.understand(audio_of(await spoken(session))) == SENTENCE
    assert vendor.cleared == 1
    assert vendor.connected == 1


@pytest.mark.parametrize(
    ("problem", "fault"),
    [("too long a text", "retry"), ("400 no such speaker", "fatal"), ("HTTP 429: too many", "retry")],
)
async def test_an_error_ends_its_sentence(autojump_clock: trio.testing.MockClock, problem: str, fault: str) -> None:
    vendor = FakeRime()
    vendor.problems = [problem]
    async with session_with(vendor) as session:
        with pytest.raises(ProviderError, match=problem.split(" ", 2)[-1]) as caught:
            await spoken(session)
        assert caught.value.fault == fault
        assert vendor.understand(audio_of(await spoken(session))) == SENTENCE


@pytest.mark.parametrize("late", [False, True])
async def test_the_probe_finds_a_key_that_is_not_taken(autojump_clock: trio.testing.MockClock, late: bool) -> None:
    vendor = FakeRime()
    vendor.refuses_late = late
    async with in_memory(vendor) as wire:
        await Rime(api_key=KEY).probe(wire)
        with pytest.raises(ProviderError, match="Invalid API key") as caught:
            await Rime(api_key="wrong").probe(wire)
    assert caught.value.fault == "fatal"
    assert vendor.spoken == []


# --- the dialect, without a vendor ------------------------------------------------------------------------------------


def dialect() -> RimeDialect:
    return RimeDialect({"audioFormat": "mulaw", "samplingRate": 8000, "modelId": "coda"}, RimeFailures("rime coda"))


def test_messages_byte_for_byte() -> None:
    codec = dialect()
    assert codec.begin("turn-7", "Your table is booked.") == (
        '{"text":"Your table is booked.","contextId":"turn-7"}',
        '{"operation":"flush","contextId":"turn-7"}',
    )
    assert codec.cancel("turn-7") == ('{"operation":"clear"}',)


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ('{"type":"chunk","data":"//8=","contextId":"turn-7"}', [Spoken("turn-7", b"\xff\xff")]),
        (
            '{"type":"timestamps","word_timestamps":{"words":["Your","table"],"start":[0.0,0.21],"end":[0.2,0.55]},'
            '"contextId":"turn-7"}',
            [Spoken("turn-7", words=(WordTime("Your", 0.0, 0.2), WordTime("table", 0.21, 0.55)))],
        ),
        ('{"type":"done","contextId":"turn-7"}', [Spoken("turn-7", done=True)]),
        ('{"type":"done","contextId":null}', []),
        ('{"type":"chunk","data":"//8=","contextId":null}', []),
        ('{"type":"chunk","data":null,"contextId":"turn-7"}', []),
        ('{"type":"chunk","data":"é","contextId":"turn-7"}', []),
        ('{"type":"timestamps","word_timestamps":{"words":["x"],"start":["0"],"end":[1]},"contextId":"turn-7"}', []),
        ('{"type":"news"}', []),
        ("garbage", []),
        (b"garbage", []),
    ],
)
def test_what_messages_mean(message: str | bytes, meaning: list[Spoken]) -> None:
    assert list(dialect().feed(message)) == meaning
