"""Where a caller's actions come from: a script, or lines that are typed while the call goes on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Protocol

import trio

from callengine.cli.simulation.script import Action, parse_typed
from callengine.errors import ConfigurationError


class Actions(Protocol):
    """What the caller does, one after the other."""

    at_once: bool
    """Whether he does it without letting the agent finish."""

    async def next(self) -> Action | None:
        """The next action, asked for when the one before is done; None where there is no other. Raises
        `ConfigurationError` for one that cannot be understood."""


class Scripted:
    """`Actions` that are known beforehand."""

    at_once = False

    def __init__(self, actions: Iterable[Action]) -> None:
        self._actions: Iterator[Action] = iter(actions)

    async def next(self) -> Action | None:
        await trio.lowlevel.checkpoint()
        return next(self._actions, None)


class Typed:
    """`Actions` that are lines read from a file descriptor: said at once where a person types them, and in turn where
    they come from a file or a program."""

    def __init__(self, descriptor: int) -> None:
        self.at_once = os.isatty(descriptor)
        self._descriptor = descriptor
        self._buffer = bytearray()
        self._ended = False
        self._reader = trio.CapacityLimiter(1)

    async def next(self) -> Action | None:
        while True:
            line = await self._line()
            if line is None:
                return None
            action = parse_typed(line)
            if action is not None:
                return action

    async def _line(self) -> str | None:
        while b"\n" not in self._buffer and not self._ended:
            # Not sys.stdin: a thread that waits in its buffer would block the interpreter's end.
            data = await trio.to_thread.run_sync(
                os.read, self._descriptor, 4096, limiter=self._reader, abandon_on_cancel=True
            )
            self._ended = not data
            self._buffer += data
        if not self._buffer:
            return None
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        try:
            return line.decode()
        except UnicodeDecodeError:
            raise ConfigurationError("a line that is not UTF-8 cannot be said") from None
