"""Deepgram Nova against a simulated Deepgram."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import numpy as np
import pytest
import trio
from hearing import Notes, final, said, send, silence, utterance

from callengine import Agent
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Opening, SttResult, SttSession, Usage
from callengine.providers.deepgram_account import DeepgramFailures
from callengine.providers.stt.deepgram import Deepgram
from callengine.providers.stt.deepgram_wire import NovaDialect
from callengine.providers.stt.dialect import Finished, Words
from callengine.testing import CallLab
from callengine.testing.vendors import in_memory, on_loopback
from callengine.testing.vendors.deepgram import FakeDeepgram
from callengine.wire import open_wire

KEY = FakeDeepgram.key


@asynccontextmanager
async def opened(vendor: FakeDeepgram, notes: Notes | None = None, **settings: Any) -> AsyncIterator[SttSession]:
    context = settings.pop("context", {})
    async with in_memory(vendor) as wire:
        recipe = Deepgram(api_key=settings.pop("api_key", vendor.key), **settings)
        async with recipe.open((notes or Notes()).context(wire, **context)) as session:
            yield session


# --- an utterance -----------------------------------------------------------------------------------------------------


async def test_an_utterance_is_understood_and_finalised_when_it_ends(autojump_clock: Any) -> None:
    vendor, notes, heard = FakeDeepgram(), Notes(), []
    async with opened(vendor, notes) as session:
        await utterance(session, 7, said(vendor.vocabulary, "I need a refund for my order."))
        at = trio.current_time()
        result = await final(session, heard)
        assert trio.current_time() == at
    assert result == SttResult("I need a refund for my order.", True, 7)
    assert heard
    assert all(not part.final and result.text.startswith(part.text) for part in heard)
    assert notes.usage == [Usage(provider="deepgram", model="nova-3", seconds=pytest.approx(1.8), estimated=True)]


async def test_words_are_final_at_a_pause_already_and_cost_no_time_at_the_end(autojump_clock: Any) -> None:
    vendor, heard = FakeDeepgram(), []
    async with opened(vendor) as session:
        await utterance(session, 1, said(vendor.vocabulary, "Yes, please."), pause=True)
        vendor.faults.mute = True  # nothing more is needed of it
        at = trio.current_time()
        assert (await final(session, heard)).text == "Yes, please."
        assert trio.current_time() == at
    assert [part.text for part in heard] == ["Yes,", "Yes, please."]


async def test_who_goes_on_after_a_pause_has_said_both(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        await session.start_utterance(1)
        await send(session, said(vendor.vocabulary, "My number is"))
        await session.pause()
        await send(session, said(vendor.vocabulary, "forty two."))
        await session.end_utterance()
        assert (await final(session)).text == "My number is forty two."


async def test_segments_that_the_vendor_settles_by_itself_are_put_together(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.settles = 0.6
    async with opened(vendor) as session:
        await utterance(session, 1, said(vendor.vocabulary, "one two three four five six seven"))
        assert (await final(session)).text == "one two three four five six seven"
    assert len(vendor.heard) > 2


async def test_where_finalize_is_not_answered_the_words_that_there_are_become_final(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.answers_finalize = False
    async with opened(vendor) as session:
        await utterance(session, 1, said(vendor.vocabulary, "two two two two"))
        at = trio.current_time()
        assert (await final(session)).text
        assert trio.current_time() - at == pytest.approx(0.5)


async def test_an_utterance_of_nothing_has_an_empty_final(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        await utterance(session, 1, silence(0.5))
        assert await final(session) == SttResult("", True, 1)


async def test_words_that_come_after_the_final_never_go_to_the_next_utterance(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        vendor.faults.chunk_delay = 2.0
        await utterance(session, 1, said(vendor.vocabulary, "Never mind."))
        first = await final(session)
        await session.start_utterance(2)
        await send(session, said(vendor.vocabulary, "Something else."))
        vendor.faults.chunk_delay = 0.0
        await session.end_utterance()
        second = await final(session)
    assert "Something" not in first.text
    assert second == SttResult("Something else.", True, 2)


async def test_the_next_utterance_may_begin_before_the_last_ones_final(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        vendor.faults.chunk_delay = 0.3
        await utterance(session, 1, said(vendor.vocabulary, "First one."), pace=False)
        await utterance(session, 2, said(vendor.vocabulary, "Second one."), pace=False)
        assert [(await final(session)).text for _ in range(2)] == ["First one.", "Second one."]


# --- the connection ---------------------------------------------------------------------------------------------------


async def test_an_idle_connection_is_kept(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        await trio.sleep(120)
        await utterance(session, 1, said(vendor.vocabulary, "Still there?"))
        assert (await final(session)).text == "Still there?"
    assert vendor.connected == 1
    assert Deepgram(api_key=KEY).idle_limit == math.inf


async def test_speech_that_waited_for_the_connection_is_sent_faster_than_it_was_spoken(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.faults.connect_delay = vendor.faults.answer_delay = 0.4
    began = trio.current_time()
    async with opened(vendor) as session:
        assert trio.current_time() == began + 0.8
        await utterance(session, 1, said(vendor.vocabulary, "Every word of it is there."), pace=False)
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


@pytest.mark.parametrize(("code", "reason", "fault"), CLOSES)
async def test_what_a_close_means(code: int, reason: str, fault: str, autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session, trio.open_nursery() as nursery:
        nursery.start_soon(vendor.close_all, code, reason)
        with pytest.raises(ProviderError) as caught:
            await session.receive()
    assert caught.value.fault == fault
    assert str(code) in str(caught.value)


async def test_a_connection_that_breaks_may_be_tried_again(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        vendor.break_all()
        with pytest.raises(ProviderError) as caught:
            await session.receive()
    assert caught.value.fault == "retry"


@pytest.mark.parametrize(
    ("status", "fault"),
    [(400, "fatal"), (401, "fatal"), (402, "fatal"), (403, "fatal"), (429, "retry"), (503, "retry")],
)
async def test_a_refusal_is_told_in_the_vendors_words(status: int, fault: str, autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.refuse(status, f"because of {KEY}", **{"retry-after": "3"})
    with pytest.raises(ProviderError) as caught:
        async with opened(vendor):
            pass
    assert str(caught.value) == f"deepgram nova-3: HTTP {status}: because of [key]"
    assert (caught.value.fault, caught.value.retry_after) == (fault, 3.0)


def test_both_shapes_of_a_refusals_body_and_a_bare_header_are_read() -> None:
    failures = DeepgramFailures("deepgram", "k" * 20)
    newer = b'{"category":"INVALID_JSON","message":"Invalid JSON submitted.","details":"at 3","request_id":"x"}'
    assert str(failures.from_response(400, {}, newer)).endswith("HTTP 400: Invalid JSON submitted.: at 3")
    assert str(failures.from_response(400, {"dg-error": "No such model"}, b"")).endswith("HTTP 400: No such model")
    assert str(failures.from_response(502, {}, b"bad gateway")).endswith("HTTP 502: bad gateway")


async def test_a_bad_key_is_fatal_and_shown_nowhere(autojump_clock: Any) -> None:
    vendor, notes = FakeDeepgram(), Notes()
    with pytest.raises(ProviderError) as caught:
        async with opened(vendor, notes, api_key="not-the-right-key"):
            pass
    assert caught.value.fault == "fatal"
    assert "Invalid credentials." in str(caught.value)
    assert "not-the-right-key" not in f"{caught.value!r} {notes.openings}"


async def test_a_vendor_that_falls_mute_leaves_nothing_open(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        vendor.faults.mute = True
        await utterance(session, 1, said(vendor.vocabulary, "Hello?"))
        with trio.move_on_after(0.1):
            await session.receive()


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


async def test_a_hook_changes_what_the_session_starts_with(autojump_clock: Any) -> None:
    def hook(opening: Opening) -> None:
        assert (opening.role, opening.provider) == ("stt", "deepgram")
        assert opening.url == "wss://api.deepgram.com/v1/listen"
        opening.settings["model"] = "nova-3-general"

    vendor = FakeDeepgram()
    async with opened(vendor, context={"opening": hook}):
        pass
    assert vendor.requests[0].parameter("model") == "nova-3-general"


async def test_connect_bounds_the_time_to_connect(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.faults.answer_delay = 10
    with pytest.raises(ProviderError, match=r"no connection within 1\.5 s"):
        async with opened(vendor, connect=1.5):
            pass


@pytest.mark.parametrize("settings", [{"model": ""}, {"model": "flux-general-en"}, {"endpointing": 0}, {"connect": 0}])
def test_settings_without_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Deepgram(api_key=KEY, **settings)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", KEY)
    assert Deepgram().api_key == KEY
    assert KEY not in repr(Deepgram())
    monkeypatch.delenv("DEEPGRAM_API_KEY")
    with pytest.raises(ConfigurationError, match="DEEPGRAM_API_KEY"):
        Deepgram()


async def test_the_probe_asks_for_nothing_that_costs(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with in_memory(vendor) as wire:
        await Deepgram(api_key=KEY).probe(wire)
        with pytest.raises(ProviderError) as caught:
            await Deepgram(api_key="wrong").probe(wire)
    assert caught.value.fault == "fatal"
    assert [(request.method, request.path) for request in vendor.requests] == [("GET", "/v1/auth/token")] * 2


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


# --- everything together ----------------------------------------------------------------------------------------------


async def test_two_sessions_of_one_recipe_never_mix(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    recipe = Deepgram(api_key=KEY)
    texts = ["Harrison for eight.", "A table for two."]
    heard: dict[str, str] = {}

    async def call(text: str) -> None:
        async with recipe.open(attrs.evolve(Notes().context(wire), call_id=text)) as session:
            await utterance(session, 1, said(vendor.vocabulary, text))
            heard[text] = (await final(session)).text

    async with in_memory(vendor) as wire, trio.open_nursery() as nursery:
        for text in texts:
            nursery.start_soon(call, text)
    assert heard == {text: text for text in texts}


async def test_over_real_sockets() -> None:
    vendor = FakeDeepgram()
    async with on_loopback(vendor) as address, open_wire() as wire:
        recipe = Deepgram(api_key=KEY, base_url=f"ws://{address}/")
        await recipe.probe(wire)
        async with recipe.open(Notes().context(wire)) as session:
            await utterance(session, 1, said(vendor.vocabulary, "Over a real socket."), pace=False)
            assert (await final(session)).text == "Over a real socket."
    assert vendor.connections == 0


async def test_a_whole_call(call_lab: CallLab) -> None:
    vendor = FakeDeepgram(call_lab.vocabulary)
    call_lab.llm.replies("For how many?")
    async with in_memory(vendor) as wire:
        agent = Agent(stt=Deepgram(api_key=KEY), greeting="Hello.")
        async with call_lab.dial(agent, wire=wire) as caller:
            await caller.hears("Hello.")
            await caller.says("A table, please.")
            await caller.hears("For how many?")
    assert vendor.heard == ["A table, please."]
    call_lab.assert_nothing_left()
