"""``python -m benchmarks.wire``: see docs/performance.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks.machine import describe
from benchmarks.report import Table, publish
from benchmarks.wire.fuzz import Fuzzed, fuzz
from benchmarks.wire.speed import Speed, speed
from callengine.testing.side import kinds

FRAMES = 100_000
QUICK = 300
MAX_RATIO = 0.9
"""A codec that is not cheaper than json and base64 is not worth its lines."""
MAX_GROWTH = 64 * 1024
"""Bytes: what a codec may hold after all those messages that it did not at first."""
MAX_SLOWEST = 0.02
"""Seconds of CPU for one message, however it is damaged: the calls beside it wait so long."""


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and judge; the exit status."""
    options = _parser().parse_args(arguments)
    chosen = options.only or kinds()
    frames = options.frames or (QUICK if options.quick else FRAMES)
    fuzzed = [fuzz(kind, frames, options.seed) for kind in chosen]
    speeds = [] if options.quick else [speed(kind) for kind in chosen]
    tables = [_fuzz_table(fuzzed), *([_speed_table(speeds)] if speeds else [])]
    figures = {name: [attrs.asdict(each) for each in rows] for name, rows in (("fuzz", fuzzed), ("speed", speeds))}
    machine = describe("benchmarks.wire", arguments)
    publish(machine, tables, figures, markdown=options.markdown, json_file=options.json)
    broken = broken_bounds(fuzzed, speeds, timed=not options.quick)
    for line in broken:
        print(f"BROKEN: {line}", file=sys.stderr)
    return 1 if broken else 0


def broken_bounds(fuzzed: Sequence[Fuzzed], speeds: Sequence[Speed], *, timed: bool) -> list[str]:
    """What is not as it must be, a line each. Without ``timed`` no time is judged."""
    lines = []
    for row in fuzzed:
        if row.raised:
            lines.append(f"{row.carrier}: {row.raised} of {row.frames} damaged messages, such as {row.example}")
        if row.growth > MAX_GROWTH:
            lines.append(f"{row.carrier}: damaged messages left {row.growth} bytes behind, at most {MAX_GROWTH} may be")
        if timed and row.slowest > MAX_SLOWEST:
            lines.append(f"{row.carrier}: a damaged message took {row.slowest * 1000:.1f} ms")
    for cost in speeds if timed else ():
        for what, ratio in (("decoding", cost.decode_ratio), ("encoding", cost.encode_ratio)):
            if ratio > MAX_RATIO:
                lines.append(f"{cost.carrier}: {what} takes {ratio:.2f} times what json and base64 take")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wire", description=__doc__)
    parser.add_argument("--only", action="append", choices=kinds(), help="this carrier's codec (again for others)")
    parser.add_argument("--frames", type=int, help=f"damaged messages for each codec (default: {FRAMES:,})")
    parser.add_argument("--seed", type=int, default=0, help="another seed damages in other ways")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} damaged messages each, and no time is judged")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--markdown", action="store_true", help="print tables for docs/performance.md")
    return parser


def _speed_table(speeds: Sequence[Speed]) -> Table:
    columns = ("", "decode, us", "json + base64, us", "ratio", "encode, us", "json + base64, us", "ratio")
    rows: list[tuple[str, ...]] = [
        (
            row.carrier,
            *(f"{row.decode:.3g}", f"{row.plain_decode:.3g}", f"{row.decode_ratio:.2f}"),
            *(f"{row.encode:.3g}", f"{row.plain_encode:.3g}", f"{row.encode_ratio:.2f}"),
        )
        for row in speeds
    ]
    return Table("A media message: 20 ms in, 100 ms out", columns, rows)


def _fuzz_table(fuzzed: Sequence[Fuzzed]) -> Table:
    columns = ("", "messages", "raised", "still understood", "growth, bytes", "CPU, s", "us each", "slowest, ms")
    rows: list[tuple[str, ...]] = [
        (
            row.carrier,
            *(f"{row.frames:,}", str(sum(row.raised.values())), f"{row.understood / row.frames:.0%}"),
            *(f"{row.growth:,}", f"{row.seconds:.2f}", f"{row.seconds / row.frames * 1e6:.1f}"),
            f"{row.slowest * 1000:.2f}",
        )
        for row in fuzzed
    ]
    return Table("Damaged messages", columns, rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
