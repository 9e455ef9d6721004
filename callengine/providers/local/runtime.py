"""How this package runs ONNX models: one thread a session, because the pool above runs several sessions at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from callengine.providers.local.weights import require


def open_model(file: Path) -> Any:
    """An ``onnxruntime.InferenceSession`` for ``file`` (.onnx or .ort). Its ``run`` is thread-safe and frees the GIL.

    Raises `MissingExtra` where onnxruntime is not installed.
    """
    require("onnxruntime")
    import onnxruntime  # type: ignore[import-untyped]  # ships no types

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only: the graph optimiser's notes help nobody here
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
