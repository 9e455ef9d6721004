"""The turns of a simulated Azure recogniser, and their frames."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import trio

from callengine.audio.format import AudioFormat
from callengine.testing.vendors.base import WebSocket
from callengine.testing.vendors.timed_ear import TimedEar, TimedWord

if TYPE_CHECKING:
    from callengine.testing.vendors.azure import FakeAzure

SEGMENT = 0.5
"""Seconds of silence that end a phrase."""

_TICKS = 10_000_000


def is_id(value: str) -> bool:
    """Whether it is 32 hexadecimal digits."""
    return re.fullmatch("[0-9a-fA-F]{32}", value) is not None


@attrs.define
class _Turn:
    request_id: str
    ear: TimedEar | None = None
    words: list[TimedWord] = attrs.field(factory=list)
    """Of the phrase that goes on."""
    speaking: bool = False


class AzureSocket:
    """One connection: ``speech.config``, then turns, one after the other."""

    def __init__(self, vendor: FakeAzure, socket: WebSocket, *, detailed: bool) -> None:
        self._vendor = vendor
        self._socket = socket
        self._detailed = detailed
        self._configured = False
        self._turn: _Turn | None = None
        self._used: list[str] = []

    async def run(self) -> None:
        """Serve it until it is closed, by whomever."""
        while True:
            message = await self._socket.receive()
            headers, body = _taken_apart(message)
            path, request_id = headers.get("path", ""), headers.get("x-requestid", "")
            if not path or not is_id(request_id) or not headers.get("x-timestamp", "").endswith("Z"):
                return await self._refuse("a message without Path, X-RequestId or X-Timestamp")
            if path == "speech.config":
                self._configured = True
                self._vendor.configurations.append(json.loads(body))
            elif not self._configured:
                return await self._refuse("speech.config has to be the first message")
            elif path == "speech.context":
                if self._turn is not None or request_id in self._used:
                    return await self._refuse("a turn was begun before the last one was over, or with its id")
                self._vendor.contexts.append(json.loads(body))
                self._turn = _Turn(request_id)
                self._used.append(request_id)
                self._vendor.turns.append(request_id)
            elif path == "audio" and isinstance(message, bytes):
                if request_id in self._used and (self._turn is None or self._turn.request_id != request_id):
                    continue  # of a turn that is over
                if self._turn is None or self._turn.request_id != request_id:
                    return await self._refuse("audio of a turn that was not begun")
                if not await self._audio(self._turn, headers, body):
                    return None
            elif path != "telemetry":
                return await self._refuse(f"no such path: {path}")

    async def _refuse(self, what: str) -> None:
        self._vendor.complain(what)
        await self._socket.close(1007, what)

    async def _audio(self, turn: _Turn, headers: Mapping[str, str], body: bytes) -> bool:
        if turn.ear is None:
            rate = _rate(body) if headers.get("content-type") == "audio/x-wav" else None
            if rate is None:
                await self._refuse("a turn's audio does not begin with a WAV header")
                return False
            turn.ear = TimedEar(self._vendor, AudioFormat("l16", rate))
            await self._send("turn.start", turn, {"context": {"serviceTag": "7B33613B91714B32817815DC89633AFA"}})
            if len(self._used) > 1:
                await self._stray(self._used[-2])
            body = body[44:]
        elif not body:
            await trio.sleep(self._vendor.end_delay)
            await self._over(turn, turn.ear)
            return True
        await self._hear(turn, turn.ear, body)
        return True

    async def _hear(self, turn: _Turn, ear: TimedEar, audio: bytes) -> None:
        new = ear.hear(audio)
        if new and not turn.speaking:
            turn.speaking = True
            await self._send("speech.startDetected", turn, {"Offset": _ticks(new[0].start)})
        turn.words += new
        if new:
            text = " ".join(word.text for word in turn.words).lower()
            await self._send("Speech.Hypothesis", turn, {"Id": "1", "Text": text, **_span(turn.words), "Channel": 0})
        if turn.words and ear.position - turn.words[-1].end >= SEGMENT:
            await self._phrase(turn)
        if ear.position >= self._vendor.turn_limit:  # what of a word has come is forgotten with the turn
            await self._phrase(turn)
            await self._ended(turn)

    async def _over(self, turn: _Turn, ear: TimedEar) -> None:
        turn.words += ear.finish()
        if turn.words:
            await self._phrase(turn)
        elif not turn.speaking:
            silence = {"RecognitionStatus": "NoMatch", "Offset": 0, "Duration": _ticks(ear.position), "Channel": 0}
            await self._send("speech.phrase", turn, silence)
        await self._send("speech.endDetected", turn, None)
        await self._ended(turn)

    async def _ended(self, turn: _Turn) -> None:
        self._turn = None
        await self._send("Turn.End", turn, {})

    async def _phrase(self, turn: _Turn) -> None:
        words, turn.words = turn.words, []
        if not words:
            return
        text = " ".join(word.text for word in words)
        self._vendor.heard.append(text)
        body: dict[str, Any] = {"RecognitionStatus": "Success", **_span(words), "Channel": 0}
        if self._detailed:
            best = {"Confidence": 0.93, "Lexical": text.lower(), "ITN": text, "MaskedITN": text, "Display": text}
            body["NBest"] = [best]
        else:
            body["DisplayText"] = text
        await self._send("speech.phrase", turn, body)

    async def _stray(self, request_id: str) -> None:
        """A late message of a turn that is over: it must change nothing."""
        await self._send("speech.hypothesis", _Turn(request_id), {"Text": "late words", "Offset": 0, "Duration": 1})
        await self._send("turn.end", _Turn(request_id), {})

    async def _send(self, path: str, turn: _Turn, body: object) -> None:
        lines = f"X-RequestId:{turn.request_id}\r\nContent-Type:application/json; charset=utf-8\r\nPath:{path}\r\n"
        await self._socket.send(f"{lines}\r\n{'' if body is None else json.dumps(body)}")


def _span(words: list[TimedWord]) -> dict[str, int]:
    start, end = _ticks(words[0].start), _ticks(words[-1].end)
    return {"Offset": start, "Duration": end - start}


def _ticks(seconds: float) -> int:
    return round(seconds * _TICKS)


def _taken_apart(message: str | bytes) -> tuple[dict[str, str], bytes]:
    if isinstance(message, str):
        head, _, text = message.partition("\r\n\r\n")
        body = text.encode()
    else:
        size = int.from_bytes(message[:2], "big")
        head, body = message[2 : 2 + size].decode("ascii"), message[2 + size :]
    pairs = (line.partition(":") for line in head.split("\r\n"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}, body


def _rate(header: bytes) -> int | None:
    """The rate of 16-bit mono PCM that this WAV header announces; None where it is none."""
    if len(header) < 44:
        return None
    riff, _, wave, fmt, size, tag, channels, rate, speed, align, bits, data, _ = struct.unpack_from(
        "<4sI4s4sIHHIIHH4sI", header
    )
    right = (riff, wave, fmt, size, tag, channels, data) == (b"RIFF", b"WAVE", b"fmt ", 16, 1, 1, b"data")
    return rate if right and (speed, align, bits) == (2 * rate, 2, 16) else None
