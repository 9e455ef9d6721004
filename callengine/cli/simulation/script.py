"""What a simulated caller does: actions, and the lines of text that say them.

A script has one action a line; what follows a ``#`` between blanks is a comment::

    hears good evening | good morning
    say I would like a table for two.
    interrupt after 0.8
    play no-wait.wav
    press 12#
    wait 1.5
    hang up
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import attrs

from callengine.errors import ConfigurationError

KEYS = frozenset("0123456789*#ABCD")
_COMMENT = re.compile(r"^\s*#|\s#\s")


@attrs.frozen
class Say:
    """Speak this text."""

    text: str


@attrs.frozen
class Play:
    """Speak with a recorded voice: a WAV file."""

    path: Path


@attrs.frozen
class Press:
    """Press keys."""

    digits: str = attrs.field(repr=False)


@attrs.frozen
class Wait:
    """Do nothing for so many seconds; what is said next is said at once then."""

    seconds: float


@attrs.frozen
class Hears:
    """Wait until the agent has said one of these; of none at all: until it has said anything."""

    wanted: tuple[str, ...] = ()


@attrs.frozen
class Interrupt:
    """Wait until the agent has spoken for so many seconds; what is said next is said into its words."""

    after: float


@attrs.frozen
class HangUp:
    """Put the phone down."""


Action: TypeAlias = Say | Play | Press | Wait | Hears | Interrupt | HangUp


def parse_action(line: str, *, folder: Path = Path()) -> Action | None:
    """An action from its words; None where there are none. Files are looked for in ``folder``.

    Raises `ConfigurationError`.
    """
    text = line.strip()
    if not text:
        return None
    word, _, rest = text.partition(" ")
    return _read(word.lower(), rest.strip(), folder)


def parse_typed(line: str) -> Action | None:
    """A line that was typed during the call: it is said, unless it starts with ``/`` (``/press 1``, ``/hangup``).

    Raises `ConfigurationError`.
    """
    text = line.strip()
    if not text:
        return None
    if not text.startswith("/"):
        return Say(text)
    return parse_action(text[1:])


def read_script(path: Path) -> tuple[Action, ...]:
    """A script's actions; its WAV files are looked for beside it. Raises `ConfigurationError`, naming the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the script {path} cannot be read: {error}") from error
    actions: list[Action] = []
    for number, line in enumerate(lines, 1):
        try:
            action = parse_action(_COMMENT.split(line, maxsplit=1)[0], folder=path.parent)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}, line {number}: {error}") from None
        if action is not None:
            actions.append(action)
    return tuple(actions)


def press(text: str) -> Press:
    """Keys to press. Raises `ConfigurationError`."""
    digits = text.replace(" ", "").upper()
    if not digits or set(digits) - KEYS:
        raise ConfigurationError("press wants keys: 0-9 * # A-D")
    return Press(digits)


def seconds(text: str) -> float:
    """A time. Raises `ConfigurationError`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ConfigurationError(f"{text!r} is no time: give seconds, 0 or more")
    return value


def _read(word: str, rest: str, folder: Path) -> Action:
    if word == "hang" and rest.lower() == "up":
        word, rest = "hangup", ""
    if word not in _ACTIONS:
        raise ConfigurationError(
            f"{word!r} is no action: use say, play, press, wait, hears, interrupt after SECONDS, or hang up"
        )
    if not rest and word not in ("hears", "hangup"):
        raise ConfigurationError(f"{word} what? Write it behind the word")
    return _ACTIONS[word](rest, folder)


def _hears(rest: str, _: Path) -> Action:
    return Hears(tuple(filter(None, map(str.strip, rest.split("|")))))


def _interrupt(rest: str, _: Path) -> Action:
    word, after = [*rest.split(maxsplit=1), ""][:2]
    if word.lower() != "after":
        raise ConfigurationError("write: interrupt after SECONDS")
    return Interrupt(seconds(after))


def _hang_up(rest: str, _: Path) -> Action:
    if rest:
        raise ConfigurationError("hang up stands alone")
    return HangUp()


_ACTIONS: Mapping[str, Callable[[str, Path], Action]] = {
    "say": lambda rest, _: Say(rest),
    "play": lambda rest, folder: Play(folder / rest),
    "press": lambda rest, _: press(rest),
    "wait": lambda rest, _: Wait(seconds(rest)),
    "hears": _hears,
    "interrupt": _interrupt,
    "hangup": _hang_up,
}
