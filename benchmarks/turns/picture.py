"""The picture of a comparison, as SVG: cutting off against waiting, and how soon an interruption silences the agent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path

import attrs

from benchmarks.turns.figures import AIM_CUT_OFF, AIM_DELAY, AIM_SILENCED, AIM_SILENCED_WITHIN, Figures

COLOURS = ("#1f6feb", "#d1495b", "#2a9d8f", "#b07d12", "#7b5ea7", "#3d5a6c", "#e07a3f", "#5c8a3a", "#c2569b", "#787878")
INK, SOFT, GRID, AIM = "#1f2430", "#667085", "#e4e7ec", "#e6f4ea"
WIDTH, HEIGHT = 1080, 500
LABEL_GAP = 15
"""Pixels between two labels, so that they can be read."""


@attrs.frozen
class Panel:
    """A plot with two axes, in pixels and in units."""

    left: float
    top: float
    width: float
    height: float
    x_min: float
    x_max: float
    y_max: float

    def x(self, value: float) -> float:
        inside = min(max(value, self.x_min), self.x_max)
        return self.left + self.width * (inside - self.x_min) / (self.x_max - self.x_min)

    def y(self, value: float) -> float:
        return self.top + self.height * (1 - min(value, self.y_max) / self.y_max)

    def aim(self, x_from: float, x_to: float, y_from: float, y_to: float, words: str) -> Iterator[str]:
        """The corner that a good engine is in."""
        left, top = self.x(x_from), self.y(y_to)
        width, height = self.x(x_to) - left, self.y(y_from) - top
        yield f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{AIM}"/>'
        yield _text(left + 6, top + 14, words, colour="#2f7d4f", size=11)

    def frame(self, title: str, x_name: str, y_name: str, x_step: float, y_step: float) -> Iterator[str]:
        """Title, axes and a quiet grid."""
        yield _text(self.left, self.top - 26, title, size=15, weight=600)
        yield _text(self.left, self.top - 9, y_name, colour=SOFT)
        bottom = self.top + self.height
        for value in _steps(0, self.y_max, y_step):
            yield _line(self.left, self.y(value), self.left + self.width, self.y(value), GRID)
            yield _text(self.left - 8, self.y(value) + 4, f"{value * 100:.0f} %", colour=SOFT, anchor="end")
        for value in _steps(self.x_min, self.x_max, x_step):
            yield _line(self.x(value), bottom, self.x(value), bottom + 5, SOFT)
            yield _text(self.x(value), bottom + 19, f"{value * 1000:.0f}", colour=SOFT, anchor="middle")
        yield _line(self.left, bottom, self.left + self.width, bottom, SOFT)
        yield _text(self.left + self.width, bottom + 37, x_name, colour=SOFT, anchor="end")


def write_picture(file: Path, variants: Sequence[Figures]) -> None:
    """Draw these variants, in the order of the table."""
    body = [*_cut_offs(variants), *_silences(variants)]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif">\n'
        "<title>False cut-offs against the median delay, and interruptions silenced against time</title>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    )
    file.write_text("\n".join([head, *body, "</svg>"]) + "\n", encoding="utf-8")


def _cut_offs(variants: Sequence[Figures]) -> Iterator[str]:
    points = [(each.turns.median, each.turns.cut_off) for each in variants]
    points = [(0.0 if math.isnan(x) else x, 0.0 if math.isnan(y) else y) for x, y in points]
    x_max = max(0.8, math.ceil(max(x for x, _ in points) * 10 + 0.5) / 10)
    y_step = 0.05 if max(y for _, y in points) < 0.28 else 0.1
    y_max = y_step * max(2, math.ceil(max(y for _, y in points) / y_step + 0.2))
    panel = Panel(70, 64, 420, 350, 0.2, x_max, y_max)
    yield from panel.aim(0.2, AIM_DELAY, 0, AIM_CUT_OFF, "the aim")
    yield from panel.frame(
        "Waiting, and cutting callers off", "median delay after the last word, ms", "turns cut off", 0.1, y_step
    )
    labels = []
    for index, (each, (x, y)) in enumerate(zip(variants, points, strict=True)):
        yield _dot(panel.x(x), panel.y(y), COLOURS[index % len(COLOURS)])
        labels.append((panel.x(x), panel.y(y), each.name, COLOURS[index % len(COLOURS)]))
    yield from _labels(labels, lambda x: x + 150 > panel.left + panel.width)


def _silences(variants: Sequence[Figures]) -> Iterator[str]:
    panel = Panel(600, 64, 330, 350, 0.0, 1.0, 1.0)
    yield from panel.aim(0, AIM_SILENCED_WITHIN, AIM_SILENCED, 1, "the aim")
    yield from panel.frame(
        "Falling silent when interrupted", "time from the caller's first sound, ms", "interruptions", 0.2, 0.2
    )
    labels = []
    for index, each in enumerate(variants):
        colour = COLOURS[index % len(COLOURS)]
        count = each.interruptions.count
        if not count:
            continue
        path, last = [f"M{panel.x(0):.1f},{panel.y(0):.1f}"], 0.0
        for number, seconds in enumerate(each.silenced_after, 1):
            if seconds > panel.x_max:
                break
            last = number / count
            path.append(f"H{panel.x(max(0.0, seconds)):.1f}V{panel.y(last):.1f}")
        path.append(f"H{panel.x(panel.x_max):.1f}")
        yield f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'
        labels.append((panel.x(panel.x_max), panel.y(last), each.name, colour))
    yield from _labels(labels, lambda _: False)


def _labels(labels: list[tuple[float, float, str, str]], leftwards: Callable[[float], bool]) -> Iterator[str]:
    """Names beside their points, moved down where they would stand on each other."""
    placed: list[tuple[float, float]] = []
    for x, y, name, colour in sorted(labels, key=lambda label: label[1]):
        at = y
        while any(abs(at - other) < LABEL_GAP and abs(x - beside) < 150 for beside, other in placed):
            at += 1
        placed.append((x, at))
        left = leftwards(x)
        yield _text(x - 9 if left else x + 9, at + 4, name, colour=colour, size=12, anchor="end" if left else "start")


def _steps(least: float, most: float, step: float) -> list[float]:
    return [least + step * index for index in range(round((most - least) / step) + 1)]


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}" stroke="#ffffff" stroke-width="1.5"/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(
    x: float, y: float, words: str, *, colour: str = INK, size: int = 12, weight: int = 400, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )
