"""Azure's recogniser against the simulated service."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trio
from cases import Told
from talking import final, said, say

from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import SttResult
from callengine.providers.azure_account import at_region, locale
from callengine.providers.stt.azure import Azure
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.azure import FakeAzure


def recipe(vendor: FakeAzure, *args: str, **options) -> Azure:
    return Azure(*args, **{"api_key": vendor.key, "region": vendor.region, **options})


async def test_phrases_of_one_utterance_are_joined(autojump_clock):
    # given
    vendor = FakeAzure()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when
        pause = np.zeros(6400, np.int16)
        await say(session, 1, np.concatenate((said(vendor, "My name"), pause, said(vendor, "is Mary."))))
        # then
        assert (await final(session)).text == "My name is Mary."
    assert vendor.heard == ["My name", "is Mary."]
    assert len(vendor.turns) == 1


async def test_utterances_are_turns_and_one_waits_for_the_other(autojump_clock):
    # given a service that takes its time to end a turn, and takes no other before
    vendor = FakeAzure()
    vendor.end_delay = 0.4
    texts = ["hello there", "I need a refund", "bye"]
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when all is said at once
        for number, text in enumerate(texts):
            await say(session, number, said(vendor, text))
        # then
        assert [await final(session) for _ in texts] == [SttResult(text, True, n) for n, text in enumerate(texts)]
        # and what is said behind that goes straight on
        await say(session, 9, said(vendor, "one more"))
        assert await final(session) == SttResult("one more", True, 9)
    assert len(set(vendor.turns)) == 4


async def test_audio_that_comes_while_another_turn_ends_keeps_its_order(autojump_clock):
    # given
    vendor = FakeAzure()
    vendor.end_delay = 0.35
    texts = ["first", "second words of some length", "third"]
    results: list[SttResult] = []

    async def listen(session):
        while len(results) < len(texts):
            results.append(await final(session))

    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, session)
            # when each block takes its time
            for number, text in enumerate(texts):
                audio = said(vendor, text)
                await session.start_utterance(number)
                for start in range(0, len(audio), 800):
                    await trio.sleep(0.1)
                    await session.send(audio[start : start + 800])
                await session.end_utterance()
    # then
    assert [result.text for result in results] == texts


async def test_nothing_is_lost_where_the_service_ends_a_turn_by_itself(autojump_clock):
    # given a service that ends every turn after 1.3 s, in the middle of a word
    vendor = FakeAzure()
    vendor.turn_limit = 1.3
    text = "one two three four five six seven eight nine ten"
    results: list[SttResult] = []

    async def listen(session):
        results.append(await final(session))

    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, session)
            # when
            audio = said(vendor, text)
            await session.start_utterance(1)
            for start in range(0, len(audio), 800):
                await trio.sleep(0.1)
                await session.send(audio[start : start + 800])
            await session.end_utterance()
    # then
    assert results == [SttResult(text, True, 1)]
    assert len(vendor.turns) >= 3


async def test_an_utterance_whose_turn_is_over_already_is_final_at_once(autojump_clock):
    # given a turn that the service ended when all was understood
    vendor = FakeAzure()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        audio = said(vendor, "yes")
        vendor.turn_limit = len(audio) / 8000
        await say(session, 1, audio, end=False)
        with trio.move_on_after(1):
            while True:
                await session.receive()
        # when
        before = trio.current_time()
        await session.end_utterance()
        # then
        assert await final(session) == SttResult("yes", True, 1)
        assert trio.current_time() == before


async def test_what_it_opens_with_and_the_hook(autojump_clock):
    # given
    vendor = FakeAzure()

    def change(settings):
        settings["stableIntermediateThreshold"] = 3
        settings["speech.context"]["phraseOutput"] = {"format": "Simple"}

    async with in_memory(vendor) as wire:
        told = Told(change=change)
        ours = recipe(vendor, phrases=["Wexford"], extra={"initialSilenceTimeoutMs": 9000})
        # when
        async with ours.open(told.context(wire, language="de-AT")) as session:
            await say(session, 1, said(vendor, "hello"))
            await final(session)
    # then
    handshake = vendor.requests[0]
    assert handshake.host == "westeurope.stt.speech.microsoft.com"
    assert handshake.path == "/speech/recognition/conversation/cognitiveservices/v1"
    assert handshake.headers["ocp-apim-subscription-key"] == vendor.key
    assert len(handshake.headers["x-connectionid"]) == 32
    assert handshake.query == {
        "language": ["de-AT"],
        "format": ["simple"],
        "profanity": ["masked"],
        "initialSilenceTimeoutMs": ["9000"],
        "stableIntermediateThreshold": ["3"],
    }
    [config] = vendor.configurations
    assert config["context"]["system"]["name"] == "callengine"
    assert vendor.contexts == [
        {
            "dgi": {"Groups": [{"Type": "Generic", "Items": [{"Text": "Wexford"}]}]},
            "phraseOutput": {"format": "Simple"},
        }
    ]
    [opening] = told.openings
    assert (opening.role, opening.provider, opening.url) == ("stt", "azure", f"wss://{handshake.host}{handshake.path}")
    assert vendor.key not in str(opening)


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({"model": "b7a1"}, {"cid": ["b7a1"], "format": ["simple"], "profanity": ["masked"]}),
        ({"language": "fr-CA"}, {"language": ["fr-CA"], "format": ["simple"], "profanity": ["masked"]}),
        ({"profanity": "raw"}, {"language": ["en-US"], "format": ["simple"], "profanity": ["raw"]}),
    ],
)
async def test_settings_reach_the_vendor(autojump_clock, options, query):
    vendor = FakeAzure()
    async with in_memory(vendor) as wire, recipe(vendor, **options).open(Told().context(wire)):
        pass
    assert vendor.requests[0].query == query


async def test_the_detailed_format_is_understood_too(autojump_clock):
    vendor = FakeAzure()
    ours = recipe(vendor, extra={"format": "detailed"})
    async with in_memory(vendor) as wire, ours.open(Told().context(wire)) as session:
        await say(session, 1, said(vendor, "All of it."))
        assert (await final(session)).text == "All of it."


@pytest.mark.parametrize("rate", [16000, 24000])
async def test_audio_at_other_rates(autojump_clock, rate):
    vendor = FakeAzure()
    vendor.recorded.append("wideband")
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire, sample_rate=rate)) as session:
        await say(session, 1, np.ones(rate, np.int16))
        assert (await final(session)).text == "wideband"


async def test_a_region_in_a_cloud_of_its_own(autojump_clock):
    vendor = FakeAzure()
    vendor.hosts = ("chinaeast2.stt.speech.azure.cn", "chinaeast2.api.cognitive.azure.cn")
    async with in_memory(vendor) as wire:
        async with recipe(vendor, region="chinaeast2").open(Told().context(wire)):
            pass
        await recipe(vendor, region="chinaeast2").probe(wire)
    assert [request.host for request in vendor.requests] == list(vendor.hosts)


@pytest.mark.parametrize(
    ("status", "fault"),
    [("TooManyRequests", "retry"), ("Error", "retry"), ("BadRequest", "fatal"), ("Forbidden", "fatal")],
)
async def test_results_that_are_errors(autojump_clock, status, fault):
    vendor = FakeAzure()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        await say(session, 1, said(vendor, "hello"), end=False)
        await session.receive()
        body = json.dumps({"RecognitionStatus": status})
        await vendor.say_all(f"X-RequestId:{vendor.turns[-1]}\r\nPath:speech.phrase\r\n\r\n{body}")
        with pytest.raises(ProviderError, match=f"azure: recognition failed: {status}") as error:
            await final(session)
    assert error.value.fault == fault


def test_the_recipe(monkeypatch):
    monkeypatch.setenv("AZURE_SPEECH_KEY", "from-the-environment")
    monkeypatch.setenv("AZURE_SPEECH_REGION", "eastus2")
    ours = Azure()
    assert (ours.api_key, ours.region) == ("from-the-environment", "eastus2")
    assert Azure("b7a1").name == "azure b7a1"
    with pytest.raises(ConfigurationError, match="write it as Azure does"):
        Azure(region="West Europe")
    with pytest.raises(ValueError, match="profanity"):
        Azure(profanity="some")
    monkeypatch.delenv("AZURE_SPEECH_REGION")
    with pytest.raises(ConfigurationError, match="set AZURE_SPEECH_REGION"):
        Azure()
    assert Azure(base_url="wss://name.cognitiveservices.azure.com").region == ""


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", "en-US"), ("de", "de-DE"), ("ja", "ja-JP"), ("pt", "pt-BR"), ("en_gb", "en-GB"), ("FR-ca", "fr-CA"),
        ("zh-Hans-cn", "zh-Hans-CN"), ("es-419", "es-419"),
    ],
)  # fmt: skip
def test_locales(language, expected):
    assert locale(language) == expected


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eastus", "wss://eastus.stt.speech.microsoft.com"),
        ("chinaeast2", "wss://chinaeast2.stt.speech.azure.cn"),
        ("usgovvirginia", "wss://usgovvirginia.stt.speech.azure.us"),
    ],
)
def test_regions(region, url):
    assert at_region("wss://{region}.stt.speech.microsoft.com", region) == url
