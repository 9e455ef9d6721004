"""Cartesia's recogniser against the simulated service."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from vendor_talk import Meter, final, say, spoken

from callengine import Agent
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Parkable, Probed, SpeechToText, SttResult, Usage
from callengine.providers.cartesia_account import CartesiaFailures
from callengine.providers.stt.cartesia import STRAGGLERS, Cartesia, InkDialect
from callengine.providers.stt.dialect import Finished, Words
from callengine.testing.vendors import in_memory, on_loopback
from callengine.testing.vendors.cartesia import FakeCartesia
from callengine.wire import open_wire


def recipe(vendor: FakeCartesia, *args: str, **options) -> Cartesia:
    return Cartesia(*args, api_key=vendor.key, **options)


async def test_an_utterance_becomes_interims_and_one_final(autojump_clock):
    # given
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire:
        meter = Meter(wire)
        async with recipe(vendor).open(meter.context) as session:
            # when
            await say(session, 7, spoken(vendor, "I need a refund please."))
            results = [await session.receive()]
            while not results[-1].final:
                results.append(await session.receive())
    # then
    assert results[-1] == SttResult("I need a refund please.", True, 7)
    assert results[0].text == "I need"
    assert [result.utterance for result in results] == [7] * len(results)
    assert vendor.heard == ["I need a refund please."]


async def test_the_end_of_an_utterance_is_finalized_at_once(autojump_clock):
    # given a vendor that would never end an utterance by itself
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        await say(session, 1, spoken(vendor, "yes"))
        # when
        before = trio.current_time()
        result = await final(session)
        took = trio.current_time() - before
    # then
    assert (result.text, vendor.finalized, took) == ("yes", 1, 0.0)


@pytest.mark.parametrize(("acknowledges", "waits"), [("after", 0.2), ("before", 0.2)])
async def test_the_acknowledgement_and_the_last_words_come_in_either_order(autojump_clock, acknowledges, waits):
    # given
    vendor = FakeCartesia()
    vendor.acknowledges, vendor.straggle = acknowledges, 0.2
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        # when
        begun = trio.current_time()
        texts = []
        for number, text in enumerate(["hello there", "I need a refund"]):
            await say(session, number, spoken(vendor, text))
            texts.append((await final(session)).text)
        took = trio.current_time() - begun
    # then
    assert texts == ["hello there", "I need a refund"]
    assert took == pytest.approx(2 * waits)


async def test_silence_gets_an_empty_final_soon_after_the_acknowledgement(autojump_clock):
    # given
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        await say(session, 3, np.zeros(4000, np.int16))
        # when
        begun = trio.current_time()
        result = await final(session)
        took = trio.current_time() - begun
    # then
    assert result == SttResult("", True, 3)
    assert took == pytest.approx(STRAGGLERS)


async def test_words_that_were_heard_are_never_taken_for_all_of_them(autojump_clock):
    # given a vendor that stalls in the middle of an utterance
    vendor = FakeCartesia()
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


@pytest.mark.parametrize("acknowledges", ["after", "before"])
async def test_utterances_that_follow_each_other_at_once(autojump_clock, acknowledges):
    # given
    vendor = FakeCartesia()
    vendor.acknowledges, vendor.straggle = acknowledges, 0.2
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        # when
        for number, text in enumerate(["first", "and the second one", "third"]):
            await say(session, number, spoken(vendor, text))
        results = [await final(session) for _ in range(3)]
    # then
    assert [(result.utterance, result.text) for result in results] == [
        (0, "first"),
        (1, "and the second one"),
        (2, "third"),
    ]


async def test_segments_that_it_finalises_by_itself_are_joined(autojump_clock):
    # given
    vendor = FakeCartesia()
    vendor.segments = 0.6
    async with in_memory(vendor) as wire, recipe(vendor, "ink-whisper").open(Meter(wire).context) as session:
        # when
        await say(session, 1, spoken(vendor, "maybe tomorrow morning then"))
        result = await final(session)
    # then
    assert len(vendor.heard) > 1
    assert result.text == " ".join(vendor.heard)


async def test_what_it_opens_with_and_the_hook(autojump_clock):
    # given
    vendor = FakeCartesia()

    def change(settings):
        settings["keyterm"].append("Kilkenny")

    async with in_memory(vendor) as wire:
        meter = Meter(wire, change=change, language="de-AT")
        ours = recipe(vendor, keyterms=["Wexford"])
        # when
        async with ours.open(meter.context):
            pass
    # then
    handshake = vendor.requests[0]
    assert handshake.path == "/stt/websocket"
    assert handshake.headers["x-api-key"] == vendor.key
    assert handshake.query == {
        "cartesia_version": ["2026-03-01"],
        "model": ["ink-whisper"],
        "language": ["de"],
        "encoding": ["pcm_mulaw"],
        "sample_rate": ["8000"],
        "keyterm": ["Wexford", "Kilkenny"],
    }
    [opening] = meter.openings
    assert (opening.role, opening.provider, opening.url) == ("stt", "cartesia", "wss://api.cartesia.ai/stt/websocket")
    assert vendor.key not in str(opening)


@pytest.mark.parametrize(
    ("options", "parameter", "value"),
    [
        ({"model": "ink-2"}, "model", "ink-2"),
        ({"language": "fr-CA"}, "language", "fr"),
        ({"extra": {"encoding": "pcm_alaw"}}, "encoding", "pcm_alaw"),
    ],
)
async def test_settings_reach_the_vendor(autojump_clock, options, parameter, value):
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire, recipe(vendor, **options).open(Meter(wire).context):
        pass
    assert vendor.requests[0].parameter(parameter) == value


async def test_audio_at_another_rate_is_linear(autojump_clock):
    # given
    vendor = FakeCartesia()
    vendor.recorded.append("wideband")
    async with (
        in_memory(vendor) as wire,
        recipe(vendor).open(Meter(wire, sample_rate=16000).context) as session,
    ):
        # when
        await say(session, 1, np.ones(16000, np.int16))
        result = await final(session)
    # then
    assert result.text == "wideband"
    assert vendor.requests[0].parameter("encoding") == "pcm_s16le"
    assert vendor.requests[0].parameter("sample_rate") == "16000"


async def test_an_idle_socket_is_kept_by_moments_of_silence(autojump_clock):
    # given a vendor that closes a socket after 20 s without a message
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire:
        meter = Meter(wire)
        async with recipe(vendor).open(meter.context) as session:
            # when
            await trio.sleep(100)
            await say(session, 1, spoken(vendor, "still here"))
            # then
            assert (await final(session)).text == "still here"


async def test_usage_is_what_was_sent_also_when_it_is_left_in_the_middle(autojump_clock):
    # given
    vendor = FakeCartesia()
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
    assert meter.usage[0] == Usage(provider="cartesia", model="ink-whisper", seconds=seconds[0], estimated=True)


@pytest.mark.parametrize(
    ("status", "fault"),
    [(400, "fatal"), (401, "fatal"), (402, "fatal"), (422, "fatal"), (429, "retry"), (503, "retry")],
)
async def test_refusals_and_errors_say_what_helps(autojump_clock, status, fault):
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire:
        # when it refuses the handshake
        vendor.refuse(status, f"no {vendor.key}")
        with pytest.raises(
            ProviderError, match=rf"cartesia ink-whisper: HTTP {status}: Error {status}: no \[key\]"
        ) as at:
            async with recipe(vendor).open(Meter(wire).context):
                pass
        assert at.value.fault == fault
        # when it says so in the middle
        async with recipe(vendor).open(Meter(wire).context) as session:
            await say(session, 1, spoken(vendor, "hello"), end=False)
            await vendor.sockets[0].send_json(vendor.problem(status, "out of luck"))
            with pytest.raises(ProviderError, match=f"{status}: Error {status}: out of luck") as said:
                await final(session)
        assert said.value.fault == fault


async def test_a_retry_after_is_handed_on(autojump_clock):
    vendor = FakeCartesia()
    vendor.refuse(429, **{"retry-after": "3"})
    async with in_memory(vendor) as wire:
        with pytest.raises(ProviderError) as error:
            async with recipe(vendor).open(Meter(wire).context):
                pass
    assert error.value.retry_after == 3.0


@pytest.mark.parametrize(("code", "fault"), [(1000, "reopen"), (1001, "reopen"), (1011, "retry"), (1008, "fatal")])
async def test_closes(autojump_clock, code, fault):
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire, recipe(vendor).open(Meter(wire).context) as session:
        await session.start_utterance(1)
        await vendor.close_all(code, "bye")
        with pytest.raises(ProviderError) as error:
            await final(session)
    assert error.value.fault == fault


@pytest.mark.parametrize("start", ["when it is made", "when it is opened"])
async def test_ink_2_is_for_english_calls(autojump_clock, start):
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire:
        if start == "when it is made":
            with pytest.raises(ConfigurationError, match="ink-2 knows English only: use ink-whisper for de"):
                recipe(vendor, "ink-2", language="de")
        else:
            with pytest.raises(ProviderError, match="the call is in pt-BR") as error:
                async with recipe(vendor, "ink-2").open(Meter(wire, language="pt-BR").context):
                    pass
            assert error.value.fault == "fatal"
    assert vendor.requests == []


def test_too_many_keyterms():
    with pytest.raises(ConfigurationError, match="at most 100"):
        Cartesia(api_key="k", keyterms=["a"] * 101)
    with pytest.raises(ConfigurationError, match="1,200 characters"):
        Cartesia(api_key="k", keyterms=["a" * 1201])


def test_the_recipe(monkeypatch):
    monkeypatch.setenv("CARTESIA_API_KEY", "from-the-environment")
    ours = Cartesia()
    assert ours.api_key == "from-the-environment"
    assert "from-the-environment" not in repr(ours)
    assert (ours.name, ours.idle_limit) == ("cartesia ink-whisper", 60.0)
    assert isinstance(ours, Parkable)
    assert isinstance(ours, Probed)
    recogniser: SpeechToText = ours
    assert recogniser is ours
    monkeypatch.delenv("CARTESIA_API_KEY")
    with pytest.raises(ConfigurationError, match="artesia needs a key: set CARTESIA_API_KEY"):
        Cartesia()


async def test_the_probe(autojump_clock):
    vendor = FakeCartesia()
    async with in_memory(vendor) as wire:
        await recipe(vendor).probe(wire)
        with pytest.raises(ProviderError, match="Invalid API key") as error:
            await Cartesia(api_key="wrong").probe(wire)
    assert error.value.fault == "fatal"
    assert [request.path for request in vendor.requests] == ["/voices", "/voices"]
    assert vendor.requests[0].headers["cartesia-version"] == "2026-03-01"


async def test_connect_bounds_the_connection(autojump_clock):
    vendor = FakeCartesia()
    vendor.faults.answer_delay = 10.0
    async with in_memory(vendor) as wire:
        with pytest.raises(ProviderError, match=r"no connection within 1\.5 s"):
            async with recipe(vendor, connect=1.5).open(Meter(wire).context):
                pass
        assert trio.current_time() == pytest.approx(1.5)


def ink() -> InkDialect:
    return InkDialect(Cartesia(api_key="k"), 8000, CartesiaFailures("cartesia", "k"))


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        (
            '{"type":"transcript","request_id":"58df","text":" how are you","is_final":false,"duration":0.5,'
            '"language":"en","words":[{"word":"how","start":0.0,"end":0.12}]}',
            [Words(" how are you", False)],
        ),
        ('{"type":"transcript","text":" how are you","is_final":true}', [Words(" how are you", True)]),
        ('{"type":"flush_done","request_id":"58df"}', []),
        ('{"type":"done","request_id":"58df"}', []),
        ('{"type":"transcript","text":null,"is_final":true}', []),
        ('{"type":"transcript","text":7}', []),
        ('{"type":"something.new"}', []),
        ('{"type":{}}', []),
        ("[1]", []),
        ("nonsense", []),
        (b"\xff\x00", []),
    ],
)
def test_frames(message, heard):
    assert list(ink().feed(message)) == heard


def test_commands():
    dialect = ink()
    dialect.start()
    assert dialect.end() == ("finalize",)
    assert dialect.bye() == ("close",)
    assert dialect.still_here() == (b"\xff" * 160,)
    assert list(dialect.feed('{"type":"transcript","text":"hi","is_final":true}')) == [Words("hi", True)]
    assert list(dialect.feed('{"type":"flush_done"}')) == [Finished(of=0)]


async def test_over_the_loopback():
    vendor = FakeCartesia()
    async with on_loopback(vendor) as address, open_wire() as wire:
        ours = recipe(vendor, base_url=f"ws://{address}")
        async with ours.open(Meter(wire).context) as session:
            await say(session, 1, spoken(vendor, "over a real socket"))
            assert (await final(session)).text == "over a real socket"
        await ours.probe(wire)


async def test_a_whole_call(call_lab):
    # given
    vendor = FakeCartesia(call_lab.vocabulary)
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
