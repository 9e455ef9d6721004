"""Delays that end when they should.

A provider's answer arrives on a socket, which wakes the event loop at once. A sleep does not: epoll counts its time-out
in whole milliseconds and rounds up, so three scripted sleeps a turn would add 2 ms that no provider takes. A timer of
the kernel (timerfd, Linux) wakes the loop as a socket does.
"""

from __future__ import annotations

import ctypes
import os
import time

import trio

_LIBC = ctypes.CDLL(None, use_errno=True)
_MONOTONIC = 1
_NON_BLOCKING = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE = 1


class _Setting(ctypes.Structure):
    """``struct itimerspec``: an interval of 0, and a moment."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns"))


class Timer:
    """Sleeps until moments of `time.monotonic`, one at a time. Holds a file descriptor until `close`."""

    def __init__(self) -> None:
        self._fd: int = _LIBC.timerfd_create(_MONOTONIC, _NON_BLOCKING)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def fileno(self) -> int:
        """Readable from the moment on that was `set`; for a poll of one's own."""
        return self._fd

    async def until(self, moment: float) -> None:
        """Sleep. Returns at once where the moment has passed; can be cancelled, and used again then."""
        if moment <= time.monotonic():
            await trio.lowlevel.checkpoint()
            return
        self.set(moment)
        while time.monotonic() < moment:
            await trio.lowlevel.wait_readable(self._fd)

    def set(self, moment: float) -> None:
        """Ring at this moment, and forget any other one; at once where it has passed."""
        moment = max(moment, 1e-3)  # zeros would switch it off
        seconds = int(moment)
        setting = _Setting(0, 0, seconds, int((moment - seconds) * 1e9))
        if _LIBC.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(setting), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        """Let go of the descriptor. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
