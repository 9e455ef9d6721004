"""Rime's voices, simulated: the WebSocket with word times (``/ws3``)."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from functools import partial

import attrs
import trio

from callengine.audio.format import AudioFormat, Encoding
from callengine.testing.vendors.base import Answer, Request, Vendor, VendorClosed, WebSocket
from callengine.testing.vendors.beside import beside
from callengine.testing.words import Vocabulary

_PIECE = 0.1
"""Seconds of audio in a chunk."""
_REQUIRED = ("speaker", "modelId", "audioFormat", "samplingRate", "lang")


@attrs.define
class _Line:
    """One connection: what is buffered, and what is being spoken."""

    format: AudioFormat
    segment: str
    buffer: list[tuple[str | None, str]] = attrs.field(factory=list)
    speaking: trio.Lock = attrs.field(factory=trio.Lock)


class FakeRime(Vendor):
    """Rime's ws3 as it is documented: text is buffered until a ``flush``, and spoken with its word times.

    ``clear`` drops what is buffered; what is being generated goes on. A key that it does not take is refused in the
    handshake, or, with ``refuses_late``, by a close (1011) right behind it.
    """

    hosts = ("users-ws.rime.ai",)

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        super().__init__(vocabulary)
        self.first_byte = 0.0
        """Seconds from a flush to its first audio."""
        self.pace = 0.0
        """Seconds between two chunks."""
        self.refuses_late = False
        self.anonymous = False
        """Whether its messages name no context."""
        self.problems: list[str] = []
        """What the next flushes are answered in place of audio."""
        self.cleared = 0
        """Times that it was told ``clear``."""

    def error(self, status: int, message: str) -> Answer:
        """Plain text."""
        return Answer(status, message.encode(), {"content-type": "text/plain"})

    def admit(self, request: Request) -> Answer | None:
        """Only ws3, with a key and all settings."""
        if request.path != "/ws3":
            return self.error(404, "Not Found")
        if not self._authorised(request) and not self.refuses_late:
            return self.error(401, "Invalid API key")
        missing = [name for name in _REQUIRED if not request.parameter(name)]
        if missing:
            return self.error(400, f"missing: {', '.join(missing)}")
        if request.parameter("audioFormat") not in ("mulaw", "pcm"):
            return self.error(400, "unknown audioFormat")
        return None

    def _authorised(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.key}"

    async def serve(self, socket: WebSocket, request: Request) -> None:
        """One connection."""
        if not self._authorised(request):
            await socket.close(1011, "401 Invalid API key")
            return
        encoding: Encoding = "mulaw" if request.parameter("audioFormat") == "mulaw" else "l16"
        rate = int(request.parameter("samplingRate") or 0)
        line = _Line(AudioFormat(encoding, rate), request.parameter("segment") or "bySentence")
        async with trio.open_nursery() as nursery:
            with suppress(VendorClosed):
                while True:
                    self._take(socket, line, json.loads(await socket.receive()), nursery)
            nursery.cancel_scope.cancel()
        raise VendorClosed

    def _take(self, socket: WebSocket, line: _Line, message: dict[str, str], nursery: trio.Nursery) -> None:
        context, operation = message.get("contextId"), message.get("operation")
        if "text" in message:
            line.buffer.append((context, message["text"]))
            if line.segment == "immediate":
                operation = "flush"
        elif operation is None:
            self.complain(f"neither text nor operation: {message}")
        if operation == "clear":
            self.cleared += 1
            line.buffer.clear()
        elif operation in ("flush", "eos"):
            for name in dict.fromkeys(name for name, _ in line.buffer):
                text = " ".join(text for owner, text in line.buffer if owner == name)
                nursery.start_soon(beside, nursery, partial(self._speak, socket, line, name, text))
            line.buffer.clear()
        elif operation is not None:
            self.complain(f"no such operation: {operation}")

    async def _speak(self, socket: WebSocket, line: _Line, context: str | None, text: str) -> None:
        named = {"contextId": None if self.anonymous else context}
        async with line.speaking:
            if self.problems:
                await socket.send_json({"type": "error", "message": self.problems.pop(0), **named})
                return
            self.spoken.append(text)
            await trio.sleep(self.first_byte)
            audio, times = self.speech(text, line.format)
            size = int(_PIECE * line.format.sample_rate) * line.format.sample_width
            for start in range(0, len(audio), size):
                piece = audio[start : start + size]
                data = base64.b64encode(piece).decode()
                await socket.send_json({"type": "chunk", "data": data, **named})
                heard = line.format.seconds(start + len(piece))
                ended = [time for time in times if time.end <= heard + 1e-6]
                times = times[len(ended) :]
                if ended:
                    words = {
                        "words": [time.word for time in ended],
                        "start": [time.start for time in ended],
                        "end": [time.end for time in ended],
                    }
                    await socket.send_json({"type": "timestamps", "word_timestamps": words, **named})
                await trio.sleep(self.pace)
            await socket.send_json({"type": "done", **named})
