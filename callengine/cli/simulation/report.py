"""What the user sees of a simulated call: lines of text, or JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

import attrs

Kind: TypeAlias = Literal[
    "webhook",
    "stream",
    "caller speaks",
    "caller spoke",
    "caller presses",
    "agent speaks",
    "agent says",
    "agent presses",
    "mark",
    "clear",
    "gap",
    "complaint",
    "script",
    "carrier",
    "ended",
]
"""``script``: something that the script waited for and that came, or did not; ``carrier``: what the carrier does by
itself, such as speaking words of a document."""

EndedBy: TypeAlias = Literal["caller", "server", "fault"]
"""``fault``: a connection that was told to break."""

_ONLY_DETAILED: frozenset[Kind] = frozenset({"mark", "caller spoke", "agent speaks"})


@attrs.frozen(kw_only=True)
class Summary:
    """A call in figures. Times in seconds."""

    duration: float
    ended: str
    """How it ended, as a phrase."""
    ended_by: EndedBy
    caller_turns: int
    agent_turns: int
    responses: tuple[float, ...]
    """From the end of each of the caller's turns to the first audio of its answer."""
    cuts: tuple[float, ...]
    """From the first sound of a caller who spoke into the agent's words to its silence."""
    gaps: tuple[float, ...]
    """Audio that was missing in the middle of speech."""
    clears: int
    thrown_away: float
    """Audio that clears threw away."""
    marks: int
    complaints: tuple[tuple[str, int], ...]
    """What the carrier would have complained about, and how often."""
    failures: tuple[str, ...]
    """What the script waited for in vain."""

    @property
    def passed(self) -> bool:
        return not self.complaints and not self.failures


class Report(Protocol):
    """Where a call's events go, as they become known."""

    def tell(self, kind: Kind, at: float, text: str, **data: Any) -> None:
        """Something happened, ``at`` seconds after the stream's start. ``data`` is the same for machines."""

    def summarise(self, summary: Summary) -> None: ...


class TextReport:
    """Lines for people. With ``detailed`` every mark is shown, and when each voice begins and ends."""

    def __init__(self, write: Callable[[str], None], *, detailed: bool = False) -> None:
        self._write = write
        self._detailed = detailed

    def tell(self, kind: Kind, at: float, text: str, **_: Any) -> None:
        if self._detailed or kind not in _ONLY_DETAILED:
            self._write(f"{at:7.2f}  {text}")

    def summarise(self, summary: Summary) -> None:
        self._write("")
        for name, value in _lines(summary):
            self._write(f"{name + ':':<12} {value}")


class JsonReport:
    """One JSON object a line; the last one is the summary."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def tell(self, kind: Kind, at: float, text: str, **data: Any) -> None:
        rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in data.items()}
        self._write(json.dumps({"event": kind, "at": round(at, 3), "text": text, **rounded}))

    def summarise(self, summary: Summary) -> None:
        fields = attrs.asdict(summary)
        fields["complaints"] = dict(summary.complaints)
        for name in ("responses", "cuts", "gaps"):
            fields[name] = [round(value, 3) for value in fields[name]]
        for name in ("duration", "thrown_away"):
            fields[name] = round(fields[name], 3)
        self._write(json.dumps({"event": "summary", **fields, "passed": summary.passed}))


def _lines(summary: Summary) -> list[tuple[str, str]]:
    lines = [
        ("call", f"{summary.duration:.1f} s, {summary.ended}"),
        ("turns", f"caller {summary.caller_turns}, agent {summary.agent_turns}"),
        ("response", _times(summary.responses)),
    ]
    if summary.cuts:
        lines.append(("cut short", _times(summary.cuts)))
    clears = count(summary.clears, "clear")
    if summary.clears:
        clears += f" ({summary.thrown_away:.1f} s thrown away)"
    lines.append(("audio", f"{count(len(summary.gaps), 'gap')}, {clears}, {count(summary.marks, 'mark')}"))
    for text, times in summary.complaints:
        lines.append(("protocol", text if times == 1 else f"{text} ({times} times)"))
    if not summary.complaints:
        lines.append(("protocol", "nothing to complain about"))
    lines += [("script", text) for text in summary.failures]
    return lines


def _times(seconds: tuple[float, ...]) -> str:
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    each = ", ".join(milliseconds(value) for value in seconds)
    return f"{milliseconds(median)} ms in the middle, {milliseconds(ordered[-1])} ms at most ({each})"


def count(number: int, what: str) -> str:
    """So many of something."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def milliseconds(seconds: float) -> str:
    """A time in whole milliseconds."""
    return f"{seconds * 1000:.0f}"
