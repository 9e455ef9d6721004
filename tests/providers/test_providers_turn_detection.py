"""smart-turn as a provider: features against a slow reference, verdicts on recorded callers, ways to fail."""

from __future__ import annotations

import hashlib
import math
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import trio
import trio.testing

from callengine.audio.convert import from_pcm, to_pcm
from callengine.audio.resample import Resampler
from callengine.audio.wav import read_wav
from callengine.errors import AudioError, ConfigurationError, MissingExtra, ProviderError, WeightsError
from callengine.ports import SessionContext
from callengine.providers.local.weights import MINILM
from callengine.providers.local.workers import Workers
from callengine.providers.turn_detection import LoadedSmartTurn, SmartTurn, model
from callengine.providers.turn_detection.features import FRAMES, SAMPLES, log_mel
from callengine.providers.turn_detection.model import PACKAGED, SHA256, SmartTurnModel

CALLERS = Path(__file__).parents[1] / "data" / "callers"
CONTEXT = SessionContext("c1")


@pytest.fixture(scope="module")
def smart_turn() -> LoadedSmartTurn:
    return LoadedSmartTurn(SmartTurnModel.load(), Workers(inline=True))


def turn(name: str) -> np.ndarray:
    """A turn as a call has it: 0.3 s before the words, mu-law, a line noise of -70 dBFS, 0.2 s of silence behind."""
    words, rate = read_wav(CALLERS / f"{name}.wav")
    assert rate == 8000
    line = np.concatenate((np.zeros(2400), words, np.zeros(1600)))
    line += np.random.default_rng(7).standard_normal(len(line)) * 10
    return to_pcm(from_pcm(np.clip(np.rint(line), -32768, 32767).astype(np.int16), "mulaw"), "mulaw")


# --- features ---------------------------------------------------------------------------------------------------------


def slow_log_mel(audio: np.ndarray) -> np.ndarray:
    """The same by the definitions: a Fourier sum for each bin, each triangle corner by corner."""
    whole = np.concatenate((np.zeros(SAMPLES), audio))[-SAMPLES:]
    whole = (whole - np.mean(whole)) / math.sqrt(np.var(whole) + 1e-7)
    reflected = np.concatenate((whole[200:0:-1], whole, whole[-2:-202:-1]))
    hann = np.array([math.sin(math.pi * n / 400) ** 2 for n in range(400)])
    fourier = np.array([[np.exp(-2j * math.pi * bin_ * n / 400) for n in range(400)] for bin_ in range(201)])
    power = np.array([np.abs(fourier @ (reflected[160 * f : 160 * f + 400] * hann)) ** 2 for f in range(800)])

    def hertz(mel: float) -> float:
        return 200 * mel / 3 if mel < 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27)

    top = 15 + math.log(8) * 27 / math.log(6.4)
    corner = [hertz(top * band / 81) for band in range(82)]
    bank = np.zeros((80, 201))
    for band in range(80):
        low, middle, high = corner[band : band + 3]
        for bin_ in range(201):
            f = 40.0 * bin_
            if low < f <= middle:
                bank[band, bin_] = (f - low) / (middle - low)
            elif middle < f < high:
                bank[band, bin_] = (high - f) / (high - middle)
        bank[band] *= 2 / (high - low)
    mel = np.log10(np.maximum(power @ bank.T, 1e-10)).T
    return (np.maximum(mel, mel.max() - 8) + 4) / 4


@pytest.mark.parametrize("samples", [16_000, SAMPLES, SAMPLES + 5_000])
def test_features_are_those_of_a_slow_reference(samples):
    rng = np.random.default_rng(samples)
    audio = (rng.standard_normal(samples) * np.linspace(0.001, 0.5, samples)).astype(np.float32)
    assert log_mel(audio) == pytest.approx(slow_log_mel(audio), abs=1e-4)


@pytest.mark.parametrize("samples", [0, 1, 399, 16_000, SAMPLES, 3 * SAMPLES])
def test_features_have_one_shape_whatever_the_length(samples):
    features = log_mel(np.full(samples, 0.25, np.float32))
    assert features.shape == (80, FRAMES)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_a_short_turn_stands_at_the_end_and_a_long_one_loses_its_beginning():
    audio = np.random.default_rng(3).standard_normal(2 * SAMPLES).astype(np.float32)
    assert np.array_equal(log_mel(audio), log_mel(audio[SAMPLES:]))
    short = audio[:16_000]
    assert np.array_equal(log_mel(short), log_mel(np.concatenate((np.zeros(SAMPLES - 16_000, np.float32), short))))


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "probability"),
    [
        ("af_nova_03_change", 0.97),  # "... so could we make it eight instead?"
        ("am_michael_06_hours", 0.98),
        ("bf_emma_07_hours", 0.98),
        ("bm_george_58_prefix", 0.01),  # "It should be on"
        ("bm_george_61_prefix", 0.01),  # "The thing is"
    ],
)
async def test_finished_turns_are_told_from_unfinished_ones(smart_turn, name, probability):
    async with smart_turn.open(CONTEXT) as session:
        # int8 arithmetic differs between processors, in the second decimal
        assert await session.finished(turn(name)) == pytest.approx(probability, abs=0.05)


async def test_an_unfinished_beginning_and_its_end_are_a_finished_turn(smart_turn):
    begun = turn("bm_george_58_prefix")
    async with smart_turn.open(CONTEXT) as session:
        assert await session.finished(begun) < 0.1
        assert await session.finished(np.concatenate((begun, turn("bm_george_11_price")))) > 0.9


async def test_only_the_last_eight_seconds_are_heard(smart_turn):
    words = turn("af_nova_14_long")
    eight = np.concatenate((words, words))[-64_000:]
    async with smart_turn.open(CONTEXT) as session:
        alone = await session.finished(eight)
        assert await session.finished(np.concatenate((turn("bm_george_11_price"), eight))) == alone


async def test_audio_is_taken_at_the_lines_rate(smart_turn):
    narrow = turn("am_michael_06_hours")
    resampler = Resampler(8000, 16_000)
    wide = np.concatenate((resampler.push(narrow), resampler.flush()))
    async with (
        smart_turn.open(CONTEXT) as session,
        smart_turn.open(SessionContext("c2", sample_rate=16_000)) as wide_session,
    ):
        assert await wide_session.finished(wide) == await session.finished(narrow)
        assert await wide_session.finished(narrow) != await session.finished(narrow)


def test_a_rate_that_cannot_be_resampled_is_refused(smart_turn):
    with pytest.raises(AudioError, match="4000 Hz"):
        smart_turn.open(SessionContext("c1", sample_rate=4000))


# --- loading ----------------------------------------------------------------------------------------------------------


async def test_it_is_loaded_once_and_runs_in_threads_of_its_own():
    loaded = await SmartTurn(threads=2).load()
    assert (loaded.name, loaded.workers.limit, loaded.workers.inline) == ("smart-turn", 2, False)
    verdicts = []

    async def ask(call_id: str) -> None:
        async with loaded.open(SessionContext(call_id)) as session:
            verdicts.append(await session.finished(turn("am_michael_06_hours")))

    async with trio.open_nursery() as nursery:
        for each in ("c1", "c2", "c3"):
            nursery.start_soon(ask, each)
    assert verdicts == [verdicts[0]] * 3
    assert loaded.workers.busy == 0


async def test_inline_inference_takes_no_virtual_time(autojump_clock):
    loaded = await SmartTurn().load(inline=True)
    async with loaded.open(CONTEXT) as session:
        await session.finished(turn("am_michael_06_hours"))
    assert loaded.workers.inline
    assert trio.current_time() == 0


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads_are_refused(threads):
    with pytest.raises(ConfigurationError, match=f"threads={threads}.*at least 1"):
        SmartTurn(threads=threads)


def test_the_packaged_model_is_the_one_that_the_notice_names():
    assert hashlib.sha256(PACKAGED.read_bytes()).hexdigest() == SHA256
    notice = (PACKAGED.parent / "NOTICE").read_text()
    assert SHA256 in notice
    assert "BSD 2-Clause License" in notice


async def test_a_packaged_model_that_was_changed_is_refused(monkeypatch):
    monkeypatch.setattr(model, "SHA256", "0" * 64)
    with pytest.raises(WeightsError, match=r"not the file that was tested.*--force-reinstall callengine"):
        await SmartTurn().load(inline=True)


async def test_another_smart_turn_can_be_named(tmp_path, monkeypatch):
    file = tmp_path / "newer.onnx"
    file.write_bytes(PACKAGED.read_bytes())
    monkeypatch.setattr(model, "SHA256", "0" * 64)  # the packaged one would be refused
    loaded = await SmartTurn(model=file).load(inline=True)
    async with loaded.open(CONTEXT) as session:
        assert await session.finished(turn("am_michael_06_hours")) > 0.9


async def test_a_model_with_other_inputs_and_outputs_is_refused():
    with pytest.raises(ConfigurationError, match=r"not a smart-turn v3 model.*input_ids.*leave model= out"):
        await SmartTurn(model=MINILM.locate()).load(inline=True)


async def test_a_file_that_is_no_model_and_one_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"gone\.onnx cannot be read.*give model= the path"):
        await SmartTurn(model=tmp_path / "gone.onnx").load(inline=True)
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(WeightsError, match=r"text\.onnx is no ONNX model"):
        await SmartTurn(model=tmp_path / "text.onnx").load(inline=True)


async def test_without_onnxruntime_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"onnxruntime.*callengine\[local\]"):
        await SmartTurn().load(inline=True)


# --- failing and leaving ----------------------------------------------------------------------------------------------


class Stuck:
    """An inference that waits to be let go, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.begun = threading.Event()
        self.go = threading.Event()

    def run(self, outputs, feed):
        del outputs, feed
        self.begun.set()
        if self.error is not None:
            raise self.error
        self.go.wait(10)
        return [np.array([[0.5]], np.float32)]


async def test_a_model_that_fails_is_a_provider_error():
    broken = LoadedSmartTurn(SmartTurnModel(Stuck(RuntimeError("out of memory"))), Workers(inline=True))
    async with broken.open(CONTEXT) as session:
        with pytest.raises(ProviderError, match="smart-turn: the model failed: out of memory") as caught:
            await session.finished(turn("am_michael_06_hours"))
    assert not caught.value.retryable


async def test_a_cancelled_question_is_left_at_once_and_gives_its_place_back_when_it_is_done():
    stuck, workers = Stuck(), Workers(1)
    slow = LoadedSmartTurn(SmartTurnModel(stuck), workers)
    async with trio.open_nursery() as nursery, slow.open(CONTEXT) as session:
        nursery.start_soon(session.finished, turn("am_michael_06_hours"))
        await trio.to_thread.run_sync(stuck.begun.wait, 10)
        nursery.cancel_scope.cancel()
    assert (workers.busy, workers.abandoned) == (1, 1)
    stuck.go.set()
    async with slow.open(CONTEXT) as session:
        assert await session.finished(turn("am_michael_06_hours")) == 0.5
    assert workers.busy == 0


def test_a_loaded_model_can_go_to_other_workers(smart_turn):
    workers = Workers(1)
    moved = smart_turn.using(workers)
    assert (moved.model, moved.workers) == (smart_turn.model, workers)
