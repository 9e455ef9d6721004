"""``python -m benchmarks.denoise``: see "Noise" in docs/turn_taking.md."""

from __future__ import annotations

import argparse
import os
import re
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import attrs

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported

import numpy as np
from numpy.typing import NDArray

from benchmarks.denoise.noises import KINDS, LEARN, chosen, on_the_line
from benchmarks.machine import cores, describe, pin
from benchmarks.report import Table, publish
from benchmarks.turns.voices import Clip
from callengine.audio import MULAW, Pcm
from callengine.providers.denoise.webrtc import Level, WebRtcDenoiser
from callengine.providers.local.dictation import decode
from callengine.providers.local.models import LocalModels, load_local_models_sync
from callengine.providers.local.workers import Workers
from callengine.services.silero import Silero
from callengine.testing.demo.line import RATE
from callengine.turns.voice_activity import VadSettings

LEVELS: tuple[Level | None, ...] = (None, "low", "moderate", "very high")
RATIOS = (20, 10, 5)
"""dB of the voice over the noise."""


@attrs.define
class Heard:
    """What came of all clips in one noise, by one level of suppression."""

    words: int = 0
    wrong: int = 0
    voice: int = 0
    """Windows within the voice, of all clips."""
    found: int = 0
    quiet: int = 0
    """Windows of noise alone."""
    false: int = 0

    def cells(self) -> tuple[str, str, str]:
        """Percent: words that are wrong, voice that the VAD finds, noise that it takes for one."""
        return _percent(self.wrong, self.words), _percent(self.found, self.voice), _percent(self.false, self.quiet)


def _percent(some: int, of: int) -> str:
    return f"{100 * some / max(1, of):.1f}"


def main(arguments: Sequence[str]) -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.denoise", description=__doc__)
    parser.add_argument("--clips", type=int, default=60, help="how many recordings are taken")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--markdown", action="store_true", help="print tables for docs/turn_taking.md")
    options = parser.parse_args(arguments)
    machine = describe("benchmarks.denoise", arguments)
    pin(cores()[1])
    models, vad, clips = load_local_models_sync(Workers(inline=True)), Silero(), chosen(options.clips)
    rows: list[tuple[str, ...]] = []
    figures: dict[str, object] = {}
    for kind, ratio in [(kind, ratio) for kind in KINDS for ratio in RATIOS]:
        print(f"{kind}, {ratio} dB ...", file=sys.stderr)
        for level in LEVELS:
            heard = Heard()
            for index, clip in enumerate(clips):
                line = on_the_line(clip, kind, ratio, np.random.default_rng(index))
                _listen(clip, _cleaned(line, level), models, vad, heard)
            rows.append((f"{kind}, {ratio} dB", level or "off", *heard.cells()))
            figures[f"{kind} {ratio} {level or 'off'}"] = attrs.asdict(heard)
    columns = ("noise", "level", "words wrong, %", "voice found, %", "noise taken for voice, %")
    table = Table("Noise suppression", columns, rows)
    publish(machine, [table], figures, markdown=options.markdown, json_file=options.json)


def _cleaned(line: Pcm, level: Level | None) -> Pcm:
    """What listens in a call hears this, frame by frame."""
    if level is None:
        return line
    session = WebRtcDenoiser(level).open(RATE)
    cleaned = np.concatenate([session.process(frame) for frame in line.reshape(-1, 160)])
    return MULAW.decode(MULAW.encode(cleaned))


def _listen(clip: Clip, line: Pcm, models: LocalModels, vad: Silero, heard: Heard) -> None:
    begins, ends = (round((LEARN + at) * RATE) for at in (clip.begins, clip.ends))
    utterance = line[begins - round(VadSettings().pre_roll * RATE) : ends + round(VadSettings().min_silence * RATE)]
    said, understood = _words(clip.text), _words(decode(models.stt.model, [utterance], RATE, threading.Event()).rest)
    heard.words += len(said)
    heard.wrong += _distance(said, understood)
    speech = _speech(vad, line)
    position = np.arange(len(speech)) * vad.window + vad.window / 2
    voice, before = (position > begins) & (position < ends), (position > 0.5 * RATE) & (position < begins)
    heard.voice += int(voice.sum())
    heard.found += int(speech[voice].sum())
    heard.quiet += int(before.sum())
    heard.false += int(speech[before].sum())


def _speech(vad: Silero, line: Pcm) -> NDArray[np.bool_]:
    """Whether each window is speech by the default threshold."""
    audio = line[: len(line) // vad.window * vad.window].reshape(-1, 1, vad.window) / np.float32(32768)
    context, state = np.zeros((1, vad.context), np.float32), np.zeros((1, vad.state_size), np.float32)
    speech = []
    for window in audio.astype(np.float32):
        probability, state = vad.step(window, context, state)
        context = window[:, -vad.context :]
        speech.append(float(probability[0]) >= VadSettings().start_threshold)
    return np.array(speech)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower().replace("-", " "))


def _distance(said: Sequence[str], understood: Sequence[str]) -> int:
    """Words that have to be changed, put in or left out."""
    row = list(range(len(understood) + 1))
    for count, word in enumerate(said, 1):
        before, row[0] = row[0], count
        for index, other in enumerate(understood, 1):
            before, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, before + (word != other))
    return row[-1]


if __name__ == "__main__":
    main(sys.argv[1:])
