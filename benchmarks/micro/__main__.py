"""``python -m benchmarks.micro``: see docs/performance.md."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported

from benchmarks.machine import cores, describe, pin
from benchmarks.micro.audio import g711, resampler, ring
from benchmarks.micro.clocks import journal, pacing
from benchmarks.micro.codec import codec
from benchmarks.micro.denoise import denoise
from benchmarks.micro.echo import echo
from benchmarks.micro.lab import lab
from benchmarks.micro.sockets import media_socket
from benchmarks.micro.timing import Row
from benchmarks.micro.turn import turn
from benchmarks.micro.vad import vad
from benchmarks.report import Table, publish

BENCHMARKS: dict[str, tuple[str, Callable[[], list[Row]]]] = {
    "codec": ("Twilio's codec", codec),
    "socket": ("Media socket", media_socket),
    "vad": ("Voice activity, per window of a call", vad),
    "resampler": ("Resampler", resampler),
    "g711": ("G.711", g711),
    "echo": ("Echo canceller, per second of a call", echo),
    "denoise": ("Noise suppressor, per second of a call", denoise),
    "ring": ("Audio ring", ring),
    "pacing": ("Pacing", pacing),
    "journal": ("Journal", journal),
    "lab": ("Call lab", lab),
    "turn": ("One call in real time", turn),
}


def main(arguments: Sequence[str]) -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.micro", description=__doc__)
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="run this one (may be repeated)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--markdown", action="store_true", help="print tables for docs/performance.md")
    options = parser.parse_args(arguments)
    machine = describe("benchmarks.micro", arguments)
    pin(cores()[1])
    tables, figures = [], {}
    for name in options.only or BENCHMARKS:
        title, measure = BENCHMARKS[name]
        print(f"{name} ...", file=sys.stderr)
        rows = measure()
        tables.append(Table(title, ("", "figure", "against", "", "ratio"), [_cells(row) for row in rows]))
        figures[name] = [_plain(row) for row in rows]
    publish(machine, tables, figures, markdown=options.markdown, json_file=options.json)


def _cells(row: Row) -> tuple[str, ...]:
    other = "" if math.isnan(row.other) else f"{row.other:.3g} {row.unit}"
    ratio = "" if math.isnan(row.ratio) else f"{row.ratio:.2g}"
    return row.name, f"{row.value:.3g} {row.unit}".strip(), row.against, other, ratio


def _plain(row: Row) -> dict[str, object]:
    """JSON has no NaN."""
    return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in attrs.asdict(row).items()}


if __name__ == "__main__":
    main(sys.argv[1:])
