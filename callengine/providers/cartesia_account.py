"""What Cartesia's voice and recogniser share: the version of its interface, the key, and its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from callengine.errors import ProviderError, ProviderFault
from callengine.providers.asking import ask_free, over_http
from callengine.wire import Failures, Wire
from callengine.wire.failures import retryable_status

VERSION = "2026-03-01"
"""Of the interface, which every request names: the first whose errors are JSON (docs.cartesia.ai, "API versioning")."""


def headers(key: str) -> dict[str, str]:
    """Of every request and handshake."""
    return {"X-API-Key": key, "Cartesia-Version": VERSION}


class CartesiaFailures(Failures):
    """Reads the vendor's own error objects."""

    def from_response(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """See `Failures.from_response`; the vendor's title and message in place of its JSON."""
        try:
            data = json.loads(body)
        except ValueError:
            data = None
        if isinstance(data, dict) and (message := _message(data)):
            body = json.dumps({"error": {"message": message}}).encode()
        return super().from_response(status, headers, body)

    def from_event(self, event: Mapping[str, Any]) -> ProviderError:
        """An ``error`` message on a WebSocket: its status has the meaning that it has in HTTP."""
        status = event.get("status_code")
        fault: ProviderFault = "retry" if not isinstance(status, int) or retryable_status(status) else "fatal"
        message = _message(event) or "the server reported an error"
        return self.make(f"{status}: {message}" if isinstance(status, int) else message, fault=fault)


def _message(data: Mapping[str, Any]) -> str:
    parts = [str(data[name]) for name in ("title", "message") if data.get(name)]
    if not parts and data.get("error_code"):
        return str(data["error_code"])
    return ": ".join(parts)


async def probe(wire: Wire, base_url: str, key: str, failures: Failures, timeout: float) -> None:
    """Ask for the list of voices: free, and only answered for a good key. Raises `ProviderError`."""
    await ask_free(wire, f"{over_http(base_url)}/voices", headers(key), failures, timeout)
