"""The echo canceller, while somebody speaks and on digital silence."""

from __future__ import annotations

import numpy as np

from benchmarks.calls_per_core.voices import CALLERS, DATA
from benchmarks.micro.timing import Row, each
from callengine.audio.format import Pcm
from callengine.audio.wav import read_wav
from callengine.providers.echo.webrtc import WebRtcEchoCanceller

FRAME = 160
SECOND = 50


def echo() -> list[Row]:
    """Milliseconds of CPU for a second of a call, against WebRTC's own processor given exact zeros."""
    speech, _ = read_wav(DATA / CALLERS[0])
    frames = [speech[start : start + FRAME] for start in range(0, len(speech) - FRAME, FRAME)][: 2 * SECOND]
    zeros: list[Pcm] = [np.zeros(FRAME, np.int16)] * len(frames)
    ours = WebRtcEchoCanceller().open(8000)
    bare = WebRtcEchoCanceller().open(8000).canceller  # type: ignore[attr-defined]

    def second(process: object, far: list[Pcm]) -> float:
        def run() -> None:
            for near, reference in zip(zeros, far, strict=True):
                process(near, reference)  # type: ignore[operator]

        return each(run, of=len(frames)) * SECOND / 1000

    speaking = second(ours.process, frames)
    second(bare.process, frames)
    silent, exact = second(ours.process, zeros), second(bare.process, zeros)
    return [
        Row("while the agent speaks", speaking, "ms", "digital silence", silent),
        Row("digital silence after speech", silent, "ms", "without dither", exact),
    ]
