"""What Deepgram's recognisers and its voice share: the key, the free request, and what errors mean.

Sources: developers.deepgram.com, "Errors" and "Authenticating"; the interface's description in the package
`deepgram-sdk` (7.17.0).
"""

from __future__ import annotations

from collections.abc import Mapping

from callengine.errors import ProviderError, ProviderFault
from callengine.providers.asking import ask_free, over_http
from callengine.providers.lenient import as_text, json_object
from callengine.wire import Failures, Wire
from callengine.wire.failures import retry_after, retryable_status

_ORDINARY_ENDS = ("NET-0001", "NET-0003", "did not receive audio data")
"""How the reasons begin with which idle sessions, and those that reached their longest time, are closed."""

_TOO_MUCH_TEXT = "DATA-0001"
"""Too many characters within the last while: less will be taken again soon."""


def headers(key: str) -> dict[str, str]:
    """Of every request and handshake."""
    return {"Authorization": f"Token {key}"}


class DeepgramFailures(Failures):
    """Reads the vendor's own errors: its reasons stand in a header and in two shapes of JSON."""

    def __init__(self, name: str, key: str) -> None:
        super().__init__(name, key, closes={1009: "fatal"})

    def from_response(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """See `Failures.from_response`."""
        data = json_object(body.decode("utf-8", "replace"))
        parts = [as_text(data.get("err_msg")) or as_text(data.get("message")), as_text(data.get("details"))]
        reason = ": ".join(part for part in parts if part) or headers.get("dg-error", "")
        if not reason:
            return super().from_response(status, headers, body)
        fault: ProviderFault = "retry" if retryable_status(status) else "fatal"
        return self.make(f"HTTP {status}: {reason}", fault=fault, retry_after=retry_after(headers))

    def on_close(self, code: int, reason: str) -> ProviderError | None:
        """What a close means, where its reason says more than its code."""
        if code == 1011 and reason.startswith(_ORDINARY_ENDS):
            return self.make(f"the connection was closed: {code} {reason}", fault="reopen")
        if code == 1008 and reason.startswith(_TOO_MUCH_TEXT):
            return self.make(f"the connection was closed: {code} {reason}")
        return None


async def probe(wire: Wire, base_url: str, failures: Failures, key: str, timeout: float) -> None:
    """Ask about the key: free, and what the vendor names for it ("Authenticating", "Test Request")."""
    await ask_free(wire, f"{over_http(base_url)}/v1/auth/token", headers(key), failures, timeout)
