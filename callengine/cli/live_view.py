"""What is seen of the demo call while it goes on: a live picture on a terminal, else plain lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from callengine.cli.scene import Said, Scene, Who
from callengine.records.transcript import clock

if TYPE_CHECKING:
    from rich.console import Console, Group, RenderableType
    from rich.live import Live
    from rich.progress import Progress
    from rich.text import Text

Style: TypeAlias = Literal["plain", "good", "bad", "dim", "head"]

FLOOR, CEILING = -60.0, -12.0
"""dBFS at the two ends of a meter: below is the line's noise, above is nobody's speech."""
STRIP_FLOOR = -45.0
"""dBFS at the lower end of the strips, which show averages."""
METER = 18
"""Columns of a level meter."""
METER_WINDOW = 0.12
"""Seconds that a meter looks back."""
SHORTEST_STRIP = 30.0
"""Seconds that the strip of waveforms shows at least; a longer call is squeezed."""
INDENT = 16
"""Columns before the words of a line: its time, and who spoke."""

_BARS = " ▁▂▃▄▅▆▇█"


class View(Protocol):
    """Somewhere to show a demo call."""

    def loading(self, what: str, done: float) -> None:
        """How far the engine's start is (0 to 1)."""

    def show(self, scene: Scene, at: float) -> None:
        """The call, at this time."""

    def tell(self, text: str = "", style: Style = "plain") -> None:
        """A line before or after the call."""

    def close(self) -> None:
        """The moving picture stands still from now on. Idempotent."""


def open_view(*, plain: bool, quiet: bool) -> View:
    """The view that fits this terminal and these wishes."""
    if quiet:
        return QuietView()
    if plain or not sys.stdout.isatty() or find_spec("rich") is None:
        return PlainView()
    return LiveView()


class QuietView:
    """Shows what was not as it should be, and nothing else."""

    def loading(self, what: str, done: float) -> None:
        """Not shown."""

    def show(self, scene: Scene, at: float) -> None:
        """Not shown."""

    def tell(self, text: str = "", style: Style = "plain") -> None:
        """Shown where it is bad, or the verdict."""
        if style in ("bad", "head"):
            print(text, flush=True)

    def close(self) -> None:
        """Nothing to close."""


class PlainView:
    """A line for everything that is over: for logs, pipes and dumb terminals."""

    def __init__(self) -> None:
        self._told: set[int] = set()
        self._step = ""

    def loading(self, what: str, done: float) -> None:
        """A line for each new step."""
        step = f"starting the engine: {done:4.0%} {what}"
        if step != self._step:
            self._step = step
            print(step, flush=True)

    def show(self, scene: Scene, at: float) -> None:
        """Lines that were settled since the last time."""
        del at
        for said in scene.said:
            if said.settled and id(said) not in self._told:
                self._told.add(id(said))
                cut = f" [cut off: {said.unheard}]" if said.unheard else ""
                why = f" [{said.reason}]" if said.reason else ""
                print(f"{clock(said.at)}  {said.who:<6}  {_printable(_line(said) + cut + why)}", flush=True)

    def tell(self, text: str = "", style: Style = "plain") -> None:
        """The line as it is."""
        del style
        print(text, flush=True)

    def close(self) -> None:
        """Nothing to close."""


_STYLES: dict[Style, str] = {"plain": "", "good": "green", "bad": "bold red", "dim": "dim", "head": "bold"}
_COLOURS: dict[Who, str] = {"caller": "cyan", "agent": "magenta"}


class LiveView:
    """The moving picture: needs ``rich``."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console: Console = Console(highlight=False)
        self._progress: Progress | None = None
        self._live: Live | None = None

    def loading(self, what: str, done: float) -> None:
        """A bar, which goes away when everything is loaded."""
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        if self._progress is None:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("starting the engine"),
                BarColumn(24),
                TextColumn("{task.description}"),
                console=self._console,
                transient=True,
            )
            self._progress.add_task(what, total=1.0)
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], description=what, completed=done)
        if done >= 1:
            self._progress.stop()

    def show(self, scene: Scene, at: float) -> None:
        """The picture, drawn anew."""
        from rich.live import Live

        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(picture(scene, at, self._console.size.width, self._console.size.height), refresh=True)

    def tell(self, text: str = "", style: Style = "plain") -> None:
        """The line, in its colour."""
        from rich.text import Text

        self._console.print(Text(text, style=_STYLES[style]))

    def close(self) -> None:
        """Leave the last picture on the terminal."""
        if self._progress is not None:
            self._progress.stop()
        if self._live is not None:
            self._live.stop()
            self._live = None


def picture(scene: Scene, at: float, width: int, height: int) -> RenderableType:
    """The call as it stands at this time, for a terminal of this size."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.rule import Rule
    from rich.text import Text

    inner = min(width, 110) - 4
    words = _conversation(scene.said, inner, max(4, height - 11))
    decision = Text(_printable(scene.decision), style="dim", no_wrap=True, overflow="ellipsis")
    parts: list[RenderableType] = [
        _strip(scene, "caller", at, inner),
        _strip(scene, "agent", at, inner),
        _cuts(scene, at, inner),
        Rule(style="dim"),
        words,
        Rule(style="dim"),
        decision,
    ]
    title = "the call is over" if scene.over else "a caller, on the telephone, with Chez Trio"
    return Panel(Group(*parts), title=f"[bold]{title}", subtitle=f"{clock(at)}", width=inner + 4, border_style="dim")


def _strip(scene: Scene, who: Who, at: float, width: int) -> Text:
    """One side: its meter, and its voice over the whole call."""
    from rich.text import Text

    level = scene.levels[who]
    lit = 0 if scene.over else round(_height(level.loudest(at - METER_WINDOW, at)) * METER)
    line = Text(no_wrap=True)
    line.append(f"{who:<8}", style=f"bold {_COLOURS[who]}")
    line.append("━" * lit, style=_COLOURS[who])
    line.append("━" * (METER - lit), style="bright_black")
    line.append("‖ " if who == "agent" and scene.hushed == "paused" else "  ", style="yellow")
    columns, span = _scale(at, width)
    for column in range(min(columns, int(at / span) + 1)):
        loud = _height(level.mean(column * span, min(at, (column + 1) * span)), floor=STRIP_FLOOR)
        line.append(_BARS[round(loud * 8)], style=_COLOURS[who])
    return line


def _cuts(scene: Scene, at: float, width: int) -> Text:
    """Where the caller cut in, below the strips."""
    from rich.text import Text

    columns, span = _scale(at, width)
    row = ""
    for cut in scene.cuts:
        row = row.ljust(min(columns - 1, int(cut / span))) + "▲ cut in "
    return Text(" " * (METER + 10) + row, style="yellow", no_wrap=True, overflow="crop")


def _scale(at: float, width: int) -> tuple[int, float]:
    """The strip's columns, and the seconds in each."""
    columns = max(10, width - METER - 10)
    return columns, max(SHORTEST_STRIP, at) / columns


def _conversation(said: Sequence[Said], width: int, height: int) -> Group:
    """The last lines that fit."""
    from rich.console import Console, Group
    from rich.text import Text

    measure = Console(width=width)
    rows: list[Text] = []
    for each in reversed(said):
        wrapped = _words(each).wrap(measure, max(20, width - INDENT))
        if len(rows) + len(wrapped) > height:
            break
        name = Text()
        name.append(f"{clock(each.at):>6}  ", style="dim")
        name.append(f"{each.who:<8}", style=f"bold {_COLOURS[each.who]}")
        heads = [name, *(Text(" " * INDENT) for _ in wrapped[1:])]
        rows = [head.append_text(line) for head, line in zip(heads, wrapped, strict=True)] + rows
    return Group(*rows)


def _words(said: Said) -> Text:
    from rich.text import Text

    text = Text()
    if said.aside or said.keyed:
        text.append(_printable(_line(said)), style="dim" if said.aside else "default")
    elif said.settled:
        text.append(_printable(said.text), style="default")
    else:
        text.append(_printable(said.text) or "speaking", style="italic")
        text.append(" …", style="dim")
    if said.unheard:
        text.append(f" {_printable(said.unheard)}", style="dim strike")
    if said.waited_ms is not None:
        text.append(f"  +{said.waited_ms:.0f} ms", style="green")
    if said.reason:
        text.append(f"  {_printable(said.reason)}", style="dim italic")
    return text


def _line(said: Said) -> str:
    """The words of a line; what nobody meant for the other's ear in parentheses."""
    if said.keyed:
        return f"{said.text} (keyed in)" if said.finished else f"{said.text} …"
    return f"({said.text})" if said.aside else said.text


def _height(dbfs: float, *, floor: float = FLOOR) -> float:
    """0 for silence to 1 for loud."""
    return min(1.0, max(0.0, (dbfs - floor) / (CEILING - floor)))


def _printable(text: str) -> str:
    """Without what moves a terminal's cursor or colours it."""
    return "".join(character if character.isprintable() else " " for character in text)
