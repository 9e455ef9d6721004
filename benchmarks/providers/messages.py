"""What the vendors of the benchmark say, as bytes."""

from __future__ import annotations

import json
import re
from binascii import b2a_base64
from collections.abc import Iterator
from typing import Any

from benchmarks.calls_per_core.scenario import CHARACTERS_A_SECOND, Scenario

HEARD = "I would like to book a table for two, please."
"""What every recogniser hears."""

RATE = 8000
"""Bytes of mu-law a second."""

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
AUDIO = b"HTTP/1.1 200 OK\r\ncontent-type: audio/basic\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_WORDS = re.compile(rb"words-(\d+)")


def frame(message: dict[str, Any]) -> bytes:
    """A text message as a WebSocket's server sends it."""
    return framed(json.dumps(message).encode())


def framed(payload: bytes) -> bytes:
    """The same of its bytes."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return bytes((0x81, 126, size >> 8, size & 0xFF)) + payload
    return bytes((0x81, 127)) + size.to_bytes(8, "big") + payload


def chunk(data: bytes) -> bytes:
    """A chunk of a body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


# --- recognisers ------------------------------------------------------------------------------------------------------


def results(start: float, until: float, *, final: bool) -> bytes:
    """Deepgram's results of the audio between two places."""
    words = HEARD.split()
    if not final:
        words = words[: 1 + round(2.0 * (until - start))]
    at = [round(start + number * 0.3, 2) for number in range(len(words))]
    return frame({
        "type": "Results", "channel_index": [0, 1], "duration": round(until - start, 3), "start": round(start, 3),
        "is_final": final, "speech_final": False, "from_finalize": final,
        "channel": {"alternatives": [{
            "transcript": " ".join(words), "confidence": 0.9987,
            "words": [
                {"word": word.lower(), "start": begin, "end": begin + 0.28, "confidence": 0.99, "punctuated_word": word}
                for word, begin in zip(words, at, strict=True)
            ],
        }]},
        "metadata": {
            "request_id": "0e8d1bbf-9a3c-4d8e-9d3f-4b5a1c2d3e4f",
            "model_info": {"name": "general-nova-3", "version": "2026-01-09.0", "arch": "nova-3"},
            "model_uuid": "40bd3654-e622-47c4-a111-63a61b23bfe8",
        },
    })  # fmt: skip


# --- voices -----------------------------------------------------------------------------------------------------------


def pieces(text: str, voice: bytes, scenario: Scenario) -> Iterator[tuple[bytes, str]]:
    """A text's audio in pieces, each with the part of the text that it says."""
    size = round(scenario.tts_chunk * RATE)
    whole = round(len(text) / CHARACTERS_A_SECOND * RATE)
    for start in range(0, whole, size):
        said = slice(*(round(at / RATE * CHARACTERS_A_SECOND) for at in (start, min(start + size, whole))))
        yield voice[start : min(start + size, whole)], text[said]


def cartesia(context: str, text: str, voice: bytes, scenario: Scenario) -> Iterator[bytes]:
    """A context of Sonic: the times of words, audio, and at last that it is done."""
    common = {"context_id": context, "status_code": 206, "done": False, "flush_id": 1}
    at, waiting = 0.0, b""
    for audio, said in pieces(text, voice, scenario):
        if waiting:
            yield waiting
        seconds = len(audio) / RATE
        times = {"words": said.split(), "start": [at] * len(said.split()), "end": [at + seconds] * len(said.split())}
        data = b2a_base64(audio, newline=False).decode()
        waiting = frame({"type": "chunk", **common, "data": data, "step_time": 41.2})
        if times["words"]:
            waiting = frame({"type": "timestamps", **common, "word_timestamps": times}) + waiting
        at += seconds
    yield waiting + frame({"type": "done", **common, "status_code": 200, "done": True})


def elevenlabs(context: str, text: str, voice: bytes, scenario: Scenario) -> Iterator[bytes]:
    """A context of the multi-context WebSocket: audio with the times of its characters, and at last that it is over."""
    waiting = b""
    for audio, said in pieces(text, voice, scenario):
        if waiting:
            yield waiting
        each = round(len(audio) / RATE * 1000 / max(1, len(said)))
        alignment = {
            "chars": list(said),
            "charStartTimesMs": [number * each for number in range(len(said))],
            "charDurationsMs": [each] * len(said),
        }
        data = b2a_base64(audio, newline=False).decode()
        waiting = frame({"audio": data, "isFinal": None, "alignment": alignment, "contextId": context})
    yield waiting + frame({"isFinal": True, "contextId": context})


def over_http(text: str, voice: bytes, scenario: Scenario) -> Iterator[bytes]:
    """A body of audio, with its head in front."""
    waiting = AUDIO
    for number, (audio, _) in enumerate(pieces(text, voice, scenario)):
        if number:
            yield waiting
            waiting = b""
        waiting += chunk(audio)
    yield waiting + LAST_CHUNK


# --- language models --------------------------------------------------------------------------------------------------


def wanted(request: bytes, scenario: Scenario) -> list[str]:
    """The words that a request asks for: as many as its model's name says (``words-100``), else the scenario's."""
    found = _WORDS.search(request)
    return scenario.tokens if found is None else [" word"] * int(found[1])


def openai(words: list[str]) -> Iterator[bytes]:
    """Chat completion chunks, with the usage behind them."""
    chat = {
        "id": "chatcmpl-CxYz0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1795280000,
        "model": "benchmark-2026-01-01",
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
    }

    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data({**chat, "choices": [choice], "usage": None})

    usage = {"prompt_tokens": 40, "completion_tokens": len(words), "total_tokens": 40 + len(words)}
    figures = _data({**chat, "choices": [], "usage": usage})
    end = event({}, "stop") + figures + chunk(b"data: [DONE]\n\n")
    return _events(event({"role": "assistant", "content": ""}), [event({"content": word}) for word in words], end)


def anthropic(words: list[str]) -> Iterator[bytes]:
    """The events of a message."""

    def event(kind: str, **more: Any) -> bytes:
        return chunk(f"event: {kind}\n".encode() + _line({"type": kind, **more}))

    usage = {"input_tokens": 40, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    message = {"id": "msg_0123456789", "type": "message", "role": "assistant", "content": [], "usage": usage}
    start = event("message_start", message=message)
    start += event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    end = event("content_block_stop", index=0)
    end += event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": len(words)})
    end += event("message_stop")
    deltas = [event("content_block_delta", index=0, delta={"type": "text_delta", "text": word}) for word in words]
    return _events(start, deltas, end)


def gemini(words: list[str]) -> Iterator[bytes]:
    """Pieces of a content; each has the figures so far."""

    def event(number: int, text: str) -> bytes:
        candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        if number == len(words):
            candidate["finishReason"] = "STOP"
        usage = {"promptTokenCount": 40, "candidatesTokenCount": number, "totalTokenCount": 40 + number}
        whole = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "benchmark", "responseId": "abcdef"}
        return _data(whole)

    return _events(b"", [event(number, word) for number, word in enumerate(words, 1)], b"")


def _events(start: bytes, deltas: list[bytes], end: bytes) -> Iterator[bytes]:
    """A stream's parts: its head and beginning come with the first word, its end with the last one."""
    deltas[0] = EVENTS + start + deltas[0]
    deltas[-1] += end + LAST_CHUNK
    return iter(deltas)


def _line(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def _data(value: dict[str, Any]) -> bytes:
    return chunk(_line(value))
