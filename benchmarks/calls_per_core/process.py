"""The other processes, as the load generator sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from benchmarks.calls_per_core.scenario import Scenario

TIMEOUT = 10
"""Seconds that the other process has to end, once told."""


class Beside:
    """A process that runs a module of ours on a core, and answers in lines of JSON.

    A context manager: at its end the process is gone.
    """

    def __init__(self, module: str, scenario: Scenario, core: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}", str(core), scenario.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._process.communicate(b"quit\n", timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """For a profiler."""
        return self._process.pid

    def ask(self, command: str) -> dict[str, Any]:
        """Say this, and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the other process ended: see its error above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def measured(scenario: Scenario, core: int, *, floor: bool = False) -> Beside:
    """The process that is measured: ``engine_process``, or with ``floor`` the one that does nothing."""
    return Beside(f"calls_per_core.{'floor' if floor else 'engine'}_process", scenario, core)


def vendors(scenario: Scenario, core: int) -> Beside:
    """The vendors of a scenario whose providers are behind the loopback."""
    return Beside("providers.vendor_process", scenario, core)
