"""A call as one page: what was heard, what was decided, and how long everything took."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from callengine.journal import Record
from callengine.records.timeline_data import timeline_data

THRESHOLDS = (0.5, 0.35)
"""Where speech starts and stops on the VAD curve, unless told: the defaults of `VadSettings` (Silero's)."""

_PLACE = "__CALL__"


def write_timeline(
    records: Iterable[Record], path: str | Path, *, thresholds: tuple[float, float] = THRESHOLDS
) -> None:
    """Write a call's timeline as one HTML file that opens from disk and loads nothing but, where it lies beside it,
    ``recording.wav``.

    ``thresholds`` are the start and stop thresholds drawn into the VAD curve. A journal without audio gives a timeline
    without waveforms.
    """
    Path(path).write_bytes(timeline_html(records, thresholds=thresholds).encode("utf-8", "replace"))


def timeline_html(records: Iterable[Record], *, thresholds: tuple[float, float] = THRESHOLDS) -> str:
    """The page itself. The call's words are data in it, never markup."""
    data = json.dumps(timeline_data(records, thresholds=thresholds), ensure_ascii=False, separators=(",", ":"))
    # Inside <script>, only "<" can end the element or open a comment; the others are for careless parsers.
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    template = files("callengine.records").joinpath("timeline.html").read_text(encoding="utf-8")
    before, after = template.split(_PLACE)
    return before + data + after
