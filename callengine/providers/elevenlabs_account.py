"""What ElevenLabs' voices and recogniser share: the key, and the errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from callengine.audio.format import AudioFormat, Encoding
from callengine.errors import ProviderError, ProviderFault
from callengine.providers.asking import ask_free, over_http
from callengine.wire import Failures, Wire

# Parts of what the vendor says when it ends a WebSocket whose user did nothing wrong: it was idle, or too many of its
# contexts had not quite ended yet. A new one works at once.
_OVER = ("inactiv", "timeout", "timed out", "max_active_conversations", "simultaneous", "session_time_limit")

# The same for what passes by itself: help.elevenlabs.io, "API - Error Code 429" (the plan's concurrency, and load).
_BUSY = (
    "too_many_concurrent",
    "concurrent requests",
    "system_busy",
    "rate_limit",
    "resource_exhausted",
    "heavy traffic",
)

_ENCODINGS: Mapping[Encoding, str] = {"mulaw": "ulaw", "alaw": "alaw", "l16": "pcm"}


def headers(key: str) -> dict[str, str]:
    """Of every request and handshake."""
    return {"xi-api-key": key}


class ElevenLabsFailures(Failures):
    """Reads the vendor's own error objects: ``{"detail": {"status": ..., "message": ...}}``."""

    def from_response(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """See `Failures.from_response`; the vendor's sentence in place of its JSON."""
        try:
            data = json.loads(body)
        except ValueError:
            data = None
        detail = data.get("detail") if isinstance(data, dict) else None
        if isinstance(detail, list) and detail:  # a validator's findings: the first says enough
            first = detail[0] if isinstance(detail[0], dict) else {}
            place = ".".join(str(part) for part in first.get("loc") or ())
            detail = {"message": f"{place}: {first.get('msg', '')}"}
        if isinstance(detail, dict) and detail.get("message"):
            code = f" ({detail['status']})" if detail.get("status") else ""
            body = json.dumps({"error": {"message": f"{detail['message']}{code}"}}).encode()
        return super().from_response(status, headers, body)

    def from_event(self, event: Mapping[str, Any]) -> ProviderError:
        """An error message on a WebSocket of a voice; it closes with the same code afterwards."""
        error, message = (str(event.get(name) or "") for name in ("error", "message"))
        words = f"{message} ({error})" if message and error and error != message else message or error
        fault = self._by_words(words) or ("retry" if event.get("code") in (1006, 1011, 1012, 1013) else "fatal")
        return self.make(words or "the server reported an error", fault=fault)

    def on_close(self, code: int, reason: str) -> ProviderError | None:
        """1008 is said for wrong settings, and for what another connection mends: the reason tells them apart."""
        fault = self._by_words(reason) if code == 1008 else None
        return self.make(f"the connection was closed: {code} {reason}", fault=fault) if fault else None

    @staticmethod
    def _by_words(words: str) -> ProviderFault | None:
        words = words.lower()
        if any(part in words for part in _OVER):
            return "reopen"
        return "retry" if any(part in words for part in _BUSY) else None


async def probe(wire: Wire, base_url: str, key: str, failures: Failures, timeout: float) -> None:
    """Ask for the list of voices: free, and only answered for a good key. Raises `ProviderError`."""
    await ask_free(wire, f"{over_http(base_url)}/v1/voices", headers(key), failures, timeout)


def format_name(audio_format: AudioFormat) -> str:
    """``ulaw_8000``, ``pcm_16000`` ..., the vendor's name of a format that it knows."""
    return f"{_ENCODINGS[audio_format.encoding]}_{audio_format.sample_rate}"


def language_code(language: str) -> str:
    """``en`` of ``en-GB``: regions are refused."""
    return language.replace("_", "-").split("-")[0].lower()
