"""Silero for many calls at once: the model, the bank around it, and ONNX Runtime with the same model."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec

import numpy as np
import trio
from numpy.typing import NDArray

from benchmarks.calls_per_core.voices import DATA, agent_voice
from benchmarks.micro.timing import Row, each
from callengine.services.silero import Silero
from callengine.services.vad_bank import VadBank, VadRow

BATCHES = (1, 8, 16, 32, 48)
ONNX = DATA / "silero" / "silero_vad.onnx"


class _Now:
    """A ticker that does what it is asked when it is told."""

    def __init__(self) -> None:
        self._asked: list[Callable[[float], None]] = []

    def call_at(self, when: float, run: Callable[[float], None]) -> None:
        del when
        self._asked.append(run)

    def tick(self) -> None:
        asked, self._asked = self._asked, []
        for run in asked:
            run(0.0)


def vad() -> list[Row]:
    """Microseconds a window of one call (32 ms)."""
    return trio.run(_vad)


async def _vad() -> list[Row]:
    await trio.lowlevel.checkpoint()
    model, rows = Silero(), []
    alone = _onnx(1)
    for batch in BATCHES:
        numpy_model = each(partial(_step, model, batch), of=batch)
        rows.append(Row(f"Silero in NumPy, batch of {batch}", numpy_model, "us", "ONNX Runtime, one by one", alone))
        together = alone if batch == 1 else _onnx(batch)
        rows.append(Row(f"Silero in NumPy, batch of {batch}", numpy_model, "us", "ONNX Runtime, same batch", together))
        rows.append(Row(f"VAD bank, {batch} calls", _bank(model, batch), "us", "the model alone", numpy_model))
    return rows


def _step(model: Silero, batch: int) -> None:
    audio, context, state = _inputs(batch)
    model.step(audio, context, state)


_INPUTS: dict[int, tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]] = {}


def _inputs(batch: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    if batch not in _INPUTS:
        random = np.random.default_rng(0)
        audio = (random.standard_normal((batch, 256)) * 0.1).astype(np.float32)
        _INPUTS[batch] = audio, np.zeros((batch, 32), np.float32), np.zeros((batch, 256), np.float32)
    return _INPUTS[batch]


def _bank(model: Silero, calls: int) -> float:
    ticker, window = _Now(), agent_voice()[8000:8256]
    bank = VadBank(model, ticker, max_rows=calls)
    with ExitStack() as stack:
        rows: list[VadRow] = [
            stack.enter_context(bank.join(on_probability=_forget, on_fault=_raise)) for _ in range(calls)
        ]

        def work() -> None:
            for row in rows:
                row.push(window, "mulaw")
            ticker.tick()

        return each(work, of=calls)


def _forget(probability: float, position: int) -> None:
    del probability, position


def _raise(error: BaseException) -> None:
    raise error


def _onnx(batch: int) -> float:
    if find_spec("onnxruntime") is None:
        return math.nan
    import onnxruntime  # type: ignore[import-untyped]  # it has no types

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(ONNX), options, providers=["CPUExecutionProvider"])
    audio, context, _ = _inputs(batch)
    feed = {
        "input": np.concatenate((context, audio), axis=1),
        "state": np.zeros((2, batch, 128), np.float32),
        "sr": np.array(8000, np.int64),
    }
    return each(lambda: session.run(None, feed), of=batch)
