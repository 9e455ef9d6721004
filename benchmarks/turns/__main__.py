"""``python -m benchmarks.turns``: see docs/turn_taking.md."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import attrs

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported

import numpy as np

from benchmarks.machine import cores, describe, pin
from benchmarks.report import publish
from benchmarks.turns.details import write_details
from benchmarks.turns.figures import Figures, tables
from benchmarks.turns.models import Models, read_memory, time_recogniser, write_memory
from benchmarks.turns.picture import write_picture
from benchmarks.turns.play import Played, play
from benchmarks.turns.scoring import Score, score
from benchmarks.turns.script import CallScript, calls
from benchmarks.turns.variants import DEFAULT, VARIANTS, Variant, variant
from benchmarks.turns.voices import callers
from callengine.audio import Resampler
from callengine.errors import ConfigurationError

QUICK = 2
"""Calls of the quick run: a tenth of all."""


def main(arguments: Sequence[str]) -> None:
    """Play every call with every variant, and print what came of it."""
    options = _parser().parse_args(arguments)
    if options.time_recogniser:
        _time_recogniser()
        return
    machine = describe("benchmarks.turns", arguments)
    pin(cores()[options.core])
    scripts = calls(options.seed)[: QUICK if options.quick else None]
    known = read_memory(options.memory)
    models = Models(known)
    scores: dict[str, Score] = {}
    for each in options.variants:
        scores[each.name] = score(_play_all(scripts, each, models))
        write_memory(options.memory, known)
    figures = [Figures.of(name, each) for name, each in scores.items()]
    plain = [attrs.asdict(each) for each in figures]
    publish(machine, tables(figures), plain, markdown=options.markdown, json_file=options.json)
    if options.details is not None:
        write_details(options.details, scores)
    if options.picture is not None:
        write_picture(options.picture, figures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns", description=__doc__)
    about = "; ".join(f"{each.name}: {each.about}" for each in VARIANTS.values())
    parser.add_argument(
        "--variants",
        type=_variants,
        default=[VARIANTS[DEFAULT]],
        help="names with commas between them, or 'all'; with other settings behind a +, as in "
        f"hasty:default+vad.min_silence=0.2+turns.endpointing.min_delay=0.2. {about}",
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the calls")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes other calls")
    parser.add_argument("--core", type=int, choices=(0, 1), default=1, help="the core to run on: the first or the last")
    parser.add_argument("--memory", type=Path, help="keep what was decoded in this file: the next run is twice as fast")
    parser.add_argument("--details", type=Path, help="write every event to this TSV file")
    parser.add_argument("--picture", type=Path, help="draw the comparison into this SVG file")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--markdown", action="store_true", help="print tables for docs/turn_taking.md")
    parser.add_argument("--time-recogniser", action="store_true", help="measure what a decode costs on this machine")
    return parser


def _variants(names: str) -> list[Variant]:
    try:
        return list(VARIANTS.values()) if names == "all" else [variant(name.strip()) for name in names.split(",")]
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _play_all(scripts: Sequence[CallScript], chosen: Variant, models: Models) -> list[Played]:
    say = partial(print, file=sys.stderr, flush=True)
    before = perf_counter()
    played = []
    for number, script in enumerate(scripts, 1):
        if sys.stderr.isatty():
            say(f"\r{chosen.name}: call {number} of {len(scripts)} ...", end="")
        played.append(play(script, chosen, models))
    seconds = sum(each.seconds for each in played)
    spent = perf_counter() - before
    start = "\r" if sys.stderr.isatty() else ""
    say(f"{start}{chosen.name}: {len(scripts)} calls, {seconds:.0f} s in {spent:.0f} s")
    return played


def _time_recogniser() -> None:
    clips = []
    for clip in callers():
        if clip.voice == "am_michael" and clip.kind in ("yes", "hours", "book", "long"):
            clips.append(
                Resampler(8000, 16000).push(clip.audio.astype(np.int16)).astype(np.float32) / np.float32(32768)
            )
    pin(cores()[1])
    fixed, slope = time_recogniser(clips)
    print(*describe("benchmarks.turns", ["--time-recogniser"]).lines(), "", sep="\n")
    print(f"a decode takes {fixed * 1000:.0f} ms, and {slope * 1000:.0f} ms for each second of audio")


if __name__ == "__main__":
    main(sys.argv[1:])
