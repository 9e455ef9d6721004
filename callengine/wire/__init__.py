"""The way to vendors: one pool of HTTP connections, WebSockets, and what their failures mean."""

from callengine.wire.backoff import Backoff
from callengine.wire.failures import Failures
from callengine.wire.http import Patience, StreamedBody, asked, streamed, transport_errors
from callengine.wire.network import Internet, Network, Wire, open_wire, shared_wire, tls_context
from callengine.wire.sse import SseError, SseEvent, SseParser
from callengine.wire.websocket import VendorSocket, open_socket

__all__ = [
    "Backoff",
    "Failures",
    "Internet",
    "Network",
    "Patience",
    "SseError",
    "SseEvent",
    "SseParser",
    "StreamedBody",
    "VendorSocket",
    "Wire",
    "asked",
    "open_socket",
    "open_wire",
    "shared_wire",
    "streamed",
    "tls_context",
    "transport_errors",
]
