"""Rebuild ``silero_8k.npz``, the 8 kHz weights of Silero VAD, from the published package.

    pip download --no-deps silero-vad==6.2.3 -d /tmp/silero
    pip install onnx --target /tmp/onnx
    PYTHONPATH=/tmp/onnx python -m callengine.services.build_silero /tmp/silero/silero_vad-6.2.3-py3-none-any.whl

The argument is the wheel or its ``silero_vad/data/silero_vad.onnx`` (the default file: the ``op18_ifless`` one holds
other weights for 8 kHz). Prints the SHA-256 of what was written, which `callengine.services.silero` checks at every
load. The weights are kept as they are in the graph, names included; the same input gives the same file.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

ONNX_SHA256 = "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"
"""Of ``silero_vad/data/silero_vad.onnx`` in the silero-vad 6.2.3 wheel."""

_PREFIX = "If_0_else_branch__Inline_0__"
"""The graph has two branches, one a sample rate; 8 kHz is the one without the condition ``sr == 16000``."""
_NAMES = (
    "stft.forward_basis_buffer",
    *(f"encoder.{layer}.reparam_conv.{kind}" for layer in range(4) for kind in ("weight", "bias")),
    *(f"decoder.rnn.{kind}_{gate}" for kind in ("weight", "bias") for gate in ("ih", "hh")),
    *(f"decoder.decoder.2.{kind}" for kind in ("weight", "bias")),
)


def read_onnx(path: Path) -> bytes:
    """The default model out of a wheel, or the file itself. Exits with a message where it is another version's."""
    data = path.read_bytes()
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            data = wheel.read("silero_vad/data/silero_vad.onnx")
    if hashlib.sha256(data).hexdigest() != ONNX_SHA256:
        raise SystemExit(
            f"{path} does not hold the model of silero-vad 6.2.3: pip download --no-deps silero-vad==6.2.3"
        )
    return data


def extract(data: bytes) -> dict[str, Any]:
    """The 8 kHz weights of the graph, float32 arrays by name. They are constants inside the branches of its If node."""
    import onnx  # type: ignore[import-not-found]  # only this script needs it, and no environment of ours has it
    from onnx import numpy_helper

    found: dict[str, Any] = {}
    graphs = [onnx.load_model_from_string(data).graph]
    while graphs:
        for node in graphs.pop().node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    graphs.append(attribute.g)
                elif attribute.type == onnx.AttributeProto.TENSOR and node.op_type == "Constant":
                    found[node.output[0]] = numpy_helper.to_array(attribute.t)
    return {name: found[_PREFIX + name].astype(np.float32) for name in _NAMES}


def main(source: str) -> None:
    """Rebuild the weights, and print their checksum."""
    target = Path(__file__).with_name("silero_8k.npz")
    np.savez(target, **extract(read_onnx(Path(source))))
    print(hashlib.sha256(target.read_bytes()).hexdigest(), target)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
