"""What every simulated vendor shares: what it was asked, what goes wrong, and its complaints."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import attrs
import trio

from callengine.audio.convert import ToCarrier
from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.ports import WordTime
from callengine.testing.words import Vocabulary, read_words


class VendorClosed(Exception):
    """The client has closed the connection, or it broke."""


@attrs.frozen
class Request:
    """A request as it came. Names of headers are in lower case; a repeated query parameter has its values in order."""

    at: float
    method: str
    host: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        """The body, decoded; None where it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def parameter(self, name: str) -> str | None:
        """The last value of a query parameter."""
        values = self.query.get(name)
        return values[-1] if values else None


@attrs.frozen
class Answer:
    """What a request is answered. A body that is made as it goes is sent in chunks; its `Vendor.faults` apply."""

    status: int = 200
    body: bytes | AsyncIterable[bytes] = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def of(cls, value: object, status: int = 200, **headers: str) -> Answer:
        """A JSON answer."""
        return cls(status, json.dumps(value).encode(), {"content-type": "application/json", **headers})


class WebSocket(Protocol):
    """The vendor's end of an open WebSocket."""

    pinged_at: float
    """When the client's last ping came; at first, when it was opened."""

    async def receive(self) -> str | bytes:
        """The client's next message. Raises `VendorClosed`."""

    async def send(self, message: str | bytes) -> None:
        """Send text or bytes; nothing is sent while the vendor is mute. Raises `VendorClosed`."""

    async def send_json(self, message: Mapping[str, Any]) -> None:
        """Send a JSON object."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it, and wait for the client's answer (a second at most)."""


@attrs.define
class Faults:
    """What goes wrong. Times are seconds."""

    connect_delay: float = 0.0
    """Before a connection is taken."""
    answer_delay: float = 0.0
    """Between a request, or a WebSocket's handshake, and the answer's head."""
    unreachable: int = 0
    """So many of the next connections are refused."""
    refusals: deque[Answer] = attrs.field(factory=deque)
    """The next requests and handshakes are answered so."""
    mute: bool = False
    """It takes everything and says nothing: no message, no byte of a body."""
    chunk: int | None = None
    """Bodies are sent in pieces of so many bytes, each by itself."""
    chunk_delay: float = 0.0
    """Between two pieces of a body, or two messages."""
    break_after: int | None = None
    """The connection breaks after so many more messages or pieces."""
    stall_after: int | None = None
    """It falls mute after so many more messages or pieces."""


class Vendor:
    """A simulated vendor. A subclass says what its `hosts` are, answers requests and serves sockets.

    What a client does against the protocol is a complaint: `in_memory` and `on_loopback` raise at their end where
    there was one.
    """

    hosts: tuple[str, ...] = ()
    """Names of the real service."""
    key = "vendor-test-key"
    """The one it takes."""

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = Vocabulary() if vocabulary is None else vocabulary
        self.faults = Faults()
        self.requests: list[Request] = []
        """Everything it was asked, handshakes too."""
        self.complaints: list[str] = []
        self.connections = 0
        """Open now."""
        self.connected = 0
        """Opened so far."""
        self.sockets: list[WebSocket] = []
        """WebSockets that are open now."""
        self.heard: list[str] = []
        """Every final it gave, in order."""
        self.spoken: list[str] = []
        """Every text it was to speak, in order, as far as it began with it."""
        self.recorded: deque[str] = deque()
        """What the next audio says that has no words of the vocabulary in it."""
        self._broken = trio.Event()

    # --- for a subclass -----------------------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Answer:
        """Answer a request that is not an upgrade."""
        return self.error(404, f"no such path: {request.path}")

    def admit(self, request: Request) -> Answer | None:
        """Why an upgrade is refused; None where it is taken."""
        return self.error(404, f"no such path: {request.path}")

    def subprotocol(self, request: Request) -> str | None:
        """What the handshake's answer names."""
        del request
        return None

    async def serve(self, socket: WebSocket, request: Request) -> None:
        """Serve a WebSocket; returning closes it (1000). `VendorClosed` may be let through."""
        del socket, request
        raise VendorClosed

    def error(self, status: int, message: str) -> Answer:
        """The vendor's own error of this status."""
        return Answer.of({"error": {"message": message}}, status)

    def complain(self, what: str) -> None:
        """The client broke the protocol."""
        self.complaints.append(what)

    def understand(self, audio: bytes, audio_format: AudioFormat = TELEPHONE) -> str:
        """The words in this audio. Of audio at other rates than 8 kHz nothing can be read: it says what `recorded` has.

        Takes from ``recorded``: ask once an utterance then.
        """
        text = ""
        if audio_format.sample_rate == 8000:
            converter = ToCarrier(audio_format, TELEPHONE)
            text = read_words(self.vocabulary, converter.push(audio) + converter.flush())
        if not text and self.recorded and audio_format.seconds(len(audio)) > 0.1:
            text = self.recorded.popleft()
        return text

    def speech(self, text: str, audio_format: AudioFormat) -> tuple[bytes, tuple[WordTime, ...]]:
        """The audio of a text, and the times of its words. In 8 kHz formats its words can be read back."""
        words = self.vocabulary.speak(text)
        converter = ToCarrier(TELEPHONE, audio_format)
        audio = converter.push(b"".join(word.audio for word in words)) + converter.flush()
        times, at = [], 0
        for word in words:
            times.append(WordTime(word.text, at / 8000, (at + word.size) / 8000))
            at += word.size
        return audio, tuple(times)

    # --- for a test ---------------------------------------------------------------------------------------------------

    def refuse(self, status: int, message: str = "refused by the test", *, times: int = 1, **headers: str) -> None:
        """The next requests and handshakes are answered with the vendor's error of this status."""
        answer = self.error(status, message)
        answer = attrs.evolve(answer, headers={**answer.headers, **headers})
        self.faults.refusals.extend([answer] * times)

    def break_all(self) -> None:
        """Every open connection breaks now, without a word."""
        self._broken.set()
        self._broken = trio.Event()

    async def close_all(self, code: int, reason: str = "") -> None:
        """Every open WebSocket is closed with this code."""
        for socket in list(self.sockets):
            await socket.close(code, reason)

    async def say_all(self, message: str | bytes) -> None:
        """Send this in every open WebSocket: garbage, for example."""
        for socket in list(self.sockets):
            with suppress(VendorClosed):
                await socket.send(message)

    @property
    def broken(self) -> trio.Event:
        """Set when the connections that are open now break."""
        return self._broken
