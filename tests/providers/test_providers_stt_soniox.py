"""Soniox's recogniser against the simulated service."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from cases import Told
from talking import final, said, say

from callengine.audio.format import TELEPHONE
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import SttResult, Usage
from callengine.providers.stt.dialect import Finished, Whole
from callengine.providers.stt.soniox import UNANSWERED, Soniox, TokenDialect
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.soniox import FakeSoniox
from callengine.wire import Failures


def recipe(vendor: FakeSoniox, *args: str, **options) -> Soniox:
    return Soniox(*args, api_key=vendor.key, **options)


async def test_words_that_are_cut_in_tokens_are_whole_again(autojump_clock):
    # given a vendor that makes the first half of an utterance final before the rest
    vendor = FakeSoniox()
    vendor.settles = 0.3
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when
        await say(session, 1, said(vendor, "understanding extraordinary circumstances"))
        # then
        assert (await final(session)).text == "understanding extraordinary circumstances"


async def test_the_end_of_an_utterance_is_finalized_at_once(autojump_clock):
    vendor = FakeSoniox()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        await say(session, 1, said(vendor, "yes"))
        before = trio.current_time()
        assert (await final(session)).text == "yes"
        assert trio.current_time() == before


async def test_utterances_that_follow_each_other_are_kept_apart(autojump_clock):
    # given
    vendor = FakeSoniox()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when all is said before anything is heard
        texts = ["hello there", "I need a refund", "bye"]
        for number, text in enumerate(texts):
            await say(session, number, said(vendor, text))
        # then
        assert [await final(session) for _ in texts] == [SttResult(text, True, n) for n, text in enumerate(texts)]


@pytest.mark.parametrize(("answers", "waits"), [(True, 0.0), (False, UNANSWERED)])
async def test_silence_gets_an_empty_final_whether_it_is_answered_or_not(autojump_clock, answers, waits):
    # given
    vendor = FakeSoniox()
    vendor.answers_finalize = answers
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        await say(session, 3, np.zeros(4000, np.int16))
        # when
        begun = trio.current_time()
        result = await final(session)
        took = trio.current_time() - begun
        # then
        assert (result, took) == (SttResult("", True, 3), waits)
        # and the next one is not out of step
        await say(session, 4, said(vendor, "yes"))
        assert await final(session) == SttResult("yes", True, 4)


async def test_it_judges_a_turn_where_it_is_asked_to(autojump_clock):
    # given
    vendor = FakeSoniox()
    ours = recipe(vendor, endpoint_delay=0.6)
    async with in_memory(vendor) as wire, ours.open(Told().context(wire)) as session:
        assert session.hears_pauses
        # when
        quiet = np.zeros(8000, np.int16)
        await say(session, 1, np.concatenate((said(vendor, "I need a refund"), quiet)), end=False)
        result = await final(session)
        # then
        assert result == SttResult("I need a refund", True, 1, "end")
        # and the end of the next can still be asked for
        await say(session, 2, said(vendor, "thanks"))
        assert await final(session) == SttResult("thanks", True, 2)
    assert vendor.configurations[0]["max_endpoint_delay_ms"] == 600
    assert vendor.configurations[0]["enable_endpoint_detection"] is True


async def test_what_it_opens_with_and_the_hook(autojump_clock):
    # given
    vendor = FakeSoniox()

    def change(settings):
        settings["client_reference_id"] = "call-1"

    async with in_memory(vendor) as wire:
        told = Told(change=change)
        ours = recipe(vendor, terms=["Wexford"], about="A hotel.", strict=True)
        # when
        async with ours.open(told.context(wire, language="de-AT")) as session:
            assert not session.hears_pauses
            await say(session, 1, said(vendor, "hello"))
            await final(session)
    # then
    handshake = vendor.requests[0]
    assert handshake.path == "/transcribe-websocket"
    assert handshake.headers["authorization"] == f"Bearer {vendor.key}"
    assert vendor.configurations == [
        {
            "model": "stt-rt-v5",
            "audio_format": "mulaw",
            "sample_rate": 8000,
            "num_channels": 1,
            "language_hints": ["de"],
            "enable_endpoint_detection": False,
            "language_hints_strict": True,
            "context": {"text": "A hotel.", "terms": ["Wexford"]},
            "client_reference_id": "call-1",
        }
    ]
    [opening] = told.openings
    assert (opening.role, opening.provider) == ("stt", "soniox")
    assert opening.url == "wss://stt-rt.soniox.com/transcribe-websocket"
    assert vendor.key not in str(opening)
    assert vendor.sessions_ended == 1


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"model": "stt-rt-v4"}, "model", "stt-rt-v4"),
        ({"languages": ("en-US", "es")}, "language_hints", ["en", "es"]),
        ({"extra": {"endpoint_sensitivity": 0.5}}, "endpoint_sensitivity", 0.5),
    ],
)
async def test_settings_reach_the_vendor(autojump_clock, options, name, value):
    vendor = FakeSoniox()
    async with in_memory(vendor) as wire, recipe(vendor, **options).open(Told().context(wire)) as session:
        await say(session, 1, said(vendor, "hello"))
        await final(session)
    assert vendor.configurations[0][name] == value


async def test_audio_at_another_rate_is_linear(autojump_clock):
    vendor = FakeSoniox()
    vendor.recorded.append("wideband")
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire, sample_rate=16000)) as session:
        await say(session, 1, np.ones(16000, np.int16))
        assert (await final(session)).text == "wideband"
    assert vendor.configurations[0]["audio_format"] == "pcm_s16le"
    assert vendor.configurations[0]["sample_rate"] == 16000


async def test_an_idle_stream_is_kept_and_its_whole_time_is_told(autojump_clock):
    # given a vendor that closes a stream on which nothing came for 20 s
    vendor = FakeSoniox()
    async with in_memory(vendor) as wire:
        told = Told()
        async with recipe(vendor).open(told.context(wire)) as session:
            # when
            await trio.sleep(100)
            await say(session, 1, said(vendor, "still here"))
            # then
            assert (await final(session)).text == "still here"
            assert told.usage == []
    assert vendor.keepalives >= 9
    assert told.usage == [Usage(provider="soniox", model="stt-rt-v5", seconds=100.0, estimated=True)]


async def test_an_unknown_model_is_fatal(autojump_clock):
    vendor = FakeSoniox()
    async with in_memory(vendor) as wire, recipe(vendor, "stt-rt-v0").open(Told().context(wire)) as session:
        with pytest.raises(ProviderError, match="400: Invalid model specified: stt-rt-v0") as error:
            await final(session)
    assert error.value.fault == "fatal"


@pytest.mark.parametrize("delay", [0.4, 3.1])
def test_an_endpoint_delay_that_it_does_not_take(delay):
    with pytest.raises(ConfigurationError, match=r"takes 0\.5 to 3 seconds"):
        Soniox(api_key="k", endpoint_delay=delay)


# --- the protocol -----------------------------------------------------------------------------------------------------

ONE = (
    '{"tokens":[{"text":"How","start_ms":120,"end_ms":250,"confidence":0.98,"is_final":true,"language":"en",'
    '"speaker":"1"},{"text":" are","start_ms":250,"end_ms":400,"confidence":0.7,"is_final":false}],'
    '"final_audio_proc_ms":250,"total_audio_proc_ms":880}'
)
TWO = (
    '{"tokens":[{"text":"?","is_final":true,"start_ms":900,"end_ms":960,"confidence":0.9},'
    '{"text":"<end>","is_final":true}],"final_audio_proc_ms":960,"total_audio_proc_ms":1500}'
)
FIN = '{"tokens":[{"text":"<fin>","is_final":true}],"final_audio_proc_ms":1500,"total_audio_proc_ms":1500}'


def dialect(*seconds: float, judges: bool = False) -> TokenDialect:
    """With utterances of these lengths."""
    made = TokenDialect({"enable_endpoint_detection": judges}, TELEPHONE, Failures("soniox", "k"))
    for length in seconds:
        made.start()
        made.audio(np.zeros(round(8000 * length), np.int16))
    return made


def test_final_tokens_come_once_and_the_tail_is_replaced():
    ours = dialect(2.0)
    assert list(ours.feed(ONE)) == [Whole("How are", of=0)]
    assert list(ours.feed('{"tokens":[{"text":" old","end_ms":400,"is_final":false}]}')) == [Whole("How old", of=0)]
    assert list(ours.feed('{"tokens":[]}')) == []
    assert list(ours.feed(TWO)) == [Whole("How?", of=0)]  # nobody asked it to judge


def test_an_end_in_a_message_with_what_follows_it():
    ours = dialect(1.0, judges=True)
    ours.feed(ONE)
    assert list(ours.feed(TWO)) == [Whole("How?", of=0), Finished("end", of=0)]
    ours.start()
    following = (
        '{"tokens":[{"text":" I","is_final":true,"end_ms":900},{"text":"<end>","is_final":true},'
        '{"text":" said","is_final":false,"end_ms":1100}]}'
    )
    ours = dialect(1.0, judges=True)
    ours.start()
    assert list(ours.feed(following)) == [Whole(" I", of=0), Finished("end", of=0), Whole(" said", of=1)]


def test_an_end_that_was_asked_for_is_the_answer_to_that():
    ours = dialect(1.0, judges=True)
    assert ours.end() == ('{"type":"finalize"}',)
    assert list(ours.feed(TWO)) == [Whole("?", of=0)]
    assert list(ours.feed(FIN)) == [Whole("?", of=0), Finished(of=0)]
    assert list(ours.feed(FIN)) == []


def test_one_answer_may_be_to_several_questions():
    ours = dialect(0.5)
    ours.end()
    ours.start()
    ours.audio(np.zeros(8000, np.int16))
    ours.end()
    assert list(ours.feed(FIN)) == [Finished(of=1)]


def test_tokens_that_say_no_time_belong_to_the_last_one():
    ours = dialect(0.5, 1.0)
    ours.feed('{"tokens":[{"text":"a","end_ms":700,"is_final":true}]}')
    assert list(ours.feed('{"tokens":[{"text":"b","end_ms":null,"is_final":true}]}')) == [Whole("ab", of=1)]


@pytest.mark.parametrize(
    "message",
    ["nonsense", "[1]", b"\xff\x00", "{}", '{"tokens":null}', '{"tokens":[7,{"text":3},{}]}', '{"finished":true}',
     '{"tokens":[{"text":"<fin>","is_final":true}],"final_audio_proc_ms":"x"}'],
)  # fmt: skip
def test_what_means_nothing_changes_nothing(message):
    assert list(dialect(1.0).feed(message)) == []


def test_commands():
    ours = dialect(1.0)
    assert ours.still_here() == ('{"type":"keepalive"}',)
    assert ours.bye() == ("",)
    assert ours.audio(np.zeros(0, np.int16)) == ()  # an empty frame would end the session
    assert ours.audio(np.zeros(2, np.int16)) == (b"\xff\xff",)
