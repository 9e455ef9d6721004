"""An engine in a process of its own: started, waited for, and drained at the end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import trio

from callengine.cleanup import bounded_cleanup, single
from callengine.cli.main import BLAS_THREADS

START_TIMEOUT = 60.0
"""Seconds that an engine may take to load its models: two on a laptop."""
STOP_TIMEOUT = 10.0
"""Seconds that an engine without calls may take to end."""
LOG_LINES = 40
"""Of the engine's log, kept for when something goes wrong."""

_LISTENING = re.compile(r"listening on http://.*:(\d+)$")
_LOADING = re.compile(r"loading (\d+)% (.*)$")


class EngineFailed(Exception):
    """The engine did not start, or did not end as it should. The message ends with its last log lines."""


@attrs.define
class EngineProcess:
    """An engine that is listening."""

    process: trio.Process
    progress: Callable[[str, float], None]
    port: int = 0
    listening: trio.Event = attrs.field(factory=trio.Event)
    log: deque[str] = attrs.field(factory=lambda: deque(maxlen=LOG_LINES))

    async def stop(self) -> None:
        """Drain it, and make sure that it ended well. Raises `EngineFailed`."""
        self.process.terminate()
        with trio.move_on_after(STOP_TIMEOUT):
            await self.process.wait()
        if self.process.returncode != 0:
            how = "did not end" if self.process.returncode is None else f"ended with {self.process.returncode}"
            raise EngineFailed(self.explain(f"the engine {how} after SIGTERM"))

    def explain(self, what: str) -> str:
        """What went wrong, and what the engine said last."""
        return "\n".join([f"{what}; its last words:", *(f"  {line}" for line in self.log)])

    async def read(self, stream: trio.abc.ReceiveStream | None, taken: Callable[[str], None]) -> None:
        """Read one of its outputs to the end, line by line."""
        assert stream is not None
        rest = ""
        async for data in stream:
            *lines, rest = (rest + data.decode("utf-8", "replace")).split("\n")
            for line in lines:
                taken(line.rstrip())

    def take_output(self, line: str) -> None:
        """A line of stdout: where it listens."""
        match = _LISTENING.search(line)
        if match:
            self.port = int(match[1])
            self.listening.set()

    def take_log(self, line: str) -> None:
        """A line of stderr: how far it is, or a log record."""
        match = _LOADING.match(line)
        if match:
            self.progress(match[2], int(match[1]) / 100)
        else:
            self.log.append(line)


@asynccontextmanager
async def engine_process(
    target: str, arguments: Sequence[str], progress: Callable[[str, float], None]
) -> AsyncIterator[EngineProcess]:
    """``callengine serve`` for this target, ready to take calls; its process is gone when the context is left.

    ``progress`` is told how far loading is. Raises `EngineFailed` where it does not get ready.
    """
    command = [sys.executable, "-m", "callengine", "serve", target, *arguments]
    start = partial(
        trio.run_process,
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        env=_environment(),
    )
    try:
        async with trio.open_nursery() as nursery:
            engine = EngineProcess(await nursery.start(start), progress)
            try:
                nursery.start_soon(engine.read, engine.process.stdout, engine.take_output)
                nursery.start_soon(engine.read, engine.process.stderr, engine.take_log)
                await _until_ready(engine)
                yield engine
            finally:
                if engine.process.returncode is None:
                    engine.process.kill()
                with bounded_cleanup(1):
                    await engine.process.wait()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise single(group) from None


async def _until_ready(engine: EngineProcess) -> None:
    with trio.move_on_after(START_TIMEOUT):
        while not engine.listening.is_set():
            if engine.process.poll() is not None:
                await trio.sleep(0.1)  # its last words are still being read
                raise EngineFailed(engine.explain(f"the engine did not start (status {engine.process.returncode})"))
            with trio.move_on_after(0.1):
                await engine.listening.wait()
        return
    raise EngineFailed(engine.explain(f"the engine was not ready after {START_TIMEOUT:g} s"))


def _environment() -> dict[str, str]:
    """Ours, but for what would change the call: a public URL is refused together with unsigned calls."""
    environment = {name: value for name, value in os.environ.items() if name != "CALLENGINE_PUBLIC_URL"}
    package = str(Path(__file__).parents[2])
    path = environment.get("PYTHONPATH")
    return environment | {
        BLAS_THREADS: "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": package if not path else f"{package}{os.pathsep}{path}",
    }
