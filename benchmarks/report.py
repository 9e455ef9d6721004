"""Tables, for a terminal and for Markdown, and the figures in them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.machine import Machine


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that ``percent`` of the values do not exceed (nearest rank); NaN of none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


@attrs.frozen
class Table:
    """Rows of text under a heading."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def plain(self) -> str:
        """Columns aligned with spaces."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[index]) for line in lines) for index in range(len(self.columns))]
        aligned = [self._aligned(line, widths) for line in lines]
        return "\n".join([self.title, *(f"  {line.rstrip()}" for line in aligned)])

    @staticmethod
    def _aligned(line: tuple[str, ...], widths: list[int]) -> str:
        first, *others = zip(line, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])

    def markdown(self) -> str:
        """A Markdown table under a heading."""
        rule = "|".join(["---", *("--:" for _ in self.columns[1:])])
        lines = ["| " + " | ".join(self.columns) + " |", f"|{rule}|"]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join([f"### {self.title}", "", *lines])


def publish(machine: Machine, tables: Sequence[Table], figures: Any, *, markdown: bool, json_file: Path | None) -> None:
    """Print the tables with where they were made; write the figures behind them where a file is named."""
    if markdown:
        print("```text", *machine.lines(), "```", "", sep="\n")
        print("\n\n".join(table.markdown() for table in tables))
    else:
        print(*machine.lines(), "", sep="\n")
        print("\n\n".join(table.plain() for table in tables))
    if json_file is not None:
        json_file.write_text(json.dumps({"machine": attrs.asdict(machine), "figures": figures}, indent=1) + "\n")


def ms(seconds: float) -> str:
    """A time in milliseconds, to three figures."""
    return "-" if math.isnan(seconds) else f"{seconds * 1000:.3g}"
