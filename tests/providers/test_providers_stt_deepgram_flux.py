"""Deepgram Flux against a simulated Deepgram."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest
import trio
from cases import Told
from talking import final, said, say, send, session, silence

from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import SttResult, SttSession, Usage
from callengine.providers.deepgram_account import DeepgramFailures
from callengine.providers.stt.deepgram_flux import DeepgramFlux
from callengine.providers.stt.deepgram_flux_wire import FluxDialect
from callengine.providers.stt.dialect import Finished, Whole
from callengine.testing.vendors.deepgram import FakeDeepgram

KEY = FakeDeepgram.key


def opened(vendor: FakeDeepgram, told: Told | None = None, **settings: Any) -> AbstractAsyncContextManager[Any]:
    context = settings.pop("context", {})
    return session(vendor, DeepgramFlux(**{"api_key": KEY, **settings}), told, **context)


async def results(session: SttSession, count: int) -> list[SttResult]:
    return [await session.receive() for _ in range(count)]


# --- turns ------------------------------------------------------------------------------------------------------------


async def test_a_turn_that_the_vendor_ends_is_a_final_with_a_hint(autojump_clock: Any) -> None:
    vendor, told = FakeDeepgram(), Told()
    async with opened(vendor, told) as session:
        assert session.hears_pauses
        await session.start_utterance(3)
        await send(session, said(vendor, "Yes, please."))
        await session.pause()
        await send(session, silence(1.0))
        assert await results(session, 4) == [
            SttResult("Yes,", False, 3),
            SttResult("Yes, please.", False, 3),
            SttResult("Yes, please.", False, 3, "eager"),
            SttResult("Yes, please.", True, 3, "end"),
        ]
        await session.end_utterance()  # nothing is left to be said of it
        with trio.move_on_after(5) as waited:
            await session.receive()
        assert waited.cancelled_caught
    assert told.usage == [
        Usage(provider="deepgram", model="flux-general-en", seconds=pytest.approx(1.8, abs=0.2), estimated=True)
    ]


async def test_a_caller_who_goes_on_is_resumed(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    heard: list[SttResult] = []
    async with opened(vendor) as session:
        await session.start_utterance(1)
        await send(session, said(vendor, "A table"))
        await send(session, silence(0.5))
        await send(session, said(vendor, "for two."))
        await send(session, silence(1.0))
        result = await final(session, heard)
    assert result == SttResult("A table for two.", True, 1, "end")
    assert [part.hint for part in heard if part.hint] == ["eager", "resumed", "eager"]
    assert [part.text for part in heard if part.hint] == ["A table", "A table", "A table for two."]


async def test_a_turn_that_it_has_not_ended_is_ended_by_the_call(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        await say(session, 1, said(vendor, "Never mind."), pace=1.0)
        at = trio.current_time()
        assert await final(session) == SttResult("Never mind.", True, 1)
        assert trio.current_time() == at
        await say(session, 2, said(vendor, "Goodbye."), pace=1.0)
        assert await final(session) == SttResult("Goodbye.", True, 2)


async def test_an_utterance_of_nothing_has_an_empty_final_at_once(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        await say(session, 1, silence(0.5), pace=1.0)
        at = trio.current_time()
        assert await final(session) == SttResult("", True, 1)
        assert trio.current_time() == at


async def test_without_any_answer_the_final_comes_all_the_same(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        vendor.faults.mute = True
        await say(session, 1, said(vendor, "Hello?"), pace=1.0)
        at = trio.current_time()
        assert await final(session) == SttResult("", True, 1)
        assert trio.current_time() == at + 1.0


async def test_words_that_come_after_the_final_never_go_to_the_next_utterance(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        vendor.faults.chunk_delay = 3.0
        await say(session, 1, said(vendor, "Never mind."), pace=1.0)
        await final(session)
        await session.start_utterance(2)
        await send(session, said(vendor, "Something else."))
        vendor.faults.chunk_delay = 0.0
        await session.end_utterance()
        assert await final(session) == SttResult("Something else.", True, 2)


# --- the connection ---------------------------------------------------------------------------------------------------


async def test_an_idle_connection_is_kept_without_the_message_that_would_end_it(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    async with opened(vendor) as session:
        await trio.sleep(90)
        await say(session, 1, said(vendor, "Still there?"), pace=1.0)
        assert (await final(session)).text == "Still there?"
    assert vendor.connected == 1
    assert DeepgramFlux(api_key=KEY).idle_limit == 5.0


async def test_nothing_is_sent_before_the_vendor_is_ready(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.faults.chunk_delay = 0.8
    began = trio.current_time()
    async with opened(vendor):
        assert trio.current_time() == began + 0.8


async def test_a_vendor_that_is_never_ready_is_given_up(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    vendor.faults.mute = True
    with pytest.raises(ProviderError, match="not ready within 2 s") as caught:
        async with opened(vendor, connect=2.0):
            pass
    assert caught.value.fault == "retry"


async def test_settings_that_it_does_not_know_are_refused_in_clear(autojump_clock: Any) -> None:
    with pytest.raises(ProviderError, match="Unknown query parameter: interim_results") as caught:
        async with opened(FakeDeepgram(), extra={"interim_results": True}):
            pass
    assert caught.value.fault == "fatal"


@pytest.mark.parametrize(
    ("code", "fault"), [("UNPARSABLE_CLIENT_MESSAGE", "fatal"), ("INTERNAL_SERVER_ERROR", "retry")]
)
async def test_an_error_message_is_raised(code: str, fault: str, autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    error = f'{{"type":"Error","sequence_id":18,"code":"{code}","description":"It went wrong."}}'
    async with opened(vendor) as session, trio.open_nursery() as nursery:
        nursery.start_soon(vendor.say_all, error)
        with pytest.raises(ProviderError, match=f"{code} It went wrong") as caught:
            await session.receive()
    assert caught.value.fault == fault


# --- settings ---------------------------------------------------------------------------------------------------------

ORDINARY = {
    "model": ["flux-general-en"],
    "encoding": ["mulaw"],
    "sample_rate": ["8000"],
    "eager_eot_threshold": ["0.5"],
}
MANY = {**ORDINARY, "model": ["flux-general-multi"]}


@pytest.mark.parametrize(
    ("settings", "query"),
    [
        ({}, ORDINARY),
        ({"eot_threshold": 0.9}, {**ORDINARY, "eot_threshold": ["0.9"]}),
        ({"eager_eot_threshold": 0.4}, {**ORDINARY, "eager_eot_threshold": ["0.4"]}),
        ({"eager_eot_threshold": None}, {name: ORDINARY[name] for name in ("model", "encoding", "sample_rate")}),
        ({"eot_timeout": 3.0}, {**ORDINARY, "eot_timeout_ms": ["3000"]}),
        ({"keyterms": ["Acme", "Harrison"]}, {**ORDINARY, "keyterm": ["Acme", "Harrison"]}),
        ({"model": "flux-general-multi"}, {**MANY, "language_hint": ["en"]}),
        ({"model": "flux-general-multi", "context": {"language": "de-CH"}}, {**MANY, "language_hint": ["de"]}),
        ({"model": "flux-general-multi", "languages": ["en", "es"]}, {**MANY, "language_hint": ["en", "es"]}),
        ({"context": {"sample_rate": 16000}}, {**ORDINARY, "encoding": ["linear16"], "sample_rate": ["16000"]}),
        ({"extra": {"numerals": True, "eager_eot_threshold": None}}, {"numerals": ["true"], **ORDINARY}),
    ],
)
async def test_settings_reach_the_vendor(
    settings: dict[str, Any], query: dict[str, list[str]], autojump_clock: Any
) -> None:
    vendor = FakeDeepgram()
    if "extra" in settings:
        query = {name: value for name, value in query.items() if name != "eager_eot_threshold"}
    async with opened(vendor, **settings):
        pass
    (request,) = vendor.requests
    assert (request.host, request.path) == ("api.deepgram.com", "/v2/listen")
    assert request.headers["authorization"] == f"Token {KEY}"
    assert request.query == query


@pytest.mark.parametrize(
    "settings",
    [
        {"model": ""},
        {"eot_threshold": 0.4},
        {"eot_threshold": 1.1},
        {"eager_eot_threshold": 0.2},
        {"eager_eot_threshold": 0.8},
        {"eager_eot_threshold": 0.6, "eot_threshold": 0.5},
        {"eot_timeout": 0.1},
        {"eot_timeout": 61},
        {"languages": ["es"]},
        {"connect": -1},
    ],
)
def test_settings_without_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        DeepgramFlux(api_key=KEY, **settings)


async def test_english_only_is_told_before_anything_is_opened(autojump_clock: Any) -> None:
    vendor = FakeDeepgram()
    with pytest.raises(ProviderError, match="flux-general-multi") as caught:
        async with opened(vendor, context={"language": "it"}):
            pass
    assert caught.value.fault == "fatal"
    assert vendor.connected == 0


# --- the protocol -----------------------------------------------------------------------------------------------------

TURN = (
    '{"type":"TurnInfo","request_id":"aa11","sequence_id":14,"event":"%s","turn_index":0,"audio_window_start":0.0,'
    '"audio_window_end":2.56,"transcript":"%s","words":[{"word":"I","confidence":0.98,"start":0.72,"end":0.8}],'
    '"end_of_turn_confidence":0.86,"trigger":"model","languages":["en"],"languages_hinted":["en"]}'
)


def dialect() -> FluxDialect:
    made = FluxDialect("flux-general-en", 8000, DeepgramFailures("deepgram", KEY))
    made.start()
    made.audio(silence(3.0))
    return made


def test_the_frames_that_are_sent() -> None:
    made = FluxDialect("flux-general-en", 8000, DeepgramFailures("deepgram", KEY))
    assert not made.ready
    made.feed('{"type":"Connected","request_id":"aa11...","sequence_id":0}')
    assert made.ready
    assert made.opening() == ()
    assert made.start() == ()
    assert made.audio(np.zeros(160, np.int16)) == (b"\xff" * 160,)
    assert made.audio(np.zeros(0, np.int16)) == ()
    assert made.pause() == ()
    assert made.end() == ('{"type":"ForceEndTurn"}',)
    assert made.still_here() == (b"\xff" * 640,)
    assert made.bye() == ('{"type":"CloseStream"}',)


def test_the_frames_that_come() -> None:
    made = dialect()
    assert made.feed(TURN % ("Update", "")) == ()
    assert made.feed(TURN % ("StartOfTurn", "I need")) == (Whole("I need", None, 0),)
    assert made.feed(TURN % ("Update", "I need a")) == (Whole("I need a", None, 0),)
    assert made.feed(TURN % ("EagerEndOfTurn", "I need a")) == (Whole("I need a", "eager", 0),)
    assert made.feed(TURN % ("TurnResumed", "I need a")) == (Whole("I need a", "resumed", 0),)
    assert made.feed(TURN % ("EndOfTurn", "I need a refund.")) == (
        Whole("I need a refund.", None, 0),
        Finished("end", 0),
    )


def test_an_end_that_was_asked_for_has_no_hint() -> None:
    made = dialect()
    made.feed(TURN % ("StartOfTurn", "Yes"))
    made.end()
    assert made.feed('{"type":"Warning","code":"SOMETHING_ELSE"}') == ()
    assert made.feed(TURN % ("EndOfTurn", "Yes.")) == (Whole("Yes.", None, 0), Finished(None, 0))
    assert made.feed('{"type":"Warning","code":"SOMETHING_ELSE"}') == ()


@pytest.mark.parametrize(
    "message",
    [
        b"\x00",
        "x",
        "[1]",
        '{"type":7}',
        '{"type":"TurnInfo"}',
        '{"type":"TurnInfo","event":"SomethingNew","transcript":null,"audio_window_start":"0"}',
        '{"type":"Warning","code":"SOME_CODE","description":"..."}',
        '{"type":"ConfigureSuccess","sequence_id":15}',
        '{"type":"ConfigureFailure","error_code":"..."}',
    ],
)
def test_what_says_nothing_of_words_is_passed_over(message: str | bytes) -> None:
    assert list(dialect().feed(message)) == []
