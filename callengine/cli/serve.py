"""``callengine serve``: load an engine, and take calls until told to stop."""

from __future__ import annotations

import gc
import logging
import sys
import traceback
from pathlib import Path
from types import TracebackType

import trio

from callengine.cleanup import single
from callengine.cli.main import FAILED, INTERRUPTED, OK, USAGE
from callengine.cli.target import BadTarget, load_engine
from callengine.cli.tunnel import TunnelKind, open_tunnel
from callengine.engine import Engine
from callengine.errors import CallEngineError

GC_THRESHOLDS = (3_000, 1_000, 1_000)
"""Calls make many small values and few cycles. With Python's own thresholds the collector takes 5 to 10 % of a busy
engine's time, and its pauses are most of the tail (``python -m benchmarks.calls_per_core --gc-threshold``). Passes over
the youngest are short and often here, those over the next generation minutes apart: 100 calls with vendors over the
loopback answer within 17 ms at the 99th percentile, and within 41 with 20,000 and 50."""

log = logging.getLogger(__name__)


def serve(
    target: str,
    *,
    host: str | None = None,
    port: int | None = None,
    public_url: str | None = None,
    insecure: bool | None = None,
    journal: Path | None = None,
    drain_timeout: float | None = None,
    tunnel: TunnelKind | None = None,
) -> int:
    """Serve the engine that ``target`` names, with these settings in place of its own; returns the exit status."""
    try:
        engine = load_engine(target)
        engine.configure(
            host=host,
            port=port,
            public_url=public_url,
            insecure=insecure,
            journal_directory=journal,
            drain_timeout=drain_timeout,
            public_url_later=tunnel is not None,
        )
        trio.run(_serve, engine, tunnel)
    except BadTarget as error:
        return refuse(error, USAGE)
    except CallEngineError as error:
        return refuse(error, FAILED)
    except BaseExceptionGroup as group:
        alone = single(group)
        if isinstance(alone, CallEngineError):
            return refuse(alone, FAILED)
        if isinstance(alone, KeyboardInterrupt):
            return INTERRUPTED
        raise
    return OK


async def _serve(engine: Engine, tunnel: TunnelKind | None) -> None:
    with ProgressBar() as bar:
        async with trio.open_nursery() as nursery:

            async def run(task_status: trio.TaskStatus[list[tuple[str, int]]]) -> None:
                await engine.serve(progress=bar.show, task_status=task_status)
                nursery.cancel_scope.cancel()

            await nursery.start(run)
            if tunnel is not None:
                nursery.start_soon(_keep_open, engine, tunnel)
            # What is there now stays: the garbage collector need not look at it again while calls are going on.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)


async def _keep_open(engine: Engine, kind: TunnelKind) -> None:
    """Have carriers reach the engine through a tunnel, as long as it serves."""
    print(f"opening a tunnel with {kind} ...", file=sys.stderr, flush=True)
    async with open_tunnel(kind, engine.port) as url:
        engine.public_url = url
        print(f"carriers reach this engine at {url}", flush=True)
        print(f"  point a number at it: callengine numbers point +12025550123 --to {url}", flush=True)
        await trio.sleep_forever()


def refuse(error: CallEngineError, status: int) -> int:
    """Say what is wrong. Where the user's own module raised, with its traceback from that module on."""
    cause = error.__cause__ if isinstance(error, BadTarget) else None
    if cause is not None:
        traceback.print_exception(type(cause), cause, _own_frames(cause.__traceback__), file=sys.stderr)
    print(f"callengine: {error}", file=sys.stderr)
    return status


def _own_frames(tb: TracebackType | None) -> TracebackType | None:
    """A traceback without the import machinery at its head."""
    start = tb
    while start is not None:
        file = start.tb_frame.f_code.co_filename
        if not (file == __file__ or "importlib" in file or file.endswith("target.py")):
            return start
        start = start.tb_next
    return tb


class ProgressBar:
    """How far the models are: a bar on a terminal, else a line for each step. Both on stderr."""

    WIDTH = 24

    def __init__(self) -> None:
        self._bar = sys.stderr.isatty()
        self._shown = False

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def show(self, what: str, done: float) -> None:
        """A `callengine.loading.Progress`."""
        if not self._bar:
            print(f"loading {done:.0%} {what}", file=sys.stderr, flush=True)
            return
        filled = round(done * self.WIDTH)
        bar = "█" * filled + "░" * (self.WIDTH - filled)
        print(f"\r\x1b[Kloading {bar} {what}", end="", file=sys.stderr, flush=True)
        self._shown = True
        if done >= 1:
            self._end()

    def _end(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False
