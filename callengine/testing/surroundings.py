"""What there is in the process, so that what a call leaves behind can be found."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any

import attrs
import trio


@attrs.frozen
class Surroundings:
    """What there was at a moment."""

    tasks: frozenset[Any]
    files: int
    threads: int


def look_around() -> Surroundings:
    """What there is now, but for Trio's own and the task that asks."""
    tasks: set[Any] = set()
    waiting = [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        if task is None:
            continue
        tasks.add(task)
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)
    here = trio.lowlevel.current_task()
    system = {task for task in tasks if "trio" in (task.name or "") and task is not here}
    threads = sum(1 for thread in threading.enumerate() if thread.name.startswith("story "))
    return Surroundings(frozenset(tasks - system - {here}), _open_files(), threads)


def _open_files() -> int:
    """Open files and sockets, where the system says; not those of ONNX Runtime, which opens a log of its own some time
    after a model was loaded."""
    count = 0
    for number in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with suppress(OSError):  # the one by which the folder was read
            count += "onnxruntime" not in os.readlink(f"/proc/self/fd/{number}")
    return count
