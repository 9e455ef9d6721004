"""The vendors, in a process of their own: a plain epoll loop that answers when it is due.

``callengine.testing.vendors`` understand speech, mind every rule and can fail in every way; these cost little, and
note how late they are. Like the measured process this one answers on its standard output in lines of JSON: ``port``,
then for each command what it knows of itself.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import itertools
import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.calls_per_core.scenario import Scenario
from benchmarks.calls_per_core.timer import Timer
from benchmarks.calls_per_core.voices import agent_voice
from benchmarks.machine import pin
from benchmarks.providers import messages

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""

INTERIM = 0.5
"""Seconds of audio between two interim results."""
NOTHING = 0.05
"""Seconds of audio that are too little to be finalised."""

_MODELS: dict[bytes, Callable[[list[str]], Iterator[bytes]]] = {
    b"/chat/completions": messages.openai,
    b"/v1/messages": messages.anthropic,
    b":streamGenerateContent": messages.gemini,
}


class Vendors:
    """The loop: sockets, and what is due on them."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.voice = agent_voice()
        self.voice *= 1 + 60 * messages.RATE // len(self.voice)
        self.lag: list[float] = []
        """How late each message left, in seconds."""
        self.connections: dict[int, Connection] = {}
        self.poll = select.epoll()
        self._timer = Timer()
        self._due: list[tuple[float, int, Connection, Iterator[bytes], float]] = []
        self._order = itertools.count()

    def send_later(self, connection: Connection, delay: float, parts: Iterator[bytes], gap: float) -> None:
        """Send the first part after ``delay`` seconds, then one every ``gap`` seconds."""
        self._push(time.monotonic() + delay, connection, parts, gap)

    def _push(self, due: float, connection: Connection, parts: Iterator[bytes], gap: float) -> None:
        heapq.heappush(self._due, (due, next(self._order), connection, parts, gap))
        if self._due[0][0] == due:
            self._timer.set(due)

    def run(self) -> None:
        """Until standard input says ``quit``, or is over."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        for what in (listener, sys.stdin, self._timer):
            self.poll.register(what, select.EPOLLIN)
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        while True:
            for fd, event in self.poll.poll():
                if fd == listener.fileno():
                    self._accept(listener.accept()[0])
                elif fd == sys.stdin.fileno():
                    if not self._told(os.read(fd, 100).decode().split()):
                        return
                elif fd == self._timer.fileno():
                    self._send_due()
                elif (connection := self.connections.get(fd)) is not None:
                    connection.ready(event)

    def _accept(self, end: socket.socket) -> None:
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections[end.fileno()] = Connection(self, end)
        self.poll.register(end, select.EPOLLIN)

    def _told(self, commands: list[str]) -> bool:
        for command in commands:
            if command == "quit":
                return False
            books = {"sockets": sum(one.upgraded for one in self.connections.values()), "lag": self.lag}
            print(json.dumps({**books, "cpu": time.process_time()}), flush=True)
            self.lag = []
        return bool(commands)

    def _send_due(self) -> None:
        while self._due and time.monotonic() >= self._due[0][0]:
            due, _, connection, parts, gap = heapq.heappop(self._due)
            part = next(parts, None)
            if part is not None and connection.send(part):
                self.lag.append(time.monotonic() - due)
                heapq.heappush(self._due, (due + gap, next(self._order), connection, parts, gap))
        if self._due:
            self._timer.set(self._due[0][0])
        else:
            os.read(self._timer.fileno(), 8)


class Connection:
    """One client: requests, or a WebSocket."""

    def __init__(self, vendors: Vendors, end: socket.socket) -> None:
        self.upgraded = False
        self._vendors = vendors
        self._socket = end
        self._in = bytearray()
        self._out = bytearray()
        self._message: Callable[[int, bytes], None] = self._nothing
        self._heard = self._final_to = self._told = 0.0
        self._cancelled: set[str] = set()
        self._text: dict[str, str] = {}

    # --- bytes --------------------------------------------------------------------------------------------------------

    def ready(self, event: int) -> None:
        """Something came, or there is room for what waits."""
        if event & select.EPOLLOUT:
            waiting, self._out = bytes(self._out), bytearray()
            self._vendors.poll.modify(self._socket, select.EPOLLIN)
            self.send(waiting)
        if event & ~select.EPOLLOUT:
            try:
                data = self._socket.recv(65_536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.close()
                return
            self._in += data
            while self._frame() if self.upgraded else self._request():
                pass

    def send(self, data: bytes) -> bool:
        """Send, or keep for later. False where the connection is gone."""
        if self._socket.fileno() < 0:
            return False
        try:
            sent = 0 if self._out else self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        if sent < len(data):
            self._out += data[sent:]
            self._vendors.poll.modify(self._socket, select.EPOLLIN | select.EPOLLOUT)
        return True

    def close(self) -> None:
        """Let go of it."""
        del self._vendors.connections[self._socket.fileno()]
        self._socket.close()

    # --- requests -----------------------------------------------------------------------------------------------------

    def _request(self) -> bool:
        """Answer one whole request; False where there is none."""
        head_end = self._in.find(b"\r\n\r\n") + 4
        if head_end < 4:
            return False
        head = bytes(self._in[:head_end])
        size = int(_header(head, b"content-length") or 0)
        if len(self._in) < head_end + size:
            return False
        body = bytes(self._in[head_end : head_end + size])
        del self._in[: head_end + size]
        path = head.split(b" ", 2)[1]
        if key := _header(head, b"sec-websocket-key"):
            self._upgrade(path, key)
        elif body:
            self._answer(path, head + body, body)
        else:
            self.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        return bool(self._in)

    def _answer(self, path: bytes, request: bytes, body: bytes) -> None:
        vendors, scenario = self._vendors, self._vendors.scenario
        if path.startswith(b"/v1/text-to-speech/"):
            parts = messages.over_http(json.loads(body)["text"], vendors.voice, scenario)
            vendors.send_later(self, scenario.tts_first, parts, scenario.tts_chunk / scenario.tts_speed)
            return
        model = next(model for name, model in _MODELS.items() if name in path)
        parts = model(messages.wanted(request, scenario))
        vendors.send_later(self, scenario.llm_first, parts, scenario.llm_gap)

    # --- WebSockets ---------------------------------------------------------------------------------------------------

    def _upgrade(self, path: bytes, key: bytes) -> None:
        accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        self.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self.upgraded = True
        by_path = {b"/v1/listen": self._listen, b"/tts/websocket": self._cartesia}
        self._message = by_path.get(path.split(b"?")[0], self._elevenlabs)

    def _frame(self) -> bool:
        """Take one whole frame; False where there is none. Clients send every message in one."""
        held = self._in
        if len(held) < 6:
            return False
        size, start = held[1] & 0x7F, 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(held[2:start], "big")
        if len(held) < start + 4 + size:
            return False
        opcode, mask, payload = held[0] & 0xF, held[start : start + 4], held[start + 4 : start + 4 + size]
        del held[: start + 4 + size]
        if opcode == 8:
            self.send(b"\x88\x02\x03\xe8")
            self.close()
            return False
        # What is said in audio does not matter, so only text is unmasked.
        self._message(opcode, bytes(payload) if opcode == 2 else _unmasked(payload, mask))
        return bool(held)

    def _nothing(self, opcode: int, payload: bytes) -> None:
        del opcode, payload

    def _listen(self, opcode: int, payload: bytes) -> None:
        """Deepgram's: interim results as audio comes, final ones when asked."""
        scenario = self._vendors.scenario
        if opcode == 2:
            self._heard += len(payload) / messages.RATE
            if self._heard - self._told >= INTERIM:
                self._told = self._heard
                self.send(messages.results(self._final_to, self._heard, final=False))
        elif b"Finalize" in payload and self._heard - self._final_to > NOTHING:
            found = messages.results(self._final_to, self._heard, final=True)
            self._final_to = self._told = self._heard
            self._vendors.send_later(self, scenario.stt_final, iter((found,)), 0.0)

    def _cartesia(self, opcode: int, payload: bytes) -> None:
        del opcode
        said = json.loads(payload)
        if said.get("cancel"):
            self._cancelled.add(said["context_id"])
        else:
            self._speak(messages.cartesia, said["context_id"], said["transcript"])

    def _elevenlabs(self, opcode: int, payload: bytes) -> None:
        del opcode
        said = json.loads(payload)
        context = said.get("context_id", "")
        if said.get("flush"):
            self._speak(messages.elevenlabs, context, said["text"])

    def _speak(self, make: Callable[[str, str, bytes, Scenario], Iterator[bytes]], context: str, text: str) -> None:
        vendors, scenario = self._vendors, self._vendors.scenario
        # A context that was cut has no more audio.
        parts = itertools.takewhile(
            lambda _: context not in self._cancelled, make(context, text, vendors.voice, scenario)
        )
        vendors.send_later(self, scenario.tts_first, parts, scenario.tts_chunk / scenario.tts_speed)


def _header(head: bytes, name: bytes) -> bytes:
    at = head.lower().find(b"\r\n" + name + b":")
    return head[at:].split(b"\r\n", 2)[1].split(b":", 1)[1].strip() if at >= 0 else b""


def _unmasked(payload: bytearray, mask: bytearray) -> bytes:
    size = len(payload)
    key = (bytes(mask) * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def main(arguments: list[str]) -> Any:
    """``vendor_process CORE SCENARIO``"""
    pin(int(arguments[0]))
    Vendors(Scenario.from_json(arguments[1])).run()


if __name__ == "__main__":
    main(sys.argv[1:])
