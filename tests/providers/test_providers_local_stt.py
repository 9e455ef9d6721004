from __future__ import annotations

import threading
from typing import Any

import attrs
import numpy as np
import pytest
import trio
import trio.testing
from local_speech import CALLERS, WatchedWorkers, blocks, clip, final, kept_busy, plain, said, send_all

from callengine.audio import read_wav
from callengine.errors import AudioError, ConfigurationError, ProviderError
from callengine.ports import SessionContext, SttResult, Usage
from callengine.providers.local.models import LocalModels
from callengine.providers.local.workers import Workers
from callengine.providers.stt.local import LocalSpeechToText

pytestmark = pytest.mark.models


@pytest.fixture
def context() -> SessionContext:
    return SessionContext("call-1")


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("am_michael_06_hours", {"what time do you open on sundays"}),
        ("am_michael_05_cancel", {"i am afraid i have to cancel my table for tonight"}),
        ("af_nova_03_change", {"i need to move my reservation from thursday to saturday same time"}),
        ("af_nova_13_person", {"put me through to the manager"}),
        ("af_nova_20_no", {"no thank you"}),
        ("bm_george_11_price", {"how much is the tasting menu for a party of six"}),
        ("bf_emma_07_hours", {"are you open on christmas eve"}),
        ("am_michael_39_number", {"five five five"}),
        ("am_michael_23_thanks", {"thank you very much"}),
    ],
)
async def test_callers_are_understood(
    models: LocalModels, context: SessionContext, name: str, accepted: set[str]
) -> None:
    async with models.stt.open(context) as session:
        assert await said(session, 1, clip(name)) in accepted


async def test_a_person_in_wide_band_is_understood(models: LocalModels) -> None:
    pcm, rate = read_wav(CALLERS / "librivox_0930.wav")
    async with models.stt.open(SessionContext("call-1", sample_rate=rate)) as session:
        assert await said(session, 1, pcm, rate) == "he might even have been made amiable himself"


async def test_an_utterance_without_words_has_an_empty_final(models: LocalModels, context: SessionContext) -> None:
    async with models.stt.open(context) as session:
        assert await said(session, 1, np.zeros(8000, np.int16)) == ""
        await session.start_utterance(2)
        await session.end_utterance()
        assert await session.receive() == SttResult("", True, 2)


async def test_the_seconds_of_each_utterance_are_told_also_of_one_that_was_not_ended(models: LocalModels) -> None:
    told: list[Usage] = []
    async with models.stt.open(SessionContext("call-1", meter=told.append)) as session:
        assert await said(session, 1, np.zeros(8000, np.int16)) == ""
        await session.start_utterance(2)
        await session.send(np.zeros(4000, np.int16))
    assert told == [Usage(provider="local", model="moonshine tiny-en", seconds=seconds) for seconds in (1.0, 0.5)]


async def test_what_was_decoded_in_a_pause_is_heard_at_once_and_is_the_final(
    loaded_models: LocalModels, context: SessionContext
) -> None:
    workers = WatchedWorkers(inline=True)
    async with loaded_models.using(workers).stt.open(context) as session:
        await session.start_utterance(7)
        await send_all(session, clip("af_nova_13_person"))
        await session.pause()

        early = await session.receive()
        await session.pause()
        await session.end_utterance()

        assert early == SttResult("Put me through to the manager.", False, 7)
        assert await session.receive() == SttResult(early.text, True, 7)
    assert workers.jobs == 1


async def test_a_decode_still_under_way_when_the_utterance_ends_is_waited_for(
    loaded_models: LocalModels, context: SessionContext
) -> None:
    workers = WatchedWorkers(1)
    async with loaded_models.using(workers).stt.open(context) as session:
        await session.start_utterance(1)
        await send_all(session, clip("af_nova_13_person"))
        await session.pause()
        await workers.until_begun()
        await session.end_utterance()
        assert plain((await final(session)).text) == "put me through to the manager"
    assert (workers.jobs, workers.abandoned) == (1, 0)


async def test_speech_after_a_pause_makes_the_decode_void(loaded_models: LocalModels, context: SessionContext) -> None:
    workers = WatchedWorkers(1)
    whole = clip("af_nova_03_change")
    async with loaded_models.using(workers).stt.open(context) as session:
        async with kept_busy(workers):
            await session.start_utterance(1)
            await send_all(session, whole[:16000])
            await session.pause()
            await trio.testing.wait_all_tasks_blocked()
            # The caller goes on before a worker was free: the decode leaves the queue.
            await send_all(session, whole[16000:])
        await session.pause()
        await session.end_utterance()
        result = await session.receive()
        while not result.final:
            assert "saturday" in result.text.lower()
            result = await session.receive()
        assert plain(result.text).endswith("from thursday to saturday same time")
    assert workers.jobs == 2  # the one that kept the worker busy, and one decode


async def test_an_utterance_that_ends_without_a_pause_is_decoded(models: LocalModels, context: SessionContext) -> None:
    async with models.stt.open(context) as session:
        await session.start_utterance(1)
        await send_all(session, clip("af_nova_13_person"))
        await session.end_utterance()
        assert plain((await session.receive()).text) == "put me through to the manager"


async def test_each_utterance_starts_afresh(models: LocalModels, context: SessionContext) -> None:
    async with models.stt.open(context) as session:
        await session.send(clip("af_nova_20_no"))  # before any utterance
        await session.start_utterance(1)
        await send_all(session, clip("af_nova_03_change"))
        # Given up without an end: it leaves nothing behind, and gets no final.
        assert await said(session, 2, clip("af_nova_13_person")) == "put me through to the manager"


async def test_finals_come_in_the_order_in_which_utterances_ended(
    loaded_models: LocalModels, context: SessionContext
) -> None:
    async with loaded_models.using(Workers(4)).stt.open(context) as session:
        for number, name in enumerate(("af_nova_15_long", "af_nova_20_no", "am_michael_06_hours")):
            await session.start_utterance(number)
            await session.send(clip(name))
            await session.end_utterance()
        results = [await final(session) for _ in range(3)]
    assert [each.utterance for each in results] == [0, 1, 2]
    assert [plain(each.text).split()[0] for each in results] == ["we", "no", "what"]


async def test_two_calls_on_one_model_never_mix(loaded_models: LocalModels, context: SessionContext) -> None:
    stt = loaded_models.using(Workers(2)).stt
    async with stt.open(context) as one, stt.open(attrs.evolve(context, call_id="call-2")) as two:
        await one.start_utterance(1)
        await two.start_utterance(1)
        first, second = blocks(clip("am_michael_06_hours")), blocks(clip("af_nova_13_person"))
        for a, b in zip(first, second, strict=False):
            await one.send(a)
            await two.send(b)
        for a in first[len(second) :]:
            await one.send(a)
        for session in (one, two):
            await session.pause()
        for session in (one, two):
            await session.end_utterance()
        assert plain((await final(one)).text) == "what time do you open on sundays"
        assert plain((await final(two)).text) == "put me through to the manager"


async def test_leaving_in_the_middle_of_a_decode_costs_the_pool_nothing(
    loaded_models: LocalModels, context: SessionContext
) -> None:
    workers = WatchedWorkers(1)
    stt = loaded_models.using(workers).stt
    async with stt.open(context) as session:
        await session.start_utterance(1)
        await session.send(np.concatenate([clip("af_nova_15_long")] * 3))
        await session.pause()
        await workers.until_begun()
    assert workers.abandoned == 1

    async with stt.open(context) as session:
        assert await said(session, 1, clip("af_nova_13_person")) == "put me through to the manager"
    assert (workers.abandoned, workers.busy) == (1, 0)


async def test_waiting_for_a_result_can_be_cancelled_without_losing_it(
    models: LocalModels, context: SessionContext
) -> None:
    async with models.stt.open(context) as session:
        await session.start_utterance(1)
        await session.send(clip("af_nova_13_person"))
        with trio.move_on_after(1) as waiting:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.receive)
                await trio.testing.wait_all_tasks_blocked()
                await session.end_utterance()
                nursery.cancel_scope.cancel()
        assert not waiting.cancelled_caught
        assert plain((await session.receive()).text) == "put me through to the manager"


def test_another_language_is_refused(models: LocalModels) -> None:
    with pytest.raises(ConfigurationError, match="English only"):
        models.stt.open(SessionContext("call-1", language="fr"))


def test_a_rate_that_cannot_be_resampled_is_refused(models: LocalModels) -> None:
    with pytest.raises(AudioError, match="4000 Hz"):
        models.stt.open(SessionContext("call-1", sample_rate=4000))


async def test_a_failing_model_is_a_provider_error(loaded_models: LocalModels, context: SessionContext) -> None:
    class Broken:
        def run(self, names: list[str] | None, feed: dict[str, Any]) -> None:
            raise RuntimeError(f"out of memory for {names} and {len(feed)} tensors")

    stt = LocalSpeechToText(attrs.evolve(loaded_models.stt.model, decoder=Broken()), Workers(inline=True))
    with pytest.raises(ProviderError, match="local: decoding an utterance failed: out of memory for"):
        async with stt.open(context) as session:
            await said(session, 1, clip("af_nova_13_person"))


class ThirdTime(threading.Event):
    """Set from the third time on that it is asked."""

    polls = 0

    def is_set(self) -> bool:
        self.polls += 1
        return self.polls >= 3


def test_a_decode_that_is_told_to_stop_ends_within_a_token(models: LocalModels) -> None:
    stop = ThirdTime()
    assert models.stt.model.transcribe(np.zeros(16000, np.float32) + 0.1, stop) == ""
    assert stop.polls == 3
