"""How many connections there may be."""

from __future__ import annotations

import ipaddress
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)


class Seats:
    """``total`` connections, and ``per_address`` from one address (from one /64 network of IPv6).

    A media stream that was let in no longer counts for its address: behind a proxy or a tunnel, the streams of all
    calls come from one.
    """

    def __init__(self, total: int, per_address: int) -> None:
        self._total = total
        self._per_address = per_address
        self._taken = 0
        self._by_address: Counter[str] = Counter()
        self._complained = False

    @contextmanager
    def take(self, address: str) -> Iterator[Seat | None]:
        """A seat for the time of the block; None where there is none free."""
        network = _network(address)
        if self._taken >= self._total or self._by_address[network] >= self._per_address:
            self._complain()
            yield None
            return
        self._taken += 1
        self._by_address[network] += 1
        seat = Seat(self._by_address, network)
        try:
            yield seat
        finally:
            seat.leave_address()
            self._taken -= 1
            self._complained = self._complained and self._taken > 0

    def _complain(self) -> None:
        """Say it once, until the house was empty again: whoever floods the port shall not flood the log."""
        if not self._complained:
            self._complained = True
            _log.warning(
                "connections are refused: there may be %d, and %d from one address", self._total, self._per_address
            )


class Seat:
    """One connection's place."""

    def __init__(self, by_address: Counter[str], network: str) -> None:
        self._by_address = by_address
        self._network: str | None = network

    def leave_address(self) -> None:
        """Count for the total only. Idempotent."""
        if self._network is None:
            return
        self._by_address[self._network] -= 1
        if not self._by_address[self._network]:
            del self._by_address[self._network]
        self._network = None


def _network(address: str) -> str:
    """The address, or of IPv6 the network that one subscriber has for himself."""
    parsed = ipaddress.ip_address(address)
    return address if parsed.version == 4 else str(ipaddress.ip_network((int(parsed), 64), strict=False))
