"""The loaded smart-turn model: a turn's audio in, one probability out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from callengine.audio.format import Pcm
from callengine.audio.resample import Resampler
from callengine.errors import CallEngineError, ConfigurationError, WeightsError
from callengine.providers.local.runtime import open_model
from callengine.providers.turn_detection.features import BANDS, FRAMES, SAMPLE_RATE, SECONDS, log_mel

PACKAGED = Path(__file__).parent / "smart_turn_v3_2.onnx"
SHA256 = "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
"""Of the packaged file (see NOTICE)."""

_INPUT, _OUTPUT = "input_features", "logits"
"""What smart-turn v3 calls its ends. The output is a probability already, whatever its name says."""


@attrs.frozen(eq=False)
class SmartTurnModel:
    """The loaded model. Shared by all calls; `probability` may run in several threads at once."""

    session: Any = attrs.field(repr=False)

    @classmethod
    def load(cls, file: Path | None = None) -> SmartTurnModel:
        """Open the packaged model (8.7 MB), or another smart-turn v3 as ONNX.

        Raises `MissingExtra` where onnxruntime is not installed, `WeightsError` where the file is absent, broken, or
        not the one that was packaged, `ConfigurationError` for a model with other inputs and outputs.
        """
        path = _checked(file)
        try:
            session = open_model(path)
        except CallEngineError:
            raise
        except Exception as error:  # onnxruntime's own errors have no common base
            raise WeightsError(f"{path} is no ONNX model that onnxruntime can open: {error}") from error
        inputs = [(each.name, tuple(each.shape[1:])) for each in session.get_inputs()]
        outputs = [(each.name, tuple(each.shape[1:])) for each in session.get_outputs()]
        if inputs != [(_INPUT, (BANDS, FRAMES))] or outputs != [(_OUTPUT, (1,))]:
            raise ConfigurationError(
                f"{file} is not a smart-turn v3 model as this engine knows it: it takes {inputs} and gives {outputs}, "
                f"not {_INPUT!r} of {BANDS} x {FRAMES} and {_OUTPUT!r} of 1; leave model= out to use the packaged one"
            )
        return cls(session)

    def probability(self, audio: Pcm, sample_rate: int) -> float:
        """How sure the model is, 0..1, that the turn in ``audio`` is finished. Takes the last 8 s of it."""
        audio = audio[-SECONDS * sample_rate :]
        resampler = Resampler(sample_rate, SAMPLE_RATE)
        wide = np.concatenate((resampler.push(audio), resampler.flush()))
        features = log_mel(wide.astype(np.float32) / np.float32(32768))
        return float(self.session.run([_OUTPUT], {_INPUT: features[None]})[0].item())


def _checked(file: Path | None) -> Path:
    """The file to open; the packaged one only if it is the one that was tested."""
    path = PACKAGED if file is None else file
    try:
        content = path.read_bytes()
    except OSError as error:
        remedy = "pip install --force-reinstall callengine" if file is None else "give model= the path of an ONNX file"
        raise WeightsError(f"{path} cannot be read ({error.strerror}): {remedy}") from error
    if file is None and hashlib.sha256(content).hexdigest() != SHA256:
        raise WeightsError(f"{path} is not the file that was tested: pip install --force-reinstall callengine")
    return path
