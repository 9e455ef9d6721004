"""Rime's voices against the simulated vendor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.brain.agent import Agent
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Opening, SessionContext, SpeechChunk, TextToSpeech, TtsSession, Usage, WordTime
from callengine.providers.tts.contexts import Spoken
from callengine.providers.tts.rime import Rime, RimeDialect, RimeFailures
from callengine.testing.lab import CallLab
from callengine.testing.vendors import in_memory, on_loopback
from callengine.testing.vendors.rime import FakeRime
from callengine.wire import open_wire

KEY = FakeRime.key
SENTENCE = "Your table is booked."


@asynccontextmanager
async def session_with(
    vendor: FakeRime, usages: list[Usage] | None = None, line: AudioFormat = TELEPHONE, **settings: Any
) -> AsyncIterator[TtsSession]:
    async with in_memory(vendor) as wire:
        meter = (usages if usages is not None else []).append
        context = SessionContext("call-1", line=line, wire=wire, meter=meter)
        async with Rime(api_key=KEY, **settings).open(context) as session:
            yield session


async def collect(session: TtsSession, text: str = SENTENCE) -> list[SpeechChunk]:
    async with session.synthesise(text) as chunks:
        return [chunk async for chunk in chunks]


def audio_of(chunks: list[SpeechChunk]) -> bytes:
    return b"".join(chunk.audio for chunk in chunks)


async def test_a_sentence_is_mu_law_with_word_times(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeRime()
    usages: list[Usage] = []
    async with session_with(vendor, usages) as session:
        assert session.audio_format == TELEPHONE
        chunks = await collect(session)
    assert vendor.understand(audio_of(chunks)) == SENTENCE
    words = [word for chunk in chunks for word in chunk.words]
    assert [word.word for word in words] == SENTENCE.split()
    assert words[-1].end == pytest.approx(len(audio_of(chunks)) / 8000)
    assert usages == [Usage(provider="rime", model="coda", characters=len(SENTENCE), estimated=True)]


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
            assert audio_of(await collect(session))
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
        assert vendor.understand(audio_of(await collect(session))) == SENTENCE
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
            await collect(session)
        assert caught.value.fault == fault
        assert vendor.understand(audio_of(await collect(session))) == SENTENCE


@pytest.mark.parametrize(("status", "fault"), [(400, "fatal"), (401, "fatal"), (429, "retry"), (500, "retry")])
async def test_a_refused_handshake_in_plain_text(
    autojump_clock: trio.testing.MockClock, status: int, fault: str
) -> None:
    vendor = FakeRime()
    vendor.refuse(status, "invalid subscription")
    with pytest.raises(ProviderError, match=f"HTTP {status}: invalid subscription") as caught:
        async with session_with(vendor):
            pass
    assert caught.value.fault == fault


@pytest.mark.parametrize(
    ("code", "reason", "fault"),
    [
        (1011, "401 invalid subscription", "fatal"),
        (1011, "429 too many", "retry"),
        (1011, "", "retry"),
        (1000, "", "reopen"),
    ],
)
async def test_a_close_says_why(autojump_clock: trio.testing.MockClock, code: int, reason: str, fault: str) -> None:
    vendor = FakeRime()
    vendor.first_byte = 1.0
    async with session_with(vendor) as session, session.synthesise(SENTENCE) as chunks:
        await vendor.close_all(code, reason)
        with pytest.raises(ProviderError) as caught:
            await anext(chunks)
    assert caught.value.fault == fault


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


async def test_a_vendor_that_does_not_answer(autojump_clock: trio.testing.MockClock) -> None:
    vendor = FakeRime()
    vendor.faults.answer_delay = 60.0
    with pytest.raises(ProviderError, match="no connection within 2 s"):
        async with session_with(vendor, connect=2.0):
            pass


async def test_over_real_sockets() -> None:
    vendor = FakeRime()
    async with on_loopback(vendor) as address, open_wire() as wire:
        recipe = Rime(api_key=KEY, base_url=f"ws://{address}")
        async with recipe.open(SessionContext("call-1", wire=wire)) as session:
            assert vendor.understand(audio_of(await collect(session))) == SENTENCE


async def test_a_call_with_a_barge_in(call_lab: CallLab) -> None:
    vendor = FakeRime(call_lab.vocabulary)
    vendor.pace = 0.05
    call_lab.llm.replies("We have a great many tables today for everybody.", "Seven it is.")
    agent = Agent(prompt="You take bookings.", tts=Rime(api_key=KEY))
    async with in_memory(vendor) as wire, call_lab.dial(agent, wire=wire) as caller:
        await caller.says("a table please")
        await caller.interrupts("at seven")
        await caller.hears("Seven it is.")
    assert vendor.spoken[-1] == "Seven it is."
    call_lab.assert_nothing_left()


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
