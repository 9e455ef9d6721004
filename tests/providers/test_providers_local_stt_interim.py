from __future__ import annotations

import threading

import attrs
import numpy as np
import pytest
import trio
import trio.testing
from local_speech import SILENCE, WatchedWorkers, blocks, clip, final, kept_busy, plain, said
from numpy.typing import NDArray

from callengine.audio import Pcm
from callengine.errors import ConfigurationError
from callengine.ports import SessionContext
from callengine.providers.local.models import LocalModels
from callengine.providers.local.moonshine import MAX_SECONDS, Moonshine
from callengine.providers.local.workers import Workers
from callengine.providers.stt.local import LocalSpeechToText

pytestmark = pytest.mark.models


async def interims(stt: LocalSpeechToText, context: SessionContext, pcm: Pcm) -> list[str]:
    """The interim transcripts of an utterance that has no pause, read as it is spoken."""
    texts: list[str] = []
    async with stt.open(context) as session:
        await session.start_utterance(1)
        for block in blocks(pcm):
            await session.send(block)
            await trio.testing.wait_all_tasks_blocked()
        await session.end_utterance()
        while not (result := await session.receive()).final:
            texts.append(plain(result.text))
    return texts


async def test_interim_transcripts_grow_with_the_utterance(models: LocalModels) -> None:
    texts = await interims(models.stt, SessionContext("call-1", interim=True), clip("af_nova_03_change"))
    assert len(texts) >= 5
    assert "i need to move my reservation" in " | ".join(texts)
    assert texts[-1].startswith("i need to move my reservation from thursday to saturday")


async def test_nobody_who_does_not_want_interim_transcripts_pays_for_them(loaded_models: LocalModels) -> None:
    workers = WatchedWorkers(inline=True)
    assert await interims(loaded_models.using(workers).stt, SessionContext("call-1"), clip("af_nova_03_change")) == []
    assert workers.jobs == 1


@pytest.mark.parametrize(("interval", "decodes"), [(0.5, 8), (2.0, 2)])
async def test_interim_interval_says_how_often(loaded_models: LocalModels, interval: float, decodes: int) -> None:
    workers = WatchedWorkers(inline=True)
    stt = LocalSpeechToText(loaded_models.stt.model, workers, interim_interval=interval)
    pcm = clip("af_nova_03_change")[: 8000 * 4]
    await interims(stt, SessionContext("call-1", interim=True), np.concatenate([pcm, SILENCE[:800]]))
    assert workers.jobs == decodes + 1


async def test_interim_decodes_never_wait_for_a_worker(loaded_models: LocalModels) -> None:
    workers = WatchedWorkers(1)
    async with loaded_models.using(workers).stt.open(SessionContext("call-1", interim=True)) as session:
        async with kept_busy(workers):
            await session.start_utterance(1)
            for block in blocks(clip("af_nova_03_change")):
                await session.send(block)
                await trio.testing.wait_all_tasks_blocked()
        await session.end_utterance()
        assert (await session.receive()).final
    assert workers.jobs == 2


def test_an_interval_of_nothing_is_refused(models: LocalModels) -> None:
    with pytest.raises(ConfigurationError, match="interim_interval=0"):
        LocalSpeechToText(models.stt.model, models.workers, interim_interval=0)


async def test_a_monologue_is_decoded_in_segments_and_no_word_is_lost(
    loaded_models: LocalModels,
) -> None:
    names = ["af_nova_14_long", "af_nova_15_long", "am_michael_06_hours", "af_nova_03_change", "bm_george_11_price"]
    pcm = np.concatenate([clip(name) for name in names + names[:2]])
    assert len(pcm) / 8000 > 1.3 * MAX_SECONDS
    async with loaded_models.stt.open(SessionContext("call-1")) as session:
        text = await said(session, 1, pcm)

    for phrase in ("time do you open", "thursday to saturday", "party of six"):
        assert text.count(phrase) == 1, phrase
    for phrase in ("with my sister", "a nut allergy"):
        assert text.count(phrase) == 2, phrase


@attrs.frozen(eq=False)
class Timekeeper(Moonshine):
    """A model that says how many seconds it heard, and keeps a list of them."""

    seconds: list[float] = attrs.field(factory=list)

    def transcribe(self, audio: NDArray[np.float32], stop: threading.Event | None = None) -> str:
        if stop is not None and stop.is_set():
            return ""
        self.seconds.append(len(audio) / 16000)
        return f"{self.seconds[-1]:.2f}"


@pytest.mark.parametrize(("interim", "share"), [(False, 2.5), (True, 11)])
async def test_the_work_on_a_monologue_grows_with_its_length_and_no_faster(interim: bool, share: float) -> None:
    model = Timekeeper(None, None, (), {})
    stt = LocalSpeechToText(model, Workers(inline=True))
    pcm = np.random.default_rng(2).integers(-3000, 3000, 8000 * 300).astype(np.int16)
    async with stt.open(SessionContext("call-1", interim=interim)) as session:
        await session.start_utterance(1)
        for block in blocks(pcm):
            await session.send(block)
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(0):
                await session.receive()
        heard_before_the_end = sum(model.seconds)
        await session.end_utterance()
        heard = (await final(session)).text

    assert heard_before_the_end > 300 - MAX_SECONDS  # so that the final waits for a segment at most
    assert sum(map(float, heard.split())) == pytest.approx(300, abs=0.1)
    assert max(model.seconds) <= MAX_SECONDS
    assert sum(model.seconds) < share * 300
