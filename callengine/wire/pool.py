"""The pool of HTTP connections: httpcore's, with a choice of connection that stays cheap when many are kept."""

from __future__ import annotations

import ssl
from typing import Any

import httpcore
import httpx

LOOKED_AT = 2
"""Idle connections that are looked at, with each request and each end of one, for whether their time is over or the
server has closed them. All are, in turn; the one that a request is to be given is looked at in any case."""


class Pool(httpcore.AsyncConnectionPool):
    """Chooses in time that grows with the connections, asks the kernel about three of them, and gives each to one
    request only.

    httpcore (1.0.9, `AsyncConnectionPool._assign_requests_to_connections`) goes through all connections for each idle
    one, asks the kernel about every idle one, twice a request, and gives the same idle one to all requests of a moment,
    of which all but one then start again. With a hundred kept connections a request takes 5 ms of CPU, with this 1 ms
    (docs/performance.md, "Vendors"). A later version that decides elsewhere would be as slow as before, and as right.
    """

    _turn = 0

    def _assign_requests_to_connections(self) -> list[httpcore.AsyncConnectionInterface]:
        self._connections = [connection for connection in self._connections if not connection.is_closed()]
        taken = {id(request.connection) for request in self._requests}
        idle = [connection for connection in self._connections if connection.is_idle() and id(connection) not in taken]
        closing = idle[: max(0, len(idle) - self._max_keepalive_connections)]
        idle = idle[len(closing) :]
        closing += [connection for connection in self._some(idle) if connection.has_expired()]
        for connection in closing:
            self._connections.remove(connection)
        free = [connection for connection in self._connections if id(connection) not in taken]
        for request in self._requests:
            if request.is_queued():
                self._assign(request, free, closing)
        return closing

    def _some(self, idle: list[httpcore.AsyncConnectionInterface]) -> list[httpcore.AsyncConnectionInterface]:
        """Those whose turn it is to be looked at."""
        self._turn += LOOKED_AT
        return [idle[(self._turn + number) % len(idle)] for number in range(min(LOOKED_AT, len(idle)))]

    def _assign(
        self,
        request: Any,
        free: list[httpcore.AsyncConnectionInterface],
        closing: list[httpcore.AsyncConnectionInterface],
    ) -> None:
        """Give it the first connection that is free, else a new one, else (where there are too many) nothing yet."""
        origin = request.request.url.origin
        for connection in list(free):
            if not (connection.is_available() and connection.can_handle_request(origin)):
                continue
            free.remove(connection)
            if not connection.has_expired():
                request.assign_to_connection(connection)
                return
            self._connections.remove(connection)
            closing.append(connection)
        if len(self._connections) >= self._max_connections:
            unused = next((connection for connection in free if connection.is_idle()), None)
            if unused is None:
                return
            free.remove(unused)
            self._connections.remove(unused)
            closing.append(unused)
        connection = self.create_connection(origin)
        self._connections.append(connection)
        request.assign_to_connection(connection)


def http_client(tls: ssl.SSLContext, *, keep_alive: float, max_idle: int) -> httpx.AsyncClient:
    """A client with such a pool, in which no wait is bounded, and any number of connections may be busy.

    ``keep_alive`` is how many seconds ``max_idle`` idle connections at most are kept. Where the environment names a
    proxy, connections to it are httpx's own.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=max_idle, keepalive_expiry=keep_alive)
    client = httpx.AsyncClient(verify=tls, timeout=None, limits=limits)
    assert isinstance(client._transport, httpx.AsyncHTTPTransport)
    client._transport._pool = Pool(
        ssl_context=tls, max_connections=None, max_keepalive_connections=max_idle, keepalive_expiry=keep_alive
    )
    return client
