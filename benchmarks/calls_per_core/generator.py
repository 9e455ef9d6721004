"""The load: many simulated calls from one loop on a core of its own, with its own lag on record."""

from __future__ import annotations

import heapq
import os
import select
import socket
import time
from array import array
from collections.abc import Callable

from benchmarks.calls_per_core import wire
from benchmarks.calls_per_core.caller import FRAME, SimulatedCall
from benchmarks.calls_per_core.scenario import Scenario
from benchmarks.calls_per_core.timer import Timer

_GOLDEN = 0.618034
"""Calls' frames are spread evenly over their 20 ms, however many calls there are and however they start."""


class Leg:
    """A call's connection."""

    def __init__(self, port: int, call: SimulatedCall) -> None:
        self.call = call
        self.open = True
        self._upgraded = False
        self._buffer = bytearray()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(wire.REQUEST)
        self._socket.setblocking(False)
        self.fd = self._socket.fileno()

    @property
    def upgraded(self) -> bool:
        """Whether the stream has begun."""
        return self._upgraded

    def read(self) -> list[bytes]:
        """The messages that have come; none, and ``open`` false, where the connection is over."""
        try:
            data = os.read(self.fd, 65_536)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.open = False
            return []
        self._buffer += data
        if not self._upgraded:
            head, blank, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not blank:
                return []
            if not head.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(f"the media socket was refused: {head[:100]!r}")
            self._buffer[:] = rest
            self._upgraded = True
            self.write(wire.opening(self.call.call_id, self.call.stream_id))
        return wire.messages(self._buffer)

    def write(self, frame: bytes) -> None:
        """Send. A peer so far behind that the kernel's buffer is full has lost the call."""
        try:
            if os.write(self.fd, frame) == len(frame):
                return
        except OSError:
            pass
        self.open = False

    def close(self) -> None:
        """Say that the stream is over, and leave."""
        if self.open:
            self.write(wire.stop(self.call.call_id, self.call.stream_id))
        self._socket.close()


class Generator:
    """Calls in real time. ``lag`` is how late each frame left, with the moment it was due."""

    def __init__(self, port: int, scenario: Scenario, clips: list[list[bytes]]) -> None:
        self.legs: list[Leg] = []
        self.lag = array("d")
        self._port = port
        self._scenario = scenario
        self._clips = [[wire.base64(frame) for frame in clip] for clip in clips]
        self._timer = Timer()
        self._poll = select.epoll()
        self._poll.register(self._timer.fileno(), select.EPOLLIN)
        self._by_fd: dict[int, Leg] = {}
        self._due: list[tuple[float, int, int, Leg]] = []
        """When, a number that breaks ties, what (0 a frame, 1 a mark), and whose."""
        self._count = 0

    @property
    def calls(self) -> list[SimulatedCall]:
        """All of them."""
        return [leg.call for leg in self.legs]

    def begin_calls(self, count: int, over: float) -> None:
        """Start calls, evenly over so many seconds; returns when the last has started."""
        start = time.monotonic()
        for number in range(count):
            self.run_until(start + over * number / count)
            leg = Leg(self._port, SimulatedCall(number, self._scenario, self._clips))
            self.legs.append(leg)
            self._by_fd[leg.fd] = leg
            self._poll.register(leg.fd, select.EPOLLIN)

    def run_until(self, end: float) -> None:
        """Carry the calls until this moment."""
        due = self._due
        while (now := time.monotonic()) < end:
            next_due = min(end, due[0][0] if due else end)
            if next_due > now:
                self._timer.set(next_due)
            for fd, _ in self._poll.poll(-1 if next_due > now else 0):
                if fd != self._timer.fileno():
                    self._read(self._by_fd[fd])
            for _ in range(32):
                if not due or due[0][0] > (now := time.monotonic()):
                    break
                self._do(heapq.heappop(due), now)

    def _do(self, item: tuple[float, int, int, Leg], now: float) -> None:
        when, _, kind, leg = item
        if not leg.open:
            return
        if kind == 1:
            for frame in leg.call.reached(now):
                leg.write(frame)
            return
        self.lag.append(now - when)
        leg.write(leg.call.next_frame(now))
        self._at(when + FRAME, 0, leg)

    def _read(self, leg: Leg) -> None:
        begun = leg.upgraded
        messages = leg.read()
        now = time.monotonic()
        if not leg.open:
            self._poll.unregister(leg.fd)
            leg.call.notes.lost = True
            return
        if leg.upgraded and not begun:
            phase = len(self.legs) * _GOLDEN % 1
            self._at((now // FRAME + 1 + phase) * FRAME, 0, leg)
        call = leg.call
        for message in messages:
            before = len(call.marks)
            for frame in call.take(message, now):
                leg.write(frame)
            if len(call.marks) > before:
                self._at(call.marks[-1][0], 1, leg)

    def _at(self, when: float, kind: int, leg: Leg) -> None:
        self._count += 1
        heapq.heappush(self._due, (when, self._count, kind, leg))

    def close(self) -> None:
        """End all calls."""
        for leg in self.legs:
            leg.close()
        self._poll.close()
        self._timer.close()


def measured_lag(generator: Generator, during: Callable[[], None]) -> list[float]:
    """How late the frames left that were due while ``during`` ran."""
    before = len(generator.lag)
    during()
    return list(generator.lag[before:])
