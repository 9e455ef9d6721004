"""Deepgram Nova against a simulated Deepgram."""

from __future__ import annotations

import json
import math
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest
import trio
from cases import Told
from talking import final, said, say, send, session, silence

from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import SttResult, Usage
from callengine.providers.deepgram_account import DeepgramFailures
from callengine.providers.stt.deepgram import Deepgram
from callengine.providers.stt.deepgram_wire import NovaDialect
from callengine.providers.stt.dialect import Finished, Words
from callengine.testing.vendors.deepgram import FakeDeepgram

KEY = FakeDeepgram.key


def opened(vendor: FakeDeepgram, told: Told | None = None, **settings: Any) -> AbstractAsyncContextManager[Any]:
    context = settings.pop("context", {})
    return session(vendor, Deepgram(**{"api_key": KEY, **settings}), told, **context)


# --- an utterance -----------------------------------------------------------------------------------------------------


async def test_an_utterance_is_understood_and_finalised_when_it_ends(autojump_clock: Any) -> None:
    vendor, told, heard = FakeDeepgram(), Told(), []
    async with opened(vendor, told) as session:
        await say(session, 7, said(vendor, "I need a refund for my order."), pace=1.0)
        at = trio.current_time()
        result = await final(session, heard)
        assert trio.current_time() == at
    assert result == SttResult("I need a refund for my order.", True, 7)
    assert heard
    assert all(not part.final and result.text.startswith(part.text) for part in heard)
    assert told.usage == [Usage(provider="deepgram", model="nova-3", seconds=pytest.approx(1.8), estimated=True)]


async def test_words_are_final_at_a_pause_already_and_cost_no_time_at_the_end(autojump_clock: Any) -> None:
    vendor, heard = FakeDeepgram(), []
    async with opened(vendor) as session:
        await say(session, 1, said(vendor, "Yes, please."), pause=True, pace=1.0)
        vendor.faults.mute = True  # nothing more is needed of it
        at = trio.current_time()
        assert (await final(session, heard)).text == "Yes, please."
        assert trio.current_time() == at
    assert [part.text for part in heard] == ["Yes,", "Yes, please."]


async def test_who_goes_on_after_a_pause_has_said_both(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        await session.start_utterance(1)
        await send(session, said(vendor, "My number is"))
        await session.pause()
        await send(session, said(vendor, "forty two."))
        await session.end_utterance()
        assert (await final(session)).text == "My number is forty two."


async def test_segments_that_the_vendor_settles_by_itself_are_put_together(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.settles = 0.6
    async with opened(vendor) as session:
        await say(session, 1, said(vendor, "one two three four five six seven"), pace=1.0)
        assert (await final(session)).text == "one two three four five six seven"
    assert len(vendor.heard) > 2


async def test_where_finalize_is_not_answered_the_words_that_there_are_become_final(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.answers_finalize = False
    async with opened(vendor) as session:
        await say(session, 1, said(vendor, "two two two two"), pace=1.0)
        at = trio.current_time()
        assert (await final(session)).text
        assert trio.current_time() - at == pytest.approx(0.5)


async def test_words_that_come_after_the_final_never_go_to_the_next_utterance(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        vendor.faults.chunk_delay = 2.0
        await say(session, 1, said(vendor, "Never mind."), pace=1.0)
        first = await final(session)
        await session.start_utterance(2)
        await send(session, said(vendor, "Something else."))
        vendor.faults.chunk_delay = 0.0
        await session.end_utterance()
        second = await final(session)
    assert "Something" not in first.text
    assert second == SttResult("Something else.", True, 2)


async def test_the_next_utterance_may_begin_before_the_last_ones_final(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        vendor.faults.chunk_delay = 0.3
        await say(session, 1, said(vendor, "First one."))
        await say(session, 2, said(vendor, "Second one."))
        assert [(await final(session)).text for _ in range(2)] == ["First one.", "Second one."]


# --- the connection ---------------------------------------------------------------------------------------------------


async def test_an_idle_connection_is_kept(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        await trio.sleep(120)
        await say(session, 1, said(vendor, "Still there?"), pace=1.0)
        assert (await final(session)).text == "Still there?"
    assert vendor.connected == 1
    assert Deepgram(api_key=KEY).idle_limit == math.inf


async def test_speech_that_waited_for_the_connection_is_sent_faster_than_it_was_spoken(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.faults.connect_delay = vendor.faults.answer_delay = 0.4
    began = trio.current_time()
    async with opened(vendor) as session:
        assert trio.current_time() == began + 0.8
        await say(session, 1, said(vendor, "Every word of it is there."))
        assert (await final(session)).text == "Every word of it is there."
        assert trio.current_time() == began + 0.8


CLOSES = [
    (1008, "DATA-0000: bytes do not decode", "fatal"),
    (1011, "NET-0000: no text within the window", "retry"),
    (1011, "NET-0001: Deepgram did not receive audio data or a text message within the timeout window.", "reopen"),
    (1011, "did not receive audio data", "reopen"),
    (1009, "BIG-0000", "fatal"),
    (1000, "", "reopen"),
]


def test_both_shapes_of_a_refusals_body_and_a_bare_header_are_read() -> None:
    failures = DeepgramFailures("deepgram", "k" * 20)
    newer = b'{"category":"INVALID_JSON","message":"Invalid JSON submitted.","details":"at 3","request_id":"x"}'
    assert str(failures.from_response(400, {}, newer)).endswith("HTTP 400: Invalid JSON submitted.: at 3")
    assert str(failures.from_response(400, {"dg-error": "No such model"}, b"")).endswith("HTTP 400: No such model")
    assert str(failures.from_response(502, {}, b"bad gateway")).endswith("HTTP 502: bad gateway")


# --- settings ---------------------------------------------------------------------------------------------------------

ORDINARY = {
    "model": ["nova-3"], "language": ["en"], "encoding": ["mulaw"], "sample_rate": ["8000"], "channels": ["1"],
    "interim_results": ["true"], "endpointing": ["300"], "smart_format": ["true"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({}, {}),
        ({"model": "nova-3-medical"}, {"model": ["nova-3-medical"]}),
        ({"language": "multi"}, {"language": ["multi"]}),
        ({"context": {"language": "de-CH"}}, {"language": ["de-CH"]}),
        ({"keyterms": ["Acme", "order number"]}, {"keyterm": ["Acme", "order number"]}),
        ({"model": "nova-2", "keyterms": ["Acme:2"]}, {"model": ["nova-2"], "keywords": ["Acme:2"]}),
        ({"smart_format": False}, {"smart_format": ["false"]}),
        ({"endpointing": 0.5}, {"endpointing": ["500"]}),
        ({"endpointing": None}, {"endpointing": ["false"]}),
        ({"context": {"sample_rate": 16000}}, {"encoding": ["linear16"], "sample_rate": ["16000"]}),
        (
            {"extra": {"numerals": True, "tag": ["a", "b"], "language": "fr"}},
            {"numerals": ["true"], "tag": ["a", "b"], "language": ["fr"]},
        ),
    ],
)
async def test_settings_reach_the_vendor(
    settings: dict[str, Any], changes: dict[str, list[str]], autojump_clock: Any
) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor, **settings):
        pass
    (request,) = vendor.requests
    assert (request.host, request.path) == ("api.deepgram.com", "/v1/listen")
    assert request.headers["authorization"] == f"Token {KEY}"
    assert request.query == {**ORDINARY, **changes}


@pytest.mark.parametrize("settings", [{"model": ""}, {"model": "flux-general-en"}, {"endpointing": 0}, {"connect": 0}])
def test_settings_without_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Deepgram(api_key=KEY, **settings)


# --- the protocol -----------------------------------------------------------------------------------------------------

RESULTS = (
    '{"type":"Results","channel_index":[0,1],"start":0.0,"duration":1.02,"is_final":%s,"speech_final":true,'
    '"from_finalize":%s,"channel":{"alternatives":[{"transcript":"I need a refund.","confidence":0.982,'
    '"languages":["en"],"words":[{"word":"i","start":2.06,"end":2.22,"confidence":0.99,"punctuated_word":"I",'
    '"speaker":0}]}]},"metadata":{"request_id":"7b6f5c1e-0000-4000-8000-0123456789ab"}}'
)


def dialect() -> NovaDialect:
    made = NovaDialect("nova-3", 8000, DeepgramFailures("deepgram", KEY))
    made.opening()
    made.start()
    made.audio(silence(1.0))
    return made


def test_the_frames_that_are_sent() -> None:
    made = NovaDialect("nova-3", 8000, DeepgramFailures("deepgram", KEY))
    assert made.opening() == (b"\xff" * 160,)
    assert made.start() == ()
    assert made.audio(np.zeros(160, np.int16)) == (b"\xff" * 160,)
    assert made.audio(np.zeros(0, np.int16)) == ()  # an empty message would end the stream
    assert made.still_here() == ('{"type":"KeepAlive"}',)
    assert made.audio(np.zeros(800, np.int16)) == (b"\xff" * 800,)
    assert made.pause() == ('{"type":"Finalize"}',)
    assert made.end() == ()  # asked already
    assert made.bye() == ('{"type":"CloseStream"}',)


def test_linear_audio_at_other_rates_begins_with_as_much_silence() -> None:
    made = NovaDialect("nova-3", 16000, DeepgramFailures("deepgram", KEY))
    assert made.opening() == (bytes(640),)
    assert made.audio(np.array([1, -2], np.int16)) == (b"\x01\x00\xfe\xff",)


def test_the_frames_that_come() -> None:
    made = dialect()
    assert made.feed(RESULTS % ("false", "false")) == [Words("I need a refund.", False, 0)]
    assert made.end() == ('{"type":"Finalize"}',)
    assert made.settle == 0.5
    assert made.feed(RESULTS % ("true", "true")) == [Words("I need a refund.", True, 0), Finished(of=0)]
    assert made.settle == 0.0


def test_the_late_answer_to_a_pause_does_not_finish_what_was_said_after_it() -> None:
    made = dialect()
    made.pause()
    made.audio(silence(1.0))
    made.end()
    assert made.feed(RESULTS % ("true", "true")) == [Words("I need a refund.", True, 0)]
    rest = (RESULTS % ("true", "true")).replace('"start":0.0,"duration":1.02', '"start":1.02,"duration":1.0')
    assert made.feed(rest) == [Words("I need a refund.", True, 0), Finished(of=0)]


def test_a_pause_whose_answer_never_came_does_not_stand_in_the_way() -> None:
    made = dialect()
    made.pause()
    made.audio(silence(1.0))
    made.end()
    both = (RESULTS % ("true", "true")).replace('"duration":1.02', '"duration":2.02')
    assert made.feed(both) == [Words("I need a refund.", True, 0), Finished(of=0)]


@pytest.mark.parametrize(
    "message",
    [
        b"\x00\x01",
        "",
        "not JSON",
        "[]",
        "null",
        '{"type":null}',
        '{"type":"SomethingNew","start":1}',
        '{"type":"Results"}',
        '{"type":"Results","start":"0","duration":null,"channel":7}',
        '{"type":"Results","start":1e999,"duration":1,"is_final":true}',
        '{"type":"SpeechStarted","channel":[0,1],"timestamp":2.01}',
        '{"type":"UtteranceEnd","channel":[0,1],"last_word_end":-1}',
        '{"type":"Metadata","transaction_key":"deprecated","duration":12.4,"channels":1}',
        '{"type":"ConfigureFailure","code":"CONFIGURE_ALREADY_PENDING"}',
    ],
)
def test_what_says_nothing_of_words_is_passed_over(message: str | bytes) -> None:
    assert list(dialect().feed(message)) == []


@pytest.mark.parametrize("channel", ["{}", '{"alternatives":[]}', '{"alternatives":[{"transcript":null}]}', "[]"])
def test_results_without_words_are_no_words(channel: str) -> None:
    message = f'{{"type":"Results","start":0,"duration":1.0,"is_final":true,"channel":{channel}}}'
    assert dialect().feed(message) == [Words("", True, 0)]


def test_an_error_message_is_raised() -> None:
    error = {"type": "Error", "variant": "SchemaError", "description": "could not parse client message"}
    with pytest.raises(ProviderError, match="could not parse client message") as caught:
        dialect().feed(json.dumps(error))
    assert caught.value.fault == "fatal"
    with pytest.raises(ProviderError) as caught:
        dialect().feed('{"type":"Error","message":"out of order"}')
    assert caught.value.fault == "retry"
