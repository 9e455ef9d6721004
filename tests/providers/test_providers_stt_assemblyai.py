"""AssemblyAI against a simulated AssemblyAI."""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest
import trio
from cases import Told
from talking import final, said, say, send, session, silence

from callengine import Agent
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import SttResult, Usage
from callengine.providers.stt.assemblyai import AssemblyAI
from callengine.providers.stt.assemblyai_wire import AssemblyFailures, TurnDialect
from callengine.providers.stt.dialect import Finished, Words
from callengine.testing import CallLab
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.assemblyai import FakeAssemblyAI

KEY = FakeAssemblyAI.key
ENGLISH = "universal-streaming-english"


def opened(vendor: FakeAssemblyAI, told: Told | None = None, **settings: Any) -> AbstractAsyncContextManager[Any]:
    context = settings.pop("context", {})
    return session(vendor, AssemblyAI(**{"api_key": KEY, **settings}), told, **context)


# --- an utterance -----------------------------------------------------------------------------------------------------


async def test_an_utterance_is_final_when_the_call_ends_it(autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()
    async with opened(vendor) as session:
        assert session.hears_pauses
        await say(session, 7, said(vendor, "My account number is 42."), pace=1.0)
        at = trio.current_time()
        assert await final(session) == SttResult("My account number is 42.", True, 7)
        assert trio.current_time() == at


async def test_frames_of_20_ms_are_put_together_so_that_the_vendor_takes_them(autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()  # ends the session for a message of less than 50 ms, or more than 1,000
    async with opened(vendor) as session:
        audio = said(vendor, "Twenty milliseconds at a time.")
        await session.start_utterance(1)
        for start in range(0, len(audio) - 40, 160):
            await session.send(audio[start : start + 160])
        await session.send(audio[-40:])
        await session.end_utterance()
        assert (await final(session)).text == "Twenty milliseconds at a time."
        await say(session, 2, silence(0.01), pace=1.0)
        assert (await final(session)).text == ""


async def test_turns_that_end_within_an_utterance_are_put_together(autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()
    async with opened(vendor) as session:
        await session.start_utterance(1)
        for text in ("A table.", "For two.", "At eight."):
            await send(session, said(vendor, text))
            await session.pause()
            await send(session, silence(0.3))
        await session.end_utterance()
        assert await final(session) == SttResult("A table. For two. At eight.", True, 1)
    assert vendor.heard == ["A table.", "For two.", "At eight."]


async def test_where_the_turn_has_ended_already_the_final_is_nearly_at_once(autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()
    async with opened(vendor) as session:
        await session.start_utterance(1)
        await send(session, said(vendor, "Yes."))
        await session.pause()
        await send(session, silence(0.5))
        assert not (await session.receive()).final
        await session.end_utterance()
        at = trio.current_time()
        assert (await final(session)).text == "Yes."
        assert trio.current_time() - at == pytest.approx(0.1)


async def test_an_utterance_of_nothing_has_an_empty_final(autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()
    async with opened(vendor) as session:
        await say(session, 1, silence(0.5), pace=1.0)
        at = trio.current_time()
        assert await final(session) == SttResult("", True, 1)
        assert trio.current_time() - at == pytest.approx(1.0)


async def test_words_are_told_as_they_come_by_the_models_that_do(autojump_clock: Any) -> None:
    vendor, heard = FakeAssemblyAI(), []
    async with opened(vendor, model=ENGLISH) as session:
        await say(session, 1, said(vendor, "I need a refund."), pace=1.0)
        result = await final(session, heard)
    assert [part.text for part in heard][:3] == ["I", "I need", "I need a"]
    assert result.text == "i need a refund"


async def test_a_turn_that_ends_twice_counts_once_as_it_is_first(autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()
    async with opened(vendor, model=ENGLISH, extra={"format_turns": True}) as session:
        await say(session, 1, said(vendor, "I need a refund."), pace=1.0)
        assert (await final(session)).text == "i need a refund"
        await say(session, 2, said(vendor, "For two."), pace=1.0)
        assert (await final(session)).text == "for two"


async def test_a_turn_that_ends_twice_counts_once_as_it_is_formatted(autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()
    async with opened(vendor, model=ENGLISH, format_turns=True) as session:
        for number, text in enumerate(("I need a refund.", "For two.")):
            await say(session, number, said(vendor, text), pace=1.0)
            assert (await final(session)).text == text


@pytest.mark.parametrize("turns", [True, False])
async def test_the_vendors_judgement_of_a_turn_counts_where_it_is_wanted(turns: bool, autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()
    async with opened(vendor, turns=turns) as session:
        await session.start_utterance(1)
        await send(session, said(vendor, "Yes."))
        await send(session, silence(0.3))
        with trio.move_on_after(1):
            assert not (await session.receive()).final
        await send(session, silence(0.3))
        heard = None
        with trio.move_on_after(1):
            heard = await final(session)
    assert heard == (SttResult("Yes.", True, 1, "end") if turns else None)


async def test_words_that_come_after_the_final_never_go_to_the_next_utterance(autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()
    async with opened(vendor) as session:
        vendor.faults.chunk_delay = 3.0
        await say(session, 1, said(vendor, "Never mind."), pace=1.0)
        assert (await final(session)).text == ""
        await session.start_utterance(2)
        await send(session, said(vendor, "Something else."))
        vendor.faults.chunk_delay = 0.0
        await session.end_utterance()
        assert await final(session) == SttResult("Something else.", True, 2)


# --- the connection ---------------------------------------------------------------------------------------------------


async def test_a_backlog_is_sent_faster_than_it_was_spoken_but_not_all_of_it(autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()
    vendor.backlog = 2.0
    text = "This has waited for so long that the vendor would not take all of it at once."
    async with opened(vendor) as session:
        began = trio.current_time()
        audio = said(vendor, text)
        await say(session, 1, audio)
        assert trio.current_time() - began == pytest.approx(len(audio) / 8000 - 2.0)
        assert (await final(session)).text == text
    assert len(audio) > 4 * 8000


async def test_how_far_ahead_of_the_time_it_may_be_is_a_setting(autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()
    vendor.backlog = 100.0
    async with opened(vendor, ahead=50.0) as session:
        began = trio.current_time()
        await say(session, 1, silence(40))
        assert trio.current_time() == began


async def test_an_idle_session_is_kept_and_all_of_its_time_is_told(autojump_clock: Any) -> None:
    vendor, told = FakeAssemblyAI(), Told()
    async with opened(vendor, told) as session:
        await trio.sleep(120)
        await say(session, 1, said(vendor, "Hi?"), pace=1.0)
        assert (await final(session)).text == "Hi?"
        assert told.usage == []
    spoken = 120 + 0.24
    assert vendor.connected == 1
    assert told.usage == [
        Usage(provider="assemblyai", model="universal-3-6-pro", seconds=pytest.approx(spoken, abs=0.1), estimated=True)
    ]
    assert AssemblyAI(api_key=KEY).idle_limit == 0.0


async def test_it_needs_no_begin(autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()
    vendor.begins = False
    async with opened(vendor) as session:
        await say(session, 1, said(vendor, "Hello."), pace=1.0)
        assert (await final(session)).text == "Hello."


CLOSES = [
    (1008, "Unauthorized Connection: Missing Authorization header", "fatal"),
    (1008, "Unauthorized Connection: Too many concurrent sessions", "retry"),
    (3009, "Unauthorized Connection: Too many concurrent sessions", "retry"),
    (3005, "Session Cancelled: An error occurred", "retry"),
    (3006, "Invalid Message Type: Foo", "fatal"),
    (3007, "Input duration violation: 20 ms. Expected between 50 and 1000 ms", "fatal"),
    (3008, "Session Expired: Maximum session duration exceeded", "reopen"),
    (1013, "", "retry"),
    (4001, "Not authorized", "fatal"),
    (4002, "Insufficient funds", "fatal"),
    (4003, "Paid only", "fatal"),
    (4031, "Session idle for too long", "reopen"),
]


@pytest.mark.parametrize(("code", "reason", "fault"), [each for each in CLOSES if each[0] >= 3000])
def test_an_error_message_means_the_same_as_the_close_behind_it(code: int, reason: str, fault: str) -> None:
    with pytest.raises(ProviderError, match=str(code)) as caught:
        dialect().feed(json.dumps({"type": "Error", "error_code": code, "error": reason}))
    assert caught.value.fault == fault


@pytest.mark.parametrize("late", [False, True])
async def test_a_bad_key_is_fatal_at_the_handshake_or_after_it(late: bool, autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()
    vendor.late_refusal = late
    with pytest.raises(ProviderError) as caught:
        async with opened(vendor, api_key="not-the-right-key") as session:
            await session.receive()
    assert caught.value.fault == "fatal"
    assert "not-the-right-key" not in str(caught.value)


# --- settings ---------------------------------------------------------------------------------------------------------

ORDINARY = {
    "speech_model": ["universal-3-6-pro"], "encoding": ["pcm_mulaw"], "sample_rate": ["8000"],
    "inactivity_timeout": ["30"], "language_codes": ['["en"]'],
}  # fmt: skip
UNIVERSAL = {name: value for name, value in ORDINARY.items() if name != "language_codes"}


@pytest.mark.parametrize(
    ("settings", "query"),
    [
        ({}, ORDINARY),
        ({"model": "u3-rt-pro"}, {**ORDINARY, "speech_model": ["u3-rt-pro"]}),
        ({"model": ENGLISH}, {**UNIVERSAL, "speech_model": [ENGLISH]}),
        ({"model": ENGLISH, "format_turns": True}, {**UNIVERSAL, "speech_model": [ENGLISH], "format_turns": ["true"]}),
        ({"format_turns": True}, ORDINARY),
        ({"context": {"language": "de-CH"}}, {**ORDINARY, "language_codes": ['["de"]']}),
        ({"languages": ["en", "es"]}, {**ORDINARY, "language_codes": ['["en", "es"]']}),
        ({"keyterms": ["Acme", "Così"]}, {**ORDINARY, "keyterms_prompt": [json.dumps(["Acme", "Così"])]}),
        ({"turns": True}, {**ORDINARY, "min_turn_silence": ["400"]}),
        ({"turns": True, "min_turn_silence": 0.25}, {**ORDINARY, "min_turn_silence": ["250"]}),
        ({"min_turn_silence": 0.5}, {**ORDINARY, "min_turn_silence": ["500"]}),
        ({"max_turn_silence": 1.5}, {**ORDINARY, "max_turn_silence": ["1500"]}),
        ({"context": {"sample_rate": 16000}}, {**ORDINARY, "encoding": ["pcm_s16le"], "sample_rate": ["16000"]}),
        ({"extra": {"continuous_partials": True}}, {**ORDINARY, "continuous_partials": ["true"]}),
    ],
)
async def test_settings_reach_the_vendor(
    settings: dict[str, Any], query: dict[str, list[str]], autojump_clock: Any
) -> None:
    vendor = FakeAssemblyAI()
    async with opened(vendor, **settings):
        pass
    (request,) = vendor.requests
    assert (request.host, request.path) == ("streaming.assemblyai.com", "/v3/ws")
    assert request.headers["authorization"] == KEY
    assert request.query == query


@pytest.mark.parametrize(
    "settings",
    [{"model": ""}, {"min_turn_silence": 0}, {"max_turn_silence": -1}, {"ahead": 0}, {"connect": 0}, {"api_key": ""}],
)
def test_settings_without_sense_are_refused(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSEMBLYAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError):
        AssemblyAI(**{"api_key": KEY, **settings})


async def test_english_only_is_told_before_anything_is_opened(autojump_clock: Any) -> None:
    vendor = FakeAssemblyAI()
    with pytest.raises(ProviderError, match="knows English only") as caught:
        async with opened(vendor, model=ENGLISH, context={"language": "it"}):
            pass
    assert caught.value.fault == "fatal"
    assert vendor.connected == 0


# --- the protocol -----------------------------------------------------------------------------------------------------

PARTIAL = (
    '{"type":"Turn","turn_order":0,"turn_is_formatted":false,"end_of_turn":false,"transcript":"my account",'
    '"utterance":"","end_of_turn_confidence":0.02,"words":[{"text":"my","start":1216,"end":1400,"confidence":0.99,'
    '"word_is_final":true},{"text":"acc—","start":1440,"end":1600,"confidence":0.7,"word_is_final":false}]}'
)
END = (
    '{"type":"Turn","turn_order":0,"turn_is_formatted":true,"end_of_turn":true,"transcript":"My account number is 42.",'
    '"utterance":"My account number is 42.","end_of_turn_confidence":1.0,"words":[],"language_code":"en",'
    '"language_confidence":0.99,"speaker_label":"A"}'
)


def dialect(**settings: bool) -> TurnDialect:
    made = TurnDialect(8000, AssemblyFailures("assemblyai", KEY), **{"judges": False, "formats": False, **settings})
    made.start()
    made.audio(silence(2.0))
    return made


def test_the_frames_that_are_sent() -> None:
    made = TurnDialect(8000, AssemblyFailures("assemblyai", KEY), judges=False, formats=False)
    quiet = np.zeros(160, np.int16)
    assert made.opening() == ()
    assert made.start() == ()
    assert [made.audio(quiet) for _ in range(4)] == [(), (), (b"\xff" * 480,), ()]
    assert made.pause() == ()
    assert made.end() == (b"\xff" * 400, '{"type":"ForceEndpoint"}')
    assert made.still_here() == (b"\xff" * 800,)
    assert made.bye() == ('{"type":"Terminate"}',)
    assert [len(part) for part in made.audio(np.zeros(20_001, np.int16))] == [6667, 6667, 6667]


def test_linear_audio_is_cut_between_samples() -> None:
    made = TurnDialect(16000, AssemblyFailures("assemblyai", KEY), judges=False, formats=False)
    parts = made.audio(np.arange(17_001).astype(np.int16))
    assert [len(part) for part in parts] == [17_000, 17_002]


def test_the_frames_that_come() -> None:
    made = dialect()
    assert made.feed(PARTIAL) == (Words("my acc", False, 0),)
    made.end()
    assert made.settle == 1.0
    assert made.feed(END) == [Words("My account number is 42.", True, 0)]
    assert made.settle == 0.1  # it may have been on its way already
    assert made.feed(END) == ()  # the same turn again


def test_an_end_that_no_silence_can_have_made_is_the_answer() -> None:
    made = dialect()
    made.end()
    words = '"words":[{"text":"42.","start":1600,"end":1950}]'
    assert made.feed(END.replace('"words":[]', words)) == [
        Words("My account number is 42.", True, 0),
        Finished(None, 0),
    ]


def test_an_end_that_nobody_asked_for_is_a_hint_only_where_it_counts() -> None:
    assert dialect().feed(END) == [Words("My account number is 42.", True, None)]
    assert dialect(judges=True).feed(END) == [Words("My account number is 42.", True, None), Finished("end", None)]


def test_what_is_heard_after_an_end_takes_longer_to_settle() -> None:
    made = dialect()
    made.feed(END)
    assert made.settle == 0.1
    made.feed('{"type":"SpeechStarted","timestamp":1216,"confidence":0.98}')
    assert made.settle == 1.0


@pytest.mark.parametrize(
    "message",
    [
        b"\x00",
        "",
        "[]",
        '{"type":{}}',
        '{"type":"SomethingNew"}',
        '{"type":"Begin","id":"de5d9927","expires_at":1796000000,"configuration":{"model":"universal-3-6-pro"}}',
        '{"type":"Warning","warning_code":1001,"warning":"..."}',
        '{"type":"Heartbeat","total_audio_received_ms":12000,"realtime_factor":0.97}',
        '{"type":"Silence","start_ms":5000,"end_ms":6000}',
        '{"type":"SpeakerRevision","revisions":[{"turn_order":3,"speaker_label":"B","words":[]}]}',
        '{"type":"Termination","audio_duration_seconds":42,"session_duration_seconds":44}',
    ],
)
def test_what_says_nothing_of_words_is_passed_over(message: str | bytes) -> None:
    assert list(dialect().feed(message)) == []


@pytest.mark.parametrize("words", ["null", "7", "[null]", '[{"text":null,"start":"x"}]', '[{"start":1,"end":1e999}]'])
def test_words_of_a_wrong_shape_are_no_words(words: str) -> None:
    message = f'{{"type":"Turn","turn_order":null,"end_of_turn":false,"transcript":"my account","words":{words}}}'
    assert dialect().feed(message)[0] in (Words("my account", False, None), Words("my account", False, 0))


# --- everything together ----------------------------------------------------------------------------------------------


async def test_a_whole_call_in_which_its_judgement_of_turns_counts(call_lab: CallLab) -> None:
    vendor = FakeAssemblyAI(call_lab.vocabulary)
    call_lab.llm.replies("For how many?", "Thank you.")
    async with in_memory(vendor) as wire:
        agent = Agent(stt=AssemblyAI(api_key=KEY, turns=True), greeting="Hello.")
        async with call_lab.dial(agent, wire=wire) as caller:
            await caller.hears("Hello.")
            await caller.says("A table, please.")
            await caller.hears("For how many?")
            await caller.says("For two.")
            await caller.hears("Thank you.")
    assert vendor.heard == ["A table, please.", "For two."]
    call_lab.assert_nothing_left()
