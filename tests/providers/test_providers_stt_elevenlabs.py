"""ElevenLabs' recogniser against the simulated service."""

from __future__ import annotations

import base64
import json
import math

import numpy as np
import pytest
import trio
from cases import Told
from talking import final, said, say

from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import SttResult
from callengine.providers.elevenlabs_account import ElevenLabsFailures
from callengine.providers.stt.dialect import Finished, Words
from callengine.providers.stt.elevenlabs import SILENT, ElevenLabs, ScribeDialect
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.elevenlabs import FakeElevenLabs


def recipe(vendor: FakeElevenLabs, *args: str, **options) -> ElevenLabs:
    return ElevenLabs(*args, api_key=vendor.key, **options)


async def test_the_end_of_an_utterance_is_committed_at_once(autojump_clock):
    # given
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        await say(session, 1, said(vendor, "well then"))
        # when
        begun = trio.current_time()
        result = await final(session)
        took = trio.current_time() - begun
    # then
    assert (result.text, took, len(vendor.commits)) == ("well then", 0.0, 1)


@pytest.mark.parametrize("samples", [0, 800, 2399, 2400])
async def test_a_short_utterance_is_padded_to_what_a_commit_needs(autojump_clock, samples):
    # given a vendor that ends the session over a commit of less than 0.3 s
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        for number in (1, 2):
            # when
            await say(session, number, np.zeros(samples, np.int16))
            # then
            assert await final(session) == SttResult("", True, number)
    assert vendor.commits == [0.3, 0.3]


async def test_a_commit_of_silence_may_have_no_answer(autojump_clock):
    # given
    vendor = FakeElevenLabs()
    vendor.answers_silence = False
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when
        begun = trio.current_time()
        await say(session, 1, np.zeros(4000, np.int16))
        # then
        assert await final(session) == SttResult("", True, 1)
        assert trio.current_time() - begun == pytest.approx(SILENT)
        await say(session, 2, said(vendor, "the next one"))
        assert (await final(session)).text == "the next one"


async def test_words_that_were_heard_are_never_taken_for_all_of_them(autojump_clock):
    # given a vendor that stalls in the middle of an utterance
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        await say(session, 1, said(vendor, "I need a refund"), end=False)
        assert (await session.receive()).text == "I need"
        vendor.faults.mute = True
        # when
        await session.end_utterance()
        with trio.move_on_after(60) as waited:
            await final(session)
    # then whoever waits for the final knows that there is none
    assert waited.cancelled_caught


async def test_what_it_commits_by_itself_is_a_part_of_the_utterance(autojump_clock):
    # given
    vendor = FakeElevenLabs()
    vendor.segments = 0.6
    results: list[SttResult] = []
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:

        async def listen() -> None:
            while not results or not results[-1].final:
                results.append(await session.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            # when
            await say(session, 1, said(vendor, "maybe tomorrow morning then"), end=False)
            await trio.sleep(0.1)
            await session.end_utterance()
    # then
    assert len(vendor.heard) > 1
    assert [result.final for result in results] == [False] * (len(results) - 1) + [True]
    assert results[-1].text == " ".join(vendor.heard)


async def test_a_transcript_that_comes_twice_counts_once(autojump_clock):
    # given
    vendor = FakeElevenLabs()
    ours = recipe(vendor, extra={"include_timestamps": True})
    async with in_memory(vendor) as wire, ours.open(Told().context(wire)) as session:
        # when
        texts = []
        for number, text in enumerate(["hello there", "hello again"]):
            await say(session, number, said(vendor, text))
            texts.append((await final(session)).text)
    # then
    assert texts == ["hello there", "hello again"]


async def test_what_it_opens_with_and_the_hook(autojump_clock):
    # given
    vendor = FakeElevenLabs()

    def change(settings):
        settings["keyterms"].append("Kilkenny")

    async with in_memory(vendor) as wire:
        told = Told(change=change)
        # when
        async with recipe(vendor, keyterms=["Wexford"]).open(told.context(wire, language="ru-RU")):
            pass
    # then
    handshake = vendor.requests[0]
    assert handshake.path == "/v1/speech-to-text/realtime"
    assert handshake.headers["xi-api-key"] == vendor.key
    assert handshake.query == {
        "model_id": ["scribe_v2_realtime"],
        "audio_format": ["ulaw_8000"],
        "commit_strategy": ["manual"],
        "language_code": ["ru"],
        "keyterms": ["Wexford", "Kilkenny"],
    }
    [opening] = told.openings
    assert (opening.role, opening.provider) == ("stt", "elevenlabs")
    assert opening.url == "wss://api.elevenlabs.io/v1/speech-to-text/realtime"
    assert vendor.key not in str(opening)


@pytest.mark.parametrize(
    ("options", "parameter", "value"),
    [
        ({"model": "scribe_v3_realtime"}, "model_id", "scribe_v3_realtime"),
        ({"language": "de-CH"}, "language_code", "de"),
        ({"verbatim": False}, "no_verbatim", "true"),
        ({"logging": False}, "enable_logging", "false"),
        ({"extra": {"vad_threshold": 0.4}}, "vad_threshold", "0.4"),
        ({"extra": {"language_code": None}}, "language_code", None),
    ],
)
async def test_settings_reach_the_vendor(autojump_clock, options, parameter, value):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor, **options).open(Told().context(wire)):
        pass
    assert vendor.requests[0].parameter(parameter) == value


@pytest.mark.parametrize(("rate", "asked"), [(16000, "pcm_16000"), (32000, "pcm_16000"), (48000, "pcm_48000")])
async def test_audio_at_another_rate(autojump_clock, rate, asked):
    # given
    vendor = FakeElevenLabs()
    vendor.recorded.append("wideband")
    ours = recipe(vendor)
    async with in_memory(vendor) as wire, ours.open(Told().context(wire, sample_rate=rate)) as session:
        # when
        await say(session, 1, np.ones(rate, np.int16))
        result = await final(session)
    # then
    assert result.text == "wideband"
    assert vendor.requests[0].parameter("audio_format") == asked
    assert vendor.commits == [pytest.approx(1.0, abs=0.01)]


async def test_an_idle_session_is_kept_without_audio(autojump_clock):
    # given a vendor that ends a session after 15 s without a message
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire:
        told = Told()
        async with recipe(vendor).open(told.context(wire)) as session:
            # when
            await trio.sleep(100)
            await say(session, 1, said(vendor, "still here"))
            # then
            assert (await final(session)).text == "still here"
    assert vendor.kept >= 9
    assert recipe(vendor).idle_limit == math.inf


@pytest.mark.parametrize("kind", ["commit_throttled", "warning", "something_new"])
async def test_warnings_end_nothing(autojump_clock, kind):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        await vendor.say_all(json.dumps({"message_type": kind, "warning": "slow down", "error": "slow down"}))
        await say(session, 1, said(vendor, "well then"))
        assert (await final(session)).text == "well then"


@pytest.mark.parametrize(
    ("status", "message", "fault"),
    [
        (401, r"HTTP 401: no \[key\] \(invalid_api_key\)", "fatal"),
        (403, r"HTTP 403: no \[key\] \(subscription_required\)", "fatal"),
        (422, r"HTTP 422: body\.text: no \[key\]", "fatal"),
        (429, r"HTTP 429: no \[key\] \(too_many_concurrent_requests\)", "retry"),
        (503, r"HTTP 503: no \[key\] \(system_busy\)", "retry"),
    ],
)
async def test_refused_handshakes(autojump_clock, status, message, fault):
    vendor = FakeElevenLabs()
    vendor.refuse(status, f"no {vendor.key}")
    async with in_memory(vendor) as wire:
        with pytest.raises(ProviderError, match=message) as error:
            async with recipe(vendor).open(Told().context(wire)):
                pass
    assert error.value.fault == fault


@pytest.mark.parametrize("keyterms", [["a"] * 51, ["a" * 21]])
def test_too_many_keyterms(keyterms):
    with pytest.raises(ConfigurationError, match="at most 50, of at most 20 characters each"):
        ElevenLabs(api_key="k", keyterms=keyterms)


def scribe(sample_rate: int = 8000) -> ScribeDialect:
    return ScribeDialect(ElevenLabs(api_key="k"), sample_rate, ElevenLabsFailures("elevenlabs", "k"))


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        (
            '{"message_type":"session_started","session_id":"s1","config":{"sample_rate":8000,'
            '"audio_format":"ulaw_8000","commit_strategy":"vad","model_id":"scribe_v2_realtime"}}',
            [],
        ),
        ('{"message_type":"partial_transcript","text":"I need a"}', [Words("I need a", False)]),
        (
            '{"message_type":"committed_transcript","text":"I need a refund."}',
            [Words("I need a refund.", True)],
        ),
        (
            '{"message_type":"committed_transcript_with_timestamps","text":"I need a refund.","language_code":"en",'
            '"words":[{"text":"I","start":0.7,"end":0.8,"type":"word","logprob":-0.02}]}',
            [],
        ),
        ('{"message_type":"warning","warning":".."}', []),
        ('{"message_type":"partial_transcript","text":null}', []),
        ('{"message_type":["error"],"text":"x"}', []),
        ("{}", []),
        ("[]", []),
        ("nonsense", []),
        (b"\xff", []),
    ],
)
def test_frames(message, heard):
    assert list(scribe().feed(message)) == heard


def test_an_error_is_told_with_its_kind():
    with pytest.raises(ProviderError, match=r"elevenlabs: no more \(quota_exceeded\)"):
        scribe().feed('{"message_type":"quota_exceeded","error":"no more"}')


def test_commands():
    dialect = scribe()
    head = '{"message_type":"input_audio_chunk","audio_base_64":"'
    assert dialect.audio(np.zeros(2, np.int16)) == (head + '//8=","commit":false,"sample_rate":8000}',)
    padding = base64.b64encode(b"\xff" * 2398).decode()
    assert dialect.end() == (f'{head}{padding}","commit":true,"sample_rate":8000}}',)
    assert dialect.still_here() == (head + '","commit":false,"sample_rate":8000}',)
    committed = '{"message_type":"committed_transcript","text":"hi"}'
    assert list(dialect.feed(committed)) == [Words("hi", True), Finished()]
    assert list(dialect.feed(committed)) == [Words("hi", True)]
