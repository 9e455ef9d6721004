"""Where a benchmark runs: the machine, the versions, the cores it is pinned to."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import attrs

PACKAGES = ("callengine", "trio", "numpy", "websockets", "trio-websocket", "attrs", "onnxruntime", "pywebrtc-audio")

_AVAILABLE = sorted(os.sched_getaffinity(0))
"""Before this process pinned itself."""


@attrs.frozen
class Machine:
    """What a figure is worth nothing without."""

    cpu: str
    cores: int
    kernel: str
    python: str
    packages: dict[str, str]
    command: str

    def lines(self) -> list[str]:
        """For people."""
        packages = ", ".join(f"{name} {number}" for name, number in self.packages.items())
        return [
            f"machine:  {self.cpu}, {self.cores} cores, {self.kernel}",
            f"versions: {self.python}; {packages}",
            f"command:  {self.command}",
        ]


def describe(module: str, arguments: Sequence[str]) -> Machine:
    """This machine and interpreter; ``module`` and ``arguments`` are what was run."""
    return Machine(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages=_versions(),
        command=shlex.join(["python", "-m", module, *arguments]),
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> tuple[int, int]:
    """The core for the engine and the one for the load; the same where there is only one."""
    available = _AVAILABLE
    if len(available) < 2:
        print("only one core: the load takes time from what is measured", file=sys.stderr)
    return available[0], available[-1]


def pin(core: int) -> None:
    """Keep this process on one core."""
    os.sched_setaffinity(0, {core})


def resident() -> int:
    """Bytes of memory that this process holds (RSS)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmRSS: this benchmark runs on Linux")


def core_ticks(core: int) -> tuple[float, float]:
    """Seconds that a core was busy, and seconds in all, since the machine started; others' work included."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, idle, iowait, *others = map(int, line.split()[1:9])
            busy = user + nice + system + sum(others)
            return busy / 100, (busy + idle + iowait) / 100
    raise RuntimeError(f"/proc/stat does not know core {core}")
