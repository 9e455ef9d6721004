"""Silero VAD at 8 kHz in NumPy: one 32 ms step for many calls at once.

The model is Silero VAD of the silero-vad package, version 6.2.3 (MIT, see ``NOTICE.silero``); its weights are in
``silero_8k.npz``, which ``build_silero.py`` makes from the published file. It gives the same probabilities as ONNX
Runtime with that file, to 1e-5 (tests/services/test_services_silero.py), and costs less: there is no call overhead for
each row of a batch.

The graph, for one call: 32 samples of context, 256 new ones and 32 reflected ones are cut into 4 frames; their spectra
go through four convolutions over time that shrink 4 frames to 1, an LSTM cell of 128, and one output unit. Here each
layer is one matrix product over all calls.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from callengine.errors import AudioError, WeightsError

WEIGHTS = Path(__file__).with_name("silero_8k.npz")
WEIGHTS_SHA256 = "35975a5ac1d39765072a4c3890802c34eb1c537b90411898b5518760dbb5b1c6"
"""As printed by ``python -m callengine.services.build_silero``."""

Floats = NDArray[np.float32]

_FRAMES = 4
_FRAME = 128
"""Samples of a spectrum's frame; frames start 64 apart."""
_HIDDEN = 128
_PAD = 32
"""Samples reflected at the window's end."""
_LARGEST_GATE = np.float32(80)
"""exp() of it still fits float32; a sigmoid is 0 to the last bit long before."""


class Silero:
    """A `callengine.ports.Vad`. Stateless: one instance serves every call.

    Raises `WeightsError` where the weights are absent or are not those whose checksum is recorded.
    """

    sample_rate = 8000
    window = 256
    context = 32
    """Without these samples of the window before, the model finds hardly any speech."""
    state_size = 2 * _HIDDEN
    """Hidden and cell state of the LSTM, side by side. A call starts with zeros."""

    def __init__(self, weights: Path = WEIGHTS) -> None:
        stored = _load(weights)
        self._spectrum = np.ascontiguousarray(stored["stft.forward_basis_buffer"][:, 0, :].T)
        self._bins = self._spectrum.shape[1] // 2
        kernels = [stored[f"encoder.{layer}.reparam_conv.weight"] for layer in range(4)]
        # A layer that sees less than its kernel's three taps keeps only those it sees: layer 2 the last two, as its
        # only output has padding before it; layer 3 the middle one, with padding on both sides.
        self._kernels = [_as_matrix(k) for k in (kernels[0], kernels[1], kernels[2][:, :, 1:], kernels[3][:, :, 1:2])]
        self._biases = [stored[f"encoder.{layer}.reparam_conv.bias"] for layer in range(4)]
        lstm = np.concatenate((stored["decoder.rnn.weight_ih"], stored["decoder.rnn.weight_hh"]), axis=1).T
        # Input, forget and output gates are negated once here: their sigmoid is then 1 / (1 + exp(z)).
        signs = np.repeat(np.array([-1, -1, 1, -1], np.float32), _HIDDEN)
        self._lstm = np.ascontiguousarray(lstm * signs)
        self._lstm_bias = (stored["decoder.rnn.bias_ih"] + stored["decoder.rnn.bias_hh"]) * signs
        self._output = -stored["decoder.decoder.2.weight"].reshape(_HIDDEN)
        self._output_bias = -stored["decoder.decoder.2.bias"]

    def step(self, audio: Floats, context: Floats, state: Floats) -> tuple[Floats, Floats]:
        """One window of B calls: audio (B, 256) in -1..1, context (B, 32), state (B, 256), all float32.

        Returns the probabilities of speech (B,) and the new state (B, 256). Raises `AudioError` for other shapes:
        the graph itself would take them, and answer nonsense.
        """
        calls = len(audio)
        if (
            audio.shape != (calls, self.window)
            or context.shape != (calls, self.context)
            or state.shape != (calls, self.state_size)
        ):
            raise AudioError(
                f"Silero takes audio (B, {self.window}), context (B, {self.context}) and state (B, {self.state_size}); "
                f"got {audio.shape}, {context.shape} and {state.shape}"
            )
        return self._decode(self._encode(self._spectra(audio, context)), state)

    def _spectra(self, audio: Floats, context: Floats) -> Floats:
        """Magnitudes of 4 frames a call, with a frame of zeros on either side: (B, 6, bins)."""
        calls, end = len(audio), self.context + self.window
        samples = np.empty((calls, end + _PAD), np.float32)
        samples[:, : self.context] = context
        samples[:, self.context : end] = audio
        samples[:, end:] = samples[:, end - 2 : end - 2 - _PAD : -1]
        parts = _windows(samples, _FRAMES, _FRAME // 2, _FRAME) @ self._spectrum
        parts *= parts
        magnitudes = np.zeros((calls, _FRAMES + 2, self._bins), np.float32)
        power = parts[:, : self._bins] + parts[:, self._bins :]
        np.sqrt(power.reshape(calls, _FRAMES, self._bins), out=magnitudes[:, 1:-1])
        return magnitudes

    def _encode(self, magnitudes: Floats) -> Floats:
        """Four convolutions of three taps, the middle two with a step of 2: (B, 128)."""
        calls = len(magnitudes)
        first = self._layer(0, _windows(magnitudes, _FRAMES, self._bins, 3 * self._bins))
        padded = np.zeros((calls, _FRAMES + 1, _HIDDEN), np.float32)  # the padding at the end is never reached
        padded[:, 1:] = first.reshape(calls, _FRAMES, _HIDDEN)
        second = self._layer(1, _windows(padded, 2, 2 * _HIDDEN, 3 * _HIDDEN))
        return self._layer(3, self._layer(2, second.reshape(calls, -1)))

    def _layer(self, index: int, values: Floats) -> Floats:
        result: Floats = values @ self._kernels[index]
        result += self._biases[index]
        return np.maximum(result, 0, out=result)

    def _decode(self, encoded: Floats, state: Floats) -> tuple[Floats, Floats]:
        """The LSTM cell and the output unit."""
        gates = np.concatenate((encoded, state[:, :_HIDDEN]), axis=1) @ self._lstm
        gates += self._lstm_bias
        candidate = np.tanh(gates[:, 2 * _HIDDEN : 3 * _HIDDEN])
        np.exp(np.minimum(gates, _LARGEST_GATE, out=gates), out=gates)
        gates += 1
        new = np.empty_like(state)
        hidden, cell = new[:, :_HIDDEN], new[:, _HIDDEN:]
        np.divide(state[:, _HIDDEN:], gates[:, _HIDDEN : 2 * _HIDDEN], out=cell)
        candidate /= gates[:, :_HIDDEN]
        cell += candidate
        np.divide(np.tanh(cell), gates[:, 3 * _HIDDEN :], out=hidden)
        score = np.maximum(hidden, 0) @ self._output
        score += self._output_bias
        probabilities: Floats = np.reciprocal(1 + np.exp(np.minimum(score, _LARGEST_GATE)))
        return probabilities, new


def _windows(values: Floats, count: int, step: int, length: int) -> Floats:
    """``count`` windows of ``length`` floats of each call, ``step`` apart, as the rows of one matrix."""
    row, item = values.strides[0], values.itemsize
    return as_strided(values, (len(values), count, length), (row, step * item, item)).reshape(-1, length)


def _as_matrix(kernel: Floats) -> Floats:
    """A convolution's kernel (out, in, taps) as a matrix (taps * in, out)."""
    return np.ascontiguousarray(kernel.transpose(2, 1, 0).reshape(-1, len(kernel)))


def _load(path: Path) -> dict[str, Floats]:
    remedy = "reinstall callengine, or rebuild the file with `python -m callengine.services.build_silero`"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"the weights of Silero VAD cannot be read ({error}): {remedy}") from error
    if hashlib.sha256(data).hexdigest() != WEIGHTS_SHA256:
        raise WeightsError(f"{path} does not hold the weights of Silero VAD that were recorded: {remedy}")
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
