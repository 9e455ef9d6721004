"""The floor: a process that receives each frame and sends a prebuilt one, and does nothing else.

What it costs, the kernel's part of every call costs any engine. It speaks the same language as ``engine_process``.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from typing import Any

from websockets.http11 import Request
from websockets.server import ServerProtocol

from benchmarks.machine import pin, resident
from callengine.services.websocket import text_frame

ANSWER = text_frame(b'{"event":"media","streamSid":"MZ' + b"0" * 32 + b'","media":{"payload":"' + b"f" * 216 + b'"}}')
"""160 bytes of audio, as an engine sends them."""


def accept(listener: socket.socket) -> socket.socket:
    """A new connection, upgraded."""
    connection, _ = listener.accept()
    connection.settimeout(5)
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096)
    protocol = ServerProtocol()
    protocol.receive_data(head)
    request = protocol.events_received()[0]
    assert isinstance(request, Request)
    connection.sendall(protocol.accept(request).serialize())
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def say(**what: Any) -> None:
    """To the other process, with what was used so far."""
    print(json.dumps({"cpu": time.process_time(), "rss": resident(), "wall": time.monotonic(), **what}), flush=True)


def main() -> None:
    """Serve until the other process is gone."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
    connections: dict[int, socket.socket] = {}
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    poll.register(sys.stdin, select.EPOLLIN)
    say(port=listener.getsockname()[1], providers=0.0)
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                connection = accept(listener)
                connections[connection.fileno()] = connection
                poll.register(connection, select.EPOLLIN)
            elif fd == sys.stdin.fileno():
                command = os.read(fd, 100).decode().strip()
                if command not in ("begin", "end", "left"):
                    return
                say(
                    metronome=[],
                    calls=len(connections),
                    decision_to_clear=[],
                    underruns=0,
                    decisions={},
                    tasks=0,
                    failures=0,
                )
            elif _answer(fd):
                poll.unregister(fd)
                connections.pop(fd).close()


def _answer(fd: int) -> bool:
    """Read, and send as much as a frame. True where the connection is over."""
    try:
        if not os.read(fd, 16_384):
            return True
        os.write(fd, ANSWER)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


if __name__ == "__main__":
    pin(int(sys.argv[1]))
    main()
