"""ElevenLabs' recogniser against the simulated service."""

from __future__ import annotations

import base64
import json
import math

import numpy as np
import pytest
import trio
from vendor_talk import Meter, final, say, spoken

from callengine import Agent
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Parkable, Probed, SpeechToText, SttResult, Usage
from callengine.providers.elevenlabs_account import ElevenLabsFailures
from callengine.providers.stt.dialect import Finished, Words
from callengine.providers.stt.elevenlabs import SILENT, ElevenLabs, ScribeDialect
from callengine.testing.vendors import in_memory, on_loopback
from callengine.testing.vendors.elevenlabs import FakeElevenLabs
from callengine.wire import open_wire


def recipe(vendor: FakeElevenLabs, *args: str, **options) -> ElevenLabs:
    return ElevenLabs(*args, api_key=vendor.key, **options)


async def test_an_utterance_becomes_interims_and_one_final(autojump_clock):
    # given
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        # when
        await say(session, 7, spoken(vendor, "I need a refund please."))
        results = [await session.receive()]
        while not results[-1].final:
            results.append(await session.receive())
    # then
    assert results[-1] == SttResult("I need a refund please.", True, 7)
    assert results[0].text == "I need"
    assert vendor.heard == ["I need a refund please."]


async def test_the_end_of_an_utterance_is_committed_at_once(autojump_clock):
    # given
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        await say(session, 1, spoken(vendor, "well then"))
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
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
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
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        # when
        begun = trio.current_time()
        await say(session, 1, np.zeros(4000, np.int16))
        # then
        assert await final(session) == SttResult("", True, 1)
        assert trio.current_time() - begun == pytest.approx(SILENT)
        await say(session, 2, spoken(vendor, "the next one"))
        assert (await final(session)).text == "the next one"


async def test_words_that_were_heard_are_never_taken_for_all_of_them(autojump_clock):
    # given a vendor that stalls in the middle of an utterance
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        await say(session, 1, spoken(vendor, "I need a refund"), end=False)
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
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:

        async def listen() -> None:
            while not results or not results[-1].final:
                results.append(await session.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            # when
            await say(session, 1, spoken(vendor, "maybe tomorrow morning then"), end=False)
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
    async with in_memory(vendor) as wire, ours.open(Meter(wire).context) as session:
        # when
        texts = []
        for number, text in enumerate(["hello there", "hello again"]):
            await say(session, number, spoken(vendor, text))
            texts.append((await final(session)).text)
    # then
    assert texts == ["hello there", "hello again"]


async def test_what_it_opens_with_and_the_hook(autojump_clock):
    # given
    vendor = FakeElevenLabs()

    def change(settings):
        settings["keyterms"].append("Kilkenny")

    async with in_memory(vendor) as wire:
        meter = Meter(wire, change=change, language="ru-RU")
        # when
        async with recipe(vendor, keyterms=["Wexford"]).open(meter.context):
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
    [opening] = meter.openings
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
    async with in_memory(vendor) as wire, recipe(vendor, **options).open(Meter(wire).context):
        pass
    assert vendor.requests[0].parameter(parameter) == value


@pytest.mark.parametrize(("rate", "asked"), [(16000, "pcm_16000"), (32000, "pcm_16000"), (48000, "pcm_48000")])
async def test_audio_at_another_rate(autojump_clock, rate, asked):
    # given
    vendor = FakeElevenLabs()
    vendor.recorded.append("wideband")
    ours = recipe(vendor)
    async with in_memory(vendor) as wire, ours.open(Meter(wire, sample_rate=rate).context) as session:
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
        meter = Meter(wire)
        async with recipe(vendor).open(meter.context) as session:
            # when
            await trio.sleep(100)
            await say(session, 1, spoken(vendor, "still here"))
            # then
            assert (await final(session)).text == "still here"
    assert vendor.kept >= 9
    assert recipe(vendor).idle_limit == math.inf


async def test_usage_is_what_was_sent_also_when_it_is_left_in_the_middle(autojump_clock):
    # given
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire:
        meter = Meter(wire)
        async with recipe(vendor).open(meter.context) as session:
            await say(session, 1, np.zeros(8000, np.int16))
            await final(session)
            # when
            await say(session, 2, np.zeros(4000, np.int16), end=False)
    # then
    seconds = [each.seconds for each in meter.usage]
    assert seconds == pytest.approx([1.0, 0.5])
    assert meter.usage[0] == Usage(
        provider="elevenlabs", model="scribe_v2_realtime", seconds=seconds[0], estimated=True
    )


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("auth_error", "fatal"),
        ("quota_exceeded", "fatal"),
        ("unaccepted_terms", "fatal"),
        ("input_error", "fatal"),
        ("invalid_request", "fatal"),
        ("chunk_size_exceeded", "fatal"),
        ("rate_limited", "retry"),
        ("resource_exhausted", "retry"),
        ("queue_overflow", "retry"),
        ("transcriber_error", "reopen"),
        ("session_time_limit_exceeded", "reopen"),
        ("insufficient_audio_activity", "reopen"),
        ("error", "reopen"),
    ],
)
async def test_errors_in_the_middle(autojump_clock, kind, fault):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        await session.start_utterance(1)
        await vendor.say_all(json.dumps({"message_type": kind, "error": f"no {vendor.key}"}))
        with pytest.raises(ProviderError, match=rf"elevenlabs scribe_v2_realtime: no \[key\] \({kind}\)") as error:
            await final(session)
    assert error.value.fault == fault


@pytest.mark.parametrize("kind", ["commit_throttled", "warning", "something_new"])
async def test_warnings_end_nothing(autojump_clock, kind):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        await vendor.say_all(json.dumps({"message_type": kind, "warning": "slow down", "error": "slow down"}))
        await say(session, 1, spoken(vendor, "well then"))
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
            async with recipe(vendor).open(Meter(wire).context):
                pass
    assert error.value.fault == fault


@pytest.mark.parametrize(
    ("code", "reason", "fault"),
    [
        (1000, "", "reopen"),
        (1008, "unusual", "fatal"),
        (1008, "input_timeout_exceeded", "reopen"),
        (1008, "too_many_concurrent_requests", "retry"),
        (1011, "", "retry"),
    ],
)
async def test_closes(autojump_clock, code, reason, fault):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        await session.start_utterance(1)
        await vendor.close_all(code, reason)
        with pytest.raises(ProviderError, match=f"closed: {code}") as error:
            await final(session)
    assert error.value.fault == fault


async def test_connect_bounds_the_connection(autojump_clock):
    vendor = FakeElevenLabs()
    vendor.faults.answer_delay = 10.0
    async with in_memory(vendor) as wire:
        with pytest.raises(ProviderError, match=r"no connection within 1\.5 s"):
            async with recipe(vendor, connect=1.5).open(Meter(wire).context):
                pass


@pytest.mark.parametrize("keyterms", [["a"] * 51, ["a" * 21]])
def test_too_many_keyterms(keyterms):
    with pytest.raises(ConfigurationError, match="at most 50, of at most 20 characters each"):
        ElevenLabs(api_key="k", keyterms=keyterms)


def test_the_recipe(monkeypatch):
    monkeypatch.setenv("ELEVENLABS_API_KEY", "from-the-environment")
    ours: SpeechToText = ElevenLabs()
    assert isinstance(ours, ElevenLabs)
    assert (ours.name, ours.api_key) == ("elevenlabs scribe_v2_realtime", "from-the-environment")
    assert "from-the-environment" not in repr(ours)
    assert isinstance(ours, Parkable)
    assert isinstance(ours, Probed)


async def test_the_probe(autojump_clock):
    vendor = FakeElevenLabs()
    async with in_memory(vendor) as wire:
        await recipe(vendor).probe(wire)
        with pytest.raises(ProviderError, match=r"HTTP 401: Invalid API key \(invalid_api_key\)") as error:
            await ElevenLabs(api_key="wrong").probe(wire)
    assert error.value.fault == "fatal"
    assert [request.path for request in vendor.requests] == ["/v1/voices", "/v1/voices"]


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


async def test_over_the_loopback():
    vendor = FakeElevenLabs()
    async with on_loopback(vendor) as address, open_wire() as wire:
        ours = recipe(vendor, base_url=f"ws://{address}")
        async with ours.open(Meter(wire).context) as session:
            await say(session, 1, spoken(vendor, "over a real socket"))
            assert (await final(session)).text == "over a real socket"
        await ours.probe(wire)


async def test_a_whole_call(call_lab):
    # given
    vendor = FakeElevenLabs(call_lab.vocabulary)
    call_lab.llm.replies("A refund is on its way.")
    agent = Agent(greeting="Hello there.", stt=recipe(vendor))
    async with in_memory(vendor) as wire:
        async with call_lab.dial(agent, wire=wire) as caller:
            await caller.hears("Hello there.")
            # when
            await caller.says("I need a refund please.")
            # then
            await caller.hears("on its way")
    assert vendor.heard == ["I need a refund please."]
    call_lab.assert_nothing_left()
