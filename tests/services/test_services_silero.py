"""Silero VAD in NumPy against the published file in ONNX Runtime, on people's voices."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # has no stubs
import pytest
from numpy.typing import NDArray

from callengine.audio import MULAW, Resampler, read_wav
from callengine.errors import AudioError, WeightsError
from callengine.services.silero import WEIGHTS, Silero

DATA = Path(__file__).parents[1] / "data"
Floats = NDArray[np.float32]


@cache
def speech() -> Floats:
    """Over two minutes at 8 kHz: ten recordings as they are, through a telephone line, faint, and far too loud."""
    pieces = []
    for path in sorted((DATA / "speech").glob("*.wav")):
        pcm, rate = read_wav(path)
        resampler = Resampler(rate, 8000)
        pieces += [resampler.push(pcm), resampler.flush()]
    clean = np.concatenate(pieces)
    noise = np.random.default_rng(1).normal(0, 30, len(clean))
    line = MULAW.decode(MULAW.encode((clean + noise).clip(-32768, 32767).astype(np.int16)))
    audio = np.concatenate((clean, line, clean / 20, (clean.astype(float) * 20).clip(-32768, 32767)))
    return (audio[: len(audio) // 256 * 256] / 32768).astype(np.float32)


@cache
def reference() -> NDArray[np.float32]:
    """What ONNX Runtime says of each window of `speech`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(DATA / "silero" / "silero_vad.onnx"), options)
    state = np.zeros((2, 1, 128), np.float32)
    context = np.zeros((1, 32), np.float32)
    probabilities = []
    for window in speech().reshape(-1, 1, 256):
        feeds = {"input": np.concatenate((context, window), axis=1), "state": state, "sr": np.array(8000)}
        probability, state = session.run(None, feeds)
        context = window[:, -32:]
        probabilities.append(probability[0, 0])
    return np.array(probabilities)


def probabilities_of(streams: Floats) -> Floats:
    """Step equally long streams, one a row, from silence to their end."""
    model = Silero()
    state = np.zeros((len(streams), model.state_size), np.float32)
    context = np.zeros((len(streams), model.context), np.float32)
    found = []
    for start in range(0, streams.shape[1], model.window):
        audio = streams[:, start : start + model.window]
        probabilities, state = model.step(audio, context, state)
        context = audio[:, -model.context :]
        found.append(probabilities)
    return np.array(found).T


def test_one_call_over_minutes_of_speech_equals_onnx_runtime() -> None:
    assert len(speech()) > 120 * 8000
    assert 0.2 < (reference() > 0.5).mean() < 0.95
    assert np.abs(probabilities_of(speech()[None])[0] - reference()).max() < 1e-5


def test_calls_in_a_batch_equal_onnx_runtime_each() -> None:
    # Seven rows hear the same words, each from another point on; a row's beginning is compared with a call of its own.
    length = 256 * 300
    streams = np.stack([speech()[row * 256 * 450 :][:length] for row in range(7)])
    batch = probabilities_of(streams)
    assert np.abs(batch[0] - reference()[:300]).max() < 1e-5
    for row in range(7):
        assert np.abs(batch[row] - probabilities_of(streams[row : row + 1])[0]).max() < 1e-5


def test_rows_may_come_in_any_company() -> None:
    # Three calls at different points of their audio, stepped in groups that change from step to step.
    model = Silero()
    rng = np.random.default_rng(5)
    offsets = [0, 1000, 2000]
    alone = [probabilities_of(speech()[None, o * 256 : (o + 200) * 256])[0] for o in offsets]
    state = np.zeros((3, model.state_size), np.float32)
    context = np.zeros((3, model.context), np.float32)
    done = [0, 0, 0]
    while min(done) < 200:
        rows = [row for row in rng.permutation(3).tolist() if done[row] < 200 and rng.random() < 0.7]
        if not rows:
            continue
        starts = [(offsets[row] + done[row]) * 256 for row in rows]
        audio = np.stack([speech()[start : start + 256] for start in starts])
        probabilities, state[rows] = model.step(audio, context[rows], state[rows])
        context[rows] = audio[:, -32:]
        for row, probability in zip(rows, probabilities, strict=True):
            assert probability == pytest.approx(alone[row][done[row]], abs=1e-5)
            done[row] += 1


def test_silence_is_no_speech_and_no_level_overflows() -> None:
    loud = np.sign(np.random.default_rng(2).standard_normal(256 * 40)).astype(np.float32)
    with np.errstate(all="raise", under="ignore"):
        assert probabilities_of(np.zeros((1, 256 * 40), np.float32)).max() < 0.1
        assert np.isfinite(probabilities_of(np.stack((loud, np.ones_like(loud))))).all()


def test_a_window_without_its_context_is_refused() -> None:
    model = Silero()
    state = np.zeros((1, 256), np.float32)
    with pytest.raises(AudioError, match="context"):
        model.step(np.zeros((1, 256), np.float32), np.zeros((1, 0), np.float32), state)
    with pytest.raises(AudioError, match="256"):
        model.step(np.zeros((1, 160), np.float32), np.zeros((1, 32), np.float32), state)


def test_weights_that_are_not_the_recorded_ones_are_refused(tmp_path: Path) -> None:
    changed = bytearray(WEIGHTS.read_bytes())
    changed[5000] ^= 1
    (tmp_path / "changed.npz").write_bytes(changed)
    for path in (tmp_path / "changed.npz", tmp_path / "absent.npz"):
        with pytest.raises(WeightsError, match="build_silero"):
            Silero(path)
