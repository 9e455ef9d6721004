"""Every event of a run as a row of a TSV file, to look up what became of it and why."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.turns.scoring import Score

COLUMNS = ("variant", "call", "exchange", "at", "line", "voice", "event", "kind", "what", "outcome", "seconds", "why")


def write_details(file: Path, scores: Mapping[str, Score]) -> None:
    """One row for each turn, intrusion, and reply that was disturbed by nobody."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, score in scores.items():
            writer.writerows((name, *cells) for cells in _rows(score))


def _rows(score: Score) -> Iterator[tuple[str, ...]]:
    for turn in score.turns:
        outcome = "cut off" if turn.cut_off else "missed" if turn.missed else "fine"
        if turn.mended:
            outcome += ", mended"
        if turn.talked_over:
            outcome += ", talked over"
        pauses = [f" [{pause:.2f}] " for pause in turn.pauses]
        what = "".join(clip + pause for clip, pause in zip(turn.clips, [*pauses, ""], strict=True))
        why = f"{turn.text!r}: {turn.reason}" if turn.reason else ""
        yield (
            *(str(turn.call), str(turn.exchange), f"{turn.at:.2f}", turn.line, turn.voice),
            *(turn.group, turn.kind, what, outcome, _seconds(turn.delay), why),
        )
    for each in score.intrusions:
        outcome = "cancelled" if each.cancelled else "disturbed" if each.disturbed else "let pass"
        if not math.isnan(each.resumed):
            outcome += f", went on after {each.resumed:.2f}"
        if each.answered:
            outcome += ", answered"
        what = f"{each.sound} ({each.length:.2f} s, {each.into:.2f} s into the reply)"
        yield (
            *(str(each.call), str(each.exchange), f"{each.at:.2f}", each.line, each.voice),
            *(each.kind, each.kind, what, outcome, _seconds(each.silenced), each.reason),
        )
    for reply in score.replies:
        if not math.isnan(reply.disturbed_at):
            at = f"{reply.disturbed_at:.2f}"
            yield (str(reply.call), "", at, reply.line, "", "reply", "alone", "", "disturbed", "", reply.reason)


def _seconds(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"
